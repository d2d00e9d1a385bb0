"""The covariance of a log's curve, by leaving out one block of time after another.

A log's errors are white noise and a slow part of unknown shape. Blocks of readings that are long against the slow part
are nearly independent, whatever its shape; so eight fits, each without one block, show how the curve varies (Quenouille
1949; Künsch 1989). Simulated with 60 % of the variance AR(1): 92 to 96 % of 95 % at n = 3,000 and a coefficient of
0.98, 85 to 91 % at 0.995; sums of scores over blocks, and doubled blocks, cover less.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from thermofit_pl.functional.groups import Groups
from thermofit_pl.functional.whitened import Whitened, basis_of, unpacked

FloatArray = NDArray[np.float64]

POOLED = 8  # blocks at the end: fewer have too few degrees of freedom, more are too short against the slow part
FEWEST = 5  # with readings, where an instrument was not there all the time


class BlockSums(NamedTuple):
    """Normal equations of each block, in whitened coordinates.

    Attributes:
        weight: Readings, or sums of weights, of each block, shape ``(blocks, I)``.
        gram: Sums of columnsᵀ columns, shape ``(blocks, I, q, q)``; all blocks together have the unit matrix.
        score: Sums of columnsᵀ (reference − estimate), shape ``(blocks, I, q)``; all together have 0.
        sse: Sums of squared errors about the curve of all blocks, shape ``(blocks, I)``.
    """

    weight: FloatArray
    gram: FloatArray
    score: FloatArray
    sse: FloatArray


def pool(blocks: int) -> NDArray[np.int64]:
    """Returns which of the eight each of some equally long blocks belongs to, shape ``(blocks,)``; eight at least.

    Args:
        blocks: How many there are, in the order of time: 16 to 32 where they were doubled as they became too many.
    """
    return np.arange(blocks) * POOLED // max(blocks, POOLED)


def of_factors(blocks: FloatArray, whole: FloatArray) -> BlockSums:
    """Returns the normal equations of blocks of which each has its factor.

    Args:
        blocks: Packed factors of (1, features, reference), shape ``(blocks, I, q (q + 1) / 2)`` with q = p + 2.
        whole: That of all blocks merged, shape ``(I, q (q + 1) / 2)``.
    """
    basis, coefficients, _ = basis_of(whole)
    d, r = unpacked(blocks)
    root = np.sqrt(np.maximum(d, 0.0))
    # a factor is a data set of q rows, the last of which holds nothing but an error
    rows = root[..., :-1, None] * r[..., :-1, :]
    columns = rows[..., :-1] @ basis
    error = rows[..., -1] - (rows[..., :-1] @ coefficients[..., None])[..., 0]
    gram = np.swapaxes(columns, -1, -2) @ columns
    score = (np.swapaxes(columns, -1, -2) @ error[..., None])[..., 0]
    return BlockSums(d[..., 0], gram, score, (error * error).sum(-1) + d[..., -1])


def of_readings(whitened: Whitened, block: NDArray[np.int64], groups: Groups, blocks: int = POOLED) -> BlockSums:
    """Returns the same of readings.

    Args:
        whitened: Sorted by instrument.
        block: The block of each reading, shape ``(N,)``, sorted alike.
        groups: The instruments.
        blocks: How many blocks there are.
    """
    instruments = len(groups.counts)
    code = groups.each(np.arange(instruments)) * blocks + block
    cells = Groups(code, instruments * blocks)
    columns, error = cells.sorted(whitened.columns), cells.sorted(whitened.error)

    def total(values: FloatArray) -> FloatArray:
        return np.moveaxis(cells.sums(values).reshape(instruments, blocks, *values.shape[1:]), 1, 0)

    gram = total(columns[:, :, None] * columns[:, None, :])
    return BlockSums(total(np.ones(len(error))), gram, total(-columns * error[:, None]), total(error * error))


def delete_one_block(sums: BlockSums) -> tuple[FloatArray, FloatArray]:
    """Returns the covariance of the least-squares coefficients by leaving out each block, and its degrees of freedom.

    Args:
        sums: Of blocks in the order of time.

    Returns:
        The covariances in whitened coordinates, shape ``(I, q, q)``, and the degrees of freedom, one less than the
        blocks with readings, shape ``(I,)``. NaN and 0 where fewer than five have any, or one can't be left out.
    """
    present = sums.weight > 0
    m = present.sum(axis=0)
    # a column that is spanned by others, and so 0, is nobody's
    absent = np.eye(sums.gram.shape[-1]) * (np.einsum("biqq->iq", sums.gram)[..., None] < 0.5)
    rest = sums.gram.sum(axis=0) - sums.gram + absent
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        smallest = np.linalg.eigvalsh(np.where(np.isfinite(rest), rest, 0.0))[..., 0]
        told = (m >= FEWEST) & ((smallest > 1e-9) | ~present).all(axis=0)
        safe = np.where((told & present)[..., None, None], rest, np.eye(rest.shape[-1]))
        changes = np.linalg.solve(safe, -sums.score[..., None])[..., 0] * present[..., None]
        changes = (changes - changes.sum(axis=0) / m[:, None]) * present[..., None]
        covariance = np.einsum("biq,bir->iqr", changes, changes) * ((m - 1) / m)[:, None, None]
    return np.where(told[:, None, None], covariance, np.nan), np.where(told, m - 1, 0)


def dof_of_variance(sums: BlockSums, most: FloatArray) -> FloatArray:
    """Returns the degrees of freedom of the errors' variance, from how it differs from block to block, shape ``(I,)``.

    Args:
        sums: Of blocks.
        most: What independent readings have, shape ``(I,)``.
    """
    present = sums.weight > 0
    m = present.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = sums.sse.sum(axis=0) / sums.weight.sum(axis=0)
        away = np.where(present, sums.sse - mean * sums.weight, 0.0)
        variance = (away**2).sum(axis=0) / sums.weight.sum(axis=0) ** 2 * m / (m - 1)
        dof = 2 * mean**2 / variance
    known = (m >= FEWEST) & np.isfinite(dof)
    return np.where(known, np.minimum(np.maximum(dof, 1.0), most), most)

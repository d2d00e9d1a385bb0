"""Least squares in coordinates in which the covariance of independent readings is s² times the unit matrix.

There each source of an uncertainty is one small symmetric matrix, and two of them compare by eigenvalues. For a line
the coordinates are √n times its value at the mean indication, and √sxx times its slope.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from thermofit_pl.functional.groups import Groups

FloatArray = NDArray[np.float64]

RANK = 256 * np.finfo(np.float64).eps  # what is left of a column, relative to it, when it is only rounding


class Whitened(NamedTuple):
    """Readings in whitened coordinates, sorted by instrument.

    Attributes:
        columns: (1, features) made orthonormal over each instrument's readings, shape ``(N, q)``; a column that the
            ones before it span is 0.
        error: What the reference differs by from the least-squares curve, estimate − reference, shape ``(N,)``.
        sse: Sum of the squared errors of each instrument, shape ``(I,)``.
        rank: How many columns are independent, shape ``(I,)``.
    """

    columns: FloatArray
    error: FloatArray
    sse: FloatArray
    rank: NDArray[np.int64]


def whiten(features: FloatArray, reference: FloatArray, groups: Groups, constant: bool = True) -> Whitened:
    """Fits each instrument's readings by modified Gram-Schmidt, each column twice (Giraud, Langou and Rozložník 2005).

    Args:
        features: Shape ``(N, p)``, sorted by instrument.
        reference: Shape ``(N,)``, sorted alike.
        groups: The instruments.
        constant: Whether a column of ones comes before the features; a curve through zero has none.
    """
    n = np.maximum(groups.counts, 1)
    ones = int(constant)
    columns = np.empty((len(reference), features.shape[1] + ones))
    columns[:, :ones] = groups.each(1 / np.sqrt(n))[:, None]
    rank = ones * (groups.counts > 0).astype(np.int64)
    for j in range(ones, columns.shape[1]):
        column = features[:, j - ones]
        raw = np.sqrt(groups.sums(column * column))
        column = _without(columns[:, :j], column, groups)
        left = np.sqrt(groups.sums(column * column))
        sound = left > RANK * raw
        columns[:, j] = column * groups.each(np.where(sound, 1 / np.where(sound, left, 1.0), 0.0))
        rank = rank + sound
    error = -_without(columns, reference, groups)
    return Whitened(columns, error, groups.sums(error * error), rank)


def _without(columns: FloatArray, values: FloatArray, groups: Groups) -> FloatArray:
    """Returns what columns of shape ``(N, j)`` leave of values, shape ``(N,)``."""
    for _ in range(2):
        for column in columns.T:
            values = values - column * groups.each(groups.sums(column * values))
    return values


def basis_of(factor: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Returns what takes coefficients out of whitened coordinates, the coefficients themselves, and what they leave.

    Args:
        factor: Packed factors of (1, features, reference), shape ``(..., q (q + 1) / 2)`` with q = p + 2.

    Returns:
        S of shape ``(..., p + 1, p + 1)``: C of whitened coordinates is S C Sᵀ of (b, w); the coefficients, shape
        ``(..., p + 1)``; the sums of squared errors, shape ``(...)``. NaN where the features are not independent.
    """
    d, r = unpacked(factor)
    p = d.shape[-1] - 2
    head = r[..., : p + 1, : p + 1]
    inverse = np.linalg.solve(head, np.broadcast_to(np.eye(p + 1), head.shape))
    raw = (d[..., :, None] * r * r).sum(-2)[..., : p + 1]
    sound = d[..., : p + 1] > RANK**2 * raw
    scale = np.where(sound, d[..., : p + 1], np.nan)
    coefficients = (inverse @ r[..., : p + 1, p + 1 :])[..., 0]
    return (
        inverse / np.sqrt(scale)[..., None, :],
        np.where(sound.all(-1)[..., None], coefficients, np.nan),
        d[..., p + 1],
    )


def unpacked(factor: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Returns D, shape ``(..., q)``, and R, shape ``(..., q, q)``, of packed factors Rᵀ D R."""
    q = (int(np.sqrt(8 * factor.shape[-1] + 1)) - 1) // 2
    r = np.zeros((*factor.shape[:-1], q, q))
    r[(..., *np.triu_indices(q))] = factor
    d = np.diagonal(r, axis1=-2, axis2=-1).copy()
    r[..., range(q), range(q)] = 1.0
    return d, r

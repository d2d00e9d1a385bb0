"""The covariance of a short log's curve, as if its errors were AR(1) with an unknown coefficient.

Between 30 and 300 readings eight blocks are too short against errors with ρ = 0.9. There the likelihood of ρ is
integrated instead of taken at its maximum, which is too small (Marriott and Pope 1954) and would pass for known.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from thermofit_pl.functional.groups import Groups
from thermofit_pl.functional.whitened import Whitened

FloatArray = NDArray[np.float64]

FEWEST, MOST = 30, 300  # readings
STEPS = 60
CHUNK = 5_000  # instruments at once: 60 matrices of each, and the spectra of their readings


class LagProducts(NamedTuple):
    """What the likelihood of AR(1) errors needs of readings in the order of time, in whitened coordinates.

    A segment is an unbroken run of readings, from one gap to the next. z is (columns, reference − estimate).

    Attributes:
        squares: Sums of z zᵀ, shape ``(I, q + 1, q + 1)``.
        neighbours: Sums of z z'ᵀ + z' zᵀ over pairs of neighbours within a segment, shape ``(I, q + 1, q + 1)``.
        ends: Sums of z zᵀ over the first and the last reading of each segment, shape ``(I, q + 1, q + 1)``.
        segments: How many, shape ``(I,)``.
        n: Readings, shape ``(I,)``.
        pairs: Of neighbours, shape ``(I,)``.
    """

    squares: FloatArray
    neighbours: FloatArray
    ends: FloatArray
    segments: FloatArray
    n: FloatArray
    pairs: FloatArray


def lag_products(whitened: Whitened, groups: Groups, broken: NDArray[np.bool_] | None = None) -> LagProducts:
    """Adds up the products of neighbours.

    Args:
        whitened: Sorted by instrument, and within an instrument by time.
        groups: The instruments.
        broken: Whether a gap in time lies before a reading, shape ``(N,)``; None where there is none.
    """
    z = np.column_stack([whitened.columns, -whitened.error])
    first = np.zeros(len(z), bool) if broken is None else broken.copy()
    starts = np.cumsum(groups.counts)[groups.counts > 0] - groups.counts[groups.counts > 0]
    first[starts] = True
    last = np.append(first[1:], True)[: len(z)]

    def outer(one: FloatArray, other: FloatArray) -> FloatArray:
        return groups.sums(one[:, :, None] * other[:, None, :])

    before = np.where(first[:, None], 0.0, np.roll(z, 1, axis=0))
    product = outer(z, before)
    return LagProducts(
        squares=outer(z, z),
        neighbours=product + np.swapaxes(product, -1, -2),
        ends=outer(z * first[:, None], z) + outer(z * last[:, None], z),
        segments=groups.sums(first),
        n=groups.counts.astype(np.float64),
        pairs=groups.sums(~first),
    )


def autocorrelation(products: LagProducts) -> FloatArray:
    """Returns the lag-1 autocorrelation of the errors, shape ``(I,)``, corrected for the curve's having been fitted.

    The bias is −(1 + 3ρ)/n about a mean (Marriott and Pope 1954). NaN where there are fewer than two pairs.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        mse = products.squares[:, -1, -1] / products.n
        rho = products.neighbours[:, -1, -1] / 2 / products.pairs / mse
        rho = rho + (1 + 3 * rho) / products.pairs
    return np.where((products.pairs >= 2) & (mse > 0), np.clip(rho, -0.9999, 0.9999), np.nan)


def grid(steps: int = STEPS) -> tuple[FloatArray, FloatArray]:
    """Returns values of ρ in (−1, 1), denser towards the ends, and the steps that they stand for."""
    at = (np.arange(steps) + 0.5) / steps * 2 - 1
    rho = np.tanh(3.0 * at)
    return rho, 1 - rho**2


def integrated(
    whitened: Whitened, groups: Groups, broken: NDArray[np.bool_] | None = None
) -> tuple[FloatArray, FloatArray]:
    """Returns the covariance of the least-squares coefficients under AR(1) errors, integrated over ρ.

    Args:
        whitened: Sorted by instrument, and within an instrument by time.
        groups: The instruments.
        broken: Whether a gap in time lies before a reading, shape ``(N,)``; None where there is none.

    Returns:
        The covariances in whitened coordinates, shape ``(I, q, q)``, NaN outside 30 to 300 readings; and their degrees
        of freedom, shape ``(I,)``, 0 there.
    """
    q, n = whitened.columns.shape[1], groups.counts
    told = (n >= FEWEST) & (n <= MOST) & (whitened.sse > 0)
    covariance = np.full((len(n), q, q), np.nan)
    where = np.flatnonzero(told)
    rows = np.flatnonzero(groups.each(told))
    owner = np.cumsum(told)[groups.each(np.arange(len(n)))[rows]] - 1
    for first in range(0, len(where), CHUNK):
        at = rows[(owner >= first) & (owner < first + CHUNK)]
        own = where[first : first + CHUNK]
        part = Whitened(whitened.columns[at], whitened.error[at], whitened.sse[own], whitened.rank[own])
        code = np.repeat(np.arange(len(own)), n[own])
        covariance[own] = _integrated(part, Groups(code, len(own)), None if broken is None else broken[at])
    return covariance, np.where(told, n - whitened.rank, 0).astype(np.float64)


def _integrated(whitened: Whitened, groups: Groups, broken: NDArray[np.bool_] | None) -> FloatArray:
    products = lag_products(whitened, groups, broken)
    rho, step = grid()
    r = rho[:, None, None]
    q = products.squares.shape[-1] - 1
    # the readings' inverse covariance, over that of an innovation (Hamilton 1994, 5.2)
    inner = (1 + r**2) * products.squares[:, None] - r**2 * products.ends[:, None] - r * products.neighbours[:, None]
    empty = np.einsum("iqq->iq", products.squares[:, :q, :q]) < 0.5
    gram, score, square = inner[..., :q, :q] + np.eye(q) * empty[:, None, None, :], inner[..., :q, q], inner[..., q, q]
    change = np.linalg.solve(gram, score[..., None])[..., 0]
    left = np.maximum(square - (change * score).sum(-1), 1e-300)
    freedom = products.n[:, None] - whitened.rank[:, None]
    log = products.segments[:, None] * np.log1p(-(rho**2)) - np.linalg.slogdet(gram)[1] - freedom * np.log(left)
    weight = np.exp((log - log.max(axis=1, keepdims=True)) / 2) * step
    weight /= weight.sum(axis=1, keepdims=True)
    variance = left / (freedom - 2) / (1 - rho**2)
    mean: FloatArray = np.einsum("ir,irqs->iqs", weight * variance, _correlated(whitened, groups, broken, rho))
    return mean


def _correlated(whitened: Whitened, groups: Groups, broken: NDArray[np.bool_] | None, rho: FloatArray) -> FloatArray:
    """Returns columnsᵀ V columns with the correlations V of AR(1) errors, shape ``(I, len(rho), q, q)``."""
    columns, instruments = whitened.columns, len(groups.counts)
    owner = groups.each(np.arange(instruments))
    first = np.diff(owner, prepend=-1) != 0
    if broken is not None:
        first |= broken
    starts = np.flatnonzero(first)
    lengths = np.diff(starts, append=len(owner))
    rooms = np.exp2(np.ceil(np.log2(np.maximum(lengths, 1)))).astype(np.int64)
    total = np.zeros((instruments, len(rho), *columns.shape[1:] * 2))
    for room in np.unique(rooms).tolist():
        some = np.flatnonzero(rooms == room)
        at = starts[some][:, None] + np.arange(room)
        within = np.arange(room) < lengths[some][:, None]
        padded = np.where(within[..., None], columns[np.where(within, at, 0)], 0.0)
        product = _lagged(padded) @ np.concatenate([np.ones((1, len(rho))) / 2, rho ** np.arange(1, room)[:, None]])
        of = Groups(owner[starts[some]], instruments)  # sorted already
        total += of.sums(np.moveaxis(product, -1, 1))
    return total


def _lagged(values: FloatArray) -> FloatArray:
    """Returns Σ_i v_i v_{i+l}ᵀ + v_{i+l} v_iᵀ at each lag l, shape ``(S, q, q, n)``, of v, shape ``(S, n, q)``."""
    n = values.shape[1]
    spectra = np.fft.rfft(values, 2 * n, axis=1)
    cross = np.conj(spectra)[:, :, :, None] * spectra[:, :, None, :]
    lagged: FloatArray = np.moveaxis(np.fft.irfft(cross + np.swapaxes(cross, -1, -2), 2 * n, axis=1)[:, :n], 1, -1)
    return lagged

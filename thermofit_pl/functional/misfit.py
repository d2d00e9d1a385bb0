"""Whether errors have a pattern: neighbours that are alike, a shape that the curve has not, scatter that grows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from thermofit_pl.functional import ar1, blocks
from thermofit_pl.functional.distributions import tail_of_f
from thermofit_pl.functional.groups import Groups
from thermofit_pl.functional.uncertainty import AR1, BLOCKED, BLOCKS, INDEPENDENT, Source, combine
from thermofit_pl.functional.whitened import Whitened, whiten

FloatArray = NDArray[np.float64]

FEWEST_NEIGHBOURS = 8  # readings: a cubic leaves four degrees of freedom
FEWEST_RANKS = 6  # readings, for the order of five to be more than chance at 0.5 %, they would have to be all in order


class Log(NamedTuple):
    """Where the readings of logs lie in time.

    Attributes:
        block: Which of the eight blocks each reading is in, shape ``(N,)``, sorted by instrument.
        broken: Whether a gap lies before a reading, shape ``(N,)``; None where all of an instrument's readings are
            not there, so that neighbours are not known.
    """

    block: NDArray[np.int64]
    broken: NDArray[np.bool_] | None = None


def sources(whitened: Whitened, groups: Groups, log: Log | None) -> dict[str, Source]:
    """Returns the covariances that independent readings and, for a log, blocks and AR(1) errors give.

    Args:
        whitened: Sorted by instrument, and for logs by time within an instrument.
        groups: The instruments.
        log: Where the readings lie in time; None where they are no logs.
    """
    n, q = groups.counts.astype(np.float64), whitened.columns.shape[1]
    dof = n - whitened.rank
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = np.where(dof > 0, whitened.sse / dof, np.nan)
    found = {INDEPENDENT: Source(variance[:, None, None] * np.eye(q), np.maximum(dof, 0.0))}
    if log is not None:
        covariance, blocks_dof = blocks.delete_one_block(blocks.of_readings(whitened, log.block, groups))
        long_enough = n >= BLOCKED
        found[BLOCKS] = Source(covariance, np.where(long_enough, blocks_dof, 0.0))
        if log.broken is not None:
            found[AR1] = Source(*ar1.integrated(whitened, groups, log.broken))
    return found


def neighbours(indication: FloatArray, reference: FloatArray, groups: Groups) -> tuple[FloatArray, FloatArray]:
    """Returns how alike errors about a cubic are in neighbouring rows, and how probable that is by chance.

    Args:
        indication: Shape ``(N,)``, sorted by instrument and within one in the order of rows.
        reference: Shape ``(N,)``.
        groups: The instruments.

    Returns:
        The autocorrelations of neighbours' errors, shape ``(I,)``, and one-sided p-values by a beta distribution with
        the exact mean and variance of independent errors (Durbin and Watson 1951); NaN with fewer than eight readings.
    """
    z = scaled(indication, groups)
    fit = whiten(np.stack([z, z**2, z**3], axis=-1), reference, groups)
    starts = np.cumsum(groups.counts)[groups.counts > 0] - groups.counts[groups.counts > 0]
    first = np.zeros(len(z), bool)
    first[starts] = True

    def shifted(values: FloatArray) -> FloatArray:
        """Half the sum of both neighbours."""
        inner = ~first.reshape(-1, *[1] * (values.ndim - 1))
        before = np.where(inner, np.roll(values, 1, axis=0), 0.0)
        after = np.where(np.roll(inner, -1, axis=0), np.roll(values, -1, axis=0), 0.0)
        half: FloatArray = (before + after) / 2
        return half

    q, near = fit.columns, shifted(fit.columns)
    once, twice = (groups.sums(a[:, :, None] * near[:, None, :]) for a in (q, near))
    n, m = groups.counts, (groups.counts - fit.rank).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = groups.sums(fit.error * shifted(fit.error)) / fit.sse
        trace = -np.einsum("iqq->i", once)
        square = (n - 1) / 2 - 2 * np.einsum("iqq->i", twice) + np.einsum("iqr,irq->i", once, once)
        mean, variance = trace / m, 2 * (m * square - trace**2) / (m**2 * (m + 2))
        middle, place = (mean + 1) / 2, np.clip((r + 1) / 2, 1e-12, 1 - 1e-12)
        both = middle * (1 - middle) / (variance / 4) - 1
        a, b = middle * both, (1 - middle) * both
        f = b * place / (a * (1 - place))
        told = (n >= FEWEST_NEIGHBOURS) & (m >= 3) & np.isfinite(f) & (a > 0) & (b > 0)
    tail = tail_of_f(np.where(told, f, 0.0), np.where(told, 2 * b, 1.0), np.where(told, 2 * a, 1.0))
    return np.where(told, r, np.nan), np.where(told, tail, np.nan)


class Shape(NamedTuple):
    """What is left about a curve, each attribute of shape ``(I,)``.

    Attributes:
        p: How probable the larger of both terms is by chance, corrected for their being two; NaN if it can't be told.
        degree: Of that term: about a line 2, a parabola, or 3, an S.
        size: Root of the mean square of that term over the readings [°C].
    """

    p: FloatArray
    degree: NDArray[np.int64]
    size: FloatArray


def lacking(free: Sequence[int]) -> tuple[int, int]:
    """Returns the two lowest degrees that a curve lacks, of those it has: about a line, a parabola and an S."""
    first, second = [degree for degree in range(len(free) + 2) if degree not in free][:2]
    return first, second


def shape(
    features: FloatArray,
    x: FloatArray,
    reference: FloatArray,
    groups: Groups,
    degrees: tuple[int, int] = (2, 3),
    log: Log | None = None,
) -> Shape:
    """Tests for two shapes about a curve, such as a parabola and an S, with the covariance that the readings have.

    Args:
        features: Of the curve, those that are fitted, shape ``(N, p)``, sorted by instrument.
        x: What the degrees are taken of, shape ``(N,)``: the indications.
        reference: Shape ``(N,)``.
        groups: The instruments.
        degrees: The two, the lower first; with 0, the curve has no constant.
        log: Where the readings lie in time; None where they are no logs.
    """
    z = scaled(x, groups)
    powers = [z**degree for degree in degrees]
    fit = whiten(np.column_stack([features, *powers]), reference, groups, constant=0 not in degrees)
    p = fit.columns.shape[1] - 3
    terms = groups.sums(fit.columns[:, p + 1 :] * reference[:, None])
    present = groups.sums(fit.columns[:, p + 1 :] ** 2) > 0.5
    dof = (groups.counts - fit.rank).astype(np.float64)
    if log is None:  # each term is judged with what is left when it is the last
        left = np.stack([fit.sse + terms[:, 1] ** 2, fit.sse], axis=-1)
        left_dof = np.stack([dof + present[:, 1], dof], axis=-1)
        variance = np.divide(left, left_dof, out=np.full_like(left, np.nan), where=left_dof > 0)
    else:
        u = combine(sources(fit, groups, log), groups.counts.astype(np.float64))
        variance = np.stack([u.test_covariance[:, p + j, p + j] for j in (1, 2)], axis=-1)
        left_dof = np.stack([u.test_dof, u.test_dof], axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        f = terms**2 / variance
    told = present & np.isfinite(f) & (left_dof > 0)
    tails = np.where(told, tail_of_f(np.where(told, f, 0.0), np.maximum(left_dof, 1.0)), np.inf)
    least = tails.min(axis=1)
    second = tails[:, 1] < tails[:, 0]
    size = np.abs(np.where(second, terms[:, 1], terms[:, 0])) / np.sqrt(np.maximum(groups.counts, 1))
    corrected = np.where(told.any(axis=1), np.minimum(np.minimum(least, 1.0) * told.sum(axis=1), 1.0), np.nan)
    return Shape(corrected, np.where(second, degrees[1], degrees[0]), size)


def growing_scatter(
    indication: FloatArray, error: FloatArray, groups: Groups, log: Log | None = None
) -> tuple[FloatArray, FloatArray]:
    """Tests whether the errors' scatter grows or falls along the range (Koenker 1981; for logs with their covariance).

    Args:
        indication: Shape ``(N,)``, sorted by instrument.
        error: About the curve, shape ``(N,)`` [°C].
        groups: The instruments.
        log: Where the readings lie in time; None where they are no logs.

    Returns:
        p-values, shape ``(I,)``, NaN with fewer than four readings; and the sign of the change along the indication.
    """
    square = error * error
    fit = whiten(scaled(indication, groups)[:, None], square, groups)
    term = groups.sums(fit.columns[:, 1] * square)
    n = groups.counts
    told = (n >= 4) & (fit.rank == 2) & (fit.sse > 0)
    if log is None:
        with np.errstate(invalid="ignore", divide="ignore"):
            lagrange = n * term**2 / (term**2 + fit.sse)
        p = np.array([math.erfc(math.sqrt(value / 2)) for value in np.where(told, lagrange, 0.0)])
    else:
        u = combine(sources(fit, groups, log), n.astype(np.float64))
        with np.errstate(invalid="ignore", divide="ignore"):
            f = term**2 / u.test_covariance[:, 1, 1]
        told &= np.isfinite(f) & (u.test_dof > 0)
        p = tail_of_f(np.where(told, f, 0.0), np.maximum(u.test_dof, 1.0))
    return np.where(told, p, np.nan), np.sign(term)


def monotone(indication: FloatArray, reference: FloatArray, groups: Groups) -> tuple[FloatArray, FloatArray]:
    """Returns Spearman's rank correlation of indication and reference, and its p-value, shape ``(I,)``; NaN below six.

    Where the ranks correlate (p < 0.005) and the slope of a line may be chance, the reference follows the indication,
    but not along a line.

    Args:
        indication: Shape ``(N,)``, sorted by instrument.
        reference: Shape ``(N,)``.
        groups: The instruments.
    """
    ranks = [_ranks(values, groups) for values in (indication, reference)]
    fit = whiten(ranks[0][:, None], ranks[1], groups)
    product = groups.sums(fit.columns[:, 1] * ranks[1])
    n = groups.counts
    with np.errstate(invalid="ignore", divide="ignore"):
        rho = np.sign(groups.sums(fit.columns[:, 1] * ranks[0])) * product / np.sqrt(product**2 + fit.sse)
        f = (n - 2) * rho**2 / np.maximum(1 - rho**2, 1e-12)
    told = (n >= FEWEST_RANKS) & np.isfinite(f)
    tail = tail_of_f(np.where(told, f, 0.0), np.maximum(n - 2, 1))
    # all in order has two permutations
    least = np.array([2 / math.factorial(size) for size in range(101)])[np.minimum(n, 100)]
    return np.where(told, rho, np.nan), np.where(told, np.maximum(tail, least), np.nan)


def scaled(x: FloatArray, groups: Groups) -> FloatArray:
    """Returns each instrument's values from −1 at its smallest to 1 at its largest, shape ``(N,)``; 0 where equal."""
    low, high = groups.least(x), -groups.least(-x)
    half = np.where(high > low, (high - low) / 2, 1.0)
    middle = np.where(np.isfinite(low), low + np.where(high > low, half, 0.0), 0.0)
    between: FloatArray = (x - groups.each(middle)) / groups.each(np.where(np.isfinite(half), half, 1.0))
    return between


def _ranks(values: FloatArray, groups: Groups) -> FloatArray:
    """Returns each value's rank within its instrument; equal values have their mean rank."""
    instrument = groups.each(np.arange(len(groups.counts)))
    order = np.lexsort((values, instrument))
    changes = (np.diff(values[order]) != 0) | (np.diff(instrument[order]) != 0)
    tie = np.concatenate([[0], np.cumsum(changes)])[: len(values)]
    place = np.arange(len(values), dtype=np.float64)
    ranks = np.empty(len(values))
    ranks[order] = (np.bincount(tie, place) / np.maximum(np.bincount(tie), 1))[tie]
    starts = np.cumsum(groups.counts) - groups.counts
    own: FloatArray = ranks - groups.each(starts)
    return own

"""Repeats at set points: recognised, and what they share told apart from what each reading has of its own."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from thermofit_pl.functional.distributions import tail_of_f
from thermofit_pl.functional.groups import Groups
from thermofit_pl.functional.whitened import Whitened

FloatArray = NDArray[np.float64]

APART = 5.0  # how many times further apart set points are than the readings of one
FEWEST_DOF = 3  # of set points about the curve, from which their scatter is an uncertainty
LEVEL = 0.01  # of the lack-of-fit test, which decides a sentence and nothing else


def recognise(indication: FloatArray, reference: FloatArray, groups: Groups) -> NDArray[np.int64]:
    """Returns the set point of each reading, shape ``(N,)``, counted on over all instruments; −1 where there is none.

    An instrument has set points when its references, sorted, fall into groups that are five times further apart than
    any group is wide, most of them of several readings, and the indications of any two groups don't overlap; or the
    same with the indications; or when its references repeat exactly while the indications don't, in rows that follow
    each other. A coarse resolution gives equal indications too, but then the references of two groups meet.

    Args:
        indication: Shape ``(N,)``, sorted by instrument and within one in the order of rows.
        reference: Sorted alike.
        groups: The instruments.
    """
    instruments = len(groups.counts)
    owner = groups.each(np.arange(instruments))
    code = np.full(len(reference), -1)
    orders = [groups.order(values) for values in (reference, indication)]
    for grouped, order, other in zip((reference, indication), orders, (indication, reference), strict=True):
        label = _clusters(grouped, order, groups)
        at = np.flatnonzero((label >= 0) & (code < 0))  # few instruments get so far
        good = _repeated(label[at], owner[at], instruments)
        at = at[good[owner[at]]]
        good = _separate(label[at], other[at], owner[at], instruments)
        at = at[good[owner[at]]]
        code[at] = label[at]
    at = np.flatnonzero(code < 0)
    label = _equal(reference, orders[0], owner)[at]
    good = _repeated(label, owner[at], instruments)
    chosen = np.flatnonzero(good[owner[at]])
    good = _visited(label[chosen], owner[at[chosen]], instruments)
    chosen = chosen[good[owner[at[chosen]]]]
    code[at[chosen]] = label[chosen]
    return numbered(code)


def numbered(code: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns codes as whole numbers from 0 without gaps; negative ones as −1."""
    code = np.where(code < 0, -1, code)
    present, inverse = np.unique(code, return_inverse=True)
    return inverse.reshape(code.shape) - int(len(present) > 0 and present[0] == -1)


def _clusters(values: FloatArray, order: NDArray[np.int64], groups: Groups) -> NDArray[np.int64]:
    """Labels values by the widest ratio of neighbouring gaps, in sorted order, of each instrument."""
    v, owner = values[order], groups.each(np.arange(len(groups.counts)))
    gap = np.append(np.inf, np.diff(v))[: len(v)]
    gap[1:][owner[1:] != owner[:-1]] = np.inf
    # gaps of one instrument, sorted: between two that differ by the factor lies the border of set points
    sizes = gap[groups.order(gap)]
    usable = (owner[1:] == owner[:-1]) & np.isfinite(sizes[1:]) & (sizes[1:] > 0)
    # equal values border on the smallest difference, unless a later step is wider
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(usable, np.where(sizes[:-1] > 0, sizes[1:] / sizes[:-1], APART), 0.0)
    best = np.full(len(groups.counts), np.inf)
    largest = np.zeros(len(groups.counts))
    np.maximum.at(largest, owner[1:], ratio)
    hit = usable & (ratio >= APART) & (ratio == largest[owner[1:]])
    np.minimum.at(best, owner[1:][hit], sizes[1:][hit])
    border = gap >= best[owner]  # an instrument's first has an infinite gap before it
    label = np.empty(len(v), np.int64)
    label[order] = np.cumsum(border) - 1
    # a group must be narrow as a whole, not only between its neighbours
    starts = np.flatnonzero(border)
    width = v[np.append(starts[1:], len(v))[: len(starts)] - 1] - v[starts]
    good = np.isfinite(best)
    good[owner[starts[width * APART > best[owner[starts]]]]] = False
    return np.where(good[owner], label, -1)


def _separate(
    label: NDArray[np.int64], other: FloatArray, owner: NDArray[np.int64], instruments: int
) -> NDArray[np.bool_]:
    """Whether the other quantity of any two groups doesn't overlap, shape ``(I,)``."""
    order = np.lexsort((other, owner))
    changes = (label[order][1:] != label[order][:-1]) & (owner[order][1:] == owner[order][:-1])
    borders = np.bincount(owner[order][1:][changes], minlength=instruments)
    separate: NDArray[np.bool_] = borders == _sizes(label, owner, instruments)[2] - 1
    return separate


def _sizes(
    label: NDArray[np.int64], owner: NDArray[np.int64], instruments: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Returns the size of each group, its instrument, and how many groups each instrument has."""
    sizes = np.bincount(label)
    owners = np.zeros(len(sizes), np.int64)
    owners[label] = owner
    present = sizes > 0
    sizes, owners = sizes[present], owners[present]
    return sizes, owners, np.bincount(owners, minlength=instruments)


def _repeated(label: NDArray[np.int64], owner: NDArray[np.int64], instruments: int) -> NDArray[np.bool_]:
    """Whether most groups are of several readings: three groups at least, or two of three readings, shape ``(I,)``.

    Of four or five readings that are spread at random, one table in twenty has two close pairs.
    """
    sizes, owners, count = _sizes(label, owner, instruments)
    several, many = (np.bincount(owners[sizes >= least], minlength=instruments) for least in (2, 3))
    repeated: NDArray[np.bool_] = (2 * several > count) & ((count >= 3) | ((count == 2) & (many == 2)))
    return repeated & (np.bincount(owner, minlength=instruments) >= 2 * count)


def _equal(values: FloatArray, order: NDArray[np.int64], owner: NDArray[np.int64]) -> NDArray[np.int64]:
    """Labels readings by the exact value."""
    changes = (np.diff(values[order]) != 0) | (np.diff(owner) != 0)
    label = np.empty(len(values), np.int64)
    label[order] = np.concatenate([[0], np.cumsum(changes)])[: len(label)]
    return label


def _visited(label: NDArray[np.int64], owner: NDArray[np.int64], instruments: int) -> NDArray[np.bool_]:
    """Whether the groups are few and their sizes alike, as set points are and a resolution's steps are not."""
    sizes, owners, count = _sizes(label, owner, instruments)
    largest, smallest = np.zeros(instruments, np.int64), np.full(instruments, np.iinfo(np.int64).max)
    np.maximum.at(largest, owners, sizes)
    np.minimum.at(smallest, owners, sizes)
    alike: NDArray[np.bool_] = (count >= 2) & (smallest >= 2) & (largest == smallest)
    return alike


class SetPoints(NamedTuple):
    """What repeats say, each attribute of shape ``(I, ...)``; NaN where an instrument has no set points.

    Attributes:
        points: How many set points, 0 where they were not recognised.
        repeats: Covariance of the coefficients by repeats, in whitened coordinates, shape ``(I, q, q)``.
        repeats_dof: Its degrees of freedom, n − G.
        covariance: That by set points, shape ``(I, q, q)``; NaN with fewer than three degrees of freedom.
        dof: Its degrees of freedom, G − p − 1.
        shared: Variance of what the readings of a set point share [°C²]; 0 where repeats explain the scatter of the
            set points, and with fewer than three degrees of freedom NaN.
        variance: Of a single reading at a new set point [°C²].
        variance_dof: Its degrees of freedom (Satterthwaite 1946).
        p: p-value of the lack-of-fit test: set points scatter no more about the curve than repeats explain.
        largest: Set point whose mean error is largest against its uncertainty, as coded; −1 where there is none.
        error: That mean error, estimate − reference [°C].
    """

    points: NDArray[np.int64]
    repeats: FloatArray
    repeats_dof: FloatArray
    covariance: FloatArray
    dof: FloatArray
    shared: FloatArray
    variance: FloatArray
    variance_dof: FloatArray
    p: FloatArray
    largest: NDArray[np.int64]
    error: FloatArray


def analyse(whitened: Whitened, code: NDArray[np.int64], groups: Groups, n: FloatArray | None = None) -> SetPoints:
    """Tells repeats and set points apart.

    The scatter of set points' means about the curve has an expectation of σ² + τ² (N − tr Σ n_g² x̄_g x̄_gᵀ)/(G − p −
    1) with σ² of repeats and τ² of what they share (Searle, Casella and McCulloch 1992, 5.3); with equally many
    readings at each set point the covariance is that of the least-squares curve through the means.

    Args:
        whitened: Sorted by instrument.
        code: The set point of each reading, counted on over all instruments; −1 where there is none.
        groups: The instruments.
        n: How many readings there are, where these are a sample of them, shape ``(I,)``; None: no more.
    """
    instruments, q = len(groups.counts), whitened.columns.shape[1]
    points = int(code.max(initial=-1)) + 1
    owner = np.zeros(points, np.int64)
    has = np.zeros(instruments, bool)
    instrument = groups.each(np.arange(instruments))
    owner[code[code >= 0]] = instrument[code >= 0]
    has[owner] = True
    # all others are kept beyond the last set point
    cells = Groups(np.where(code < 0, points, code), points + 1)
    size = cells.counts[:points].astype(np.float64)
    mean_column = (cells.sums(cells.sorted(whitened.columns)) / np.maximum(cells.counts, 1)[:, None])[:points]
    mean_error = (cells.sums(cells.sorted(whitened.error)) / np.maximum(cells.counts, 1))[:points]
    by = Groups(owner, instruments)

    def over(values: FloatArray) -> FloatArray:
        return by.sums(by.sorted(values))

    count = by.counts
    # the mean errors are about the curve of all readings; about that of the means they are smaller
    gram = over(size[:, None, None] * mean_column[:, :, None] * mean_column[:, None, :])
    score = over((size * mean_error)[:, None] * mean_column)
    empty = np.einsum("iqq->iq", gram) < 1e-9
    solvable = np.where(has[:, None, None], gram + np.eye(q) * empty[:, None, :], np.eye(q))
    sound = has & (np.linalg.eigvalsh(solvable)[:, 0] > 1e-9)
    inverse = np.linalg.inv(np.where(sound[:, None, None], solvable, np.eye(q)))
    shift = np.einsum("iqr,ir->iq", inverse, score)
    total_between = over(size * mean_error**2)
    between = np.maximum(total_between - np.einsum("iq,iq->i", shift, score), 0.0)
    within = np.maximum(whitened.sse - total_between, 0.0)
    rank = whitened.rank
    dof, repeats_dof = (count - rank).astype(np.float64), (groups.counts - count).astype(np.float64)
    lever = over(size[:, None, None] ** 2 * mean_column[:, :, None] * mean_column[:, None, :])
    with np.errstate(invalid="ignore", divide="ignore"):
        repeat = np.where(has & (repeats_dof > 0), within / repeats_dof, np.nan)
        mean_square = np.where(sound & (dof > 0), between / dof, np.nan)
        trace = np.einsum("iqr,irq->i", inverse, lever)
        shared = (between - dof * np.where(np.isnan(repeat), 0.0, repeat)) / (groups.counts - trace)
        shared = np.where(dof >= FEWEST_DOF, shared, np.nan)
        per = np.where(shared > 0, dof / (groups.counts - trace), 0.0)  # what of the mean square is in a reading's
        own, of_points = repeat * (1 - per), np.where(per > 0, per * mean_square, 0.0)
        variance_dof = (own + of_points) ** 2 / (own**2 / repeats_dof + of_points**2 / np.maximum(dof, 1.0))
        ratio = mean_square / repeat
        told = np.isfinite(ratio)
        tail = tail_of_f(np.where(told, ratio, 0.0), np.maximum(repeats_dof, 1.0), np.maximum(dof, 1.0))
    unit = np.eye(q) * ~empty[:, None, :]
    more = shared > 0
    # of a sample, what a set point has in common weighs as often as it has readings in all
    share = 1.0 if n is None else (n / np.maximum(groups.counts, 1))[:, None, None]
    above = repeat[:, None, None] * unit + shared[:, None, None] * lever * share
    covariance = np.where(more[:, None, None], above, mean_square[:, None, None] * unit)
    away = np.abs(mean_error) * np.sqrt(size)
    largest = by.argmax(by.sorted(away))
    own = by.unsorted(largest)
    return SetPoints(
        points=np.where(has, count, 0),
        repeats=repeat[:, None, None] * unit,
        repeats_dof=np.where(has, repeats_dof, 0.0),
        covariance=np.where((dof >= FEWEST_DOF)[:, None, None], covariance, np.nan),
        dof=np.where(has & (dof >= FEWEST_DOF), dof, 0.0),
        shared=np.maximum(shared, 0.0),
        variance=repeat + np.maximum(np.nan_to_num(shared), 0.0),
        variance_dof=np.where(np.isfinite(variance_dof), variance_dof, repeats_dof),
        p=np.where(told, tail, np.nan),
        largest=own,
        error=np.where(own >= 0, mean_error[own], np.nan) if points else np.full(instruments, np.nan),
    )

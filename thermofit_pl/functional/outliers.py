"""Readings far from all others, error codes, and values that are stuck while the reference moves."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from thermofit_pl.functional.distributions import tail_of_f
from thermofit_pl.functional.groups import Groups
from thermofit_pl.functional.whitened import Whitened

FloatArray = NDArray[np.float64]

LEVEL = 0.01  # of the largest error's own distribution
# what sensors and loggers write for "no value": DS18B20's power-on value and lost wire, and fill values
CODES = (
    *(85.0, -127.0, -196.6, 998.0, -99.0, -99.9, -999.0, 999.0, -999.9, 999.9, -9999.0, 9999.0, 6999.0, -7999.0),
    *(7999.0, -6999.0, -32768.0, 32767.0, 65535.0, -55555.0, 99999.0, -99999.0, 1e20, -1e30, 1e30),
)
FAR = 1e6  # the largest t
SPANS = 3.0  # of all others, that a value lies apart from them to be far
GROSS = 1e-4  # p-value below which a code is no reading
STEPS = 10  # most readings that mask each other
FEWEST_MASKED = 15  # readings from which several are looked for (Rosner 1983)
FEWEST_STUCK = 4  # equal indications in a row


class Outliers(NamedTuple):
    """Which readings don't belong to the rest.

    Attributes:
        code: Whether a reading is an error code: a value that sensors write for none, or that repeats exactly, far from
            all others or off the curve; shape ``(N,)``.
        code_of_reference: Whether it is the reference that is one, shape ``(N,)``.
        standing_out: Whether it stands out otherwise, shape ``(N,)``.
        error: About the curve of all readings that are not flagged, estimate − reference, shape ``(N,)``.
        t: That error over its standard deviation, shape ``(N,)``.
        p: How probable the largest error of the rest is by chance, or of all but those taken out before, whichever is
            smaller, shape ``(I,)``; NaN if it can't be told.
        largest: Index of the reading with the largest error, shape ``(I,)``; −1 where there is none.
    """

    code: NDArray[np.bool_]
    code_of_reference: NDArray[np.bool_]
    standing_out: NDArray[np.bool_]
    error: FloatArray
    t: FloatArray
    p: FloatArray
    largest: NDArray[np.int64]


def find(indication: FloatArray, reference: FloatArray, whitened: Whitened, groups: Groups) -> Outliers:
    """Finds readings that don't belong to the rest, also where they mask each other.

    Codes and values far from all others are judged by the curve of all other readings. Then the reading with the
    largest deleted residual is taken out, again and again, up to ten times; what stands out is all up to the last one
    that was too large for the largest of so many (Rosner 1983).

    Args:
        indication: Shape ``(N,)``, sorted by instrument.
        reference: Shape ``(N,)``.
        whitened: Of them, about the curve.
        groups: The instruments.
    """
    of_indication = _codes(indication, groups) | _far(indication, reference, groups)
    candidate = of_indication | _codes(reference, groups) | _far(reference, indication, groups)
    _, t, dof = deleted(whitened, candidate, groups)
    code = np.zeros(len(t), bool)
    at, own = np.flatnonzero(candidate), groups.each(dof)
    told = own[at] > 0
    tail = np.where(told, tail_of_f(t[at] ** 2, np.where(told, own[at], 1.0)), 1.0)
    code[at] = tail * groups.each(groups.counts)[at] < GROSS
    out = code.copy()
    accepted = out.copy()
    n = groups.counts
    least_p, first = np.full(len(n), np.nan), np.full(len(n), -1)
    for step in range(STEPS):
        _, t, dof = deleted(whitened, out, groups)
        largest = groups.argmax(np.where(out, -1.0, np.abs(t)))
        tested = (largest >= 0) & (dof > 1) & (whitened.sse > 0)
        at = np.where(tested, largest, 0)
        left = n - groups.sums(out)
        value = np.where(tested, np.abs(t[at]) if len(t) else 0.0, 0.0)
        p = np.where(tested, np.minimum(left * tail_of_f(value**2, np.where(tested, dof - 1, 1.0)), 1.0), np.nan)
        several = tested & ((n >= FEWEST_MASKED) | (step == 0)) & (step < np.maximum(n // 4, 1))
        if not several.any():
            break
        if step == 0:
            first = np.where(tested, largest, -1)
        least_p = np.where(several, np.fmin(p, least_p), least_p)
        out[at[several]] = True
        reached = several & (p < LEVEL)
        accepted = np.where(groups.each(reached), out, accepted)
    error, t, _ = deleted(whitened, accepted, groups)
    return Outliers(code, code & ~of_indication, accepted & ~code, error, t, least_p, first)


def deleted(whitened: Whitened, out: NDArray[np.bool_], groups: Groups) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Returns the errors about the curve of all readings but those taken out, over their standard deviation.

    Those of readings taken out are about the curve of the others; those of all others are deleted residuals (Belsley,
    Kuh and Welsch 1980), about the curve that is not theirs either.

    Args:
        whitened: Sorted by instrument.
        out: Which readings are taken out, shape ``(N,)``.
        groups: The instruments.

    Returns:
        Each reading's error about the curve of those that are not taken out, shape ``(N,)``; its t, shape ``(N,)``, 0
        where it can't be told; and the degrees of freedom of those left, shape ``(I,)``: a reading taken out has as
        many, another has one less.
    """
    q = whitened.columns.shape[1]
    gone = whitened.columns * out[:, None]
    empty = np.eye(q) * (groups.sums(whitened.columns**2) < 0.5)[:, None, :]
    rest = np.eye(q) - groups.sums(gone[:, :, None] * gone[:, None, :])
    sound = np.linalg.eigvalsh(rest)[:, 0] > 1e-11
    inverse = np.linalg.inv(np.where(sound[:, None, None], rest, np.eye(q))) - empty
    shift = np.einsum("iqr,ir->iq", inverse, groups.sums(gone * whitened.error[:, None]))
    error = whitened.error + (whitened.columns * groups.each(shift)).sum(-1)
    sse = np.maximum(whitened.sse - groups.sums(np.where(out, whitened.error * error, 0.0)), 0.0)
    lever = np.einsum("nq,nqr,nr->n", whitened.columns, groups.each(inverse), whitened.columns)
    dof = np.where(sound, groups.counts - groups.sums(out) - whitened.rank, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = groups.each(np.where(dof > 0, sse / np.maximum(dof, 1), np.nan))
        beyond = error / np.sqrt(variance * (1 + lever))
        standardised = error / np.sqrt(variance * np.maximum(1 - lever, 1e-12))
        own = groups.each(dof)
        inside = standardised * np.sqrt((own - 1) / np.maximum(own - standardised**2, 1e-12 * own))
        t = np.where(out, beyond, inside)
    # of readings exactly on a curve, another is infinitely many standard deviations away
    return error, np.where(np.isnan(t), 0.0, np.clip(t, -FAR, FAR)), dof


def _codes(values: FloatArray, groups: Groups) -> NDArray[np.bool_]:
    """Whether values are known codes, as long as they are fewer than half of an instrument's readings."""
    known = np.isin(values, CODES)
    few: NDArray[np.bool_] = groups.each(2 * groups.sums(known) < groups.counts)
    return known & few


def _far(values: FloatArray, other: FloatArray, groups: Groups) -> NDArray[np.bool_]:
    """Whether values lie beyond a gap at either end that is three times as wide as all others' span.

    Not those whose other quantity lies beyond all others' too: a thermistor's ohms at its cold end do.
    """
    far = np.zeros(len(values), bool)
    instrument = groups.each(np.arange(len(groups.counts)))
    for sign in (1.0, -1.0):
        order = np.lexsort((sign * values, instrument))
        v, owner = sign * values[order], instrument[order]
        low = groups.least(sign * values)[owner]
        gap = np.append(np.diff(v), 0.0)
        last = np.append(owner[1:] != owner[:-1], True)[: len(v)]
        place = np.arange(len(v)) - (np.cumsum(groups.counts) - groups.counts)[owner] + 1
        border = ~last & (gap > SPANS * (v - low)) & (3 * place >= 2 * groups.counts[owner]) & (place >= 3)
        beyond = np.full(len(groups.counts), len(v))
        np.minimum.at(beyond, owner[border], np.flatnonzero(border))
        flagged = np.arange(len(v)) > beyond[owner]
        inside, outside = other[order][~flagged], other[order][flagged]
        within, without = owner[~flagged], owner[flagged]
        far[order[flagged]] |= (outside <= _most(inside, within, groups)[without]) & (
            outside >= -_most(-inside, within, groups)[without]
        )
    return far


def _most(values: FloatArray, owner: NDArray[np.int64], groups: Groups) -> FloatArray:
    """The largest of some values of each instrument, shape ``(I,)``."""
    most = np.full(len(groups.counts), -np.inf)
    np.maximum.at(most, owner, values)
    return most


class Stuck(NamedTuple):
    """The longest movement of the reference while the indication stood, each attribute of shape ``(I,)``.

    Attributes:
        first: Index of the run's first reading; −1 where none is stuck.
        length: How many readings the indication stood.
        moved: How far the reference moved meanwhile [°C].
    """

    first: NDArray[np.int64]
    length: NDArray[np.int64]
    moved: FloatArray


def stuck(indication: FloatArray, reference: FloatArray, groups: Groups) -> Stuck:
    """Finds indications that stand still while the reference moves, by more than resolution and scatter explain.

    Args:
        indication: Shape ``(N,)``, sorted by instrument and within one in the order of time or rows.
        reference: Shape ``(N,)``.
        groups: The instruments.
    """
    n, instruments = len(indication), len(groups.counts)
    instrument = groups.each(np.arange(instruments))
    new = np.append(True, (np.diff(indication) != 0) | (np.diff(instrument) != 0))[:n]
    run = np.cumsum(new) - 1
    runs = Groups(run, int(run.max(initial=-1)) + 1)
    moved = -runs.least(-reference) - runs.least(reference)
    starts = np.flatnonzero(new)
    owner = instrument[starts]
    usable = runs.counts >= FEWEST_STUCK
    of_instrument = Groups(owner, instruments)
    best = of_instrument.unsorted(of_instrument.argmax(of_instrument.sorted(np.where(usable, moved, -1.0))))
    best = np.where((best >= 0) & usable[best] if len(usable) else best >= 0, best, -1)
    inside = (run == best[instrument]) if n else np.zeros(0, bool)
    # the line, the scatter and the resolution of all other readings
    w, s, resolution, left = _others(indication, reference, ~inside, groups)
    limit = 3 * np.abs(w) * resolution + 8 * s
    away = np.where(best >= 0, moved[best], 0.0) if len(moved) else np.zeros(instruments)
    found = (best >= 0) & (left >= FEWEST_STUCK) & (away > limit)
    at = np.where(found, best, 0)
    return Stuck(
        np.where(found, starts[at] if len(starts) else -1, -1),
        np.where(found, runs.counts[at] if len(starts) else 0, 0),
        np.where(found, away, np.nan),
    )


def _others(
    x: FloatArray, y: FloatArray, kept: NDArray[np.bool_], groups: Groups
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Returns slope, scatter and resolution of the kept readings, and how many there are, each of shape ``(I,)``."""
    n = groups.sums(kept)
    with np.errstate(invalid="ignore", divide="ignore"):
        dx = (x - groups.each(groups.sums(np.where(kept, x, 0.0)) / n)) * kept
        dy = (y - groups.each(groups.sums(np.where(kept, y, 0.0)) / n)) * kept
        sxx = groups.sums(dx * dx)
        w = np.where(sxx > 0, groups.sums(dx * dy) / sxx, 0.0)
        rest = dy - groups.each(w) * dx
        s = np.sqrt(groups.sums(rest * rest) / np.maximum(n - 2, 1))
    instrument = groups.each(np.arange(len(groups.counts)))
    order = np.lexsort((x, instrument))
    step = np.diff(x[order])
    real = (np.diff(instrument[order]) == 0) & (step > 0)
    resolution = np.full(len(n), np.inf)
    np.minimum.at(resolution, instrument[order][1:][real], step[real])
    return w, s, np.where(np.isfinite(resolution), resolution, 0.0), n

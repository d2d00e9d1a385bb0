"""What the errors of every instrument say: misfit by its name, and readings that don't belong to the rest.

The order is that in which one cause explains what the next test would find: values that are no readings, set points
that differ, neighbours that are alike, a shape that the curve has not, scatter that grows, values far from all others.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from thermofit_pl.calibration.levels import RARER
from thermofit_pl.curves.base import Curve
from thermofit_pl.functional import misfit, outliers, set_points
from thermofit_pl.functional.groups import Groups
from thermofit_pl.functional.uncertainty import BLOCKED
from thermofit_pl.functional.whitened import whiten
from thermofit_pl.tables.sample import Sample

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

GAP = 1.5  # neighbours of a log further apart than this many usual spacings have a gap between them
ROUNDING = 8 * np.finfo(np.float64).eps  # of the largest term: such errors are rounding, in which no test looks


class Odd(NamedTuple):
    """Readings that don't belong to the rest.

    Attributes:
        code: Which of the sample are error codes, shape ``(N,)``.
        code_of_reference: Whether it is the reference that is one, shape ``(N,)``.
        stuck: The longest movement of the reference while the indication stood.
        standing_out: Which of the sample are too far from the curve otherwise, shape ``(N,)``.
        p: How probable the farthest is by chance, shape ``(I,)``.
        farthest: Its index, shape ``(I,)``.
        t: Its error about the curve of the others, over its standard deviation, shape ``(I,)``.
    """

    code: BoolArray
    code_of_reference: BoolArray
    stuck: outliers.Stuck
    standing_out: BoolArray
    p: FloatArray
    farthest: IntArray
    t: FloatArray


class Points(NamedTuple):
    """Set points, each attribute of shape ``(I,)``.

    Attributes:
        number: How many; 0 where none were recognised.
        p: p-value of their scatter about the curve, beside that of repeats (lack of fit); not of logs.
        largest: A reading of the one whose mean error is largest against its uncertainty.
        error: That mean error, estimate − reference [°C].
        size: How many readings it has.
    """

    number: IntArray
    p: FloatArray
    largest: IntArray
    error: FloatArray
    size: IntArray


class Pattern(NamedTuple):
    """One figure of the errors and its p-value, each of shape ``(I,)``.

    Attributes:
        value: The autocorrelation of neighbours' errors, the sign of a scatter's change, or a rank correlation.
        p: How probable one so large is by chance.
    """

    value: FloatArray
    p: FloatArray


class Findings(NamedTuple):
    """What the errors about the least-squares curves say.

    p-values are NaN where a test can't be made or has no place, indices are those of the sample, −1 for nothing.

    Attributes:
        log: Whether the readings are logs.
        sampled: How many readings of each instrument were looked at, shape ``(I,)``.
        odd: Readings that don't belong to the rest; all else is of the rest.
        points: Set points.
        neighbours: How alike errors about a cubic are in neighbouring rows; without a time and set points.
        ordered: Whether the rows are in the order of the indication, up or down, shape ``(I,)``.
        shape: What the next two degrees would take away.
        scatter: Whether the scatter changes along the range.
        rank: Rank correlation of indications and references.
    """

    log: bool
    sampled: IntArray
    odd: Odd
    points: Points
    neighbours: Pattern
    ordered: BoolArray
    shape: misfit.Shape
    scatter: Pattern
    rank: Pattern


class Readings(NamedTuple):
    """Readings that are looked at, sorted by instrument.

    Attributes:
        x: Indications, shape ``(N,)``.
        y: References, shape ``(N,)`` [°C].
        columns: The features that are fitted, shape ``(N, p)``.
        aim: What they are fitted to: the references less what the curve holds, shape ``(N,)`` [°C].
        groups: The instruments.
    """

    x: FloatArray
    y: FloatArray
    columns: FloatArray
    aim: FloatArray
    groups: Groups

    def only(self, at: IntArray, of: BoolArray | None = None) -> Readings:
        """Returns some of them.

        Args:
            at: Their indices, in order.
            of: The only instruments that they are of, which are numbered anew, shape ``(I,)``; None keeps all.
        """
        number = np.arange(len(self.groups.counts)) if of is None else np.cumsum(of) - 1
        groups = Groups(self.groups.each(number)[at], len(number) if of is None else int(of.sum()))
        return Readings(self.x[at], self.y[at], self.columns[at], self.aim[at], groups)


def examine(
    sample: Sample, curve: Curve, exact: BoolArray, point: IntArray | None = None, about: FloatArray | None = None
) -> Findings:
    """Looks at the sampled readings, each instrument's about its own least-squares curve.

    Args:
        sample: The readings; those with a time are logs, and stand in its order.
        curve: Which curve.
        exact: Whether an instrument's readings follow their curve to rounding, shape ``(I,)``: no test is made.
        point: The set point of each reading of the sample, shape ``(N,)``, −1 where there is none; None recognises
            them.
        about: b and w of each instrument's curve, shape ``(I, p + 1)``, about which a curve is looked at that isn't
            linear in its coefficients.
    """
    groups, constant = Groups(sample.codes(), len(exact)), 0 not in curve.held and not curve.linked
    all_, estimate = _readings(sample, curve, groups), None
    if (curve.linked or curve.inverted) and about is not None and len(sample):
        all_, estimate = _about(all_, curve, about)
    odd, gone, out = _odd(all_, exact, constant)
    kept = np.flatnonzero(~(gone | out))
    if estimate is not None:  # what the curve makes of the indications, along which it is a line
        all_ = all_._replace(x=estimate)
    rest = all_.only(kept)
    fit = whiten(rest.columns, rest.aim, rest.groups, constant)
    root = np.sqrt(fit.sse / np.maximum(rest.groups.counts, 1))
    told = ~exact & (root > _rounding(rest.aim + fit.error, rest))
    lacking = _lacking(curve)
    logged = bool(sample.blocks) and sample.blocks[0].time is not None
    # of a short log, nothing tells a shape from a slow error: without this, AR(1) with 0.9 has one in 60 % at n = 29,
    # and without blocks of time in 7 % at n = 50
    shown = told & ((not logged) | (rest.groups.counts >= BLOCKED))
    code = np.full(len(all_.x), -1)
    code[kept] = (
        set_points.recognise(rest.x, rest.y, rest.groups)
        if point is None
        else set_points.numbered(groups.sorted(point)[kept])
    )
    time = groups.sorted(sample.column("time")) if logged else np.arange(len(all_.x), dtype=np.float64)
    points = _points(set_points.analyse(fit, code[kept], rest.groups), code[kept], kept, groups, told & (not logged))
    alike = Pattern(*misfit.neighbours(rest.x, rest.y, rest.groups))
    alike = alike._replace(p=np.where(told & (points.number == 0) & (not logged), alike.p, math.nan))
    # the scatter of readings that stand out counts: where it grows, they do
    wide = np.flatnonzero(~(gone | (out & groups.each(points.number > 0))))

    def patterns(rest: Readings, more: Readings, at: list[IntArray], *, log: bool) -> tuple[misfit.Shape, Pattern]:
        whole, both = logged and sample.rate == 1, zip(at, (rest, more), strict=True)
        first, second = (_log(time[here], of.groups, whole=whole) if log else None for here, of in both)
        return _shape(rest, lacking, code[at[0]], first), _scatter(more, constant, code[at[1]], second)

    shape, scatter = patterns(rest, all_.only(wide), [kept, wide], log=logged)
    if (as_log := alike.p < RARER).any():  # rows whose neighbours are alike count as a log in their order
        # of a large fleet some are by chance: to look at all again would take half the time and the most memory
        at = [each[groups.each(as_log)[each]] for each in (kept, wide)]
        other = patterns(all_.only(at[0], as_log), all_.only(at[1], as_log), at, log=True)
        for whole, part in zip((*shape, *scatter), (*other[0], *other[1]), strict=True):
            whole[as_log] = part
    return Findings(
        log=logged,
        sampled=groups.counts,
        odd=odd,
        points=points,
        neighbours=alike,
        ordered=_ordered(rest),
        shape=shape._replace(p=np.where(shown, shape.p, math.nan)),
        scatter=scatter._replace(p=np.where(shown, scatter.p, math.nan)),
        rank=Pattern(*misfit.monotone(rest.x, rest.y, rest.groups)),
    )


def largest_errors(sample: Sample, curve: Curve, w: FloatArray, b: FloatArray) -> tuple[IntArray, FloatArray]:
    """Returns the index in the sample of the reading with the largest error about each curve, and that error.

    Args:
        sample: The readings.
        curve: Which curve.
        w: Its coefficients, shape ``(I, p)``, or ``(I,)`` for one.
        b: Shape ``(I,)`` [°C].

    Returns:
        Both of shape ``(I,)``; −1 and NaN where an instrument has no readings or no curve.
    """
    groups = Groups(sample.codes(), len(b))
    if not len(sample):
        return np.full(len(b), -1), np.full(len(b), math.nan)
    x, y = (groups.sorted(sample.column(name)) for name in ("indication", "reference"))
    coefficients = [groups.each(each) for each in w.reshape(len(b), -1).T]
    with np.errstate(all="ignore"):  # of an instrument without a curve
        estimate = curve.evaluate(x, groups.each(b), coefficients, [0.0] * len(coefficients))[0]
    error = np.asarray(estimate, np.float64) - y
    largest = groups.argmax(np.abs(error))
    return groups.unsorted(largest), groups.at(error, largest)


def _readings(sample: Sample, curve: Curve, groups: Groups) -> Readings:
    x, y = (groups.sorted(sample.column(name)) for name in ("indication", "reference"))
    direct = len(x) and not curve.inverted
    features = curve.features(x) if direct else [x] * len(curve.names)
    held = sum((value * features[j - 1] for j, value in curve.held.items() if j > 0), np.zeros_like(y))
    free = [features[j - 1] for j in curve.free if j > 0]
    return Readings(x, y, np.stack(free, axis=-1) if free else np.empty((len(x), 0)), y - held, groups)


def _about(all_: Readings, curve: Curve, about: FloatArray) -> tuple[Readings, FloatArray]:
    """Returns readings as a curve sees them that is linearised about each instrument's solution, and its estimates."""
    of = [all_.groups.each(each) for each in about.T]
    with np.errstate(all="ignore"):  # of an instrument without a curve
        features, aim, weight = curve.working(all_.x, all_.y, of)
        if curve.linked:
            slope = np.sqrt(weight)
            columns, aim = np.stack([slope, *(slope * feature for feature in features)], axis=-1), slope * aim
        else:  # estimate − reference has the sign of indication − the curve's
            columns, aim = -np.stack(features, axis=-1), -aim
        estimate = np.asarray(curve.evaluate(all_.x, of[0], of[1:], [0.0] * len(features))[0])
    told = np.isfinite(estimate) & np.isfinite(aim)
    columns, aim = np.where(told[:, None], columns, 0.0), np.where(told, aim, 0.0)
    return all_._replace(columns=columns, aim=aim), np.where(told, estimate, all_.y)


def _odd(all_: Readings, exact: BoolArray, constant: bool) -> tuple[Odd, BoolArray, BoolArray]:
    """Returns the readings that don't belong to the rest; which are none, and which stand out, shape ``(N,)`` each."""
    groups = all_.groups
    found = outliers.find(all_.x, all_.y, whiten(all_.columns, all_.aim, groups, constant), groups)
    stuck = outliers.stuck(all_.x, all_.y, groups)
    place = np.arange(len(all_.x)) - groups.each(stuck.first)
    stood = groups.each(stuck.first >= 0) & (place >= 0) & (place < groups.each(stuck.length))
    beyond_rounding = np.abs(found.error) > groups.each(_rounding(all_.aim + found.error, all_))
    standing_out = found.standing_out & beyond_rounding & ~stood
    odd = Odd(
        code=_unsorted(found.code, groups),
        code_of_reference=_unsorted(found.code_of_reference, groups),
        stuck=stuck._replace(first=groups.unsorted(stuck.first)),
        standing_out=_unsorted(standing_out, groups),
        p=np.where(exact, math.nan, found.p),
        farthest=groups.unsorted(found.largest),
        t=groups.at(found.t, found.largest),
    )
    return odd, found.code | stood, standing_out


def _unsorted(values: BoolArray, groups: Groups) -> BoolArray:
    back = np.empty_like(values)
    back[groups.unsorted(np.arange(len(values)))] = values
    return back


def _rounding(estimate: FloatArray, of: Readings) -> FloatArray:
    """Returns up to which size errors are the rounding of the readings' numbers, shape ``(I,)`` [°C]."""
    groups = of.groups

    def most(values: FloatArray) -> FloatArray:
        return -groups.least(-values)

    with np.errstate(invalid="ignore", divide="ignore"):
        slope = (most(estimate) - groups.least(estimate)) / (most(of.x) - groups.least(of.x))
        largest = most(np.abs(of.aim)) + np.where(np.isfinite(slope), np.abs(slope), 0.0) * most(np.abs(of.x))
    rounding: FloatArray = ROUNDING * np.maximum(largest, 0.0)
    return rounding


def _points(found: set_points.SetPoints, code: IntArray, kept: IntArray, groups: Groups, told: BoolArray) -> Points:
    first = np.full(int(code.max(initial=-1)) + 2, -1)
    at = np.flatnonzero(code >= 0)[::-1]
    first[code[at]] = kept[at]
    size = np.bincount(code[at], minlength=len(first))
    return Points(
        number=found.points,
        p=np.where(told, found.p, math.nan),
        largest=groups.unsorted(first[found.largest]),
        error=found.error,
        size=np.where(found.largest >= 0, size[found.largest], 0),
    )


def _log(time: FloatArray, groups: Groups, *, whole: bool) -> misfit.Log:
    """Returns where the readings of logs lie in time: in which eighth of them, and behind which gaps."""
    starts = np.cumsum(groups.counts) - groups.counts
    place = np.arange(len(time)) - groups.each(starts)
    block = place * 8 // np.maximum(groups.each(groups.counts), 1)
    if not whole:  # of a sample, the next reading is not the next in the table
        return misfit.Log(block)
    instrument = groups.each(np.arange(len(groups.counts)))
    step = np.diff(time, prepend=time[:1])
    inner = np.flatnonzero((place > 0) & (step > 0))
    order = inner[np.lexsort((step[inner], instrument[inner]))]
    counts = np.bincount(instrument[inner], minlength=len(groups.counts))
    middle = np.cumsum(counts) - counts + np.maximum(counts - 1, 0) // 2
    usual = np.where(counts > 0, step[order[np.minimum(middle, max(len(order) - 1, 0))]] if len(order) else 1.0, np.inf)
    return misfit.Log(block, (place > 0) & (step > GAP * groups.each(usual)))


def _lacking(curve: Curve) -> tuple[int, int]:
    """The two lowest degrees that a curve lacks; of an equation through a link, those after its coefficients."""
    if not (curve.linked or curve.inverted):
        return misfit.lacking(curve.free)
    count = len(curve.free)
    return (count, count + 1) if count > 1 else (0, 1)


def _shape(rest: Readings, degrees: tuple[int, int], code: IntArray, log: misfit.Log | None) -> misfit.Shape:
    """Tests for the shapes that a curve lacks, with the covariance that the readings have; of set points, the means."""
    groups = rest.groups
    if log is not None:
        return misfit.shape(rest.columns, rest.x, rest.aim, groups, degrees, log)
    n = len(rest.x)
    instrument = groups.each(np.arange(len(groups.counts)))
    own = np.where(code >= 0, code, int(code.max(initial=-1)) + 1 + np.arange(n))
    _, first, cell = np.unique(own, return_index=True, return_inverse=True)
    cells = Groups(cell, len(first))
    order = np.argsort(first, kind="stable")  # by instrument, as the first reading of each stands

    def mean(values: FloatArray) -> FloatArray:
        means: FloatArray = (cells.sums(cells.sorted(values)).T / cells.counts).T[order]
        return means

    means = Groups(instrument[first][order], len(groups.counts))
    return misfit.shape(mean(rest.columns), mean(rest.x), mean(rest.aim), means, degrees)


def _scatter(of: Readings, constant: bool, code: IntArray, log: misfit.Log | None) -> Pattern:
    """Tests the scatter's change along the range; of set points, that of each reading about those before at its own."""
    fit, at = whiten(of.columns, of.aim, of.groups, constant), np.flatnonzero(code >= 0)
    if log is not None or not len(at):
        p, sign = misfit.growing_scatter(of.x, fit.error, of.groups, log)
        return Pattern(sign, p)
    at = at[np.argsort(code[at], kind="stable")]
    error, starts = fit.error[at], np.flatnonzero(np.diff(code[at], prepend=-1))
    sizes = np.diff(starts, append=len(at))
    place = np.arange(len(at)) - np.repeat(starts, sizes)
    # recursive residuals are independent (Brown, Durbin and Evans 1975); of a pair both errors are equally large
    before = np.cumsum(error) - error
    before = (before - np.repeat(before[starts], sizes)) / np.maximum(place, 1)
    own = fit.error.copy()
    own[at] = (error - before) * np.sqrt(place / (place + 1))
    first = np.zeros(len(own), bool)
    first[at[starts]] = True
    kept = np.flatnonzero(~first)
    p, sign = misfit.growing_scatter(of.x[kept], own[kept], of.only(kept).groups)
    return Pattern(sign, p)


def _ordered(rest: Readings) -> BoolArray:
    """Whether the rows stand in the order of the indication, shape ``(I,)``."""
    groups = rest.groups
    step = np.diff(rest.x, prepend=rest.x[:1])
    step[(np.cumsum(groups.counts) - groups.counts)[groups.counts > 0]] = 0.0
    ordered: BoolArray = (groups.least(step) >= 0) | (groups.least(-step) >= 0)
    return ordered

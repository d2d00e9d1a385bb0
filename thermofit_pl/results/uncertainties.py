"""Which uncertainty of each instrument's curve holds: of readings that may be a log, or repeats at set points."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thermofit_pl.functional import ar1, blocks, set_points
from thermofit_pl.functional.groups import Groups
from thermofit_pl.functional.set_points import SetPoints
from thermofit_pl.functional.uncertainty import (
    AR1,
    BLOCKED,
    BLOCKS,
    INDEPENDENT,
    REPEATS,
    SET_POINTS,
    SHORT,
    SOURCES,
    Source,
    Uncertainty,
    combine,
    factors_of,
    pivot_form,
)
from thermofit_pl.functional.whitened import basis_of, unpacked, whiten
from thermofit_pl.metrics.factor import hold
from thermofit_pl.metrics.least_squares import COVERAGE_PROBABILITY, Fit, covariances
from thermofit_pl.metrics.moments import Moments
from thermofit_pl.metrics.time_order import TimeOrder, scaled
from thermofit_pl.tables.sample import Sample

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Uncertainties:
    """The uncertainties that hold, each array of shape ``(instruments,)``.

    Attributes:
        fit: The curves, with them.
        k: Coverage factor of u_line; NaN where it is unknown.
        u_dof: Degrees of freedom of u_line.
        source: Where u_line comes from, an index of ``functional.uncertainty.SOURCES``.
        lower_bound: Whether u_line is no more than a lower bound.
        u_reading: Standard deviation of the error of one new reading [°C].
        reading_dof: Its degrees of freedom.
        test_factor: By what u_line is multiplied for p-values, of which small ones would be too small otherwise.
        test_dof: The degrees of freedom of these.
        estimated: Whether joint tests are Hotelling's T².
    """

    fit: Fit
    k: FloatArray
    u_dof: FloatArray
    source: NDArray[np.int64]
    lower_bound: NDArray[np.bool_]
    u_reading: FloatArray
    reading_dof: FloatArray
    test_factor: FloatArray
    test_dof: FloatArray
    estimated: NDArray[np.bool_]


@dataclass(frozen=True)
class Repeats:
    """The sampled readings at set points.

    Attributes:
        found: What they say.
        code: The set point of each sampled reading, sorted by instrument, shape ``(N,)``; −1 where there is none.
    """

    found: SetPoints
    code: NDArray[np.int64]


def uncertainties(
    moments: Moments, fit: Fit, log: TimeOrder | None = None, repeats: Repeats | None = None
) -> Uncertainties:
    """Returns the uncertainties that hold.

    Args:
        moments: Of the raw readings.
        fit: Their least-squares curves, with the uncertainties of independent readings.
        log: What the order in time tells, if the readings are a log.
        repeats: What repeats at set points tell.
    """
    alone = _independent(fit)
    sound = np.isfinite(fit.s.numpy()) & ~fit.below_rounding.numpy()
    at_points = np.zeros(len(sound), np.bool_) if repeats is None else repeats.found.points > 0
    long_log = np.zeros(len(sound), np.bool_) if log is None else fit.n.numpy() >= SHORT
    at = np.flatnonzero(sound & (long_log | at_points))
    if not len(at):
        return alone
    where = torch.from_numpy(at)
    whole = hold(moments.moments[where, :-3], moments.curve.held).numpy()
    n, total, sse = fit.n.numpy()[at], moments.total.numpy()[at], whole[:, -1]
    dof = n - len(moments.curve.free)
    unit = np.eye(len(moments.curve.free))
    sources = {INDEPENDENT: Source((_scale(moments, fit)[at] ** 2)[:, None, None] * unit, dof)}
    reading, reading_dof = fit.s.numpy()[at] ** 2, dof.copy()
    sums = None
    if repeats is not None:
        points = _chosen(repeats.found, at)
        told = points.points > 0
        sources[REPEATS] = Source(points.repeats, np.where(told, points.repeats_dof, 0.0))
        sources[SET_POINTS] = Source(points.covariance, points.dof)
        sources[INDEPENDENT] = Source(np.where(told[:, None, None], np.nan, sources[INDEPENDENT].covariance), dof)
        reading, reading_dof = _larger(reading, reading_dof, points.variance, points.variance_dof, told)
    if log is not None:
        sums = blocks.of_factors(hold(torch.from_numpy(log.eight()[:, at]), moments.curve.held).numpy(), whole)
        covariance, blocks_dof = blocks.delete_one_block(sums)
        sources[BLOCKS] = Source(covariance, np.where(n >= BLOCKED, blocks_dof, 0.0))
        if (total == n).all():
            sources[AR1] = _short_logs(log, moments, at, len(unit))
    u = combine(sources, n, COVERAGE_PROBABILITY)
    if sums is not None:
        square = (sse + np.einsum("iqq->i", u.covariance)) / total
        reading, reading_dof = _larger(reading, reading_dof, square, blocks.dof_of_variance(sums, dof), long_log[at])
    return _replaced(alone, moments, where, u, (np.sqrt(reading), reading_dof))


def _independent(fit: Fit) -> Uncertainties:
    s, dof = fit.s.numpy(), fit.dof.numpy()
    known = np.isfinite(s) & (dof > 0)
    return Uncertainties(
        fit=fit,
        k=factors_of(dof, known),
        u_dof=dof,
        source=np.full(len(s), SOURCES.index(INDEPENDENT)),
        lower_bound=np.zeros(len(s), np.bool_),
        u_reading=s,
        reading_dof=dof,
        test_factor=np.ones(len(s)),
        test_dof=dof,
        estimated=np.zeros(len(s), np.bool_),
    )


def _scale(moments: Moments, fit: Fit) -> FloatArray:
    """Returns the standard deviation of an error of weight 1 that the fit took, shape ``(I,)``."""
    d, _ = unpacked(moments.fitted.numpy())
    if len(moments.curve.free) == 1 and 0 in moments.curve.free:
        root = fit.u_pivot.numpy()
    else:
        last = moments.curve.free[-1] - 1
        root = fit.U[:, last, last].numpy()
    scale: FloatArray = root * np.sqrt(d[:, len(moments.curve.free) - 1])
    return scale


def _larger(
    one: FloatArray, dof: FloatArray, other: FloatArray, other_dof: FloatArray, told: NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray]:
    """Returns the variance whose expanded uncertainty is larger, and its degrees of freedom."""
    told = told & np.isfinite(other) & (other_dof >= 1)
    sizes = [factors_of(d, told) ** 2 * v for v, d in ((one, dof), (other, other_dof))]
    more = told & (sizes[1] > sizes[0])
    return np.where(more, other, one), np.where(more, other_dof, dof)


def _chosen(points: SetPoints, at: NDArray[np.int64]) -> SetPoints:
    return SetPoints(**{name: values[at] for name, values in points._asdict().items()})


def design(
    moments: Moments, x: FloatArray, y: FloatArray, instrument: NDArray[np.int64]
) -> tuple[FloatArray, FloatArray]:
    """Returns the columns whose coefficients are fitted, shape ``(N, q)``, and what they are fitted to.

    Args:
        moments: Through whose curve the readings are seen.
        x: Indications, shape ``(N,)``.
        y: References, shape ``(N,)`` [°C].
        instrument: Shape ``(N,)``.
    """
    codes = torch.from_numpy(instrument) if len(moments.moments) > 1 else None
    rows = scaled(*moments.view.rows(torch.from_numpy(x), torch.from_numpy(y), None, codes))
    target = rows[:, -1].copy()
    for j, value in moments.curve.held.items():
        target -= value * rows[:, j]
    return rows[:, list(moments.curve.free)], target


def point_of(sample: Sample) -> NDArray[np.int64] | None:
    """Returns the set point of each sampled reading, shape ``(N,)``, where a column says so: each instrument's own."""
    groups = sample.groups()
    return None if groups is None else sample.codes() * (int(groups.max(initial=0)) + 1) + groups


def repeats_of(moments: Moments, sample: Sample) -> Repeats | None:
    """Looks for repeats at set points among the sampled readings; None where no instrument has any.

    Args:
        moments: Of all raw readings; with stated uncertainties, which say what repeats would, nothing is looked at.
        sample: The readings to look at.
    """
    if bool((moments.total != moments.count).any()):
        return None
    codes = sample.codes()
    groups = Groups(codes, len(moments.moments))
    x, y = (groups.sorted(sample.column(name)) for name in ("indication", "reference"))
    named = point_of(sample)
    code = set_points.recognise(x, y, groups) if named is None else set_points.numbered(groups.sorted(named))
    if not (code >= 0).any():
        return None
    # the others don't count
    at = np.flatnonzero(code >= 0)
    owner = groups.each(np.arange(len(groups.counts)))[at]
    some = Groups(owner, len(groups.counts))
    columns, target = design(moments, x[at], y[at], owner)
    whitened = whiten(columns, target, some, constant=False)
    return Repeats(set_points.analyse(whitened, code[at], some, moments.count.numpy()), code)


def _short_logs(log: TimeOrder, moments: Moments, at: NDArray[np.int64], q: int) -> Source:
    """Returns what AR(1) errors give of the logs that are short enough."""
    readings, owner, broken = log.short()
    place = np.full(len(log.counts), -1)
    place[at] = np.arange(len(at))
    kept = np.flatnonzero(place[owner] >= 0)
    if not len(kept):
        return Source(np.full((len(at), q, q), np.nan), np.zeros(len(at)))
    groups = Groups(place[owner[kept]], len(at))
    columns, target = design(moments, readings[kept, 0], readings[kept, 1], owner[kept])
    whitened = whiten(columns, target, groups, constant=False)
    return Source(*ar1.integrated(whitened, groups, broken[kept]))


def _replaced(
    alone: Uncertainties, moments: Moments, where: Tensor, u: Uncertainty, reading: tuple[FloatArray, FloatArray]
) -> Uncertainties:
    """Puts what holds of some instruments in the place of what independent readings give."""
    at, fit, curve = where.numpy(), alone.fit, moments.curve
    pivot, u_pivot, upper = (each[where].numpy().copy() for each in (fit.pivot, fit.u_pivot, fit.U))
    (basis, _, _), covariance = basis_of(moments.fitted[where].numpy()), u.covariance
    columns, intercept = [j - 1 for j in curve.free if j > 0], 0 in curve.free
    if not intercept:  # a level that is known
        basis, covariance = (np.pad(each, [(0, 0), (1, 0), (1, 0)]) for each in (basis, covariance))
    if columns:
        lowest, least, spread = pivot_form(basis, pivot[:, columns], covariance)
        rows = np.array(columns)
        upper[:, rows[:, None], rows] = spread
        if intercept:
            pivot[:, columns], u_pivot = lowest, least
    else:
        u_pivot = basis[:, 0, 0] * np.sqrt(covariance[:, 0, 0])
    new = covariances(torch.from_numpy(pivot), torch.from_numpy(u_pivot), torch.from_numpy(upper), intercept)
    fields = {name: getattr(fit, name).clone() for name in new}
    for name, known in new.items():
        fields[name][where] = known
    arrays = {"k": u.k, "u_dof": u.dof, "source": u.source, "lower_bound": u.lower_bound, "estimated": u.estimated}
    arrays |= {"u_reading": reading[0], "reading_dof": reading[1], "test_dof": u.test_dof}
    arrays["test_factor"] = u.k / factors_of(u.test_dof, u.test_dof > 0)
    held = {name: getattr(alone, name).astype(values.dtype) for name, values in arrays.items()}
    for name, values in arrays.items():
        held[name][at] = values
    return replace(alone, fit=replace(fit, **fields), **held)

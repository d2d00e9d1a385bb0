"""What is stated of uncertainties, in those that hold: judged by χ², beside resolution and what all readings share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from thermofit_pl.functional.band import band
from thermofit_pl.functional.chi_squared import tail_of_chi_squared
from thermofit_pl.functional.common_part import PivotForm, add, shifts
from thermofit_pl.functional.distributions import coverage_factor
from thermofit_pl.functional.uncertainty import RESOLUTION, SOURCES, STATED
from thermofit_pl.functional.welch_satterthwaite import effective_dof
from thermofit_pl.metrics.both_axes import Indications
from thermofit_pl.metrics.least_squares import COVERAGE_PROBABILITY, Fit, covariances, least_squares
from thermofit_pl.metrics.moments import Moments
from thermofit_pl.results.uncertainties import Uncertainties
from thermofit_pl.tables.stated import UncertaintyOptions

FloatArray = NDArray[np.float64]

KNOWN = 1e9  # degrees of freedom of what is known, and not estimated
NOTHING = UncertaintyOptions()


class Known(NamedTuple):
    """What a fit knows of its readings beforehand.

    Attributes:
        options: What is stated.
        relative: Whether the errors give the scale of the uncertainties that readings are weighed by.
        indications: What the indications' uncertainties come to, where they are stated.
        log: Whether the readings are a log: they are then not weighed, and the larger expanded uncertainty holds, of
            what is stated and what the log says.
    """

    options: UncertaintyOptions = NOTHING
    relative: bool = False
    indications: Indications | None = None
    log: bool = False

    @property
    def weighed(self) -> bool:
        """Whether readings are weighed by what is stated of each."""
        return self.options.by_reading and not self.log

    @property
    def absolute(self) -> bool:
        """Whether readings have stated uncertainties that are taken as they are."""
        return self.weighed and not self.options.weights_alone and not self.relative

    @property
    def least(self) -> float:
        """What is stated of each reading of a log, where it is taken as it is [°C]; else 0."""
        if not self.log or self.relative or not self.options.one_number:
            return 0.0
        return self.options.of_one()


@dataclass(frozen=True)
class Stated:
    """What was stated, and what the readings say of it; each array of shape ``(instruments,)``.

    Attributes:
        known: What was stated.
        chi_squared: Sum of the squares of errors over their stated uncertainties; NaN where none are.
        dof: Its degrees of freedom.
        p: How probable one so large is, if the stated uncertainties are right.
        alike: Whether all references have one uncertainty.
        at: Both ends of the range and its middle, which is second, shape ``(3, instruments)`` [indicated unit].
        budget: Variances that u_single² is the sum of there, by what they come from, shape ``(3, instruments)`` [°C²].
    """

    known: Known
    chi_squared: FloatArray
    dof: FloatArray
    p: FloatArray
    alike: NDArray[np.bool_]
    at: FloatArray
    budget: dict[str, FloatArray]

    def words(self) -> dict[str, str | None]:
        """Returns what was stated in words, by the attributes of its record."""
        options, stated = self.known.options, self.known.options.stated
        steps = [
            f"{step:g} of the {axis}"
            for axis in ("reference", "indication")
            if (step := getattr(options, f"{axis}_resolution")) is not None
        ]
        reference = [str(stated["reference"])] if "reference" in stated else []
        if options.scatter is not None:
            reference.append(f"{options.scatter} / √{options.count}")
        elif options.count is not None:
            reference.append(f"1 / √{options.count}")
        alone = "weighted least squares" if self.known.weighed else "least squares"
        return {
            "method": alone if self.known.indications is None else self.known.indications.method,
            "uncertainties": "relative" if self.known.relative or options.weights_alone else "absolute",
            "reference": " + ".join(reference) or None,
            "indication": str(stated["indication"]) if "indication" in stated else None,
            "common": str(stated["common"]) if "common" in stated else None,
            "resolution": " and ".join(steps) or None,
        }


def with_stated(held: Uncertainties, moments: Moments, known: Known) -> tuple[Uncertainties, Stated | None]:
    """Returns the uncertainties that hold with what is stated, and what the readings say of that.

    Args:
        held: Of readings weighed by what is stated of each.
        moments: Of these.
        known: What is stated.
    """
    if not known.options:
        return held, None
    chi_squared, dof, p = _judged(held, moments, known)
    budget: dict[str, FloatArray] = {}
    held, from_errors = _scaled(held, moments, known)
    line = at_three(moments, held.fit) ** 2
    if known.absolute:
        own = line if known.indications is None else known.indications.of_references(three(moments), moments)
        budget["reference"] = own
        budget["indication"] = line - own
    else:
        budget[from_errors] = line
    kind = "scatter" if known.indications is None else "indication"
    held, kind = _reading(held, moments, known, kind)
    budget[kind] = budget.get(kind, 0.0) + held.u_reading**2 * np.ones_like(line)
    if known.indications is None:
        budget.pop("indication", None)
    if "common" in known.options.stated:
        held, budget["common"] = _with_common(held, moments, known, line)
    return held, Stated(known, chi_squared, dof, p, _alike(moments), three(moments), budget)


def _judged(held: Uncertainties, moments: Moments, known: Known) -> tuple[FloatArray, FloatArray, FloatArray]:
    """χ², its degrees of freedom, of a log those of its scatter, and how probable so much is."""
    own = held.fit.dof.numpy()
    told = known.options.by_reading and not known.options.weights_alone
    judged = told & np.isfinite(held.fit.s.numpy()) & (own > 0)
    dof = np.where(judged, held.reading_dof, np.nan)
    unit = 1.0 if known.weighed or not told else known.options.of_one()
    chi_squared = np.where(judged, moments.sse.numpy() / unit**2 * dof / np.maximum(own, 1), np.nan)
    return chi_squared, dof, tail_of_chi_squared(chi_squared, np.where(judged, dof, 1.0))


def _scaled(held: Uncertainties, moments: Moments, known: Known) -> tuple[Uncertainties, str]:
    """Takes what is stated of readings as it is; where the errors give the scale, no less than the resolution."""
    if known.absolute:
        sure = np.where(np.isnan(held.k), np.nan, KNOWN)
        source = np.full_like(held.source, SOURCES.index(STATED))
        return replace(held, k=factors(sure), u_dof=sure, test_dof=sure, source=source), ""
    floor = np.maximum(_floor(held, moments, known), known.least)
    if known.weighed or not np.any(floor):
        return held, "scatter"
    known_scale = least_squares(moments, absolute=True)
    least = at_three(moments, known_scale) * floor
    sure = np.full_like(held.k, KNOWN)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = factors(sure) * least / (held.k * at_three(moments, held.fit))
    larger = np.isfinite(held.k) & ((ratio > 1) | np.isnan(ratio)).all(axis=0)
    held = _raised(held, moments, np.where(larger, 1.0, np.maximum(np.nan_to_num(ratio).max(axis=0), 1.0)))
    if not larger.any():
        return held, "scatter"
    where, scale = torch.from_numpy(larger), torch.from_numpy(floor)
    form = [known_scale.pivot, known_scale.u_pivot * scale, known_scale.U * scale[:, None, None]]
    old = [held.fit.pivot, held.fit.u_pivot, held.fit.U]
    pivot, u_pivot, upper = (
        torch.where(where.reshape(-1, *[1] * (a.ndim - 1)), a, b) for a, b in zip(form, old, strict=True)
    )
    fit = replace(held.fit, **covariances(pivot, u_pivot, upper, 0 in moments.curve.free))
    k, u_dof = np.where(larger, factors(sure), held.k), np.where(larger, KNOWN, held.u_dof)
    source = np.where(larger, SOURCES.index(STATED if known.least else RESOLUTION), held.source)
    tests = {"test_factor": np.where(larger, 1.0, held.test_factor), "test_dof": np.where(larger, KNOWN, held.test_dof)}
    held = replace(held, fit=fit, k=k, u_dof=u_dof, source=source, **tests)
    return held, ("reference" if known.least else "resolution") if larger.all() else "scatter"


def _raised(held: Uncertainties, moments: Moments, ratio: FloatArray) -> Uncertainties:
    """Multiplies the uncertainties of curves: of two that differ in shape, the larger holds everywhere."""
    if (ratio == 1).all():
        return held
    by = torch.from_numpy(ratio)
    form = held.fit.pivot, held.fit.u_pivot * by, held.fit.U * by[:, None, None]
    return replace(held, fit=replace(held.fit, **covariances(*form, 0 in moments.curve.free)))


def _reading(held: Uncertainties, moments: Moments, known: Known, kind: str) -> tuple[Uncertainties, str]:
    """The error of one new reading: by what is stated of indications, else the scatter; no less than the resolution."""
    u, dof = held.u_reading, held.reading_dof
    if known.indications is not None:
        u, dof = np.sqrt(known.indications.variance), np.full_like(dof, KNOWN)
        if not known.absolute:
            own = held.fit.dof.numpy()
            u, dof = u * np.sqrt(moments.sse.numpy() / np.maximum(own, 1)), held.reading_dof
        u = np.where(np.isnan(held.k), np.nan, u)
    floor = _floor(held, moments, known)
    larger = factors(np.full_like(u, KNOWN)) * floor > factors(dof) * u
    held = replace(held, u_reading=np.where(larger, floor, u), reading_dof=np.where(larger, KNOWN, dof))
    return held, "resolution" if larger.any() and larger.all() else kind


def _floor(held: Uncertainties, moments: Moments, known: Known) -> FloatArray:
    """The standard deviation that a reading's error has by resolution alone, shape ``(instruments,)`` [°C]."""
    slopes = moments.curve.slopes(three(moments))
    w = held.fit.w.numpy()
    slope = np.abs(sum(each * derivative for each, derivative in zip(w.T, slopes, strict=True)))
    options = known.options
    reference = 0.0 if known.weighed else options.step("reference")
    floor: FloatArray = np.hypot(np.nan_to_num(np.asarray(slope).max(axis=0)) * options.step("indication"), reference)
    return floor


def _with_common(
    held: Uncertainties, moments: Moments, known: Known, line: FloatArray
) -> tuple[Uncertainties, FloatArray]:
    """Adds what moves all coefficients together; returns its variances at three places too."""
    stated = known.options.stated["common"]
    form = PivotForm(*(each.numpy() for each in (held.fit.pivot, held.fit.u_pivot, held.fit.U)))
    for part in shifts(moments.factor.numpy(), stated.absolute, stated.relative, moments.curve.held):
        form = add(form, part)
    pivot, u_pivot, upper = (torch.from_numpy(np.ascontiguousarray(each)) for each in form)
    fit = replace(held.fit, **covariances(pivot, u_pivot, upper, 0 in moments.curve.free))
    common = np.maximum(at_three(moments, fit) ** 2 - line, 0.0)
    # of the whole range the fewest: a k for all of it that is too small nowhere
    freedom = effective_dof([(line, held.u_dof), (common, KNOWN)]).min(axis=0)
    return replace(held, fit=fit, k=factors(freedom), u_dof=np.minimum(freedom, KNOWN)), common


def factors(dof: FloatArray) -> FloatArray:
    """Returns the coverage factor of each of many degrees of freedom; NaN of NaN, and of less than 1."""
    known = dof >= 1
    dofs, at = np.unique(np.where(known, np.minimum(dof, KNOWN), 1.0), return_inverse=True)
    return np.where(known, coverage_factor(dofs, COVERAGE_PROBABILITY)[at].reshape(dof.shape), np.nan)


def three(moments: Moments) -> FloatArray:
    """Returns both ends of the ranges and their middles, which are second, shape ``(3, instruments)``."""
    low, high = moments.lowest.numpy(), moments.highest.numpy()
    return np.stack([low, np.where(np.isfinite(low), low, 0) / 2 + np.where(np.isfinite(high), high, 0) / 2, high])


def at_three(moments: Moments, fit: Fit) -> FloatArray:
    """Returns u_line at both ends of the range and in its middle, which is second, shape ``(3, instruments)`` [°C]."""
    w, pivot, upper = (each.numpy() for each in (fit.w, fit.pivot, fit.U))
    level = fit.b.numpy() + (w * pivot).sum(axis=-1)
    features = range(w.shape[1])
    rows = [[upper[:, i, j] for j in features] for i in features]
    with np.errstate(invalid="ignore"):
        _, variance = band(moments.curve, three(moments), level, list(w.T), list(pivot.T), fit.u_pivot.numpy(), rows)
    return np.sqrt(np.asarray(variance, np.float64))


def _alike(moments: Moments) -> NDArray[np.bool_]:
    """Whether an instrument's readings all have one weight."""
    share = moments.effective_count.numpy() / np.maximum(moments.count.numpy(), 1)
    alike: NDArray[np.bool_] = np.abs(share - 1) < 1e-12
    return alike

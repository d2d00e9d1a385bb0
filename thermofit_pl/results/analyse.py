"""What the readings say of their least-squares lines, whatever an optimiser makes of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thermofit_pl.functional.distributions import coverage_factor, tail_of_f
from thermofit_pl.functional.scales import Differences, compare
from thermofit_pl.functional.uncertainty import INDEPENDENT, SOURCES
from thermofit_pl.functional.units import CELSIUS
from thermofit_pl.metrics.least_squares import COVERAGE_PROBABILITY, Autocorrelation, Fit
from thermofit_pl.metrics.moments import Moments
from thermofit_pl.results.findings import Findings, examine
from thermofit_pl.tables.sample import Sample

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Analysis:
    """What the readings say of every instrument's least-squares curve, each array of shape ``(instruments,)``.

    Attributes:
        moments: Of the raw readings.
        fit: The curves, with the uncertainties that hold.
        k: Coverage factor of u_line; NaN where it is unknown.
        u_dof: Degrees of freedom of u_line.
        source: Where u_line comes from, an index of ``functional.uncertainty.SOURCES``.
        lower_bound: Whether u_line is no more than a lower bound.
        u_reading: Standard deviation of the error of one new reading [°C].
        reading_dof: Its degrees of freedom.
        sample: The readings that the errors were looked at of.
        log: Autocorrelation, if the readings are a log.
        findings: What the errors say.
        differences: The lines, compared with the named scales, or for other quantities with slope 1 and offset 0.
        slope_p: p-values of "the slope is zero".
        unit: The reference's.
        common: Of a fleet, one line through the readings of all: w, b, s about it, s about their own lines, and the
            p-value of "it is the line of all".
    """

    moments: Moments
    fit: Fit
    k: FloatArray
    u_dof: FloatArray
    source: NDArray[np.int64]
    lower_bound: NDArray[np.bool_]
    u_reading: FloatArray
    reading_dof: FloatArray
    sample: Sample
    log: Autocorrelation | None
    findings: Findings
    differences: Differences
    slope_p: FloatArray
    unit: str
    common: dict[str, float] | None

    @classmethod
    def of(
        cls, moments: Moments, fit: Fit, sample: Sample, log: Autocorrelation | None = None, unit: str = CELSIUS
    ) -> Analysis:
        """Examines the readings.

        Args:
            moments: Of the raw readings.
            fit: Their least-squares curves.
            sample: Readings to look at for what the moments don't tell.
            log: Autocorrelation, if the readings are a log.
            unit: The reference's.
        """
        w, b, s, n, dof = (value.numpy() for value in (fit.w[:, 0], fit.b, fit.s, fit.n, fit.dof))
        u_w = fit.u_w[:, 0].numpy()
        known = np.isfinite(s) & (dof > 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            f = np.where(u_w > 0, (w / u_w) ** 2, math.nan)
        return cls(
            moments=moments,
            fit=fit,
            k=factors(dof, known),
            u_dof=dof,
            source=np.full(len(n), SOURCES.index(INDEPENDENT)),
            lower_bound=np.zeros(len(n), np.bool_),
            u_reading=s,
            reading_dof=dof,
            sample=sample,
            log=log,
            findings=examine(sample, moments.curve, fit.below_rounding.numpy()),
            differences=compare(
                w,
                b,
                np.stack([moments.lowest.numpy(), moments.highest.numpy()], axis=-1),
                u_w=u_w,
                u_pivot=fit.u_pivot.numpy(),
                pivot=fit.pivot[:, 0].numpy(),
                dof=n - 2,
                below_rounding=fit.below_rounding.numpy(),
                unit=unit,
            ),
            slope_p=np.where(np.isnan(f), math.nan, tail_of_f(np.nan_to_num(f), np.maximum(dof, 1))),
            unit=unit,
            common=common_line(moments),
        )


def factors(dof: FloatArray, known: NDArray[np.bool_]) -> FloatArray:
    """Returns Student's t of each of many degrees of freedom, of which few differ; NaN where nothing is known."""
    dofs, at = np.unique(np.where(known, dof, 1.0), return_inverse=True)
    return np.where(known, coverage_factor(dofs, COVERAGE_PROBABILITY)[at], math.nan)


def common_line(moments: Moments) -> dict[str, float] | None:
    """Returns one line through the readings of all instruments, and whether it would do for all; None if not testable.

    It is the F test of all coefficients being equal, which takes the scatter of all instruments to be the same.
    """
    known = moments.has_curve
    count, coefficients = int(known.sum()), len(moments.curve.free)
    own, dof = float(moments.sse[known].sum()), int(moments.count[known].sum()) - coefficients * count
    if count < 2 or dof < 1 or own <= 0:
        return None
    together = moments.pooled(known)
    sse, n = together.sse.item(), together.count.item()
    f = (sse - own) / (coefficients * (count - 1)) / (own / dof)
    p = float(tail_of_f(np.array([max(f, 0.0)]), np.array([dof]), coefficients * (count - 1))[0])
    w, b = together.slope.item(), together.intercept.item()
    return {"w": w, "b": b, "s": math.sqrt(sse / (n - coefficients)), "s_own": math.sqrt(own / dof), "p": p}

"""What the readings say of their least-squares lines, whatever an optimiser makes of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thermofit_pl.functional.diagnostics import Errors, diagnose
from thermofit_pl.functional.distributions import tail_of_f
from thermofit_pl.functional.scales import Differences, compare
from thermofit_pl.functional.units import CELSIUS
from thermofit_pl.metrics.least_squares import Autocorrelation, Fit
from thermofit_pl.metrics.moments import Moments
from thermofit_pl.tables.sample import Sample

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Analysis:
    """What the readings say of every instrument's least-squares line, each array of shape ``(instruments,)``.

    Attributes:
        moments: Of the raw readings.
        free: The lines' numbers, by the names of ``Line``'s attributes.
        sample: The readings that the errors were looked at of.
        log: Autocorrelation, if the readings are a log.
        errors: What the errors say.
        differences: The lines, compared with the named scales, or for other quantities with slope 1 and offset 0.
        slope_p: p-values of "the slope is zero".
        unit: The reference's.
        common: Of a fleet, one line through the readings of all: w, b, s about it, s about their own lines, and the
            p-value of "it is the line of all".
    """

    moments: Moments
    free: dict[str, FloatArray]
    sample: Sample
    log: Autocorrelation | None
    errors: Errors
    differences: Differences
    slope_p: FloatArray
    unit: str
    common: dict[str, float] | None

    @classmethod
    def of(
        cls, moments: Moments, line: Fit, sample: Sample, log: Autocorrelation | None = None, unit: str = CELSIUS
    ) -> Analysis:
        """Examines the readings.

        Args:
            moments: Of the raw readings.
            line: Their least-squares lines.
            sample: Readings to look at for what the moments don't tell.
            log: Autocorrelation, if the readings are a log.
            unit: The reference's.
        """
        free = {name: value.double().numpy() for name, value in vars(line).items() if name not in ("U", "sound")}
        free |= {name: free[name][:, 0] for name in ("w", "pivot", "u_w", "cov_wb")}
        dof = np.maximum(free["n"] - 2, 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            f = np.where(free["u_w"] > 0, (free["w"] / free["u_w"]) ** 2, math.nan)
        return cls(
            moments=moments,
            free=free,
            sample=sample,
            log=log,
            errors=_errors(moments, free, sample, log, free["w"], free["b"], free["s"]),
            differences=compare(
                free["w"],
                free["b"],
                np.stack([moments.lowest.numpy(), moments.highest.numpy()], axis=-1),
                u_w=free["u_w"],
                u_pivot=free["u_pivot"],
                pivot=free["pivot"],
                dof=free["n"] - 2,
                below_rounding=free["below_rounding"].astype(bool),
                unit=unit,
            ),
            slope_p=np.where(np.isnan(f), math.nan, tail_of_f(np.nan_to_num(f), dof)),
            unit=unit,
            common=common_line(moments),
        )

    def errors_about(self, w: FloatArray, b: FloatArray, s: FloatArray) -> Errors:
        """Returns what the errors about other lines say.

        Args:
            w: Slopes, shape ``(instruments,)`` [°C per indicated unit].
            b: Intercepts, shape ``(instruments,)`` [°C].
            s: Standard deviations of the errors [°C]; NaN where there is none.
        """
        return _errors(self.moments, self.free, self.sample, self.log, w, b, s)


def _errors(
    moments: Moments,
    free: dict[str, FloatArray],
    sample: Sample,
    log: Autocorrelation | None,
    w: FloatArray,
    b: FloatArray,
    s: FloatArray,
) -> Errors:
    rho = 0.0 if log is None else log.errors.numpy()
    indication, reference = sample.column("indication"), sample.column("reference")
    return diagnose(
        indication,
        reference,
        sample.codes(),
        w,
        b,
        s=s,
        n=free["n"],
        pivot=free["pivot"],
        sxx=moments.sxx.numpy(),
        rho=rho,
    )


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

"""What the readings say of their least-squares lines, whatever an optimiser makes of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from thermofit_pl.functional.distributions import tail_of_f
from thermofit_pl.functional.fleet_tests import one_line
from thermofit_pl.functional.scales import LONG, Differences, compare
from thermofit_pl.functional.uncertainty import INDEPENDENT, SOURCES
from thermofit_pl.functional.units import CELSIUS
from thermofit_pl.metrics.autocorrelation import Autocorrelation
from thermofit_pl.metrics.least_squares import Fit
from thermofit_pl.metrics.moments import Moments
from thermofit_pl.metrics.packing import entry
from thermofit_pl.metrics.time_order import TimeOrder
from thermofit_pl.results.findings import Findings, examine
from thermofit_pl.results.stated import Known, Stated, with_stated
from thermofit_pl.results.uncertainties import Uncertainties, point_of, repeats_of, uncertainties
from thermofit_pl.tables.sample import Sample

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Analysis(Uncertainties):
    """What the readings say of every instrument's least-squares curve, each array of shape ``(instruments,)``.

    Attributes:
        moments: Of the raw readings.
        sample: The readings that the errors were looked at of.
        log: Neighbours in time, if the readings are a log.
        findings: What the errors say.
        differences: The lines, compared with the named scales, or for other quantities with slope 1 and offset 0.
        slope_p: p-values of "the slope is zero".
        unit: The reference's.
        stated: What was stated of the readings' uncertainties, and what they say of it; None where nothing was.
        common: Of a fleet, one line through the readings of all: w, b, s about it, s about their own lines, and the
            p-value of "it is the line of all".
    """

    moments: Moments
    sample: Sample
    log: Autocorrelation | None
    findings: Findings
    differences: Differences
    slope_p: FloatArray
    unit: str
    stated: Stated | None
    common: dict[str, float] | None

    @classmethod
    def of(
        cls,
        moments: Moments,
        fit: Fit,
        sample: Sample,
        log: TimeOrder | None = None,
        unit: str = CELSIUS,
        known: Known = Known(),  # noqa: B008  # immutable
    ) -> Analysis:
        """Examines the readings.

        Args:
            moments: Of the raw readings.
            fit: Their least-squares curves, with the uncertainties of independent readings.
            sample: Readings to look at for what the moments don't tell.
            log: What the order in time tells, if the readings are a log.
            unit: The reference's.
            known: What is stated of the readings' uncertainties.
        """
        # of weighted readings, what is stated says how far each can be trusted, not repeats
        alone = uncertainties(moments, fit, log, None if known.weighed else repeats_of(moments, sample))
        u, stated = with_stated(alone, moments, known)
        w, b, u_w, u_pivot = (value.numpy() for value in (u.fit.w[:, 0], u.fit.b, u.fit.u_w[:, 0], u.fit.u_pivot))
        with np.errstate(invalid="ignore", divide="ignore"):
            straight = len(moments.curve.names) == 1  # of several coefficients, the first alone is no slope
            f = np.where((u_w > 0) & straight, (w / (u_w * u.test_factor)) ** 2, math.nan)
        return cls(
            **vars(u),
            moments=moments,
            sample=sample,
            log=None if log is None else _neighbours(moments, fit, log),
            findings=examine(
                sample,
                moments.curve,
                fit.below_rounding.numpy(),
                point_of(sample),
                about=torch.cat([fit.b[:, None], fit.w], dim=-1).numpy(),
            ),
            differences=compare(
                w,
                b,
                np.stack([moments.lowest.numpy(), moments.highest.numpy()], axis=-1),
                u_w=u_w * u.test_factor,
                u_pivot=u_pivot * u.test_factor,
                pivot=u.fit.pivot[:, 0].numpy(),
                dof=u.test_dof if log is None else np.where((fit.n.numpy() < LONG) | u.lower_bound, 0.0, u.test_dof),
                estimated=u.estimated,
                below_rounding=fit.below_rounding.numpy(),
                unit=unit,
            ),
            slope_p=np.where(np.isnan(f), math.nan, tail_of_f(np.nan_to_num(f), np.maximum(u.test_dof, 1))),
            unit=unit,
            stated=stated,
            common=common_line(moments, alone),
        )


def _neighbours(moments: Moments, fit: Fit, log: TimeOrder) -> Autocorrelation:
    n, (w, b) = moments.count.clamp(min=1), moments.exact
    mse = torch.where(fit.below_rounding | ~moments.has_curve, 0.0, moments.sse / n)
    level = b + (w * w.new_tensor(moments.origin or 0.0)).sum(dim=-1)
    coefficients = torch.cat([level[:, None], w], dim=-1)
    variance = torch.where(moments.has_curve, entry(moments.factor, 1, 1) / n, 0.0)  # of the first feature
    return log.neighbours.autocorrelation(coefficients.numpy(), mse.numpy(), variance.numpy())


def common_line(moments: Moments, u: Uncertainties) -> dict[str, float] | None:
    """Returns one curve through the readings of all instruments, and whether it would do for all; None if not testable.

    Of independent readings it is the F test of all coefficients being equal, which takes the scatter of all instruments
    to be the same; of logs and set points, each instrument's own uncertainty counts.

    Args:
        moments: Of the raw readings.
        u: The uncertainties that hold of each instrument's curve.
    """
    known = moments.has_curve
    count, coefficients = int(known.sum()), len(moments.curve.free)
    own, dof = float(moments.sse[known].sum()), int(moments.count[known].sum()) - coefficients * count
    if count < 2 or dof < 1 or own <= 0:
        return None
    together = moments.pooled(known)
    sse, n = together.sse.item(), together.count.item()
    if (u.source == SOURCES.index(INDEPENDENT)).all():
        f = (sse - own) / (coefficients * (count - 1)) / (own / dof)
        p = float(tail_of_f(np.array([max(f, 0.0)]), np.array([dof]), coefficients * (count - 1))[0])
    else:
        p = one_line(*_about_a_common_indication(moments, u), u.test_dof, u.estimated).p
    if math.isnan(p):
        return None
    w, b = together.exact[0][0, 0].item(), together.exact[1].item()
    mean = math.sqrt(n / together.total.item())  # weighted errors are those of readings of mean weight
    s, s_own = (mean * math.sqrt(square) for square in (sse / (n - coefficients), own / dof))
    return {"w": w, "b": b, "s": s, "s_own": s_own, "p": p}


def _about_a_common_indication(moments: Moments, u: Uncertainties) -> tuple[FloatArray, FloatArray]:
    """Returns the coefficients that are fitted, the level being that at the middle of the fleet, and their covariance.

    Returns:
        Shapes ``(I, q)`` and ``(I, q, q)``.
    """
    fit, curve = u.fit, moments.curve
    w, b, pivot, u_pivot, upper = (each.numpy() for each in (fit.w, fit.b, fit.pivot, fit.u_pivot, fit.U))
    means = moments.feature_means.numpy()
    middle = means[moments.has_curve.numpy()].mean(axis=0) if 0 in curve.free else np.zeros(w.shape[1])
    rows = np.concatenate([(middle - pivot)[:, None], np.broadcast_to(np.eye(w.shape[1]), upper.shape)], axis=1) @ upper
    covariance = rows @ np.swapaxes(rows, -1, -2)
    covariance[:, 0, 0] += u_pivot**2
    coefficients = np.concatenate([(b + w @ middle)[:, None], w], axis=1)
    free = list(curve.free)
    return coefficients[:, free], covariance[:, free][:, :, free] * (u.test_factor**2)[:, None, None]

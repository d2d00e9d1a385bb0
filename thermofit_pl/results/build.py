"""The end of a fit: from the moments, the errors and where the optimiser ended to what people keep."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thermofit_pl import __version__
from thermofit_pl.curves.line import Line
from thermofit_pl.functional.conventional import conventional
from thermofit_pl.functional.scales import scales_in
from thermofit_pl.functional.uncertainty import factors_of
from thermofit_pl.metrics.least_squares import distance, rounding, steps_needed
from thermofit_pl.metrics.moments import Moments
from thermofit_pl.results.analyse import Analysis
from thermofit_pl.results.findings import largest_errors

if TYPE_CHECKING:
    from thermofit_pl.curves.base import Curve
    from thermofit_pl.functional.scales import Scale

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class OptimizerOutcome:
    """Where an optimiser ended, and how far from the least-squares curve; tensors of shape ``(instruments,)``.

    Attributes:
        w: Coefficients of the features, shape ``(instruments, features)``, for raw indications.
        b: Intercept, for raw indications [°C].
        steps: How many steps it took.
        learning_rate: The last one.
        loss: The MSE at w and b [°C²].
        distance: Largest distance from the least-squares curve over the calibrated range [°C].
        converged: Whether that is within the tolerance.
        more: How many more steps it needs; inf where none can be forecast.
        advice: What to change, for so many more steps (None where there is no forecast).
    """

    w: Tensor
    b: Tensor
    steps: int
    learning_rate: float
    loss: Tensor
    distance: Tensor
    converged: Tensor
    more: Tensor
    advice: Callable[[int | None], str]

    @classmethod
    def at(
        cls,
        w: Tensor,
        b: Tensor,
        raw: Moments,
        *,
        normalized: Moments | None,
        tolerance: Tensor,
        steps: int,
        learning_rate: float,
        advice: Callable[[int | None], str],
    ) -> OptimizerOutcome:
        """Compares w and b with the least-squares curve.

        Args:
            w: Coefficients of the features, for raw indications.
            b: Intercept.
            raw: Moments of the raw readings.
            normalized: Moments as plain full-batch SGD saw them; None for another optimiser, of which no forecast can
                be made.
            tolerance: Within how much of the reference's unit counts as converged.
            steps: How many steps were made.
            learning_rate: The last one.
            advice: What to change, for so many more steps.
        """
        away = distance(raw, w, b)
        more = torch.full_like(away, torch.inf)
        if normalized is not None:
            more = steps_needed(normalized, away, tolerance, learning_rate)
        return cls(w, b, steps, learning_rate, raw.mse(w, b), away, away <= tolerance, more, advice)


@dataclass(frozen=True)
class Result:
    """What a fit found of every instrument: the columns of their calibrations, each of shape ``(instruments, ...)``.

    Attributes:
        numbers: Floats by the keys of a calibration's file; NaN stands for null. Of curves other than lines also the
            ``values``, ``u`` and ``covariance`` of the coefficients that people quote.
        whole: Whole numbers and truths by key.
        largest: Index in the sample of the reading with the largest error about the curve that is held, and that error.
        evidence: What the readings say of the least-squares curves.
        ended: Where the optimiser ended, if one ran.
        snap: Named scale whose exact conversion the lines are.
        finish: What the curves are: ``least_squares``, ``sgd`` or ``snap``.
    """

    numbers: dict[str, FloatArray]
    whole: dict[str, NDArray[np.int64] | NDArray[np.bool_]]
    largest: tuple[NDArray[np.int64], FloatArray]
    evidence: Analysis
    ended: OptimizerOutcome | None
    snap: str | None
    finish: str

    @property
    def curve(self) -> Curve:
        """The curve of all of them."""
        return self.evidence.moments.curve

    @property
    def has_curve(self) -> NDArray[np.bool_]:
        """Which instruments have a curve, shape ``(instruments,)``; a scale's and SGD's do without readings too."""
        known: NDArray[np.bool_] = self.evidence.fit.w.isfinite().all(dim=-1).numpy()
        return known & np.isfinite(self.numbers["w"]).reshape(len(known), -1).all(axis=1)


def build(
    evidence: Analysis, *, ended: OptimizerOutcome | None = None, finish: str = "least_squares", snap: str | None = None
) -> Result:
    """Returns what a fit found of every instrument.

    Args:
        evidence: What the readings say.
        ended: Where the optimiser ended, if one ran.
        finish: ``least_squares``, or ``sgd`` to hold the optimiser's curves.
        snap: Named scale whose exact conversion to hold.
    """
    moments, fit, curve = evidence.moments, evidence.fit, evidence.moments.curve
    scale = None if snap is None else scales_in(evidence.unit)[snap]
    held = _held(evidence, ended if finish == "sgd" else None, scale)
    w, b = held["w"], held["b"]
    numbers = held | {
        "low": moments.lowest.numpy(),
        "high": moments.highest.numpy(),
        "r_squared": fit.r_squared.numpy(),
    }
    if isinstance(curve, Line):
        numbers |= {key: held[key][:, 0] for key in ("w", "pivot", "u_w", "cov_wb")}
        numbers["indication_mean"] = moments.feature_means[:, 0].numpy()
    else:
        quoted = conventional(curve, b, w, held["pivot"], held["u_pivot"], held["U"])
        numbers |= dict(zip(("values", "u", "covariance"), quoted, strict=True))
    whole: dict[str, NDArray[np.int64] | NDArray[np.bool_]] = {
        "n": fit.n.long().numpy(),
        "dof": held["dof"].astype(np.int64),
        "below_rounding": held["below_rounding"].astype(bool),
        "lower_bound": held["lower_bound"].astype(bool),
        "source": held["source"].astype(np.int64),
    }
    return Result(
        numbers=numbers,
        whole=whole,
        largest=largest_errors(evidence.sample, curve, w, b),
        evidence=evidence,
        ended=ended,
        snap=snap,
        finish="snap" if snap is not None else finish,
    )


def _held(evidence: Analysis, ended: OptimizerOutcome | None, scale: Scale | None) -> dict[str, FloatArray]:
    """Returns the curves to hold, with their uncertainties: the exact ones, the optimiser's, or a named scale's."""
    moments, fit = evidence.moments, evidence.fit
    keys = ("w", "b", "pivot", "u_pivot", "U", "u_w", "u_b", "cov_wb", "s", "rmse", "dof", "below_rounding")
    held = {key: getattr(fit, key).numpy() for key in keys}
    held |= {"coverage_factor": evidence.k, "u_dof": evidence.u_dof}
    held |= {"u_reading": evidence.u_reading, "reading_dof": evidence.reading_dof}
    held |= {"source": evidence.source, "lower_bound": evidence.lower_bound}
    uncertain = ("u_pivot", "U", "u_w", "u_b", "cov_wb")
    if scale is not None:
        w, b = torch.full_like(fit.w, scale.w), torch.full_like(fit.b, scale.b)
        rmse = moments.mse(w, b).sqrt()
        exact = rmse <= rounding(moments, w, b)
        s, n = torch.where(exact, 0.0, rmse).numpy(), fit.n.numpy()
        held |= {key: np.zeros_like(held[key]) for key in uncertain}
        # about 0, as nothing is uncertain, the conversion of a number is that of its digits
        held |= {"w": w.numpy(), "b": b.numpy(), "pivot": np.zeros_like(held["pivot"])}
        held |= {"s": s, "u_reading": s, "rmse": s, "below_rounding": exact.numpy()}
        held |= {key: np.zeros_like(held[key]) for key in ("source", "lower_bound")}
        held |= {"dof": n, "u_dof": n, "reading_dof": n, "coverage_factor": factors_of(n, np.isfinite(s) & (n > 0))}
    elif ended is not None:
        rmse = moments.mse(ended.w, ended.b).sqrt()
        held |= {"w": ended.w.numpy(), "b": ended.b.numpy(), "rmse": rmse.numpy()}
        converged = ended.converged.numpy()
        for key in (*uncertain, "s", "coverage_factor", "u_dof", "u_reading", "reading_dof"):
            of = converged.reshape(-1, *[1] * (held[key].ndim - 1))
            held[key] = np.where(of, held[key], math.nan)
    held["level"] = held["b"] + (held["w"] * held["pivot"]).sum(axis=-1)
    for key, beside in (("u_dof", "coverage_factor"), ("reading_dof", "u_reading")):
        held[key] = np.where(np.isfinite(held[beside]), held[key], math.nan)
    held["source"] = np.where(np.isfinite(held["u_dof"]), held["source"], -1)
    held["lower_bound"] = held["lower_bound"] & (held["source"] >= 0)
    return held


def provenance(lightning: str | None = None) -> dict[str, Any]:
    """Returns when and by which versions a calibration is made."""
    return {
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "version": __version__,
        "torch": version("torch"),
        "lightning": lightning,
    }

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
from thermofit_pl.functional.scales import scales_in
from thermofit_pl.functional.uncertainty import factors_of
from thermofit_pl.metrics.least_squares import distance, rounding, steps_needed
from thermofit_pl.metrics.moments import Moments
from thermofit_pl.results.analyse import Analysis
from thermofit_pl.results.findings import largest_errors

if TYPE_CHECKING:
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
    """What a fit found of every instrument: the columns of their calibrations, each of shape ``(instruments,)``.

    Attributes:
        numbers: Floats by the keys of a calibration's file; NaN stands for null.
        whole: Whole numbers and truths by key.
        largest: Index in the sample of the reading with the largest error about the curve that is held, and that error.
        evidence: What the readings say of the least-squares lines.
        ended: Where the optimiser ended, if one ran.
        snap: Named scale whose exact conversion the lines are.
        finish: What the lines are: ``least_squares``, ``sgd`` or ``snap``.
    """

    numbers: dict[str, FloatArray]
    whole: dict[str, NDArray[np.int64] | NDArray[np.bool_]]
    largest: tuple[NDArray[np.int64], FloatArray]
    evidence: Analysis
    ended: OptimizerOutcome | None
    snap: str | None
    finish: str

    @property
    def has_line(self) -> NDArray[np.bool_]:
        """Which instruments have a line, shape ``(instruments,)``; a scale's and SGD's do without readings too."""
        known: NDArray[np.bool_] = self.evidence.fit.w.isfinite().all(dim=-1).numpy()
        return known & np.isfinite(self.numbers["w"])


def build(
    evidence: Analysis, *, ended: OptimizerOutcome | None = None, finish: str = "least_squares", snap: str | None = None
) -> Result:
    """Returns what a fit found of every instrument.

    Args:
        evidence: What the readings say.
        ended: Where the optimiser ended, if one ran.
        finish: ``least_squares``, or ``sgd`` to hold the optimiser's lines.
        snap: Named scale whose exact conversion to hold.
    """
    moments, fit = evidence.moments, evidence.fit
    exact = None if snap is None else scales_in(evidence.unit)[snap]
    held = _held(evidence, ended if finish == "sgd" else None, exact)
    held |= {"low": moments.lowest.numpy(), "high": moments.highest.numpy()}
    held |= {"indication_mean": fit.pivot[:, 0].numpy(), "r_squared": fit.r_squared.numpy()}
    below = held.pop("below_rounding").astype(bool)
    whole = {"n": fit.n.long().numpy(), "dof": held.pop("dof").astype(np.int64), "below_rounding": below}
    return Result(
        numbers=held,
        whole=whole,
        largest=largest_errors(evidence.sample, moments.curve, held["w"], held["b"]),
        evidence=evidence,
        ended=ended,
        snap=snap,
        finish="snap" if snap is not None else finish,
    )


def _held(evidence: Analysis, ended: OptimizerOutcome | None, snap: Scale | None) -> dict[str, FloatArray]:
    """Returns the lines to hold, with their uncertainties: the exact ones, the optimiser's, or a named scale's."""
    moments, fit = evidence.moments, evidence.fit
    held = {key: getattr(fit, key)[:, 0].numpy() for key in ("w", "u_w", "cov_wb")}
    held |= {key: getattr(fit, key).numpy() for key in ("b", "u_b", "u_pivot", "s", "rmse", "dof", "below_rounding")}
    held["coverage_factor"] = evidence.k
    uncertain = ("u_w", "u_b", "cov_wb", "u_pivot")
    if snap is not None:
        w, b = (torch.full_like(moments.count, value) for value in (snap.w, snap.b))
        rmse = moments.mse(w, b).sqrt()
        exact = rmse <= rounding(moments, w, b)
        rmse, n = torch.where(exact, 0.0, rmse), fit.n.numpy()
        held |= dict.fromkeys(uncertain, np.zeros_like(n))
        held |= {"w": w.numpy(), "b": b.numpy(), "s": rmse.numpy(), "rmse": rmse.numpy(), "dof": n}
        held["coverage_factor"] = factors_of(n, np.isfinite(held["s"]) & (n > 0))
        held["below_rounding"] = exact.numpy()
    elif ended is not None:
        rmse = moments.mse(ended.w, ended.b).sqrt()
        held |= {"w": ended.w[:, 0].numpy(), "b": ended.b.numpy(), "rmse": rmse.numpy()}
        for key in (*uncertain, "s", "coverage_factor"):
            held[key] = np.where(ended.converged.numpy(), held[key], math.nan)
    return held


def provenance(lightning: str | None = None) -> dict[str, Any]:
    """Returns when and by which versions a calibration is made."""
    return {
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "version": __version__,
        "torch": version("torch"),
        "lightning": lightning,
    }

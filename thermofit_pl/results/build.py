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
from thermofit_pl.calibration import records as findings
from thermofit_pl.calibration.calibration import Calibration
from thermofit_pl.functional.diagnostics import Errors
from thermofit_pl.functional.distributions import coverage_factor
from thermofit_pl.functional.scales import SCALES
from thermofit_pl.metrics.least_squares import (
    COVERAGE_PROBABILITY,
    distance,
    rounding,
    steps_needed,
)
from thermofit_pl.metrics.moments import Moments
from thermofit_pl.results.analyse import Evidence

if TYPE_CHECKING:
    from thermofit_pl.calibration.records import Source

FloatArray = NDArray[np.float64]
KEYS = ("w", "b", "u_w", "u_b", "cov_wb", "u_pivot", "s", "rmse", "r_squared", "coverage_factor", "indication_mean")


@dataclass(frozen=True)
class Ended:
    """Where an optimiser ended, and how far from the least-squares line; tensors of shape ``(instruments,)``.

    Attributes:
        w: Slope, for raw indications [°C per indicated unit].
        b: Intercept, for raw indications [°C].
        steps: How many steps it took.
        learning_rate: The last one.
        loss: The MSE at w and b [°C²].
        distance: Largest distance from the least-squares line over the calibrated range [°C].
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
    ) -> Ended:
        """Compares w and b with the least-squares line.

        Args:
            w: Slope, for raw indications.
            b: Intercept.
            raw: Moments of the raw readings.
            normalized: Moments as plain full-batch SGD saw them; None for another optimiser, of which no forecast can
                be made.
            tolerance: Within how many °C counts as converged.
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
        errors: What the errors about these lines say.
        evidence: What the readings say of the least-squares lines.
        ended: Where the optimiser ended, if one ran.
        snap: Named scale whose exact conversion the lines are.
        finish: What the lines are: ``least_squares``, ``sgd`` or ``snap``.
    """

    numbers: dict[str, FloatArray]
    whole: dict[str, NDArray[np.int64] | NDArray[np.bool_]]
    errors: Errors
    evidence: Evidence
    ended: Ended | None
    snap: str | None
    finish: str

    def calibration(self, source: Source, *, lightning: str | None = None, index: int = 0) -> Calibration:
        """Returns the calibration of one instrument.

        Args:
            source: Where the readings come from.
            lightning: Version of lightning, if it took part.
            index: Of the instrument.
        """
        value = {key: _or_none(column[index]) for key, column in self.numbers.items()}
        return Calibration(
            **{key: value[key] for key in KEYS},
            **{key: column[index].item() for key, column in self.whole.items()},
            coverage_probability=COVERAGE_PROBABILITY,
            w_interval=_interval(value["w"], value["u_w"], value["coverage_factor"]),
            b_interval=_interval(value["b"], value["u_b"], value["coverage_factor"]),
            indication_range=(value["low"], value["high"]),
            finish=self.finish,
            scale=self.evidence.differences.verdict(index),
            sgd=self._sgd(index),
            snap=None if self.snap is None else findings.Snap(self.snap, float(self.evidence.free["rmse"][index])),
            diagnostics=self._diagnostics(index),
            **vars(source),
            **provenance(lightning),
        )

    def _sgd(self, index: int) -> findings.Sgd | None:
        ended = self.ended
        if ended is None:
            return None
        converged, more = bool(ended.converged[index]), float(ended.more[index])
        forecast = None if converged or not more < 1e15 else int(more)
        return findings.Sgd(
            w=ended.w[index].item(),
            b=ended.b[index].item(),
            loss=ended.loss[index].item(),
            steps=ended.steps,
            learning_rate=ended.learning_rate,
            converged=converged,
            distance=ended.distance[index].item(),
            distance_w=ended.w[index].item() - float(self.numbers["free_w"][index]),
            distance_b=ended.b[index].item() - float(self.numbers["free_b"][index]),
            steps_needed=forecast,
            advice=None if converged else ended.advice(forecast),
        )

    def _diagnostics(self, index: int) -> findings.Diagnostics:
        errors, log = self.errors, self.evidence.log
        largest, outlying = None, None
        if errors.largest[index] >= 0:
            largest = findings.LargestError(error=float(errors.error[index]), **self._reading(errors.largest[index]))
        if errors.outlying[index] >= 0:
            count = int(errors.count[index])
            outlying = findings.Outlying(t=float(errors.t[index]), count=count, **self._reading(errors.outlying[index]))
        return findings.Diagnostics(
            sampled=int(errors.sampled[index]),
            largest_error=largest,
            curvature_p=_or_none(errors.curvature_p[index]),
            outlying=outlying,
            slope_p=_or_none(self.evidence.slope_p[index]),
            autocorrelation=None
            if log is None
            else findings.Autocorrelation(
                log.errors[index].item(), log.indications[index].item(), int(log.pairs[index].item())
            ),
        )

    def _reading(self, at: int) -> dict[str, Any]:
        files, rows = self.evidence.sample.places(np.array([at]))
        x, y = (float(self.evidence.sample.column(name)[at]) for name in ("indication", "reference"))
        return {"indication": x, "reference": y, "file": files[0], "row": int(rows[0])}


def conclude(
    evidence: Evidence, *, ended: Ended | None = None, finish: str = "least_squares", snap: str | None = None
) -> Result:
    """Returns what a fit found of every instrument.

    Args:
        evidence: What the readings say.
        ended: Where the optimiser ended, if one ran.
        finish: ``least_squares``, or ``sgd`` to hold the optimiser's lines.
        snap: Named scale whose exact conversion to hold.
    """
    moments, free = evidence.moments, evidence.free
    held = _held(moments, free, ended if finish == "sgd" else None, snap)
    known = np.isfinite(held["s"]) & (held["dof"] > 0)
    dofs, at = np.unique(np.where(known, held["dof"], 1.0), return_inverse=True)
    held["coverage_factor"] = np.where(known, coverage_factor(dofs, COVERAGE_PROBABILITY)[at], math.nan)
    held |= {"low": moments.lowest.numpy(), "high": moments.highest.numpy()}
    held |= {"indication_mean": free["pivot"], "r_squared": free["r_squared"]}
    held |= {"free_w": free["w"], "free_b": free["b"]}
    below = held.pop("below_rounding").astype(bool)
    whole = {"n": free["n"].astype(np.int64), "dof": held.pop("dof").astype(np.int64), "below_rounding": below}
    return Result(
        numbers=held,
        whole=whole,
        errors=evidence.errors if held["w"] is free["w"] else evidence.errors_about(held["w"], held["b"], held["s"]),
        evidence=evidence,
        ended=ended,
        snap=snap,
        finish="snap" if snap is not None else finish,
    )


def _held(
    moments: Moments, free: dict[str, FloatArray], ended: Ended | None, snap: str | None
) -> dict[str, FloatArray]:
    """Returns the lines to hold, with their uncertainties: the exact ones, the optimiser's, or a named scale's."""
    keys = ("w", "b", "u_w", "u_b", "cov_wb", "u_pivot", "s", "rmse", "dof", "below_rounding")
    held = {key: free[key] for key in keys}
    uncertain = ("u_w", "u_b", "cov_wb", "u_pivot")
    if snap is not None:
        w, b = (torch.full_like(moments.count, value) for value in (SCALES[snap].w, SCALES[snap].b))
        rmse = moments.mse(w, b).sqrt()
        exact = rmse <= rounding(moments, w, b)
        rmse = torch.where(exact, 0.0, rmse)
        held |= dict.fromkeys(uncertain, np.zeros_like(free["w"]))
        held |= {"w": w.numpy(), "b": b.numpy(), "s": rmse.numpy(), "rmse": rmse.numpy(), "dof": free["n"]}
        held["below_rounding"] = exact.double().numpy()
    elif ended is not None:
        rmse = moments.mse(ended.w, ended.b).sqrt()
        held |= {"w": ended.w.numpy(), "b": ended.b.numpy(), "rmse": rmse.numpy()}
        for key in (*uncertain, "s"):
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


def _or_none(value: float) -> Any:
    return None if math.isnan(value) else float(value)


def _interval(value: float, u: float | None, k: float | None) -> tuple[float, float] | None:
    return None if u is None or k is None else (value - k * u, value + k * u)

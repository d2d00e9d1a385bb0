"""The end of a fit: from the moments, the errors and where SGD ended to a ``Calibration``."""

from __future__ import annotations

import hashlib
import math
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from thermofit_pl import __version__, findings
from thermofit_pl.calibration import Calibration
from thermofit_pl.diagnostics import Sample, diagnose, tail_of_f
from thermofit_pl.errors import InputError
from thermofit_pl.findings import Source
from thermofit_pl.least_squares import (
    COVERAGE_PROBABILITY,
    Autocorrelation,
    Line,
    coverage_factor,
    least_squares,
    refuse_no_line,
    rounding,
)
from thermofit_pl.moments import Moments
from thermofit_pl.readings import ABSOLUTE_ZERO, LARGEST, Block
from thermofit_pl.scales import SCALES, compare

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def fit(indication: ArrayLike, reference: ArrayLike) -> Calibration:
    """Calibrates an instrument with readings in arrays: the least-squares line, without a Trainer.

    Args:
        indication: What it showed, shape ``(N,)`` [indicated unit]: NumPy, torch, a list, a Polars or pandas column.
        reference: The references, shape ``(N,)`` [°C].

    Returns:
        The calibration.

    Raises:
        InputError: If a value is not finite, or the readings have no line.

    Example:
        >>> calibration = fit([35.7, 55.9, 58.2, 81.9], [0.5, 14.0, 15.0, 28.0])
        >>> round(calibration.w, 4), round(calibration.correct(68.4).estimate, 2)
        (0.5927, 20.58)
    """
    x, y = _column("indication", indication), _column("reference", reference)
    if len(x) != len(y):
        raise InputError(f"Expected as many references as indications, but got {len(y)} and {len(x)}")
    if y.size and y.min() < ABSOLUTE_ZERO:
        raise InputError(f"Expected references in °C, from {ABSOLUTE_ZERO} on, but got {y.min():g}")
    moments = Moments()
    moments.update(torch.from_numpy(x), torch.from_numpy(y))
    refuse_no_line(moments, "The readings")
    sample = Sample()
    sample.add(Block(indication=x, reference=y, time=None, file=Path(), rows=range(1, len(x) + 1)))
    digest = hashlib.sha256(x.tobytes() + y.tobytes()).hexdigest()
    return calibrate(moments, least_squares(moments), sample, Source(data_sha256=digest))


def _column(name: str, values: ArrayLike) -> np.ndarray[Any, np.dtype[np.float64]]:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy()
    try:
        column = np.ascontiguousarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"Expected numbers as {name}, but got {error}") from error
    if column.ndim != 1:
        raise InputError(f"Expected {name} of shape (N,), but got {column.shape}")
    wrong = np.flatnonzero(~(np.abs(column) <= LARGEST))
    if wrong.size:
        raise InputError(f"Expected finite numbers as {name}, but got {column[wrong[0]]} at index {wrong[0]}")
    return column


def calibrate(
    moments: Moments,
    line: Line,
    sample: Sample,
    source: Source,
    *,
    log: Autocorrelation | None = None,
    sgd: findings.Sgd | None = None,
    finish: str = "least_squares",
    snap: str | None = None,
    lightning: str | None = None,
) -> Calibration:
    """Returns the calibration of one instrument.

    Args:
        moments: Of its raw readings.
        line: Their least-squares line.
        sample: Readings to look at for what the moments don't tell.
        source: Where they come from.
        log: Autocorrelation, if the readings are a log.
        sgd: Where the optimiser ended, if one ran.
        finish: ``least_squares``, or ``sgd`` to hold the optimiser's line.
        snap: Named scale whose exact conversion to hold.
        lightning: Version of lightning, if it took part.
    """
    numbers = _numbers(line)
    n, pivot = int(numbers["n"] or 0), moments.mean_indication.item()
    held = _held(moments, numbers, sgd if finish == "sgd" else None, snap)
    k = coverage_factor(held["dof"]) if held["s"] is not None and held["dof"] > 0 else None
    found = _diagnostics(moments, numbers, held, sample, log)
    low, high = moments.lowest.item(), moments.highest.item()
    differences = compare(
        numbers["w"], numbers["b"], (low, high), u_w=numbers["u_w"], u_pivot=numbers["u_pivot"], pivot=pivot,
        dof=n - 2, below_rounding=bool(line.below_rounding),
    )  # fmt: skip
    return Calibration(
        **held,
        r_squared=numbers["r_squared"],
        n=n,
        coverage_probability=COVERAGE_PROBABILITY,
        coverage_factor=k,
        w_interval=_interval(held["w"], held["u_w"], k),
        b_interval=_interval(held["b"], held["u_b"], k),
        indication_range=(low, high),
        indication_mean=pivot,
        scale=differences.verdict(),
        sgd=sgd,
        diagnostics=found,
        **vars(source),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        version=__version__,
        torch=version("torch"),
        lightning=lightning,
    )


def _numbers(line: Line, index: int = 0) -> dict[str, Any]:
    """Returns one instrument's numbers, None for NaN."""
    values = {name: float(tensor[index]) for name, tensor in vars(line).items()}
    return {name: None if math.isnan(value) else value for name, value in values.items()}


def _held(moments: Moments, numbers: dict[str, Any], sgd: findings.Sgd | None, snap: str | None) -> dict[str, Any]:
    """Returns the line that the calibration holds, with its uncertainties: the exact one, SGD's, or a named scale's."""
    keys = ("w", "b", "u_w", "u_b", "cov_wb", "u_pivot", "s", "rmse")
    held: dict[str, Any] = {key: numbers[key] for key in keys}
    held |= {"dof": int(numbers["dof"]), "finish": "least_squares", "snap": None}
    held["below_rounding"] = bool(numbers["below_rounding"])
    if snap is not None:
        scale = SCALES[snap]
        rmse = math.sqrt(_mse(moments, scale.w, scale.b))
        held |= dict.fromkeys(("u_w", "u_b", "cov_wb", "u_pivot"), 0.0)
        exact = rmse <= rounding(moments, *_tensors(scale.w, scale.b)).item()
        held |= {"w": scale.w, "b": scale.b, "s": 0.0 if exact else rmse, "rmse": 0.0 if exact else rmse}
        held |= {"dof": int(numbers["n"]), "finish": "snap", "below_rounding": exact}
        held["snap"] = findings.Snap(snap, numbers["rmse"])
    elif sgd is not None:
        held |= {"w": sgd.w, "b": sgd.b, "rmse": math.sqrt(_mse(moments, sgd.w, sgd.b)), "finish": "sgd"}
        if not sgd.converged:
            held |= dict.fromkeys(("u_w", "u_b", "cov_wb", "u_pivot", "s"))
    return held


def _mse(moments: Moments, w: float, b: float) -> float:
    return moments.mse(*_tensors(w, b)).item()


def _tensors(w: float, b: float) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor([w], dtype=torch.float64), torch.tensor([b], dtype=torch.float64)


def _diagnostics(
    moments: Moments, numbers: dict[str, Any], held: dict[str, Any], sample: Sample, log: Autocorrelation | None
) -> findings.Diagnostics:
    errors = log.errors.item() if log is not None else 0.0
    found = diagnose(
        sample, held["w"], held["b"], s=numbers["s"] or 0.0, n=int(numbers["n"]), pivot=moments.mean_indication.item(),
        sxx=moments.sxx.item(), rho=errors,
    )  # fmt: skip
    slope_p = tail_of_f((numbers["w"] / numbers["u_w"]) ** 2, int(numbers["dof"])) if numbers["u_w"] else None
    autocorrelation = None
    if log is not None:
        autocorrelation = findings.Autocorrelation(errors, log.indications.item(), int(log.pairs.item()))
    return findings.Diagnostics(**found, slope_p=slope_p, autocorrelation=autocorrelation)


def _interval(value: float, u: float | None, k: float | None) -> tuple[float, float] | None:
    return None if u is None or k is None else (value - k * u, value + k * u)

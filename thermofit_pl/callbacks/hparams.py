"""A run's row among other runs: its settings, and what came of them."""

from __future__ import annotations

import math

from lightning.pytorch import Trainer

from thermofit_pl.calibration.calibration import Calibration
from thermofit_pl.calibration.calibrations import Calibrations
from thermofit_pl.reports.tensorboard import SETTINGS, Value
from thermofit_pl.training.datamodule import ReadingsDataModule
from thermofit_pl.training.module import CalibrationModule


def in_words(rule: float | str) -> str:
    """Says what indications are put through, as a number or a word."""
    return rule if isinstance(rule, str) else f"× {rule:g}"


def settings_of(trainer: Trainer, module: CalibrationModule) -> dict[str, Value]:
    """Returns a run's settings, by the names of ``SETTINGS``; the data by name and SHA-256, without their folder."""
    optimizer = trainer.optimizers[0]
    settings: dict[str, Value] = {
        "learning_rate": float(optimizer.param_groups[0]["lr"]),
        "steps": None if module.layout.total is None else float(module.layout.total),
        "update_rule": type(optimizer).__name__,
    }
    data = getattr(trainer, "datamodule", None)
    if isinstance(data, ReadingsDataModule):
        source = data.provenance()
        settings |= {
            "normalization": in_words(data.normalization_rule),
            "batch_size": "all" if data.batch_size is None else str(data.batch_size),
            "data": source.data_name,
            "table_sha256": source.data_sha256,
            "unit": source.unit,
        }
    assert settings.keys() <= SETTINGS.keys()
    return settings


def result_of(calibration: Calibration | Calibrations, final_loss: float) -> dict[str, float]:
    """Returns a run's results, by the tags of ``results``, as far as they are known.

    Args:
        calibration: What the run came to; of a fleet, the rmse over all readings, and the steps of the slowest.
        final_loss: The optimiser's, the mean over instruments [the square of the reference's unit].
    """
    values: dict[str, float | None] = {"loss": final_loss}
    if isinstance(calibration, Calibration):
        c, sgd = calibration, calibration.sgd
        values |= {"rmse": c.rmse} | dict(zip(c.coefficients.names, c.coefficients.values, strict=True))
        u = c.coefficients.u or [None] * len(c.coefficients.names)
        values |= {f"u_{name}": value for name, value in zip(c.coefficients.names, u, strict=True)}
        if sgd is not None:
            values["steps_needed"] = 0.0 if sgd.converged else sgd.steps_needed
    else:
        lined = calibration.frame.drop_nulls("rmse")
        n, rmse = (lined[name].to_numpy().astype(float) for name in ("n", "rmse"))
        values["rmse"] = math.sqrt(float(n @ rmse**2 / n.sum())) if lined.height else None
        values["steps_needed"] = _slowest(calibration)
    return {f"verdict/{name}": float(value) for name, value in values.items() if value is not None}


def _slowest(fleet: Calibrations) -> float | None:
    """The steps that the slowest instrument still needs; None where that can't be forecast."""
    ended = fleet.frame["sgd"].drop_nulls()
    if not len(ended) or "converged" not in ended.struct.fields:
        return None
    left = ended.filter(~ended.struct.field("converged").fill_null(value=True)).struct.field("steps_needed")
    if left.null_count():
        return None
    slowest = left.max()
    return float(slowest) if isinstance(slowest, int) else 0.0

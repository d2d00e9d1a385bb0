"""The result of a fit: its calibration, written into the run's folder."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import torch
from lightning import __version__
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from thermofit_pl.calibration.calibration import Calibration
from thermofit_pl.calibration.calibrations import Calibrations
from thermofit_pl.errors import Setting
from thermofit_pl.results.analyse import Analysis
from thermofit_pl.results.build import OptimizerOutcome, build
from thermofit_pl.results.columns import single, tabulate
from thermofit_pl.training.convergence import tolerances
from thermofit_pl.training.datamodule import ReadingsDataModule
from thermofit_pl.training.laps import is_plain_sgd
from thermofit_pl.training.module import CalibrationModule, calibration_module
from thermofit_pl.training.options import is_rehearsal


class WriteCalibration(Callback):
    """Finishes a fit: compares the optimiser's lines with the exact ones, and writes the calibration.

    One instrument's is ``calibration.json``, a fleet's ``calibrations.parquet``.

    Args:
        folder: The run's.
        csv: Whether a fleet's calibrations are written as CSV too.
        name: Names a setting that advice speaks of.

    Attributes:
        calibration: The result, once the training has ended.
        path: Where it was written.
    """

    def __init__(self, folder: Path, csv: bool = False, name: Callable[[Setting], str] = str) -> None:
        self.path = folder / "calibration.json"
        self.calibration: Calibration | Calibrations | None = None
        self._csv = csv
        self._name = name
        self._evidence: Future[Analysis] | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts to examine the readings, beside the optimiser, which needs nothing of that."""
        data = getattr(trainer, "datamodule", None)
        if isinstance(data, ReadingsDataModule) and trainer.is_global_zero:
            train = data.moments["train"]
            worker = ThreadPoolExecutor(1)
            examined = train, data.line, data.sample, data.log, data.units.reference, data.known
            self._evidence = worker.submit(Analysis.of, *examined)
            worker.shutdown(wait=False)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Makes the calibration and writes it."""
        data = getattr(trainer, "datamodule", None)
        if not isinstance(data, ReadingsDataModule) or self._evidence is None:
            return
        module = calibration_module(pl_module)
        result = build(
            self._evidence.result(),
            ended=ended(module, data, trainer.optimizers[0], self._name),
            finish="least_squares" if module.finish == "least_squares" else "sgd",
            snap=module.snap,
        )
        self._evidence = None
        if data.instruments is None:
            self.calibration = single(result, data.provenance(), lightning=__version__)
        else:
            self.path = self.path.with_name("calibrations.parquet")
            self.calibration = tabulate(
                result,
                data.instruments,
                data.provenance(),
                instrument_column=data.instrument,
                lightning=__version__,
            )
        if not is_rehearsal(trainer):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.calibration.save(self.path)
            if self._csv and isinstance(self.calibration, Calibrations):
                self.calibration.save(self.path.with_suffix(".csv"))


def ended(
    module: CalibrationModule,
    data: ReadingsDataModule,
    optimizer: torch.optim.Optimizer,
    name: Callable[[Setting], str] = str,
) -> OptimizerOutcome:
    """Compares where the optimiser ended with the least-squares lines."""
    raw = data.moments["train"]
    w, b = (value.cpu() for value in module.raw)
    plain = is_plain_sgd(optimizer) and data.batch_size is None
    return OptimizerOutcome.at(
        w,
        b,
        raw,
        normalized=raw.normalized(data.normalization.offset, data.normalization.scale) if plain else None,
        tolerance=tolerances(raw, data.line, module.tolerance),
        steps=module.steps,
        learning_rate=float(optimizer.param_groups[0]["lr"]),
        advice=lambda more: _advice(module, data, more, name),
    )


def _advice(
    module: CalibrationModule, data: ReadingsDataModule, steps: int | None, name: Callable[[Setting], str]
) -> str:
    if steps is not None:
        epochs = -(-(module.steps + steps) // module.steps_per_epoch)
        more = name(Setting("max_epochs", epochs))
        return (
            more
            if data.normalization_rule == "standard"
            else f"{more}, or {name(Setting('normalization', 'standard'))}"
        )
    if data.batch_size is not None:
        return "more epochs, larger batches or a learning rate that falls; mini-batches go on wandering about the line"
    return f"more steps ({name(Setting('max_epochs'))}) or another learning rate"

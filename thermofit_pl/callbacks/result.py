"""What a run shows while it goes on, and the files that it leaves."""

from __future__ import annotations

import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from lightning import __version__
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ProgressBar
from tqdm.auto import tqdm

from thermofit_pl.calibration.calibration import Calibration
from thermofit_pl.calibration.calibrations import Calibrations
from thermofit_pl.files import atomic_write
from thermofit_pl.results.analyse import Evidence
from thermofit_pl.results.build import Ended, conclude
from thermofit_pl.results.columns import tabulate
from thermofit_pl.training.convergence import tolerances
from thermofit_pl.training.datamodule import ReadingsDataModule
from thermofit_pl.training.laps import is_plain_sgd
from thermofit_pl.training.module import CalibrationModule
from thermofit_pl.training.options import is_rehearsal

LINES = 20  # of losses that a run prints, at the most


class StepBar(ProgressBar):
    """One bar over all steps of a fit, and a line with the loss at the end of an epoch."""

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True
        self._bar: tqdm[Any] | None = None
        self._printed = -1

    def disable(self) -> None:
        """Shows nothing, as on all processes but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Shows the bar and the lines."""
        self._enabled = True

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the bar, where somebody can see it, once the module knows how many steps there will be."""
        if self._enabled and self._bar is None:
            module = own(pl_module)
            hidden = not sys.stderr.isatty()
            self._bar = tqdm(
                total=module.layout.total, initial=module.steps, unit=" steps", disable=hidden, leave=False
            )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Moves the bar."""
        if self._bar is not None:
            self._bar.update(own(pl_module).steps - self._bar.n)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prints the loss, at the end of every epoch where there are few, as the notebook does every 500 steps."""
        if self._enabled:
            module, epoch = own(pl_module), trainer.current_epoch + 1
            due = is_printed(epoch, self._epochs(trainer, module)) or trainer.fit_loop.done
            if due and module.steps > self._printed:
                self._printed = module.steps
                tqdm.write(f"step {module.steps:>7}   loss {module.last_loss():.6f}", file=sys.stdout)

    @staticmethod
    def _epochs(trainer: Trainer, module: CalibrationModule) -> int | None:
        """How many epochs the fit will have, where an end is set."""
        lap = module.steps_per_epoch if module.lap is not None else max(1, int(trainer.num_training_batches))
        return None if module.layout.total is None else -(-module.layout.total // lap)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Ends the bar."""
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Ends the bar, so that what is said next stands on a line of its own."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def is_printed(epoch: int, epochs: int | None) -> bool:
    """Whether an epoch's loss is printed: at most ``LINES`` of a fit, and where no end is set, ever fewer.

    Args:
        epoch: Counted from 1.
        epochs: How many the fit will have.
    """
    return epoch & (epoch - 1) == 0 if epochs is None else epoch % max(1, -(-epochs // LINES)) == 0


class SaveConfig(Callback):
    """Saves the configuration as ``config.yaml`` into the run's folder, whatever the logger.

    Args:
        folder: The run's.
        text: The configuration, as YAML.
    """

    def __init__(self, folder: Path, text: str) -> None:
        self.path = folder / "config.yaml"
        self._text = text

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Saves it, on the first process."""
        if trainer.is_global_zero:
            with atomic_write(self.path) as path:
                path.write_text(self._text, encoding="utf-8")


class WriteCalibration(Callback):
    """Finishes a fit: compares the optimiser's lines with the exact ones, and writes the calibration.

    One instrument's is ``calibration.json``, a fleet's ``calibrations.parquet``.

    Args:
        folder: The run's.
        csv: Whether a fleet's calibrations are written as CSV too.

    Attributes:
        calibration: The result, once the training has ended.
        path: Where it was written.
    """

    def __init__(self, folder: Path, csv: bool = False) -> None:
        self.path = folder / "calibration.json"
        self.calibration: Calibration | Calibrations | None = None
        self._csv = csv
        self._evidence: Future[Evidence] | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts to examine the readings, beside the optimiser, which needs nothing of that."""
        data = getattr(trainer, "datamodule", None)
        if isinstance(data, ReadingsDataModule) and trainer.is_global_zero:
            train = data.moments["train"]
            worker = ThreadPoolExecutor(1)
            self._evidence = worker.submit(Evidence.of, train, data.line, data.sample, data.log)
            worker.shutdown(wait=False)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Makes the calibration and writes it."""
        data = getattr(trainer, "datamodule", None)
        if not isinstance(data, ReadingsDataModule) or self._evidence is None:
            return
        module = own(pl_module)
        result = conclude(
            self._evidence.result(),
            ended=ended(module, data, trainer.optimizers[0]),
            finish="least_squares" if module.finish == "least_squares" else "sgd",
            snap=module.snap,
        )
        self._evidence = None
        if data.instruments is None:
            self.calibration = result.calibration(data.provenance(), lightning=__version__)
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


def ended(module: CalibrationModule, data: ReadingsDataModule, optimizer: torch.optim.Optimizer) -> Ended:
    """Compares where the optimiser ended with the least-squares lines."""
    raw = data.moments["train"]
    w, b = (value.cpu() for value in module.raw)
    plain = is_plain_sgd(optimizer) and data.batch_size is None
    return Ended.at(
        w,
        b,
        raw,
        normalized=raw.normalized(data.normalization.offset, data.normalization.scale) if plain else None,
        tolerance=tolerances(raw, data.line, module.tolerance),
        steps=module.steps,
        learning_rate=float(optimizer.param_groups[0]["lr"]),
        advice=lambda more: _advice(module, data, more),
    )


def _advice(module: CalibrationModule, data: ReadingsDataModule, steps: int | None) -> str:
    if steps is not None:
        epochs = -(-(module.steps + steps) // module.steps_per_epoch)
        more = f"--trainer.max_epochs {epochs}"
        return more if data.normalization_rule == "standard" else f"{more}, or --data.normalization standard"
    if data.batch_size is not None:
        return "more epochs, larger batches or a learning rate that falls; mini-batches go on wandering about the line"
    return "more steps (--trainer.max_epochs) or another learning rate"


def own(module: LightningModule) -> CalibrationModule:
    """Returns the module as what it is.

    Raises:
        TypeError: If it is another one.
    """
    if not isinstance(module, CalibrationModule):
        raise TypeError(f"Expected a CalibrationModule, but got {type(module).__name__}")
    return module

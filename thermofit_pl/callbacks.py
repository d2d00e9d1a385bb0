"""What a run shows while it goes on, and the files that it leaves."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from lightning import __version__
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ProgressBar
from tqdm.auto import tqdm

from thermofit_pl.calibration import Calibration
from thermofit_pl.datamodule import ReadingsDataModule
from thermofit_pl.files import atomic_write
from thermofit_pl.findings import Sgd
from thermofit_pl.finish import calibrate
from thermofit_pl.laps import is_plain_sgd
from thermofit_pl.least_squares import distance, steps_needed
from thermofit_pl.module import CalibrationModule
from thermofit_pl.options import is_rehearsal

LINES = 20  # of losses that a run prints, at the most


class StepBar(ProgressBar):
    """One bar over all steps of a fit, and a line with the loss at the end of an epoch."""

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True
        self._bar: tqdm[Any] | None = None

    def disable(self) -> None:
        """Shows nothing, as on all processes but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Shows the bar and the lines."""
        self._enabled = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the bar, where somebody can see it."""
        if self._enabled:
            module = own(pl_module)
            hidden = not sys.stderr.isatty()
            self._bar = tqdm(total=module.total_steps, initial=module.steps, unit=" steps", disable=hidden, leave=False)

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
            if is_printed(epoch, self._epochs(trainer, module)) or trainer.fit_loop.done:
                tqdm.write(f"step {module.steps:>7}   loss {module.last_loss():.6f}", file=sys.stdout)

    @staticmethod
    def _epochs(trainer: Trainer, module: CalibrationModule) -> int | None:
        """How many epochs the fit will have, where an end is set."""
        lap = module.steps_per_epoch if module.lap is not None else max(1, int(trainer.num_training_batches))
        return None if module.total_steps is None else -(-module.total_steps // lap)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Ends the bar."""
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Ends the bar, so that what is said next stands on a line of its own."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()


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
    """Finishes a fit: compares SGD with the exact line, and writes ``calibration.json``.

    Args:
        folder: The run's.

    Attributes:
        calibration: The result, once the training has ended.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "calibration.json"
        self.calibration: Calibration | None = None

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Makes the calibration and writes it."""
        data = getattr(trainer, "datamodule", None)
        if not isinstance(data, ReadingsDataModule) or not trainer.is_global_zero:
            return
        module = own(pl_module)
        assert data.line is not None
        self.calibration = calibrate(
            data.moments["train"],
            data.line,
            data.sample,
            data.provenance(),
            log=data.log,
            sgd=sgd_report(module, data, trainer.optimizers[0]),
            finish="least_squares" if module.finish == "least_squares" else "sgd",
            snap=module.snap,
            lightning=__version__,
        )
        if not is_rehearsal(trainer):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.calibration.save(self.path)


def sgd_report(module: CalibrationModule, data: ReadingsDataModule, optimizer: torch.optim.Optimizer) -> Sgd:
    """Compares where the optimiser ended with the least-squares line."""
    assert data.normalization is not None
    assert data.line is not None
    raw = data.moments["train"]
    moments = raw.normalized(data.normalization.offset, data.normalization.scale)
    w, b = (value.cpu() for value in module.raw)
    away = distance(raw, w, b)
    tolerance = module.tolerances.cpu()
    converged = bool((away <= tolerance).all())
    rate = float(optimizer.param_groups[0]["lr"])
    plain = is_plain_sgd(optimizer) and data.batch_size is None
    steps = steps_needed(moments, away, tolerance, rate).item() if plain and not converged else float("inf")
    forecast = int(steps) if steps < 1e15 else None
    return Sgd(
        w=w.item(),
        b=b.item(),
        loss=raw.mse(w, b).item(),
        steps=module.steps,
        learning_rate=rate,
        converged=converged,
        distance=away.item(),
        distance_w=(w - data.line.w).item(),
        distance_b=(b - data.line.b).item(),
        steps_needed=forecast,
        advice=None if converged else _advice(module, data, forecast),
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

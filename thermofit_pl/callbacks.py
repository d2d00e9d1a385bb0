"""What a run shows while it goes on, and the files that it leaves."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import torch
from lightning import __version__
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, Checkpoint, ProgressBar
from lightning.pytorch.cli import SaveConfigCallback
from torch import Tensor
from tqdm.auto import tqdm

from thermofit_pl.calibration import Calibration
from thermofit_pl.datamodule import INDICATION, ReadingsDataModule
from thermofit_pl.files import atomic_write
from thermofit_pl.findings import Sgd
from thermofit_pl.finish import calibrate
from thermofit_pl.laps import Points, is_plain_sgd
from thermofit_pl.least_squares import distance, steps_needed
from thermofit_pl.module import CalibrationModule
from thermofit_pl.options import is_rehearsal

ESTIMATE = "estimate"  # the column that predict adds
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
        every = max(1, -(-(trainer.max_epochs or 1) // LINES))
        if self._enabled and ((trainer.current_epoch + 1) % every == 0 or trainer.should_stop):
            module = own(pl_module)
            tqdm.write(f"step {module.steps:>7}   loss {module.last_loss():.6f}", file=sys.stdout)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Ends the bar."""
        if self._bar is not None:
            self._bar.close()


class EpochCheckpoint(Checkpoint):
    """Saves ``last.ckpt`` at ends of epochs, at most about once in ``seconds``, and always at the end of the fit.

    Args:
        folder: Where to.
        seconds: Least time between two of them: one at every epoch would halve the speed of short ones.
    """

    def __init__(self, folder: Path, seconds: float = 1.0) -> None:
        self.path = folder / "last.ckpt"
        self._seconds = seconds
        self._last = -float("inf")
        self._saved_step = -1

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves, if it is time on the first process."""
        due = time.monotonic() - self._last >= self._seconds
        if trainer.strategy.broadcast(due) if trainer.world_size > 1 else due:
            self._save(trainer, own(pl_module).steps)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves the end of the fit."""
        if own(pl_module).steps != self._saved_step:
            self._save(trainer, own(pl_module).steps)

    def _save(self, trainer: Trainer, step: int) -> None:
        if not is_rehearsal(trainer):
            trainer.save_checkpoint(self.path)
            self._last, self._saved_step = time.monotonic(), step


class SaveConfig(SaveConfigCallback):
    """Saves the configuration as ``config.yaml`` into the run's folder, whatever the logger."""

    def __init__(self, *args: Any, folder: Path, **kwargs: Any) -> None:  # Lightning's own arguments, handed on
        super().__init__(*args, **kwargs)
        self.folder = folder

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Saves it, on the first process."""
        if trainer.is_global_zero and not self.already_saved:
            text = self.parser.dump(self.config, skip_none=False)
            self.folder.mkdir(parents=True, exist_ok=True)
            with atomic_write(self.folder / self.config_filename) as path:
                path.write_text(text, encoding="utf-8")
            self.already_saved = True


class Curves(Callback):
    """Writes the curves of a fit to its loggers, against the number of steps: some hundred points of each."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Writes the points of a lap, or of a mini-batch's step."""
        module = own(pl_module)
        if not trainer.loggers or not trainer.is_global_zero:
            return
        points = module.lap.points if module.lap is not None else self._point(module, outputs)
        moments = module.moments
        for step, loss, w, b in zip(points.steps, points.loss, points.w, points.b, strict=True):
            curve = {"train/loss": loss}
            if len(w) == 1:
                raw_w, raw_b = module.to_raw(w, b)
                curve |= {"line/w": raw_w.item(), "line/b": raw_b.item()}
                if moments is not None:
                    curve["line/distance"] = distance(moments, w, b).item()
            for logger in trainer.loggers:
                logger.log_metrics(curve, step)

    def _point(self, module: CalibrationModule, outputs: Any) -> Points:
        if not module.is_shown(module.steps):
            return Points()
        loss = float(outputs["loss"])
        return Points([module.steps], [loss], [module.w.detach().cpu()], [module.b.detach().cpu()])

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the scores of the validation readings."""
        self._scores(trainer, own(pl_module).steps, "val/")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the scores of the test readings."""
        self._scores(trainer, own(pl_module).steps, "test/")

    def _scores(self, trainer: Trainer, step: int, prefix: str) -> None:
        scores = {name: value.item() for name, value in trainer.callback_metrics.items() if name.startswith(prefix)}
        for logger in trainer.loggers:
            logger.log_metrics(scores, step)


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


class WritePredictions(Callback):
    """Writes ``predictions`` with every column of the table and the estimate of each row.

    Args:
        folder: The run's.

    Attributes:
        path: Where they were written.
        count: How many rows.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path: Path | None = None
        self.count = 0
        self._estimates: list[Tensor] = []

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keeps a batch's estimates: eight bytes a row."""
        self._estimates.append(outputs.detach().cpu())

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Joins them to the table and writes it, in the format of the input."""
        import polars as pl

        table = trainer.datamodule.table  # type: ignore[attr-defined]  # set by the connector, not in the class
        estimate = pl.Series(ESTIMATE, torch.cat(self._estimates).numpy()).fill_nan(None)
        suffix = {"parquet": ".parquet", "arrow": ".arrow"}.get(table.kind, ".csv")
        self.path, self.count = self.folder / f"predictions{suffix}", len(estimate)
        self.folder.mkdir(parents=True, exist_ok=True)
        frame = table.frames(INDICATION).drop(INDICATION).with_columns(pl.lit(estimate))
        with atomic_write(self.path) as path:
            sink = {".parquet": frame.sink_parquet, ".arrow": frame.sink_ipc, ".csv": frame.sink_csv}[suffix]
            sink(path)


def own(module: LightningModule) -> CalibrationModule:
    """Returns the module as what it is.

    Raises:
        TypeError: If it is another one.
    """
    if not isinstance(module, CalibrationModule):
        raise TypeError(f"Expected a CalibrationModule, but got {type(module).__name__}")
    return module

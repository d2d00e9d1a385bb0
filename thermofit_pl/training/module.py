"""The Lightning module: ``w`` and ``b`` as parameters, the MSE loss, and the steps of SGD."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from thermofit_pl.errors import InputError, Setting
from thermofit_pl.functional.scales import scales_in
from thermofit_pl.metrics.least_squares import distance
from thermofit_pl.metrics.moments import Moments, Readings
from thermofit_pl.metrics.scores import InstrumentScores, Scores, rows_of
from thermofit_pl.tables.labels import index_of
from thermofit_pl.training.convergence import StopWhenConverged
from thermofit_pl.training.datamodule import Normalization, ReadingsDataModule
from thermofit_pl.training.divergence import RefuseDivergence
from thermofit_pl.training.instruments import checked, mini_batch, names_in, readings_of, refuse_another_fit
from thermofit_pl.training.laps import Lap
from thermofit_pl.training.options import refuse_batch_options, refuse_options
from thermofit_pl.training.scalars import Scalars
from thermofit_pl.training.steps import StepLayout
from thermofit_pl.training.training_scores import TrainingScores

TOLD = 50  # mini-batches between two losses that Lightning is told: its log takes longer than a step

Batch = Moments | Readings | tuple[Tensor, ...]
ScaleName = Literal["celsius", "fahrenheit", "kelvin", "rankine", "reaumur", "delisle", "newton", "romer"]


class CalibrationModule(LightningModule):
    """The line ``reference = w · indication + b``, trained on the mean squared error.

    With the full batch (``Moments``), one Lightning epoch is ``steps_per_epoch`` steps of the optimiser; with
    mini-batches (``Readings``, or a loader of your own that gives tuples of raw indications and references, and of
    several instruments the index of each reading's), it is one pass over them.

    Args:
        w: Slope that SGD starts from [°C per normalised unit].
        b: Intercept that SGD starts from [°C].
        learning_rate: The optimiser's, unless --optimizer.lr is given.
        steps_per_epoch: Steps of the optimiser in one Lightning epoch, with the full batch.
        dtype: Type of w and b: float64, or float32 as in the notebook.
        finish: What the calibration holds: 'least_squares', the exact line of the same readings, or 'none', where SGD
            ended.
        tolerance: How near to the exact line, over the calibrated range, SGD counts as converged, in the reference's
            unit. The default is a tenth of the line's standard uncertainty at the mean indication.
        stop_when_converged: Whether SGD stops as soon as it is within the tolerance.
        snap: Named scale whose exact conversion the calibration holds in the place of a fitted line.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> module, data = CalibrationModule(), ReadingsDataModule()
        >>> quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        >>> trainer = Trainer(max_epochs=10, enable_model_summary=False, **quiet)
        >>> trainer.fit(module, data)
        >>> round(module.w.item(), 4), round(module.b.item(), 4)
        (5.3671, -17.3012)
    """

    w: nn.Parameter
    b: nn.Parameter
    offset: Tensor
    scale: Tensor
    steps_done: Tensor
    line: Tensor

    def __init__(
        self,
        w: float = 1.0,
        b: float = 0.0,
        learning_rate: float = 1e-2,
        steps_per_epoch: int = 500,
        dtype: Literal["float64", "float32"] = "float64",
        finish: Literal["least_squares", "none"] = "least_squares",
        tolerance: float | None = None,
        stop_when_converged: bool = False,
        snap: ScaleName | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.learning_rate = _positive("learning_rate", learning_rate)
        self.steps_per_epoch = int(_positive("steps_per_epoch", steps_per_epoch))
        self.finish = finish
        self.tolerance = None if tolerance is None else _positive("tolerance", tolerance)
        self.stop_when_converged = stop_when_converged
        self.snap = snap
        start = torch.tensor([[w], [b]], dtype=torch.float64 if dtype == "float64" else torch.float32)
        if not start.isfinite().all():
            raise InputError(
                Setting("w"), ", ", Setting("b"), f": expected finite numbers to start from, but got {w} and {b}"
            )
        self.w, self.b = nn.Parameter(start[0].clone()), nn.Parameter(start[1].clone())
        self.register_buffer("offset", torch.zeros(1, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(1, dtype=torch.float64))
        self.register_buffer("steps_done", torch.tensor(0))
        # the calibration's line, shape (2, instruments), in raw indications; NaN while it is SGD's, inf where an
        # instrument has none
        self.register_buffer("line", torch.full((2, 1), torch.nan, dtype=torch.float64))
        self.instruments: list[str] | None = None  # their names, in the order of w and b; None for one without a name
        self.scores = Scores()
        self.instrument_scores: InstrumentScores | None = None  # of the last validation or test of several
        self._lined: Tensor | None = None  # which instruments a line can be found for, while a fit runs
        self.steps = 0  # of the optimiser, made so far; a lap makes many in one of Lightning's batches
        self.layout = StepLayout()
        self.lap: Lap | None = None
        self._loss = math.nan

    def forward(self, indication: Tensor, instrument: Tensor | None = None) -> Tensor:
        """Returns the estimates [°C] of raw indications by the line that the calibration holds.

        Args:
            indication: Any shape [indicated unit].
            instrument: Index of each one's instrument, of the same shape (``index`` makes it of names); None where
                there is one instrument.

        Returns:
            Estimates of the same shape; NaN for an instrument that is unknown, or has no line.

        Raises:
            InputError: There are several instruments, and no such index.
        """
        w, b = self.calibrated
        if instrument is not None or len(w) > 1:
            instrument = checked(instrument, indication, len(w))
            w, b = rows_of(w, instrument), rows_of(b, instrument)
        return w * indication + b

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Returns the batch's mean squared error [°C²], summed over instruments so that each keeps its own gradient."""
        if isinstance(batch, Moments | Readings):
            loss = batch.mse(self.w, self.b)
            loss = loss.sum() if loss.ndim else loss
        else:
            loss = mini_batch(batch, self.instruments, self.offset, self.scale).mse(self.w, self.b)
        shared = isinstance(batch, Readings) and batch.weight is not None  # then the processes' mean is the batch's
        due = batch_idx % TOLD == 0 or self.trainer.is_last_batch or (shared and self.layout.shows(self.steps + 1))
        if due or self.steps + 1 == self.layout.total:
            shown = loss.detach() / len(self.w)
            self.log("train/loss", shown, prog_bar=True, logger=False, batch_size=1, sync_dist=shared)
        return loss

    def validation_step(self, batch: Moments | tuple[Tensor, ...], batch_idx: int) -> None:
        """Scores SGD's line while a fit runs, else the calibration's; each reading by its own instrument's."""
        self.scores.update(
            batch if isinstance(batch, Moments) else readings_of(batch, self.instruments), *self.scored_line
        )

    def test_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> None:
        """Scores the calibration's line; each reading by its own instrument's."""
        self.scores.update(readings_of(batch, self.instruments), *self.scored_line)

    def predict_step(self, batch: Tensor | tuple[Tensor, ...], batch_idx: int) -> Tensor:
        """Returns the estimates [°C] of raw indications, which come alone, or first and their instruments last."""
        indication, *more = [batch] if isinstance(batch, Tensor) else batch
        estimate: Tensor = self(indication, more[-1] if more and self.instruments is not None else None)
        return estimate

    def configure_optimizers(self) -> Optimizer:
        """Returns plain SGD."""
        return SGD([self.w, self.b], lr=self.learning_rate)

    def configure_callbacks(self) -> list[Callback]:
        """Returns what every Trainer of this module needs, on the command line and in Python."""
        self.layout = StepLayout()
        needed: list[Callback] = [self.layout, RefuseDivergence(), TrainingScores()]
        if not any(isinstance(each, Scalars) for each in self.trainer.callbacks):  # type: ignore[attr-defined]  # set by the connector
            needed.append(Scalars())
        return [*needed, StopWhenConverged(self.tolerance)] if self.stop_when_converged else needed

    def setup(self, stage: str) -> None:
        """Takes the normalisation and the exact line from the data module.

        Raises:
            InputError: For Trainer options that can't be kept.
        """
        refuse_options(self.trainer)
        self._lined = None
        data: ReadingsDataModule | None = getattr(self.trainer, "datamodule", None)
        if stage != "fit" or not isinstance(data, ReadingsDataModule):
            return
        self.instruments = data.instruments
        self.normalize(data.normalization)
        self._lined = data.line.w.isfinite().all(dim=-1) & data.line.b.isfinite()
        if data.batch_size is None:
            refuse_batch_options(self.trainer)
        if self.snap is not None:
            if not data.units.is_temperature:
                raise InputError(
                    f"--model.snap: expected a reference in °C, °F or K (--data.unit), as {self.snap} is a scale of "
                    f"temperature, but got {data.units.reference}; leave it out"
                )
            scale = scales_in(data.units.reference)[self.snap]
            exact = torch.tensor([[scale.w], [scale.b]], dtype=torch.float64)
            self.line = exact.repeat(1, len(self.w))  # one column an instrument, as a checkpoint expects it
        elif self.finish == "least_squares":
            self.line = torch.where(self._lined, torch.stack([data.line.w[:, 0], data.line.b]), torch.inf)
        else:
            self.line = torch.full_like(self.line, torch.nan)

    def on_train_start(self) -> None:
        """Goes on from the steps of a checkpoint."""
        self.steps = int(self.steps_done)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> int | None:
        """Prepares the lap, if the batch is that of all readings; ends the epoch if no step is left to make."""
        self.lap, count = None, self._steps_left()
        if count < 1:
            self.trainer.should_stop = True
            return -1
        if isinstance(batch, Moments):
            first = self.steps + 1
            self.lap = Lap(batch, self.w, self.b, first, count, self.layout.between(first, self.steps + count))
        return None

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Any,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """Makes one step; with the full batch, the first of a lap by Lightning's own way, and then the rest of the lap.

        So the closure, its hooks, the precision plugin and the optimiser's state keep Lightning's contract.
        """
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        if self.lap is not None:
            self.lap.finish(optimizer.optimizer)
        self.steps += 1 if self.lap is None else self.lap.count
        self.steps_done.fill_(self.steps)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Stops the run when its steps are made."""
        self._loss = float(outputs["loss"]) / len(self.w)
        if self._steps_left() < 1:
            self.trainer.should_stop = True

    def on_validation_epoch_end(self) -> None:
        """Logs the scores of the validation readings."""
        self._log_scores("val")

    def on_test_epoch_end(self) -> None:
        """Logs the scores of the test readings."""
        self._log_scores("test")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the names of the instruments, in the order of w and b."""
        checkpoint["instruments"] = self.instruments

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Makes room for the instruments of a checkpoint.

        Raises:
            InputError: If it lacks their names, or a fit would go on with other instruments, or with the same readings
                seen through another normalisation.
        """
        before, trainer, names = checkpoint["state_dict"], self._trainer, names_in(checkpoint)
        same = torch.equal(self.offset.cpu(), before["offset"]) and torch.equal(self.scale.cpu(), before["scale"])
        fits = trainer is not None and trainer.state.fn == TrainerFn.FITTING
        if fits and isinstance(getattr(trainer, "datamodule", None), ReadingsDataModule):
            refuse_another_fit(names, self.instruments, same_normalization=same)
        self.instruments = names
        self._resize(len(before["w"]))

    @property
    def raw(self) -> tuple[Tensor, Tensor]:
        """SGD's slope [°C per unit] and intercept [°C] for raw indications, each of shape ``(instruments,)``."""
        return self.to_raw(self.w, self.b)

    @property
    def calibrated(self) -> tuple[Tensor, Tensor]:
        """Slope and intercept of the line that the calibration holds, for raw indications; NaN where there is none."""
        w, b = torch.where(self.line.isnan(), torch.stack(self.raw), self.line)
        none = w.isinf() | b.isinf()
        return torch.where(none, torch.nan, w), torch.where(none, torch.nan, b)

    def index(self, names: Sequence[str]) -> Tensor:
        """Returns the index of each instrument by its name, shape ``(N,)``; −1 for one that is unknown.

        Raises:
            InputError: The module has one instrument, without a name.
        """
        if self.instruments is None:
            raise InputError("Expected instruments with names, but the module is of one without; give no instrument.")
        return torch.from_numpy(index_of(names, self.instruments))

    def normalize(self, normalization: Normalization) -> None:
        """Takes over a normalisation, with room for its instruments."""
        self._resize(len(normalization.scale))
        self.offset = normalization.offset[:, 0].to(self.offset)
        self.scale = normalization.scale[:, 0, 0].to(self.scale)

    def distance(self, moments: Moments) -> Tensor:
        """Returns SGD's distance from the least-squares line of normalised readings, shape ``(instruments,)`` [°C]."""
        return distance(moments, self.w.detach(), self.b.detach())

    def _resize(self, instruments: int) -> None:
        """Gives each instrument the start of the first; keeps the Parameters, which an optimiser may hold."""
        if len(self.w) != instruments:
            for parameter in (self.w, self.b):
                parameter.data = parameter.data[:1].repeat(instruments)
            self.offset, self.scale = self.offset[:1].repeat(instruments), self.scale[:1].repeat(instruments)
            self.line = self.line[:, :1].repeat(1, instruments)
        self.scores = Scores(None if self.instruments is None else instruments)

    def last_loss(self) -> float:
        """Returns the loss before the last step, the mean over instruments [°C²]."""
        if self.lap is not None:
            return self.lap.last_loss()
        return self._loss if self.trainer.world_size == 1 else self.trainer.callback_metrics["train/loss"].item()

    def to_raw(self, w: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Returns slope and intercept for raw indications from those for normalised ones."""
        slope = w.detach().double() * self.scale.to(w.device)
        return slope, b.detach().double() - slope * self.offset.to(w.device)

    def _steps_left(self) -> int:
        """Returns how many steps an epoch may make yet, with the full batch."""
        end = self.layout.max_steps
        return self.steps_per_epoch if end == -1 else min(self.steps_per_epoch, end - self.steps)

    @property
    def scored_line(self) -> tuple[Tensor, Tensor]:
        """The line that is scored: SGD's while a fit runs, of instruments that can have one, else the calibration's."""
        if self.trainer.state.fn != TrainerFn.FITTING:
            return self.calibrated
        w, b = self.raw
        return (w, b) if self._lined is None else (torch.where(self._lined.to(w.device), w, torch.nan), b)

    def _log_scores(self, stage: str) -> None:
        scores, self.instrument_scores = self.scores.compute(*self.scored_line)
        logged = {f"{stage}/{name}": score for name, score in scores.items()}
        logger: bool | None = False  # of a fit, ``Scalars`` writes them
        if self.trainer.state.fn != TrainerFn.FITTING:
            logger = None  # as True, without a warning where there is no logger: ``test`` returns what is logged
            logged["step"] = self.steps_done.double()  # Lightning then logs them at it
        for name, score in logged.items():
            # every process has the same value, and the largest of them is it; Lightning's mean would round it to
            # float32
            self.log(name, score, logger=logger, batch_size=1, reduce_fx="max", sync_dist=True)
        self.scores.reset()


def _positive(argument: str, value: float) -> float:
    if not (math.isfinite(value) and value > 0):
        raise InputError(Setting(argument), f": expected a positive number, but got {value}")
    return value


def calibration_module(module: LightningModule) -> CalibrationModule:
    """Returns the module as what it is.

    Raises:
        TypeError: If it is another one.
    """
    if not isinstance(module, CalibrationModule):
        raise TypeError(f"Expected a CalibrationModule, but got {type(module).__name__}")
    return module

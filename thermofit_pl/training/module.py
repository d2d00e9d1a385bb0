"""The Lightning module: ``w`` and ``b`` as parameters, the MSE loss, and the steps of SGD."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from thermofit_pl.errors import InputError
from thermofit_pl.functional.scales import SCALES
from thermofit_pl.metrics.least_squares import Line, distance, rounding
from thermofit_pl.metrics.moments import Moments, Readings
from thermofit_pl.metrics.scores import Scores, scores_of
from thermofit_pl.training.datamodule import Normalization, ReadingsDataModule
from thermofit_pl.training.laps import Lap, shown_steps
from thermofit_pl.training.loaders import FullBatch
from thermofit_pl.training.options import refuse_batch_options, refuse_divergence, refuse_options

ENDLESS = 1000  # epochs that a curve is laid out for where no end is set
TOLD = 50  # mini-batches between two losses that Lightning is told: its log takes longer than a step
GROWTH = 1e8  # of the loss, beyond which a run diverges: momentum overshoots a thousandfold and comes back

Batch = Moments | Readings | tuple[Tensor, Tensor]
ScaleName = Literal["celsius", "fahrenheit", "kelvin", "rankine", "reaumur", "delisle", "newton", "romer"]


class CalibrationModule(LightningModule):
    """The line ``reference = w · indication + b``, trained on the mean squared error.

    With the full batch (``Moments``), one Lightning epoch is ``steps_per_epoch`` steps of the optimiser; with
    mini-batches (``Readings``, or a loader of your own that gives tuples of raw indications and references), it is one
    pass over them.

    Args:
        w: Slope that SGD starts from [°C per normalised unit].
        b: Intercept that SGD starts from [°C].
        learning_rate: The optimiser's, unless --optimizer.lr is given.
        steps_per_epoch: Steps of the optimiser in one Lightning epoch, with the full batch.
        dtype: Type of w and b: float64, or float32 as in the notebook.
        finish: What the calibration holds: 'least_squares', the exact line of the same readings, or 'none', where SGD
            ended.
        tolerance: Within how many °C of the exact line, over the calibrated range, SGD counts as converged. The
            default is a tenth of the line's standard uncertainty at the mean indication.
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
            raise InputError(f"--model.w, --model.b: expected finite numbers to start from, but got {w} and {b}")
        self.w, self.b = nn.Parameter(start[0].clone()), nn.Parameter(start[1].clone())
        self.register_buffer("offset", torch.zeros(1, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(1, dtype=torch.float64))
        self.register_buffer("steps_done", torch.tensor(0))
        # the calibration's line, shape (2, instruments), in raw indications and °C; NaN while it is SGD's
        self.register_buffer("line", torch.full((2, 1), torch.nan, dtype=torch.float64))
        self.scores = Scores()
        self.steps = 0
        self.total_steps: int | None = None
        self.lap: Lap | None = None
        self.moments: Moments | None = None
        self._loss = math.nan
        self._max_steps = -1
        self._limit_val_batches: float | None = None  # Trainer's, while a fit without held-out readings runs
        self._bound: float | None = None
        self._shown: list[int] = []
        self.tolerances = torch.zeros(1, dtype=torch.float64)

    def forward(self, indication: Tensor) -> Tensor:
        """Returns the estimates [°C] of raw indications, shape ``(N,)``, by the line that the calibration holds."""
        w, b = self.calibrated
        return w * indication + b

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Returns the batch's mean squared error [°C²], summed over instruments so that each keeps its own gradient."""
        if isinstance(batch, Moments | Readings):
            loss = batch.mse(self.w, self.b)
            loss = loss.sum() if loss.ndim else loss
        else:
            indication, reference = batch
            loss = Readings((indication - self.offset) * self.scale, reference).mse(self.w, self.b)
        shared = isinstance(batch, Readings) and batch.weight is not None  # then the processes' mean is the batch's
        due = batch_idx % TOLD == 0 or self.trainer.is_last_batch or (shared and self.is_shown(self.steps + 1))
        if due or self.steps + 1 == self.total_steps:
            shown = loss.detach() / len(self.w)
            self.log("train/loss", shown, prog_bar=True, logger=False, batch_size=1, sync_dist=shared)
        return loss

    def validation_step(self, batch: Moments | tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Scores SGD's line while a fit runs, else the calibration's."""
        self.scores.update(batch, *self._scored_line)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Scores the calibration's line."""
        self.scores.update(batch, *self._scored_line)

    def predict_step(self, batch: Tensor | tuple[Tensor, ...], batch_idx: int) -> Tensor:
        """Returns the estimates [°C] of raw indications."""
        estimate: Tensor = self(batch if isinstance(batch, Tensor) else batch[0])
        return estimate

    def configure_optimizers(self) -> Optimizer:
        """Returns plain SGD."""
        return SGD([self.w, self.b], lr=self.learning_rate)

    def setup(self, stage: str) -> None:
        """Takes the normalisation from the data module, and refuses Trainer options that can't be kept.

        Raises:
            InputError: For such an option.
        """
        refuse_options(self.trainer)
        if stage == "fit":  # Trainer would count laps, and go on from an epoch's end as if from within that epoch
            limits = self.trainer.fit_loop.epoch_loop
            self._max_steps, limits.max_steps = limits.max_steps, -1
        data: ReadingsDataModule | None = getattr(self.trainer, "datamodule", None)
        if stage != "fit" or not isinstance(data, ReadingsDataModule):
            return
        self.normalize(data.normalization)
        if data.batch_size is None:
            refuse_batch_options(self.trainer)
        self.tolerances = tolerances(data.moments["train"], data.line, self.tolerance)
        if self.snap is not None:
            exact = torch.tensor([[SCALES[self.snap].w], [SCALES[self.snap].b]], dtype=torch.float64)
            self.line = exact.repeat(1, len(self.w))  # one column an instrument, as a checkpoint expects it
        elif self.finish == "least_squares":
            self.line = torch.stack([data.line.w, data.line.b])
        if not data.held_out("val"):
            self._limit_val_batches, self.trainer.limit_val_batches = self.trainer.limit_val_batches, 0

    def teardown(self, stage: str) -> None:
        """Gives the Trainer back as it was."""
        if stage == "fit":
            self.trainer.fit_loop.epoch_loop.max_steps = self._max_steps
        if self._limit_val_batches is not None:
            self.trainer.limit_val_batches, self._limit_val_batches = self._limit_val_batches, None

    def on_train_start(self) -> None:
        """Lays out the steps, and refuses a learning rate with which SGD must diverge.

        Raises:
            InputError: For such a rate.
        """
        self.steps = int(self.steps_done)
        self._count_steps()
        if isinstance(self.trainer.train_dataloader, FullBatch):
            refuse_divergence(self.trainer.train_dataloader.moments, self.trainer.optimizers[0])

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> int | None:
        """Keeps the moments, if they are the batch; ends the epoch if no step is left to do."""
        self.moments = batch if isinstance(batch, Moments) else None
        self.lap = None
        if self._steps_left() < 1:
            self.trainer.should_stop = True
            return -1
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

        Raises:
            InputError: If w or b is no longer finite.
        """
        count = 1
        if self.moments is not None:
            first, count = self.steps + 1, self._steps_left()
            shown = self._shown[bisect_left(self._shown, first) : bisect_right(self._shown, first + count - 1)]
            self.lap = Lap(self.moments, self.w, self.b, first, count, shown)
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        if self.lap is not None:
            self.lap.go_on(optimizer.optimizer)
        self.steps += count
        self.steps_done.fill_(self.steps)
        if self.trainer.is_last_batch and self._limit_val_batches is not None:
            self._score_training()
        last = self.trainer.is_last_batch  # before it, the next mini-batch's loss would tell
        if last and not bool((self.w.isfinite() & self.b.isfinite()).all()):
            raise InputError(
                f"--model.learning_rate: expected one with which the optimiser converges, but with "
                f"{optimizer.param_groups[0]['lr']:g} w and b were infinite by step {self.steps}; lower it"
            )

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Stops the run when its steps are done, or when it has converged and should stop then.

        Raises:
            InputError: If it diverges.
        """
        before = float(outputs["loss"])
        self._loss = before / len(self.w)
        after = before if self.moments is None else self.moments.mse(self.w.detach(), self.b.detach()).sum().item()
        self._refuse_growth(before, after, batch)
        converged = self.moments is not None and self.stop_when_converged and self._is_near(self.moments)
        if converged or self._steps_left() < 1:
            self.trainer.should_stop = True

    def on_validation_epoch_end(self) -> None:
        """Logs the scores of the validation readings."""
        self._log_scores("val")

    def on_test_epoch_end(self) -> None:
        """Logs the scores of the test readings."""
        self._log_scores("test")

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Makes room for the instruments of a checkpoint.

        Raises:
            InputError: If a fit would go on with the same readings seen through another normalisation.
        """
        before, trainer = checkpoint["state_dict"], self._trainer
        same = torch.equal(self.offset.cpu(), before["offset"]) and torch.equal(self.scale.cpu(), before["scale"])
        fits = trainer is not None and trainer.state.fn == TrainerFn.FITTING
        if fits and isinstance(getattr(trainer, "datamodule", None), ReadingsDataModule) and not same:
            raise InputError(
                "--data.normalization: expected that of the checkpoint's run, but these readings are normalised "
                "differently; leave it out, with the split and the missing values as they were, or start a new fit"
            )
        self._resize(len(before["w"]))

    @property
    def raw(self) -> tuple[Tensor, Tensor]:
        """SGD's slope [°C per unit] and intercept [°C] for raw indications, each of shape ``(instruments,)``."""
        return self.to_raw(self.w, self.b)

    @property
    def calibrated(self) -> tuple[Tensor, Tensor]:
        """Slope and intercept of the line that the calibration holds, for raw indications."""
        w, b = self.raw
        known = self.line.isfinite().all(dim=0)
        return torch.where(known, self.line[0], w), torch.where(known, self.line[1], b)

    def normalize(self, normalization: Normalization) -> None:
        """Takes over a normalisation, with room for its instruments."""
        self._resize(len(normalization.scale))
        self.offset, self.scale = normalization.offset.to(self.offset), normalization.scale.to(self.scale)

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
            self.scores = Scores(instruments)

    def is_shown(self, step: int) -> bool:
        """Whether a curve shows a step."""
        index = bisect_left(self._shown, step)
        return index < len(self._shown) and self._shown[index] == step

    def last_loss(self) -> float:
        """Returns the loss before the last step, the mean over instruments [°C²]."""
        if self.lap is not None:
            return self.lap.last_loss()
        return self._loss if self.trainer.world_size == 1 else self.trainer.callback_metrics["train/loss"].item()

    def to_raw(self, w: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Returns slope and intercept for raw indications from those for normalised ones."""
        slope = w.detach().double() * self.scale.to(w.device)
        return slope, b.detach().double() - slope * self.offset.to(w.device)

    def _count_steps(self) -> None:
        """Lays out the curves over the run's steps."""
        trainer, lap = self.trainer, int(min(self.trainer.num_training_batches, 1_000_000))
        epochs = trainer.max_epochs if trainer.max_epochs not in (None, -1) else None
        if isinstance(trainer.train_dataloader, FullBatch):
            lap = self.steps_per_epoch
        ends = [end for end in (epochs * lap if epochs else -1, self._max_steps) if end != -1]
        self.total_steps = min(ends) if ends else None
        self._shown = shown_steps(self.total_steps or ENDLESS * lap, lap)

    def _refuse_growth(self, before: float, after: float, batch: Batch) -> None:
        """Ends a run whose loss has grown beyond all that a converging one passes through."""
        if self._bound is None:
            zero = torch.zeros_like(self.w)
            # Readings, of which a process may have none, are a tuple too
            at_zero = batch.mse(zero, zero).sum() if isinstance(batch, Moments | Readings) else batch[1].square().mean()
            self._bound = GROWTH * (1.0 + float(at_zero) + before)
        if not (math.isfinite(after) and after <= self._bound):
            rate = self.trainer.optimizers[0].param_groups[0]["lr"]
            raise InputError(
                f"--model.learning_rate: expected one with which the optimiser converges, but with {rate:g} the loss "
                f"is {after:.3g} °C² by step {self.steps}; lower it"
            )

    def _is_near(self, moments: Moments) -> bool:
        """Whether every instrument's line is within its tolerance of the exact one."""
        return bool((self.distance(moments) <= self.tolerances).all())

    def _steps_left(self) -> int:
        if self._max_steps == -1:
            return self.steps_per_epoch
        return min(self.steps_per_epoch, self._max_steps - self.steps)

    @property
    def _scored_line(self) -> tuple[Tensor, Tensor]:
        """The line that is scored: SGD's while a fit runs, else the calibration's."""
        return self.raw if self.trainer.state.fn == TrainerFn.FITTING else self.calibrated

    def _log_scores(self, stage: str) -> None:
        for name, score in self.scores.compute(*self._scored_line).items():
            # every process has the same value, and the largest of them is it; Lightning's mean would round it to
            # float32
            self.log(f"{stage}/{name}", score, logger=False, batch_size=1, reduce_fx="max", sync_dist=True)
        self.scores.reset()

    def _score_training(self) -> None:
        """Scores the line on the training readings, where none are held out: a validation loop takes as long as a lap.

        Every process has the moments of all readings, and so the same scores.
        """
        scores = scores_of(self.trainer.datamodule.moments["train"], *self._scored_line)  # type: ignore[attr-defined]  # set by Trainer
        self.trainer.callback_metrics.update({f"val/{name}": score for name, score in scores.items()})


def tolerances(moments: Moments, line: Line, tolerance: float | None) -> Tensor:
    """Returns how near to the exact line SGD counts as converged, shape ``(instruments,)`` [°C].

    Args:
        moments: Of the readings.
        line: Their least-squares line.
        tolerance: As asked for [°C]; None means a tenth of the line's standard uncertainty at the mean indication, or
            where there is none, a millionth of what the line spans, or what rounding makes of it.
    """
    if tolerance is not None:
        return torch.full_like(line.w, tolerance)
    span = (line.w * (moments.highest - moments.lowest)).abs()
    least = torch.maximum(span * 1e-6, rounding(moments, line.w, line.b))
    return torch.where(line.u_pivot > 0, line.u_pivot / 10, least)


def _positive(option: str, value: float) -> float:
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"--model.{option}: expected a positive number, but got {value}")
    return value

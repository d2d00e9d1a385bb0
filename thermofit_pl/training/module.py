"""The Lightning module: ``w`` and ``b`` as parameters, the MSE loss, and the steps of SGD."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from thermofit_pl.curves.base import Curve
from thermofit_pl.curves.line import Line
from thermofit_pl.distributed.collectives import all_gather
from thermofit_pl.errors import InputError, Setting
from thermofit_pl.functional.scales import scales_in
from thermofit_pl.functional.units import Units
from thermofit_pl.metrics.least_squares import distance
from thermofit_pl.metrics.moments import Moments
from thermofit_pl.metrics.scores import InstrumentScores, Scores, estimates
from thermofit_pl.tables.labels import index_of
from thermofit_pl.training.checkpoint import (
    as_curve,
    curve_in,
    names_in,
    refuse_another_curve,
    refuse_another_fit,
    reshape_states,
    upgrade,
)
from thermofit_pl.training.convergence import StopWhenConverged
from thermofit_pl.training.datamodule import ReadingsDataModule
from thermofit_pl.training.divergence import RefuseDivergence
from thermofit_pl.training.instruments import checked, mini_batch, readings_of
from thermofit_pl.training.laps import Lap, held, hold
from thermofit_pl.training.loaders import Batch
from thermofit_pl.training.normalization import Normalization
from thermofit_pl.training.options import refuse_batch_options, refuse_options
from thermofit_pl.training.scalars import Scalars
from thermofit_pl.training.steps import StepLayout
from thermofit_pl.training.training_scores import TrainingScores

if TYPE_CHECKING:
    from typing_extensions import Self

TOLD = 50  # mini-batches between two losses that Lightning is told: its log takes longer than a step

AnyBatch = Moments | Batch | tuple[Tensor, ...]
ScaleName = Literal["celsius", "fahrenheit", "kelvin", "rankine", "reaumur", "delisle", "newton", "romer"]


class CalibrationModule(LightningModule):
    """The curve ``reference = b + Σ w · φ(indication)``, trained on the mean squared error; by default a straight line.

    With the full batch (``Moments``), one Lightning epoch is ``steps_per_epoch`` steps of the optimiser; with
    mini-batches (``Batch``, or a loader of your own that gives tuples of raw indications and references, and of
    several instruments the index of each reading's), it is one pass over them.

    Args:
        curve: What relates indication and reference: Line, which is the default, Offset, Proportional, Polynomial, or
            a class of your own by its import path; each has options, such as --model.curve.degree.
        w: Slope that SGD starts from [°C per normalised unit]; the coefficients of further features start from 0.
        b: Intercept that SGD starts from [°C].
        learning_rate: The optimiser's, unless --optimizer.lr is given.
        steps_per_epoch: Steps of the optimiser in one Lightning epoch, with the full batch.
        dtype: Type of w and b: float64, or float32 as in the notebook.
        finish: What the calibration holds: 'least_squares', the exact line of the same readings, or 'none', where SGD
            ended.
        tolerance: How near to the exact line, over the calibrated range, SGD counts as converged, in the reference's
            unit. The default is a tenth of the line's standard uncertainty at the mean indication.
        stop_when_converged: Whether SGD stops as soon as it is within the tolerance.
        uncertainties: Whether stated uncertainties (--data.u) are 'absolute', taken as they are, or 'relative', no more
            than weights whose scale the errors give.
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
        curve: Curve | None = None,
        w: float = 1.0,
        b: float = 0.0,
        learning_rate: float = 1e-2,
        steps_per_epoch: int = 500,
        dtype: Literal["float64", "float32"] = "float64",
        finish: Literal["least_squares", "none"] = "least_squares",
        tolerance: float | None = None,
        stop_when_converged: bool = False,
        snap: ScaleName | None = None,
        uncertainties: Literal["absolute", "relative"] = "absolute",
    ) -> None:
        super().__init__()
        self.curve = as_curve(curve)
        self.save_hyperparameters(ignore=["curve", "_instantiator"])
        self.save_hyperparameters({"curve": None if curve is None else self.curve.record()})  # plain values, no object
        self.learning_rate = _positive("learning_rate", learning_rate)
        self.steps_per_epoch = int(_positive("steps_per_epoch", steps_per_epoch))
        self.finish = finish
        self.tolerance = None if tolerance is None else _positive("tolerance", tolerance)
        self.stop_when_converged = stop_when_converged
        self.snap = snap
        self.uncertainties = uncertainties
        if not (math.isfinite(w) and math.isfinite(b)):
            raise InputError(
                Setting("w"), ", ", Setting("b"), f": expected finite numbers to start from, but got {w} and {b}"
            )
        for j, value in self.curve.held.items():
            if j < 2 and ((b, w)[j] not in ((0.0, 1.0)[j], value)):
                name = "bw"[j]
                raise InputError(
                    Setting(name), f": expected {value:g}, at which {self.curve.noun} holds it, but got {(b, w)[j]:g}"
                )
        if snap is not None and self.curve != Line():
            raise InputError(
                Setting("snap"),
                f": expected a line, since {snap} is a scale, but got {self.curve.noun}; leave it out, or ",
                Setting("curve"),
            )
        kind = torch.float64 if dtype == "float64" else torch.float32
        self.w, self.b = nn.Parameter(torch.tensor([[w]], dtype=kind)), nn.Parameter(torch.tensor([b], dtype=kind))
        for name in ("offset", "scale", "line"):
            self.register_buffer(name, torch.empty(0, dtype=torch.float64))
        self.register_buffer("steps_done", torch.tensor(0))
        self.instruments: list[str] | None = None  # their names, in the order of w and b; None for one without a name
        self.instrument_scores: InstrumentScores | None = None  # of the last validation or test of several
        self._told: Tensor | None = None  # of which instruments the readings tell a curve, while a fit runs
        self.steps = 0  # of the optimiser, made so far; a lap makes many in one of Lightning's batches
        self.layout = StepLayout()
        self.lap: Lap | None = None
        self._loss = math.nan
        self._resize(1)

    @classmethod
    def load_from_checkpoint(
        cls,
        checkpoint_path: Any,
        map_location: Any = None,
        hparams_file: Any = None,
        strict: bool | None = None,
        weights_only: bool | None = None,
        **kwargs: Any,
    ) -> Self:
        """Loads a module as Lightning does, but runs no code and imports no class that the file names.

        A curve of a class of your own must be given: ``load_from_checkpoint(path, curve=Mine())``.
        """
        safe = True if weights_only is None else weights_only  # Lightning's default trusts an address
        kwargs["_instantiator"] = None  # which Lightning would have the file choose, and it imports classes
        return super().load_from_checkpoint(checkpoint_path, map_location, hparams_file, strict, safe, **kwargs)

    def forward(self, indication: Tensor, instrument: Tensor | None = None) -> Tensor:
        """Returns the estimates [°C] of raw indications by the curve that the calibration holds.

        Args:
            indication: Any shape [indicated unit].
            instrument: Index of each one's instrument, of the same shape (``index`` makes it of names); None where
                there is one instrument.

        Returns:
            Estimates of the same shape; NaN for an instrument that is unknown, or has no curve.

        Raises:
            InputError: There are several instruments, and no such index.
        """
        w, b = self.calibrated
        if instrument is not None or len(w) > 1:
            instrument = checked(instrument, indication, len(w))
        return estimates(self.curve, indication, w, b, instrument)

    def training_step(self, batch: AnyBatch, batch_idx: int) -> Tensor:
        """Returns the batch's mean squared error [°C²], summed over instruments so that each keeps its own gradient."""
        if not isinstance(batch, Moments | Batch):
            batch = mini_batch(batch, self.instruments, self.curve, self.normalization)
        loss = batch.mse(*held(self.curve, self.w, self.b)).sum()
        shared = isinstance(batch, Batch) and batch.weight is not None  # then the processes' mean is the batch's
        due = batch_idx % TOLD == 0 or self.trainer.is_last_batch or (shared and self.layout.shows(self.steps + 1))
        if due or self.steps + 1 == self.layout.total:
            shown = loss.detach() / len(self.w)
            self.log("train/loss", shown, prog_bar=True, logger=False, batch_size=1, sync_dist=shared)
        return loss

    def validation_step(self, batch: Moments | tuple[Tensor, ...], batch_idx: int) -> None:
        """Scores SGD's curve while a fit runs, else the calibration's; each reading by its own instrument's."""
        self.scores.update(
            batch if isinstance(batch, Moments) else readings_of(batch, self.instruments), *self.scored_curve
        )

    def test_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> None:
        """Scores the calibration's curve; each reading by its own instrument's."""
        self.scores.update(readings_of(batch, self.instruments), *self.scored_curve)

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
        """Takes the curve as it is framed, the normalisation and the exact curve from the data module.

        Raises:
            InputError: For Trainer options that can't be kept.
        """
        refuse_options(self.trainer)
        self._told = None
        data: ReadingsDataModule | None = getattr(self.trainer, "datamodule", None)
        if stage != "fit" or not isinstance(data, ReadingsDataModule):
            return
        self.instruments, self.curve, exact = data.instruments, data.moments["train"].curve, data.line
        self.normalize(data.normalization)
        self._told = exact.w.isfinite().all(dim=-1) & exact.b.isfinite()
        if data.batch_size is None:
            refuse_batch_options(self.trainer)
        if self.snap is not None:
            self.line = _scale(self.snap, data.units).repeat(len(self.w), 1)
        elif self.finish == "least_squares":
            both = torch.cat([exact.w, exact.b[:, None]], dim=-1)
            self.line = torch.where(self._told[:, None], both, torch.inf)
        else:
            self.line = torch.full_like(self.line, torch.nan)

    def on_train_start(self) -> None:
        """Goes on from the steps of a checkpoint."""
        self.steps = int(self.steps_done)
        reshape_states(self.trainer.optimizers)

    def on_train_batch_start(self, batch: AnyBatch, batch_idx: int) -> int | None:
        """Prepares the lap, if the batch is that of all readings; ends the epoch if no step is left to make."""
        self._frame(batch)
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
        hold(self.curve, self.w, self.b)
        if self.lap is not None:
            self.lap.finish(optimizer.optimizer)
        self.steps += 1 if self.lap is None else self.lap.count
        self.steps_done.fill_(self.steps)

    def on_train_batch_end(self, outputs: Any, batch: AnyBatch, batch_idx: int) -> None:
        """Stops the run when its steps are made."""
        self._loss = float(outputs["loss"]) / len(self.w)
        if self._steps_left() < 1:
            self.trainer.should_stop = True

    def on_validation_batch_start(self, batch: AnyBatch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Frames the curve where validation comes before the first step."""
        self._frame(batch)

    def on_validation_epoch_end(self) -> None:
        """Logs the scores of the validation readings."""
        self._log_scores("val")

    def on_test_epoch_end(self) -> None:
        """Logs the scores of the test readings."""
        self._log_scores("test")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the names of the instruments, in the order of w and b, and the curve as a plain record."""
        checkpoint["instruments"], checkpoint["curve"] = self.instruments, self.curve.record()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes over the curve of a checkpoint, and makes room for its instruments.

        Raises:
            InputError: If it lacks their names, names a class of curves that only you can name, or a fit would go on
                with other instruments, another curve, or the same readings seen through another normalisation.
        """
        state, trainer, names = checkpoint["state_dict"], self._trainer, names_in(checkpoint)
        upgrade(state)
        before, curve = Normalization(state["offset"], state["scale"]), curve_in(checkpoint, self.curve)
        data = getattr(trainer, "datamodule", None)
        if trainer is not None and trainer.state.fn == TrainerFn.FITTING and isinstance(data, ReadingsDataModule):
            data.load_state_dict(checkpoint.get(type(data).__qualname__, {}))  # other readings explain what follows
            refuse_another_curve(curve, self.curve)
            refuse_another_fit(names, self.instruments, same_normalization=before.agrees(self.normalization))
            data.normalization = before  # to the last bit, which another version may have rounded differently
        self.instruments, self.curve = names, curve
        self._resize(len(state["w"]))

    @property
    def normalization(self) -> Normalization:
        """What features are put through before SGD sees them."""
        return Normalization(self.offset, self.scale)

    @property
    def raw(self) -> tuple[Tensor, Tensor]:
        """SGD's w, shape ``(instruments, features)``, and b [°C], shape ``(instruments,)``, for raw indications."""
        return self.normalization.to_raw(self.w, self.b)

    @property
    def calibrated(self) -> tuple[Tensor, Tensor]:
        """Those of the curve that the calibration holds; NaN where there is none."""
        w, b = self.raw
        found = torch.where(self.line.isnan(), torch.cat([w, b[:, None]], dim=-1), self.line)
        found = torch.where(found.isinf().any(dim=-1, keepdim=True), torch.nan, found)
        return found[:, :-1], found[:, -1]

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
        self.offset, self.scale = normalization.offset.to(self.offset), normalization.scale.to(self.scale)

    def distance(self, moments: Moments) -> Tensor:
        """Returns SGD's distance from the least-squares curve of normalised readings, shape ``(instruments,)`` [°C]."""
        return distance(moments, self.w.detach(), self.b.detach())

    def _frame(self, batch: AnyBatch) -> None:
        """Frames the curve by the first batch of a loader of one's own, over all processes, as a fit begins."""
        if isinstance(batch, Moments | Batch) or self.steps or self.trainer.state.fn != TrainerFn.FITTING:
            return
        own = [*(end.item() for end in batch[0].aminmax()), batch[1].double().mean().item()]
        lowest, highest, means = zip(*all_gather(own), strict=True)
        if (framed := self.curve.framed(min(lowest), max(highest), sum(means) / len(means))) != self.curve:
            self.curve = framed
            self._resize(len(self.w))

    def _resize(self, instruments: int) -> None:
        """Makes room for so many instruments of the curve; keeps the Parameters, which an optimiser may hold.

        Each instrument starts as the first; a coefficient that the curve holds, at its value.
        """
        p = len(self.curve.names)
        if self.w.shape != (instruments, p) or self.line.shape != (instruments, p + 1):
            start = torch.cat([self.w.data[:1, :1], self.w.data.new_zeros(1, p - 1)], dim=-1)
            start = self.w.data[:1] if self.w.shape[1] == p else start
            self.w.data, self.b.data = start.repeat(instruments, 1), self.b.data[:1].repeat(instruments)
            self.offset = self.offset.new_zeros(instruments, p)
            self.scale = torch.eye(p).to(self.scale).repeat(instruments, 1, 1)
            # the calibration's w and b, of raw indications; NaN while it is SGD's, inf where an instrument has none
            self.line = self.line.new_full((instruments, p + 1), torch.nan)
        hold(self.curve, self.w, self.b)
        self.scores = Scores(None if self.instruments is None else instruments, self.curve)

    def last_loss(self) -> float:
        """Returns the loss before the last step, the mean over instruments [°C²]."""
        if self.lap is not None:
            return self.lap.last_loss()
        return self._loss if self.trainer.world_size == 1 else self.trainer.callback_metrics["train/loss"].item()

    def _steps_left(self) -> int:
        """Returns how many steps an epoch may make yet, with the full batch."""
        end = self.layout.max_steps
        return self.steps_per_epoch if end == -1 else min(self.steps_per_epoch, end - self.steps)

    @property
    def scored_curve(self) -> tuple[Tensor, Tensor]:
        """The w and b to score: SGD's while a fit runs, where there can be a curve, else the calibration's."""
        if self.trainer.state.fn != TrainerFn.FITTING:
            return self.calibrated
        w, b = self.raw
        return (w, b) if self._told is None else (w, torch.where(self._told.to(b.device), b, torch.nan))

    def _log_scores(self, stage: str) -> None:
        scores, self.instrument_scores = self.scores.compute(*self.scored_curve)
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


def _scale(name: str, units: Units) -> Tensor:
    """Returns w and b of a named scale, shape ``(1, 2)``."""
    if not units.is_temperature:
        raise InputError(
            Setting("snap"),
            ": expected a reference in °C, °F or K (",
            Setting("unit"),
            f"), as {name} is a scale of temperature, but got {units.reference}; leave it out",
        )
    scale = scales_in(units.reference)[name]
    return torch.tensor([[scale.w, scale.b]], dtype=torch.float64)


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

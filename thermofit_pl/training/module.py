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

from thermofit_pl.calibration.calibration import Calibration
from thermofit_pl.calibration.calibrations import Calibrations
from thermofit_pl.calibration.correction import Corrected, Correction
from thermofit_pl.curves.base import Curve
from thermofit_pl.errors import InputError, Setting
from thermofit_pl.metrics.moments import Moments
from thermofit_pl.metrics.scores import InstrumentScores, Scores
from thermofit_pl.tables.labels import index_of
from thermofit_pl.training.checkpoint import (
    as_curve,
    curve_in,
    names_in,
    names_text,
    refuse_another_curve,
    refuse_another_fit,
    reshape_states,
)
from thermofit_pl.training.convergence import StopWhenConverged
from thermofit_pl.training.datamodule import ReadingsDataModule
from thermofit_pl.training.divergence import RefuseDivergence
from thermofit_pl.training.fitted import Fitted
from thermofit_pl.training.held import HeldCurve, upgrade
from thermofit_pl.training.instruments import checked, mini_batch, readings_of
from thermofit_pl.training.laps import Lap, hold, without_held
from thermofit_pl.training.loaders import Batch
from thermofit_pl.training.normalization import Normalization
from thermofit_pl.training.options import positive, refuse_batch_options, refuse_options, refuse_start
from thermofit_pl.training.own_loader import OwnLoader
from thermofit_pl.training.scalars import Scalars
from thermofit_pl.training.steps import StepLayout
from thermofit_pl.training.training_scores import LogScores, TrainingScores

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
        curve: What relates indication and reference: Line, which is the default, Offset, Proportional, Polynomial;
            SteinhartHart or Beta for thermistors, CallendarVanDusen for platinum; or a class of your own by its import
            path; each has options, such as --model.curve.degree.
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
        self.learning_rate = positive("learning_rate", learning_rate)
        self.steps_per_epoch = int(positive("steps_per_epoch", steps_per_epoch))
        self.finish = finish
        self.tolerance = None if tolerance is None else positive("tolerance", tolerance)
        self.stop_when_converged = stop_when_converged
        self.snap = snap
        self.uncertainties = uncertainties
        refuse_start(self.curve, w, b, snap)
        kind = torch.float64 if dtype == "float64" else torch.float32
        self.w, self.b = nn.Parameter(torch.tensor([[w]], dtype=kind)), nn.Parameter(torch.tensor([b], dtype=kind))
        for name in ("offset", "scale"):
            self.register_buffer(name, torch.empty(0, dtype=torch.float64))
        self.held = HeldCurve()
        self.fitted: Fitted | None = None  # the readings of a fit in this process
        self.register_buffer("steps_done", torch.tensor(0))
        self.instruments: list[str] | None = None  # their names, in the order of w and b; None for one without a name
        self.instrument_scores: InstrumentScores | None = None  # of the last validation or test of several
        self.steps = 0  # of the optimiser, made so far; a lap makes many in one of Lightning's batches
        self.layout = StepLayout()
        self.lap: Lap | None = None
        self._loss = math.nan
        self.example_input_array = torch.tensor([0.0, 1.0], dtype=torch.float64)
        self.resize(1)

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
        held = self._held(indication, instrument)
        estimate: Tensor = held.curve.evaluate(indication.double(), held.level, held.w, held.pivot)[0]
        return estimate

    def training_step(self, batch: AnyBatch, batch_idx: int) -> Tensor:
        """Returns the batch's mean squared error [°C²], summed over instruments so that each keeps its own gradient."""
        if not isinstance(batch, Moments | Batch):
            batch = mini_batch(batch, self.instruments, self.curve, self.normalization)
        loss = batch.mse(*without_held(self.curve, self.w, self.b)).sum()
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

    def predict_step(self, batch: Tensor | tuple[Tensor, ...], batch_idx: int) -> Corrected:
        """Returns the estimates [°C] of raw indications with their uncertainty, of the indications' shape.

        The indications come alone, or first and the index of each one's instrument last.
        """
        indication, *more = [batch] if isinstance(batch, Tensor) else batch
        instrument = more[-1] if more and self.instruments is not None else None
        return self._held(indication, instrument).at(indication.double())

    def configure_optimizers(self) -> Optimizer:
        """Returns plain SGD."""
        return SGD([self.w, self.b], lr=self.learning_rate)

    def configure_callbacks(self) -> list[Callback]:
        """Returns what every Trainer of this module needs, on the command line and in Python."""
        self.layout = StepLayout()
        needed: list[Callback] = [self.layout, OwnLoader(), RefuseDivergence(), TrainingScores(), LogScores()]
        if not any(isinstance(each, Scalars) for each in self.trainer.callbacks):  # type: ignore[attr-defined]  # set by the connector
            needed.append(Scalars())
        return [*needed, StopWhenConverged(self.tolerance)] if self.stop_when_converged else needed

    def setup(self, stage: str) -> None:
        """Takes the curve as it is framed, the normalisation and the exact curve from the data module.

        Raises:
            InputError: For Trainer options that can't be kept.
        """
        refuse_options(self.trainer)
        if stage != "fit":
            return
        self.fitted, data = None, getattr(self.trainer, "datamodule", None)
        if not isinstance(data, ReadingsDataModule):
            return
        self.instruments, self.curve = data.instruments, data.moments["train"].curve
        self.normalize(data.normalization)
        if data.batch_size is None:
            refuse_batch_options(self.trainer)
        self.take(Fitted.of(data))
        if self.snap is not None:
            self.held.take_scale(self.snap, data.units)

    def on_train_start(self) -> None:
        """Goes on from the steps of a checkpoint, and has the readings examined meanwhile."""
        self.steps = int(self.steps_done)
        reshape_states(self.trainer.optimizers)
        if self.fitted is not None:
            self.fitted.optimizer = self.trainer.optimizers[0]
            if self.trainer.is_global_zero:
                self.fitted.analyse()

    def on_train_batch_start(self, batch: AnyBatch, batch_idx: int) -> int | None:
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

    def on_train_end(self) -> None:
        """Holds what the fit came to, with its uncertainties."""
        self._settle()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the names of the instruments, in the order of w and b, and the curve as a plain record."""
        self._settle()
        checkpoint["state_dict"] |= {f"held.{name}": value for name, value in self.held.state_dict().items()}
        checkpoint["instruments"], checkpoint["curve"] = names_text(self.instruments), self.curve.record()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes over the curve of a checkpoint, and makes room for its instruments.

        Raises:
            InputError: If it lacks their names, names a class of curves that only you can name, or a fit would go on
                with other instruments, another curve, or the same readings seen through another normalisation.
        """
        state, names, trainer = checkpoint["state_dict"], names_in(checkpoint), self._trainer
        upgrade(state)
        before, curve = Normalization(state["offset"], state["scale"]), curve_in(checkpoint, self.curve)
        data = getattr(trainer, "datamodule", None)
        if trainer is not None and trainer.state.fn == TrainerFn.FITTING and isinstance(data, ReadingsDataModule):
            data.load_state_dict(checkpoint.get(type(data).__qualname__, {}))  # other readings explain what follows
            refuse_another_curve(curve, self.curve)
            refuse_another_fit(names, self.instruments, same_normalization=before.agrees(self.normalization))
            data.normalization = before  # to the last bit, which another version may have rounded differently
        self.instruments, self.curve = names, curve
        self.resize(len(state["w"]))

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
        return self.held.coefficients(*self.raw)

    def calibration(self, name: Callable[[Setting], str] = str) -> Calibration | Calibrations:
        """Returns the calibration that a fit in this process came to, of the one instrument or of all.

        Of a loader of your own it is made from the readings of the first epoch.

        Args:
            name: Names a setting that advice speaks of.

        Raises:
            InputError: There was no such fit, or its readings tell no curve.
        """
        if self.fitted is None or self.fitted.optimizer is None:
            raise InputError(
                "Expected a module that Trainer.fit has trained in this process, in one process or by a "
                "ReadingsDataModule, on readings that tell a curve, but got another; fit again, or load the "
                "calibration.json of its run"
            )
        return self.fitted.calibration(self, name)

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
        self.resize(len(normalization.scale))
        self.offset, self.scale = normalization.offset.to(self.offset), normalization.scale.to(self.scale)

    def take(self, fitted: Fitted) -> None:
        """Takes the exact curve of a fit's readings."""
        self.fitted = fitted
        self.held.take(fitted.fit, fitted.moments, sgd=self.finish == "none")

    def _settle(self) -> None:
        """Takes what the fit has come to, on the process that writes it."""
        if self.fitted is not None and self.fitted.optimizer is not None and self.trainer.is_global_zero:
            self.held.take_result(self.fitted.result(self))

    def _held(self, indication: Tensor, instrument: Tensor | None) -> Correction:
        """Returns what correcting needs of each indication's curve."""
        if instrument is not None or len(self.w) > 1:
            instrument = checked(instrument, indication, len(self.w))
        return self.held.correction(self.curve, *self.raw, instrument)

    def resize(self, instruments: int) -> None:
        """Makes room for so many instruments of the curve; keeps the Parameters, which an optimiser may hold.

        Each instrument starts as the first; a coefficient that the curve holds, at its value.
        """
        p = len(self.curve.names)
        if self.w.shape != (instruments, p) or self.scale.shape != (instruments, p, p):
            start = torch.cat([self.w.data[:1, :1], self.w.data.new_zeros(1, p - 1)], dim=-1)
            start = self.w.data[:1] if self.w.shape[1] == p else start
            self.w.data, self.b.data = start.repeat(instruments, 1), self.b.data[:1].repeat(instruments)
            self.offset = self.offset.new_zeros(instruments, p)
            self.scale = torch.eye(p).to(self.scale).repeat(instruments, 1, 1)
            self.held.resize(instruments, p)
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
        known = None if self.fitted is None else self.fitted.fit.w.isfinite().all(dim=-1).to(b.device)
        return (w, b) if known is None else (w, torch.where(known, b, torch.nan))


def calibration_module(module: LightningModule) -> CalibrationModule:
    """Returns the module as what it is.

    Raises:
        TypeError: If it is another one.
    """
    if not isinstance(module, CalibrationModule):
        raise TypeError(f"Expected a CalibrationModule, but got {type(module).__name__}")
    return module

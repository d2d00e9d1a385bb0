"""A loader of one's own: what a data module would have found out about its readings."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from thermofit_pl.calibration.records import Source
from thermofit_pl.distributed.collectives import all_gather
from thermofit_pl.metrics.accumulator import Accumulator
from thermofit_pl.metrics.least_squares import least_squares
from thermofit_pl.metrics.moments import Moments
from thermofit_pl.tables.table import Block
from thermofit_pl.training.fitted import Fitted
from thermofit_pl.training.loaders import Batch

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer

    from thermofit_pl.training.module import CalibrationModule

UNEVEN = 100.0  # ratio of the Hessian's eigenvalues from which SGD takes hundreds of times the steps of normalised ones


class OwnLoader(Callback):
    """Frames the curve by the first batch, and gathers the moments of the first epoch, for the calibration.

    It says once that readings are not normalised, and at the end how far SGD is from their exact curve.
    """

    def __init__(self) -> None:
        self._accumulator: Accumulator | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forgets a fit before."""
        self._accumulator = None

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Frames the curve, where validation comes before the first step."""
        if trainer.state.fn == "fit" and not isinstance(batch, Moments | Batch):
            frame(cast("CalibrationModule", pl_module), *batch[:2])

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Takes a batch of the first epoch in."""
        module = cast("CalibrationModule", pl_module)
        if isinstance(batch, Moments | Batch) or module.fitted is not None:
            return
        frame(module, *batch[:2])
        if module.instruments is not None or trainer.world_size > 1:  # a sampler may give a reading to two processes
            return
        indication, reference = (each.detach().flatten().double().cpu().numpy() for each in batch[:2])
        if self._accumulator is None:
            self._accumulator = Accumulator(curve=module.curve)
            tell_if_uneven(module, batch)
        if len(indication) == len(reference):
            rows = range(1, len(indication) + 1)
            self._accumulator.add("train", Block(indication, reference, None, Path(), rows))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Fits the exact curve, once the first epoch has ended."""
        module = cast("CalibrationModule", pl_module)
        if self._accumulator is None or module.fitted is not None:
            return
        self._accumulator.flush()
        moments = self._accumulator.moments["train"]
        if bool(moments.has_curve):
            fitted = Fitted(moments, least_squares(moments), self._accumulator.sample, Source(None, None))
            fitted.batch_size, fitted.optimizer = 1, trainer.optimizers[0]  # of whatever size they are
            module.take(fitted)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Says how far SGD is from the exact curve."""
        module = cast("CalibrationModule", pl_module)
        if self._accumulator is not None and module.fitted is not None:
            ended = module.fitted.ended(module)
            s = module.fitted.fit.s.item()
            rank_zero_info(
                f"SGD ended within {ended.distance.item():.2g} of the exact curve of these readings, which scatter by "
                f"{s:.2g} about it; module.calibration() gives that curve."
            )


def frame(module: CalibrationModule, indication: Tensor, reference: Tensor) -> None:
    """Frames a module's curve by a batch, over all processes, if it has no frame yet."""
    if module.steps or not indication.numel():
        return
    own = [*(end.item() for end in indication.aminmax()), reference.double().mean().item()]
    lowest, highest, means = zip(*all_gather(own), strict=True)
    if (framed := module.curve.framed(min(lowest), max(highest), sum(means) / len(means))) != module.curve:
        module.curve = framed
        module.resize(len(module.w))


def tell_if_uneven(module: CalibrationModule, batch: Any) -> None:
    """Warns that readings are not normalised, where SGD would take long for that."""
    moments = Moments(curve=module.curve)
    moments.update(*(each.detach().flatten().double().cpu() for each in batch[:2]))
    normalization = module.normalization
    values = moments.normalized(normalization.offset.cpu(), normalization.scale.cpu()).modes()[0][0]
    if values.numel() > 1 and bool(values[0] > UNEVEN * values[-1] > 0):
        warnings.warn(
            f"The indications of this loader are not normalised (from {moments.lowest.item():g} to "
            f"{moments.highest.item():g}), so that SGD needs {values[0] / values[-1]:.0f} times as many steps as it "
            "could; ReadingsDataModule normalises them, or make their mean 0 and their standard deviation 1.",
            stacklevel=2,
        )

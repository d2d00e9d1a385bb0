"""A run that diverges is refused before its first step where that can be known, and ended where it shows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import torch
from lightning.pytorch.callbacks import Callback

from thermofit_pl.errors import InputError, Setting
from thermofit_pl.functional.units import Units
from thermofit_pl.metrics.least_squares import stability_limit
from thermofit_pl.metrics.moments import Moments
from thermofit_pl.training.laps import is_plain_sgd
from thermofit_pl.training.loaders import Batch, FullBatch

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer

    from thermofit_pl.training.module import CalibrationModule

GROWTH = 1e8  # of the loss, beyond which a run diverges: momentum overshoots a thousandfold and comes back
RATE = Setting("learning_rate")


class RefuseDivergence(Callback):
    """Ends a run that can't converge, in a sentence that says which learning rate would."""

    def __init__(self) -> None:
        self._bound: float | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuses a learning rate with which plain full-batch SGD must diverge.

        Raises:
            InputError: If it isn't strictly below 2/λmax of the loss's Hessian.
        """
        self._bound = None
        optimizer = trainer.optimizers[0]
        if not isinstance(trainer.train_dataloader, FullBatch) or not is_plain_sgd(optimizer):
            return
        limit = stability_limit(trainer.train_dataloader.moments).min().item()
        rate = float(optimizer.param_groups[0]["lr"])
        if rate >= limit:
            raise InputError(
                RATE,
                f": expected less than {limit:.4g}, below which SGD converges on these readings "
                f"(2/λmax of the loss's Hessian), but got {rate:g}, with which it diverges; "
                "lower it, or normalise the indications with ",
                Setting("normalization", "standard"),
            )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Ends a run whose loss has grown beyond all that a converging one passes through.

        Raises:
            InputError: If it has, or w or b is no longer finite.
        """
        module = cast("CalibrationModule", pl_module)
        w, b = module.w.detach(), module.b.detach()
        loss = float(outputs["loss"])
        if self._bound is None:
            zero = torch.zeros_like(w), torch.zeros_like(b)
            # a Batch, of which a process may have none, is a tuple too
            at_zero = batch.mse(*zero).sum() if isinstance(batch, Moments | Batch) else batch[1].square().mean()
            self._bound = GROWTH * (1.0 + float(at_zero) + loss)
        after = batch.mse(w, b).sum().item() if isinstance(batch, Moments) else loss
        finite = not trainer.is_last_batch or bool(
            w.isfinite().all() and b.isfinite().all()
        )  # else the next loss tells
        if finite and math.isfinite(after) and after <= self._bound:
            return
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        units = getattr(getattr(trainer, "datamodule", None), "units", Units())
        what = f"the loss is {after:.3g} {units.squared}" if finite else "w and b were infinite"
        raise InputError(
            RATE,
            f": expected one with which the optimiser converges, but with {rate:g} {what} by step "
            f"{module.steps}; lower it",
        )

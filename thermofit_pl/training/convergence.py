"""How near to the exact line SGD counts as converged, and a run that ends there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from thermofit_pl.metrics.least_squares import Fit, distance, over_range, rounding
from thermofit_pl.metrics.moments import Moments
from thermofit_pl.training.datamodule import ReadingsDataModule

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer

    from thermofit_pl.training.module import CalibrationModule


class StopWhenConverged(Callback):
    """Ends a full-batch run once every instrument's line is within its tolerance of the exact one.

    Args:
        tolerance: As ``tolerances`` takes it [°C].
    """

    def __init__(self, tolerance: float | None) -> None:
        self._tolerance = tolerance
        self._tolerances = torch.zeros(1, dtype=torch.float64)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Settles the tolerances, by the readings' exact lines."""
        data = getattr(trainer, "datamodule", None)
        if isinstance(data, ReadingsDataModule):
            self._tolerances = tolerances(data.moments["train"], data.line, self._tolerance)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Ends the run if it has converged."""
        if isinstance(batch, Moments):
            module = cast("CalibrationModule", pl_module)
            away = distance(batch, module.w.detach(), module.b.detach())
            if bool((away.cpu() <= self._tolerances).all()):
                trainer.should_stop = True


def tolerances(moments: Moments, line: Fit, tolerance: float | None) -> Tensor:
    """Returns how near to the exact line SGD counts as converged, shape ``(instruments,)`` [°C].

    Args:
        moments: Of the readings.
        line: Their least-squares line.
        tolerance: As asked for [°C]; None means a tenth of the line's standard uncertainty at the mean indication, or
            where there is none, a millionth of what the line spans, or what rounding makes of it.
    """
    if tolerance is not None:
        return torch.full_like(line.b, tolerance)
    levels = (line.w * over_range(moments)).sum(dim=-1)
    span = levels.amax(dim=0) - levels.amin(dim=0)
    least = torch.maximum(span * 1e-6, rounding(moments, line.w, line.b))
    return torch.where(line.u_pivot > 0, line.u_pivot / 10, least)

"""Where no readings are held out, a fit is scored on those that it trains on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from lightning.pytorch.callbacks import Callback

from thermofit_pl.metrics.scores import scores_of
from thermofit_pl.training.datamodule import ReadingsDataModule

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer

    from thermofit_pl.training.module import CalibrationModule


class TrainingScores(Callback):
    """Gives ``val/rmse`` and its like from the moments of the training readings: a validation loop costs a lap.

    Every process has the moments of all readings, and so the same scores.
    """

    def __init__(self) -> None:
        self._limit: float | None = None  # Trainer's, while a fit without held-out readings runs

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leaves out Trainer's own validation loop."""
        data = getattr(trainer, "datamodule", None)
        if stage == "fit" and isinstance(data, ReadingsDataModule) and not data.held_out("val"):
            self._limit, trainer.limit_val_batches = trainer.limit_val_batches, 0

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Gives the Trainer back as it was."""
        if self._limit is not None:
            trainer.limit_val_batches, self._limit = self._limit, None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Scores the curve at the end of an epoch, where callbacks look for scores."""
        if self._limit is not None and trainer.is_last_batch:
            moments = trainer.datamodule.moments["train"]  # type: ignore[attr-defined]  # set by Trainer
            scores = scores_of(moments, *cast("CalibrationModule", pl_module).scored_curve)
            trainer.callback_metrics.update({f"val/{name}": score for name, score in scores.items()})

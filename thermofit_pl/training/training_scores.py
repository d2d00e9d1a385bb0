"""Scores for every logger: of readings that are held out, or of those that a fit trains on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from lightning.pytorch.callbacks import Callback

from thermofit_pl.metrics.scores import scores_of
from thermofit_pl.training.datamodule import ReadingsDataModule

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer

    from thermofit_pl.training.module import CalibrationModule


class LogScores(Callback):
    """Logs what the module has scored in a validation or a test."""

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs the scores of the validation readings."""
        _log_scores(trainer, cast("CalibrationModule", pl_module), "val")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs the scores of the test readings."""
        _log_scores(trainer, cast("CalibrationModule", pl_module), "test")


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


def _log_scores(trainer: Trainer, module: CalibrationModule, stage: str) -> None:
    scores, module.instrument_scores = module.scores.compute(*module.scored_curve)
    logged = {f"{stage}/{name}": score for name, score in scores.items()}
    logger: bool | None = False  # of a fit, ``Scalars`` writes them
    if trainer.state.fn != "fit":
        logger = None  # as True, without a warning where there is no logger: ``test`` returns what is logged
        logged["step"] = module.steps_done.double()  # Lightning then logs them at it
    for name, score in logged.items():
        # every process has the same value, and the largest of them is it; Lightning's mean would round it to float32
        module.log(name, score, logger=logger, batch_size=1, reduce_fx="max", sync_dist=True)
    module.scores.reset()

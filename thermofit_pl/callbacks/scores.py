"""What ``validate`` and ``test`` write of several instruments: the scores of each."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from thermofit_pl.files import atomic_write
from thermofit_pl.training.module import calibration_module
from thermofit_pl.training.options import is_rehearsal

COLUMNS = ("readings", "rmse", "mean_error", "largest_error", "r2")


class WriteScores(Callback):
    """Writes ``scores.csv`` with a row for each instrument.

    Args:
        folder: The run's.

    Attributes:
        path: Where it was written; None where there is one instrument.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path: Path | None = None

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes it, on the first process."""
        import polars as pl

        module = calibration_module(pl_module)
        scores = module.instrument_scores
        if scores is None or not trainer.is_global_zero or is_rehearsal(trainer):
            return
        columns = {name: getattr(scores, name).numpy() for name in COLUMNS}
        frame = pl.DataFrame({"instrument": module.instruments, **columns}, nan_to_null=True)
        self.path = self.folder / "scores.csv"
        with atomic_write(self.path) as temporary:
            frame.write_csv(temporary)

    on_test_end = on_validation_end

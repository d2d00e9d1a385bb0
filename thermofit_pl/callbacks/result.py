"""The result of a fit: its calibration, written into the run's folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from thermofit_pl.calibration.calibration import Calibration
from thermofit_pl.calibration.calibrations import Calibrations
from thermofit_pl.errors import Setting
from thermofit_pl.training.module import calibration_module
from thermofit_pl.training.options import is_rehearsal


class WriteCalibration(Callback):
    """Writes the calibration that a fit came to.

    One instrument's is ``calibration.json``, a fleet's ``calibrations.parquet``.

    Args:
        folder: The run's.
        csv: Whether a fleet's calibrations are written as CSV too.
        name: Names a setting that advice speaks of.

    Attributes:
        calibration: The result, once the training has ended.
        path: Where it was written.
    """

    def __init__(self, folder: Path, csv: bool = False, name: Callable[[Setting], str] = str) -> None:
        self.path = folder / "calibration.json"
        self.calibration: Calibration | Calibrations | None = None
        self._csv = csv
        self._name = name

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Makes the calibration and writes it."""
        module = calibration_module(pl_module)
        if module.fitted is None or not trainer.is_global_zero:
            return
        self.calibration = module.calibration(self._name)
        if isinstance(self.calibration, Calibrations):
            self.path = self.path.with_name("calibrations.parquet")
        if not is_rehearsal(trainer):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.calibration.save(self.path)
            if self._csv and isinstance(self.calibration, Calibrations):
                self.calibration.save(self.path.with_suffix(".csv"))

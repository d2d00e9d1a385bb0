"""The configuration of a run, kept in its folder."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from thermofit_pl.files import atomic_write


class SaveConfig(Callback):
    """Saves the configuration as ``config.yaml`` into the run's folder, whatever the logger.

    Args:
        folder: The run's.
        text: The configuration, as YAML.
    """

    def __init__(self, folder: Path, text: str) -> None:
        self.path = folder / "config.yaml"
        self._text = text

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Saves it, on the first process."""
        if trainer.is_global_zero:
            with atomic_write(self.path) as path:
                path.write_text(self._text, encoding="utf-8")

"""Short fits in this process, and what TensorBoard's own reader finds in their event files."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from made import NOTEBOOK
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from thermofit_pl.calibration.calibration import Calibration
from thermofit_pl.callbacks.result import WriteCalibration
from thermofit_pl.callbacks.tensorboard import Curves
from thermofit_pl.training.datamodule import ReadingsDataModule
from thermofit_pl.training.module import CalibrationModule

TEN = {
    500: 7.860124, 1000: 3.828542, 1500: 3.092191, 2000: 2.957699, 2500: 2.933135,
    3000: 2.928648, 3500: 2.927829, 4000: 2.927679, 4500: 2.927652, 5000: 2.927647,
}  # fmt: skip  # what the notebook prints, in float64
QUIET: dict[str, Any] = {
    "accelerator": "cpu",
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "log_every_n_steps": 1,
}
BROUGHT: dict[str, Any] = {}  # readings: those that the package brings


def run(
    folder: Path,
    data: dict[str, Any] = BROUGHT,
    *,
    epochs: int = 10,
    draw: bool = False,
    logger: Any = None,
    also: tuple[Callback, ...] = (),
    ckpt_path: str | None = None,
    options: dict[str, Any] = BROUGHT,
    **settings: Any,
) -> tuple[Trainer, Calibration | None]:
    """Fits with Curves, into a folder; returns the trainer and the calibration."""
    written = WriteCalibration(folder)
    curves = Curves(folder, lambda: written.calibration, draw)
    logger = TensorBoardLogger(folder, "", "", default_hp_metric=False) if logger is None else logger
    trainer = Trainer(max_epochs=epochs, logger=logger, callbacks=[written, curves, *also], **(QUIET | options))
    trainer.fit(CalibrationModule(**settings), ReadingsDataModule(**data), ckpt_path=ckpt_path)
    assert written.calibration is None or isinstance(written.calibration, Calibration)
    return trainer, written.calibration


def events(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
    found.Reload()
    return found


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    """Every scalar as {tag: {step: value}}; steps must increase strictly."""
    found = events(folder)
    curves = {}
    for tag in found.Tags()["scalars"]:
        points = found.Scalars(tag)
        assert all(before.step < after.step for before, after in pairwise(points)), tag
        curves[tag] = {point.step: point.value for point in points}
    return curves


def hparams(folder: Path, what: str) -> Any:
    metadata = events(folder).SummaryMetadata(f"_hparams_/{what}")
    return getattr(HParamsPluginData.FromString(metadata.plugin_data.content), what)


def plain(steps: int, rate: float = 1e-2) -> Iterator[tuple[float, float, float]]:
    """The notebook's loop in float64: the loss before each step, w and b after it."""
    x, y = np.array(NOTEBOOK[0]) * 0.1, np.array(NOTEBOOK[1])
    w, b = 1.0, 0.0
    for _ in range(steps):
        error = w * x + b - y
        loss = float(np.mean(error**2))
        w, b = w - rate * 2 * float(np.mean(error * x)), b - rate * 2 * float(np.mean(error))
        yield loss, w, b


def default_fit(folder: Path) -> Calibration:
    """The default fit, with its figures and the configuration that the command line would leave."""
    (folder / "config.yaml").write_text("model:\n  w: 1.0  # ```\n")
    _, calibration = run(folder, draw=True)
    assert calibration is not None
    return calibration

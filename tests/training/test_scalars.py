"""What every Lightning logger gets of a fit in Python, and what ``validate`` and ``test`` return."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, Logger
from made import NOTEBOOK
from torch.utils.data import DataLoader, TensorDataset

from thermofit_pl import CalibrationModule, ReadingsDataModule, fit

QUIET: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False}
EXACT = fit(*NOTEBOOK)


class Kept(Logger):
    """Keeps what it gets, as a logger of another package would send it."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int, dict[str, float]]] = []

    name = version = "kept"

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        assert step is not None
        self.rows.append((step, dict(metrics)))

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        pass


def trained(**options: Any) -> tuple[Trainer, CalibrationModule]:
    module = CalibrationModule(steps_per_epoch=100)
    trainer = Trainer(
        max_epochs=3, **{"logger": False, "enable_checkpointing": False, "log_every_n_steps": 1, **QUIET, **options}
    )
    trainer.fit(module, ReadingsDataModule())
    return trainer, module


def test_a_logger_gets_each_step_once_against_the_count_of_steps() -> None:
    kept = Kept()
    _, module = trained(logger=kept)
    steps = [step for step, row in kept.rows if "train/loss" in row]
    assert steps == list(range(1, 301))
    last = dict(kept.rows)[300]
    assert {*last} == {"train/loss", "line/w", "line/b", "line/distance", "val/rmse", "val/mean_error", "val/r2"}
    w, b = (value.item() for value in module.raw)
    assert (last["line/w"], last["line/b"]) == (w, b)
    errors = w * torch.tensor(NOTEBOOK[0], dtype=torch.float64) + b - torch.tensor(NOTEBOOK[1], dtype=torch.float64)
    assert last["val/rmse"] == pytest.approx(errors.square().mean().sqrt().item(), rel=1e-12)


def test_the_csv_logger_gets_them(tmp_path: Path) -> None:
    trained(logger=CSVLogger(tmp_path))
    table = pl.read_csv(next(tmp_path.rglob("metrics.csv")))
    assert table["step"].max() == 300
    assert table["val/rmse"].drop_nulls().len() >= 3
    assert table["train/loss"].drop_nulls().len() == 300


@pytest.mark.parametrize("stage", ["validate", "test"])
def test_the_scores_are_returned_and_logged_at_the_step(stage: str) -> None:
    _, module = trained()
    kept = Kept()
    trainer = Trainer(logger=kept, **QUIET)
    (returned,) = getattr(trainer, stage)(module, ReadingsDataModule(), verbose=False)
    prefix = "val" if stage == "validate" else "test"
    assert returned[f"{prefix}/rmse"] == pytest.approx(EXACT.rmse, rel=1e-12)
    assert EXACT.diagnostics.largest_error is not None
    assert returned[f"{prefix}/largest_error"] == pytest.approx(EXACT.diagnostics.largest_error.error, rel=1e-12)
    ((step, row),) = kept.rows
    assert step == 300
    assert row == {name: value for name, value in returned.items() if name != "step"}


def test_scores_of_a_loader_of_ones_own() -> None:
    x, y = (torch.tensor(column, dtype=torch.float64) for column in NOTEBOOK)
    trainer = Trainer(logger=False, **QUIET)
    module = CalibrationModule(w=0.5, b=-15.0)
    (returned,) = trainer.test(module, DataLoader(TensorDataset(x, y), batch_size=4), verbose=False)
    assert returned["test/rmse"] == pytest.approx((0.5 * x - 15 - y).square().mean().sqrt().item(), rel=1e-12)


def test_callbacks_that_monitor_a_score(tmp_path: Path) -> None:
    checkpoint = ModelCheckpoint(tmp_path, monitor="val/rmse", filename="best")
    stopping = EarlyStopping("val/rmse", min_delta=1e9, patience=1)
    trainer, module = trained(callbacks=[checkpoint, stopping], enable_checkpointing=True)
    assert (tmp_path / "best.ckpt").is_file()
    assert stopping.stopped_epoch == 1
    assert module.steps == 200
    assert checkpoint.best_model_score == pytest.approx(trainer.callback_metrics["val/rmse"].item(), rel=1e-12)

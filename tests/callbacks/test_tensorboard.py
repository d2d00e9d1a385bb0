"""What a run writes: read back from event files, and held against plain loops and the calibration."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import CSVLogger
from made import NOTEBOOK
from runs import QUIET, TEN, default_fit, events, hparams, plain, run, scalars

from thermofit_pl.__main__ import main
from thermofit_pl.calibration.calibration import Calibration
from thermofit_pl.callbacks.result import WriteCalibration
from thermofit_pl.callbacks.tensorboard import Curves
from thermofit_pl.curves.polynomial import Polynomial
from thermofit_pl.reports import figures
from thermofit_pl.reports.tensorboard import UNITS, results
from thermofit_pl.training.datamodule import ReadingsDataModule
from thermofit_pl.training.module import CalibrationModule
from thermofit_pl.training.steps import endless_steps

RESULTS = results(UNITS)


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Calibration]:
    folder = tmp_path_factory.mktemp("run")
    return folder, default_fit(folder)


def test_every_point_is_the_loops(notebook: tuple[Path, Calibration]) -> None:
    curves = scalars(notebook[0])
    loop = list(plain(5000))
    ends = np.array([21.8, 81.9])
    slope, intercept = np.polyfit(*NOTEBOOK, 1)
    for step in curves["train/loss"]:
        loss, w, b = loop[step - 1]
        away = np.abs((w * 0.1 - slope) * ends + b - intercept).max()
        got = [curves[tag][step] for tag in ("train/loss", "line/w", "line/b", "line/distance")]
        assert got == pytest.approx([loss, w * 0.1, b, away], rel=1e-6, abs=1e-9)


def test_the_notebooks_ten_steps_are_among_100_to_400_points(notebook: tuple[Path, Calibration]) -> None:
    curves = scalars(notebook[0])
    for tag in ("train/loss", "line/w", "line/b", "line/distance"):
        assert 100 <= len(curves[tag]) <= 400
        assert {1, *TEN} <= set(curves[tag])
    assert [curves["train/loss"][step] for step in TEN] == pytest.approx(list(TEN.values()), abs=1e-6)
    assert set(curves["val/rmse"]) == set(TEN)
    for step, loss in zip((1000, 5000), (3.0921910, 2.9276467), strict=True):
        after = list(plain(step + 1))[-1][0]
        assert curves["val/rmse"][step] == pytest.approx(after**0.5, rel=1e-6)
        assert loss < 4


def test_a_run_has_no_tag_that_says_nothing(notebook: tuple[Path, Calibration]) -> None:
    tags = set(events(notebook[0]).Tags()["scalars"])
    scores = {f"val/{name}" for name in ("rmse", "mean_error", "r2")}
    assert tags == {"train/loss", "line/w", "line/b", "line/distance", *scores, *RESULTS}


def test_scalars_are_small_and_the_whole_is_not_large(notebook: tuple[Path, Calibration], tmp_path: Path) -> None:
    size = sum(path.stat().st_size for path in notebook[0].glob("events*"))
    assert size < 2_000_000
    run(tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.glob("events*")) < 100_000


def test_figures_are_written_without_a_logger(tmp_path: Path) -> None:
    run(tmp_path, logger=False, epochs=1, draw=True)
    assert len(list((tmp_path / "figures").glob("*.png"))) == 5
    assert not list(tmp_path.glob("events*"))


def test_figures_can_be_turned_off_and_need_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, logger=False, epochs=1, draw=False)
    assert not (tmp_path / "figures").exists()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert not figures.is_there()
    run(tmp_path, logger=False, epochs=1, draw=True)
    assert not (tmp_path / "figures").exists()


def test_another_logger_gets_the_same_numbers(notebook: tuple[Path, Calibration], tmp_path: Path) -> None:
    run(tmp_path, logger=CSVLogger(tmp_path, "", ""))
    header, *lines = (tmp_path / "metrics.csv").read_text().splitlines()
    rows = [dict(zip(header.split(","), line.split(","), strict=True)) for line in lines]
    curves = scalars(notebook[0])
    for tag in ("train/loss", "line/b", "val/rmse", "verdict/w"):
        got = {int(row["step"]): float(row[tag]) for row in rows if row[tag]}
        assert got == {step: pytest.approx(value, rel=1e-6) for step, value in curves[tag].items()}


def test_mini_batches_have_curves_up_to_the_last_step(tmp_path: Path) -> None:
    _, c = run(tmp_path, {"batch_size": 2}, epochs=120)
    curves = scalars(tmp_path)
    assert c is not None
    assert c.sgd is not None
    assert 100 <= len(curves["train/loss"]) <= 400
    assert max(curves["train/loss"]) == c.sgd.steps == 720
    assert curves["line/w"][720] == pytest.approx(c.sgd.w, rel=1e-6)
    assert curves["line/distance"][720] == pytest.approx(c.sgd.distance, rel=1e-6)
    assert len(curves["val/rmse"]) <= 400
    assert max(curves["val/rmse"]) == 720


def test_a_run_that_stops_early_ends_its_curves_where_it_stopped(tmp_path: Path) -> None:
    _, c = run(tmp_path, epochs=1000, steps_per_epoch=41, stop_when_converged=True)  # stops between two points
    assert c is not None
    assert c.sgd is not None
    assert c.sgd.converged
    curves = scalars(tmp_path)
    assert max(curves["train/loss"]) == max(curves["val/rmse"]) == c.sgd.steps < 41_000
    loss, w, b = list(plain(c.sgd.steps))[-1]
    last = [curves[tag][c.sgd.steps] for tag in ("train/loss", "line/w", "line/b")]
    assert last == pytest.approx([loss, w * 0.1, b], rel=1e-6)


def test_a_resumed_run_goes_on_with_its_steps_and_its_path(tmp_path: Path) -> None:
    first, _ = run(tmp_path / "first", epochs=4)
    first.save_checkpoint(tmp_path / "four.ckpt")
    run(tmp_path / "second", ckpt_path=str(tmp_path / "four.ckpt"), draw=True)
    curves = scalars(tmp_path / "second")
    assert min(curves["train/loss"]) > 2000
    assert max(curves["train/loss"]) == 5000
    assert curves["train/loss"][5000] == pytest.approx(TEN[5000], abs=1e-6)
    assert (tmp_path / "second" / "figures" / "learning_curve.png").is_file()


def test_many_epochs_are_thinned(tmp_path: Path) -> None:
    run(tmp_path, epochs=450, steps_per_epoch=1)
    curves = scalars(tmp_path)
    for tag in ("train/loss", "val/rmse"):
        assert 100 <= len(curves[tag]) <= 400
        assert max(curves[tag]) == 450


class Enough(Callback):
    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        trainer.should_stop = trainer.current_epoch >= 2999


@pytest.mark.slow
def test_points_thin_out_where_no_end_is_set(tmp_path: Path) -> None:
    run(tmp_path, epochs=-1, also=(Enough(),))
    curves = scalars(tmp_path)
    steps = sorted(curves["val/rmse"])
    assert steps[-1] == 3000 * 500
    # one an epoch up to the 190th, then 1/190 apart: 190 (1 + log(3000 / 190)), of 3,000 epochs
    assert 600 < len(steps) < 760
    late = sorted(step for step in curves["train/loss"] if step > 1000 * 500)
    assert 50 < len(late) < 62  # log(3) / log(1.02) = 55


def test_a_year_without_an_end_is_a_small_file() -> None:
    steps = endless_steps(500)
    assert steps == sorted(set(steps))
    assert len(steps) < 2500
    assert steps[-1] > 500 * 1e15  # a year of 30,000 laps a second is 1e12


@pytest.mark.parametrize(("optimizer", "there"), [(torch.optim.SGD, True), (torch.optim.Adam, False)])
def test_what_the_hessian_predicts_is_what_plain_sgd_does(optimizer: type, there: bool, tmp_path: Path) -> None:
    seen: list[Any] = []

    class Look(Curves):
        def _descent(self, *arguments: Any) -> Any:
            seen.append(super()._descent(*arguments))
            return seen[-1]

    class Module(CalibrationModule):
        def configure_optimizers(self) -> Any:
            return optimizer(self.parameters(), lr=1e-2)

    written = WriteCalibration(tmp_path)
    look = Look(tmp_path, lambda: written.calibration)
    Trainer(max_epochs=2, logger=False, callbacks=[written, look], **QUIET).fit(Module(), ReadingsDataModule())
    (descent,) = seen
    assert (descent.predicted is not None) == there
    if there:
        loop = list(plain(1000))
        expected = [loop[step - 1][0] for step in descent.steps]
        np.testing.assert_allclose(descent.predicted, expected, rtol=1e-9)
        np.testing.assert_allclose(descent.loss, expected, rtol=1e-9)
        np.testing.assert_allclose(descent.path[:, 0], [1.0, *(loop[step - 1][1] for step in descent.steps)], rtol=1e-9)


def test_a_parabola_is_shown_in_the_plane_of_its_last_two_coefficients(tmp_path: Path) -> None:
    seen: list[Any] = []

    class Look(Curves):
        def _descent(self, *arguments: Any) -> Any:
            seen.append(super()._descent(*arguments))
            return seen[-1]

    x = np.linspace(10, 60, 40)
    y = -3 + 0.5 * x + 0.004 * x**2 + np.random.default_rng(3).normal(0, 0.2, 40)
    written = WriteCalibration(tmp_path)
    look = Look(tmp_path, lambda: written.calibration)
    path = tmp_path / "readings.csv"
    np.savetxt(path, np.column_stack([x, y]), delimiter=",", header="x,y", comments="", fmt="%.17g")
    data = ReadingsDataModule(str(path), "x", "y")
    Trainer(max_epochs=2, logger=False, callbacks=[written, look], **QUIET).fit(
        CalibrationModule(curve=Polynomial(2)), data
    )
    (descent,) = seen
    assert descent.bowl.names == ("w2", "w1")
    assert descent.others
    np.testing.assert_allclose(descent.path[-1], descent.bowl.exact, rtol=1e-8)  # 0.98^1000 of the way is left
    left = np.polyfit(x, y, 2, full=True)[1][0] / 40
    assert descent.bowl.loss(*descent.path[-1]) == pytest.approx(left, rel=1e-9)
    assert (tmp_path / "figures" / "loss.png").is_file()


def test_a_rehearsal_writes_nothing(tmp_path: Path) -> None:
    run(tmp_path, draw=True, options={"fast_dev_run": True})
    assert not list(tmp_path.iterdir())


def test_scores_of_the_test_are_written_at_the_steps_of_the_fit(tmp_path: Path) -> None:
    trainer, c = run(tmp_path, epochs=3)
    trainer.test(trainer.lightning_module, ReadingsDataModule(), verbose=False)
    assert c is not None
    assert scalars(tmp_path)["test/rmse"] == {1500: pytest.approx(c.rmse, rel=1e-6)}


def test_a_command_that_diverges_leaves_its_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["fit", "--data.batch_size", "4", "--data.normalization", "none", "--model.learning_rate", "1"]) == 2
    assert "--model.learning_rate" in capsys.readouterr().err
    assert hparams(tmp_path / "logs/fit/version_0", "session_end_info").status == 2  # failure
    assert main(["fit", "--data.normalization", "none", "--model.learning_rate", "1"]) == 2  # refused: no run
    assert [path.name for path in (tmp_path / "logs/fit").iterdir()] == ["version_0"]


@pytest.mark.slow
def test_two_processes_write_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "thermofit_pl", "fit", "--trainer.devices", "2", "--trainer.accelerator", "cpu"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    folder = tmp_path / "logs/fit/version_0"
    assert len(list(folder.glob("events*"))) == 1
    assert len(list(folder.glob("figures/*.png"))) == 5
    curves = scalars(folder)
    assert [curves["train/loss"][step] for step in TEN] == pytest.approx(list(TEN.values()), abs=1e-6)

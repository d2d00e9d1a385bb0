"""From a Trainer's fit to a calibration, and what a module predicts: as the calibration has it."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from made import NOTEBOOK
from torch.utils.data import DataLoader, TensorDataset

import thermofit_pl
from thermofit_pl.calibration.correction import Corrected
from thermofit_pl.curves import Curve, Line, Offset, Polynomial, Proportional
from thermofit_pl.errors import InputError
from thermofit_pl.training.datamodule import ReadingsDataModule
from thermofit_pl.training.module import CalibrationModule

MakeTrainer = Callable[..., Trainer]
X, Y = (np.array(column) for column in NOTEBOOK)


@pytest.fixture
def quiet(tmp_path: Path) -> MakeTrainer:
    """Makes a Trainer that writes and shows nothing."""

    def make(**options: Any) -> Trainer:
        plain: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        return Trainer(
            **plain | {"accelerator": "cpu", "enable_model_summary": False, "default_root_dir": tmp_path} | options
        )

    return make


def loader(x: Any = X, batch_size: int = 4) -> DataLoader[Any]:
    return DataLoader(TensorDataset(torch.tensor(x), torch.tensor(Y)), batch_size=batch_size)


@pytest.mark.parametrize("curve", [Line(), Offset(), Proportional(), Polynomial(2)], ids=repr)
def test_a_module_predicts_what_its_calibration_corrects(curve: Curve, quiet: MakeTrainer, tmp_path: Path) -> None:
    module, data = CalibrationModule(curve=curve), ReadingsDataModule(normalization="standard")
    trainer = quiet(max_epochs=1)
    trainer.fit(module, data)
    calibration = module.calibration()
    assert isinstance(calibration, thermofit_pl.Calibration)
    known = thermofit_pl.fit(X, Y, curve=curve)
    np.testing.assert_allclose(calibration.correct(X).estimate, known.correct(X).estimate, rtol=1e-13)
    np.testing.assert_allclose(calibration.correct(X).u_line, known.correct(X).u_line, rtol=1e-10)
    at = np.array([10.0, 40.0, 100.0])
    expected = calibration.correct(at, extrapolate="ignore")
    trainer.save_checkpoint(tmp_path / "c.ckpt")
    loaded = CalibrationModule.load_from_checkpoint(tmp_path / "c.ckpt")
    for each in (module, loaded):
        found = quiet().predict(each, DataLoader(TensorDataset(torch.tensor(at)), batch_size=3))[0]  # type: ignore[index]
        assert isinstance(found, Corrected)
        for mine, own in zip(found, expected, strict=True):
            np.testing.assert_array_equal(mine.numpy(), own)
        assert found.extrapolated.tolist() == [True, False, True]


def test_a_loader_of_ones_own_ends_in_a_calibration(quiet: MakeTrainer) -> None:
    module = CalibrationModule()
    scaled = (X - X.mean()) / X.std()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.filterwarnings("ignore", "You defined a `validation_step`|The 'train_dataloader' does not")
        quiet(max_epochs=30).fit(module, loader(scaled))
    calibration, known = module.calibration(), thermofit_pl.fit(scaled, Y)
    assert isinstance(calibration, thermofit_pl.Calibration)
    for name in ("w", "b", "u_w", "u_b", "s"):
        assert getattr(calibration, name) == pytest.approx(getattr(known, name), rel=1e-10)
    assert calibration.n == 11
    assert calibration.sgd is not None
    assert calibration.sgd.w == pytest.approx(module.w.item(), rel=1e-12)


def test_readings_that_are_not_normalised_are_told_once(quiet: MakeTrainer, caplog: pytest.LogCaptureFixture) -> None:
    module = CalibrationModule(learning_rate=1e-5)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        quiet(max_epochs=3).fit(module, loader())
    sentences = [str(each.message) for each in told if "not normalised" in str(each.message)]
    assert len(sentences) == 1
    assert "The indications of this loader are not normalised (from 35.7 to 81.9), so that SGD needs" in sentences[0]
    assert any("SGD ended within" in each for each in caplog.messages)


@pytest.mark.parametrize("how", ["new", "loaded", "few"])
def test_without_a_fit_here_there_is_no_calibration(how: str, quiet: MakeTrainer, tmp_path: Path) -> None:
    module, trainer = CalibrationModule(), quiet(max_epochs=1)
    if how == "few":
        few = DataLoader(TensorDataset(torch.ones(3).double(), torch.ones(3).double()))
        trainer.fit(module, few, few)
    if how == "loaded":
        trainer.fit(module, ReadingsDataModule())
        trainer.save_checkpoint(tmp_path / "c.ckpt")
        module = CalibrationModule.load_from_checkpoint(tmp_path / "c.ckpt")
    with pytest.raises(
        InputError, match=r"Expected a module that Trainer\.fit has trained in this process, .* fit again"
    ):
        module.calibration()


def test_a_fleets_calibrations(quiet: MakeTrainer, tmp_path: Path) -> None:
    rows = [f"{n},{x},{(k + 2) * x - 3 * k + (x % 3) * 0.1}\n" for k, n in enumerate("abc") for x in range(10)]
    (tmp_path / "fleet.csv").write_text("name,shows,true\n" + "".join(rows))
    module = CalibrationModule()
    quiet(max_epochs=1).fit(module, ReadingsDataModule(str(tmp_path / "fleet.csv"), "shows", "true", instrument="name"))
    found = module.calibration()
    assert isinstance(found, thermofit_pl.Calibrations)
    assert found.instruments == ["a", "b", "c"]
    assert found["b"].w == pytest.approx(3.001818181818182, rel=1e-12)


def test_a_checkpoint_is_no_calibration(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"last\.ckpt: expected a calibration, but this is a checkpoint of a fit; load the"
    ):
        thermofit_pl.load(tmp_path / "last.ckpt")

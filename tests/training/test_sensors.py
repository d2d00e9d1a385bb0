"""SGD on thermistors and platinum: laps, mini-batches, further passes, fleets, processes, checkpoints."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from lightning.pytorch import Trainer

from thermofit_pl import fit, load
from thermofit_pl.curves.base import Curve
from thermofit_pl.curves.callendar_van_dusen import CallendarVanDusen
from thermofit_pl.curves.line import Line
from thermofit_pl.curves.steinhart_hart import SteinhartHart
from thermofit_pl.metrics.least_squares import distance
from thermofit_pl.training.datamodule import ReadingsDataModule
from thermofit_pl.training.module import CalibrationModule

QUIET: dict[str, Any] = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "accelerator": "cpu",
}
# https://www.itl.nist.gov/div898/strd/nls/data/mgh10.shtml: a thermistor [ohm], from 50 to 125 °C
R = [34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744, 8261, 7030, 6005, 5147, 4427, 3820, 3307, 2872]


@pytest.fixture
def thermistor(tmp_path: Path) -> Path:
    t = np.arange(50.0, 126.0, 5.0)
    platinum = 100.02 * (1 + 3.9083e-3 * t - 5.775e-7 * t**2) + 0.002 * np.cos(np.arange(16) * 7)
    pl.DataFrame({"ohm": np.array(R, np.float64), "pt": platinum, "t": t}).write_csv(tmp_path / "mgh10.csv")
    return tmp_path / "mgh10.csv"


def trained(module: CalibrationModule, data: ReadingsDataModule, epochs: int = 10) -> Trainer:
    trainer = Trainer(max_epochs=epochs, **QUIET)
    trainer.fit(module, data)
    return trainer


@pytest.mark.parametrize("curve", [SteinhartHart(), SteinhartHart(4), CallendarVanDusen()], ids=repr)
def test_sgd_ends_on_the_solution_in_the_lines_number_of_steps(curve: Curve, thermistor: Path) -> None:
    data = ReadingsDataModule(str(thermistor), "pt" if curve.inverted else "ohm", "t")
    module = CalibrationModule(curve, finish="none")
    trained(module, data, epochs=4)
    # whitened features, and levels in degrees: the Hessian is 2, or nearly so, as that of a standardised line
    moments = data.moments["train"].normalized(data.normalization.offset, data.normalization.scale)
    values = moments.modes()[0]
    assert ((values > 1.5) & (values < 3)).all()
    assert distance(moments, module.w.detach(), module.b.detach()).item() < 1e-7
    # the loss is the mean squared error of the temperature, to first order
    table = pl.read_csv(thermistor)
    shown = torch.tensor(table["pt" if curve.inverted else "ohm"].to_list(), dtype=torch.float64)
    error = module(shown) - torch.tensor(table["t"].to_list(), dtype=torch.float64)
    assert module.last_loss() == pytest.approx(error.square().mean().item(), rel=0.15 if curve.inverted else 1e-3)
    found: Any = fit(shown.numpy(), table["t"].to_numpy(), curve=curve)
    np.testing.assert_allclose(module(shown).detach(), found.correct(shown.numpy()).estimate, rtol=0, atol=1e-6)


def test_mini_batches_minimise_the_error_of_the_temperature(thermistor: Path) -> None:
    data = ReadingsDataModule(str(thermistor), "ohm", "t", batch_size=4)
    module = CalibrationModule(SteinhartHart(), learning_rate=0.1, finish="none")
    trained(module, data, epochs=300)
    moments = data.moments["train"].normalized(data.normalization.offset, data.normalization.scale)
    assert (
        distance(moments, module.w.detach(), module.b.detach()).item() < 0.02
    )  # they wander by a few times the scatter, 4 mK


def test_scores_are_those_of_the_temperatures(thermistor: Path) -> None:
    data = ReadingsDataModule(str(thermistor), "ohm", "t")
    module = CalibrationModule(SteinhartHart())
    trainer = trained(module, data, epochs=1)
    (scores,) = trainer.validate(module, data, verbose=False)
    t = np.arange(50.0, 126.0, 5.0)
    found: Any = fit(np.array(R, np.float64), t, curve=SteinhartHart())
    error = found.correct(np.array(R)).estimate - t
    assert scores["val/rmse"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-6)
    assert scores["val/largest_error"] == pytest.approx(error[np.abs(error).argmax()], rel=1e-6)
    assert scores["val/r2"] == pytest.approx(1 - (error**2).sum() / ((t - t.mean()) ** 2).sum(), abs=1e-12)


def noisy(path: Path, n: int = 400_000) -> Path:
    """A ramp, whose first block has other temperatures than the rest, with errors of 2 °C."""
    random = np.random.default_rng(0)
    r = np.exp(np.linspace(np.log(1e3), np.log(1e5), n))
    logarithm = np.log(r)
    t = 1 / (1.129241e-3 + 2.341077e-4 * logarithm + 8.775468e-8 * logarithm**3) - 273.15
    code = random.integers(0, 3, n)
    columns = {
        "ohm": r,
        "t": t + 2 * random.standard_normal(n),
        "probe": [f"p{k}" for k in code],
        "own": r * (1 + code),
    }
    pl.DataFrame(columns).write_parquet(path, row_group_size=40_000)
    return path


def test_a_table_is_read_again_until_the_solution_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = noisy(tmp_path / "ramp.parquet")
    passes: list[int] = []
    from thermofit_pl.training.reading import Reading

    read = Reading.read

    def counted(self: Reading, *given: Any) -> None:
        passes.append(1)
        read(self, *given)

    monkeypatch.setattr(Reading, "read", counted)
    data, whole = ReadingsDataModule(str(path), "ohm", "t"), pl.read_parquet(path)
    trained(CalibrationModule(SteinhartHart()), data, epochs=1)
    assert len(passes) > 1
    found: Any = fit(whole, indication="ohm", reference="t", curve=SteinhartHart())
    w, b = data.line.w[0].tolist(), data.line.b.item()
    curve, x = data.moments["train"].curve, np.geomspace(1e3, 1e5, 9)
    estimate = curve.evaluate(x, b, w, [0.0, 0.0])[0]
    corrected = found.correct(x, "ignore")
    assert np.abs((estimate - corrected.estimate) / corrected.u_line).max() < 2e-3  # each within 1e-3 u
    passes.clear()
    trained(CalibrationModule(Line()), ReadingsDataModule(str(path), "ohm", "t"), epochs=1)
    assert len(passes) == 1
    fleet = ReadingsDataModule(str(path), "own", "t", instrument="probe")
    trained(CalibrationModule(SteinhartHart()), fleet, epochs=1)
    many: Any = fit(whole, indication="own", reference="t", instrument="probe", curve=SteinhartHart())
    assert fleet.instruments == ["p0", "p1", "p2"]
    np.testing.assert_allclose(fleet.line.s, [many[name].s for name in fleet.instruments], rtol=1e-9)


@pytest.mark.slow
def test_processes_that_share_a_table_find_the_solution_of_one(tmp_path: Path) -> None:
    path, commands = noisy(tmp_path / "ramp.parquet"), []
    for processes in (1, 2):
        for words in (["--data.indication", "ohm"], ["--data.indication", "own", "--data.instrument", "probe"]):
            devices = ["--trainer.devices", str(processes)] if processes > 1 else []
            words = ["fit", "--figures", "false", "--trainer.accelerator", "cpu", "--data.path", str(path), *words]
            words += ["--data.reference", "t", "--model.curve", "SteinhartHart", "--trainer.max_epochs", "2", *devices]
            folder = str(tmp_path / f"{processes}{len(words) - len(devices)}")
            commands.append({"arguments": words, "processes": processes, "shared": 0, "folder": folder})
    commands.sort(key=lambda each: -each["processes"])  # type: ignore[operator]  # Polars must not have run
    run = [sys.executable, str(Path(__file__).parents[1] / "several.py")]
    done = subprocess.run(run, input=json.dumps(commands), text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for several, alone in zip(commands[:2], commands[2:], strict=True):
        here: Any = load(str(Path(str(several["folder"])) / "logs/fit/version_0"))
        there: Any = load(str(Path(str(alone["folder"])) / "logs/fit/version_0"))
        x = np.geomspace(5e3, 9e4, 5)
        pairs = (
            [(here[name], there[name]) for name in ("p0", "p1", "p2")] if hasattr(here, "frame") else [(here, there)]
        )
        for one, other in pairs:
            np.testing.assert_allclose(one.correct(x).estimate, other.correct(x).estimate, rtol=0, atol=1e-10)
            assert one.n == other.n


def test_a_checkpoint_has_the_equation_and_resumes(thermistor: Path, tmp_path: Path) -> None:
    data = ReadingsDataModule(str(thermistor), "ohm", "t")
    module = CalibrationModule(SteinhartHart(), finish="none")
    trainer = trained(module, data, epochs=1)
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    again = CalibrationModule.load_from_checkpoint(tmp_path / "one.ckpt", weights_only=True)
    assert again.curve == SteinhartHart(3, "°C", 87.5)
    x = torch.tensor([3000.0, 10_000.0])
    assert torch.equal(again(x), module(x))
    longer = CalibrationModule(SteinhartHart(), finish="none")
    data = ReadingsDataModule(str(thermistor), "ohm", "t")
    Trainer(max_epochs=2, **QUIET).fit(longer, datamodule=data, ckpt_path=str(tmp_path / "one.ckpt"))
    whole = CalibrationModule(SteinhartHart(), finish="none")
    trained(whole, ReadingsDataModule(str(thermistor), "ohm", "t"), epochs=2)
    assert torch.equal(longer.w, whole.w)
    assert torch.equal(longer.b, whole.b)


@pytest.mark.filterwarnings("ignore:You defined a `validation_step`", "ignore:The indications of this loader")
def test_a_loader_of_ones_own_trains_a_thermistor() -> None:
    r, t = torch.tensor(R, dtype=torch.float64), torch.arange(50.0, 126.0, 5.0, dtype=torch.float64)
    module = CalibrationModule(SteinhartHart(), w=-20.0, b=200.0, finish="none")
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(r, t), batch_size=16)
    Trainer(max_epochs=1, limit_val_batches=0, **QUIET).fit(module, loader)
    assert module.curve == SteinhartHart(3, "°C", 87.5)
    assert module(r).shape == (16,)

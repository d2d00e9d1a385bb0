"""Units from an option, a keyword or a file to every line, file and message."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from running import refused, run, table
from runs import hparams

from thermofit_pl import Calibration, Calibrations, InputError, ReadingsDataModule, fit
from thermofit_pl.calibration.file import checksum
from thermofit_pl.calibration.parquet_file import KEY
from thermofit_pl.reports.html import report
from thermofit_pl.reports.summary import summary

RNG = np.random.default_rng(3)
X = np.linspace(900.0, 1050.0, 16)
Y = X - 2.2 + RNG.normal(0.0, 0.07, 16)
PRESSURE = "".join(f"{x:.3f},{y:.3f}\n" for x, y in zip(X, Y, strict=True))
SCALES = ("degrees Celsius", "degrees Rømer", "kelvin", "°C", "temperature", "eight scales")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_pressure_is_in_hpa_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    options = [*table(content=PRESSURE), "--data.unit", "hPa", "--data.indication_unit", "V"]
    ended = run(capsys, "fit", *options, "--data.val_fraction", 0.25)
    assert ended.code == 0, ended.err
    assert "hPa/V, b = " in ended.out
    assert "SGD's line has rmse" in ended.out
    assert "same quantity" not in ended.out
    shown = run(capsys, "show", "last").out
    scored = run(capsys, "validate", *options, "--ckpt_path", "last").out
    assert " hPa   mean error " in scored
    page = report(Calibration.load("logs/fit/version_0"))
    for text in (ended.out, shown, scored):
        assert not [word for word in SCALES if word in text], text
    assert "estimate (hPa)" in page
    assert "°C" not in page
    found = json.loads(Path("logs/fit/version_0/calibration.json").read_text("utf-8"))
    assert (found["unit"], found["indication_unit"], found["scale"]) == ("hPa", "V", None)


def test_fahrenheit_is_spoken_of_in_fahrenheit() -> None:
    x = np.array([33.0, 51.0, 68.9, 86.8, 104.9])
    y = np.array([32.1, 50.2, 68.0, 86.1, 104.0])
    text = summary(fit(x, y, unit="degF"))
    assert "°C" not in text
    assert "The indications are degrees Fahrenheit, " in text
    assert "°F too high" in text


def test_a_kelvin_reference_finds_celsius_indications() -> None:
    x = np.linspace(0.0, 100.0, 9)
    text = summary(fit(x, x + 273.15 + 0.01 * (-1.0) ** np.arange(9), unit="K"))
    assert "The indications are degrees Celsius as far as these readings can tell" in text


def test_absolute_zero_is_that_of_the_unit() -> None:
    with pytest.raises(InputError, match=r"Expected references in °F, from -459\.67 on, but got -460"):
        fit([1.0, 2.0, 3.0], [-460.0, 0.0, 1.0], unit="°F")
    with pytest.raises(InputError, match=r"Expected references in K, from 0 on, but got -1"):
        fit([1.0, 2.0, 3.0], [-1.0, 0.0, 1.0], unit="K")
    assert fit([1.0, 2.0, 3.0], [-1000.0, 0.0, 1.0], unit="Pa").unit == "Pa"
    options = table(content="1,300\n2,-0.5\n3,310\n")
    module = ReadingsDataModule("readings.csv", "shown", "ref", unit="K")
    with pytest.raises(InputError, match=r"row 3: expected a reference in K in column 'ref', but -0\.5 is below 0 K"):
        module.setup("fit")
    ReadingsDataModule(options[1], "shown", "ref", unit="mA").setup("fit")


def test_a_header_that_names_another_unit_is_told_and_not_adopted(capsys: pytest.CaptureFixture[str]) -> None:
    Path("t.csv").write_text("shown [°F],ref_f\n33,32.1\n51,50.2\n69,68\n", "utf-8")
    options = ["--data.path", "t.csv", "--data.indication", "shown [°F]", "--data.reference", "ref_f"]
    ended = run(capsys, "fit", *options)
    assert "The column 'ref_f' names °F, but its values are taken as °C" in ended.err
    assert "shown" not in ended.err
    assert "°F" not in ended.out
    ended = run(capsys, "fit", *options, "--data.unit", "degF", "--data.indication_unit", "°C")
    assert "The column 'shown [°F]' names °F, but its values are taken as °C" in ended.err
    assert "ref_f" not in ended.err
    assert Calibration.load("logs/fit/version_1").unit == "°F"


def test_another_unit_than_the_checkpoints_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    options = table(content=PRESSURE)
    assert run(capsys, "fit", *options, "--data.unit", "hPa").code == 0
    ended = run(capsys, "validate", *options, "--data.unit", "K", "--ckpt_path", "last")
    assert ended.code == 2
    assert "--data.unit: expected hPa, in which the checkpoint's line is, but got K; add --data.unit hPa" in ended.err


def test_a_scale_of_temperature_is_refused_for_a_pressure(capsys: pytest.CaptureFixture[str]) -> None:
    ended = run(capsys, "fit", *table(content=PRESSURE), "--data.unit", "hPa", "--model.snap", "celsius")
    refused(ended, "--model.snap: expected a reference in °C, °F or K")


def test_a_snapped_line_is_the_conversion_to_the_references_unit(capsys: pytest.CaptureFixture[str]) -> None:
    options = [*table(content="0,32.1\n50,121.9\n100,212.1\n"), "--data.unit", "°F", "--model.snap", "celsius"]
    assert run(capsys, "fit", *options).code == 0
    found = Calibration.load("logs/fit/version_0")
    assert (found.w, found.b) == (1.8, 32.0)
    assert run(capsys, "validate", *options, "--ckpt_path", "last").out.count("rmse 0.1 °F") == 1


def test_files_without_units_load_as_celsius_and_keep_their_checksum() -> None:
    made = fit([1.0, 2.0, 3.0, 5.0], [1.1, 2.0, 3.1, 4.9])
    made.save("calibration.json")
    found = json.loads(Path("calibration.json").read_text("utf-8"))
    assert (found.pop("unit"), found.pop("indication_unit")) == ("°C", None)
    Path("old.json").write_text(json.dumps(found), "utf-8")
    old = Calibration.load("old.json")
    assert (old.unit, old.indication_unit, checksum(old)) == ("°C", None, found["checksum"])
    found["unit"] = "°F"
    Path("old.json").write_text(json.dumps(found), "utf-8")
    with pytest.raises(InputError, match="its values don't match its checksum"):
        Calibration.load("old.json")


def test_a_fleet_keeps_its_units() -> None:
    x, y = np.tile(X, 2), np.concatenate([Y, X + Y - Y.mean()])
    fleet = fit(x, y, ["a"] * 16 + ["b"] * 16, unit="hPa", indication_unit="hPa")
    fleet.save("calibrations.parquet")
    again = Calibrations.load("calibrations.parquet")
    assert (again.units.reference, again["a"].unit, again["a"].indication_unit) == ("hPa", "hPa", "hPa")
    assert again["a"].scale is None
    text = summary(again)
    assert "As far as the readings can tell, 0 of 2 instruments show the same quantity as the reference, in hPa" in text
    assert not [word for word in SCALES if word in text], text


def test_a_fleets_file_without_units_loads_as_celsius() -> None:
    fleet = fit(np.tile(X, 2), np.tile(Y, 2), ["a"] * 16 + ["b"] * 16)
    fleet.save("new.parquet")
    kept = json.loads(pl.read_parquet_metadata("new.parquet")[KEY])
    assert (kept.pop("unit"), kept.pop("indication_unit")) == ("°C", None)
    pl.read_parquet("new.parquet").write_parquet("old.parquet", metadata={KEY: json.dumps(kept)})
    assert Calibrations.load("old.parquet")["b"].unit == "°C"


def test_tensorboard_names_the_unit(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "fit", *table(content=PRESSURE), "--data.unit", "ml/s").code == 0
    folder = Path("logs/fit/version_0")
    assert "final loss ((ml/s)²)" in [info.display_name for info in hparams(folder, "experiment").metric_infos]
    assert hparams(folder, "session_start_info").hparams["unit"].string_value == "ml/s"

"""The command ``export``: one calibration, and a fleet's."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from made import NOTEBOOK, calibration

from thermofit_pl import fit
from thermofit_pl.calibration.calibrations import Calibrations
from thermofit_pl.cli import commands
from thermofit_pl.errors import InputError
from thermofit_pl.export.export import export
from thermofit_pl.export.view import view

CALIBRATION = calibration(*NOTEBOOK)
NAMES = ["a/b", "a b", 'quo"te, comma', "ok"]


@pytest.fixture(scope="module")
def fleet() -> Calibrations:
    """Four instruments, and one with a single reading."""
    random = np.random.default_rng(20)
    x = random.uniform(0, 50, 81)
    found = fit(x, 0.5 * x + 1 + random.normal(0, 0.1, 81), [*np.repeat(NAMES, 20), "one"])
    assert isinstance(found, Calibrations)
    return found


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fleet: Calibrations) -> Path:
    monkeypatch.chdir(tmp_path)
    CALIBRATION.save("calibration.json")
    fleet.save("calibrations.parquet")
    return tmp_path


def test_it_prints_a_text(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert commands.main(["export", "calibration.json", "--to", "home-assistant"]) == 0
    assert capsysbinary.readouterr().out.decode() == export(view(CALIBRATION), "home-assistant")
    assert commands.main(["export", "calibration.json", "--to", "c", "--output", "probe.h"]) == 0
    assert Path("probe.h").read_text() == export(view(CALIBRATION), "c")


def test_last_is_the_newest_run(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    run = Path("logs", "fit", "version_0")
    run.mkdir(parents=True)
    CALIBRATION.save(run / "calibration.json")
    assert commands.main(["export", "last", "--to", "excel"]) == 0
    assert capsysbinary.readouterr().out.decode() == export(view(CALIBRATION), "excel")


def test_one_of_a_fleet(capsysbinary: pytest.CaptureFixture[bytes], fleet: Calibrations) -> None:
    assert commands.main(["export", "calibrations.parquet", "--to", "python", "--instrument", "a b"]) == 0
    out = capsysbinary.readouterr().out.decode()
    assert fleet["a b"].checksum in out
    assert "def a_b_correct(indication):" in out


def test_a_fleet_is_a_table_of_coefficients(capsysbinary: pytest.CaptureFixture[bytes], fleet: Calibrations) -> None:
    assert commands.main(["export", "calibrations.parquet", "--to", "c"]) == 0
    captured = capsysbinary.readouterr()
    rows = list(csv.DictReader(io.StringIO(captured.out.decode())))
    assert [row["instrument"] for row in rows] == [name for name in fleet if name != "one"]
    for row in rows:
        one = fleet[row["instrument"]]
        assert (float(row["w"]), float(row["b"])) == (one.w, one.b)
        assert (float(row["low"]), float(row["high"])) == one.indication_range
        assert float(row["u_high"]) == pytest.approx(one.correct(one.indication_range[1]).u_single, rel=1e-14)
        assert 0 < float(row["largest_difference"]) < 1e-5  # float32
        assert row["checksum"] == one.checksum
    assert captured.err.decode().startswith("1 instrument has no export; one: Expected a calibrated instrument, but")
    assert commands.main(["export", "calibrations.parquet", "--to", "c", "--output", "all.csv"]) == 0
    assert Path("all.csv").read_bytes() == captured.out


def test_a_fleet_goes_into_a_folder(capsys: pytest.CaptureFixture[str], fleet: Calibrations) -> None:
    assert commands.main(["export", "calibrations.parquet", "--to", "c", "--output", "firmware/probes"]) == 0
    found = {path.name: path.read_text() for path in Path("firmware/probes").iterdir()}
    assert set(found) == {"a_b.h", "a_b_2.h", "quo_te_comma.h", "ok.h"}
    for name, text in found.items():
        assert f"{name[:-2]}_correct(" in text, "two headers of one program share no name"
    for name in ("a b", "a/b"):
        assert sum(fleet[name].checksum in text for text in found.values()) == 1
    assert "Written: 4 texts in firmware/probes." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("calibration.json --to nope", "Expected --to esphome, .*, but got 'nope'"),
        ("calibration.json", "the following arguments are required: --to"),
        ("calibration.json --to c --instrument a", "Expected no --instrument, as the calibration is of one"),
        ("calibrations.parquet --to c --instrument a", "Expected one of 5 instruments, but got a, which is none"),
        ("calibrations.parquet --to c --instrument one", "Expected a calibrated instrument, but one has"),
        (
            "calibrations.parquet --to klipper --output folder",
            "klipper holds, but it holds thermistors alone",
        ),
        ("calibrations.parquet --to c --output calibration.json/x", "calibration.json/x can't be made"),
        ("calibration.json --to c --output nowhere/x.h", "Expected to write nowhere/x.h, but got No such file"),
    ],
)
def test_what_cannot_be_exported_is_a_sentence(words: str, sentence: str, folder: Path) -> None:
    before = sorted(folder.iterdir())
    with pytest.raises(InputError, match=sentence):
        commands.main(["export", *words.split()])
    assert sorted(folder.iterdir()) == before

"""Every shipped configuration runs, and gives what its first lines promise."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from thermofit_pl.__main__ import main

FOLDER = Path(__file__).parents[1] / "configs"
CONFIGS = sorted(FOLDER.glob("*.yaml"))
FLEET = FOLDER / "fleet.yaml"  # its promise is of several lines
CURVES = [FOLDER / f"{name}.yaml" for name in ("load_cell", "offset", "pt100", "thermistor")]  # theirs of coefficients
PROMISE = re.compile(
    r"SGD to end at w (\S+), b (\S+) on .* indications, and the least-squares line (\S+) · indication − (\d+\.\d+)\."
)


def test_there_are_configs() -> None:
    assert {path.stem for path in CONFIGS} >= {
        "notebook",
        "adam",
        "minibatches",
        "early",
        "fleet",
        *(path.stem for path in CURVES),
    }


@pytest.mark.parametrize("path", sorted({*CONFIGS} - {FLEET, *CURVES}), ids=lambda path: path.stem)
def test_config_gives_what_it_promises(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    promise = PROMISE.search(path.read_text(encoding="utf-8"))
    assert promise is not None
    assert main(["fit", "--config", str(path)]) == 0
    calibration = json.loads(Path("logs/fit/version_0/calibration.json").read_text(encoding="utf-8"))
    ended = re.search(r"SGD ended at w (\S+), b (\S+);", capsys.readouterr().out)
    assert ended is not None
    for promised, came in zip(promise.groups()[:2], ended.groups(), strict=True):
        digits = len(promised.partition(".")[2])
        assert float(came) == pytest.approx(float(promised), abs=0.6 * 10**-digits)
    assert calibration["w"] == pytest.approx(float(promise[3]), abs=5e-7)
    assert calibration["b"] == pytest.approx(-float(promise[4]), abs=5e-5)


@pytest.mark.parametrize("path", CURVES, ids=lambda path: path.stem)
def test_a_curve_has_the_coefficients_that_it_promises(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("configs").symlink_to(FOLDER)
    text = path.read_text(encoding="utf-8").splitlines()[1]
    promised = re.findall(r"(\w+) = (-?\d\.?[\d.]*(?:e-\d+)?)\b", text)
    assert main(["fit", "--figures=false", "--config", f"configs/{path.name}"]) == 0
    calibration = json.loads(Path("logs/fit/version_0/calibration.json").read_text(encoding="utf-8"))
    quoted = calibration.get("conventional", {"names": ["b"], "values": [calibration.get("b")]})
    found = dict(zip(quoted["names"], quoted["values"], strict=True))
    assert [name for name, _ in promised] == list(found)
    for name, value in promised:
        digits = len(value.partition("e")[0].strip("-0.").replace(".", ""))
        assert found[name] == pytest.approx(float(value), rel=0.6 * 10 ** (1 - digits))
    if "class AA" in text:
        assert "within class AA of IEC 60751" in capsys.readouterr().out
    assert calibration["sgd"]["converged"] is True


def test_the_fleet_has_the_lines_that_it_promises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("configs").symlink_to(FOLDER)
    promised = re.findall(r"(\w+): (\S+) · indication − (\d+\.\d+)", FLEET.read_text(encoding="utf-8"))
    assert main(["fit", "--figures=false", "--config", "configs/fleet.yaml"]) == 0
    frame = pl.read_parquet("logs/fit/version_0/calibrations.parquet")
    assert [name for name, *_ in promised] == frame["instrument"].to_list() == ["cellar", "hall", "oven"]
    readings = pl.read_csv(FOLDER / "fleet.csv")
    for (name, w, b), row in zip(promised, frame.iter_rows(named=True), strict=True):
        own = readings.filter(probe=name)
        line = np.polyfit(own["shown"], own["celsius"], 1)
        assert (row["w"], row["b"]) == pytest.approx(tuple(line), rel=1e-9)
        assert [float(w), -float(b)] == pytest.approx(line, rel=3e-6)  # six digits

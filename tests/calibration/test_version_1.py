"""Files of the first version of the format, as it wrote them: three lines, one of a log, one without uncertainty."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from made import NOTEBOOK

from thermofit_pl import Calibration, Calibrations, InputError, fit
from thermofit_pl.calibration.calibrations import load
from thermofit_pl.curves.line import Line

FILES = Path(__file__).parent / "files"


def test_a_line_of_the_first_version_is_read_with_all_its_numbers() -> None:
    kept = json.loads((FILES / "calibration_1.json").read_text())
    found = Calibration.load(FILES / "calibration_1.json")
    for name in ("w", "b", "u_w", "u_b", "cov_wb", "u_pivot", "s", "rmse", "n", "dof", "coverage_factor", "created"):
        assert getattr(found, name) == kept[name]
    assert found.curve == Line()
    assert (found.pivot, found.u_reading, found.source) == (kept["indication_mean"], kept["s"], "independent readings")
    assert (found.u_dof, found.reading_dof, found.lower_bound) == (9.0, 9.0, False)
    assert found.correct(68) == pytest.approx((19.1957051187022, 0.810403357905863, 2.05790842314332, False), rel=1e-12)
    assert found.diagnostics.slope_p == kept["diagnostics"]["slope_p"]
    assert "reference = 0.536772 · indication − 17.3048 °C" in str(found)


def test_it_is_written_in_the_version_of_today(tmp_path: Path) -> None:
    found = Calibration.load(FILES / "calibration_1.json")
    found.save(tmp_path / "c.json")
    assert json.loads((tmp_path / "c.json").read_text())["format"] == "thermofit_pl calibration 2"
    assert Calibration.load(tmp_path / "c.json") == found


def test_a_log_of_the_first_version_says_where_its_uncertainty_is_from() -> None:
    found = Calibration.load(FILES / "log_1.json")
    assert found.source == "AR(1)"
    assert found.diagnostics.autocorrelation is not None


def test_an_altered_file_of_the_first_version_is_found(tmp_path: Path) -> None:
    text = (FILES / "calibration_1.json").read_text()
    (tmp_path / "c.json").write_text(text.replace('"n": 11', '"n": 12').replace('"dof": 9', '"dof": 10'))
    with pytest.raises(InputError, match="altered after it was written"):
        Calibration.load(tmp_path / "c.json")


def test_a_fleet_of_the_first_version_is_read(tmp_path: Path) -> None:
    found, now = Calibrations.load(FILES / "calibrations_1.parquet"), fit(*NOTEBOOK)
    assert found.frame["status"].to_list() == ["ok", "two readings: no uncertainty", "fewer than two readings"]
    assert found["a"].w == pytest.approx(now.w, rel=1e-14)
    assert found["a"].source == "independent readings"
    assert found["b"].source is None
    assert found.correct([68.0, 2.0], ["a", "b"], "ignore").estimate == pytest.approx(
        [19.1957051187022, 4.5], rel=1e-12
    )
    found.save(tmp_path / "c.parquet")
    again = load(tmp_path / "c.parquet")
    assert isinstance(again, Calibrations)
    assert again.frame.equals(found.frame)
    frame = pl.read_parquet(FILES / "calibrations_1.parquet").with_columns(pl.col("w") * 2)
    frame.write_parquet(tmp_path / "d.parquet", metadata=pl.read_parquet_metadata(FILES / "calibrations_1.parquet"))
    with pytest.raises(InputError, match="altered after it was written"):
        load(tmp_path / "d.parquet")

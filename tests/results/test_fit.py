"""``fit`` for tables in memory, with masks and with a time, against the same readings as plain arrays or as a file."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from thermofit_pl import Calibration, Calibrations, InputError, ReadingsDataModule, fit
from thermofit_pl.curves import Offset
from thermofit_pl.results.analyse import Analysis

X = np.array([71.9, 66.2, 60.1, 54.4, 48.7, 43.3, 38.2, 33.5])
Y = np.array([22.14, 19.05, 15.58, 12.47, 9.21, 6.35, 3.42, 0.79])
NAMES = np.array(["a", "b"] * 4)
COLUMNS = {"shown": X, "celsius": Y, "probe": NAMES}
RECORDS = np.empty(8, [("shown", float), ("celsius", float), ("probe", "U1")])
RECORDS["shown"], RECORDS["celsius"], RECORDS["probe"] = X, Y, NAMES
FRAMES = [
    pytest.param(COLUMNS, id="dict"),
    pytest.param({name: column.tolist() for name, column in COLUMNS.items()}, id="dict of lists"),
    pytest.param(pd.DataFrame(COLUMNS, index=range(20, 28)), id="pandas"),
    pytest.param(pd.DataFrame(COLUMNS).convert_dtypes(), id="pandas with nullable types"),
    pytest.param(pl.DataFrame(COLUMNS), id="polars"),
    pytest.param(pl.LazyFrame(COLUMNS), id="lazy polars"),
    pytest.param(pa.table(COLUMNS), id="arrow"),
    pytest.param(pa.RecordBatch.from_pydict(COLUMNS), id="arrow batch"),
    pytest.param(RECORDS, id="records"),
]


def same(one: Calibration, other: Calibration) -> bool:
    keys = ("w", "b", "u_w", "u_b", "s", "n", "data_sha256", "diagnostics")
    return all(getattr(one, key) == getattr(other, key) for key in keys)


@pytest.mark.parametrize("frame", FRAMES)
def test_a_table_gives_what_its_columns_give(frame: Any) -> None:
    calibration = fit(frame, indication="shown", reference="celsius")
    assert same(calibration, fit(X, Y))
    assert (calibration.indication_column, calibration.reference_column) == ("shown", "celsius")


@pytest.mark.parametrize("frame", FRAMES)
def test_a_table_of_a_fleet(frame: Any) -> None:
    fleet = fit(frame, indication="shown", reference="celsius", instrument="probe")
    assert isinstance(fleet, Calibrations)
    assert fleet.instruments == ["a", "b"]
    assert same(fleet["b"], fit(X, Y, NAMES)["b"])
    assert fleet.provenance["instrument_column"] == "probe"


def test_arrays_by_name() -> None:
    assert same(fit(indication=X, reference=Y), fit(X, Y))
    assert len(fit(X, Y, instrument=NAMES)) == 2


def test_masked_readings_are_refused_with_their_index() -> None:
    with pytest.raises(InputError, match=r"number as indication of each reading.*masked or null.*at index 2"):
        fit(np.ma.array(X, mask=X == 60.1), Y)
    with pytest.raises(InputError, match=r"number as reference of each reading.*at index 0"):
        fit(pl.DataFrame({"x": [1, 2, 3], "y": [None, 1, 2]}), indication="x", reference="y")
    with pytest.raises(InputError, match="name of an instrument for each reading, but got none at index 1"):
        fit(X, Y, np.ma.array(NAMES, mask=np.arange(8) == 1))
    with pytest.raises(InputError, match="name of an instrument for each reading, but got none at index 3"):
        fit(X, Y, pd.Series(["a", "b", "a", np.nan, "a", "b", "a", "b"]))


def test_columns_that_are_not_there_are_named() -> None:
    with pytest.raises(InputError, match="Expected a column 'shwon' as indication, but the table has 'shown', 'cels"):
        fit(COLUMNS, indication="shwon", reference="celsius")
    with pytest.raises(InputError, match="Expected the name of a column as reference, but got NoneType"):
        fit(COLUMNS, indication="shown")  # type: ignore[call-overload]
    with pytest.raises(InputError, match="Expected the name of a column as indication, but got ndarray"):
        fit(COLUMNS, indication=X, reference="celsius")  # type: ignore[call-overload]


def test_arguments_that_nothing_takes() -> None:
    with pytest.raises(TypeError, match="it got weight as well"):
        fit(X, Y, weight=Y)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="it got indication as well"):
        fit(X, Y, indication=X)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="got no reference"):
        fit(X)  # type: ignore[call-overload]


HOURS = np.arange(8.0)
SECOND = np.datetime64("2026-03-02T08:00", "s") + (HOURS * 3600).astype("timedelta64[s]")


@pytest.mark.parametrize(
    "time",
    [
        HOURS,
        SECOND,
        SECOND.astype("datetime64[ns]"),
        pd.Series(SECOND),
        pd.Series(SECOND).dt.tz_localize("Europe/Berlin"),
        pl.Series(SECOND.astype("datetime64[us]")),
        pa.array(SECOND),
        [datetime.datetime(2026, 3, 2, 8 + hour) for hour in range(8)],
        [f"2026-03-02 {8 + hour:02}:00" for hour in range(8)],
        pl.Series([f"2026-03-02T{8 + hour:02}:00:00Z" for hour in range(8)]),
    ],
)
def test_a_log_is_what_the_command_makes_of_its_file(time: Any, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    pl.DataFrame({"time": HOURS, "shown": X, "celsius": Y}).write_csv(path)
    data = ReadingsDataModule(str(path), "shown", "celsius", time="time")
    data.setup("fit")
    calibration = fit(X, Y, time=time)
    assert calibration.u_w == fit(X, Y).u_w  # too short to tell
    assert calibration.diagnostics.autocorrelation is not None
    train = data.moments["train"]
    found = Analysis.of(train, data.line, data.sample, data.log).log
    assert found is not None
    assert calibration.diagnostics.autocorrelation.errors == found.errors[0]


def test_a_log_need_not_come_in_order() -> None:
    order = np.array([3, 0, 7, 1, 6, 2, 5, 4])
    frame = {"t": HOURS[order], "x": X[order], "y": Y[order]}
    shuffled, straight = fit(frame, indication="x", reference="y", time="t"), fit(X, Y, time=HOURS)
    assert shuffled.u_w == pytest.approx(straight.u_w, rel=1e-12)
    largest, usual = shuffled.diagnostics.largest_error, straight.diagnostics.largest_error
    assert largest is not None
    assert usual is not None
    assert largest.indication == usual.indication
    assert X[order][largest.row - 1] == largest.indication  # type: ignore[operator]  # the row as it was given


def test_logs_of_a_fleet() -> None:
    fleet = fit(np.concatenate([X, X]), np.concatenate([Y, Y]), ["a"] * 8 + ["b"] * 8, time=np.tile(HOURS, 2))
    alone = fit(X, Y, time=HOURS)
    assert fleet["b"].u_w == pytest.approx(alone.u_w, rel=1e-12)


@pytest.mark.parametrize(
    ("time", "sentence"),
    [
        (HOURS[:5], r"Expected time of shape \(8,\)"),
        ([*HOURS[:7], None], "Expected a time for each reading, but got none at index 7"),
        ([*HOURS[:7], np.inf], "Expected finite numbers as time, but got inf at index 7"),
        (["noon"] * 8, "Expected numbers or ISO dates and times as time, but got 'noon' at index 0"),
        (np.full(8, "NaT", "datetime64[s]"), "Expected a time for each reading, but got none at index 0"),
    ],
)
def test_times_that_are_none(time: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        fit(X, Y, time=time)


def test_no_p_value_of_a_scale_is_quoted_where_neighbours_are_alike() -> None:
    # a log that nobody called one: the tests take readings as independent, and would be false
    random = np.random.default_rng(5)
    slow = np.convolve(random.normal(size=900), np.ones(300) / 300**0.5, "valid")[:600]
    x = 20 + 6 * np.sin(np.arange(600) / 40)
    said = str(fit(x, x + 0.5 + 0.1 * slow))
    assert "Errors of neighbouring rows are alike" in said
    (scale,) = (line for line in said.splitlines() if line.startswith("The indications are"))
    assert scale.startswith("The indications are nearest to degrees Celsius")
    assert "p =" not in scale
    independent = str(fit(x, x + 0.5 + 0.1 * random.normal(size=600)))
    assert "more than chance (p < 1e-300)" in independent


def test_an_offset_alone_is_near_the_scale_that_it_is_parallel_to() -> None:
    shown = np.array([23.1, 22.9, 23.2, 23.0, 23.4, 23.6])
    said = str(fit(shown, shown - 2 + 0.05 * np.array([1, -1, 1, -1, 1, -1]), curve=Offset()))
    assert "The indications are nearest to degrees Celsius, 2.0 °C too high." in said

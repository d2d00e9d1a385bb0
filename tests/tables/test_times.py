"""Times as loggers and spreadsheets write them, beside what Python's datetime makes of them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import polars as pl
import pytest

from thermofit_pl.errors import InputError
from thermofit_pl.tables.options import TableOptions
from thermofit_pl.tables.table import Table
from thermofit_pl.tables.times import Times


def at(*parts: int, hours: float = 0) -> float:
    return datetime(*parts, tzinfo=timezone(timedelta(hours=hours))).timestamp()  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("cell", "seconds"),
    [
        ("2026-03-02", at(2026, 3, 2)),
        ("2026-03-02 08:00", at(2026, 3, 2, 8)),
        ("2026-03-02T08:00:05", at(2026, 3, 2, 8, 0, 5)),
        ("2026-03-02 08:00:05.25", at(2026, 3, 2, 8, 0, 5) + 0.25),
        ("2026-03-02T08:00:05Z", at(2026, 3, 2, 8, 0, 5)),
        ("2026-03-02 08:00:05 UTC", at(2026, 3, 2, 8, 0, 5)),
        ("2026-03-02T08:00:05+01:00", at(2026, 3, 2, 8, 0, 5, hours=1)),
        ("2026-03-02 08:00:05.5 -0330", at(2026, 3, 2, 8, 0, 5, hours=-3.5) + 0.5),
        ("2026/03/02 08:00", at(2026, 3, 2, 8)),
        ("02.03.2026 08:00", at(2026, 3, 2, 8)),
        ("2.3.2026 8:05:09", at(2026, 3, 2, 8, 5, 9)),
        ("02.03.2026, 08:00", at(2026, 3, 2, 8)),
        ("31/03/2026 08:00", at(2026, 3, 31, 8)),
        ("3/31/2026 08:00 PM", at(2026, 3, 31, 20)),
        ("03/03/2026 12:00:01 am", at(2026, 3, 3, 0, 0, 1)),
    ],
)
def test_times_that_are_certain(cell: str, seconds: float) -> None:
    assert Times().seconds(pl.Series([cell])).to_list() == [seconds]


@pytest.mark.parametrize(
    ("cell", "advice"),
    [
        ("05/04/2026 08:00", r"the day is not certain; .*time_format='%d/%m/%Y %H:%M' or '%m/%d/%Y %H:%M'"),
        ("05/04/25 10:52:42 AM", r"is the day is not certain; .*'%m/%d/%y %I:%M:%S %p'"),
        ("25/04/25 10:52", "is the day is not certain"),
        ("05-04-2026", r"is the day is not certain; .*'%d-%m-%Y'"),
        ("02.03.26 08:00", "is the day is not certain"),
        ("30.02.2026 08:00", "is the day is not certain"),
        ("10:52:42", r"a time of day needs its date; .* name both, as \[Date,Time\]"),
        ("Mar 2 2026 08:00", r"say how times are written with table.time_format"),
        ("noon", "correct the cell"),
    ],
)  # fmt: skip
def test_times_that_are_not(tmp_path: Path, cell: str, advice: str) -> None:
    (tmp_path / "a.csv").write_text(f"when,shown\n{cell},1\n")
    with pytest.raises(
        InputError, match=rf"row 2: expected a number or an ISO date and time in column 'when', .*{advice}"
    ):
        list(Table(str(tmp_path / "a.csv"), "shown", time="when").blocks())


def read(path: Path, text: str, time: str | list[str] = "when", form: str | None = None) -> list[float]:
    path.write_text(text)
    table = Table(str(path), "shown", time=time, options=TableOptions(time_format=form))
    return [time for block in table.blocks() if block.time is not None for time in block.time.tolist()]


def test_days_in_two_orders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"row 2: .* the day is not certain, and other rows have another order"):
        read(tmp_path / "a.csv", "when,shown\n12/31/2025 08:00,1\n31/01/2026 08:00,2\n")


def test_times_with_a_zone_beside_times_without(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"row 3: .*; other rows name no time zone; let all rows name theirs, or none\."
    ):
        read(tmp_path / "a.csv", "when,shown\n2026-03-02 08:00,1\n2026-03-02 08:00Z,2\n")


def test_a_format(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    text = "when,shown\n05/04/25 10:52:42 AM,1\n05/04/25 01:08:42 PM,2\n"
    assert read(path, text, form="%m/%d/%y %I:%M:%S %p") == [at(2025, 5, 4, 10, 52, 42), at(2025, 5, 4, 13, 8, 42)]
    assert read(path, "when,shown\n20250504,1\n", form="%Y%m%d") == [at(2025, 5, 4)]
    assert read(path, "when,shown\n4/5/2025 1:00:00.25 +0200,1\n", form="%d/%m/%Y %H:%M:%S.%f %z") == [
        at(2025, 5, 4, 1, hours=2) + 0.25
    ]
    with pytest.raises(
        InputError, match=r"row 2: expected a time written as %Y-%m-%d in column 'when'.* table.time_format"
    ):
        read(path, text, form="%Y-%m-%d")
    with pytest.raises(InputError, match=r"table.time_format: expected how times are written, such as .*but got 'iso'"):
        read(path, text, form="iso")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_date_and_time_in_two_columns(tmp_path: Path, kind: str) -> None:
    moments = [datetime(2026, 3, 2, 8), datetime(2026, 3, 2, 8, 10, 5)]
    frame = pl.DataFrame({"Date": moments, "Time": moments, "shown": [1.0, 2.0]}).with_columns(
        pl.col("Date").dt.date(), pl.col("Time").dt.time()
    )
    path = tmp_path / f"a.{kind}"
    frame.write_parquet(path) if kind == "parquet" else frame.write_csv(path)
    table = Table(str(path), "shown", time=["Date", "Time"])
    assert [time for block in table.blocks() for time in block.time.tolist()] == [  # type: ignore[union-attr]
        at(2026, 3, 2, 8), at(2026, 3, 2, 8, 10, 5),
    ]  # fmt: skip
    text = "Day,Clock,shown\n04/05/26,9:00,1\n"
    assert read(tmp_path / "b.csv", text, ["Day", "Clock"], "%d/%m/%y %H:%M") == [at(2026, 5, 4, 9)]
    with pytest.raises(InputError, match=r"expected a column 'Clok' \(time\)"):
        read(tmp_path / "b.csv", text, ["Day", "Clok"])

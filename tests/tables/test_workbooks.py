"""Workbooks as xlsxwriter makes them are read as text tables are."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from thermofit_pl.errors import InputError
from thermofit_pl.tables.options import TableOptions
from thermofit_pl.tables.table import Table

Make = Callable[..., str]
READINGS = [["time", "shown\n(F)", "ref"], [datetime(2026, 3, 2, 8), 39.94, 4.5], [datetime(2026, 3, 2, 9), 43.125, 6]]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes a workbook of sheets, each with the cells of its rows, and returns its path."""

    def workbook(**sheets: list[list[Any]]) -> str:
        path = str(tmp_path / "log.xlsx")
        with xlsxwriter.Workbook(path, {"default_date_format": "yyyy-mm-dd hh:mm"}) as book:
            for name, rows in sheets.items():
                sheet = book.add_worksheet(name)
                for at, row in enumerate(rows):
                    sheet.write_row(at, 0, row)
        return path

    return workbook


def read(path: str, **options: Any) -> list[tuple[float, ...]]:
    table = Table(path, "shown (F)", "ref", time="time", options=TableOptions(**options))
    return [
        (int(row), x, y, t)
        for block in table.blocks()
        for row, x, y, t in zip(block.rows, block.indication, block.reference, block.time, strict=True)  # type: ignore[arg-type]
    ]


EXPECTED = [(2, 39.94, 4.5, 1772438400.0), (3, 43.125, 6.0, 1772442000.0)]  # date -u -d '2026-03-02 08:00' +%s


def test_a_workbook(make: Make) -> None:
    assert read(make(Log=READINGS, Notes=[])) == EXPECTED
    shifted = [[], ["The shed"], [], *READINGS, [None], [None, None, None]]
    assert read(make(Log=shifted)) == [(row + 3, *rest) for row, *rest in EXPECTED]
    with pytest.raises(InputError, match=r"row 3: expected a number in column 'ref', but got 'warm'"):
        read(make(Log=[*READINGS[:2], [datetime(2026, 3, 2, 9), 1, "warm"]]))


def test_its_sheets(make: Make) -> None:
    path = make(Notes=[["of Monday"], [1]], Log=READINGS)
    assert read(path) == EXPECTED  # the only one with these columns
    path = make(Monday=READINGS, Tuesday=READINGS[:2])
    with pytest.raises(InputError, match=r"expected one sheet .* but 'Monday', 'Tuesday' have them; .* table.sheet"):
        read(path)
    assert read(path, sheet="Tuesday") == read(path, sheet="2") == EXPECTED[:1]
    with pytest.raises(
        InputError, match=r"expected a sheet 'Friday' \(table.sheet\), but its sheets are 'Monday', 'Tu"
    ):
        read(path, sheet="Friday")
    with pytest.raises(InputError, match="has no sheet with anything in it"):
        read(make(Empty=[]))


def test_what_a_workbook_needs(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(Log=READINGS)
    with pytest.raises(InputError, match=r"decimal_comma: expected it to be left out, since the numbers of a workbook"):
        Table(path, "shown (F)", "ref", decimal_comma=True)
    monkeypatch.setitem(sys.modules, "fastexcel", None)
    with pytest.raises(InputError, match=r"needs fastexcel; install it \(pip install 'thermofit_pl\[excel\]'\)"):
        read(path)

"""Where a header is, what is left out above and below it, and what is too uncertain to be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from thermofit_pl.errors import InputError
from thermofit_pl.tables.options import TableOptions
from thermofit_pl.tables.table import Table

Write = Callable[..., str]
HOBO = (
    '\ufeff"Plot Title: Shed"\r\n"#","Date Time, GMT-07:00","Temp, °F (LGR S/N: 100)","Ref, °C"\r\n'
    "1,05/04/25 10:52:42 AM,39.94,4.52\r\n2,05/04/25 01:08:42 PM,43.05,6.22\r\n"
)
TOA5 = (
    '"TOA5","CR1000","CR1000","1022","CR1000.Std.02","CPU:prog.CR1","12345","Table1"\n"TIMESTAMP","RECORD","shown","true"'
    '\n"TS","RN","Deg C","Deg C"\n"","","Avg","Smp"\n'
    '"2009-07-10 15:00:00",0,25.2,25\n"2009-07-10 15:01:00",1,"NAN",26\n'
    '"2009-07-10 15:02:00",2,27.5,27\n'
)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file and returns its path."""

    def write_file(content: str | bytes, name: str = "log.csv") -> str:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write_file


def rows_of(table: Table) -> list[tuple[float, ...]]:
    found = []
    for block in table.blocks():
        columns = [column for column in (block.indication, block.reference, block.time) if column is not None]
        found += list(zip(map(int, block.rows), *(column.tolist() for column in columns), strict=True))
    return found


def read(path: str, shown: str = "shown", true: str = "true", **kwargs: Any) -> list[tuple[float, ...]]:
    options = {name: kwargs.pop(name) for name in list(kwargs) if name in TableOptions.__dataclass_fields__}
    return rows_of(Table(path, shown, true, options=TableOptions(**options), **kwargs))


def test_a_title_above_the_header(write: Write) -> None:
    table = Table(write(HOBO), "Temp, °F (LGR S/N: 100)", "Ref, °C")
    assert rows_of(table) == [(3, 39.94, 4.52), (4, 43.05, 6.22)]
    assert table.left_out == "Left out row 1 of log.csv, above the names of the columns."


def test_rows_of_units_are_left_out_and_quoted(write: Write) -> None:
    table = Table(write(TOA5), "shown", "true", time="TIMESTAMP", missing="drop")
    seconds = 1247238000.0  # date -u -d '2009-07-10 15:00' +%s
    assert rows_of(table) == [(5, 25.2, 25, seconds), (7, 27.5, 27, seconds + 120)]
    assert table.dropped == 1
    assert table.left_out == (
        "Left out row 1 of log.csv, above the names of the columns. Left out row 3 of log.csv, which holds no number: "
        "'TS' of 'TIMESTAMP', 'Deg C' of 'shown', 'Deg C' of 'true'. Left out row 4 of log.csv, which holds no number: "
        "'Avg' of 'shown', 'Smp' of 'true'."
    )
    with pytest.raises(InputError, match=r"row 6: expected a number in column 'shown', but it is missing"):
        read(write(TOA5))


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("shown,true\nnan,unavailable\n1,2\n", 2),  # values that a logger lacked
        ("shown,true,room\nunknown,--,hall\n1,2,x\n", 2),
        ("shown,true\n12 °C,11 °C\n1,2\n", 2),  # holds numbers
    ],
)
def test_rows_that_are_no_units(write: Write, text: str, row: int) -> None:
    with pytest.raises(InputError, match=f"row {row}: expected a number in column 'shown', but"):
        read(write(text))


def test_readings_that_are_all_text_are_no_units(write: Write) -> None:
    with pytest.raises(InputError, match="row 2: expected a number in column 'shown', but got 'warm'"):
        read(write("shown,true\nwarm,cold\n"))


def test_a_german_spreadsheet(write: Write) -> None:
    text = (
        '\ufeff"Datum Uhrzeit";"Referenz (°C)";"Fühler außen [°C]";"Luftdruck hPa";;\r\n"";"°C";"°C";"hPa";;\r\n'
        "02.03.2026 08:00;21,94;22,4;1.013,2;;\r\n;;;;;\r\n"
        "02.03.2026 08:10;19,06;19,7;1.012,1;;\r\n;;;;;\r\n;;;;;\r\n\r\n"
    )
    path = write(text)
    table = Table(path, "Fühler außen [°C]", "Referenz (°C)", time="Datum Uhrzeit", decimal_comma=True)
    at = 1772438400.0  # date -u -d '2026-03-02 08:00' +%s
    assert rows_of(table) == [(3, 22.4, 21.94, at), (5, 19.7, 19.06, at + 600)]
    assert table.counts().tolist() == [2]
    # both separators stand in each cell, so that neither can be meant otherwise
    assert read(path, "Luftdruck hPa", "Referenz (°C)", decimal_comma=True) == [(3, 1013.2, 21.94), (5, 1012.1, 19.06)]


@pytest.mark.parametrize("text", ["sep=;\nshown;true\n1;2\n", '"sep=|"\r\nshown|true\r\n1|2\r\n'])
def test_a_line_that_names_the_separator(write: Write, text: str) -> None:
    table = Table(write(text), "shown", "true")
    assert rows_of(table) == [(3, 1, 2)]
    assert table.left_out == ""


def test_a_missing_header_is_not_assumed(write: Write) -> None:
    path = write("1753424480,nan,60.03,60.2\n1753424540,nan,65.07,65.25\n")
    with pytest.raises(InputError, match=r"line 1 looks like readings \('1753424480', .* add table.header_line=0, and"):
        read(path)
    with pytest.raises(InputError, match="line 1 looks like readings"):
        read(path, "60.03", "60.2")
    assert read(path, "3", "4", header_line=0) == [(1, 60.03, 60.2), (2, 65.07, 65.25)]
    assert read(path, "3", "4", header_line=0, first_line=2) == [(2, 65.07, 65.25)]
    assert read(path, "60.03", "60.2", header_line=1) == [(2, 65.07, 65.25)]


def test_lines_that_are_named(write: Write) -> None:
    path = write("shown,true\nold,names\nshown,true\n0,0\n1,2\n3,4\n")
    assert read(path, header_line=3, first_line=5) == [(5, 1, 2), (6, 3, 4)]
    assert read(path, header_line=3) == [(4, 0, 0), (5, 1, 2), (6, 3, 4)]
    with pytest.raises(InputError, match=r"table.header_line: expected a line of \S*log.csv, which has 6, but got 7"):
        read(path, header_line=7)
    with pytest.raises(InputError, match=r"first_line: expected a line below the header, which is line 3, but got 3"):
        read(path, header_line=3, first_line=3)
    with pytest.raises(InputError, match=r"table.header_line: expected a line's number from 0, but got -1"):
        read(path, header_line=-1)


def test_the_header_is_among_the_first_fifty_lines(write: Write) -> None:
    lines = ["# a logger's preamble, with, commas"] * 49 + ["shown,true", "1,2"]
    assert read(write("\n".join(lines))) == [(51, 1, 2)]
    with pytest.raises(InputError, match="expected a column 'shown'"):
        read(write("\n".join(["# x", *lines])))
    assert read(write("\n".join(["# x", *lines])), header_line=51) == [(52, 1, 2)]


def test_blanks_are_named(write: Write) -> None:
    with pytest.raises(InputError, match=r"line 1 \('shown true'\) is separated by blanks, which may stand in names"):
        read(write("shown   true\n0.1   0.0\n10.2  10.0\n"))


def test_a_row_without_any_value_is_no_reading(write: Write) -> None:
    assert read(write('shown,true,note\n1,2,a\n,,\n""," ",\t\n3,4,\n')) == [(2, 1, 2), (5, 3, 4)]
    with pytest.raises(InputError, match=r"row 3: .* it is missing"):
        read(write("shown,true,note\n1,2,a\n,,b\n3,4,\n"))


@pytest.mark.parametrize("order", ["utf-16", "utf-16-be", "utf-16-le"])
@pytest.mark.parametrize("rows", [3, 5000])
def test_utf_16(write: Write, order: str, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from thermofit_pl.tables import text_tables

    monkeypatch.setattr(text_tables, "CHUNK", 1000)
    text = "°C,shown,true\r\n" + "".join(f"😀,{row},{row / 2}\r\n" for row in range(rows))
    path = write(("" if order == "utf-16" else "\ufeff").encode(order) + text.encode(order))
    table = Table(path, "shown", "true")
    assert rows_of(table) == [(row + 2, row, row / 2) for row in range(rows)]
    shares = [sum(len(block.rows) for block in table.blocks(share=(rank, 3))) for rank in range(3)]
    assert sum(shares) == rows


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ('"12,412"', r"its comma may separate thousands \(12412\) or be the decimal sign \(12\.412\)"),
        ('"1,012,412"', "write thousands without separators"),
        ("12 412", "write thousands without separators"),
        ("12\u00a0412", "write thousands without separators"),
        ("12'412", "write thousands without separators"),
    ],
)
def test_thousands_separators_are_refused_by_name(write: Write, cell: str, message: str) -> None:
    with pytest.raises(InputError, match=rf"row 3: expected a number in column 'shown', but got .*; {message}"):
        read(write(f"shown,true\n982,1.2\n{cell},2\n"))


def test_thousands_and_decimals_in_one_cell(write: Write) -> None:
    assert read(write('shown,true\n"12,412.5",1\n"-1,012,412.25",2\n982,3\n')) == [
        (2, 12412.5, 1), (3, -1012412.25, 2), (4, 982, 3),
    ]  # fmt: skip
    with pytest.raises(InputError, match=r"row 2: .*'1\.012,5'; if the comma is the decimal sign, add decimal_comma"):
        read(write("shown;true\n1.012,5;1\n"))


@pytest.mark.parametrize("word", ["NAN", "unavailable", "unknown", "--", "null", "n/a", "Unavailable", " NaN "])
def test_words_for_a_missing_value(write: Write, word: str) -> None:
    path = write(f"shown,true\n1,2\n{word},3\n5,6\n")
    with pytest.raises(InputError, match=r"row 3: expected a number in column 'shown', but it is missing .*drop"):
        read(path)
    assert read(path, missing="drop") == [(2, 1, 2), (4, 5, 6)]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_further_values_that_stand_for_a_missing_one(write: Write, tmp_path: Path, suffix: str) -> None:
    import polars as pl

    frame = pl.DataFrame({"shown": [85.0, 2.0, -9999.0, 4.0], "true": [1.0, 2.0, 3.0, 4.0]})
    path = str(tmp_path / f"a.{suffix}")
    frame.write_parquet(path) if suffix == "parquet" else frame.write_csv(path)
    first = 1 if suffix == "parquet" else 2
    assert read(path, missing="drop", missing_values=[-9999, "85"]) == [(first + 1, 2, 2), (first + 3, 4, 4)]
    with pytest.raises(InputError, match=f"row {first}: .* it is missing"):
        read(path, missing_values=85.0)
    text = write("shown,true\n1,2\nFault,3\n")
    with pytest.raises(InputError, match=r"got 'Fault'; .* a missing value, add table\.missing_values='Fault'"):
        read(text)
    assert read(text, missing="drop", missing_values="fault") == [(2, 1, 2)]

"""Records are those of Python's own csv module, and whatever it refuses is refused with its row."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thermofit_pl.errors import InputError
from thermofit_pl.tables import text_tables
from thermofit_pl.tables.copies import Copy
from thermofit_pl.tables.formats import open_table
from thermofit_pl.tables.quotes import find_records
from thermofit_pl.tables.table import Table


def records_of(text: str) -> list[list[str]]:
    """What the csv module reads, without the empty lines."""
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    return [record for record in lines if len(record) > 1 or (record and record[0].strip())]


@settings(max_examples=1000)
@given(st.text(alphabet='",a\n', max_size=16).map(lambda text: text.replace("a\n", "a\r\n")))
def test_records_end_where_the_csv_module_ends_them(text: str) -> None:
    found = find_records(text.encode(), ",")
    reader, ends = csv.reader(io.StringIO(text, newline="\n"), strict=True), list[int]()
    try:
        for _ in reader:
            ends.append(reader.line_num)
    except csv.Error as error:
        wrong = found.unclosed if "unexpected end" in str(error) else found.misplaced
        assert wrong is not None
        assert text[wrong] == '"'
        return
    assert (found.misplaced, found.unclosed) == (None, None)
    whole = ends if text.endswith("\n") else ends[:-1]
    lines = np.cumsum([0, *(len(line) for line in text.splitlines(keepends=True))])
    assert (found.count, found.end) == (len(whole), lines[whole[-1]] if whole else 0)


def lines_with(cells: dict[int, str], n: int = 40) -> str:
    """A table with a note; `cells` says what it is in some rows, as an editor counts."""
    return "shown,true,note\n" + "".join(f"{row},{row / 2},{cells.get(row, 'ok')}\n" for row in range(2, n + 2))


def read(path: Path, missing: str = "error") -> list[tuple[int, float, float]]:
    blocks = Table(str(path), "shown", "true", missing=missing).blocks()  # type: ignore[arg-type]
    return [
        (int(row), x, y)
        for block in blocks
        for row, x, y in zip(block.rows, block.indication.tolist(), block.reference.tolist(), strict=True)  # type: ignore[union-attr]
    ]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({25: '"since noon'}, r"row 25: .* since one begins '\"since noon', but the file ends before a second one"),
        ({25: '"since noon', 31: '"again'}, r"row 25: .* but the cell goes on after the second one"),
        ({25: '"a""', 40: '""'}, r"row 25: .* since one begins '\"a\"\"', but the file ends"),
        ({25: '"a"b'}, r"row 25: .* but the cell goes on after the second one"),
        ({25: '"a" '}, r"row 25: .* but the cell goes on after the second one"),
        ({25: "a\rb"}, r"row 25: expected cells, but they cannot be told apart: new-line character"),
        ({20: '"a\nb"', 25: '"c\nd', 30: 'x"y'}, r"row 26: .* but the cell goes on"),
    ],
)
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
@pytest.mark.parametrize("chunk", [16, 100, 8 << 20])
def test_what_the_csv_module_refuses(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    compress: Callable[[bytes], bytes],
    chunk: int,
    cells: dict[int, str],
    message: str,
) -> None:
    monkeypatch.setattr(text_tables, "CHUNK", chunk)
    text = lines_with(cells)
    with pytest.raises(csv.Error):
        list(csv.reader(io.StringIO(text, newline="\n"), strict=True))
    path = tmp_path / "a.csv"
    path.write_bytes(compress(text.encode()))
    with pytest.raises(InputError, match=message):
        read(path)
    with pytest.raises(InputError, match=message):
        Copy(open_table(path, ())).frame().collect()


@pytest.mark.parametrize("cells", [{7: '6"', 9: 'a "b" c'}, {5: '6"'}, {3: '"a, ""b"""', 6: '"x\n\ny"'}, {4: '""'}])
@pytest.mark.parametrize("chunk", [16, 100, 8 << 20])
def test_sound_quotation_marks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, cells: dict[int, str]
) -> None:
    monkeypatch.setattr(text_tables, "CHUNK", chunk)
    text = lines_with(cells)
    (tmp_path / "a.csv").write_text(text, newline="")
    expected = records_of(text)[1:]
    assert [(x, y) for _, x, y in read(tmp_path / "a.csv")] == [(float(x), float(y)) for x, y, _ in expected]
    copy = Copy(open_table(tmp_path / "a.csv", ()))
    assert [[cell or "" for cell in row] for row in copy.frame().collect().rows()] == expected
    assert copy.n_rows == 40


@pytest.mark.parametrize("header", ['shown,true,"note', '"shown,true', 'shown,true,"no"te'])
def test_a_header_with_a_mark_that_is_not_closed(tmp_path: Path, header: str) -> None:
    (tmp_path / "a.csv").write_text(f"{header}\n1,2,x\n3,4,y\n5,6,z\n")
    with pytest.raises(InputError, match=r"row 1: expected the names of columns, but they cannot be told apart"):
        read(tmp_path / "a.csv")


CELL = st.sampled_from(
    ["1", "2.5", "", "NA", '"3"', '" 4 "', '"', '""', '6"', '"5', '"a\nb"', "x", '"a,b"', '"a""b"', " "]
)
ROW = st.lists(CELL, min_size=0, max_size=4).map(",".join)
TABLE = st.lists(st.one_of(st.just("1,2,ok"), ROW), min_size=1, max_size=12)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(TABLE, st.sampled_from(["\n", "\r\n"]), st.booleans(), st.sampled_from([8, 64, 1 << 20]))
def test_readings_are_those_of_the_csv_module(
    tmp_path: Path, rows: list[str], line_end: str, closed: bool, chunk: int
) -> None:
    text = line_end.join(["shown,true,note", "1,2,ok", *rows]) + (line_end if closed else "")
    path = tmp_path / "a.csv"
    path.write_text(text, newline="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_tables, "CHUNK", chunk)
        try:
            came = [(x, y) for _, x, y in read(path, "drop")]
            copy = Copy(open_table(path, ())).frame().collect().rows()
        except InputError:
            return
    expected = [[*record, "", "", ""][:3] for record in records_of(text)[1:] if any(map(str.strip, record))]
    assert [[cell or "" for cell in row] for row in copy] == expected
    missing = ("", "na")
    numbers = [(x, y) for x, y, _ in expected if x.strip().lower() not in missing and y.strip().lower() not in missing]
    assert came == [(float(x), float(y)) for x, y in numbers]

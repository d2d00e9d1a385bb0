"""What a file is, and the complaints that come before a cell is read."""

from __future__ import annotations

import gzip
import io
import os
import random
import zipfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thermofit_pl.errors import InputError
from thermofit_pl.tables import formats, text_tables
from thermofit_pl.tables.table import Table

PLAIN = b"shown,true\n1,2\n3,4\n"


def parquet(**columns: object) -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(columns).write_parquet(buffer)
    return buffer.getvalue()


def arrow(**columns: object) -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(columns).write_ipc(buffer)
    return buffer.getvalue()


def workbook() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return buffer.getvalue()


MANY = ",".join(f"column {i}" for i in range(1000)).encode() + b"\n" + b",".join([b"1"] * 1000) + b"\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is empty; expected a header line"),
        (b"\n \n\r\n", r"is empty but for blank lines"),
        (b"shown,true\n", r"has a header but no readings"),
        (b"shown,true", r"has a header but no readings"),
        (b"shown,true\n\n  \n", r"has a header but no readings"),
        (gzip.compress(b"shown,true\n", mtime=0), r"has a header but no readings"),
        (parquet(shown=[], true=[]), r"has columns but no readings"),
        (b"Shown,true\n1,2\n", r"expected a column 'shown' \(indication\), but its columns are 'Shown', 'true'; "
                               r"did you mean 'Shown'\?"),
        (b"shown,ref\n1,2\n", r"expected a column 'true' \(reference\).* 'shown', 'ref'; choose one of them"),
        (parquet(shown=[1], treu=[2]), r"expected a column 'true' .*; did you mean 'treu'\?"),
        (b"\x1b[2J,true\n1,2\n", r"its columns are '\\x1b\[2J', 'true'"),
        (MANY, r"'column 19' and 980 more"),
        (b"shown,true,shown\n1,2,3\n", r"expected one column 'shown' .*more than once"),
        (bytes(range(256)) * 9, r"another binary file; save it as CSV in UTF-8"),
        (workbook(), r"is damaged or no workbook that can be read: .*; save the sheet as CSV"),
        ("shown,true\n1,2\n".encode("utf-16-le"), r"another binary file; save it as CSV in UTF-8"),
        ("shown,true\n1,2\n".encode("utf-16")[:-1], r"could not be read: .*truncated data"),
        (gzip.compress(parquet(shown=[1], true=[2]), mtime=0), r"another binary file"),
        (gzip.compress(gzip.compress(PLAIN), mtime=0), r"another binary file"),
        (b"shown,true\r1,2\r3,4\r", r"ends its lines as old Macs did"),
        (b"a," * (1 << 20), r"no end of a header line in its first 1048576 bytes"),
        (b'"shown,true\n' + b"1,2\n" * (1 << 19), r"no end of a header line in its first 1048576 bytes"),
        (b"PAR1" + b"x" * 100, r"is cut or damaged \(no footer\)"),
        (parquet(shown=[1], true=[2])[:-20], r"is cut or damaged \(no footer\)"),
        (arrow(shown=[1], true=[2])[:40], r"is cut or damaged \(no footer\)"),
        (b"\x1f\x8b" + b"x" * 100, r"is a gzip file that is cut or damaged; copy or download it again"),
        (gzip.compress(PLAIN, mtime=0)[:15], r"is a gzip file that is cut or damaged"),
        (parquet(shown=[True], true=[2]), r"expected numbers in column 'shown' .* its type is Boolean"),
        (parquet(shown=[[1]], true=[2]), r"expected numbers in column 'shown' .* its type is List\(Int64\)"),
        (parquet(shown=[{"a": 1}], true=[2]), r"its type is Struct"),
    ],
    ids=map(str, count()),  # contents differ from run to run, and two workers need the same names
)  # fmt: skip
def test_files_that_cannot_be_used(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "readings.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        Table(str(path), "shown", "true")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1500


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("no such.csv", r"no such.csv is not there; check the name"),
        ("*.csv", r"No file matches \S*\*.csv; check the pattern"),
        ("empty", r"The folder \S*empty holds no table; expected files ending in .csv"),
        ("pipe", r"Expected \S*pipe to be a file, but it is a folder, a pipe or a device"),
        ("a\x1bb.csv", r"a\\x1bb.csv.*, which no calibration could name"),
        ("x" * 5000, r"could not be read: .*File name too long"),
    ],
)
def test_paths_that_name_no_table(tmp_path: Path, path: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "readme.md").write_text("x")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=message) as caught:
        Table(str(tmp_path / path), "shown", "true")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("path", ["https://example.com/a.csv", "s3://bucket/*.parquet", "file:///etc/passwd"])
def test_addresses_are_refused(path: str) -> None:
    with pytest.raises(InputError, match=r"Expected a local file, but got the address '.*'; download it first"):
        Table(path, "shown")


def test_no_path() -> None:
    with pytest.raises(InputError, match=r"Expected the name of a table, but got ''"):
        Table("", "shown")
    with pytest.raises(InputError, match=r"but got 'a\\x00b'"):
        Table("a\0b", "shown")


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_bytes(PLAIN)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # the superuser, as whom containers run tests, may read anything
    with pytest.raises(InputError, match=r"a.csv may not be read by this user; change its permissions"):
        Table(str(tmp_path / "a.csv"), "shown")


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("a,b;c\n1,2;3\n", ["a", "b;c"]),  # as many commas as semicolons: the comma
        ("a;b,c;d\n1;2,5;3\n1;2;3\n", ["a", "b,c", "d"]),
        ("only\n1\n", ["only"]),
        ("a\tb c\n1,5\t2\n", ["a", "b c"]),
        ('"a,b";c\n1;2\n', ["a,b", "c"]),
    ],
)
def test_the_separator_is_found(tmp_path: Path, text: str, columns: list[str]) -> None:
    (tmp_path / "a.csv").write_text(text)
    assert Table(str(tmp_path / "a.csv"), columns[0]).columns == columns


def test_columns_asked_for_decide_the_separator(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("shown;T, °C;x\n1;2;3\n")
    assert Table(str(tmp_path / "a.csv"), "shown", "T, °C").columns == ["shown", "T, °C", "x"]


def read_all(path: Path) -> int:
    return sum(len(block.rows) for block in Table(str(path), "shown", "true").blocks())


def test_a_gzip_file_that_is_cut_late(tmp_path: Path) -> None:
    lines = "".join(f"{random.random()},{random.random()}\n" for _ in range(100_000))
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"shown,true\n" + lines.encode(), mtime=0)[:-1000])
    with pytest.raises(InputError, match=r"is a gzip file that is cut or damaged"):
        read_all(tmp_path / "a.csv.gz")


def test_a_decompression_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_tables, "BOMB_BYTES", 20_000_000)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"shown,true\n1,2\n" + b"3,4\n" * 15_000_000, mtime=0))
    monkeypatch.setattr(text_tables, "BOMB_RATIO", 900)  # the header's block, and gzip's reading ahead
    with pytest.raises(InputError, match=r"grows more than 900-fold when decompressed"):
        read_all(tmp_path / "a.csv.gz")


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_line_without_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compress: Callable[..., bytes]) -> None:
    monkeypatch.setattr(text_tables, "CHUNK", 1 << 16)
    monkeypatch.setattr(text_tables, "LONGEST", 1 << 20)
    (tmp_path / "a.csv").write_bytes(compress(b"shown,true\n1,2\n" + b"9" * (3 << 20)))
    with pytest.raises(InputError, match=r"row 3: expected a table, but the line is longer than 1 MiB"):
        read_all(tmp_path / "a.csv")


def test_a_quotation_mark_that_never_closes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_tables, "CHUNK", 1 << 16)
    monkeypatch.setattr(text_tables, "LONGEST", 1 << 20)
    (tmp_path / "a.csv").write_bytes(b'shown,true\n1,2\n3,"4\n' + b"5,6\n" * 500_000)
    with pytest.raises(InputError, match=r"row 3: .* since one begins '\"4', but no second one closes it in 1 MiB"):
        read_all(tmp_path / "a.csv")


def test_a_cell_of_a_million_digits(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"shown,true\n1," + b"9" * 1_000_000 + b"\n")
    with pytest.raises(InputError, match=r"row 2: .* infinite or too large") as caught:
        read_all(tmp_path / "a.csv")
    assert len(str(caught.value)) < 500


def test_a_hundred_thousand_columns(tmp_path: Path) -> None:
    header = ",".join(["shown", "true", *map(str, range(100_000))])
    (tmp_path / "a.csv").write_text(f"{header}\n1,2{',3' * 100_000}\n")
    assert read_all(tmp_path / "a.csv") == 1


def test_nul_bytes_far_into_a_table(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"shown,true\n" + b"1,2\n" * 20_000 + b"3,\0\n")
    with pytest.raises(InputError, match=r"row 20002: .* got '\\x00'"):
        read_all(tmp_path / "a.csv")


SEEDS = [
    PLAIN * 20,
    b'"shown";true;"no""te"\n1,5;2;"a\nb"\n3;4;\xb0C\n',
    b"t,shown,true\n2024-01-01,1,2\n2024-01-02T01:02:03Z,3,4\n",
    gzip.compress(PLAIN * 20, mtime=0),
]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.sampled_from(SEEDS),
    edits=st.lists(
        st.tuples(
            st.integers(0, 2000),
            st.sampled_from(
                [b"", b",", b";", b'"', b"\n", b"\r", b"\0", b"\x1b", b"\xff", b"NA", b"1e999", b"-", b" "]
            ),
            st.integers(0, 3),
        ),
        max_size=8,
    ),
    missing=st.sampled_from(["error", "drop"]),
    decimal_comma=st.booleans(),
)
def test_damaged_tables_give_readings_or_a_sentence(
    tmp_path: Path, seed: bytes, edits: list[tuple[int, bytes, int]], missing: str, decimal_comma: bool
) -> None:
    content = seed
    for at, new, removed in edits:
        at %= len(content) + 1
        content = content[:at] + new + content[at + removed :]
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    found = outcome(str(path), missing=missing, decimal_comma=decimal_comma)
    if isinstance(found, str):
        assert found.isprintable()  # one line, nothing that a terminal acts on
        assert len(found) < 1000
    else:
        readings, rows, copied = found
        assert readings <= rows == copied


@pytest.mark.parametrize("seed", [parquet(shown=[1.0, 2.0], true=["3", "4"]), arrow(shown=[1.0, 2.0], true=[3, 4])])
def test_cut_parquet_and_arrow_give_a_sentence(tmp_path: Path, seed: bytes) -> None:
    # cut only: some changed bytes inside make Polars itself abort the process
    path = tmp_path / "a"
    for size in range(1, len(seed) - 1):
        path.write_bytes(seed[:size])
        found = outcome(str(path))
        assert isinstance(found, str)
        assert found.isprintable()


def outcome(path: str, **options: Any) -> tuple[int, int, int] | str:
    """How many readings, rows and rows of the copy a table has, or the complaint."""
    try:
        readings = sum(len(block.rows) for block in Table(path, "shown", "true", **options).blocks())
        whole = Table(path, "shown", **{**options, "missing": "drop"})
        return readings, sum(len(indication) for indication, _ in whole.indications()), whole.frames().collect().height
    except InputError as error:
        return str(error)


def test_what_a_header_may_take(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(formats, "HEADER_BYTES", 12)
    (tmp_path / "a.csv").write_bytes(PLAIN)
    assert read_all(tmp_path / "a.csv") == 2

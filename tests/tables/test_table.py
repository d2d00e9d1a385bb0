"""What a person's table gives: readings, their rows, their order, and a sentence where something is wrong."""

from __future__ import annotations

import gzip
import hashlib
import math
import tracemalloc
from collections.abc import Callable
from datetime import date, datetime, timezone
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thermofit_pl.errors import InputError
from thermofit_pl.tables import text_tables, time_order
from thermofit_pl.tables.table import Block, Table

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file and returns its path."""

    def write_file(content: str | bytes, name: str = "readings.csv") -> str:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write_file


def rows_of(table: Table, **kwargs: Any) -> list[tuple[float, ...]]:
    """Every reading with its row, as plain numbers."""
    found = []
    for block in table.blocks(**kwargs):
        columns = [c for c in (block.indication, block.reference, block.time) if c is not None]
        assert all(c.dtype == np.float64 and c.shape == (len(block.rows),) for c in columns)
        found += list(zip(*(c.tolist() for c in columns), [int(row) for row in block.rows], strict=True))
    return found


def read(path: str, **kwargs: Any) -> list[tuple[float, ...]]:
    return rows_of(Table(path, "shown", "true", **kwargs))


# -- formats ---------------------------------------------------------------------------------------------------------

EXPECTED = [(10.0, -1.5, 2), (20.0, 3.25, 3)]
PLAIN = "shown,true\n10,-1.5\n20,3.25\n"


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.rstrip("\n"),
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        "\ufeff" + PLAIN,
        '"shown"," true "\n10,-1.5\n20,3.25\n',
        ' shown , true\n 10 , -1.5\n"20 ","3.25"\n',
        "note,shown,x,true\n°C; a,10,,-1.5\nb,20,,3.25\n",
        "true;note;shown\n-1.5;a,b;10\n3.25;c,d;20\n",
        "shown,true,note\n10,-1.5\n20,3.25\n",
        "shown,true\n10,-1.5,\n20,3.25,\n",
        "shown,true,note\n10,-1.5,a,\n20,3.25,b,\n",
        PLAIN + "\n\r\n\n",
        "shown,true\n1e1,-15E-1\n+20.,3.25\n",
    ],
)
def test_text_tables_give_the_same_readings(write: Write, text: str) -> None:
    assert read(write(text)) == EXPECTED
    assert read(write(gzip.compress(text.encode()), "any name")) == EXPECTED


@pytest.mark.parametrize(
    "text", ["shown;true\n1,5;-2,25\n2;3\n", "shown\ttrue\n1,5\t-2,25\n2\t3\n", 'shown;true\n"1,5"; -2,25\n2;3\n']
)
def test_decimal_comma(write: Write, text: str) -> None:
    assert read(write(text), decimal_comma=True) == [(1.5, -2.25, 2), (2.0, 3.0, 3)]


def test_a_decimal_point_beside_decimal_commas_could_separate_thousands(write: Write) -> None:
    path = write("shown;true\n1,5;2\n1.234;3\n")
    with pytest.raises(
        InputError,
        match=r"row 3: .*'shown', but got '1\.234'; its point may separate thousands .* leave out decimal_comma",
    ):
        read(path, decimal_comma=True)


@pytest.mark.parametrize("name", ["readings.parquet", "wrong name.csv", "100%20 *[x]?#ü.arrow"])
@pytest.mark.parametrize("save", [pl.DataFrame.write_parquet, pl.DataFrame.write_ipc])
@pytest.mark.parametrize("kind", [pl.Float64, pl.Float32, pl.Decimal(10, 4), pl.String, pl.Categorical])
def test_parquet_and_arrow(tmp_path: Path, name: str, save: Callable[..., None], kind: Any) -> None:
    numbers = pl.DataFrame({"true": [-1.5, 3.25], "note": [["a"], []], "shown": [10, 20]})
    frame = numbers.with_columns(pl.col("true").cast(pl.String if kind == pl.Categorical else kind).cast(kind))
    save(frame, tmp_path / name)
    assert read(str(tmp_path / name)) == [(10.0, -1.5, 1), (20.0, 3.25, 2)]


def test_several_files_are_one_table_in_the_order_of_their_names(write: Write, tmp_path: Path) -> None:
    write("shown,true\n3,4\n", "b.csv")
    write("true;shown\n2;1\n", "a.csv")
    write("nothing to do with it", "notes.md")
    pl.DataFrame({"shown": [5], "true": [6]}).write_parquet(tmp_path / "c.parquet")
    expected = [(1.0, 2.0, 2), (3.0, 4.0, 2), (5.0, 6.0, 1)]
    for path in (str(tmp_path), str(tmp_path / "?.*")):
        table = Table(path, "shown", "true")
        assert rows_of(table) == expected
        assert [file.name for file in table.files] == ["a.csv", "b.csv", "c.parquet"]
        assert table.n_bytes == sum(file.stat().st_size for file in table.files)
        assert table.counts().tolist() == [3]


def test_a_file_whose_name_looks_like_a_pattern(write: Write) -> None:
    assert read(write(PLAIN, "log[1].csv")) == EXPECTED


def test_without_a_reference(write: Write) -> None:
    table = Table(write("time,shown\n0,5\n"), "shown")
    (block,) = table.blocks()
    assert block.reference is None
    assert table.columns == ["time", "shown"]


def test_latin_1(write: Write) -> None:
    path = write("Fühler [°C],true\n1,2\n".encode("latin-1"))
    assert rows_of(Table(path, "Fühler [°C]", "true")) == [(1.0, 2.0, 2)]


# -- rows ------------------------------------------------------------------------------------------------------------


def test_rows_are_counted_as_an_editor_does(write: Write) -> None:
    text = '\nshown,"tr\nue",note\n1,2,"two\nlines"\n\n   \n3,4,5" pipe\n5,6,\n'
    assert rows_of(Table(write(text), "shown", "tr\nue")) == [(1.0, 2.0, 4), (3.0, 4.0, 8), (5.0, 6.0, 9)]


CELL = st.sampled_from(["1", "-2.5", "3e2", '"4"', " 5 ", '"6 "', "0.125"])
LINE = st.one_of(
    st.tuples(CELL, CELL, st.sampled_from(["a", '"b\nc"', '"d""e"', '"f,g"', ""])).map(",".join),
    st.sampled_from(["", "  "]),
)


def by_hand(lines: list[str]) -> list[tuple[float, ...]]:
    """The readings of lines as made above, with no csv reader: cells one and two never hold a comma or a line end."""
    found: list[tuple[float, ...]] = []
    row = 2
    for line in lines:
        if line.strip():
            shown, true = (float(cell.strip().strip('"')) for cell in line.split(",")[:2])
            found.append((shown, true, row))
        row += 1 + line.count("\n")
    return found


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(LINE, max_size=30), world=st.integers(1, 5), chunk=st.integers(1, 60), gz=st.booleans())
def test_shares_are_disjoint_and_complete(
    write: Write, monkeypatch: pytest.MonkeyPatch, lines: list[str], world: int, chunk: int, gz: bool
) -> None:
    monkeypatch.setattr(text_tables, "CHUNK", chunk)
    monkeypatch.setattr(text_tables, "BLOCK", 3)
    lines = ["0,0,x", *lines]
    text = "\n".join(["shown,true,note", *lines])
    path = write(gzip.compress(text.encode()) if gz else text)
    shares = [row for rank in range(world) for row in read_share(path, rank, world)]
    assert shares == by_hand(lines)
    assert read(path) == by_hand(lines)


def read_share(path: str, rank: int, world: int) -> list[tuple[float, ...]]:
    return rows_of(Table(path, "shown", "true"), share=(rank, world))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=3), world=st.integers(1, 5), timed=st.booleans())
def test_shares_of_several_parquet_files(tmp_path: Path, sizes: list[int], world: int, timed: bool) -> None:
    for old in tmp_path.iterdir():
        old.unlink()
    for index, size in enumerate(sizes):
        frame = pl.DataFrame({"shown": np.arange(size) + 100.0 * index, "true": 0.0, "time": np.arange(size) % 7})
        frame.write_parquet(tmp_path / f"{index}.parquet", row_group_size=8)
    found: list[tuple[float, ...]] = []
    for rank in range(world):
        table = Table(str(tmp_path), "shown", "true", time="time" if timed else None)
        found += rows_of(table, share=(rank, world))
    whole = Table(str(tmp_path), "shown", "true", time="time" if timed else None)
    assert found == rows_of(whole)
    assert sorted(row[0] for row in found) == [100.0 * i + k for i, size in enumerate(sizes) for k in range(size)]
    assert whole.counts().tolist() == [sum(sizes)]


@pytest.mark.parametrize("group", [500, 70_000, 300_000])
@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_large_tables_come_in_blocks_with_progress(tmp_path: Path, kind: str, group: int) -> None:
    n, path = 300_000, tmp_path / f"x.{kind}"
    frame = pl.DataFrame({"shown": np.arange(n), "true": np.zeros(n)})
    if kind == "parquet":
        frame.write_parquet(path, row_group_size=group)
    else:
        frame.write_ipc(path, record_batch_size=group)
    table, done = Table(str(path), "shown", "true"), list[int]()
    blocks = list(table.blocks(progress=done.append))
    assert max(len(block.rows) for block in blocks) <= text_tables.BLOCK
    assert len(blocks) <= 2 * n / text_tables.BLOCK + 1
    assert np.array_equal(np.concatenate([block.indication for block in blocks]), np.arange(n))
    assert np.array_equal(np.concatenate([block.rows for block in blocks]), np.arange(n) + 1)
    assert done == sorted(done)
    assert done[-1] == table.n_bytes


def test_take(write: Write) -> None:
    (block,) = Table(write(PLAIN), "shown", "true", time="shown").blocks()
    taken = block.take(np.array([1]))
    assert isinstance(taken, Block)
    assert (taken.indication.tolist(), taken.rows[0], taken.file) == ([20.0], 3, block.file)
    assert taken.reference is not None
    assert taken.time is not None
    assert (taken.reference.tolist(), taken.time.tolist()) == ([3.25], [20.0])


# -- time ------------------------------------------------------------------------------------------------------------


def test_readings_come_in_the_order_of_time_over_all_files(write: Write, tmp_path: Path) -> None:
    write("t,shown,true\n5,50,0\n1,10,0\n3,30,0\n", "a.csv")
    write("t,shown,true\n2,20,0\n3,31,0\n", "b.csv")
    table = Table(str(tmp_path), "shown", "true", time="t")
    assert [(x, row) for x, _, _, row in rows_of(table)] == [(10, 3), (20, 2), (30, 4), (31, 3), (50, 2)]
    assert [block.file.name for block in table.blocks()] == ["a.csv", "b.csv", "a.csv", "b.csv", "a.csv"]
    assert table.counts().tolist() == [5]


def test_equal_times_keep_their_order(tmp_path: Path) -> None:
    times = np.random.default_rng(0).integers(0, 5, 2000)
    frame = pl.DataFrame({"t": times, "shown": np.arange(2000), "true": 0})
    frame.write_parquet(tmp_path / "x")
    found = read(str(tmp_path / "x"), time="t")
    assert [(t, x) for x, _, t, _ in found] == sorted(zip(times.tolist(), range(2000), strict=True))


NOON = datetime(2024, 2, 29, 12, tzinfo=timezone.utc).timestamp()


@pytest.mark.parametrize(
    ("cell", "seconds"),
    [
        ("1.5", 1.5),
        ("2024-02-29", NOON - 43200),
        ("2024-02-29 12:00", NOON),
        ("2024-02-29T12:00:00", NOON),
        ("2024-02-29T12:00:00.250", NOON + 0.25),
        ("2024-02-29T12:00:00Z", NOON),
        ("2024-02-29 14:00:00+02:00", NOON),
    ],
)
def test_times_in_text(write: Write, cell: str, seconds: float) -> None:
    ((_, _, time, _),) = read(write(f"t,shown,true\n{cell},1,2\n"), time="t")
    assert time == seconds


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_times_in_parquet(tmp_path: Path, unit: Any, zone: str | None) -> None:
    instant = pl.Series([datetime(2024, 2, 29, 12)]).cast(pl.Datetime(unit)).dt.replace_time_zone("UTC")
    stored = instant if zone is None else instant.dt.convert_time_zone(zone)
    pl.DataFrame({"t": stored, "shown": [1], "true": [2], "d": [date(1970, 1, 2)]}).write_parquet(tmp_path / "x")
    assert read(str(tmp_path / "x"), time="t") == [(1.0, 2.0, NOON, 1)]
    assert read(str(tmp_path / "x"), time="d") == [(1.0, 2.0, 86400.0, 1)]


def test_times_out_of_order_beyond_what_is_sorted_in_memory(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_order, "SORTABLE", 2)
    path = write("t,shown,true\n1,1,1\n3,2,2\n2,3,3\n")
    with pytest.raises(InputError, match=r"more than 2 readings are not in the order of column 't'; sort the table"):
        read(path, time="t")
    assert len(read(write("t,shown,true\n1,1,1\n2,2,2\n2,3,3\n"), time="t")) == 3


# -- missing and impossible values -----------------------------------------------------------------------------------

GAPS = "t,shown,true\n1,1,1\n2,,2\n3,NA,3\n4,4,nan\n5,5,inf\n6,6,n/a\n7,7,null\n8,8,8\n\n9,9,\n,10,10\n"


def test_dropped_rows_are_counted(write: Write, tmp_path: Path) -> None:
    table = Table(write(GAPS), "shown", "true", missing="drop")
    assert rows_of(table) == [(1.0, 1.0, 2), (8.0, 8.0, 9), (10.0, 10.0, 12)]
    assert table.dropped == 7
    assert table.counts().tolist() == [3]
    assert len(rows_of(table)) == 3
    assert table.dropped == 7  # of this pass, not of both
    timed = Table(write(GAPS), "shown", "true", time="t", missing="drop")
    assert len(rows_of(timed)) == 2
    assert timed.dropped == 8
    pl.DataFrame({"shown": [1, None, 3], "true": [1.0, 2.0, math.nan]}).write_parquet(tmp_path / "x.parquet")
    table = Table(str(tmp_path / "x.parquet"), "shown", "true", missing="drop")
    assert rows_of(table) == [(1.0, 1.0, 1)]
    assert table.dropped == 2


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("", r"row 3: expected a number in column 'true', but it is missing .*missing='drop'"),
        ("NA", r"row 3: .* missing"),
        ("NaN", r"row 3: .* missing"),
        ("-inf", r"row 3: .* infinite or too large; .*missing='drop'"),
        ("9" * 400, r"row 3: .* infinite or too large"),
        ("1e151", r"row 3: .* got 1e\+151, whose square is too large"),
        ("-273.16", r"row 3: expected a reference in °C in column 'true', but -273.16 is below -273.15 °C; convert"),
        ("35.7 °C", r"row 3: .*'true', but got '35.7 °C'; remove the unit"),
        ("35.7C", r"row 3: .* got '35.7C'; remove the unit"),
        ("hot", r"row 3: .* got 'hot'; correct the cell"),
        ("-", r"row 3: .* got '-'; correct the cell"),
        ("1_000", r"row 3: .* got '1_000'; correct the cell"),
        ("\x1b[2Jx", r"row 3: .* got '\\x1b\[2Jx'; "),
        ("1\x01", r"row 3: .* got '1\\x01'; "),
        ("x" * 1000, r"row 3: .* got 'x{39}…'; "),
        ("1,5", r"row 3: expected 2 cells as in the header, but got 3; if the comma is the decimal sign"),
        ('"35,7"', r"^\S*readings.csv, row 3: expected a number in column 'true', but got '35,7'; if the comma is the "
         r"decimal sign, add decimal_comma=True\.$"),
    ],
)  # fmt: skip
def test_cells_that_are_no_reading(write: Write, cell: str, message: str) -> None:
    for text in (f"shown,true\n1,2\n3,{cell}\n", f'shown,true\n\n"3",{cell}\n5,6\n'):
        with pytest.raises(InputError, match=message) as caught:
            read(write(text))
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("note", ["shown,true,note", "note,shown,true", "shown,true"])
def test_a_row_with_surplus_cells_is_not_read_as_another(write: Write, note: str) -> None:
    width = note.count(",") + 1
    text = f"{note}\n{',1' * width}\n{',2' * (width + 1)}\n".replace("\n,", "\n")
    with pytest.raises(
        InputError, match=rf"row 3: expected {width} cells as in the header, but got {width + 1}; if the"
    ):
        read(write(text))


def test_cells_that_are_no_number_in_parquet(tmp_path: Path) -> None:
    path = str(tmp_path / "x.parquet")
    pl.DataFrame({"shown": ["1", "2,5"], "true": [1, 2]}).write_parquet(path)
    with pytest.raises(InputError, match=r"row 2: .*'2,5'; if the comma"):
        read(path)
    assert read(path, decimal_comma=True) == [(1.0, 1.0, 1), (2.5, 2.0, 2)]


def test_the_first_wrong_row_is_named(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_tables, "CHUNK", 40)
    lines = [f"{i},{i}" for i in range(100)]
    lines[70], lines[71] = "1,x", "x,1"
    with pytest.raises(InputError, match=r"row 72: .*'true', but got 'x'"):
        read(write("\n".join(["shown,true", *lines])))


def test_time_that_is_none(write: Write) -> None:
    with pytest.raises(
        InputError, match=r"row 3: expected a number or an ISO date and time in column 't', but got 'now'"
    ):
        read(write("t,shown,true\n1,1,1\nnow,2,2\n"), time="t")
    with pytest.raises(InputError, match=r"row 3: .*'t', but it is missing"):
        read(write("t,shown,true\n1,1,1\n,2,2\n"), time="t")


# -- the table as a whole --------------------------------------------------------------------------------------------


def test_sha256_is_that_of_the_bytes(write: Write, tmp_path: Path) -> None:
    a, b = write(PLAIN, "a.csv"), write(PLAIN * 2, "b.csv")
    expected = hashlib.sha256(Path(a).read_bytes() + Path(b).read_bytes()).hexdigest()
    assert Table(str(tmp_path / "*.csv"), "shown", "true").sha256() == expected
    write(PLAIN, "b.csv")
    table = Table(str(tmp_path), "shown", "true")
    list(table.blocks())
    assert table.sha256() == hashlib.sha256(PLAIN.encode() * 2).hexdigest()


def test_a_file_that_changes_or_vanishes(write: Write) -> None:
    path = write(PLAIN)
    table = Table(path, "shown", "true")
    write(PLAIN + "1,2\n")
    with pytest.raises(InputError, match=r"changed while it was read; start again"):
        list(table.blocks())
    with pytest.raises(InputError, match=r"changed while it was read"):
        table.sha256()
    Path(path).unlink()
    with pytest.raises(InputError, match=r"is not there; check the name"):
        list(table.blocks())


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet", "arrow"])
def test_a_file_that_is_cut_while_it_is_read(tmp_path: Path, kind: str) -> None:
    frame = pl.DataFrame({"shown": np.random.default_rng(0).random(2_000_000), "true": 0.0})
    path = tmp_path / f"x.{kind}"
    if kind == "parquet":
        frame.write_parquet(path, row_group_size=1 << 16)
    elif kind == "arrow":
        frame.write_ipc(path)
    else:
        content = frame.write_csv().encode()
        path.write_bytes(content if kind == "csv" else gzip.compress(content, 1))
    blocks = Table(str(path), "shown", "true").blocks()
    next(blocks)
    with path.open("r+b") as stream:
        stream.truncate(1000)
    with pytest.raises(InputError, match=r"changed while it was read; start again when nothing writes to it"):
        list(blocks)


def test_indications_and_frames_have_every_row(write: Write) -> None:
    text = 'shown;note;true\n1,5; a ;1\n\n;"x;y";\n3;"two\nlines";3\n'
    table = Table(write(text), "shown", decimal_comma=True, missing="drop")
    shown = np.concatenate([indication for indication, _ in table.indications()])
    np.testing.assert_array_equal(shown, [1.5, np.nan, 3.0])
    copy = table.frames().collect()
    assert copy["note"].to_list() == [" a ", "x;y", "two\nlines"]
    assert [cell or None for cell in copy["shown"]] == ["1,5", None, "3"]
    with pytest.raises(InputError, match=r"row 4: .* missing"):
        list(Table(write(text), "shown", decimal_comma=True).indications())


def test_frames_keep_types_and_lay_files_below_one_another(write: Write, tmp_path: Path) -> None:
    pl.DataFrame({"shown": [1], "when": [date(2024, 1, 1)]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"shown": [2], "note": ["n"]}).write_parquet(tmp_path / "b.parquet")
    copy = Table(str(tmp_path), "shown").frames().collect()
    assert copy.rows() == [(1, date(2024, 1, 1), None), (2, None, "n")]
    assert copy.schema["shown"] == pl.Int64


def test_frames_number_columns_of_the_same_name(write: Write) -> None:
    copy = Table(write("a,shown,a,,\n1,2,3,4,5\n"), "shown").frames().collect()
    assert copy.columns == ["a", "shown", "a_2", "", "_2"]
    assert copy.row(0) == ("1", "2", "3", "4", "5")


def test_frames_of_a_table_that_changed(write: Write) -> None:
    table = Table(write(PLAIN), "shown")
    write(PLAIN * 3)
    with pytest.raises(InputError, match=r"changed while it was read"):
        table.frames().collect()


def test_a_share_that_cannot_be() -> None:
    table = Table(str(Path(str(files("thermofit_pl.tables") / "thermometer.csv"))), *header_of_shipped())
    with pytest.raises(ValueError, match=r"Expected a rank from 0 to 1"):
        list(table.blocks(share=(2, 2)))


def header_of_shipped() -> tuple[str, str]:
    first = Path(str(files("thermofit_pl.tables") / "thermometer.csv")).read_text().splitlines()[0].split(",")
    return first[0], first[1]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet"])
def test_memory_is_bounded(tmp_path: Path, kind: str) -> None:
    n, path = 4_000_000, tmp_path / f"x.{kind}"
    frame = pl.DataFrame({"shown": np.arange(n) / 8, "true": np.arange(n) / 16})
    if kind == "parquet":
        frame.write_parquet(path)
    else:
        frame.write_csv(tmp_path / "x.csv")
        if kind == "csv.gz":
            path.write_bytes(gzip.compress((tmp_path / "x.csv").read_bytes(), 1))
    del frame
    tracemalloc.start()  # numpy's and Python's memory; Polars' own is bounded by its streaming engine
    count = sum(len(block.rows) for block in Table(str(path), "shown", "true").blocks())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == n
    assert peak < 120e6


def test_a_reading_that_lacks_its_indication_is_no_row_of_units(write: Write) -> None:
    path = write("who,shown\nB,\nA,1.5\n")
    frames = [values for values, _ in Table(path, "shown", instrument="who", missing="drop").indications()]
    np.testing.assert_array_equal(np.concatenate(frames), [np.nan, 1.5])

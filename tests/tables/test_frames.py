"""Tables in memory give the readings that the same table in a file gives."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

from thermofit_pl.errors import InputError
from thermofit_pl.tables.frames import MemoryPath
from thermofit_pl.tables.options import PairOptions
from thermofit_pl.tables.pairs import PairedTable
from thermofit_pl.tables.table import Table

N = 50
CELLS: dict[str, Any] = {
    "shown": [40.25 + row / 2 for row in range(N)],
    "ref": [row / 4 for row in range(N)],
    "room": [f"room {row % 3}" for row in range(N)],
    "time": [datetime(2026, 3, 2) + timedelta(minutes=(7 * row) % N) for row in range(N)],  # in no order
    "unasked": [object()] * N,
}
MADE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "dict": dict,
    "pandas": pd.DataFrame,
    "pandas, categories": lambda cells: pd.DataFrame(cells).astype({"room": "category"}),
    "pandas, objects": lambda cells: pd.DataFrame(cells).astype({"shown": object, "ref": "Float64", "room": object}),
    "pandas, zones": lambda cells: pd.DataFrame(cells).assign(time=lambda frame: frame["time"].dt.tz_localize("UTC")),
    "polars": lambda cells: pl.DataFrame(cells, strict=False),
    "polars, lazy": lambda cells: pl.DataFrame(cells, strict=False).lazy(),
    "arrow": lambda cells: pa.table({name: cells[name] for name in cells if name != "unasked"}),
    "arrow, batch": lambda cells: pa.record_batch({name: cells[name] for name in cells if name != "unasked"}),
    "arrays": lambda cells: {name: np.array(cells[name]) for name in cells},
    "tensors": lambda cells: {**cells, "shown": torch.tensor(cells["shown"], dtype=torch.float64)},
    "text": lambda cells: {
        **cells,
        "shown": [str(each) for each in cells["shown"]],
        "time": np.array(cells["time"], "M8"),
    },
    "records": lambda cells: np.array(
        list(zip(*(cells[name] for name in cells), strict=True)),
        dtype=[("shown", ">f8"), ("ref", "f4"), ("room", "U9"), ("time", "M8[s]"), ("unasked", object)],
    ),
}


def read(table: Table) -> list[tuple[Any, ...]]:
    """The readings: indication, reference, time, name, row."""
    names, found = None, list[tuple[Any, ...]]()
    for block in table.blocks():
        names = table.instruments()
        assert block.reference is not None
        assert block.time is not None
        codes = [None] * len(block.rows) if names is None else [names[code] for code in block.codes()]
        found += zip(block.indication, block.reference, block.time, codes, block.rows, strict=True)
    return found


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, ...]]:
    path = tmp_path_factory.mktemp("frames") / "t.parquet"
    pl.DataFrame({name: cells for name, cells in CELLS.items() if name != "unasked"}).write_parquet(path)
    return read(Table(path, "shown", "ref", time="time", instrument="room"))


@pytest.mark.parametrize("kind", MADE)
def test_the_readings_of_any_table_are_those_of_a_file(kind: str, written: list[tuple[Any, ...]]) -> None:
    frame = MADE[kind](CELLS)
    table = Table(frame, "shown", "ref", time="time", instrument="room")
    assert read(table) == written
    assert table.counts().tolist() == [17, 17, 16]
    assert np.concatenate([shown for shown, _ in table.indications()]).tolist() == CELLS["shown"]
    assert table.sha256() == Table(frame, "shown", "ref", time="time", instrument="room").sha256()
    assert set(table.columns) >= {"shown", "ref", "room", "time"}


def test_the_hash_tells_other_readings() -> None:
    hashes = {
        Table(cells, "shown", "ref").sha256()
        for cells in (
            {"shown": [1.0, 2.0], "ref": [3.0, 4.0]},
            {"shown": [1.0, 3.0], "ref": [2.0, 4.0]},
            {"shown": [1.0, 2.0], "ref": [3.0, None]},
            {"shown": ["1", "2"], "ref": [3.0, 4.0]},
            {"shown": ["12", ""], "ref": [3.0, 4.0]},
        )
    }
    assert len(hashes) == 5


def test_what_is_missing_is_left_out_or_refused() -> None:
    cells = {
        "shown": [1.0, None, 3.0, float("nan")],
        "ref": np.ma.array([5.0, 6.0, 7.0, 8.0], mask=[True, False, False, False]),
    }
    for frame in (cells, pd.DataFrame({name: list(values) for name, values in cells.items()}), pl.DataFrame(cells)):
        table = Table(frame, "shown", "ref", missing="drop")
        (block,) = table.blocks()
        assert block.indication.tolist()[-1] == 3
        with pytest.raises(InputError, match=r"the table, row [12]: expected a number in column '(ref|shown)'"):
            list(Table(frame, "shown", "ref").blocks())


def test_a_pattern_names_columns() -> None:
    table = Table({"p1": [1.0, 2.0], "p2": [3.0, None], "ref": [1, 2], "note": ["", ""]}, "p*", "ref", missing="drop")
    found = [(block.indication.tolist(), block.codes().tolist()) for block in table.blocks()]
    assert found == [([1.0, 2.0], [0, 0]), ([3.0], [1])]
    assert table.instruments() == ["p1", "p2"]


def test_two_logs_in_one_table_become_pairs() -> None:
    cells = {"t": [0.0, 10.0, 20.0], "shown": [1.0, 2.0, 3.0], "t2": [1.0, 11.0, 21.0], "ref": [5.0, 6.0, 7.0]}
    table = PairedTable(pd.DataFrame(cells), "shown", "ref", time="t", pair=PairOptions(time="t2"))
    (block,) = table.blocks()
    assert block.indication.tolist() == [1, 2, 3]
    assert "'shown' in the table" in table.left_out
    assert len(table.sha256()) == 64


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (5, "path: expected a path, a table of pandas, Polars or Arrow, or a dict of arrays, but got int"),
        ([1.0, 2.0], "path: expected a path, .* but got list"),
        ({"shown": [1, 2], "ref": [1]}, "columns are of one length, but got 2 of 'shown', 1 of 'ref'"),
        ({"shown": ["x", "1"], "ref": [1, 2]}, "the table, row 1: expected a number in column 'shown', but got 'x'"),
        ({"shown": [], "ref": []}, "The table has columns but no readings"),
        ({"x": [1]}, r"the table: expected a column 'shown' \(indication\), but its columns are 'x'"),
        ({"shown": [[1, 2]], "ref": [1]}, r"Expected one column 'shown' of shape \(N,\), but got \(1, 2\)"),
        ({"shown": [True, False], "ref": [1, 2]}, "expected numbers in column 'shown' .* its type is Boolean"),
        ({"shown": [1j], "ref": [1]}, "expected numbers in column 'shown' .* its type is Object"),
        (pd.DataFrame([[1, 2, 3]], columns=["shown", "shown", "ref"]), "Expected one column 'shown'"),
    ],
)
def test_what_is_no_table_of_readings_is_refused(frame: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        list(Table(frame, "shown", "ref").blocks())


def test_a_table_in_the_place_of_a_path_can_be_sent_to_another_process() -> None:
    path = MemoryPath.of({"shown": [1.0]})
    for other in (pickle.loads(pickle.dumps(path)), copy.deepcopy(path)):
        assert other.frame == {"shown": [1.0]}
        assert re.match("the table", str(other))
        assert isinstance(other, Path)

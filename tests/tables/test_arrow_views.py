"""Arrow files of short text, as pyarrow writes them, are read as pyarrow reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from made import NOTEBOOK, calibration

from thermofit_pl.apply.apply import apply
from thermofit_pl.errors import InputError
from thermofit_pl.tables.table import Table

pa = pytest.importorskip("pyarrow")
N = 4000
CELLS: dict[str, list[str | None]] = {
    "short": [f"n{row % 7}" for row in range(N)],
    "missing": [None if row % 3 else f"n{row % 7}" for row in range(N)],
    "long": [f"a note of more than twelve bytes, {row}" for row in range(N)],
}


def write(path: Path, cells: list[str | None], compression: str | None, rows: int = 800) -> pl.DataFrame:
    """Writes a table of views, dictionaries and numbers; gives it as pyarrow has it."""
    binary = [None if cell is None else cell.encode() for cell in cells]
    columns: dict[str, Any] = {
        "room": pa.array(cells, type=pa.string_view()),
        "t_u": pa.array([20 + row / 100 for row in range(N)]),
        "t_c": pa.array([row / 90 for row in range(N)]),
        "raw": pa.array(binary, type=pa.binary_view()),
        "kind": pa.array(cells).dictionary_encode(),
    }
    table = pa.table(columns)
    with pa.ipc.new_file(path, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table, max_chunksize=rows)
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame.with_columns(pl.col("kind").cast(pl.String))


@pytest.mark.parametrize("cells", CELLS)
@pytest.mark.parametrize("compression", ["lz4", "zstd", None])
@pytest.mark.parametrize("rows", [800, N])
def test_all_cells_come(tmp_path: Path, cells: str, compression: str | None, rows: int) -> None:
    path, output = tmp_path / "a.arrow", tmp_path / "out.parquet"
    expected = write(path, CELLS[cells], compression, rows)
    apply(calibration(*NOTEBOOK), str(path), output=str(output))
    found = pl.read_parquet(output)
    assert found.select(expected.columns).with_columns(pl.col("kind").cast(pl.String)).equals(expected)
    assert found["estimate"].null_count() == 0
    table = Table(str(path), "t_u", "t_c", instrument="room", missing="drop")
    blocks = list(table.blocks())
    names = table.instruments()
    assert names is not None
    rooms = [names[code] for block in blocks for code in block.instrument.tolist()]  # type: ignore[union-attr]
    assert rooms == expected["room"].drop_nulls().to_list()
    shares = [sum(len(b.rows) for b in table.blocks(share=(rank, 3))) for rank in range(3)]
    assert sum(shares) == len(rooms)


@pytest.mark.parametrize("cut", [100, 1000, 20_000, -1, -300])
def test_a_file_that_is_cut(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.arrow"
    write(path, CELLS["short"], "lz4")
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match=r"a.arrow is cut or damaged"):
        Table(str(path), "t_u", "t_c")


def test_damage_is_a_sentence_or_all_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.arrow"
    write(path, CELLS["short"], "lz4")
    sound = path.read_bytes()
    for place in range(8, len(sound) - 8, len(sound) // 60):
        path.write_bytes(sound[:place] + b"\xff" * 8 + sound[place + 8 :])
        try:
            table = Table(str(path), "t_u", "t_c", missing="drop")
            n = sum(len(block.rows) for block in table.blocks())
        except InputError:
            continue
        assert n + table.dropped == N

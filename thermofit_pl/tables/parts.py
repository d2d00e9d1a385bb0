"""A table's file becomes parts: some thousand rows of float64 columns at a time, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from thermofit_pl.errors import InputError
from thermofit_pl.tables.batches import batches
from thermofit_pl.tables.cells import Part, Wanted, columns_of
from thermofit_pl.tables.formats import TableFile, readable
from thermofit_pl.tables.text_tables import BLOCK, cut, text_parts

if TYPE_CHECKING:
    import polars as pl


def parts(file: TableFile, wanted: Wanted, low: float, high: float) -> Iterator[Part]:
    """Reads the rows of a file from byte `low` to byte `high`.

    However the file is cut, every row belongs to exactly one of its intervals.
    """
    try:
        with readable(file.path):
            yield from (text_parts if file.kind == "text" else _columnar_parts)(file, wanted, low, high)
    except InputError:
        file.check_unchanged()  # then that is what went wrong
        raise
    file.check_unchanged()


def count_rows(file: TableFile, wanted: Wanted) -> int:
    """How many rows a table has."""
    with readable(file.path):
        if file.kind == "text":
            return sum(len(part.rows) for part in text_parts(file, wanted, float("-inf"), float("inf")))
        return file.n_rows


def _columnar_parts(file: TableFile, wanted: Wanted, low: float, high: float) -> Iterator[Part]:
    start, stop = (cut(at, 0, file.size, file.n_rows) for at in (low, high))
    if start == stop:
        return
    rows_asked = stop - start
    whole = file.scan(wanted.of_file).slice(start, rows_asked)
    frame = whole.select(_columnar_view(file, name, wanted) for name in wanted.of_file)
    # without a size, for Polars would cut and join its morsels to it, and joined ones are copied
    for batch in _joined(batches(frame, file.path, lambda: rows_asked)):
        for piece in batch.iter_slices(BLOCK):
            rows = range(start + 1, start + 1 + piece.height)
            start += piece.height
            values = columns_of(file.path, wanted, piece, wanted.of_file, rows)
            yield Part(values, rows, start * file.size // file.n_rows)


def _joined(pieces: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Joins batches of few rows, as small row groups make them, for each costs the same work in Python."""
    import polars as pl

    few: list[pl.DataFrame] = []
    rows = 0
    for batch in pieces:
        few.append(batch)
        rows += batch.height
        if rows >= BLOCK // 2:
            yield pl.concat(few)
            few, rows = [], 0
    if few:
        yield pl.concat(few)


def _columnar_view(file: TableFile, name: str, wanted: Wanted) -> pl.Expr:
    """A column as float64 where Polars can do that while it reads; as text where it can't, or where it holds names.

    Whole numbers that name instruments stay: to write each out as text would take as long as to read the table.
    """
    import polars as pl

    kind = file.types[file.columns.index(name)]
    if kind.is_temporal() and wanted.time == (name,):
        return pl.col(name).dt.timestamp("us").cast(pl.Float64) / 1e6
    if name in (wanted.instrument, wanted.group) and kind.is_integer():
        return pl.col(name)
    if name in wanted.as_text:
        return pl.col(name).cast(pl.String)
    return pl.col(name).cast(pl.Float64 if kind.is_numeric() or kind == pl.Null else pl.String)

"""A whole table, every column as the file has it, for a copy with more columns; numpy comes for text alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thermofit_pl.tables.formats import TableFile, readable

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl


def frames(file: TableFile) -> pl.LazyFrame:
    """The whole table for a copy of it: text as text, the columns of Parquet and Arrow as they are."""
    return _text(file) if file.kind == "text" else file.scan()


def _text(file: TableFile) -> pl.LazyFrame:
    import polars as pl
    from polars.io.plugins import register_io_source

    from thermofit_pl.tables.text_tables import text_frames, unique

    def source(
        columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, _batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        left = n_rows
        with readable(file.path):
            for frame in text_frames(file):
                frame = frame if left is None else frame.head(left)
                left = None if left is None else left - frame.height
                frame = frame if columns is None else frame.select(columns)
                yield frame if predicate is None else frame.filter(predicate)
                if left == 0:
                    return
        file.check_unchanged()

    return register_io_source(source, schema=dict.fromkeys(unique(file.columns), pl.String))

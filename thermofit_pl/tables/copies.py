"""A whole table, every column as the file has it, for a copy with more columns; numpy comes for text alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from thermofit_pl.tables.formats import TableFile, readable

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl


@dataclass
class Copy:
    """The whole table for a copy of it: text as text, the columns of Parquet and Arrow as they are.

    Attributes:
        file: The table.
        n_rows: How many rows it has; of text known once ``frame`` has been read to its end, 0 before.
    """

    file: TableFile
    n_rows: int = 0

    def __post_init__(self) -> None:
        self.n_rows = self.file.n_rows

    def frame(self) -> pl.LazyFrame:
        """Gives its columns and rows."""
        return self._text() if self.file.kind == "text" else self.file.scan()

    def _text(self) -> pl.LazyFrame:
        import polars as pl
        from polars.io.plugins import register_io_source

        from thermofit_pl.tables.text_tables import text_frames, unique

        def source(
            columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, _batch_size: int | None
        ) -> Iterator[pl.DataFrame]:
            left, read = n_rows, 0
            with readable(self.file.path):
                for frame in text_frames(self.file):
                    read += frame.height
                    frame = frame if left is None else frame.head(left)
                    left = None if left is None else left - frame.height
                    frame = frame if columns is None else frame.select(columns)
                    yield frame if predicate is None else frame.filter(predicate)
                    if left == 0:
                        return
            self.file.check_unchanged()
            self.n_rows = read

        return register_io_source(source, schema=dict.fromkeys(unique(self.file.columns), pl.String))

"""A whole table, every column as the file has it, for a copy with more columns; numpy comes for text alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from thermofit_pl.tables.batches import as_query
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

        from thermofit_pl.tables.text_tables import unique

        return as_query(self._text_frames, dict.fromkeys(unique(self.file.columns), pl.String))

    def _text_frames(self) -> Iterator[pl.DataFrame]:
        from thermofit_pl.tables.text_tables import text_frames

        n_rows = 0
        with readable(self.file.path):
            for frame in text_frames(self.file):
                n_rows += frame.height
                yield frame
        self.file.check_unchanged()
        self.n_rows = n_rows

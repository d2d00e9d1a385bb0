"""Indications as numbers, and counts of what became of them, on the way to the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import polars as pl

    from thermofit_pl.tables.cells import NumberFormat
    from thermofit_pl.tables.copies import Copy


class Indications:
    """Turns the cells of a column into numbers.

    Args:
        column: The column of the indications.
        form: How numbers are written.

    Attributes:
        wrong: Whether a cell was neither a number nor missing.
    """

    def __init__(self, column: str, form: NumberFormat) -> None:
        self.column = column
        self.form = form
        self.wrong = False

    def number(self, frame: pl.LazyFrame) -> pl.Expr:
        """Gives the indication as Float64, null where there is none."""
        import polars as pl

        number = pl.col(self.column)
        numeric = frame.collect_schema()[self.column].is_numeric()
        if numeric:
            number = number.cast(pl.Float64)
        if not numeric:  # of categories, the texts
            number = number.cast(pl.String)
        if not numeric or self.form.missing_values:
            number = number.map_batches(self._of_cells, return_dtype=pl.Float64, is_elementwise=True)
        return pl.when(number.is_finite()).then(number)

    def _of_cells(self, cells: pl.Series) -> pl.Series:
        import polars as pl

        if not (self.form.decimal_comma or self.form.missing_values):
            found = cells.cast(pl.Float64, strict=False)
            if found.null_count() == cells.null_count():
                return found
        # spaces, commas and words for a missing value: with more care, at twice the time
        values, wrong = self.form.numbers_or_null(cells)
        self.wrong = self.wrong or wrong is not None
        return values


@dataclass
class Tally:
    """What became of the indications of one column.

    Attributes:
        rows: How many rows there are.
        missing: How many have no indication.
        outside: How many lie outside the calibrated range.
        unknown: How many have an indication, but an instrument that is unknown or has no line.
    """

    rows: int = 0
    missing: int = 0
    outside: int = 0
    unknown: int = 0

    def add(self, indication: pl.Series, estimate: pl.Series, extrapolated: pl.Series) -> None:
        """Counts some rows, shape (N,) each."""
        missing = indication.null_count()
        self.rows += len(indication)
        self.missing += missing
        self.outside += int(extrapolated.sum())
        self.unknown += estimate.null_count() - missing


def counted(
    frame: pl.LazyFrame, names: Sequence[tuple[str, str, str]], copies: Sequence[Copy]
) -> tuple[pl.LazyFrame, list[Tally]]:
    """Counts rows as they pass: a second query for it would read them again.

    Args:
        frame: The corrected table.
        names: For each column that was corrected, the names of the columns with its indications as numbers (it is left
            out of the result), with the estimates, and with whether these are extrapolated.
        copies: The tables whose rows these must be, all of them.

    Returns:
        The frame to write, and a tally for each column that was corrected, which fills while that is done.
    """
    from polars.io.plugins import register_io_source

    from thermofit_pl.tables.batches import batches

    tallies = [Tally() for _ in names]
    views = [view for view, _, _ in names]
    schema = frame.collect_schema()

    def source(*narrowed: object) -> Iterator[pl.DataFrame]:
        assert narrowed[:3] == (None, None, None)  # no columns, predicate or number of rows: the frame is written whole
        for batch in batches(frame, copies[0].file.path, lambda: sum(copy.n_rows for copy in copies)):
            for tally, columns_of in zip(tallies, names, strict=True):
                tally.add(*batch.select(columns_of))
            yield batch.drop(views)

    kept = {name: kind for name, kind in schema.items() if name not in views}
    return register_io_source(source, schema=kept), tallies

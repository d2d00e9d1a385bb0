"""A column of indications as numbers, counted on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    from thermofit_pl.tables.formats import TableFile


class Counted:
    """Turns cells into numbers, and counts them.

    Args:
        column: The column of the indications.
        decimal_comma: Whether text has 35,7 for 35.7.
        indication_range: The calibrated range.
    """

    def __init__(self, column: str, decimal_comma: bool, indication_range: tuple[float, float]) -> None:
        self.column = column
        self.decimal_comma = decimal_comma
        self._range = indication_range
        self._batches: list[tuple[int, int, int, bool]] = []  # list.append is safe between Polars' threads

    def beside(self, frame: pl.LazyFrame, table: TableFile, view: str) -> pl.LazyFrame:
        """Adds the indication as Float64, under the name ``view``, null where there is none."""
        import polars as pl

        from thermofit_pl.tables.formats import readable

        number = pl.col(self.column)
        with readable(table.path):
            if not frame.collect_schema()[self.column].is_numeric():
                # counted on the way: to count text in a second query would be to parse it again
                number = number.map_batches(self._numbers, return_dtype=pl.Float64, is_elementwise=True)
                return frame.with_columns(number.alias(view))
            number = number.cast(pl.Float64)
            number = pl.when(number.is_finite()).then(number)
            # one column by itself is read at once, while Polars takes a thread for each batch that Python sees
            counts = frame.select(pl.len(), number.count().alias("known"), number.is_between(*self._range).sum())
            rows, known, inside = counts.collect(engine="streaming").row(0)
        self._batches.append((rows, rows - known, known - inside, False))
        return frame.with_columns(number.alias(view))

    def _numbers(self, cells: pl.Series) -> pl.Series:
        found, wrong = self._cast(cells)
        if not found.is_finite().all():
            found = found.set(~found.is_finite(), None)
        missing = found.null_count()
        outside = len(found) - missing - int(found.is_between(*self._range).sum())
        self._batches.append((len(found), missing, outside, wrong))
        return found

    def _cast(self, cells: pl.Series) -> tuple[pl.Series, bool]:
        """The cells as Float64, and whether one of them is neither a number nor missing."""
        import polars as pl

        from thermofit_pl.tables.cells import numbers

        if not self.decimal_comma:
            found = cells.cast(pl.Float64, strict=False)
            if found.null_count() == cells.null_count():
                return found, False
        # spaces, commas and words for a missing value: with more care, at twice the time
        values, wrong = numbers(cells, decimal_comma=self.decimal_comma, time=False)
        if wrong is not None:
            return pl.repeat(None, len(cells), dtype=pl.Float64, eager=True), True
        return pl.Series(values), False

    @property
    def wrong(self) -> bool:
        """Whether a cell was neither a number nor missing."""
        return any(batch[3] for batch in self._batches)

    def totals(self) -> tuple[int, int, int]:
        """Gives the numbers of all rows, of those without an indication, and of those outside the range."""
        rows, missing, outside = (sum(batch[k] for batch in self._batches) for k in range(3))
        return rows, missing, outside

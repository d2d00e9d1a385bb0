"""One of two logs that are to become pairs, read whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np

from thermofit_pl.errors import InputError
from thermofit_pl.formatting import count, printable
from thermofit_pl.tables.cells import Part
from thermofit_pl.tables.table import Table
from thermofit_pl.tables.time_order import SORTABLE

if TYPE_CHECKING:
    import polars as pl

    from thermofit_pl.tables.cells import Columns, Rows
    from thermofit_pl.tables.formats import TableFile


class Log(Table):
    """One of the two logs. A row in which all of its cells are empty is none of its readings.

    With ``missing="drop"`` readings without a value stay, as NaN: a value before them no longer holds.
    """

    n_rows: int = 0
    form: Literal["number", "zone", "no zone"] = "number"

    def _check(self, table: TableFile, part: Part, reference: str | None) -> tuple[Columns, Rows]:
        filled = np.logical_or.reduce([~np.isnan(column) for column in part.values.values()])
        if not filled.all():
            values = {name: column[filled] for name, column in part.values.items()}
            part = Part(values, np.asarray(part.rows)[filled], part.done)
        self.n_rows += len(part.rows)
        if self._missing != "drop" or not len(part.rows):
            return super()._check(table, part, reference)
        measured = [name for role, name in self._roles.items() if role in ("indication", "reference")]
        gaps = {name: ~np.isfinite(part.values[name]) for name in {*measured, *self.probes} & {*part.values}}
        whole = Part(
            {
                name: np.where(gaps[name], 0.0, column) if name in gaps else column
                for name, column in part.values.items()
            },
            part.rows,
            part.done,
        )
        values, rows = super()._check(table, whole, reference)
        kept = np.isin(np.asarray(part.rows), np.asarray(rows))
        return {
            name: np.where(gaps[name][kept], np.nan, column) if name in gaps else column
            for name, column in values.items()
        }, rows

    def read(self, progress: Callable[[int], None] | None) -> pl.DataFrame:
        """Reads all of it, in time order: time [s], value, file, row, instrument."""
        import polars as pl

        pieces, n, self.n_rows = [], 0, 0
        for block in self._checked((0, 1), progress):
            assert block.time is not None
            n += len(block.rows)
            if n > SORTABLE:
                raise InputError(
                    f"{printable(block.file)}: expected no more than {count(SORTABLE)} readings to pair, but got more; "
                    "pair the table in parts."
                )
            columns = {
                "time": block.time,
                "value": block.indication,
                "file": np.full(len(block.rows), self.files.index(block.file)),
                "row": np.asarray(block.rows),
                "instrument": block.codes(),
            }
            pieces.append(pl.DataFrame(columns))
        kinds = self._wanted.times.zoned | self._zones_of_types()
        self.form = "number" if not kinds else "zone" if kinds == {True} else "no zone"
        if not pieces:
            raise InputError(f"{printable(self.files[0])}: expected readings of a log, but found none.")
        return pl.concat(pieces).with_columns(_in_seconds(self.form)).sort("time", maintain_order=True)

    def _zones_of_types(self) -> set[bool]:
        """Whether times that Parquet and Arrow hold as such have a zone."""
        found = set()
        for table in self._tables:
            for name, kind in zip(table.columns, table.types, strict=bool(table.types)):
                if name in self._wanted.time and kind.is_temporal():
                    found.add(getattr(kind, "time_zone", None) is not None)
        return found


def _in_seconds(form: str) -> pl.Expr:
    """Times in seconds: numbers too large for that count thousandths since 1970, or less."""
    import polars as pl

    time = pl.col("time")
    if form != "number":
        return time
    return (
        pl.when(time.max() > 1e17)
        .then(time / 1e9)
        .when(time.max() > 1e14)
        .then(time / 1e6)
        .when(time.max() > 1e11)
        .then(time / 1e3)
        .otherwise(time)
        .alias("time")
    )

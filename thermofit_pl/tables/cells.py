"""Cells become float64 columns, and a complaint where one is no number."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from thermofit_pl.errors import InputError
from thermofit_pl.formatting import printable, quoted
from thermofit_pl.tables.labels import Labels

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    Rows = range | NDArray[np.int64]
    Columns = dict[str, NDArray[np.float64]]

MISSING = (
    "",
    "na",
    "n/a",
    "nan",
    "+nan",
    "-nan",
    "null",
)  # lower case; whatever stands for "no value" in common exports
ISO_FORMATS = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M%#z")


@dataclass(frozen=True)
class Part:
    """Consecutive rows of one file, unchecked.

    Attributes:
        values: For each column asked for, shape (N,); NaN where a cell is missing.
        rows: The row of each, as an editor counts, shape (N,).
        done: How far into the file they reach [bytes].
    """

    values: Columns
    rows: Rows
    done: int


@dataclass(frozen=True)
class Wanted:
    """The columns to read, and how: `time` is the one that may hold dates, `instrument` the one that holds names."""

    columns: tuple[str, ...]
    time: str | None = None
    decimal_comma: bool = False
    instrument: str | None = None
    labels: Labels = field(default_factory=Labels)


def numbers(cells: pl.Series, *, decimal_comma: bool, time: bool) -> tuple[NDArray[np.float64], int | None]:
    """Turns cells of text into numbers.

    Args:
        cells: The cells as they stand in the table, shape (N,); null where there is none.
        decimal_comma: Whether the comma is the decimal sign; a point is refused then, for it could separate thousands.
        time: Whether ISO dates and times are welcome too; they become seconds since 1970 (UTC unless the cell says
            otherwise).

    Returns:
        The numbers, shape (N,), NaN where a cell is missing; and the index of the first cell that is neither number nor
        missing.
    """
    import polars as pl

    text = cells.cast(pl.String).str.strip_chars()
    digits = text
    if decimal_comma:
        digits = text.set(text.str.contains(".", literal=True), None).str.replace(",", ".", literal=True)
    values = digits.cast(pl.Float64, strict=False)
    if time and values.null_count():
        values = values.zip_with(values.is_not_null(), _epoch_seconds(text))
    if values.null_count():
        bad = values.is_null() & ~(text.is_null() | text.str.to_lowercase().is_in(MISSING))
        if bad.any():
            return np.empty(0), int(bad.arg_true()[0])
    return values.fill_null(float("nan")).to_numpy(), None


def _epoch_seconds(text: pl.Series) -> pl.Series:
    """Seconds since 1970 of ISO dates and times, shape (N,) [s]; null where a cell is none."""
    import polars as pl

    spaced = text.str.replace(r"^(\d{4}-\d\d-\d\d)[Tt]", "${1} ")
    seconds = pl.Series(text.name, [None], dtype=pl.Float64).extend_constant(None, len(text) - 1)
    for form in ISO_FORMATS:
        moments = spaced.str.strptime(pl.Datetime("us"), form, strict=False)
        seconds = seconds.zip_with(seconds.is_not_null(), moments.dt.timestamp("us").cast(pl.Float64) / 1e6)
    return seconds


def not_a_number(path: Path, row: int, column: str, cell: str, *, decimal_comma: bool, time: bool) -> InputError:
    """The complaint about a cell that is no number, with what to do about it."""
    text = cell.strip()
    wanted = "a number or an ISO date and time" if time else "a number"
    if re.fullmatch(r"[+-]?\d*,\d+([eE][+-]?\d+)?", text[:100]) and not decimal_comma:
        advice = "if the comma is the decimal sign, add --data.decimal_comma true"
    elif re.fullmatch(r"[+-]?\d*\.\d*([eE][+-]?\d+)?", text[:100]) and decimal_comma:
        advice = "if the point is the decimal sign, leave out --data.decimal_comma"
    elif re.match(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)\s*[°º˚℃℉%A-Za-zµμΩ]", text[:100]):
        advice = "remove the unit, so that the cell holds the number alone"
    else:
        advice = "correct the cell, empty it, or choose another column"
    return InputError(
        f"{printable(path)}, row {row}: expected {wanted} in column {quoted(column)}, but got {quoted(cell)}; {advice}."
    )


def columns_of(path: Path, wanted: Wanted, frame: pl.DataFrame, names: Sequence[str], rows: Rows) -> Columns:
    """Turns a frame into float64 columns.

    Args:
        path: The file that it comes from.
        wanted: What the columns are.
        frame: Their cells, float64 or as they stand in the table.
        names: What each wanted column is called in the frame.
        rows: The row of each, as an editor counts, shape (N,).

    Returns:
        The columns, shape (N,) each; NaN where a cell is missing.

    Raises:
        InputError: A cell is neither number nor missing; the first such row's.
    """
    values, bad = {}, []
    for column, name in zip(wanted.columns, names, strict=True):
        cells = frame[name]
        if column == wanted.instrument:
            values[column] = wanted.labels.codes(cells)
            continue
        if cells.dtype.is_float():
            values[column] = cells.to_numpy()  # NaN for null; no copy where there is none
            continue
        values[column], index = numbers(cells, decimal_comma=wanted.decimal_comma, time=column == wanted.time)
        if index is not None:
            bad.append((index, column, str(cells[index])))
    if bad:
        index, column, cell = min(bad, key=lambda item: item[0])
        raise not_a_number(
            path, int(rows[index]), column, cell, decimal_comma=wanted.decimal_comma, time=column == wanted.time
        )
    return values

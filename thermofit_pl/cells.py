"""Cells of text become numbers, and a complaint where they are none."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from thermofit_pl.errors import InputError
from thermofit_pl.wording import printable

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

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


def quoted(text: object, limit: int = 40) -> str:
    """Returns a text from a file in quotes, shortened, and without anything that a terminal would act on."""
    return f"'{printable(str(text), limit)}'"


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

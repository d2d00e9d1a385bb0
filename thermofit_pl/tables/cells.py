"""Cells become float64 columns, and a complaint where one is no number."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from thermofit_pl.errors import InputError, Setting
from thermofit_pl.formatting import printable, quoted
from thermofit_pl.tables.labels import Labels
from thermofit_pl.tables.times import Times
from thermofit_pl.tables.words import MISSING

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    Rows = range | NDArray[np.int64]
    Columns = dict[str, NDArray[np.float64]]

BLANKS = " '’\u00a0\u2009\u202f"  # what separates thousands and nothing else


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
class NumberFormat:
    """How numbers are written.

    Args:
        decimal_comma: Whether the comma is the decimal sign; a point alone is refused then, for it could separate
            thousands.
        missing_values: Numbers and words, in lower case, that stand for a missing value beside the usual ones.
    """

    decimal_comma: bool = False
    missing_values: tuple[str, ...] = ()

    def numbers(self, cells: pl.Series, times: Times | None = None) -> tuple[NDArray[np.float64], int | None]:
        """Turns cells of text into numbers.

        Args:
            cells: The cells as they stand in the table, shape (N,); null where there is none.
            times: Reads those that are times, if they may be.

        Returns:
            The numbers, shape (N,), NaN where a cell is missing; and the index of the first cell that is neither number
            nor missing.
        """
        import polars as pl

        text = cells.cast(pl.String).str.strip_chars()
        if times is not None and times.form is not None:  # 20260302 would be a number
            values = times.seconds(text)
        else:
            values = self._of_text(text)
            if times is not None and values.null_count():
                values = values.zip_with(values.is_not_null(), times.seconds(text.set(values.is_not_null(), None)))
        if values.null_count():
            missing = text.str.to_lowercase().is_in([*MISSING, *self.missing_values])
            bad = values.is_null() & ~(text.is_null() | missing)
            if bad.any():
                return np.empty(0), int(bad.arg_true()[0])
        return self.without_missing(values.fill_null(float("nan")).to_numpy()), None

    def numbers_or_null(self, cells: pl.Series) -> tuple[pl.Series, int | None]:
        """Turns cells of text into numbers, all null where one is no number; and its index."""
        import polars as pl

        values, wrong = self.numbers(cells)
        if wrong is not None:
            return pl.repeat(None, len(cells), dtype=pl.Float64, eager=True), wrong
        return pl.Series(values, dtype=pl.Float64), None

    def _of_text(self, text: pl.Series) -> pl.Series:
        """Numbers, also with thousands apart where both signs stand in a cell; null where a cell is none."""
        import polars as pl

        digits = text
        if self.decimal_comma:
            digits = text.set(text.str.contains(".", literal=True), None).str.replace(",", ".", literal=True)
        values = digits.cast(pl.Float64, strict=False)
        decimal, other = (",", ".") if self.decimal_comma else (".", ",")
        if values.null_count():
            apart = text.str.contains(rf"^[+-]?\d{{1,3}}(?:[{other}{BLANKS}]\d{{3}})+[{decimal}]\d+$")
            if apart.any():
                joined = text.str.replace_all(rf"[{other}{BLANKS}]", "").str.replace(",", ".", literal=True)
                values = values.zip_with(~apart.fill_null(value=False), joined.cast(pl.Float64, strict=False))
        return values

    def without_missing(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Puts NaN for the numbers that stand for a missing value, shape (N,)."""
        marks = [number for word in self.missing_values if (number := _as_number(word)) is not None]
        return np.where(np.isin(values, marks), np.nan, values) if marks else values


def _as_number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


@dataclass(frozen=True)
class Wanted:
    """The columns to read, and how.

    Attributes:
        columns: What to give.
        time: The columns that hold times: none, one, or two (date and time of day), which become one of `columns`.
        form: How numbers are written.
        instrument: The column that holds names.
        only: A column, and the one text in it of a row that is wanted; other rows are NaN throughout.
        labels: The names that were met.
        group: The column that holds set points.
        groups: The set points that were met.
        times: Reads times.
    """

    columns: tuple[str, ...]
    time: tuple[str, ...] = ()
    form: NumberFormat = field(default_factory=NumberFormat)
    instrument: str | None = None
    only: tuple[str, str] | None = None
    labels: Labels = field(default_factory=Labels)
    group: str | None = None
    groups: Labels = field(default_factory=Labels)
    times: Times = field(default_factory=Times)

    @property
    def time_name(self) -> str | None:
        """What the column with times is called."""
        return joined_name(self.time) if self.time else None

    @property
    def of_file(self) -> tuple[str, ...]:
        """The columns of the file that they are made of."""
        names = [self.time if name == self.time_name else (name,) for name in self.columns]
        return tuple(dict.fromkeys(name for some in [*names, self.only[:1] if self.only else ()] for name in some))

    @property
    def as_text(self) -> set[str]:
        """The columns of the file that must come as they stand there."""
        form = self.times.form is not None or len(self.time) > 1
        return {*(self.time if form and self.time_name in self.columns else ())} | (
            {name for name in (self.instrument, self.group, self.only[0] if self.only else None) if name is not None}
        )


def joined_name(columns: Sequence[str]) -> str:
    """What is called that several columns make up."""
    return " + ".join(columns)


def not_a_number(path: Path, row: int, column: str, cell: str, form: NumberFormat, times: Times | None) -> InputError:
    """The complaint about a cell that is no number, with what to do about it."""
    text = cell.strip()
    wanted = "a number" if times is None else times.expected()
    advice: tuple[str | Setting, ...] | None = times.advice(text) if times is not None else None
    if advice is None:
        advice = _advice(text[:100], decimal_comma=form.decimal_comma)
    where = f"{printable(path)}, row {row}: expected {wanted} in column {quoted(column)}, but got {quoted(cell)}; "
    return InputError(where, *advice, ".")


def _advice(text: str, *, decimal_comma: bool) -> tuple[str | Setting, ...]:
    thousands = re.fullmatch(rf"[+-]?\d{{1,3}}(([.,{BLANKS}])\d{{3}})+", text)
    if thousands and not decimal_comma and thousands[2] == "," and text.count(",") == 1:
        whole, comma = text.replace(",", ""), text.replace(",", ".")
        return (
            f"its comma may separate thousands ({whole}) or be the decimal sign ({comma}): write thousands without "
            "separators; if it is the decimal sign, separate the cells by semicolons and add ",
            Setting("decimal_comma", True),
        )
    if thousands and decimal_comma and thousands[2] == "." and text.count(".") == 1:
        return (
            "its point may separate thousands or be the decimal sign: write thousands without separators; if the point "
            "is the decimal sign, leave out ",
            Setting("decimal_comma"),
        )
    if thousands:
        return ("write thousands without separators",)
    if not decimal_comma and re.fullmatch(r"[+-]?[\d.]*,\d+([eE][+-]?\d+)?", text):
        return "if the comma is the decimal sign, add ", Setting("decimal_comma", True)
    if decimal_comma and re.fullmatch(r"[+-]?[\d,]*\.\d*([eE][+-]?\d+)?", text):
        return "if the point is the decimal sign, leave out ", Setting("decimal_comma")
    if re.match(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)\s*[°º˚℃℉%A-Za-zµμΩ]", text):
        return ("remove the unit, so that the cell holds the number alone",)
    if text and not re.search(r"\d", text):
        return (
            "correct the cell or choose another column; if it stands for a missing value, add ",
            Setting("table.missing_values", text[:20]),
        )
    return ("correct the cell, empty it, or choose another column",)


def columns_of(path: Path, wanted: Wanted, frame: pl.DataFrame, names: Sequence[str], rows: Rows) -> Columns:
    """Turns a frame into float64 columns.

    Args:
        path: The file that it comes from.
        wanted: What the columns are.
        frame: Their cells, float64 or as they stand in the table.
        names: What each wanted column of the file is called in the frame.
        rows: The row of each, as an editor counts, shape (N,).

    Returns:
        The columns, shape (N,) each; NaN where a cell is missing.

    Raises:
        InputError: A cell is neither number nor missing; the first such row's.
    """
    values, bad = {}, []
    called = dict(zip(wanted.of_file, names, strict=True))
    others = None if wanted.only is None else ~_is(frame[called[wanted.only[0]]], wanted.only[1])
    for column in wanted.columns:
        times = wanted.times if column == wanted.time_name else None
        cells = _joined([frame[called[name]] for name in (wanted.time if times is not None else (column,))])
        if others is not None:
            cells = cells.set(others, None)
        if column in (wanted.instrument, wanted.group):
            values[column] = (wanted.labels if column == wanted.instrument else wanted.groups).codes(cells)
            continue
        if cells.dtype.is_float():
            # NaN for null; no copy where there is none
            values[column] = wanted.form.without_missing(cells.to_numpy())
            continue
        values[column], index = wanted.form.numbers(cells, times)
        if index is not None:
            bad.append((index, column, str(cells[index])))
    if bad:
        index, column, cell = min(bad, key=lambda item: item[0])
        times = wanted.times if column == wanted.time_name else None
        raise not_a_number(path, int(rows[index]), column, cell, wanted.form, times)
    return values


def _is(cells: pl.Series, name: str) -> pl.Series:
    """Which cells hold a name, shape (N,)."""
    import polars as pl

    return (cells.cast(pl.String).str.strip_chars() == name).fill_null(value=False)


def _joined(parts: Sequence[pl.Series]) -> pl.Series:
    """One column out of one, or of a date and a time of day; null where either is missing."""
    import polars as pl

    if len(parts) == 1:
        return parts[0]
    named = [part.cast(pl.String).str.strip_chars().alias(str(at)) for at, part in enumerate(parts)]
    return pl.DataFrame(named).select(pl.concat_str(pl.all(), separator=" ")).to_series()

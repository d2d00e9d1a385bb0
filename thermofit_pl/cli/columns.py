"""What a table holds, for somebody who has not said yet what to take from it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from thermofit_pl.formatting import printable
from thermofit_pl.tables.options import TableOptions
from thermofit_pl.tables.words import is_missing, is_number_or_time

if TYPE_CHECKING:
    import polars as pl

EPOCH = 1e9  # s; 2001
ROWS = 100  # that are looked at
SHOWN = 3  # values of a column


def described(path: str, *, decimal_comma: bool, options: TableOptions) -> str:
    """Lists the columns of a table with their kinds and first values, and proposes a command.

    Args:
        path: A file, a pattern, or a folder, of which the first table is described.
        decimal_comma: Whether text has 35,7 for 35.7.
        options: How the table is written.

    Raises:
        InputError: It can't be read.
    """
    from thermofit_pl.tables.copies import Copy
    from thermofit_pl.tables.finding import open_tables

    file = open_tables(path, (), decimal_comma=decimal_comma, options=options).tables[0]
    bare = file.kind == "text" and options.header_line is None and any(map(is_number_or_time, file.columns))
    read = file
    if bare:
        without = replace(options, header_line=0)
        read = open_tables(path, (), decimal_comma=decimal_comma, options=without).tables[0]
    rows = Copy(read).frame().head(ROWS).collect()
    names = rows.columns
    kinds = [_kind(rows.to_series(at), options.missing_words) for at in range(rows.width)]
    width = min(max(map(len, names), default=0), 40)
    lines = [f"{printable(file.path)} has these columns:"]
    if bare:
        shown = ", ".join(printable(name, 20) for name in file.columns[:6])
        lines = [f"Line 1 of {printable(file.path)} looks like readings ({shown}); if so, its columns are:"]
    for at, (name, kind) in enumerate(zip(names, kinds, strict=True)):
        values = [printable(str(value), 30) for value in rows.to_series(at).drop_nulls().head(SHOWN)]
        lines.append(f"  {printable(name, 60):{width}}  {kind.split()[0]:7}  {', '.join(values)}".rstrip())
    lines.append("To calibrate, say which column the instrument shows and which the standard does, for example:")
    comma = decimal_comma or "numbers with a comma" in kinds
    lines.append(_proposal(path, names, [kind.split()[0] for kind in kinds], bare=bare, decimal_comma=comma))
    return "\n".join(lines)


def _kind(cells: pl.Series, words: Sequence[str]) -> str:
    """Says what a column holds: numbers, times, text, or nothing; numbers from 1e9 that only grow are times."""
    import polars as pl

    from thermofit_pl.tables.cells import NumberFormat
    from thermofit_pl.tables.times import Times

    if cells.dtype.is_temporal():
        return "times"
    text = cells.cast(pl.String, strict=False).drop_nulls().str.strip_chars()
    some = text.filter(pl.Series([not is_missing(cell, words) for cell in text], dtype=pl.Boolean))
    if not len(some):
        return "empty"
    values, wrong = NumberFormat().numbers(some)
    if wrong is None:
        return "times" if len(values) > 1 and values[0] > EPOCH and (np.diff(values) > 0).all() else "numbers"
    if NumberFormat(decimal_comma=True).numbers(some)[1] is None:
        return "numbers with a comma"
    if not Times().seconds(some).null_count() or all(is_number_or_time(cell) for cell in some):
        return "times"
    return "text"


def _proposal(path: str, names: Sequence[str], kinds: Sequence[str], *, bare: bool, decimal_comma: bool) -> str:
    """A command for the table: its two first columns of numbers, of which somebody must say which is which."""
    numbers = [name for name, kind in zip(names, kinds, strict=True) if kind == "numbers" and name != "#"]
    times = [name for name, kind in zip(names, kinds, strict=True) if kind == "times"]
    standards = [name for name in numbers if "ref" in name.lower()]
    if len(standards) == 1:
        numbers = [*(name for name in numbers if name not in standards), *standards]
        numbers = numbers if len(numbers) < 3 else [numbers[0], standards[0]]
    shown, standard = [*numbers, *("INDICATION", "REFERENCE")[len(numbers) :]][:2]
    words = ["--data.path", path, "--data.indication", shown, "--data.reference", standard]
    words += ["--data.time", times[0]] if times else []
    words += ["--data.pair.time", times[1]] if len(times) > 1 else []
    words += ["--data.table.header_line", "0"] if bare else []
    words += ["--data.decimal_comma", "true"] if decimal_comma else []
    return f"  python -m thermofit_pl fit {' '.join(map(shlex.quote, words))}"


def is_undecided(data: object) -> bool:
    """Whether the options of the data name a table, and no column of it."""
    return getattr(data, "path", None) is not None and not (
        getattr(data, "indication", None) or getattr(data, "reference", None)
    )


def print_columns(data: object) -> None:
    """Prints what the table holds that options of the data name; what is wrong with them is for others to say."""
    if is_undecided(data) and Path(str(data.path)).exists():  # type: ignore[attr-defined]
        given = data.table  # type: ignore[attr-defined]
        options = TableOptions(**given.as_dict()) if hasattr(given, "as_dict") else given
        print(described(str(data.path), decimal_comma=bool(data.decimal_comma), options=options))  # type: ignore[attr-defined]

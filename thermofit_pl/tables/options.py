"""How a table is written, where the table itself doesn't say so."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from thermofit_pl.errors import InputError, Setting
from thermofit_pl.formatting import quoted

UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}  # [s]


@dataclass(frozen=True)
class TableOptions:
    """How a table is written, where it can't be seen in it.

    Args:
        header_line: Line of the file that holds the names of the columns; 0 if there is none, and the columns are
            numbered from 1. Without it, the first of the first 50 lines that holds every column asked for.
        first_line: Line of the first reading. Without it, the one after the header and after rows below that hold no
            number, such as units.
        sheet: Sheet of a workbook, by its name or number.
        time_format: How times are written, in strptime's terms, such as '%m/%d/%y %I:%M:%S %p'.
        missing_values: Numbers or words that stand for a missing value, such as [-9999, fault], beside the usual ones
            (empty, NaN, null, n/a, unavailable, unknown, --).
    """

    header_line: int | None = None
    first_line: int | None = None
    sheet: str | None = None
    time_format: str | None = None
    missing_values: float | str | list[float | str] | None = None

    @property
    def missing_words(self) -> tuple[str, ...]:
        """What stands for a missing value, in lower case."""
        values = self.missing_values
        some = [] if values is None else values if isinstance(values, list) else [values]
        return tuple(str(value).strip().lower() for value in some)

    def __post_init__(self) -> None:
        for name, least in (("header_line", 0), ("first_line", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise InputError(Setting(f"table.{name}"), f": expected a line's number from {least}, but got {value}")
        if self.first_line is not None and self.first_line <= (self.header_line or 0):
            raise InputError(
                Setting("table.first_line"),
                f": expected a line below the header, which is line {self.header_line}, but got {self.first_line}",
            )
        if self.time_format is not None and "%" not in self.time_format:
            raise InputError(
                Setting("table.time_format"),
                f": expected how times are written, such as %d/%m/%Y %H:%M, but got {self.time_format!r}",
            )


@dataclass(frozen=True)
class PairOptions:
    """How the log of the reference becomes pairs with that of the indication.

    Args:
        path: Table with the reference's log. Without it, both logs are in one table.
        time: Column with the times of the reference, if it has times of its own. In a table of its own, the name of
            the indication's unless told.
        how: Which indication a reading of the reference is paired with: the 'nearest' in time, or the 'last' one up to
            then, which still holds in a log of changes.
        tolerance: How far apart in time the two may be, as 30s, 5min or 1h. Without it, half the median interval of the
            slower log.
        shift: What to add to the times of the reference, as 1h or -30s, where its clock is wrong.
    """

    path: str | None = None
    time: str | None = None
    how: Literal["nearest", "last"] = "nearest"
    tolerance: float | str | None = None
    shift: float | str = 0.0

    def __bool__(self) -> bool:
        return self.path is not None or self.time is not None

    def __post_init__(self) -> None:
        seconds(self.shift, "pair.shift")
        if self.tolerance is not None and seconds(self.tolerance, "pair.tolerance") < 0:
            raise InputError(Setting("pair.tolerance"), f": expected no negative time, but got {self.tolerance}")


def seconds(text: float | str, argument: str) -> float:
    """Returns a span of time [s], written as a number of seconds or as 30s, 5min, 1h30min, -1h.

    Args:
        text: How it is written.
        argument: What it was given for.
    """
    if isinstance(text, int | float):
        return float(text)
    whole = text.strip()
    if re.fullmatch(r"[+-]?(\d+(\.\d*)?|\.\d+)", whole):
        return float(whole)
    span = r"(\d+(?:\.\d*)?|\.\d+)\s*(us|ms|s|min|m|h|d)\s*"
    if not re.fullmatch(rf"[+-]?\s*(?:{span})+", whole):
        raise InputError(Setting(argument), f": expected a time such as 30s, 5min or -1h, but got {quoted(text)}")
    total = sum(float(number) * UNITS[unit] for number, unit in re.findall(span, whole))
    return -total if whole.startswith("-") else total

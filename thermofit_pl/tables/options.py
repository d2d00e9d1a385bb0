"""How a table is written, where the table itself doesn't say so."""

from __future__ import annotations

from dataclasses import dataclass

from thermofit_pl.errors import InputError, Setting


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

"""Times as text become seconds since 1970, and only where they can mean one moment."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from thermofit_pl.errors import InputError, Setting

if TYPE_CHECKING:
    import polars as pl

CLOCKS = ("%H:%M:%S%.f", "%H:%M", "%I:%M:%S %p", "%I:%M %p")
FORMATS = (*(f"%Y-%m-%d {clock}{zone}" for zone in ("", "%#z") for clock in CLOCKS), "%Y-%m-%d")
ZONED = r"(?:Z|[+-]\d\d:?\d\d)$"
TAIL = r"(?:[T ,].*)?$"
SAME = "|".join(f"0?{n}[/-]0?{n}" for n in range(1, 13))
# with slashes, the day stands first or second; 4 May and 5 April look alike, 14 May doesn't
DAY_FIRST = rf"^(1[3-9]|2\d|3[01])[/-](0?[1-9]|1[0-2])[/-](\d{{4}}){TAIL}"
MONTH_FIRST = rf"^(0?[1-9]|1[0-2])[/-](1[3-9]|2\d|3[01])[/-](\d{{4}}){TAIL}"
EITHER = rf"^(?:{SAME})[/-]\d{{4}}{TAIL}"
REWRITTEN = (
    (r"^(\d{4})[/.](\d\d?)[/.](\d\d?)", "${1}-${2}-${3}"),
    (r"^(\d\d?)\.(\d\d?)\.(\d{4})", "${3}-${2}-${1}"),
    (r"^(1[3-9]|2\d|3[01])[/-](\d\d?)[/-](\d{4})", "${3}-${2}-${1}"),
    (r"^(\d\d?)[/-](\d\d?)[/-](\d{4})", "${3}-${1}-${2}"),
    (r"^(\d{4}-\d\d?-\d\d?)(?:[Tt]|,? +)", "${1} "),
    (r" ?(?:UTC|GMT|Z|z)$", "Z"),
    (r" +([+-]\d\d:?\d\d)$", "${1}"),
    (r" ?([AaPp])\.?[Mm]\.?$", " ${1}M"),
)


class Times:
    """Turns cells into seconds since 1970, as one column of one table writes them.

    What is not certain is no time: a day that may be a month, and times with a zone beside times without.

    Args:
        form: How they are written, in strptime's terms; None: as numbers, in ISO's order, or as 31.12.2026 23:59.

    Attributes:
        zoned: Whether a cell named its zone, for each kind that was met.
    """

    def __init__(self, form: str | None = None) -> None:
        self.form = form
        self.zoned: set[bool] = set()
        self._orders: set[str] = set()

    def seconds(self, text: pl.Series) -> pl.Series:
        """Returns seconds since 1970, shape (N,) [s; UTC unless a cell names its zone]; null where a cell is no time.

        Args:
            text: The cells, without blanks around, shape (N,).
        """
        import polars as pl

        if self.form is not None:
            return self._by_format(text)
        iso = text
        if text.str.contains(r"^\d\d?[/-]").any():
            iso = iso.set(self._ambiguous(text), None)
        for pattern, replacement in REWRITTEN:
            iso = iso.str.replace(pattern, replacement)
        zoned = iso.str.contains(ZONED) & iso.str.contains(":")
        seconds = pl.Series(text.name, [None], dtype=pl.Float64).extend_constant(None, len(text) - 1)
        for form in FORMATS:
            if not (seconds.is_null() & iso.is_not_null()).any():
                break
            moments = iso.str.strptime(pl.Datetime("us"), form, strict=False)
            seconds = seconds.zip_with(seconds.is_not_null(), moments.dt.timestamp("us").cast(pl.Float64) / 1e6)
        return self._of_one_kind(seconds, zoned)

    def _ambiguous(self, text: pl.Series) -> pl.Series:
        """Which cells have a day that may be a month, or another order than those before, shape (N,)."""
        day, month = text.str.contains(DAY_FIRST), text.str.contains(MONTH_FIRST)
        self._orders |= {name for name, cells in (("day", day), ("month", month)) if cells.any()}
        sure = day if len(self._orders) > 1 else day | month
        return text.str.contains(r"^\d\d?[/-]") & ~(sure | text.str.contains(EITHER))

    def _of_one_kind(self, seconds: pl.Series, zoned: pl.Series) -> pl.Series:
        kinds = set(zoned.filter(seconds.is_not_null()).to_list())
        self.zoned |= kinds
        return seconds if len(self.zoned) < 2 else seconds.set(zoned, None)

    def _by_format(self, text: pl.Series) -> pl.Series:
        import polars as pl
        from polars.exceptions import PolarsError

        assert self.form is not None
        form = self.form.replace(".%f", "%.f").replace("%z", "%#z")  # chrono's %f counts nanoseconds
        try:
            moments = text.str.strptime(pl.Datetime("us"), form, strict=False)
        except PolarsError as error:
            raise InputError(
                Setting("table.time_format"),
                f": expected how times are written, such as %d/%m/%Y %H:%M, but got {self.form!r}, of which Polars "
                f"says: {next(iter(str(error).splitlines()), '')}",
            ) from None
        if moments.is_not_null().any():
            self.zoned.add("%z" in self.form)
        return moments.dt.timestamp("us").cast(pl.Float64) / 1e6

    def expected(self) -> str:
        """Says what a cell should be."""
        return "a number or an ISO date and time" if self.form is None else f"a time written as {self.form}"

    def advice(self, cell: str) -> tuple[str | Setting, ...] | None:
        """Says what to do about a cell that is no time; None where there is nothing special to say.

        Args:
            cell: The cell, without blanks around.
        """
        if self.form is not None:
            return "correct the cell or ", Setting("table.time_format")
        if len(self.zoned) > 1 and re.search(ZONED, cell):
            return ("other rows name no time zone; let all rows name theirs, or none",)
        if re.match(r"\d\d?[/.-]\d\d?[/.-]\d\d(\d\d)?\b", cell):
            sure = "" if len(self._orders) < 2 else ", and other rows have another order"
            return (
                f"which of its numbers is the day is not certain{sure}; say how times are written, for example ",
                Setting("table.time_format", _guess(cell, day_first=True)),
                f" or '{_guess(cell, day_first=False)}'",
            )
        if re.match(r"\d\d?:\d\d", cell):
            return ("a time of day needs its date; if another column has that, name both, as [Date,Time]",)
        if re.search(r"\d", cell) and not re.fullmatch(r"[+-]?[\d.,]+.{0,10}", cell):
            return "if it is a time, say how times are written with ", Setting("table.time_format")
        return None


def _guess(cell: str, *, day_first: bool) -> str:
    """How a date with its day before or after the month would be written, in strptime's terms."""
    sign = cell[1] if not cell[1].isdigit() else cell[2]
    year = "%Y" if re.match(r"\d\d?\D\d\d?\D\d{4}", cell) else "%y"
    date = sign.join(("%d", "%m", year) if day_first else ("%m", "%d", year))
    clock = re.search(r"[ T,]+\d\d?:\d\d(:\d\d(\.\d+)?)?( ?[AP]M)?", cell)
    if clock is None:
        return date
    half = clock[3] is not None
    seconds = "" if clock[1] is None else ":%S" if clock[2] is None else ":%S.%f"
    return f"{date} {'%I' if half else '%H'}:%M{seconds}{' %p' if half else ''}"

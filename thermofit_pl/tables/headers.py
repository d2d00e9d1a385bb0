"""The header of a text table: where it stands, its names, what stands between cells, and where readings begin."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from thermofit_pl.errors import InputError, Setting
from thermofit_pl.formatting import printable, quoted
from thermofit_pl.tables.encodings import encoding_of, not_encoded
from thermofit_pl.tables.options import TableOptions
from thermofit_pl.tables.words import begins_with_number, is_missing, is_number_or_time

HEADER_BYTES = 1 << 20  # enough for 50 000 columns; a longer header is no table that anybody made
LINES = 50  # in which a header is looked for
MOST_UNITS = 3  # rows below it; Campbell's TOA5 has two
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Header:
    """The header of a text table.

    Attributes:
        columns: Its names.
        separator: What stands between cells.
        encoding: How bytes mean characters.
        end: The byte at which the line of the first reading starts.
        row: The number of that line, as an editor counts.
        remark: A sentence on lines that are left out; empty if there are none.
    """

    columns: tuple[str, ...]
    separator: str
    encoding: str
    end: int
    row: int
    remark: str = ""


@dataclass(frozen=True)
class _Record:
    """The record that starts in a line, as one separator cuts it; `error` says why it can't."""

    line: int
    separator: str
    cells: tuple[str, ...] = ()
    lines: int = 0
    error: str = ""

    @property
    def after(self) -> int:
        """The index of the line after it."""
        return self.line + self.lines


def holds(columns: Sequence[str], name: str) -> bool:
    """Whether a column is among others; `probe_*` is if one is like that."""
    return name in columns or (is_pattern(name) and any(fnmatchcase(column, name) for column in columns))


def is_pattern(name: str) -> bool:
    """Whether a name may stand for several columns."""
    return "*" in name or "?" in name


def find_header(
    path: Path, sample: bytes, wanted: Sequence[str], *, decimal_comma: bool, options: TableOptions
) -> Header:
    """Finds the header in the beginning of a text table.

    Args:
        path: The file.
        sample: Its first `HEADER_BYTES`.
        wanted: The columns asked for; patterns too.
        decimal_comma: Whether the comma is the decimal sign, so that it cannot separate cells.
        options: How the table is written.
    """
    _refuse_unreadable(path, sample)
    whole = sample if len(sample) < HEADER_BYTES else sample[: sample.rfind(b"\n") + 1]
    encoding = encoding_of(path, whole)
    beginning = _Beginning(path, whole, encoding, wanted, decimal_comma=decimal_comma)
    record, columns, first = beginning.header(options)
    units: list[_Record] = []
    if options.first_line is not None:
        first = beginning.line(options.first_line, Setting("table.first_line"))
    elif options.header_line != 0:
        first, units = beginning.units(record, options)
    lines = beginning.lines
    try:
        b"".join(lines[record.line : first]).decode(encoding)
    except UnicodeDecodeError as error:
        raise not_encoded(path, record.line + 1, error.object[error.start], encoding) from None
    remark = _remark(path, record, units, wanted, beginning.start if options.header_line is None else record.line)
    end = (len(BOM) if sample.startswith(BOM) else 0) + sum(map(len, lines[:first]))
    return Header(columns, record.separator, encoding, end, first + 1, remark)


class _Beginning:
    """The first lines of a text table.

    Args:
        path: The file.
        whole: They, in bytes.
        encoding: How these mean characters.
        wanted: The columns asked for.
        decimal_comma: Whether the comma can't separate cells.
    """

    def __init__(self, path: Path, whole: bytes, encoding: str, wanted: Sequence[str], *, decimal_comma: bool) -> None:
        self.path, self.encoding, self.wanted = path, encoding, wanted
        self.lines = list(io.BytesIO(whole.removeprefix(BOM)))
        self.start = next(index for index, line in enumerate(self.lines) if line.strip())
        self.separators = ";\t" if decimal_comma else ",;\t"
        # Excel's own way to say it
        if said := re.fullmatch(rb'"?sep=([,;|\t])"?\s*', self.lines[self.start]):
            self.separators = said[1].decode()
            self.start += 1

    def header(self, options: TableOptions) -> tuple[_Record, tuple[str, ...], int]:
        """Finds the header, the names of the columns, and the line after it."""
        if options.header_line == 0:
            first = self.start if options.first_line is None else options.first_line - 1
            record = self.best(self.line(first + 1, Setting("table.first_line")))
            return record, tuple(str(number) for number in range(1, len(record.cells) + 1)), first
        if options.header_line is not None:
            record = self.best(self.line(options.header_line, Setting("table.header_line")))
            self.refuse_torn(record)
            return record, record.cells, record.after
        last = LINES if options.first_line is None else min(LINES, options.first_line - 1)
        found = next((record for record in map(self.best, range(self.start, last)) if self.holds_all(record)), None)
        record = found or self.best(self.start if self.wanted else self.likely(last))
        if found is None:
            self.refuse_torn(record)
            self.refuse_guesses(record, any)
        self.refuse_guesses(record, all)
        return record, record.cells, record.after

    def likely(self, last: int) -> int:
        """Returns the first line with cells as many as the line below has; the first line if there is none."""
        for at in range(self.start, min(last, len(self.lines) - 1)):
            record = self.best(at)
            below = self.record(record.after, record.separator) if record.after < len(self.lines) else record
            if len(record.cells) > 1 and len(below.cells) == len(record.cells):
                return at
        return self.start

    def line(self, number: int, setting: Setting) -> int:
        """Returns the index of a line that was named."""
        if number > len(self.lines):
            raise InputError(
                setting, f": expected a line of {printable(self.path)}, which has {len(self.lines)}, but got {number}"
            )
        return number - 1

    def holds_all(self, record: _Record) -> bool:
        """Whether a record holds every column asked for."""
        return bool(self.wanted) and all(holds(record.cells, name) for name in self.wanted)

    def record(self, line: int, separator: str) -> _Record:
        """Reads the record that starts in a line, by the rules that hold for all rows."""
        text = (part.decode(self.encoding, errors="replace") for part in self.lines[line:])
        reader = csv.reader(text, delimiter=separator, strict=True)
        try:
            cells = next(reader, [])
        except csv.Error as error:
            return _Record(line, separator, error=str(error))
        return _Record(line, separator, tuple(cell.strip() for cell in cells), reader.line_num)

    def best(self, line: int) -> _Record:
        """Reads the record that starts in a line, as the separator cuts it that cuts the lines after it alike."""
        if line >= len(self.lines):
            return _Record(line, ",")
        records = [self.record(line, separator) for separator in self.separators]

        def score(record: _Record) -> tuple[int, int, int]:
            following = range(line + 1, min(line + 21, len(self.lines)))
            alike = 0
            if len(record.cells) > 1:
                alike = sum(len(self.record(at, record.separator).cells) == len(record.cells) for at in following)
            return sum(holds(record.cells, name) for name in self.wanted), alike, len(record.cells)

        best = max(records, key=score)
        failed = next((record for record in records if record.error), None)
        return failed if failed and len(best.cells) < 2 and not self.holds_all(best) else best

    def units(self, header: _Record, options: TableOptions) -> tuple[int, list[_Record]]:
        """Finds the first line below the header that may hold a reading, and the rows above it that can't."""
        units: list[_Record] = []
        at = header.after
        while at < len(self.lines) and len(units) < MOST_UNITS:
            record = self.record(at, header.separator)
            if not any(record.cells) and not record.error:
                at = record.after
                continue
            if record.error or not self._may_be_units(header, record, options):
                break
            units.append(record)
            at = record.after
        if not any(line.strip() for line in self.lines[at:]):  # then it is no units that they hold
            return header.after, []
        return (units[-1].after if units else header.after), units

    def _may_be_units(self, header: _Record, record: _Record, options: TableOptions) -> bool:
        words = options.missing_words
        cells = [cell for cell in record.cells if cell and not is_missing(cell, words)]
        # the indication is asked for first; without a word in its place, a row is a reading that lacks it
        shown = [
            cell
            for name, cell in zip(header.cells, record.cells, strict=False)
            if any(map(_like(name), self.wanted[:1]))
        ]
        failing = bool(shown) and all(is_missing(cell, words) for cell in shown)
        return bool(cells) and not failing and not any(map(begins_with_number, record.cells))

    def refuse_torn(self, record: _Record) -> None:
        """Refuses a header whose quotation marks leave open what its cells are."""
        if not record.error:
            return
        if sum(map(len, self.lines)) >= HEADER_BYTES // 2 and record.error.startswith(("unexpected end", "field lar")):
            raise _endless(self.path)
        raise InputError(
            f"{printable(self.path)}, row {record.line + 1}: expected the names of columns, but they cannot be told "
            f"apart: {printable(record.error)}; check the quotation marks."
        )

    def refuse_guesses(self, record: _Record, some: Callable[[Iterator[bool]], bool]) -> None:
        """Refuses a header that looks like readings, and lines that blanks separate."""
        where = f"{printable(self.path)}: line {record.line + 1}"
        cells = [cell for cell in record.cells if cell and not is_missing(cell, ())]
        if cells and self.wanted and some(is_number_or_time(cell) for cell in cells):
            raise InputError(
                f"{where} looks like readings ({', '.join(map(quoted, record.cells[:6]))}); if the table has no "
                "header, add ",
                Setting("table.header_line", 0),
                ", and name its columns by their numbers from 1; if another line holds their names, give its number.",
            )
        if some is all or len(record.cells) > 1:
            return
        names = self.lines[record.line].decode(self.encoding, errors="replace").split()
        if len(names) > 1 and any(name in names for name in self.wanted):
            raise InputError(
                f"{where} ({quoted(' '.join(names), 80)}) is separated by blanks, which may stand in names and times "
                "too; save the table with commas, semicolons or tabs between its cells."
            )


def _like(name: str) -> Callable[[str], bool]:
    return lambda wanted: name == wanted or (is_pattern(wanted) and fnmatchcase(name, wanted))


def _remark(path: Path, header: _Record, units: Sequence[_Record], wanted: Sequence[str], start: int) -> str:
    sentences = []
    if header.line > start:
        what = f"row {start + 1}" if header.line == start + 1 else f"rows {start + 1} to {header.line}"
        sentences.append(f"Left out {what} of {printable(path.name)}, above the names of the columns.")
    for record in units:
        pairs = [
            f"{quoted(cell)} of {quoted(name)}"
            for name, cell in zip(header.cells, record.cells, strict=False)
            if cell and any(map(_like(name), wanted))
        ] or [quoted(cell) for cell in record.cells if cell][:6]
        sentences.append(
            f"Left out row {record.line + 1} of {printable(path.name)}, which holds no number: {', '.join(pairs)}."
        )
    return " ".join(sentences)


def _refuse_unreadable(path: Path, sample: bytes) -> None:
    text = sample.removeprefix(BOM).lstrip(b" \t\r\n")
    if not text:
        raise InputError(f"{printable(path)} is empty but for blank lines; expected a header line and readings.")
    if b"\n" not in text:
        if len(sample) >= HEADER_BYTES:
            raise _endless(path)
        if b"\r" in text.strip():
            raise InputError(
                f"{printable(path)} ends its lines as old Macs did (CR); save it with LF or CRLF line ends."
            )


def _endless(path: Path) -> InputError:
    return InputError(
        f"{printable(path)} has no end of a header line in its first {HEADER_BYTES} bytes; expected a table."
    )

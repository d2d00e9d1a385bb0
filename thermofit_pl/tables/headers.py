"""The header of a text table: where it ends, its names, and what stands between cells."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

from thermofit_pl.errors import InputError
from thermofit_pl.formatting import printable
from thermofit_pl.tables.encodings import encoding_of, not_encoded

HEADER_BYTES = 1 << 20  # enough for 50 000 columns; a longer header is no table that anybody made


@dataclass(frozen=True)
class Header:
    """The header of a text table.

    Attributes:
        columns: Its names.
        separator: What stands between cells.
        encoding: How bytes mean characters.
        end: The byte at which the line after it starts.
        row: The number of that line, as an editor counts.
    """

    columns: tuple[str, ...]
    separator: str
    encoding: str
    end: int
    row: int


@dataclass(frozen=True)
class _Split:
    """The header's record as one separator cuts it; `error` says why it can't."""

    separator: str
    names: tuple[str, ...] = ()
    lines: int = 0
    error: str = ""


def find_header(path: Path, sample: bytes, wanted: tuple[str, ...], *, decimal_comma: bool) -> Header:
    """Finds the header in the beginning of a text table.

    Args:
        path: The file.
        sample: Its first `HEADER_BYTES`.
        wanted: The columns asked for.
        decimal_comma: Whether the comma is the decimal sign, so that it cannot separate cells.
    """
    start, row = _first_line(path, sample)
    whole = sample if len(sample) < HEADER_BYTES else sample[: sample.rfind(b"\n") + 1]
    encoding = encoding_of(path, whole)
    text = whole[start:].decode(encoding, errors="replace")
    splits = [_split(text, separator) for separator in (";\t" if decimal_comma else ",;\t")]
    following = text.splitlines()[1:21]

    def score(split: _Split) -> tuple[int, int, int]:
        alike = sum(len(_split(line, split.separator).names) == len(split.names) for line in following if line.strip())
        return sum(name in split.names for name in wanted), alike if len(split.names) > 1 else 0, len(split.names)

    best = max(splits, key=score)
    failed = next((split for split in splits if split.error), None)
    if failed and len(best.names) < 2 and score(best)[0] < len(wanted):
        if len(sample) >= HEADER_BYTES and failed.error.startswith(("unexpected end", "field larger")):
            raise _endless(path)
        raise InputError(
            f"{printable(path)}, row {row}: expected the names of columns, but they cannot be told apart: "
            f"{printable(failed.error)}; check the quotation marks."
        )
    end = start
    for _ in range(best.lines):
        end = whole.find(b"\n", end) + 1 or len(whole)
    try:
        whole[start:end].decode(encoding)
    except UnicodeDecodeError as error:
        raise not_encoded(path, row, whole[start + error.start], encoding) from None
    return Header(best.names, best.separator, encoding, end, row + best.lines)


def _first_line(path: Path, sample: bytes) -> tuple[int, int]:
    """Where the header starts, and the number of that line."""
    start, row = (3 if sample.startswith(b"\xef\xbb\xbf") else 0), 1
    while blank := re.match(rb"[ \t]*\r?\n", sample[start : start + 10000]):
        start, row = start + blank.end(), row + 1
    if not sample[start:].strip():
        raise InputError(f"{printable(path)} is empty but for blank lines; expected a header line and readings.")
    if b"\n" not in sample[start:]:
        if len(sample) >= HEADER_BYTES:
            raise _endless(path)
        if b"\r" in sample[start:].strip():
            raise InputError(
                f"{printable(path)} ends its lines as old Macs did (CR); save it with LF or CRLF line ends."
            )
    return start, row


def _endless(path: Path) -> InputError:
    return InputError(
        f"{printable(path)} has no end of a header line in its first {HEADER_BYTES} bytes; expected a table."
    )


def _split(text: str, separator: str) -> _Split:
    """The names in the first record of a text, by the rules that hold for its other rows too."""
    reader = csv.reader(io.StringIO(text, newline="\n"), delimiter=separator, strict=True)
    try:
        names = next(reader, [])
    except csv.Error as error:
        return _Split(separator, error=str(error))
    return _Split(separator, tuple(name.strip() for name in names), reader.line_num)

"""Chunks of a text table become cells: by Polars where each line is a row, by Python's csv module where not."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from thermofit_pl.errors import InputError
from thermofit_pl.formatting import printable
from thermofit_pl.tables.cells import Wanted, columns_of
from thermofit_pl.tables.encodings import not_encoded
from thermofit_pl.tables.formats import TableFile
from thermofit_pl.tables.quotes import CR, LF

if TYPE_CHECKING:
    import polars as pl

    from thermofit_pl.tables.cells import Columns, Rows

PIECE = 1 << 18  # bytes that are counted at a time, in the cache


@dataclass(frozen=True)
class Chunk:
    """Whole records of a text table.

    Attributes:
        data: A header line, and their bytes, with a line end at the end.
        lines: How many lines they are, without that header.
        records: How many records they are: line ends outside quotation marks.
        literal: Whether a quotation mark may stand inside a cell that doesn't begin with one.
        row: The row of the first, as an editor counts.
        begin: The byte of the file at which they start; of a gzip file, up to which it had been read before them.
        end: The byte of the file at which they end.
    """

    data: bytes
    lines: int
    records: int
    literal: bool
    row: int
    begin: int
    end: int


def count_byte(data: bytes, byte: int) -> int:
    """How often a byte occurs: numpy finds out four times as fast as bytes.count."""
    array = np.frombuffer(data, np.uint8)
    return sum(int(np.count_nonzero(array[at : at + PIECE] == byte)) for at in range(0, len(array), PIECE))


def has_lone_return(data: bytes) -> bool:
    """Whether a carriage return stands before anything but a line feed, the last byte aside."""
    if b"\r" not in data:
        return False
    array = np.frombuffer(data, np.uint8)
    pieces = (array[at : at + PIECE + 1] for at in range(0, len(array), PIECE))
    return any(bool(((piece[:-1] == CR) & (piece[1:] != LF)).any()) for piece in pieces)


class Parser:
    """Parses chunks of one text table: fast where every cell is a plain number, else with more and more care.

    The fast way is Polars' own, into float64; to look for `NA` on the way would cost 70 % more. When that fails, the
    cells are read as text. When one line is not one row (blank lines, line ends in quotes) or has more cells than the
    header, Python's csv module cuts the chunk, and knows the line of each record.
    """

    def __init__(self, file: TableFile, indices: Sequence[int], *, decimal_comma: bool = False) -> None:
        self.file, self.indices, self.decimal_comma = file, indices, decimal_comma
        self.names = [f"c{index}" for index in indices]
        header = [f"c{index}" for index in range(len(file.columns))]
        if len(self.names) < len(header):
            # Polars complains of surplus cells, but not when only some columns are read: one more column catches them
            header.append("surplus")
        self.header = (file.separator.join(header) + "\n").encode()
        self.read = [*self.names, *header[len(file.columns) :]]
        self.plain = True
        self.text: set[str] = set()

    def numbers(self, chunk: Chunk, wanted: Wanted) -> tuple[Columns, Rows]:
        """The values of a chunk by column, shape (N,) each, and their rows, shape (N,)."""
        if wanted.as_text:
            self.text = {
                name for name, column in zip(self.names, wanted.of_file, strict=True) if column in wanted.as_text
            }
        frame, rows = self.cells(chunk, plain=self.plain and not (self.decimal_comma and b"." in chunk.data))
        return columns_of(self.file.path, wanted, frame, self.names, rows), rows

    def cells(self, chunk: Chunk, *, plain: bool) -> tuple[pl.DataFrame, Rows]:
        """The cells of a chunk, as float64 if `plain` and every one allows it, else as text; and their rows."""
        import polars as pl

        data, lines, records = chunk.data, chunk.lines, chunk.records
        if data.endswith((b"\n\n", b"\n\r\n")):
            data = data.rstrip(b"\r\n") + b"\n"
            lines = count_byte(data, LF) - 1
            records -= chunk.lines - lines
        as_text = not plain or bool(self.text) or self.file.encoding != "utf-8"
        if as_text:
            data = self._as_utf8(data, chunk.row)
        if records == lines and not chunk.literal and not has_lone_return(data):
            for kind in (pl.Float64, pl.String) if plain else (pl.String,):
                frame = self._read(data, kind)
                if frame is not None:
                    if self._one_row_a_line(frame, data, lines):
                        return frame.select(self.names), range(chunk.row, chunk.row + lines)
                    break
                self.plain = False
        return self._with_care(data if as_text else self._as_utf8(data, chunk.row), chunk.row, records)

    def _as_utf8(self, data: bytes, first: int) -> bytes:
        """The same text in UTF-8; it looks at bytes that are no ASCII only."""
        if data.isascii():
            return data
        encoding = self.file.encoding
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError as error:
            row = first + count_byte(data[: error.start], LF) - 1  # without our own header
            raise not_encoded(self.file.path, row, data[error.start], encoding) from None
        return data if encoding == "utf-8" else text.encode()

    def _one_row_a_line(self, frame: pl.DataFrame, data: bytes, lines: int) -> bool:
        if frame.height != lines or (self.read[-1] == "surplus" and frame["surplus"].null_count() < lines):
            return False
        # a row without any value is no reading, and a blank line leaves at most the first cell filled, with spaces
        after = [name for name in self.names if name != "c0"]
        first = frame[after[0] if after else "c0"]
        blank = first.null_count() or (not first.dtype.is_float() and first.str.contains(r"^\s*$").any())
        return not (blank and re.search(rb'(^|\n)[ \t"%s]*\r?\n' % self.file.separator.encode(), data))

    def _read(self, data: bytes, kind: type[pl.DataType]) -> pl.DataFrame | None:
        import polars as pl

        try:
            return pl.read_csv(
                data,
                separator=self.file.separator,
                columns=self.read,
                schema_overrides={name: pl.String if name in self.text else kind for name in self.names},
                infer_schema=False,
                encoding="utf8",
                decimal_comma=self.decimal_comma,
            )
        except pl.exceptions.PolarsError:
            return None

    def _with_care(self, data: bytes, first: int, records: int) -> tuple[pl.DataFrame, Rows]:
        import polars as pl

        cells: list[list[str | None]] = [[] for _ in self.indices]
        rows, row, seen, width = [], first, 0, len(self.file.columns)
        text = io.StringIO(data[len(self.header) :].decode(), newline="\n")
        reader = csv.reader(text, delimiter=self.file.separator, strict=True)
        try:
            for record in reader:
                seen += 1
                if len(record) > width and any(cell.strip() for cell in record[width:]):
                    raise self._too_wide(row, len(record))
                if any(cell.strip() for cell in record):
                    rows.append(row)
                    for column, index in zip(cells, self.indices, strict=True):
                        column.append((record[index] or None) if index < len(record) else None)
                row = first + reader.line_num
        except csv.Error as error:
            where, why = f"{printable(self.file.path)}, row {row}", printable(str(error))
            raise InputError(f"{where}: expected cells, but they cannot be told apart: {why}.") from None
        if seen != records:
            raise InputError(
                f"{printable(self.file.path)}, from row {first} on: expected {records} rows, as many as line ends "
                f"outside quotation marks, but {seen} could be read; check the quotation marks."
            )
        frame = pl.DataFrame(dict(zip(self.names, cells, strict=True)), schema=dict.fromkeys(self.names, pl.String))
        return frame, np.array(rows, dtype=np.int64)

    def _too_wide(self, row: int, found: int) -> InputError:
        width, where = len(self.file.columns), f"{printable(self.file.path)}, row {row}"
        advice = (
            "; if the comma is the decimal sign, separate the cells by semicolons" if self.file.separator == "," else ""
        )
        return InputError(f"{where}: expected {width} cells as in the header, but got {found}{advice}.")

"""Text tables become parts: cut into chunks of whole lines, which Polars parses side by side."""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from thermofit_pl.errors import InputError
from thermofit_pl.tables.cells import Part, Wanted, columns_of
from thermofit_pl.tables.formats import TableFile, open_bytes
from thermofit_pl.wording import printable

if TYPE_CHECKING:
    import polars as pl

    from thermofit_pl.tables.cells import Columns, Rows

BLOCK = 131_072  # rows; Polars' own morsels are about as long, and a column of them fits in the second-level cache
CHUNK = 8 << 20  # bytes of text parsed at a time; 1 MiB costs 40 % more, 16 MiB nothing less
AHEAD = 2  # chunks parsed at a time: Polars' threads share the work on one, but not where it starts and ends
LONGEST = 32 << 20  # bytes of one line
BOMB_BYTES = 10 << 30
BOMB_RATIO = 1000  # deflate reaches 1032 on a file of equal bytes; no table of readings is like that


@dataclass(frozen=True)
class _Chunk:
    """Whole lines of a text table.

    Attributes:
        data: A header line, and their bytes, with a line end at the end.
        lines: How many they are, without that header.
        row: The row of the first, as an editor counts.
        begin: The byte of the file at which they start; of a gzip file, up to which it had been read before them.
        end: The byte of the file at which they end.
    """

    data: bytes
    lines: int
    row: int
    begin: int
    end: int


def text_parts(file: TableFile, wanted: Wanted, low: float, high: float) -> Iterator[Part]:
    """Reads the rows of a text table from byte `low` to byte `high` of the file."""
    indices = [file.columns.index(name) for name in wanted.columns]
    parser = _Parser(file, indices, decimal_comma=wanted.decimal_comma)
    pending: deque[tuple[_Chunk, Future[tuple[Columns, Rows]]]] = deque()
    pool = ThreadPoolExecutor(AHEAD)
    try:
        for chunk in _chunks(file, parser.header):
            if chunk.begin >= high:
                break
            if chunk.end <= low and chunk.begin < low:
                continue
            pending.append((chunk, pool.submit(parser.numbers, chunk, wanted)))
            if len(pending) > AHEAD:
                yield from _share(*pending.popleft(), low, high)
        while pending:
            yield from _share(*pending.popleft(), low, high)
    finally:
        pool.shutdown(cancel_futures=True)


def text_frames(file: TableFile) -> Iterator[pl.DataFrame]:
    """Reads every cell of a text table as text; rows are those that `text_parts` gives."""
    parser, names = _Parser(file, range(len(file.columns))), unique(file.columns)
    for chunk in _chunks(file, parser.header):
        frame = parser.cells(chunk, plain=False)[0]
        yield frame.rename(dict(zip(frame.columns, names, strict=True)))


def unique(columns: Sequence[str]) -> list[str]:
    """The names of columns, numbered where one comes again."""
    taken, last, names = set(columns), dict[str, int](), list[str]()
    for name in columns:
        if name in last:
            again = next(n for n in count(last[name] + 1) if f"{name}_{n}" not in taken)
            last[name] = again
            names.append(f"{name}_{again}")
            taken.add(names[-1])
        else:
            last[name] = 1
            names.append(name)
    return names


def _share(chunk: _Chunk, parsed: Future[tuple[Columns, Rows]], low: float, high: float) -> Iterator[Part]:
    """The rows of a chunk between two bytes, no more than BLOCK at a time."""
    values, rows = parsed.result()
    start, stop = (cut(at, chunk.begin, chunk.end, len(rows)) for at in (low, high))
    if chunk.begin == chunk.end and low <= chunk.begin < high:  # gzip: decompressed from what had been read before
        start, stop = 0, len(rows)
    for first in range(start, stop, BLOCK):
        last = min(first + BLOCK, stop)
        done = chunk.begin + (chunk.end - chunk.begin) * last // len(rows)
        yield Part({name: column[first:last] for name, column in values.items()}, rows[first:last], done)


def _chunks(file: TableFile, header: bytes) -> Iterator[_Chunk]:
    """Cuts a text table after whole records, decompressing it on the way, and puts `header` above each chunk.

    Memory is copied once only: a second copy costs a tenth of the time that it takes to read a table.
    """
    stream, raw = open_bytes(file.path, gz=file.gz)
    with raw, stream:
        stream.read(file.data_start)
        rest, row, begin, total = b"", file.data_row, 0, 0
        while piece := stream.read(CHUNK):
            total += len(piece)
            if file.gz and total > BOMB_BYTES and total > BOMB_RATIO * raw.tell():
                raise InputError(
                    f"Expected a table, but {printable(file.path)} grows more than {BOMB_RATIO}-fold when "
                    "decompressed; check what the file is."
                )
            cut = _record_end(rest, piece)
            if not cut:
                rest, piece = b"", rest + piece
                if len(piece) > LONGEST:
                    cut = _forced_end(file, row, piece)
            if cut:
                data = b"".join((header, rest, memoryview(piece)[:cut]))
                rest = piece[cut:]
                end = raw.tell() if file.gz else raw.tell() - len(rest)
                lines = _lines(data) - 1
                yield _Chunk(data, lines, row, begin, end)
                row, begin = row + lines, end
            else:
                rest = piece
        if rest:
            data = header + rest + (b"" if rest.endswith(b"\n") else b"\n")
            yield _Chunk(data, _lines(data) - 1, row, begin, raw.tell())


def _record_end(rest: bytes, piece: bytes) -> int:
    """The end of the last whole record in a piece: of the last line end outside quotation marks; 0 if there is none."""
    end = piece.rfind(b"\n") + 1
    if b'"' not in piece and b'"' not in rest:
        return end
    quotes = rest.count(b'"') + piece.count(b'"', 0, end)
    while end and quotes % 2:
        earlier = piece.rfind(b"\n", 0, end - 1) + 1
        quotes -= piece.count(b'"', earlier, end)
        end = earlier
    return end


def _forced_end(file: TableFile, row: int, data: bytes) -> int:
    """The end of the last line, where no record ends: after a quotation mark that is none, as the parser will find."""
    end = data.rfind(b"\n") + 1
    if not end:
        raise InputError(
            f"{printable(file.path)}, row {row}: expected a table, but the line is longer than {LONGEST >> 20} MiB; "
            "check what the file is."
        )
    return end


def _lines(data: bytes) -> int:
    """Counts line ends: numpy does it four times as fast as bytes.count, and in the cache."""
    array = np.frombuffer(data, np.uint8)
    return sum(int(np.count_nonzero(array[at : at + (1 << 18)] == 10)) for at in range(0, len(array), 1 << 18))


class _Parser:
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

    def numbers(self, chunk: _Chunk, wanted: Wanted) -> tuple[Columns, Rows]:
        """The values of a chunk by column, shape (N,) each, and their rows, shape (N,)."""
        import polars as pl

        if wanted.instrument is not None:
            name = self.names[wanted.columns.index(wanted.instrument)]
            self.text = {name}
        frame, rows = self.cells(chunk, plain=self.plain and not (self.decimal_comma and b"." in chunk.data))
        frame = frame.with_columns(pl.col(name).str.strip_chars() for name in self.text)
        return columns_of(self.file.path, wanted, frame, self.names, rows), rows

    def cells(self, chunk: _Chunk, *, plain: bool) -> tuple[pl.DataFrame, Rows]:
        """The cells of a chunk, as float64 if `plain` and every one allows it, else as text; and their rows."""
        import polars as pl

        data, lines = chunk.data, chunk.lines
        if data.endswith((b"\n\n", b"\n\r\n")):
            data = data.rstrip(b"\r\n") + b"\n"
            lines = _lines(data) - 1
        if self.file.encoding != "utf-8":
            data = data.decode(self.file.encoding).encode()
        for kind in (pl.Float64, pl.String) if plain else (pl.String,):
            frame = self._read(data, kind)
            if frame is not None:
                if self._one_row_a_line(frame, data, lines):
                    return frame.select(self.names), range(chunk.row, chunk.row + lines)
                break
            self.plain = False
        return self._with_care(data, chunk.row)

    def _one_row_a_line(self, frame: pl.DataFrame, data: bytes, lines: int) -> bool:
        if frame.height != lines or (self.read[-1] == "surplus" and frame["surplus"].null_count() < lines):
            return False
        # a blank line leaves at most the first cell of a row filled, with spaces
        after = [name for name in self.names if name != "c0"]
        first = frame[self.names[0]]
        blank = (
            frame[after[0]].null_count()
            if after
            else first.null_count() or (not first.dtype.is_float() and first.str.contains(r"^\s*$").any())
        )
        return not (blank and re.search(rb"(^|\n)[ \t]*\r?\n", data))

    def _read(self, data: bytes, kind: type[pl.DataType]) -> pl.DataFrame | None:
        import polars as pl

        try:
            return pl.read_csv(
                data,
                separator=self.file.separator,
                columns=self.read,
                schema_overrides={name: pl.String if name in self.text else kind for name in self.names},
                infer_schema=False,
                encoding="utf8" if kind == pl.Float64 else "utf8-lossy",
                decimal_comma=self.decimal_comma,
            )
        except pl.exceptions.PolarsError:
            return None

    def _with_care(self, data: bytes, first: int) -> tuple[pl.DataFrame, Rows]:
        import polars as pl

        cells: list[list[str | None]] = [[] for _ in self.indices]
        rows, row, width = [], first, len(self.file.columns)
        text = io.StringIO(data[len(self.header) :].decode(errors="replace"), newline="\n")
        reader = csv.reader(text, delimiter=self.file.separator)
        try:
            for record in reader:
                if len(record) > width and any(cell.strip() for cell in record[width:]):
                    raise self._too_wide(row, len(record))
                if len(record) > 1 or (record and record[0].strip()):
                    rows.append(row)
                    for column, index in zip(cells, self.indices, strict=True):
                        column.append((record[index] or None) if index < len(record) else None)
                row = first + reader.line_num
        except csv.Error as error:
            raise InputError(
                f"{printable(self.file.path)}, row {row}: expected cells, but they cannot be told apart: {error}."
            ) from None
        frame = pl.DataFrame(dict(zip(self.names, cells, strict=True)), schema=dict.fromkeys(self.names, pl.String))
        return frame, np.array(rows, dtype=np.int64)

    def _too_wide(self, row: int, found: int) -> InputError:
        width, where = len(self.file.columns), f"{printable(self.file.path)}, row {row}"
        advice = (
            "; if the comma is the decimal sign, separate the cells by semicolons" if self.file.separator == "," else ""
        )
        return InputError(f"{where}: expected {width} cells as in the header, but got {found}{advice}.")


def cut(at: float, begin: int, end: int, rows: int) -> int:
    """How many of the rows between two bytes lie before a third one."""
    if at <= begin:
        return 0
    return rows if at >= end else int(rows * (int(at) - begin) // (end - begin))

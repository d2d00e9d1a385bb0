"""Tables become parts: a few thousand rows of float64 columns at a time, in bounded memory."""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from thermofit_pl.cells import not_a_number, numbers
from thermofit_pl.errors import InputError
from thermofit_pl.formats import TableFile, open_bytes, readable
from thermofit_pl.wording import printable

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    Rows = range | NDArray[np.int64]

BLOCK = 131_072  # rows; Polars' own morsels are about as long, and a column of them fits in the second-level cache
CHUNK = 4 << 20  # bytes of text parsed at a time; 1 MiB costs 10 % more, 16 MiB nothing less
AHEAD = (
    2  # chunks parsed while one is used: Polars uses several threads for one chunk, but not while it starts and ends
)
LONGEST = 16 << 20  # bytes of one line
BOMB_BYTES, BOMB_RATIO = (
    10 << 30,
    1000,
)  # deflate reaches 1032 on a file of equal bytes; no table of readings is like that


@dataclass(frozen=True)
class Part:
    """Consecutive rows of one file, unchecked.

    Attributes:
        values: For each column asked for, shape (N,); NaN where a cell is missing.
        rows: The row of each, as an editor counts, shape (N,).
        done: How far into the file they reach [bytes].
    """

    values: dict[str, NDArray[np.float64]]
    rows: Rows
    done: int


@dataclass(frozen=True)
class Wanted:
    """The columns to read, and how: `time` is the one of them that may hold dates."""

    columns: tuple[str, ...]
    time: str | None = None
    decimal_comma: bool = False


def parts(file: TableFile, wanted: Wanted, low: float, high: float) -> Iterator[Part]:
    """Reads the rows of a file from byte `low` to byte `high`.

    However the file is cut, every row belongs to exactly one of its intervals.
    """
    with readable(file.path):
        yield from (_text_parts if file.kind == "text" else _columnar_parts)(file, wanted, low, high)
    file.check_unchanged()


def count_rows(file: TableFile, wanted: Wanted) -> int:
    """How many rows a table has."""
    with readable(file.path):
        if file.kind == "text":
            return sum(len(part.rows) for part in _text_parts(file, wanted, float("-inf"), float("inf")))
        return _stated_rows(file)


def _stated_rows(file: TableFile) -> int:
    import polars as pl

    return int(file.scan().select(pl.len()).collect().item())


def _cut(at: float, begin: int, end: int, rows: int) -> int:
    """How many of the rows between two bytes lie before a third one."""
    if at <= begin:
        return 0
    return rows if at >= end else int(rows * (int(at) - begin) // (end - begin))


def _columnar_parts(file: TableFile, wanted: Wanted, low: float, high: float) -> Iterator[Part]:
    n_rows = _stated_rows(file)
    if n_rows == 0:
        raise InputError(f"{printable(file.path)} has columns but no readings; expected a row for each reading.")
    start, stop = _cut(low, 0, file.size, n_rows), _cut(high, 0, file.size, n_rows)
    if start == stop:
        return
    frame = file.scan().slice(start, stop - start).select(_columnar_view(file, name) for name in wanted.columns)
    for batch in frame.collect_batches(chunk_size=BLOCK, maintain_order=True):
        rows = range(start + 1, start + 1 + batch.height)
        start += batch.height
        yield Part(_values(file, wanted, batch, wanted.columns, rows), rows, start * file.size // n_rows)


def _columnar_view(file: TableFile, name: str) -> pl.Expr:
    """A column as float64 where Polars can do that while it reads, else as text."""
    import polars as pl

    kind = file.types[file.columns.index(name)]
    if kind.is_temporal():
        return pl.col(name).dt.timestamp("us").cast(pl.Float64) / 1e6
    return pl.col(name).cast(pl.Float64 if kind.is_numeric() or kind == pl.Null else pl.String)


def _values(
    file: TableFile, wanted: Wanted, frame: pl.DataFrame, names: Sequence[str], rows: Rows
) -> dict[str, NDArray[np.float64]]:
    """The columns of a frame as float64; complains about the first row with a cell that is no number."""
    values, bad = {}, []
    for column, name in zip(wanted.columns, names, strict=True):
        cells = frame[name]
        if cells.dtype.is_float():
            values[column] = _writable(cells.to_numpy())  # NaN for null; no copy where there is none
            continue
        values[column], index = numbers(cells, decimal_comma=wanted.decimal_comma, time=column == wanted.time)
        if index is not None:
            bad.append((index, column, str(cells[index])))
    if bad:
        index, column, cell = min(bad, key=lambda item: item[0])
        raise not_a_number(
            file.path, int(rows[index]), column, cell, decimal_comma=wanted.decimal_comma, time=column == wanted.time
        )
    return values


def _writable(array: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same memory as a writable array, for torch warns of those that are not; nobody writes to it."""
    return array if array.flags.writeable else np.asarray(_Memory(array))


class _Memory:
    def __init__(self, array: NDArray[np.float64]) -> None:
        self.owner = array
        self.__array_interface__ = {**array.__array_interface__, "data": (array.ctypes.data, False)}


@dataclass(frozen=True)
class _Chunk:
    """Whole lines of a text table: their bytes, the first one's row, and the bytes of the file that they stand for."""

    data: bytes
    row: int
    begin: int
    end: int


def _text_parts(file: TableFile, wanted: Wanted, low: float, high: float) -> Iterator[Part]:
    parser = _Parser(file, wanted)
    pending: deque[tuple[_Chunk, Future[tuple[dict[str, NDArray[np.float64]], Rows]]]] = deque()
    pool = ThreadPoolExecutor(AHEAD)
    try:
        for chunk in _chunks(file):
            if chunk.begin >= high:
                break
            if chunk.end <= low and chunk.begin < low:
                continue
            pending.append((chunk, pool.submit(parser.parse, chunk)))
            if len(pending) > AHEAD:
                yield from _share(*pending.popleft(), low, high)
        while pending:
            yield from _share(*pending.popleft(), low, high)
    finally:
        pool.shutdown(cancel_futures=True)


def _share(
    chunk: _Chunk, parsed: Future[tuple[dict[str, NDArray[np.float64]], Rows]], low: float, high: float
) -> Iterator[Part]:
    """The rows of a chunk between two bytes, no more than BLOCK at a time."""
    values, rows = parsed.result()
    start, stop = (_cut(at, chunk.begin, chunk.end, len(rows)) for at in (low, high))
    if chunk.begin == chunk.end and low <= chunk.begin < high:  # gzip: decompressed from what had been read before
        start, stop = 0, len(rows)
    for first in range(start, stop, BLOCK):
        last = min(first + BLOCK, stop)
        done = chunk.begin + (chunk.end - chunk.begin) * last // len(rows)
        yield Part({name: column[first:last] for name, column in values.items()}, rows[first:last], done)


def _chunks(file: TableFile) -> Iterator[_Chunk]:
    """Cuts a text table after whole records, decompressing it on the way."""
    stream, raw = open_bytes(file.path, gz=file.gz)
    with raw, stream:
        stream.read(file.data_start)
        rest, row, begin, total = b"", file.data_row, 0, 0
        while True:
            piece = stream.read(CHUNK)
            total += len(piece)
            if file.gz and total > BOMB_BYTES and total > BOMB_RATIO * raw.tell():
                raise InputError(
                    f"{printable(file.path)} grows more than {BOMB_RATIO}-fold when decompressed; expected a table."
                )
            data = rest + piece
            cut = _record_end(data) if piece else len(data)
            if not cut and len(data) > LONGEST:
                cut = data.rfind(b"\n") + 1  # a quotation mark that is none; the parser will tell
                if not cut:
                    raise InputError(
                        f"{printable(file.path)}, row {row}: expected a table, but the line is longer than "
                        f"{LONGEST >> 20} MiB; check what the file is."
                    )
            rest = data[cut:]
            if cut:
                end = raw.tell() if file.gz else raw.tell() - len(rest)
                yield _Chunk(data[:cut], row, begin, end)
                row, begin = row + _lines(data[:cut]), end
            if not piece:
                return


def _record_end(data: bytes) -> int:
    """The end of the last whole record: the last line end outside quotation marks."""
    end = data.rfind(b"\n") + 1
    if b'"' not in data:
        return end
    quotes = data.count(b'"', 0, end)
    while end and quotes % 2:
        earlier = data.rfind(b"\n", 0, end - 1) + 1
        quotes -= data.count(b'"', earlier, end)
        end = earlier
    return end


def _lines(data: bytes) -> int:
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) == 10))  # four times as fast as bytes.count


class _Parser:
    """Parses chunks of one text table: fast where every cell is a plain number, else with more and more care.

    The fast way is Polars' own, into float64; to look for `NA` on the way would cost 70 % more. When that fails, the
    cells are read as text. When one line is not one row (blank lines, line ends in quotes) or has more cells than the
    header, Python's csv module cuts the chunk, and knows the line of each record.
    """

    def __init__(self, file: TableFile, wanted: Wanted) -> None:
        self.file, self.wanted = file, wanted
        self.indices = [file.columns.index(name) for name in wanted.columns]
        self.names = [f"c{index}" for index in self.indices]
        # Polars drops surplus cells without a word when only some columns are read: one more column catches them
        self.header = (file.separator.join([*(f"c{i}" for i in range(len(file.columns))), "surplus"]) + "\n").encode()
        self.plain = True

    def parse(self, chunk: _Chunk) -> tuple[dict[str, NDArray[np.float64]], Rows]:
        """The values of a chunk by column, shape (N,) each, and their rows, shape (N,)."""
        import polars as pl

        data = chunk.data if chunk.data.endswith(b"\n") else chunk.data + b"\n"
        if data.endswith((b"\n\n", b"\n\r\n")):
            data = data.rstrip(b"\r\n") + b"\n"
        lines = _lines(data)
        plain = self.plain and not (self.wanted.decimal_comma and b"." in data)
        for kind in (pl.Float64, pl.String) if plain else (pl.String,):
            frame = self._read(data, kind)
            if frame is None:
                self.plain = False
            elif self._one_row_a_line(frame, data, lines):
                rows = range(chunk.row, chunk.row + lines)
                return _values(self.file, self.wanted, frame, self.names, rows), rows
            else:
                break
        return self._with_care(data, chunk.row)

    def _one_row_a_line(self, frame: pl.DataFrame, data: bytes, lines: int) -> bool:
        if frame.height != lines or frame["surplus"].null_count() < lines:
            return False
        return not (frame[self.names[0]].null_count() and re.search(rb"(^|\n) *\r?\n", data))

    def _read(self, data: bytes, kind: type[pl.DataType]) -> pl.DataFrame | None:
        import polars as pl

        try:
            return pl.read_csv(
                self.header + data,
                separator=self.file.separator,
                columns=[*self.names, "surplus"],
                schema_overrides=dict.fromkeys(self.names, kind),
                infer_schema=False,
                encoding="utf8" if kind == pl.Float64 else "utf8-lossy",
                decimal_comma=self.wanted.decimal_comma,
            )
        except pl.exceptions.PolarsError:
            return None

    def _with_care(self, data: bytes, first: int) -> tuple[dict[str, NDArray[np.float64]], Rows]:
        import polars as pl

        cells: list[list[str]] = [[] for _ in self.indices]
        rows, row, width = [], first, len(self.file.columns)
        reader = csv.reader(
            io.StringIO(data.decode(self.file.encoding, errors="replace"), newline="\n"), delimiter=self.file.separator
        )
        try:
            for record in reader:
                if len(record) > width and any(cell.strip() for cell in record[width:]):
                    raise self._too_wide(row, len(record))
                if len(record) > 1 or (record and record[0].strip()):
                    rows.append(row)
                    for column, index in zip(cells, self.indices, strict=True):
                        column.append(record[index] if index < len(record) else "")
                row = first + reader.line_num
        except csv.Error as error:
            raise InputError(
                f"{printable(self.file.path)}, row {row}: expected cells, but they cannot be told apart: {error}."
            ) from None
        frame = pl.DataFrame(dict(zip(self.names, cells, strict=True)), schema=dict.fromkeys(self.names, pl.String))
        numbered = np.array(rows, dtype=np.int64)
        return _values(self.file, self.wanted, frame, self.names, numbered), numbered

    def _too_wide(self, row: int, found: int) -> InputError:
        width, where = len(self.file.columns), f"{printable(self.file.path)}, row {row}"
        advice = (
            "; if the comma is the decimal sign, separate the cells by semicolons" if self.file.separator == "," else ""
        )
        return InputError(f"{where}: expected {width} cells as in the header, but got {found}{advice}.")

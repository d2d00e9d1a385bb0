"""Text tables become parts: cut into chunks of whole lines, which Polars parses side by side."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from typing import TYPE_CHECKING

from thermofit_pl.errors import InputError
from thermofit_pl.formatting import printable, quoted
from thermofit_pl.tables.cells import Part, Wanted
from thermofit_pl.tables.formats import TableFile
from thermofit_pl.tables.quotes import LF, Records, find_records
from thermofit_pl.tables.text_parser import Chunk, Parser, count_byte

if TYPE_CHECKING:
    import polars as pl

    from thermofit_pl.tables.cells import Columns, Rows

BLOCK = 131_072  # rows; Polars' own morsels are about as long, and a column of them fits in the second-level cache
CHUNK = 8 << 20  # bytes of text parsed at a time; 1 MiB costs 40 % more, 16 MiB nothing less
AHEAD = 2  # chunks parsed at a time: Polars' threads share the work on one, but not where it starts and ends
LONGEST = 32 << 20  # bytes of one line
BOMB_BYTES = 10 << 30
BOMB_RATIO = 1000  # deflate reaches 1032 on a file of equal bytes; no table of readings is like that


def text_parts(file: TableFile, wanted: Wanted, low: float, high: float) -> Iterator[Part]:
    """Reads the rows of a text table from byte `low` to byte `high` of the file."""
    indices = [file.columns.index(name) for name in wanted.of_file]
    parser = Parser(file, indices, decimal_comma=wanted.form.decimal_comma)
    pending: deque[tuple[Chunk, Future[tuple[Columns, Rows]]]] = deque()
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
    parser, names = Parser(file, range(len(file.columns))), unique(file.columns)
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


def _share(chunk: Chunk, parsed: Future[tuple[Columns, Rows]], low: float, high: float) -> Iterator[Part]:
    """The rows of a chunk between two bytes, no more than BLOCK at a time."""
    values, rows = parsed.result()
    start, stop = (cut(at, chunk.begin, chunk.end, len(rows)) for at in (low, high))
    if chunk.begin == chunk.end and low <= chunk.begin < high:  # unpacked from what had been read before
        start, stop = 0, len(rows)
    for first in range(start, stop, BLOCK):
        last = min(first + BLOCK, stop)
        done = chunk.begin + (chunk.end - chunk.begin) * last // len(rows)
        yield Part({name: column[first:last] for name, column in values.items()}, rows[first:last], done)


def _chunks(file: TableFile, header: bytes) -> Iterator[Chunk]:
    """Cuts a text table after whole records, decompressing it on the way, and puts `header` above each chunk.

    Memory is copied once only, where no quotation mark stands in it: a second copy costs a tenth of the time that it
    takes to read a table.
    """
    packed = file.source.is_packed
    with file.source.open() as (stream, raw):
        stream.read(file.data_start)
        rest, row, begin, total = b"", file.data_row, 0, 0
        while piece := stream.read(CHUNK):
            total += len(piece)
            if file.source.gz and total > BOMB_BYTES and total > BOMB_RATIO * raw.tell():
                raise InputError(
                    f"Expected a table, but {printable(file.path)} grows more than {BOMB_RATIO}-fold when "
                    "decompressed; check what the file is."
                )
            found = _records(file, row, rest, piece)
            end = found.end - len(rest) if found else piece.rfind(b"\n") + 1
            if end <= 0:
                rest += piece
                if len(rest) > LONGEST:
                    raise _too_long(file, row, rest, found)
                continue
            data = b"".join((header, rest, memoryview(piece)[:end]))
            rest = piece[end:]
            stop = raw.tell() if packed else raw.tell() - len(rest)
            chunk = _chunk(data, found, row, begin, stop)
            yield chunk
            row, begin = row + chunk.lines, stop
        if rest:
            rest += b"" if rest.endswith(b"\n") else b"\n"
            found = _records(file, row, rest, b"")
            if found and found.unclosed is not None:
                raise _badly_quoted(file, row, rest, found.unclosed, "the file ends before a second one closes it")
            yield _chunk(header + rest, found, row, begin, raw.tell())


def _records(file: TableFile, row: int, rest: bytes, piece: bytes) -> Records | None:
    """The records in two pieces that belong together; None where each line is one, as there is no quotation mark."""
    if b'"' not in piece and b'"' not in rest:
        return None
    data = rest + piece
    found = find_records(data, file.separator)
    if found.misplaced is not None:
        raise _badly_quoted(file, row, data, found.misplaced, "the cell goes on after the second one, which closes it")
    return found


def _chunk(data: bytes, found: Records | None, row: int, begin: int, end: int) -> Chunk:
    lines = count_byte(data, LF) - 1
    return Chunk(data, lines, found.count if found else lines, bool(found and found.literal), row, begin, end)


def _badly_quoted(file: TableFile, row: int, data: bytes, start: int, why: str) -> InputError:
    cell = data[start : start + 200].split(b"\n")[0].decode(file.encoding, errors="replace").rstrip("\r")
    return InputError(
        f"{printable(file.path)}, row {row + data.count(LF, 0, start)}: expected a cell in quotation marks, since one "
        f"begins {quoted(cell)}, but {why}; correct the row (a mark inside such a cell is written twice)."
    )


def _too_long(file: TableFile, row: int, data: bytes, found: Records | None) -> InputError:
    if found and found.unclosed is not None:
        return _badly_quoted(file, row, data, found.unclosed, f"no second one closes it in {LONGEST >> 20} MiB")
    return InputError(
        f"{printable(file.path)}, row {row}: expected a table, but the line is longer than {LONGEST >> 20} MiB; "
        "check what the file is."
    )


def cut(at: float, begin: int, end: int, rows: int) -> int:
    """How many of the rows between two bytes lie before a third one."""
    if at <= begin:
        return 0
    return rows if at >= end else int(rows * (int(at) - begin) // (end - begin))

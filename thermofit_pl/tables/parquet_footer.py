"""What a Parquet file says about itself, before a page of it is unpacked (https://parquet.apache.org/docs/file-format).

Polars reserves memory for whatever a footer or a page's header claims, and ends the process where it gets none.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thermofit_pl.tables.damage import DamagedError, damaged
from thermofit_pl.tables.thrift import read_record

MAGIC = 4  # bytes of ``PAR1`` at the start
HEADER = 128  # bytes of a page's header that are read at first
LONGEST_HEADER = 1 << 20  # with the least and the greatest text of the page in it
DATA, INDEX, DICTIONARY, DATA_2 = range(4)  # kinds of pages
_VALUE = 8  # bytes of a value in memory, whatever its encoding makes of it on the disk
_WIDTHS = {1: 4, 2: 8, 3: 12, 4: 4, 5: 8}  # bytes of a plain value of a type
_UNPACKED, _REPEATED = 0, 2  # codec; repetition


@dataclass(frozen=True)
class Chunk:
    """A column's values in one group of rows.

    Attributes:
        column: The column that it is of, or is a part of.
        kind: The type of its values.
        packed: Whether its pages are compressed.
        n_values: How many values it has.
        start: Where its first page starts [bytes].
        size: How long its pages are [bytes].
        unpacked: How long they are once they are unpacked [bytes].
    """

    column: str
    kind: int
    packed: bool
    n_values: int
    start: int
    size: int
    unpacked: int


def chunks_of(path: Path, most: int | None = None) -> list[Chunk]:
    """Reads a footer, and compares it with the file's size.

    Args:
        path: A Parquet file.
        most: How long the footer may be [bytes]; None: as long as the file.

    Raises:
        DamagedError: The footer is damaged, or too large.
        OSError: The file can't be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 8))
        tail = file.read(8)
        length = int.from_bytes(tail[:4], "little")
        if tail[4:] != b"PAR1" or not 0 < length <= min(size - 8 - MAGIC, size if most is None else most):
            raise DamagedError("no footer")
        file.seek(size - 8 - length)
        content = file.read(length)
    with damaged("a damaged footer"):
        return _chunks(read_record(content)[0], size - 8 - length)


def unpacked_bytes(chunks: Collection[Chunk]) -> int:
    """Returns how many bytes chunks take in memory."""
    return sum(max(chunk.unpacked, _VALUE * chunk.n_values) for chunk in chunks)


def _chunks(footer: dict[int, Any], end: int) -> list[Chunk]:
    """The chunks of a footer, fields by their numbers in parquet.thrift."""
    groups, n_rows = footer[4], 0
    flat = _one_value_a_row(footer[2])
    found = []
    for group in groups:
        n_rows += group[3]
        if group[3] < 0:
            raise ValueError
        for record in group[1]:
            meta = record[3]
            starts = [place for place in (meta.get(11), meta[9]) if place]
            name = meta[3][0].decode()
            chunk = Chunk(name, meta[1], meta[4] != _UNPACKED, meta[5], min(starts), meta[7], meta[6])
            counted = chunk.n_values == group[3] if name in flat else chunk.n_values >= 0
            if not (counted and chunk.unpacked >= 0 and chunk.size > 0 and MAGIC <= chunk.start <= end - chunk.size):
                raise ValueError
            found.append(chunk)
    if n_rows != footer[3]:
        raise ValueError
    return found


def _one_value_a_row(schema: list[dict[int, Any]]) -> set[str]:
    """The columns that hold neither lists nor records; the schema is a tree, depth first."""
    found = set()
    at = 1
    while at < len(schema):
        element, below = schema[at], schema[at].get(5, 0)
        if not below and element.get(3) != _REPEATED:
            found.add(element[4].decode())
        at += 1
        while below:
            below += schema[at].get(5, 0) - 1
            at += 1
    return found


def check_pages(path: Path, chunks: Collection[Chunk]) -> None:
    """Compares the headers of all pages with their chunks; of each page a few bytes are read.

    Args:
        path: The Parquet file.
        chunks: Those to be read.

    Raises:
        DamagedError: A header is damaged.
        OSError: The file can't be read.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        for chunk in chunks:
            with damaged("a damaged page"):
                if sum(_values_of(page, chunk) for page in _pages(descriptor, chunk)) != chunk.n_values:
                    raise ValueError
    finally:
        os.close(descriptor)


def _pages(descriptor: int, chunk: Chunk) -> list[dict[int, Any]]:
    """The headers of a chunk's pages."""
    found = []
    at, end, values = chunk.start, chunk.start + chunk.size, 0
    while at < end and values < chunk.n_values:
        page, length = _header(descriptor, at, end)
        if not 0 <= page[3] <= end - at - length:
            raise ValueError
        at += length + page[3]
        values += page[5][1] if page[1] == DATA else page[8][1] if page[1] == DATA_2 else 0
        found.append(page)
    return found


def _header(descriptor: int, at: int, end: int) -> tuple[dict[int, Any], int]:
    """A page's header, and how many bytes it takes."""
    with suppress(IndexError):
        return read_record(_read(descriptor, min(HEADER, end - at), at))
    return read_record(_read(descriptor, min(LONGEST_HEADER, end - at), at))


def _read(descriptor: int, size: int, at: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(descriptor, size, at)
    os.lseek(descriptor, at, os.SEEK_SET)  # Windows
    return os.read(descriptor, size)


def _values_of(page: dict[int, Any], chunk: Chunk) -> int:
    """How many of a chunk's values a page holds; refuses a header that can't be true."""
    kind, unpacked, packed = page[1], page[2], page[3]
    if not 0 <= unpacked <= chunk.unpacked or not (chunk.packed or unpacked == packed):
        raise ValueError
    if kind == DICTIONARY:
        n, width = page[7][1], _WIDTHS.get(chunk.kind)
        if n < 0 or (n * width != unpacked if width else n > unpacked):
            raise ValueError
    if kind == DATA_2 and not 0 <= page[8][5] + page[8][6] <= min(unpacked, packed):
        raise ValueError
    if kind not in (DATA, DATA_2):
        return 0
    n = page[5 if kind == DATA else 8][1]
    if n < 0:
        raise ValueError
    return int(n)

"""Compressed Arrow files with empty buffers of text, at which Polars 2.1 panics; pyarrow writes them for short cells.

A cell of up to twelve bytes stands in a `string_view` itself; where all are that short, pyarrow writes a buffer of no
bytes for the longer ones, and Polars looks for the eight bytes there that say how long a compressed buffer was. Here it
gets them: https://arrow.apache.org/docs/format/Columnar.html#recordbatch-message has the format.
"""

from __future__ import annotations

import io
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import polars as pl

MAGIC = 8  # bytes of `ARROW1` and padding, before the first message
CONTINUATION = 0xFFFFFFFF  # before each message
DICTIONARY, RECORDS = 2, 3
EMPTY = struct.pack("<q", -1)  # a buffer of no bytes behind this mark of one that is kept as it is


@dataclass
class _Message:
    """A message of an Arrow file.

    Attributes:
        kind: What it holds.
        metadata: Its flatbuffer.
        body_at: Where its body starts in the file.
        body_length: How long that is [bytes].
        length_at: Where the flatbuffer says so.
        empty: Where the flatbuffer describes buffers of no bytes, if text is in views and the others are compressed.
    """

    kind: int
    metadata: bytearray
    body_at: int
    body_length: int
    length_at: int
    empty: list[int]


def has_empty_buffers(path: Path) -> bool:
    """Whether Polars may panic at an Arrow file; of each message a few hundred bytes are read."""
    with path.open("rb") as stream, suppress(struct.error, IndexError):  # a damaged file, of which Polars complains
        return any(message.empty for message in _messages(stream))
    return False


def repaired_batches(path: Path) -> Iterator[pl.DataFrame]:
    """Reads an Arrow file message by message, and lets Polars decode each by itself."""
    import polars as pl

    with path.open("rb") as stream:
        before = b""  # the schema, and the dictionaries
        for message in _messages(stream):
            whole = _repaired(stream, message)
            if message.kind == RECORDS:
                yield pl.read_ipc_stream(io.BytesIO(before + whole))
            else:
                before += whole


def _messages(stream: BinaryIO) -> Iterator[_Message]:
    at = MAGIC
    while True:
        stream.seek(at)
        marker, size = struct.unpack("<II", stream.read(8))
        if marker != CONTINUATION or not size:
            return
        message = _message(bytearray(stream.read(size)), at + 8 + size)
        yield message
        at = message.body_at + max(message.body_length, 0)


def _message(metadata: bytearray, body_at: int) -> _Message:
    root = _follow(metadata, 0)
    kind, header, length_at = metadata[_field(metadata, root, 1)], _field(metadata, root, 2), _field(metadata, root, 3)
    (body_length,) = struct.unpack_from("<q", metadata, length_at) if length_at else (0,)
    batch = _follow(metadata, header)
    if kind == DICTIONARY:
        batch = _follow(metadata, _field(metadata, batch, 1))
    empty = []
    if kind in (DICTIONARY, RECORDS) and _field(metadata, batch, 3) and _field(metadata, batch, 4):
        buffers = _follow(metadata, _field(metadata, batch, 2))
        (count,) = struct.unpack_from("<I", metadata, buffers)
        places = range(buffers + 4, buffers + 4 + 16 * count, 16)
        empty = [place for place in places if struct.unpack_from("<q", metadata, place + 8) == (0,)]
    return _Message(kind, metadata, body_at, body_length, length_at, empty)


def _follow(data: bytearray, place: int) -> int:
    """Where what a flatbuffer's reference leads to starts."""
    return int(place + struct.unpack_from("<I", data, place)[0])


def _field(data: bytearray, table: int, number: int) -> int:
    """Where a field of a flatbuffer's table is; 0 where it is left out."""
    fields = table - struct.unpack_from("<i", data, table)[0]
    (size,) = struct.unpack_from("<H", data, fields)
    (offset,) = struct.unpack_from("<H", data, fields + 4 + 2 * number) if 4 + 2 * number < size else (0,)
    return int(table + offset) if offset else 0


def _repaired(stream: BinaryIO, message: _Message) -> bytes:
    """A message, whose empty buffers are those behind its others, which say that they are empty."""
    stream.seek(message.body_at)
    body = stream.read(message.body_length)
    if message.empty:
        for place in message.empty:
            struct.pack_into("<qq", message.metadata, place, message.body_length, len(EMPTY))
        struct.pack_into("<q", message.metadata, message.length_at, message.body_length + len(EMPTY))
        body += EMPTY
    return struct.pack("<II", CONTINUATION, len(message.metadata)) + message.metadata + body

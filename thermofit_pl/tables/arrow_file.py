"""What an Arrow file says about itself, before a cell of it is read.

Polars reserves memory for whatever a footer or a message claims, and ends the process where it gets none. The format:
https://arrow.apache.org/docs/format/Columnar.html, fields by their numbers in Schema.fbs, Message.fbs and File.fbs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from thermofit_pl.tables.damage import DamagedError, damaged
from thermofit_pl.tables.flatbuffer import Flatbuffer

MAGIC = b"ARROW1"  # at the end; with two bytes of padding at the start
CONTINUATION = 0xFFFFFFFF  # before each message; older files lack it
SCHEMA, DICTIONARY, RECORDS = 1, 2, 3
KEPT = -1  # before a buffer that is kept as it is among compressed ones
ROOM = 4096  # bytes of a buffer beyond those that its values need
RATIO = 1 << 15  # the most that zstd makes of text: blocks of 128 KiB of four bytes each
(NULL, INT, FLOAT, BINARY, UTF8, BOOL, DECIMAL, DATE, TIME, TIMESTAMP, INTERVAL, LIST, STRUCT, UNION) = range(1, 15)
(FIXED, FIXED_LIST, MAP, DURATION, LARGE_BINARY, LARGE_UTF8, LARGE_LIST, ENDS, BINARY_VIEW, UTF8_VIEW) = range(15, 25)
(LIST_VIEW, LARGE_LIST_VIEW) = range(25, 27)
OFFSETS = dict.fromkeys((BINARY, UTF8, LIST, MAP), 32) | dict.fromkeys((LARGE_BINARY, LARGE_UTF8, LARGE_LIST), 64)
UNREAD = (UNION, ENDS, LIST_VIEW, LARGE_LIST_VIEW)  # by Polars 2.1, which says so


@dataclass(frozen=True)
class Message:
    """A message of an Arrow file.

    Attributes:
        kind: What it holds.
        metadata: Its flatbuffer.
        body_at: Where its body starts in the file.
        body_length: How long that is [bytes].
        batch: Where the flatbuffer describes the columns; 0 for a schema.
        is_packed: Whether its buffers are compressed.
    """

    kind: int
    metadata: Flatbuffer
    body_at: int
    body_length: int
    batch: int
    is_packed: bool

    @property
    def buffers(self) -> range:
        """Where the flatbuffer says of each buffer where it starts in the body, and how long it is."""
        return self.metadata.vector(self.batch, 2, 16)


@dataclass(frozen=True)
class Column:
    """A column as a schema describes it, or what it is made of.

    Attributes:
        kind: Its type.
        bits: How wide a value is, where all are alike.
        items: How many items a list of a fixed size has.
        dictionary: Which dictionary its values stand in; None where they are its own.
        values: What stands in that dictionary.
        children: What it is made of.
    """

    kind: int
    bits: int = 0
    items: int = 0
    dictionary: int | None = None
    values: Column | None = None
    children: list[Column] = field(default_factory=list)


class ArrowFile:
    """An Arrow file, by its footer.

    Args:
        stream: The file.

    Attributes:
        stream: The file.

    Raises:
        DamagedError: The footer, or a message that it names, is not in the file.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        size = os.fstat(stream.fileno()).st_size
        stream.seek(max(0, size - 10))
        length, end = int.from_bytes(stream.read(4), "little"), stream.read(6)
        if end != MAGIC or not 0 < length <= size - 18:
            raise DamagedError("no footer")
        self._end = size - 10 - length
        stream.seek(self._end)
        self._footer = Flatbuffer(bytearray(stream.read(length)))

    def columns(self) -> list[Column]:
        """Returns the columns of its schema."""
        with damaged("a damaged schema"):
            return _columns(self._footer, self._footer.record(self._footer.follow(0), 1), 1)

    def has_schema(self) -> bool:
        """Whether a message holds the schema too; Polars writes none."""
        try:
            self.schema()
        except DamagedError:
            return False
        return True

    def schema(self) -> Message:
        """Reads the message that holds the schema, as the footer does."""
        with damaged("no schema"):
            message = _message(self.stream, 8, self._end)
            if message.kind != SCHEMA:
                raise IndexError
            return message

    def messages(self) -> Iterator[Message]:
        """Reads the dictionaries and the batches of rows, in the order in which they have to be read."""
        footer = self._footer
        for which, kind in ((2, DICTIONARY), (3, RECORDS)):
            with damaged("a damaged footer"):
                blocks = footer.vector(footer.follow(0), which, 24)
            for block in blocks:
                with damaged("a damaged message"):
                    at, metadata, body = (
                        footer.number(form, block + place) for form, place in (("<q", 0), ("<i", 8), ("<q", 16))
                    )
                    message = _message(self.stream, at, self._end)
                    if (message.kind, message.body_at - at, message.body_length) != (kind, metadata, body):
                        raise IndexError
                yield message


def _message(stream: BinaryIO, at: int, end: int) -> Message:
    if not 8 <= at <= end - 8:
        raise IndexError
    stream.seek(at)
    size, at = int.from_bytes(stream.read(4), "little"), at + 4
    if size == CONTINUATION:
        size, at = int.from_bytes(stream.read(4), "little"), at + 4
    if not 0 < size <= end - at:
        raise IndexError
    metadata = Flatbuffer(bytearray(stream.read(size)))
    root = metadata.follow(0)
    kind, body_length = metadata.value("<B", root, 1), metadata.value("<q", root, 3)
    if not 0 <= body_length <= end - at - size:
        raise IndexError
    batch = 0 if kind == SCHEMA else metadata.record(root, 2)
    if kind == DICTIONARY:
        batch = metadata.record(batch, 1)
    is_packed = bool(batch and metadata.field(batch, 3))
    return Message(kind, metadata, at + size, body_length, batch, is_packed)


def check(file: ArrowFile) -> None:
    """Compares all that a file says about its rows and buffers with its size and its types.

    Raises:
        DamagedError: Something can't be true.
    """
    columns = file.columns()
    if any(column.kind in UNREAD for column in _all(columns)):
        return
    dictionaries = {column.dictionary: column.values for column in _all(columns) if column.values is not None}
    for message in file.messages():
        with damaged("a damaged message"):
            if message.kind == DICTIONARY:
                of = message.metadata.value("<q", message.metadata.record(message.metadata.follow(0), 2), 0)
                _Check(file.stream, message).of_columns([dictionaries[of]])
            else:
                _Check(file.stream, message).of_columns(columns)


def _columns(metadata: Flatbuffer, holder: int, which: int) -> list[Column]:
    return [_column(metadata, metadata.follow(place)) for place in metadata.vector(holder, which, 4)]


def _column(metadata: Flatbuffer, record: int) -> Column:
    kind, of, encoded = metadata.value("<B", record, 2), metadata.record(record, 3), metadata.record(record, 4)
    bits = {BOOL: 1, TIMESTAMP: 64, DURATION: 64, UTF8_VIEW: 128, BINARY_VIEW: 128}.get(kind, 0)
    if kind == INT:
        bits = metadata.value("<i", of, 0)
    elif kind == FLOAT:
        bits = 16 << metadata.value("<H", of, 0)
    elif kind == DECIMAL:
        bits = metadata.value("<i", of, 2, 128)
    elif kind == DATE:
        bits = 32 << metadata.value("<H", of, 0, 1)
    elif kind == TIME:
        bits = metadata.value("<i", of, 1, 32)
    elif kind == INTERVAL:
        bits = 32 << metadata.value("<H", of, 0)
    elif kind == FIXED:
        bits = 8 * metadata.value("<i", of, 0)
    items = metadata.value("<i", of, 0) if kind == FIXED_LIST else 0
    if not (0 < kind <= LARGE_LIST_VIEW and 0 <= bits <= 1 << 20 and items >= 0):
        raise IndexError
    column = Column(kind, bits, items, children=_columns(metadata, record, 5))
    if not encoded:
        return column
    index = metadata.record(encoded, 1)
    return Column(INT, metadata.value("<i", index, 0) if index else 32, 0, metadata.value("<q", encoded, 0), column)


def has_views(columns: list[Column]) -> bool:
    """Whether text is held in views, anywhere in the columns."""
    return any(column.kind in (BINARY_VIEW, UTF8_VIEW) for column in _all(columns))


def _all(columns: list[Column]) -> Iterator[Column]:
    for column in columns:
        yield column
        yield from _all([*column.children, *([column.values] if column.values else [])])


class _Check:
    """Goes through the buffers of a message, in the order of the columns that they are of."""

    def __init__(self, stream: BinaryIO, message: Message) -> None:
        self._stream, self._message = stream, message
        metadata, batch = message.metadata, message.batch
        self._n_rows = metadata.value("<q", batch, 0)
        self._nodes = iter(metadata.vector(batch, 1, 16))
        self._buffers = iter(message.buffers)
        self._views = iter(metadata.vector(batch, 4, 8))

    def of_columns(self, columns: list[Column]) -> None:
        """Raises IndexError or StopIteration where something can't be true."""
        if self._n_rows < 0:
            raise IndexError
        for column in columns:
            self._of(column, self._n_rows)

    def _of(self, column: Column, n: int | None) -> None:
        """Checks a column of so many values; None: of any number."""
        metadata, node, kind = self._message.metadata, next(self._nodes), column.kind
        length, nulls = (metadata.number("<q", node + place) for place in (0, 8))
        if not (0 <= nulls <= length and n in (None, length)):
            raise IndexError
        if kind != NULL:
            self._buffer(length, 1, may_lack=nulls == 0)
        if kind in OFFSETS:
            self._buffer(length + 1, OFFSETS[kind], may_lack=not length)
        elif column.bits:
            self._buffer(length, column.bits)
        for _ in range(self._of_any_size(kind)):
            self._buffer(None)
        for child in column.children:
            self._of(child, length * column.items if kind == FIXED_LIST else length if kind == STRUCT else None)

    def _of_any_size(self, kind: int) -> int:
        """How many buffers of text come next."""
        if kind in (BINARY_VIEW, UTF8_VIEW):
            return self._message.metadata.number("<q", next(self._views))
        return int(kind in (BINARY, UTF8, LARGE_BINARY, LARGE_UTF8))

    def _buffer(self, n: int | None, bits: int = 8, *, may_lack: bool = False) -> None:
        """Checks the next buffer, of so many values; None: of any number of bytes."""
        place = next(self._buffers)
        at, length = (self._message.metadata.number("<q", place + part) for part in (0, 8))
        if not (0 <= at <= self._message.body_length and 0 <= length <= self._message.body_length - at):
            raise IndexError
        if not length and (may_lack or n is None):
            return
        unpacked = self._unpacked(at, length) if self._message.is_packed and length else length
        least, most = 0, RATIO * (length + 1)
        if n is not None:
            least = (n * bits + 7) // 8
            most = 2 * least + ROOM if self._message.is_packed else length
        if not least <= unpacked <= most:
            raise IndexError

    def _unpacked(self, at: int, length: int) -> int:
        """How long a compressed buffer was, as its first eight bytes say."""
        if length < 8:
            raise IndexError
        self._stream.seek(self._message.body_at + at)
        told = int.from_bytes(self._stream.read(8), "little", signed=True)
        return length - 8 if told == KEPT else told

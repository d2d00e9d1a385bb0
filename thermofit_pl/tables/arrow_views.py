"""Compressed Arrow files with empty buffers of text, at which Polars 2.1 panics; pyarrow writes them for short cells.

A cell of up to twelve bytes stands in a `string_view` itself; where all are that short, pyarrow writes a buffer of no
bytes for the longer ones, and Polars looks for the eight bytes there that say how long a compressed buffer was. Here it
gets them: https://arrow.apache.org/docs/format/Columnar.html#recordbatch-message has the format.
"""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING

from thermofit_pl.tables.arrow_file import CONTINUATION, RECORDS, ArrowFile, Message, has_views

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import polars as pl

EMPTY = struct.pack("<q", -1)  # a buffer of no bytes behind this mark of one that is kept as it is


def has_empty_buffers(file: ArrowFile) -> bool:
    """Whether Polars would panic at an Arrow file; of each message a few hundred bytes are read.

    Files that Polars wrote, without a message of the schema, it reads.
    """
    return has_views(file.columns()) and file.has_schema() and any(_empty(message) for message in file.messages())


def repaired_batches(path: Path) -> Iterator[pl.DataFrame]:
    """Reads an Arrow file message by message, and lets Polars decode each by itself."""
    import polars as pl

    with path.open("rb") as stream:
        file = ArrowFile(stream)
        before = _repaired(file, file.schema())  # and the dictionaries
        for message in file.messages():
            whole = _repaired(file, message)
            if message.kind == RECORDS:
                yield pl.read_ipc_stream(io.BytesIO(before + whole))
            else:
                before += whole


def _empty(message: Message) -> list[int]:
    """Where the flatbuffer describes buffers of no bytes, if text is in views and the others are compressed."""
    if not (message.is_packed and message.metadata.field(message.batch, 4)):
        return []
    return [place for place in message.buffers if not message.metadata.number("<q", place + 8)]


def _repaired(file: ArrowFile, message: Message) -> bytes:
    """A message, whose empty buffers are those behind its others, which say that they are empty."""
    file.stream.seek(message.body_at)
    body = file.stream.read(message.body_length)
    metadata = message.metadata
    if empty := _empty(message):
        for place in empty:
            struct.pack_into("<qq", metadata.data, place, message.body_length, len(EMPTY))
        length_at = metadata.field(metadata.follow(0), 3)
        struct.pack_into("<q", metadata.data, length_at, message.body_length + len(EMPTY))
        body += EMPTY
    return struct.pack("<II", CONTINUATION, len(metadata.data)) + metadata.data + body

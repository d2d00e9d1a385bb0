"""Where the bytes of a text table come from: the file itself, gzip, UTF-16, or a workbook's sheet."""

from __future__ import annotations

import codecs
import gzip
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Readable(Protocol):
    """What is read from."""

    def read(self, size: int, /) -> bytes:
        """Reads as many bytes, fewer at the end alone."""


@dataclass(frozen=True)
class TextSource:
    """The bytes of a text table.

    Attributes:
        path: Where the file is.
        gz: Whether it is compressed by gzip.
        utf16: Whether its text is UTF-16, which is read as UTF-8.
        sheet: What a workbook's sheet holds, as CSV.
    """

    path: Path
    gz: bool = False
    utf16: bool = False
    sheet: bytes | None = field(default=None, repr=False)

    @property
    def is_packed(self) -> bool:
        """Whether other bytes are read than stand on the disk."""
        return self.gz or self.utf16 or self.sheet is not None

    @contextmanager
    def open(self) -> Iterator[tuple[Readable, BinaryIO]]:
        """Gives the stream of its bytes, and the raw one whose position tells how far the file is read."""
        with self.path.open("rb") as raw:
            if self.sheet is not None:
                raw.seek(0, io.SEEK_END)
                yield io.BytesIO(self.sheet), raw
                return
            with gzip.GzipFile(fileobj=raw) if self.gz else raw as stream:
                yield (_AsUtf8(stream) if self.utf16 else stream), raw


class _AsUtf8:
    """A stream of UTF-16 as UTF-8."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-16")()
        self._rest = b""

    def read(self, size: int, /) -> bytes:
        while len(self._rest) < size:
            piece = self._stream.read(size)
            self._rest += self._decoder.decode(piece, final=not piece).encode()
            if not piece:
                break
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

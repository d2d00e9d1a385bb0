"""Flatbuffers, in which Arrow files describe themselves (https://flatbuffers.dev/internals)."""

from __future__ import annotations

import struct


class Flatbuffer:
    """Records of a flatbuffer, by where they start in it.

    Args:
        data: Its bytes; may be written to.

    Raises:
        IndexError: Something leads out of it.
    """

    def __init__(self, data: bytearray) -> None:
        self.data = data

    def number(self, form: str, place: int) -> int:
        """Reads a number, by its form for ``struct``."""
        if not 0 <= place <= len(self.data) - struct.calcsize(form):
            raise IndexError
        return int(struct.unpack_from(form, self.data, place)[0])

    def follow(self, place: int) -> int:
        """Where what a reference leads to starts."""
        return place + self.number("<I", place)

    def field(self, record: int, which: int) -> int:
        """Where a field of a record is; 0 where it is left out."""
        fields = record - self.number("<i", record)
        there = 4 + 2 * which < self.number("<H", fields)
        offset = self.number("<H", fields + 4 + 2 * which) if there else 0
        return record + offset if offset else 0

    def value(self, form: str, record: int, which: int, default: int = 0) -> int:
        """A record's field that is a number."""
        place = self.field(record, which)
        return self.number(form, place) if place else default

    def record(self, record: int, which: int) -> int:
        """Where the record starts that a field holds; 0 where it is left out."""
        place = self.field(record, which)
        return self.follow(place) if place else 0

    def vector(self, record: int, which: int, width: int) -> range:
        """Where each item of a field that is a list starts, of items so wide [bytes]."""
        start = self.record(record, which)
        if not start:
            return range(0)
        count = self.number("<I", start)
        if count * width > len(self.data) - start - 4:
            raise IndexError
        return range(start + 4, start + 4 + count * width, width)

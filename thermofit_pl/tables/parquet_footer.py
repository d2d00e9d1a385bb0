"""What a Parquet file says about itself, before a page of it is unpacked (https://parquet.apache.org/docs/file-format)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

MOST_BYTES = 4 << 20  # of a footer: that of a million instruments has 40 kB
_ROW_GROUPS, _COLUMNS, _META_DATA, _NUM_VALUES, _UNCOMPRESSED = 4, 1, 3, 5, 6  # the fields of parquet.thrift
_VALUE = 8  # bytes of a value in memory, whatever its encoding makes of it on the disk


def unpacked_bytes(path: Path) -> int:
    """Returns how many bytes the columns of a file take in memory, by its footer.

    Args:
        path: A Parquet file.

    Raises:
        ValueError: The footer is damaged, or larger than 4 MiB.
        OSError: The file can't be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 8))
        tail = file.read(8)
        length = int.from_bytes(tail[:4], "little")
        if tail[4:] != b"PAR1" or not 0 < length <= min(size - 12, MOST_BYTES):
            raise ValueError("no footer")
        file.seek(size - 8 - length)
        content = file.read(length)
    try:
        groups = _Compact(content).struct()[_ROW_GROUPS]
        chunks = [chunk[_META_DATA] for group in groups for chunk in group[_COLUMNS]]
        sizes = [(int(chunk[_UNCOMPRESSED]), int(chunk[_NUM_VALUES])) for chunk in chunks]
    except (IndexError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError("a damaged footer") from None
    if any(number < 0 for each in sizes for number in each):
        raise ValueError("a damaged footer")
    return sum(max(unpacked, _VALUE * values) for unpacked, values in sizes)


class _Compact:
    """Thrift's compact protocol, as far as a footer uses it; text is passed over."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def struct(self) -> dict[int, Any]:
        """Reads the fields of a record, by number."""
        found: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._zigzag()
            kind = head & 15
            found[number] = kind == 1 if kind in (1, 2) else self._value(kind)
        return found

    def _value(self, kind: int) -> Any:
        if kind in (1, 2, 3):  # a truth value in a list takes a byte
            return self._byte()
        if kind in (4, 5, 6):
            return self._zigzag()
        if kind == 7:
            return self._pass(8)
        if kind == 8:
            return self._pass(self._varint())
        if kind in (9, 10):
            head = self._byte()
            n = head >> 4 if head >> 4 < 15 else self._varint()
            return [self._value(head & 15) for _ in range(n)]
        if kind == 12:
            return self.struct()
        raise IndexError  # maps, which no footer has, or nonsense

    def _byte(self) -> int:
        self._at += 1
        return self._content[self._at - 1]

    def _pass(self, n: int) -> None:
        self._at += n
        if self._at > len(self._content):
            raise IndexError

    def _varint(self) -> int:
        found = shift = 0
        while True:
            byte = self._byte()
            found |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return found
            if shift > 63:
                raise IndexError

    def _zigzag(self) -> int:
        found = self._varint()
        return (found >> 1) ^ -(found & 1)

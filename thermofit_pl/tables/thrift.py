"""Thrift's compact protocol, in which Parquet describes itself (https://thrift.apache.org/docs/specs).

Positions go in and out as numbers: with an object that counts along, a page's header would take twice the time, and
reading a large file 5 % more.
"""

from __future__ import annotations

from typing import Any

_FALSE_OR_TRUE, _BYTE, _INTEGERS, _DOUBLE, _TEXT, _LISTS, _RECORD = (1, 2), 3, (4, 5, 6), 7, 8, (9, 10), 12


def read_record(data: bytes, at: int = 0) -> tuple[dict[int, Any], int]:
    """Reads a record of numbers, texts (as bytes), lists and records.

    Args:
        data: What it stands in.
        at: Where it starts.

    Returns:
        Its fields, by number, and where it ends.

    Raises:
        IndexError: The data end within it, or it is none.
    """
    found: dict[int, Any] = {}
    number = 0
    while head := data[at]:
        at += 1
        if head > 15:
            number += head >> 4
        else:
            number, at = _integer(data, at)
        kind = head & 15
        if kind in _INTEGERS:
            value = data[at]  # nearly all take one byte
            at += 1
            if value > 127:
                value, at = _varint(data, at - 1)
            found[number] = (value >> 1) ^ -(value & 1)
        elif kind in _FALSE_OR_TRUE:
            found[number] = kind == 1
        else:
            found[number], at = _value(data, at, kind)
    return found, at + 1


def _value(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind == _TEXT:
        n, at = _varint(data, at)
        return _cut(data, at, n)
    if kind == _RECORD:
        return read_record(data, at)
    if kind in _INTEGERS:
        return _integer(data, at)
    if kind in _LISTS:
        head = data[at]
        n, at = (head >> 4, at + 1) if head >> 4 < 15 else _varint(data, at + 1)
        if n > len(data) - at:  # each takes a byte at least
            raise IndexError
        values = []
        for _ in range(n):
            value, at = _value(data, at, head & 15)
            values.append(value)
        return values, at
    if kind in _FALSE_OR_TRUE or kind == _BYTE:  # a truth value in a list takes a byte
        return data[at], at + 1
    if kind == _DOUBLE:
        return _cut(data, at, 8)
    raise IndexError  # maps, which Parquet has not, or nonsense


def _cut(data: bytes, at: int, n: int) -> tuple[bytes, int]:
    if at + n > len(data):
        raise IndexError
    return data[at : at + n], at + n


def _integer(data: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    found = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        found |= (byte & 127) << shift
        if byte < 128:
            return found, at
    raise IndexError

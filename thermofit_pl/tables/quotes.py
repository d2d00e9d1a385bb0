"""Where the records of a text table end: at line ends outside quotation marks, as csv.reader(strict=True) has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Places = NDArray[np.int64]

QUOTE, LF, CR = b'"\n\r'


@dataclass(frozen=True)
class Records:
    """The whole records that some bytes begin with.

    Attributes:
        end: The byte at which the last of them ends; 0 if there is none.
        count: How many they are.
        literal: Whether a quotation mark stands inside a cell that doesn't begin with one, as in ``6"``.
        misplaced: The byte at which a cell begins that goes on after its closing quotation mark; None if none does.
        unclosed: The byte at which a cell begins whose quotation mark isn't closed; None if all are.
    """

    end: int
    count: int
    literal: bool
    misplaced: int | None
    unclosed: int | None


def find_records(data: bytes, separator: str) -> Records:
    """Finds the records in bytes that start where one does.

    It walks along quotation marks, not bytes, all of them at once where each opens or closes a cell.

    Args:
        data: The bytes.
        separator: What stands between cells.
    """
    padded = np.full(len(data) + 3, LF, np.uint8)  # byte i is at i + 1: each has neighbours
    padded[1:-2] = np.frombuffer(data, np.uint8)
    bounds = np.zeros(256, bool)
    bounds[[ord(separator), LF]] = True
    marks = np.flatnonzero(padded == QUOTE) - 1
    opens, closes = marks[0::2], marks[1::2]  # of "a ""b""" three pairs
    before = padded[opens]
    literal = not (bounds[before] | (before == QUOTE)).all()
    if literal:
        opens, closes = _one_by_one(padded, marks, bounds)
    after = padded[closes + 2]
    ends = bounds[after] | (after == QUOTE) | ((after == CR) & (padded[np.minimum(closes + 3, len(data) + 2)] == LF))
    wrong = np.flatnonzero(~ends)
    misplaced = _start(padded, opens, int(wrong[0])) if wrong.size else None
    unclosed = _start(padded, opens, len(opens) - 1) if len(opens) > len(closes) else None
    lines = np.flatnonzero(padded[1:-2] == LF)
    ends_record = lines[np.searchsorted(opens, lines) == np.searchsorted(closes, lines)]  # as many closed as opened
    end = int(ends_record[-1]) + 1 if ends_record.size else 0
    return Records(end, ends_record.size, literal, misplaced, unclosed)


def _one_by_one(padded: NDArray[np.uint8], marks: Places, bounds: NDArray[np.bool_]) -> tuple[Places, Places]:
    """Where quoted cells start and end; marks inside other cells are letters like any."""
    opens, closes = list[int](), list[int]()
    places, starts = marks.tolist(), bounds[padded[marks]].tolist()
    inside, skip = False, False
    for number, place in enumerate(places):
        if skip:
            skip = False
        elif inside:
            skip = number + 1 < len(places) and places[number + 1] == place + 1  # two stand for one
            if not skip:
                closes.append(place)
                inside = False
        elif starts[number]:
            opens.append(place)
            inside = True
    return np.array(opens, np.int64), np.array(closes, np.int64)


def _start(padded: NDArray[np.uint8], opens: Places, number: int) -> int:
    """Where the cell starts that a mark opens, or opens again after two that stand for one."""
    while number and padded[opens[number]] == QUOTE:
        number -= 1
    return int(opens[number])

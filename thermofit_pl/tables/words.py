"""What a cell of text looks like: a missing value, a number, a time."""

from __future__ import annotations

import re
from collections.abc import Sequence

# lower case: what common exports and loggers write where there is no value
MISSING = (
    *("", "na", "n/a", "#n/a", "nan", "+nan", "-nan", "null", "none"),
    *("unavailable", "unknown", "--"),
)
_NUMBER = re.compile(r"[+-]?(\d[\d.,]*|[.,]\d+)([eE][+-]?\d+)?")
_TIME = re.compile(r"\d{1,4}[-./:]\d{1,2}([-./:]\d{1,4})?([T ,].*)?")


def is_missing(cell: str, words: Sequence[str]) -> bool:
    """Whether a cell stands for a missing value.

    Args:
        cell: The cell, without blanks around.
        words: Further such words, in lower case.
    """
    return cell.lower() in (*MISSING, *words)


def is_number_or_time(cell: str) -> bool:
    """Whether a cell looks like a number, a date or a time, and like nothing else."""
    return bool(_NUMBER.fullmatch(cell) or _TIME.fullmatch(cell))


def begins_with_number(cell: str) -> bool:
    """Whether a cell may hold a number or a time, with a unit or without."""
    return bool(re.match(r"[+-]?([.,]?\d|inf)", cell, re.IGNORECASE))

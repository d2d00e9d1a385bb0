"""The names of instruments become codes: 0, 1, 2 … in the order in which they are met."""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl
    from numpy.typing import NDArray

UNKNOWN = -1  # the index of an instrument that is none of those that are known
FIRST_SLOTS = 1 << 12  # of the first level, which has room for four times as many names at least
LEVELS = 5  # a name that finds its slot taken goes to the next, of a quarter of the slots: a millionth finds none
MOST_WHOLE = 1 << 23  # whole numbers that span fewer are looked up in a table of 32 MB at most, others as text


class Labels:
    """A growing list of names, and the code of each.

    Names are told apart by a 64-bit hash with a secret seed; two of a million share one once in 40 million tables. They
    are looked up in a few levels of tables, without sorting or searching: 1e7 of 1e5 names take 0.2 s, and as whole
    numbers, which need no hash, 0.1 s.
    """

    def __init__(self) -> None:
        self._seed = secrets.randbits(64)
        self._lock = threading.Lock()  # text tables are parsed by two threads
        self._names: list[str] = []
        self._hashes = np.empty(0, np.uint64)  # by code
        self._slots: list[NDArray[np.int32]] = _slots(FIRST_SLOTS)  # a code by some bits of its hash; -1 for none
        self._lowest = 0
        self._table = np.empty(0, np.int32)  # a code by the whole number less the lowest; -1 for none
        self._padded = False  # whether a name has come with blanks around it

    def __len__(self) -> int:
        return len(self._names)

    def names(self) -> list[str]:
        """Returns the names, in the order of their codes."""
        return list(self._names)

    def codes(self, cells: pl.Series) -> NDArray[np.float64]:
        """Returns the code of each cell, shape (N,); NaN where a cell is empty.

        Blanks around a name, such as Parquet's `CHAR(n)` is padded with, are no part of it. They are looked for in
        names that are new, and only once they are found in every cell.

        Args:
            cells: Names or whole numbers, shape (N,).
        """
        if cells.dtype.is_integer():
            filled = cells.drop_nulls()
            codes = self._of_whole(filled)
            if codes is not None:
                if len(filled) == len(cells):
                    return codes.astype(np.float64)
                found = np.full(len(cells), np.nan)
                found[cells.is_not_null().to_numpy()] = codes
                return found
        return self._of_text(cells)

    def _of_whole(self, cells: pl.Series) -> NDArray[np.int32] | None:
        """Returns the codes of whole numbers by a table; None where they span too much for one."""
        import polars as pl

        if not len(cells):
            return np.empty(0, np.int32)
        low, high = int(cells.min()), int(cells.max())  # type: ignore[arg-type]  # of whole numbers they are such
        with self._lock:
            lowest, size = self._lowest, len(self._table)
            if size:
                low, high = min(low, lowest), max(high, lowest + size - 1)
            if high - low >= MOST_WHOLE or not -(1 << 62) < low <= high < 1 << 62:
                return None
            if low < lowest or high >= lowest + size or not size:
                high = min(max(high, low + 2 * size), low + MOST_WHOLE - 1)  # rarely: it is copied each time
                table = np.full(high - low + 1, UNKNOWN, np.int32)
                table[lowest - low : lowest - low + size] = self._table
                self._lowest, self._table = low, table
            at = cells.cast(pl.Int64).to_numpy() - self._lowest
            codes = self._table.take(at)
            new = at[codes < 0]
        if len(new):
            fresh, first = np.unique(new, return_index=True)
            fresh = fresh[np.argsort(first)]
            # as text, since another file may have them so
            of_fresh = self._of_text(pl.Series(fresh + low)).astype(np.int32)
            with self._lock:
                self._table[fresh + low - self._lowest] = of_fresh
                codes = self._table.take(at + low - self._lowest)
        return codes

    def _of_text(self, cells: pl.Series) -> NDArray[np.float64]:
        """Returns the codes of cells by the hashes of their text."""
        import polars as pl

        padded = self._padded
        text = cells.cast(pl.String)
        text = text.str.strip_chars() if padded else text
        text = text.set(text == "", None)
        hashes = text.hash(seed=self._seed).to_numpy()
        missing = text.is_null().to_numpy() if text.null_count() else None
        with self._lock:
            codes = self._find(hashes)
            unknown = np.flatnonzero(codes < 0 if missing is None else (codes < 0) & ~missing)
            if unknown.size:
                _, first = np.unique(hashes[unknown], return_index=True)
                met = unknown[np.sort(first)]
                names = text.gather(met)
                if not padded and (names != names.str.strip_chars()).any():
                    self._padded = True
                else:
                    self._add(hashes[met], names.to_list())
                    codes[unknown] = self._find(hashes[unknown])
        if self._padded and not padded:
            return self._of_text(cells)
        found = codes.astype(np.float64)
        if missing is not None:
            found[missing] = np.nan
        return found

    def _find(self, hashes: NDArray[np.uint64]) -> NDArray[np.int32]:
        """Returns the code of each hash; -1 where it is new."""
        if not self._names:
            return np.full(len(hashes), UNKNOWN, np.int32)
        codes = self._slots[0].take(_place(hashes, 0, self._slots[0]))
        wrong = np.flatnonzero(self._hashes.take(codes, mode="wrap") != hashes)
        for level, slots in enumerate(self._slots[1:], 1):
            if not wrong.size:
                break
            wanted = hashes[wrong]
            found = slots.take(_place(wanted, level, slots))
            right = self._hashes.take(found, mode="wrap") == wanted
            codes[wrong] = np.where(right, found, UNKNOWN)
            wrong = wrong[~right]
        return codes

    def _add(self, hashes: NDArray[np.uint64], names: list[str]) -> None:
        left = np.arange(len(self._names), len(self._names) + len(names))
        self._names += names
        self._hashes = np.concatenate([self._hashes, hashes])
        size = len(self._slots[0])
        if 4 * len(self._names) > size:
            size = 1 << (16 * len(self._names)).bit_length()
        while left.size:
            if size > len(self._slots[0]):
                self._slots, left = _slots(size), np.arange(len(self._names))
            for level, slots in enumerate(self._slots):
                at = _place(self._hashes[left], level, slots)
                free = slots[at] < 0
                slots[at[free][::-1]] = left[free][::-1]  # of several that want one, the first gets it
                left = left[slots[at] != left]
            size *= 4  # if too many met in every level


def _slots(first: int) -> list[NDArray[np.int32]]:
    return [np.full(max(first >> (2 * level), 256), UNKNOWN, np.int32) for level in range(LEVELS)]


def _place(hashes: NDArray[np.uint64], level: int, slots: NDArray[np.int32]) -> NDArray[np.int64]:
    """Returns where a level has a hash's slot: other bits than the level before."""
    return ((hashes >> np.uint64(9 * level)) & np.uint64(len(slots) - 1)).view(np.int64)


def index_of(names: Sequence[str], known: Sequence[str]) -> NDArray[np.int64]:
    """Returns the index of each name among those that are known, shape ``(len(names),)``; ``UNKNOWN`` if it is none.

    Blanks around a name don't count, as for ``apply``.

    Args:
        names: Any names.
        known: The names of the instruments that there are, once each.
    """
    import polars as pl

    asked = pl.Series(names, dtype=pl.String).str.strip_chars()
    places = np.arange(len(known))
    found = asked.replace_strict(pl.Series(known, dtype=pl.String), places, default=UNKNOWN, return_dtype=pl.Int64)
    return found.to_numpy().copy()

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
MOST_SLOTS = 1 << 23  # 32 MB: with a million names, one in nine is looked up the slow way


class Labels:
    """A growing list of names, and the code of each.

    Names are told apart by a 64-bit hash with a secret seed; two of a million share one once in 40 million tables. It
    takes a tenth of the time of Polars' categories, whose lookup would cost more than all other reading (measured).
    """

    def __init__(self) -> None:
        self._seed = secrets.randbits(64)
        self._lock = threading.Lock()  # text tables are parsed by two threads
        self._names: list[str] = []
        self._hashes = np.empty(0, np.uint64)  # by code
        self._sorted: NDArray[np.int64] | None = None  # codes in the order of their hashes, made when it is asked for
        self._slots = np.full(1, -1, np.int32)  # a code by the first bits of its hash; -1 where there is none
        self._shift = np.uint64(63)
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
            return self.codes(cells)
        found = codes.astype(np.float64)
        if missing is not None:
            found[missing] = np.nan
        return found

    def _find(self, hashes: NDArray[np.uint64]) -> NDArray[np.int32]:
        """Returns the code of each hash; -1 where it is new."""
        if not self._names:
            return np.full(len(hashes), -1, np.int32)
        codes = self._slots.take((hashes >> self._shift).view(np.int64))
        wrong = np.flatnonzero(self._hashes.take(codes, mode="wrap") != hashes)
        if wrong.size:
            if self._sorted is None:
                self._sorted = np.argsort(self._hashes)
            at = np.searchsorted(self._hashes, hashes[wrong], sorter=self._sorted)
            candidates = self._sorted.take(at, mode="clip")
            codes[wrong] = np.where(self._hashes[candidates] == hashes[wrong], candidates, -1)
        return codes

    def _add(self, hashes: NDArray[np.uint64], names: list[str]) -> None:
        first = len(self._names)
        self._names += names
        self._hashes, self._sorted = np.concatenate([self._hashes, hashes]), None
        if 8 * len(self._names) > len(self._slots) < MOST_SLOTS:
            bits = min(64 * len(self._names), MOST_SLOTS).bit_length() - 1
            self._shift, first = np.uint64(64 - bits), 0
            self._slots = np.full(1 << bits, -1, np.int32)
        self._slots[(self._hashes[first:] >> self._shift).view(np.int64)] = np.arange(first, len(self._names))


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

"""The order of time: whether readings have it, and the sorting of those that don't."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from thermofit_pl.errors import InputError
from thermofit_pl.formatting import count, printable, quoted
from thermofit_pl.tables.block import Block
from thermofit_pl.tables.stated import OfReadings
from thermofit_pl.tables.text_tables import BLOCK

if TYPE_CHECKING:
    from numpy.typing import NDArray

SORTABLE = 10_000_000  # readings that are sorted in memory (about 400 MB)


def look_through(times: Iterable[NDArray[np.float64]], path: Path, column: str, readings: int) -> tuple[bool, int]:
    """Returns whether times never decrease, and how many there are.

    Args:
        times: They, a piece at a time, shape ``(N,)`` each; NaN where one is missing.
        path: The file that they stand in, or the first of them.
        column: Theirs.
        readings: How many of a time there are.

    Raises:
        InputError: They decrease, and are more than can be sorted in memory.
    """
    last, n, in_order = -np.inf, 0, True
    for some in times:
        known = some[~np.isnan(some)]
        if known.size:
            in_order = in_order and known[0] >= last and bool((np.diff(known) >= 0).all())
            last = known[-1]
        n += known.size
        if not in_order and n * readings > SORTABLE:
            raise InputError(
                f"{printable(path)}: more than {count(SORTABLE)} readings are not in the order of column "
                f"{quoted(column)}; sort the table by that column first."
            )
    return in_order, n


def sort_by_time(
    blocks: Iterable[Block], most: int, files: Sequence[Path], share: tuple[int, int] = (0, 1)
) -> Iterator[Block]:
    """Sorts readings by their times, in memory; equal times keep their order.

    Args:
        blocks: All readings, with their times.
        most: How many there are at most: where there is room for them from the start, it takes half as much.
        files: Those that they stand in.
        share: ``(rank, world)``: only this process's share of the result.
    """
    whole: dict[str, NDArray[np.float64]] = {}
    rows = np.empty(most, dtype=np.int64)
    starts, of, n = [], [], 0
    for block in blocks:
        starts.append(n)
        of.append(files.index(block.file))
        place = slice(n, n := n + len(block.rows))
        for name in ("indication", "reference", "time", "instrument", *OfReadings._fields, "group"):
            if (column := getattr(block, name)) is not None:
                whole.setdefault(name, np.empty(most))[place] = column
        rows[place] = block.rows
    if not n:
        return
    order = np.argsort(whole["time"][:n], kind="stable")[n * share[0] // share[1] : n * (share[0] + 1) // share[1]]
    for first in range(0, len(order), BLOCK):
        picked = order[first : first + BLOCK]
        file = np.asarray(of)[np.searchsorted(starts, picked, side="right") - 1]
        for at in np.split(picked, np.flatnonzero(np.diff(file)) + 1):
            path = files[of[int(np.searchsorted(starts, at[0], side="right")) - 1]]
            columns = {name: column[at] for name, column in whole.items()}
            codes, group = (
                columns[name].astype(np.int64) if name in columns else None for name in ("instrument", "group")
            )
            stated = OfReadings(*(columns.get(name) for name in OfReadings._fields))
            reference = columns.get("reference")
            yield Block(columns["indication"], reference, columns["time"], path, rows[at], codes, *stated, group=group)

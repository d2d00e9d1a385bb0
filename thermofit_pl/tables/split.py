"""Which readings train, which validate, and which test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from thermofit_pl.tables.table import Block, Table


Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")
ROUNDS = 6  # of the mixing of places: fewer, and some places of ten are held out more often than others (measured)


@dataclass(frozen=True)
class Split:
    """A seeded split of each instrument's readings: disjoint, complete, and the same however the table is read.

    Args:
        val: Share of each instrument's readings that validate, 0 to 1.
        test: Share of each instrument's readings that test.
        seed: Of the split.
        in_order: Whether the readings are logs, each of which is cut into contiguous blocks, in time order: train, val,
            test.
    """

    val: float = 0.0
    test: float = 0.0
    seed: int = 0
    in_order: bool = False

    def __bool__(self) -> bool:
        return bool(self.val or self.test)

    def cut(self, table: Table, blocks: Iterator[Block]) -> Iterator[tuple[Part, Block]]:
        """Yields the parts of each block of a table: the readings of an instrument train, validate or test."""
        if not self:
            yield from (("train", block) for block in blocks)
            return
        n = table.counts()
        test, val = held_out(n, self.test), held_out(n, self.val)
        seen = np.zeros(len(n), np.int64)  # readings of each instrument in the blocks before
        met = np.full(len(n), -1, np.int64)  # the place of each instrument in the order in which they are met
        for block in blocks:
            of = block.codes()
            place = places(of, seen, met)
            if not self.in_order:
                place = shuffled(place, n[of], mixed(met[of], self.seed))
            left = n[of] - place  # to the end of the instrument's readings, or of their order by lot
            ends = left <= test[of], left <= test[of] + val[of]
            chosen: dict[Part, NDArray[np.bool_]] = {"train": ~ends[1], "val": ends[1] & ~ends[0], "test": ends[0]}
            for part in PARTS:
                if chosen[part].any():
                    yield part, block.take(np.flatnonzero(chosen[part]))


def dealt(blocks: Iterator[Block], rank: int, world: int) -> Iterator[Block]:
    """Yields every ``world``-th reading, so that each is one process's, wherever a process cuts its blocks."""
    before = 0
    for block in blocks:
        mine = np.arange((rank - before) % world, len(block.indication), world)
        before += len(block.indication)
        if len(mine):
            yield block.take(mine)


def held_out(n: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """Returns how many of n readings a share is, shape ``(instruments,)``: one at least, if four are there."""
    held: NDArray[np.int64] = np.rint(n * share).astype(np.int64)
    return np.where((held == 0) & (n >= 4) & (share > 0), 1, held)


def places(of: NDArray[np.int64], seen: NDArray[np.int64], met: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns the place of each reading among those of its instrument, and counts it.

    Args:
        of: The instrument of each, shape ``(N,)``.
        seen: How many of each instrument came before, shape ``(instruments,)``; updated.
        met: The place of each instrument in the order in which they were met, shape ``(instruments,)``, −1 for one that
            was not; updated. The indices of instruments depend on which thread was faster, this does not.
    """
    order = np.argsort(of, kind="stable")
    own = of[order]
    first = np.flatnonzero(np.diff(own, prepend=-1))  # of each instrument, in that order
    size = np.diff(first, append=len(own))
    instrument = own[first]
    place = np.empty(len(of), np.int64)
    place[order] = np.arange(len(own)) - np.repeat(first, size) + seen[own]
    seen[instrument] += size
    new = met[instrument] < 0
    appearing = instrument[new][np.argsort(order[first][new])]
    met[appearing] = met.max() + 1 + np.arange(len(appearing))
    return place


def shuffled(place: NDArray[np.int64], n: NDArray[np.int64], key: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Returns each place's place in a random order, without making the order.

    The places 0 to 2^k − 1 are permuted, with 2^k the power of two from n on, by additions, multiplications by odd
    numbers and shifts, again for those that come out beyond n (cycle walking; Black and Rogaway 2002).

    Args:
        place: Shape ``(N,)``.
        n: How many places there are in the order of each, shape ``(N,)``.
        key: Which order it is, shape ``(N,)``.
    """
    bits = np.ceil(np.log2(np.maximum(n, 2))).astype(np.uint64)
    found = place.astype(np.uint64)
    todo = np.arange(len(place))
    while todo.size:
        found[todo] = _permuted(found[todo], bits[todo], key[todo])
        todo = todo[found[todo] >= n[todo].astype(np.uint64)]
    return found.astype(np.int64)


def _permuted(x: NDArray[np.uint64], bits: NDArray[np.uint64], key: NDArray[np.uint64]) -> NDArray[np.uint64]:
    mask = (np.uint64(1) << bits) - np.uint64(1)
    half = (bits + np.uint64(1)) >> np.uint64(1)
    with np.errstate(over="ignore"):
        for _ in range(ROUNDS):
            key = key * np.uint64(0xD1342543DE82EF95) + np.uint64(1)  # its upper bits are random (L'Ecuyer 1999)
            x = (x + (key >> np.uint64(32))) * ((key >> np.uint64(16)) | np.uint64(1)) & mask
            x = x ^ (x >> half)
    return x


def mixed(number: NDArray[np.int64], seed: int) -> NDArray[np.uint64]:
    """Returns 64 random bits for each number (splitmix64; Steele, Lea, Flood 2014)."""
    with np.errstate(over="ignore"):
        z = number.astype(np.uint64) + np.uint64(seed % (1 << 32)) * np.uint64(0xD1342543DE82EF95)
        z = (z + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))

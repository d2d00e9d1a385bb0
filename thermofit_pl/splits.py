"""Which readings train, which validate, and which test."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from thermofit_pl.readings import Block, Table


Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")
SMALL = (
    100_000  # readings that are put into an order, for shares that are exact; beyond, each reading draws its own lot
)


@dataclass(frozen=True)
class Split:
    """A seeded split: disjoint, complete, and the same however the table is read.

    Args:
        val: Share of the readings that validate, 0 to 1.
        test: Share of the readings that test.
        seed: Of the split.
        in_order: Whether the readings are a log, which is cut into contiguous blocks, in time order: train, val, test.
    """

    val: float = 0.0
    test: float = 0.0
    seed: int = 0
    in_order: bool = False

    def __bool__(self) -> bool:
        return bool(self.val or self.test)

    def cut(self, table: Table, blocks: Iterator[Block]) -> Iterator[tuple[Part, Block]]:
        """Yields the parts of each block of a table."""
        if not self:
            yield from (("train", block) for block in blocks)
            return
        n = table.n_rows()
        val, test = round(n * self.val), round(n * self.test)
        ends: tuple[tuple[Part, float], ...] = (("train", n - val - test), ("val", n - test), ("test", math.inf))
        position = 0
        for block in blocks:
            keys = self._keys(np.arange(position, position + len(block.indication)), n)
            position += len(block.indication)
            start = -math.inf
            for part, end in ends:
                chosen = np.flatnonzero((keys >= start) & (keys < end))
                start = end
                if len(chosen):
                    yield part, block.take(chosen)

    def _keys(self, position: NDArray[np.int64], n: int) -> NDArray[np.float64]:
        """Returns the place of each reading in the order that is cut, 0 to n."""
        if self.in_order:
            return position.astype(np.float64)
        if n <= SMALL:
            return np.random.default_rng(self.seed).permutation(n)[position].astype(np.float64)
        return scrambled(position, self.seed) * n


def scrambled(position: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """Returns a number from 0 to 1 for each position (splitmix64; Steele, Lea, Flood 2014)."""
    with np.errstate(over="ignore"):
        z = position.astype(np.uint64) + np.uint64(seed % (1 << 32)) * np.uint64(0xD1342543DE82EF95)
        z = (z + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return z.astype(np.float64) / 2.0**64

"""A bounded sample of readings, for what must be looked at again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from thermofit_pl.tables.table import Block

SAMPLE_SIZE = 100_000


@dataclass
class Sample:
    """Readings drawn at random, all alike, from a stream: all of them while they are few.

    Each time more than ``size`` are kept, each is kept on with probability ½, and new ones are taken at half the rate
    from then on.

    Args:
        size: Most readings to keep.
        seed: Of the draw.
    """

    size: int = SAMPLE_SIZE
    seed: int = 0
    blocks: list[Block] = field(default_factory=list, init=False)
    rate: float = field(default=1.0, init=False)

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)

    def __len__(self) -> int:
        return sum(len(block.indication) for block in self.blocks)

    def add(self, block: Block) -> None:
        """Draws from the readings of a block."""
        self.blocks.append(block if self.rate == 1 else self._draw(block, self.rate))
        self._thin()

    def _thin(self) -> None:
        while len(self) > self.size:
            self.rate /= 2
            self.blocks = [self._draw(block, 0.5) for block in self.blocks]

    @classmethod
    def merged(cls, samples: Sequence[Sample]) -> Sample:
        """Returns the sample of all, each drawn from a share of the readings."""
        whole = samples[0]
        rate = min(sample.rate for sample in samples)
        blocks = []
        for sample in samples:
            ratio = rate / sample.rate
            blocks += sample.blocks if ratio == 1 else [sample._draw(block, ratio) for block in sample.blocks]
        whole.rate, whole.blocks = rate, blocks
        whole._thin()
        return whole

    def _draw(self, block: Block, probability: float) -> Block:
        n = len(block.indication)
        if probability == 0.5:  # each reading a bit: a fifth of the time
            bits = np.frombuffer(self._random.bytes(n // 8 + 1), np.uint8)
            return block.take(np.flatnonzero(np.unpackbits(bits, count=n)))
        gaps = self._random.geometric(probability, size=int(n * probability + 6 * math.sqrt(n * probability) + 12))
        at = np.cumsum(gaps) - 1
        return block.take(at[at < n])

    def column(self, name: str) -> NDArray[np.float64]:
        """Returns a column of the kept readings, shape ``(N,)``."""
        return np.concatenate([getattr(block, name) for block in self.blocks] or [np.empty(0)])

    def codes(self) -> NDArray[np.int64]:
        """Returns the instrument of each kept reading, shape ``(N,)``; 0 where there is one."""
        if not self.blocks or self.blocks[0].instrument is None:
            return np.zeros(len(self), np.int64)
        return np.concatenate([block.instrument for block in self.blocks if block.instrument is not None])

    def groups(self) -> NDArray[np.int64] | None:
        """Returns the set point of each kept reading, shape ``(N,)``, as its column says; None without one."""
        named = [block.group for block in self.blocks if block.group is not None]
        return np.concatenate(named) if named else None

    def places(self, index: NDArray[np.int64]) -> tuple[list[str | None], NDArray[np.int64]]:
        """Returns the file (None for arrays) and the row of some kept readings."""
        starts = np.cumsum([0, *(len(block.indication) for block in self.blocks)])
        of = np.searchsorted(starts, index, side="right") - 1
        names = np.array([block.file.name or None for block in self.blocks], dtype=object)
        rows = np.empty(len(index), np.int64)
        for block in np.unique(of):
            mine = of == block
            rows[mine] = self.blocks[block].take(index[mine] - starts[block]).rows
        return names[of].tolist(), rows

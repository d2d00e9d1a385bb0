"""What the Trainer iterates over: the moments of all readings, slices of tensors, or a table on the disk."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from thermofit_pl.curves.base import Curve
from thermofit_pl.metrics.moments import Moments


class Batch(NamedTuple):
    """Some readings as SGD sees them: a mini-batch.

    Attributes:
        features: Normalised features, shape ``(N, features)``; of a line the normalised indications.
        reference: References, shape ``(N,)`` [°C].
        instrument: Index of each reading's instrument, shape ``(N,)``, or None where there is one instrument.
        weight: Number of processes over the number of readings in the whole batch, for a fleet of each reading's
            instrument, shape ``(N,)``: what makes the mean of the processes' gradients that of the batch, however
            unevenly it is split. None for one process and one instrument.
        curve: Whose estimate is another function of the level than itself; None for other curves.
    """

    features: Tensor
    reference: Tensor
    instrument: Tensor | None = None
    weight: float | Tensor | None = None
    curve: Curve | None = None

    def mse(self, w: Tensor, b: Tensor) -> Tensor:
        """Returns the mean squared error [°C²] of the curve, for a fleet the sum over its instruments', shape ``()``.

        Args:
            w: Coefficients, shape ``(instruments, features)`` [°C per normalised feature].
            b: Intercept, shape ``(instruments,)`` [°C].
        """
        if self.instrument is None:
            estimate = self.features @ w[0].to(self.features.dtype) + b
        else:
            estimate = (self.features * w[self.instrument]).sum(dim=-1) + b[self.instrument]
        if self.curve is not None:
            estimate = self.curve.estimate(estimate)
        squared = (estimate - self.reference).square()
        return squared.mean() if self.weight is None else (squared * self.weight).sum()


@dataclass
class FullBatch:
    """All readings of a part as the one batch of an epoch: their moments.

    Args:
        moments: Of the readings, normalised where they are trained on.
    """

    moments: Moments

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Moments]:
        return iter([self.moments])


@dataclass
class Batches:
    """Readings in memory, as batches: slices of tensors that are shuffled by seed and epoch.

    The order depends on the seed and the epoch alone, so that a resumed run, or one on more processes, sees the same
    batches. Of every batch, each process takes a contiguous share, so that each reading counts once.

    Args:
        features: Normalised features, shape ``(N, features)``.
        reference: References, shape ``(N,)`` [°C].
        instrument: Index of each reading's instrument, shape ``(N,)``; None where there is one.
        batch_size: Readings in a batch, over all processes.
        seed: Of the order.
        share: This process's rank, and the number of processes.
        curve: Whose estimate is another function of the level than itself; None for other curves.
    """

    features: Tensor
    reference: Tensor
    instrument: Tensor | None
    batch_size: int
    seed: int = 0
    share: tuple[int, int] = (0, 1)
    curve: Curve | None = None
    epoch: int = field(default=0, init=False)
    position: int = field(default=0, init=False)  # batches of this epoch that were given
    _start: tuple[int, int] = field(default=(-1, 0), init=False)  # an epoch, and how many of its batches to leave out

    @property
    def sampler(self) -> Batches:
        """Itself: Lightning tells the sampler of a loader the epoch."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order of an epoch."""
        self.epoch = epoch

    def state_dict(self) -> dict[str, int]:
        """Returns where it is, for a checkpoint between two batches."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Goes on, in the epoch of a checkpoint, with the batch after those that it has seen."""
        self._start = state["epoch"], state["position"]

    def __len__(self) -> int:
        return math.ceil(len(self.features) / self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        state = np.random.SeedSequence((self.seed, self.epoch)).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))
        order = torch.randperm(len(self.features), generator=generator)
        x, y = self.features[order], self.reference[order]
        codes = None if self.instrument is None else self.instrument[order]
        rank, world = self.share
        first, self._start = self._start[1] if self._start[0] == self.epoch else 0, (-1, 0)
        for index in range(first, len(self)):
            self.position, start = index + 1, index * self.batch_size
            n = min(self.batch_size, len(x) - start)
            mine = slice(start + n * rank // world, start + n * (rank + 1) // world)
            if codes is None:
                yield Batch(x[mine], y[mine], weight=None if world == 1 else world / n, curve=self.curve)
                continue
            of = codes[start : start + n]
            weight = world / torch.bincount(of).to(y)[of]
            yield Batch(x[mine], y[mine], codes[mine], weight[mine.start - start : mine.stop - start], self.curve)


@dataclass
class Stream:
    """Batches that are read from the disk each time they are asked for.

    Args:
        read: Starts the reading.
    """

    read: Callable[[], Iterator[tuple[Tensor, ...]]]

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        return self.read()

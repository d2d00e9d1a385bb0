"""What the order of a log's readings tells: a factor of each of some blocks of time, and of neighbours' differences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thermofit_pl.functional import ar1
from thermofit_pl.functional.blocks import POOLED
from thermofit_pl.functional.groups import Groups
from thermofit_pl.metrics.autocorrelation import Neighbours, step_class
from thermofit_pl.metrics.forming import of_instruments
from thermofit_pl.metrics.merging import merge
from thermofit_pl.metrics.packing import numbers_of
from thermofit_pl.metrics.view import View

FloatArray = NDArray[np.float64]

MOST = 32  # blocks of an instrument; when one more is needed, each two become one
KEPT = 10_000_000  # readings, up to which short logs keep theirs (some 400 MB)


class TimeOrder:
    """Takes in the readings of logs, each instrument's in the order of time, however they are cut into batches.

    A block is 2^e readings of an instrument, counted from its first in the whole table; e grows with their number, so
    that there are 17 to 32 of them once there are so many readings. Where blocks begin depends on neither batches nor
    processes.

    Args:
        features: How many the curve has.
        before: How many readings of each instrument the processes before this one take in, shape ``(instruments,)``;
            None where this is the first.

    Attributes:
        counts: Readings of each instrument up to here, those before included, shape ``(instruments,)``.
        factors: Packed factors of (1, features, reference), shape ``(blocks, instruments, k)``; 0 without readings.
        neighbours: Differences between each reading and the next.
    """

    def __init__(self, features: int, before: NDArray[np.int64] | None = None) -> None:
        self.counts = np.zeros(0, np.int64)
        self.factors = np.zeros((MOST, 0, numbers_of(features)))
        self.neighbours = Neighbours(features)
        self._exponents = np.zeros(0, np.int64)
        self._readings: list[tuple[NDArray[np.int64], FloatArray]] | None = []  # (instrument, place), (x, y, t)
        if before is not None:
            self._widen(len(before))
            self.counts[:] = before
            self._double()

    def add(
        self,
        view: View,
        x: Tensor,
        y: Tensor,
        time: FloatArray,
        weight: Tensor | None = None,
        instrument: Tensor | None = None,
    ) -> None:
        """Adds readings that follow those before in time, of each instrument.

        Args:
            view: Through which the readings are seen.
            x: Indications, shape ``(N,)``.
            y: References, shape ``(N,)`` [°C].
            time: Shape ``(N,)`` [s], never decreasing within an instrument.
            weight: Of each reading, shape ``(N,)``; None weighs all alike.
            instrument: Index of each reading's instrument, shape ``(N,)``; None where there is one.
        """
        codes = np.zeros(len(x), np.int64) if instrument is None else instrument.numpy()
        self._widen(int(codes.max(initial=-1)) + 1)
        groups = Groups(codes, len(self.counts))
        order = torch.from_numpy(groups.sorted(np.arange(len(codes))))
        x, y, time = x[order], y[order], time[order.numpy()]
        rows = view.rows(
            x, y, None if weight is None else weight[order], None if instrument is None else instrument[order]
        )
        owner = groups.each(np.arange(len(self.counts)))
        place = np.arange(len(x)) + groups.each(self.counts - (np.cumsum(groups.counts) - groups.counts))
        self.counts = self.counts + groups.counts
        self._double()
        self._add_to_blocks(*rows, owner, place >> groups.each(self._exponents))
        self.neighbours.add(scaled(*rows), time, groups)
        self._keep(owner, place, np.stack([x.numpy(), y.numpy(), time], axis=-1))

    def _widen(self, instruments: int) -> None:
        more = instruments - len(self.counts)
        if more > 0:
            self.counts, self._exponents = (
                np.append(v, np.zeros(more, np.int64)) for v in (self.counts, self._exponents)
            )
            room = np.zeros((MOST, more, self.factors.shape[-1]))
            self.factors = np.concatenate([self.factors, room], axis=1)

    def _double(self, exponents: NDArray[np.int64] | None = None) -> None:
        """Makes blocks longer, where there would be too many."""
        least = self._exponents if exponents is None else exponents
        while (many := np.flatnonzero((self.counts > MOST << self._exponents) | (self._exponents < least))).size:
            self._exponents[many] += 1
            if (held := many[self.factors[:, many, 0].any(axis=0)]).size:
                merged = _merged(self.factors[0::2, held], self.factors[1::2, held])
                self.factors[: MOST // 2, held] = merged
                self.factors[MOST // 2 :, held] = 0.0

    def _add_to_blocks(
        self, columns: list[Tensor], weight: Tensor | None, owner: NDArray[np.int64], block: NDArray[np.int64]
    ) -> None:
        cell = owner * MOST + block  # sorted, as readings are by instrument and place
        first = np.append(True, np.diff(cell) != 0)[: len(cell)]
        cells, code = cell[first], torch.from_numpy(np.cumsum(first) - 1)
        formed = of_instruments(columns, weight, code, len(cells)).numpy()[:, :-3]
        at = cells % MOST, cells // MOST
        self.factors[at] = _merged(self.factors[at], formed)

    def _keep(self, owner: NDArray[np.int64], place: NDArray[np.int64], readings: FloatArray) -> None:
        """Keeps the first readings of each instrument: all of those that have no more."""
        if self._readings is None:
            return
        at = np.flatnonzero(place < ar1.MOST)
        if len(at):
            self._readings.append((np.stack([owner[at], place[at]], axis=-1), readings[at]))
        if np.minimum(self.counts, ar1.MOST).sum() > KEPT:  # a rule that processes and batches don't matter to
            self._readings = None

    def placed(self, index: NDArray[np.int64], instruments: int) -> None:
        """Puts each instrument at a new place.

        Args:
            index: The new places, at least as long as instruments are many.
            instruments: How many there are then.
        """
        old = len(self.counts)
        where = index[:old]
        factors = np.zeros((MOST, instruments, self.factors.shape[-1]))
        factors[:, where] = self.factors
        counts, exponents = np.zeros((2, instruments), np.int64)
        counts[where], exponents[where] = self.counts, self._exponents
        self.factors, self.counts, self._exponents = factors, counts, exponents
        self.neighbours.placed(where, instruments)
        if self._readings is not None:
            self._readings = [
                (np.stack([index[at[:, 0]], at[:, 1]], axis=-1), readings) for at, readings in self._readings
            ]

    def moved(self, shift: FloatArray) -> None:
        """Adds a number to each feature, shape ``(features,)``: their origin is then another."""
        self.factors[..., 1 : len(shift) + 1] += shift * (self.factors[..., :1] > 0)
        self.neighbours.moved(shift)

    @classmethod
    def merged(cls, shares: Sequence[TimeOrder]) -> TimeOrder:
        """Returns the readings of contiguous shares together, in the order of time; each knows what was before it."""
        whole, *others = shares
        whole.counts = np.maximum.reduce([share.counts for share in shares])
        exponents = np.maximum.reduce([share._exponents for share in shares])
        whole._double(exponents)
        for share in others:
            share._double(exponents)
            whole.factors = _merged(whole.factors, share.factors)
            whole.neighbours.append(share.neighbours)
            if whole._readings is not None:
                whole._readings = None if share._readings is None else whole._readings + share._readings
        if np.minimum(whole.counts, ar1.MOST).sum() > KEPT:
            whole._readings = None
        return whole

    def eight(self) -> FloatArray:
        """Returns the factors of eight parts of each log, as equal as blocks allow, shape ``(8, instruments, k)``."""
        n = self.factors[..., 0]
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.where(n > 0, (np.cumsum(n, axis=0) - n / 2) / n.sum(axis=0), 0.0)
        part = np.minimum((share * POOLED).astype(np.int64), POOLED - 1)
        eight, column = np.zeros((POOLED, *self.factors.shape[1:])), np.arange(n.shape[1])
        for block, to in zip(self.factors, part, strict=True):
            eight[to, column] = _merged(eight[to, column], block)
        return eight

    def short(self) -> tuple[FloatArray, NDArray[np.int64], NDArray[np.bool_]]:
        """Returns the readings of instruments that have no more than AR(1) is tried with.

        Returns:
            Indication, reference and time, shape ``(N, 3)``, by instrument and in time order; the instrument of each,
            shape ``(N,)``; and whether a gap in time lies before it, shape ``(N,)``.
        """
        kept = self._readings or [(np.zeros((0, 2), np.int64), np.zeros((0, 3)))]
        at, readings = (np.concatenate([each[i] for each in kept]) for i in (0, 1))
        few = self.counts[at[:, 0]] <= ar1.MOST
        at, readings = at[few], readings[few]
        order = np.lexsort((at[:, 1], at[:, 0]))
        at, readings = at[order], readings[order]
        steps = np.diff(readings[:, 2], prepend=0.0)
        first = np.diff(at[:, 0], prepend=-1) != 0
        broken = ~first & (step_class(np.where(first, 1.0, steps)) > self.neighbours.longest()[at[:, 0]])
        return readings, at[:, 0], broken


def scaled(columns: list[Tensor], weight: Tensor | None) -> FloatArray:
    """Returns 1 and the columns, times the root of the weight, shape ``(N, q)``."""
    whole = torch.stack([torch.ones_like(columns[-1]), *columns], dim=-1)
    found: FloatArray = (whole if weight is None else whole * weight.sqrt()[:, None]).numpy()
    return found


def _merged(first: FloatArray, second: FloatArray) -> FloatArray:
    """Merges packed factors, shape ``(..., k)``."""
    room = [(0, 0)] * (first.ndim - 1) + [(0, 3)]
    joined: FloatArray = merge(np.pad(first, room), np.pad(second, room))[..., :-3]
    return joined

"""The autocorrelation of a log, from the products of neighbours in time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from thermofit_pl.metrics.moments import Moments, as_tensor
from thermofit_pl.tables.table import Block

FloatArray = NDArray[np.float64]

GAP = 1.5  # neighbours of a log further apart than this many usual spacings are no pair: a lost reading makes 2


class LagProducts:
    """Products of each reading of a log with the next, from which the lag-1 autocorrelations follow for any line.

    They are kept about the least-squares line of the readings so far, so that the errors of a good thermometer are not
    lost in its readings.

    Attributes:
        products: Sums over pairs of the outer product of (1, deviation of the indication, provisional error) with that
            of the next reading, shape ``(3, 3)``.
        pairs: Number of pairs.
        moments: Of the readings, for their straight line.
    """

    def __init__(self) -> None:
        self.products = np.zeros((3, 3))
        self.pairs = 0
        self.moments = Moments()
        self._frame = (0.0, 0.0, 0.0)  # mean indication, mean reference, slope
        self._spacing = math.inf
        self._first: tuple[FloatArray, float] | None = None
        self._last: tuple[FloatArray, float] | None = None

    def add(self, block: Block) -> None:
        """Adds the readings of a block that follows the one before in time."""
        assert block.reference is not None
        assert block.time is not None
        x, y, time = block.indication, block.reference, block.time
        steps = np.diff(time)
        if self._spacing == math.inf and (steps > 0).any():
            self._spacing = float(np.median(steps[steps > 0]))
        self._reframe(x, y)
        x0, y0, slope = self._frame
        terms = np.stack([np.ones_like(x), x - x0, slope * (x - x0) - (y - y0)])
        if self._last is not None:
            terms = np.column_stack([self._last[0], terms])
            time = np.concatenate([[self._last[1]], time])
        neighbours = np.diff(time) <= GAP * self._spacing
        self.products += (terms[:, :-1] * neighbours) @ terms[:, 1:].T
        self.pairs += int(neighbours.sum())
        self._last = (terms[:, -1], float(time[-1]))
        if self._first is None:
            self._first = (terms[:, 0], float(time[0]))

    @classmethod
    def merged(cls, shares: Sequence[LagProducts]) -> LagProducts:
        """Returns the products over contiguous shares, in the order of time, with the pairs across their borders."""
        whole = cls()
        for share in shares:
            if share._first is None:
                continue
            if whole._first is None:
                whole = share
                continue
            whole._append(share)
        return whole

    def _append(self, later: LagProducts) -> None:
        """Adds the products of a later share, about the line of both."""
        assert self._last is not None
        assert later._first is not None
        assert later._last is not None
        self.moments.merge_state(later.moments)
        _, x, y, _, slope, _ = self.moments.factor[0].tolist()
        mine, others = self._change((x, y, slope)), later._change((x, y, slope))
        (last, before), (first, after) = self._last, later._first
        spacing = min(self._spacing, later._spacing)
        self.products = mine @ self.products @ mine.T + others @ later.products @ others.T
        if after - before <= GAP * spacing:
            self.products += np.outer(mine @ last, others @ first)
            self.pairs += 1
        self.pairs += later.pairs
        self._first = (mine @ self._first[0], self._first[1]) if self._first is not None else None
        self._last = (others @ later._last[0], later._last[1])
        self._spacing, self._frame = spacing, (x, y, slope)

    def _reframe(self, x: FloatArray, y: FloatArray) -> None:
        """Adds readings to the provisional line, and expresses what is kept about the new one.

        The first block alone would not do: at one set point, it has a slope of mere noise.
        """
        self.moments.update(as_tensor(x), as_tensor(y))
        _, *frame, _, slope, _ = self.moments.factor[0].tolist()
        change = self._change((frame[0], frame[1], slope))
        self.products = change @ self.products @ change.T
        if self._first is not None and self._last is not None:
            self._first = (change @ self._first[0], self._first[1])
            self._last = (change @ self._last[0], self._last[1])
        self._frame = (frame[0], frame[1], slope)

    def _change(self, frame: tuple[float, float, float]) -> FloatArray:
        """Returns the matrix that turns (1, deviation, error) about the line that is kept into those about another."""
        x0, y0, slope = self._frame
        x1, y1, new = frame
        # error = provisional error + (new − slope) (x − x0) + what the line's value at x0 differs by
        return np.array([[1.0, 0.0, 0.0], [x0 - x1, 1.0, 0.0], [(y1 - y0) + new * (x0 - x1), new - slope, 1.0]])

    def autocorrelation(
        self, w: float, pivot: float, mean_reference: float, mse: float, variance: float
    ) -> tuple[float, float]:
        """Returns the lag-1 autocorrelations of the errors about a line and of the indications.

        That of the errors is corrected for the bias of an estimate about a fitted mean, (1 + 3ρ)/n (Marriott and Pope
        1954).

        Args:
            w: Slope of the line [°C per indicated unit].
            pivot: Mean indication.
            mean_reference: Mean reference [°C].
            mse: Mean squared error of the line [°C²].
            variance: Variance of the indications, over n.
        """
        if self.pairs < 2 or mse == 0 or variance == 0:
            return 0.0, 0.0
        _, indication, error = self._change((pivot, mean_reference, w))
        rho = error @ self.products @ error / self.pairs / mse
        rho_x = indication @ self.products @ indication / self.pairs / variance
        return _bounded(rho + (1 + 3 * rho) / self.pairs), _bounded(rho_x)


def _bounded(rho: float) -> float:
    """Keeps an estimate of a correlation inside (−1, 1), where the variance factors are finite."""
    return float(np.clip(rho, -0.9999, 0.9999))

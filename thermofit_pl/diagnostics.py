"""What the six numbers don't tell: the largest error, curvature, outlying readings, a log's autocorrelation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from thermofit_pl import findings
from thermofit_pl.moments import Moments
from thermofit_pl.readings import Block

FloatArray = NDArray[np.float64]

SAMPLE_SIZE = 100_000
GAP = 1.5  # neighbours of a log further apart than this many usual spacings are no pair: a lost reading makes 2


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
        gaps = self._random.geometric(probability, size=int(n * probability + 6 * math.sqrt(n * probability) + 12))
        at = np.cumsum(gaps) - 1
        return block.take(at[at < n])

    def column(self, name: str) -> FloatArray:
        """Returns a column of the kept readings, shape ``(N,)``."""
        return np.concatenate([getattr(block, name) for block in self.blocks] or [np.empty(0)])

    def place(self, index: int) -> dict[str, Any]:
        """Returns the file (None for arrays) and the row of a kept reading."""
        for block in self.blocks:
            if index < len(block.indication):
                return {"file": block.file.name or None, "row": int(block.rows[index])}
            index -= len(block.indication)
        raise IndexError(index)


class LagProducts:
    """Products of each reading of a log with the next, from which the lag-1 autocorrelations follow for any line.

    They are kept about the least-squares line of the readings so far, so that the errors of a good thermometer are not
    lost in its readings.

    Attributes:
        products: Sums over pairs of the outer product of (1, deviation of the indication, provisional error) with that
            of the next reading, shape ``(3, 3)``.
        pairs: Number of pairs.
    """

    def __init__(self) -> None:
        self.products = np.zeros((3, 3))
        self.pairs = 0
        self._moments = Moments()
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
        self._moments.merge_state(later._moments)
        _, x, y, _, slope, _ = self._moments.moments[0].tolist()
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
        self._moments.update(torch.from_numpy(x), torch.from_numpy(y))
        _, *frame, _, slope, _ = self._moments.moments[0].tolist()
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
        if self.pairs < 2 or mse == 0:
            return 0.0, 0.0
        _, indication, error = self._change((pivot, mean_reference, w))
        rho = error @ self.products @ error / self.pairs / mse
        rho_x = indication @ self.products @ indication / self.pairs / variance
        return _bounded(rho + (1 + 3 * rho) / self.pairs), _bounded(rho_x)


def _bounded(rho: float) -> float:
    """Keeps an estimate of a correlation inside (−1, 1), where the variance factors are finite."""
    return float(np.clip(rho, -0.9999, 0.9999))


def diagnose(
    sample: Sample, w: float, b: float, *, s: float, n: int, pivot: float, sxx: float, rho: float = 0.0
) -> dict[str, Any]:
    """Returns the largest error among the sampled readings, whether they show curvature, and which one stands out.

    Args:
        sample: Readings.
        w: Slope [°C per indicated unit].
        b: Intercept [°C].
        s: Standard deviation of the errors [°C]; NaN or 0 where there is none, and then no test is made.
        n: Number of all readings.
        pivot: Mean indication.
        sxx: Centred sum of squares of the indications.
        rho: Lag-1 autocorrelation of the errors of a log, which makes a curvature by chance likelier.
    """
    x, y = sample.column("indication"), sample.column("reference")
    error = w * x + b - y
    largest = int(np.abs(error).argmax())
    result: dict[str, Any] = {
        "sampled": len(x),
        "largest_error": findings.LargestError(error=float(error[largest]), **_reading(sample, x, y, largest)),
        "curvature_p": None,
        "outlying": None,
    }
    if not s > 0 or n < 4:
        return result
    result["curvature_p"] = curvature(x, error, rho)
    leverage = 1 / n + (x - pivot) ** 2 / sxx
    standardised = error / (s * np.sqrt(np.clip(1 - leverage, 1e-12, None)))
    with np.errstate(invalid="ignore", divide="ignore"):
        # deleted residuals (Belsley, Kuh, Welsch 1980): each reading against the line and s of all others
        t = standardised * np.sqrt((n - 3) / (n - 2 - standardised**2))
    t = np.where(np.isfinite(t), t, np.sign(standardised) * 1e6)
    worst = int(np.abs(t).argmax())
    if abs(t[worst]) > 3:
        count = int((np.abs(t) > 3).sum())
        result["outlying"] = findings.Outlying(t=float(t[worst]), count=count, **_reading(sample, x, y, worst))
    return result


def _reading(sample: Sample, x: FloatArray, y: FloatArray, index: int) -> dict[str, Any]:
    return {"indication": float(x[index]), "reference": float(y[index]), **sample.place(index)}


def curvature(x: FloatArray, error: FloatArray, rho: float = 0.0) -> float | None:
    """Returns how probable a quadratic term this large is by chance, None if it can't be told.

    It is the F test with 1 and n − 3 degrees of freedom.

    Args:
        x: Indications, shape ``(N,)``.
        error: Errors about a line, shape ``(N,)`` [°C].
        rho: Lag-1 autocorrelation of the errors, by which the variance of the term is taken to grow as that of a mean
            does.
    """
    n = len(x)
    if n < 4 or x.min() == x.max():
        return None
    z = (x - x.mean()) / x.std()
    basis, triangle = np.linalg.qr(np.stack([np.ones(n), z, z * z], axis=1))
    if abs(triangle[2, 2]) < 1e-9 * math.sqrt(n):
        return None  # two set points: no quadratic can be told from a line
    parts = basis.T @ error
    left = error - basis @ parts
    dof = n - 3
    variance = float(left @ left) / dof * (1 + rho) / (1 - rho)
    return tail_of_f(float(parts[2]) ** 2 / variance, dof) if variance > 0 else 0.0


def tail_of_f(f: float, dof: int) -> float:
    """Returns the probability that an F with 1 and ``dof`` degrees of freedom exceeds ``f``."""
    import mpmath  # 0.1 s, after the fit

    return float(mpmath.betainc(dof / 2, 0.5, 0, dof / (dof + f), regularized=True))

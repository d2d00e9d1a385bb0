"""What the six numbers don't tell: the largest error, curvature, and readings that stand out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thermofit_pl.distributions import tail_of_f
from thermofit_pl.sample import Sample

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Errors:
    """What the errors of sampled readings say, each attribute of shape ``(instruments,)``; NaN or −1 where nothing.

    Attributes:
        sampled: How many readings of each instrument were looked at.
        largest: Index in the sample of the reading with the largest error.
        error: That error, estimate − reference [°C].
        outlying: Index of the reading with the largest deleted residual.
        t: That residual, in units of its own standard deviation.
        count: How many readings have one beyond ±3.
        curvature_p: p-value of a quadratic term.
    """

    sampled: NDArray[np.int64]
    largest: NDArray[np.int64]
    error: FloatArray
    outlying: NDArray[np.int64]
    t: FloatArray
    count: NDArray[np.int64]
    curvature_p: FloatArray


def diagnose(
    sample: Sample,
    w: FloatArray,
    b: FloatArray,
    *,
    s: FloatArray,
    n: FloatArray,
    pivot: FloatArray,
    sxx: FloatArray,
    rho: float = 0.0,
) -> Errors:
    """Looks at the errors of the sampled readings: the largest, whether they are curved, and which one stands out.

    Args:
        sample: Readings.
        w: Slopes, shape ``(instruments,)`` [°C per indicated unit].
        b: Intercepts, shape ``(instruments,)`` [°C].
        s: Standard deviations of the errors [°C]; NaN or 0 where there is none, and then no test is made.
        n: Numbers of all readings.
        pivot: Mean indications.
        sxx: Centred sums of squares of the indications.
        rho: Lag-1 autocorrelation of the errors of a log, which makes a curvature by chance likelier.
    """
    x, y, code = sample.column("indication"), sample.column("reference"), sample.codes()
    groups = Groups(code, len(w))
    error = w[code] * x + b[code] - y
    largest = groups.argmax(np.abs(error))
    with np.errstate(invalid="ignore", divide="ignore"):
        # deleted residuals (Belsley, Kuh, Welsch 1980): each reading against the line and s of all others
        leverage = 1 / n[code] + (x - pivot[code]) ** 2 / sxx[code]
        standardised = error / (s[code] * np.sqrt(np.clip(1 - leverage, 1e-12, None)))
        t = standardised * np.sqrt((n[code] - 3) / (n[code] - 2 - standardised**2))
    t = np.where(np.isfinite(t), t, np.sign(standardised) * 1e6)
    t[~((s > 0) & (n >= 4))[code]] = 0.0
    outlying = groups.argmax(np.abs(t))
    found = outlying >= 0
    stands_out = np.where(found, t[outlying], math.nan) if len(t) else np.full(len(w), math.nan)
    curved = curvature(x, error, groups, rho)
    return Errors(
        sampled=groups.counts,
        largest=largest,
        error=np.where(largest >= 0, error[largest], math.nan) if len(error) else np.full(len(w), math.nan),
        outlying=np.where(np.abs(stands_out) > 3, outlying, -1),
        t=stands_out,
        count=np.bincount(code[np.abs(t) > 3], minlength=len(w)),
        curvature_p=np.where((s > 0) & (n >= 4), curved, math.nan),
    )


class Groups:
    """Readings by their instrument.

    Args:
        code: The instrument of each reading, shape ``(N,)``.
        instruments: How many there are.
    """

    def __init__(self, code: NDArray[np.int64], instruments: int) -> None:
        self.code = code
        self.counts = np.bincount(code, minlength=instruments)
        self._order = np.argsort(code, kind="stable")
        self._present = np.flatnonzero(self.counts)
        self._starts = np.cumsum(self.counts)[self._present] - self.counts[self._present]

    def sums(self, values: FloatArray) -> FloatArray:
        """Returns the sum of each instrument's values, shape ``(instruments,)``."""
        sums: FloatArray = np.bincount(self.code, values, minlength=len(self.counts)).astype(np.float64)
        return sums

    def argmax(self, values: FloatArray) -> NDArray[np.int64]:
        """Returns the index of each instrument's largest value, the first of equals; −1 where there is none."""
        index = np.full(len(self.counts), -1)
        if len(values):
            ordered = values[self._order]
            largest = np.repeat(np.maximum.reduceat(ordered, self._starts), self.counts[self._present])
            at = np.flatnonzero(ordered == largest)
            instruments, first = np.unique(self.code[self._order[at]], return_index=True)
            index[instruments] = self._order[at[first]]
        return index


def curvature(x: FloatArray, error: FloatArray, groups: Groups, rho: float = 0.0) -> FloatArray:
    """Returns how probable a quadratic term this large is by chance, shape ``(instruments,)``; NaN if it can't be told.

    It is the F test with 1 and n − 3 degrees of freedom, with the quadratic term made orthogonal to the line.

    Args:
        x: Indications, shape ``(N,)``.
        error: Errors about a line, shape ``(N,)`` [°C].
        groups: Of the readings.
        rho: Lag-1 autocorrelation of the errors, by which the variance of the term is taken to grow as that of a mean
            does.
    """
    n, code = groups.counts, groups.code
    with np.errstate(invalid="ignore", divide="ignore"):
        z = x - (groups.sums(x) / n)[code]
        z /= np.sqrt(groups.sums(z * z) / n)[code]
        quadratic = z * z - 1 - (groups.sums(z**3) / n)[code] * z
        rest = error - (groups.sums(error) / n)[code] - (groups.sums(error * z) / n)[code] * z
        size = groups.sums(quadratic * quadratic)
        term = groups.sums(quadratic * rest) / size
        rest -= term[code] * quadratic
        variance = groups.sums(rest * rest) / (n - 3) * (1 + rho) / (1 - rho)
        f = term**2 * size / variance
    # two set points: no quadratic can be told from a line
    told = (n >= 4) & (size > 1e-18 * n)
    return np.where(told, tail_of_f(np.where(told, np.nan_to_num(f, nan=0.0), 0.0), np.maximum(n - 3, 1)), math.nan)

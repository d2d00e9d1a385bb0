"""What the six numbers don't tell: the largest error, curvature, and readings that stand out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thermofit_pl.functional.distributions import tail_of_f
from thermofit_pl.functional.groups import Groups

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
    indication: FloatArray,
    reference: FloatArray,
    instrument: NDArray[np.int64],
    w: FloatArray,
    b: FloatArray,
    *,
    s: FloatArray,
    n: FloatArray,
    pivot: FloatArray,
    sxx: FloatArray,
    rho: float | FloatArray = 0.0,
) -> Errors:
    """Looks at the errors of the sampled readings: the largest, whether they are curved, and which one stands out.

    Args:
        indication: Of the sampled readings, shape ``(N,)`` [indicated unit].
        reference: Likewise [°C].
        instrument: The index of each one's instrument, shape ``(N,)``.
        w: Slopes, shape ``(instruments,)`` [°C per indicated unit].
        b: Intercepts, shape ``(instruments,)`` [°C].
        s: Standard deviations of the errors [°C]; NaN or 0 where there is none, and then no test is made.
        n: Numbers of all readings.
        pivot: Mean indications.
        sxx: Centred sums of squares of the indications.
        rho: Lag-1 autocorrelations of the errors of logs, which make a curvature by chance likelier.
    """
    groups = Groups(instrument, len(w))
    x, y = groups.sorted(indication), groups.sorted(reference)
    error = groups.each(w) * x + groups.each(b) - y
    largest = groups.argmax(np.abs(error))
    with np.errstate(invalid="ignore", divide="ignore"):
        # deleted residuals (Belsley, Kuh, Welsch 1980): each reading against the line and s of all others
        leverage = groups.each(1 / n) + (x - groups.each(pivot)) ** 2 * groups.each(1 / sxx)
        standardised = error / (groups.each(s) * np.sqrt(np.clip(1 - leverage, 1e-12, None)))
        t = standardised * np.sqrt(groups.each(n - 3) / (groups.each(n - 2) - standardised**2))
    t = np.where(np.isfinite(t), t, np.sign(standardised) * 1e6)
    t[groups.each(~((s > 0) & (n >= 4)))] = 0.0
    outlying = groups.argmax(np.abs(t))
    stands_out = groups.at(t, outlying)
    curved = curvature(x, error, groups, rho)
    return Errors(
        sampled=groups.counts,
        largest=groups.unsorted(largest),
        error=groups.at(error, largest),
        outlying=groups.unsorted(np.where(np.abs(stands_out) > 3, outlying, -1)),
        t=stands_out,
        count=groups.sums(np.abs(t) > 3).astype(np.int64),
        curvature_p=np.where((s > 0) & (n >= 4), curved, math.nan),
    )


def curvature(x: FloatArray, error: FloatArray, groups: Groups, rho: float | FloatArray = 0.0) -> FloatArray:
    """Returns how probable a quadratic term this large is by chance, shape ``(instruments,)``; NaN if it can't be told.

    It is the F test with 1 and n − 3 degrees of freedom, with the quadratic term made orthogonal to the line.

    Args:
        x: Indications, shape ``(N,)``, sorted by instrument.
        error: Errors about a line, shape ``(N,)`` [°C].
        groups: Of the readings.
        rho: Lag-1 autocorrelation of the errors, of all or of each instrument: the variance of the term is taken to
            grow as that of a mean does.
    """
    n, each, sums = groups.counts, groups.each, groups.sums
    with np.errstate(invalid="ignore", divide="ignore"):
        z = x - each(sums(x) / n)
        z *= each(1 / np.sqrt(sums(z * z) / n))
        square = z * z
        quadratic = square - 1 - each(sums(square * z) / n) * z
        rest = error - each(sums(error) / n) - each(sums(error * z) / n) * z
        size = sums(quadratic * quadratic)
        term = sums(quadratic * rest) / size
        rest -= each(term) * quadratic
        variance = sums(rest * rest) / (n - 3) * (1 + rho) / (1 - rho)
        f = term**2 * size / variance
    # two set points: no quadratic can be told from a line
    told = (n >= 4) & (size > 1e-18 * n)
    return np.where(told, tail_of_f(np.where(told, np.nan_to_num(f, nan=0.0), 0.0), np.maximum(n - 3, 1)), math.nan)

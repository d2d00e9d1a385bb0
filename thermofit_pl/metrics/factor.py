"""The six numbers of some readings: how they are formed, and merged.

They are the count, the two means, the centred sum of squares of the indication, the least-squares slope, and the sum
of squared errors that this slope leaves. Kept in this form, rather than as sums of squares and products, they merge by
adding terms that are all positive (the update of a QR factorisation, written out for a line: Gentleman 1974, AS 75;
Chan, Golub, LeVeque 1983 for the means). Nothing cancels, so the errors of a thermometer that is good to 0.1 mK over
100 °C keep ten digits and more, in any order and in batches of any size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FloatArray = NDArray[np.float64]

# Readings that are added up at once on a CPU: columns of this length stay in a core's second-level cache, and BLAS
# takes one thread for up to 10,000 numbers, while threads of its own would fight with those that read the table.
CHUNK = 9_984
CANCELLED = 4.0  # what a sum of squares may be times what is left of it: two bits are lost
PASSES = 4  # the first finds the line to a few digits at least, even a million spreads away; each doubles them

# Six numbers, lowest and highest indications: shapes (parts, instruments, 6) and twice (parts, instruments).
Parts = tuple[Tensor, Tensor, Tensor]


def of_columns(x: FloatArray, y: FloatArray, line: tuple[float, float, float]) -> list[float]:
    """Returns the six numbers of one instrument's readings on a CPU, and their lowest and highest indication.

    Sums are formed about a provisional line; where it was so far off that digits cancel, again about the line found.

    Args:
        x: Indications, shape ``(N,)``, at least one [indicated unit].
        y: References, shape ``(N,)`` [°C].
        line: A mean indication, the reference there and a slope: those of earlier readings, or any.
    """
    n, low, high = float(len(x)), float(x.min()), float(x.max())
    for _ in range(PASSES):
        x0, y0, w0 = line
        d, e, dd, de, ee = _sums(x, y, line)
        sxx, product = dd - d * d / n, de - d * e / n
        change = product / sxx if sxx > 0 else 0.0
        sse = max(ee - e * e / n - change * product, 0.0)
        mean = min(max(x0 + d / n, low), high)  # that of equal numbers can be off by rounding
        line = mean, y0 + e / n + w0 * (d / n), w0 + change if sxx > 0 else 0.0
        if dd <= CANCELLED * sxx and ee <= CANCELLED * sse:
            break
    if abs(line[2]) * (high - low) < 1e-9 * abs(line[1]) and y.min() == y.max():
        line, sse = (line[0], float(y[0]), 0.0), 0.0  # a slope of equal references would be rounding
    return [n, line[0], line[1], max(sxx, 0.0), line[2], sse, low, high]


def as_parts(formed: Sequence[list[float]]) -> Parts:
    """Returns as tensors what was formed of some columns of one instrument's readings."""
    columns = torch.tensor(formed, dtype=torch.float64)[:, None]
    return columns[..., :6], columns[..., 6], columns[..., 7]


def _sums(x: FloatArray, y: FloatArray, line: tuple[float, float, float]) -> list[float]:
    """Returns the sums of the deviation of the indication, of the error, and of their squares and product."""
    x0, y0, w0 = line
    room, ones = np.empty((3, min(len(x), CHUNK))), np.ones(min(len(x), CHUNK))
    sums = []
    for first in range(0, len(x), CHUNK):
        part_x, part_y = x[first : first + CHUNK], y[first : first + CHUNK]
        deviation, error, on_line = room[:, : len(part_x)]
        np.subtract(part_x, x0, out=deviation)
        np.subtract(part_y, y0, out=error)  # first, while that is exact or nearly so
        np.multiply(deviation, w0, out=on_line)
        np.subtract(error, on_line, out=error)
        one = ones[: len(part_x)]  # BLAS adds up faster than NumPy
        totals = deviation.dot(one), error.dot(one)
        sums.append((*totals, deviation.dot(deviation), deviation.dot(error), error.dot(error)))
    return [math.fsum(column) for column in zip(*sums, strict=True)]


def of_readings(x: Tensor, y: Tensor) -> Parts:
    """Returns the same on a card, in one part."""
    low, high = x.aminmax()
    # the mean of equal numbers can be off by rounding, and a slope taken over that distance would be noise
    mean_x, mean_y = x.mean().clamp(low, high), y.mean()
    dx, dy = x - mean_x, y - mean_y
    sxx = dx.dot(dx)
    slope = torch.where(sxx > 0, dx.dot(dy) / sxx, 0.0)
    error = torch.addcmul(dy, dx, slope, value=-1)
    six = torch.stack([torch.full_like(mean_x, len(x)), mean_x, mean_y, sxx, slope, error.dot(error)])
    return six[None, None], low[None, None], high[None, None]


def of_instruments(x: Tensor, y: Tensor, instrument: Tensor, instruments: int) -> Parts:
    """Returns the same of several instruments' readings, in one part."""

    def total(values: Tensor) -> Tensor:
        return x.new_zeros(instruments).index_add_(0, instrument, values)

    low = x.new_full((instruments,), torch.inf).scatter_reduce_(0, instrument, x, "amin")
    high = x.new_full((instruments,), -torch.inf).scatter_reduce_(0, instrument, x, "amax")
    count = total(torch.ones_like(x))
    n = count.clamp(min=1)
    mean_x, mean_y = torch.where(count > 0, (total(x) / n).clamp(low, high), 0.0), total(y) / n
    # index_select, since indexing costs five times as much
    dx, dy = x - mean_x.index_select(0, instrument), y - mean_y.index_select(0, instrument)
    sxx = total(dx * dx)
    slope = torch.where(sxx > 0, total(dx * dy) / sxx, 0.0)
    error = dy - slope.index_select(0, instrument) * dx
    six = torch.stack([count, mean_x, mean_y, sxx, slope, total(error * error)], dim=-1)
    return six[None], low[None], high[None]


def merge(first: Tensor, second: Tensor) -> Tensor:
    """Returns the moments of two sets of readings together, shape ``(..., 6)`` as each of them.

    The new slope is the mean of the two slopes and of that between the two centres, weighted by their sums of squares;
    what each of the three leaves about it is added to the errors.
    """
    n_a, x_a, y_a, sxx_a, w_a, sse_a = first.unbind(-1)
    n_b, x_b, y_b, sxx_b, w_b, sse_b = second.unbind(-1)
    n = n_a + n_b
    share = n_b / n.clamp(min=1)
    dx, dy, between = x_b - x_a, y_b - y_a, n_a * share
    sxx = sxx_a + sxx_b + between * dx * dx
    change = ((w_b - w_a) * sxx_b + between * dx * (dy - w_a * dx)) / torch.where(sxx > 0, sxx, 1.0)
    slope = w_a + change
    sse = sse_a + change.square() * sxx_a
    sse = sse + sse_b + (slope - w_b).square() * sxx_b + between * (dy - slope * dx).square()
    return torch.stack([n, x_a + share * dx, y_a + share * dy, sxx, slope, sse], dim=-1)


def merge_all(parts: Tensor) -> Tensor:
    """Returns the merged moments, shape ``(instruments, 6)``, of parts of shape ``(parts, instruments, 6)``."""
    while len(parts) > 1:
        odd = parts[-1:] if len(parts) % 2 else parts[:0]
        even = len(parts) - len(odd)
        parts = torch.cat([merge(parts[0:even:2], parts[1:even:2]), odd])
    return parts[0]

"""Whether one of two clocks seems to be wrong: the shift at which the errors of a line would be smallest."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

MOST = 2000  # readings of the reference that are looked at
LEAST = 20  # pairs, and half as many as without the shift: with 8, 3 % of pairs of short logs with true clocks had one
RATIO = 2.0  # between errors: in 2,000 pairs of simulated logs of 24 to 400 readings with true clocks, one reached it
QUARTERS = np.arange(-56, 57) * 900.0  # s; clocks are wrong by time zones, up to 14 h in quarters of an hour


class Better(NamedTuple):
    """A shift [s] of the reference's clock, and how many times smaller the errors are with it."""

    shift: float
    ratio: float


def suggested_shift(
    shown: pl.DataFrame, standard: pl.DataFrame, tolerance: float, shift: float, how: str
) -> Better | None:
    """Looks for a shift of the reference's clock with which the errors are much smaller.

    Args:
        shown: The log of the indication, in time order: `time` [s] and `value`.
        standard: The log of the reference, likewise.
        tolerance: How far apart a pair may be [s].
        shift: The shift in force [s].
        how: Which indication is taken, ``nearest`` or ``last``.

    Returns:
        It; None where no shift is that much better.
    """
    x_at, x = (shown[name].to_numpy() for name in ("time", "value"))
    y_at, y = (standard[name].to_numpy() for name in ("time", "value"))
    few = np.unique(np.linspace(0, len(y) - 1, min(len(y), MOST)).astype(np.int64))
    y_at, y = y_at[few], y[few]
    now, n = _scatter(x_at, x, y_at + shift, y, tolerance, how)
    tried = shift + np.unique(np.concatenate([QUARTERS, np.arange(-20, 21) * 2 * tolerance]))
    found = [(*_scatter(x_at, x, y_at + at, y, tolerance, how), abs(at - shift), at) for at in tried]
    enough = [(s, distance, at) for s, pairs, distance, at in found if pairs >= max(LEAST, n / 2)]
    if not enough or not np.isfinite(now):
        return None
    s, _, best = min(enough)
    return Better(float(best), now / s) if s > 0 and now / s >= RATIO else None


def _scatter(
    x_at: NDArray[np.float64],
    x: NDArray[np.float64],
    y_at: NDArray[np.float64],
    y: NDArray[np.float64],
    tolerance: float,
    how: str,
) -> tuple[float, int]:
    """The standard deviation of the errors of a line through the pairs, and how many these are."""
    after = np.searchsorted(x_at, y_at, side="right")
    before = np.maximum(after - 1, 0)
    if how == "nearest":
        after = np.minimum(after, len(x_at) - 1)
        before = np.where(np.abs(x_at[after] - y_at) < np.abs(x_at[before] - y_at), after, before)
    apart = y_at - x_at[before]
    kept = (np.abs(apart) <= tolerance) & (apart >= (0 if how == "last" else -np.inf)) & np.isfinite(x[before] + y)
    a, b = x[before][kept], y[kept]
    if len(a) < LEAST or not np.ptp(a) > 0:
        return float("inf"), len(a)
    a, b = a - a.mean(), b - b.mean()
    left = float(b @ b - (a @ b) ** 2 / (a @ a))
    return float(np.sqrt(max(left, 0.0) / (len(a) - 2))), len(a)

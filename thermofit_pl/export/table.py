"""A table for what holds no formula: one pair a line, linear between, with knots by curvature."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from thermofit_pl.export.formula import FloatArray, Powers
from thermofit_pl.export.numbers import between, double, places
from thermofit_pl.export.proof import Draft
from thermofit_pl.export.view import View

COMMENT, SUFFIX = "# ", ".csv"
MOST = 10_000  # knots
SHARE = 0.8  # of a tenth of u is for the chords, the rest for rounding and between the points of the grid


def drafts(view: View) -> Iterator[Draft]:
    """Yields a table of indication and reference."""
    x, y = knots(view)
    text = "".join(f"{double(one)},{double(other)}\n" for one, other in zip(x, y, strict=True))
    yield Draft(
        text,
        "by linear interpolation",
        lambda at: np.interp(at, x, y),
        ("indication,reference; linear between the lines, no value beyond the ends",),
    )


def knots(view: View) -> tuple[FloatArray, FloatArray]:
    """Returns the knots of a piecewise linear function that follows the curve.

    From each knot the next one is as far away as the chord allows: knots are dense where the curve bends, and as few as
    can be. A line has two.

    Args:
        view: The calibration.

    Returns:
        Indications, ascending, and what the calibration makes of them, as they are printed.
    """
    ends = np.array([view.low, view.high])
    allowed = float(view.tolerance(view.grid()).min())
    decimals = places(allowed / 100)
    if not view.high > view.low:
        ends = np.array([view.low, view.low + 1.0])
    if isinstance(view.formula, Powers) and view.formula.degree == 1:
        return ends, np.round(view.estimate(ends), decimals)
    x = view.grid()
    y, room = view.estimate(x), SHARE * view.tolerance(x)
    chosen = [0]
    while chosen[-1] < len(x) - 1 and len(chosen) < MOST:
        chosen.append(_farthest(x, y, room, chosen[-1]))
    at = x[chosen]
    at[1:-1] = [between(float(value), view.high - view.low) for value in at[1:-1]]
    return at, np.round(view.estimate(at), decimals)


def _farthest(x: FloatArray, y: FloatArray, room: FloatArray, start: int) -> int:
    """The last point to which the chord from a point stays close enough: by doubling, then halving, the stride."""

    def close(end: int) -> bool:
        part = slice(start, end + 1)
        chord = y[start] + (y[end] - y[start]) * ((x[part] - x[start]) / (x[end] - x[start]))
        return bool((np.abs(chord - y[part]) <= room[part]).all())

    stride, last = 1, len(x) - 1
    while start + 2 * stride <= last and close(start + 2 * stride):
        stride *= 2
    near, far = start + stride, min(start + 2 * stride, last)
    while near < far:
        middle = (near + far + 1) // 2
        near, far = (middle, far) if close(middle) else (near, middle - 1)
    return near

"""Figures of the page, as numbers for its template: SVG of our own, so that the page needs no other package."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from thermofit_pl.formatting import signed, two_digits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thermofit_pl.calibration.calibration import Calibration

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 70, 625, 12, 250
SINGLE, LINE, BAR = "#cfe3f1", "#8fbfe0", "#56B4E9"
BINS = 20

Figure = dict[str, Any]


class _Axes:
    """Where values are on the paper."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        self.x, self.y = x, y

    def at(self, x: float, y: float) -> tuple[float, float]:
        (left, right), (low, high) = self.x, self.y
        across = LEFT + (RIGHT - LEFT) * (x - left) / (right - left)
        return round(across, 2), round(BOTTOM - (BOTTOM - TOP) * (y - low) / (high - low), 2)

    def points(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
        pairs = (self.at(*pair) for pair in zip(x.tolist(), y.tolist(), strict=True))
        return " ".join(f"{across},{down}" for across, down in pairs)

    def figure(self, **words: str) -> Figure:
        x_ticks = [{"at": self.at(value, self.y[0])[0], "text": text} for value, text in _ticks(*self.x)]
        y_ticks = [
            {"at": self.at(self.x[0], value)[1], "text": text, "zero": value == 0} for value, text in _ticks(*self.y)
        ]
        places = {"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": RIGHT, "top": TOP, "bottom": BOTTOM}
        return {**places, "x_ticks": x_ticks, "y_ticks": y_ticks, "areas": [], "dots": [], **words}


def _ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Round numbers inside an axis, five or so, and their texts."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    digits = max(1, math.ceil(math.log10(max(abs(first), abs(last), 1) + 1)) + 2)
    return [(k * step, signed(f"{k * step:.{digits}g}")) for k in range(first, last + 1)]


def band_figure(c: Calibration, unit: str) -> Figure | None:
    """Returns the figure of errors: bands of the curve and of one reading about zero, and the errors that are known.

    Args:
        c: The calibration.
        unit: The reference's.

    Returns:
        The figure; None where nothing is to be drawn.
    """
    low, high = c.indication_range
    if not high > low:
        return None
    x = np.linspace(low, high, 101)
    found = c.correct(x, "ignore")
    bands = []
    if c.coverage_factor is not None and c.u_pivot is not None:
        bands = [(c.coverage_factor * u, fill) for u, fill in ((found.u_single, SINGLE), (found.u_line, LINE))]
    dots = []
    for one in (c.diagnostics.largest_error, c.diagnostics.outlying):
        if one is not None:
            error = c.correct(one.indication, "ignore").estimate - one.reference
            dots.append((one.indication, error, f"error {signed(f'{error:.3g}')} {unit}, row {one.row}"))
    top = 1.15 * max(
        [float(band.max()) for band, _ in bands if np.isfinite(band).all()] + [abs(y) for _, y, _ in dots] + [0.0]
    )
    if not (top > 0 and math.isfinite(top)):
        return None
    axes = _Axes((low, high), (-top, top))
    figure = axes.figure(
        title="Errors and uncertainty",
        x_label="indication",
        y_label=f"error ({unit})",
        caption=f"Errors are estimate − reference. Bands for {100 * c.coverage_probability:.4g} %: dark of the curve, "
        "light of one corrected reading. Dots: the readings with the largest error, and that which stands out most.",
    )
    there = np.concatenate([x, x[::-1]])
    figure["areas"] = [
        {"points": axes.points(there, np.concatenate([band, -band[::-1]])), "fill": fill}
        for band, fill in bands
        if np.isfinite(band).all()
    ]
    figure["dots"] = [dict(zip("xy", axes.at(at, error), strict=True), text=text) for at, error, text in dots]
    return figure


def histogram(values: NDArray[np.float64], x_label: str, y_label: str) -> Figure | None:
    """Returns the figure of how values spread over a fleet; None where there are no two of them.

    Args:
        values: Shape ``(instruments,)``.
        x_label: What they are.
        y_label: What is counted.
    """
    values = values[np.isfinite(values)]
    if len(values) < 2 or not values.max() > values.min():
        return None
    number, edges = np.histogram(values, BINS)
    axes = _Axes((float(edges[0]), float(edges[-1])), (0.0, 1.08 * float(number.max())))
    middle = two_digits(float(np.median(values)))
    figure = axes.figure(title=x_label, x_label=x_label, y_label=y_label, caption=f"Half of them are below {middle}.")
    figure["areas"] = [
        {"points": axes.points(np.array([a, a, b, b]), np.array([0.0, n, n, 0.0])), "fill": BAR}
        for a, b, n in zip(edges[:-1], edges[1:], number.astype(float), strict=True)
    ]
    return figure

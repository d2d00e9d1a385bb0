"""Pictures of a calibration: its readings and its errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from thermofit_pl.curves.line import Line
from thermofit_pl.formatting import count, printable, signed, two_digits
from thermofit_pl.functional.scales import scales_in
from thermofit_pl.reports.descent import Descent, draw_learning_curve, draw_loss
from thermofit_pl.reports.drawing import BLACK, BLUE, ORANGE, SKY, label, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from thermofit_pl.calibration.calibration import Calibration
    from thermofit_pl.calibration.records import LargestError, Outlying

FloatArray = NDArray[np.float64]

MISSING = "Figures: none, since matplotlib is missing; pip install 'thermofit_pl[plots]' gets them."
DRAWN = 3000  # readings of a figure: more of them are a blot, and take time
FARTHEST = 100  # readings with the largest errors that are drawn whatever else is


@dataclass(frozen=True)
class Shown:
    """The readings of a figure, in the table's order.

    Attributes:
        indication: Shape ``(N,)`` [indicated unit].
        reference: Shape ``(N,)`` [the reference's unit].
        position: Which reading of the table each is, counted from 1, shape ``(N,)``; about, where it was sampled.
    """

    indication: FloatArray
    reference: FloatArray
    position: FloatArray


def choose(indication: FloatArray, reference: FloatArray, calibration: Calibration, seed: int = 0) -> Shown:
    """Chooses readings to draw: all of a few; of many, those with the largest errors and some at random.

    Args:
        indication: Of a sample of the readings in the table's order, or of all, shape ``(N,)`` [indicated unit].
        reference: Likewise [the reference's unit].
        calibration: Their calibration.
        seed: Of the draw.
    """
    n = len(indication)
    position = ((np.arange(n) + 0.5) * (calibration.n / max(n, 1)) + 0.5).astype(np.float64)
    if n > DRAWN:
        error = np.abs(calibration.correct(indication, "ignore").estimate - reference)
        farthest = np.argpartition(error, n - FARTHEST)[n - FARTHEST :]
        some = np.random.default_rng(seed).choice(n, DRAWN - FARTHEST, replace=False)
        kept = np.union1d(farthest, some)
        indication, reference, position = indication[kept], reference[kept], position[kept]
    return Shown(indication, reference, position)


def pictures(
    calibration: Calibration, shown: Shown, descent: Descent | None = None
) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Yields the name of each figure, and what draws it as a PNG of ``SIZE``.

    Args:
        calibration: The calibration.
        shown: Readings that it was made from.
        descent: The way to it, where an optimiser went one.
    """
    yield "readings", lambda: png(lambda axes: draw_readings(axes, calibration, shown))
    yield "errors", lambda: png(lambda axes: draw_errors(axes, calibration, shown))
    yield "errors_in_order", lambda: png(lambda axes: draw_errors_in_order(axes, calibration, shown))
    if descent is not None:
        yield "loss", lambda: png(lambda axes: draw_loss(axes, descent))
        yield "learning_curve", lambda: png(lambda axes: draw_learning_curve(axes, descent))


def draw_readings(axes: Axes, c: Calibration, shown: Shown) -> None:
    """Draws the readings, the curve with its bands, and the nearest named scale."""
    x = _grid(c)
    line = c.correct(x, "ignore")
    _bands(axes, c, x, line.estimate)
    _dots(axes, shown.indication, shown.reference, "readings" + _drawn(c, shown))
    axes.plot(x, line.estimate, color=BLUE, label=_LINES[c.finish].format(c.curve.shape))
    _scale(axes, c, x, lambda w, b: w * x + b)
    _point_out(axes, c, lambda found: found.reference)
    label(axes, c.quantities, _indication(c), _column("reference", c) + f" ({c.unit})")


def draw_errors(axes: Axes, c: Calibration, shown: Shown) -> None:
    """Draws the errors against the indication, with the curve's bands."""
    x = _grid(c)
    error = c.correct(shown.indication, "ignore").estimate - shown.reference
    _bands(axes, c, x, np.zeros_like(x))
    axes.axhline(0, color=BLUE)
    _dots(axes, shown.indication, error, "errors" + _drawn(c, shown))
    _scale(axes, c, x, lambda w, b: c.correct(x, "ignore").estimate - (w * x + b))
    _point_out(axes, c, lambda found: c.correct(found.indication, "ignore").estimate - found.reference)
    title = f"Errors (estimate − reference): rmse {two_digits(c.rmse)} {c.unit}"
    label(axes, title, _indication(c), f"error ({c.unit})")


def draw_errors_in_order(axes: Axes, c: Calibration, shown: Shown) -> None:
    """Draws the errors in the table's order, with the bands at each reading's indication."""
    error = c.correct(shown.indication, "ignore").estimate - shown.reference
    order = shown.position
    _bands(axes, c, shown.indication, np.zeros_like(error), at=order)
    axes.axhline(0, color=BLUE)
    if len(order) <= 200:
        axes.plot(order, error, color=BLACK, linewidth=0.8, alpha=0.5)
    _dots(axes, order, error, "errors" + _drawn(c, shown))
    axes.locator_params(axis="x", integer=True)
    label(axes, "Errors in the order of the readings", "reading, in the table's order", f"error ({c.unit})")


_LINES = {"least_squares": "least-squares {}", "sgd": "SGD's {}", "snap": "exact conversion"}


def _bands(axes: Axes, c: Calibration, x: FloatArray, centre: FloatArray, at: FloatArray | None = None) -> None:
    """Fills ±k·u_single and ±k·u_line about a centre, where the calibration has them."""
    k = c.coverage_factor
    if k is None:
        return
    at = x if at is None else at
    corrected = c.correct(x, "ignore")
    kinds = (("u_single", "one reading", SKY, 0.35), ("u_line", f"the {c.curve.shape}", BLUE, 0.45))
    for name, what, color, alpha in kinds:
        half = k * getattr(corrected, name)
        if np.isfinite(half).all() and half.any():
            said = f"{what}: ±k·{name}"
            axes.fill_between(at, centre - half, centre + half, color=color, alpha=alpha, linewidth=0, label=said)
    if axes.collections:
        factor = f"k = {k:.4g} covers {100 * c.coverage_probability:.4g} %"
        axes.text(1, 1.01, factor, transform=axes.transAxes, ha="right", va="bottom", fontsize=10)


def _dots(axes: Axes, x: FloatArray, y: FloatArray, what: str) -> None:
    size = 36 if len(x) <= 100 else 9 if len(x) <= 1000 else 3
    axes.scatter(x, y, s=size, color=BLACK, linewidths=0, label=what, zorder=3)


def _scale(axes: Axes, c: Calibration, x: FloatArray, curve: Callable[[float, float], FloatArray]) -> None:
    """Draws the nearest named scale where it passes through what is seen, and changes no limits for it."""
    if c.scale is None or not c.units.is_temperature:
        return
    scale = scales_in(c.unit)[c.scale.nearest]
    y = curve(scale.w, scale.b)
    low, high = axes.get_ylim()
    if ((y >= low) & (y <= high)).any():
        axes.plot(x, y, color=ORANGE, linestyle="--", label=f"exact {scale.unit}", scaley=False)
        axes.set_ylim(low, high)


def _point_out(axes: Axes, c: Calibration, y: Callable[[LargestError | Outlying], float]) -> None:
    """Names the row of the reading that stands out most, or of the one with the largest error."""
    out = c.diagnostics.outlying
    found = out or c.diagnostics.largest_error
    if found is None or c.below_rounding or c.n < 3:
        return
    what = "largest error" if out is None else f"stands out, t = {signed(f'{out.t:.1f}')}"
    place = "" if found.row is None else f", row {found.row}"
    low, high = c.indication_range
    right = found.indication - low > high - found.indication
    at = (found.indication, y(found))
    axes.annotate(
        what + place, at, xytext=(-10 if right else 10, 0), textcoords="offset points",
        ha="right" if right else "left", va="center", color=ORANGE, fontsize=11, fontweight="bold", zorder=4,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
    )  # fmt: skip
    axes.plot(*at, "o", color="none", markeredgecolor=ORANGE, markeredgewidth=2, markersize=11)


def _drawn(c: Calibration, shown: Shown) -> str:
    n = len(shown.indication)
    return f" ({count(n)})" if n >= c.n else f" ({count(n)} of {count(c.n)})"


def _indication(c: Calibration) -> str:
    return _column("indication", c) + f" ({c.units.indicated})"


def _column(role: str, c: Calibration) -> str:
    name = getattr(c, f"{role}_column")
    return role if name in (None, role) else f"{role}: {printable(name, 40)}"


def _grid(c: Calibration) -> FloatArray:
    low, high = c.indication_range
    # beyond the readings, a line goes on as it is; another curve may turn, or have no value
    margin = (high - low) * 0.03 if isinstance(c.curve, Line) else 0.0
    return np.linspace(low - margin, high + margin, 201)


def is_there() -> bool:
    """Whether figures can be drawn: matplotlib is installed."""
    from importlib.util import find_spec

    return find_spec("matplotlib") is not None

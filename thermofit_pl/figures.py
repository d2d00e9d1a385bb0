"""Pictures of a calibration: its readings, its errors, and the way that the optimiser went."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from thermofit_pl.drawing import BLACK, BLUE, ORANGE, SKY, label, logarithmic, png
from thermofit_pl.scales import SCALES
from thermofit_pl.wording import count, printable, short, signed, two_digits

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from thermofit_pl.calibration import Calibration
    from thermofit_pl.findings import LargestError, Outlying

FloatArray = NDArray[np.float64]

MISSING = "Figures: none, since matplotlib is missing; pip install 'thermofit_pl[plots]' gets them."
DRAWN = 3000  # readings of a figure: more of them are a blot, and take time
FARTHEST = 100  # readings with the largest errors that are drawn whatever else is


@dataclass(frozen=True)
class Shown:
    """The readings of a figure, in the table's order.

    Attributes:
        indication: Shape ``(N,)`` [indicated unit].
        reference: Shape ``(N,)`` [°C].
        position: Which reading of the table each is, counted from 1, shape ``(N,)``; about, where it was sampled.
    """

    indication: FloatArray
    reference: FloatArray
    position: FloatArray


@dataclass(frozen=True)
class Bowl:
    """The loss over (w, b) on normalised indications: a paraboloid.

    Attributes:
        w: Slope of the least-squares line [°C per normalised unit].
        b: Its intercept [°C].
        least: Its mean squared error [°C²].
        mean: Mean of the normalised indications.
        variance: Their variance, over n.
    """

    w: float
    b: float
    least: float
    mean: float
    variance: float

    def loss(self, w: FloatArray, b: FloatArray) -> FloatArray:
        """Returns the mean squared error [°C²] of lines; ``w`` and ``b`` of any shapes that broadcast."""
        dw = w - self.w
        loss: FloatArray = self.least + dw**2 * self.variance + (dw * self.mean + b - self.b) ** 2
        return loss


@dataclass(frozen=True)
class Descent:
    """The way that an optimiser went, on normalised indications, where its steps are at right angles to contours.

    Attributes:
        steps: Numbers of the steps that are shown, shape ``(K,)``.
        loss: Mean squared error before each of them, shape ``(K,)`` [°C²].
        w: Slopes: at the start, and after each of them, shape ``(K + 1,)`` [°C per normalised unit].
        b: Intercepts likewise [°C].
        predicted: The loss before each of them that the Hessian predicts for plain full-batch SGD, shape ``(K,)``; None
            for another optimiser.
        bowl: The loss over (w, b).
        normalization: What indications were put through, in words.
    """

    steps: NDArray[np.int64]
    loss: FloatArray
    w: FloatArray
    b: FloatArray
    predicted: FloatArray | None
    bowl: Bowl
    normalization: str


def choose(indication: FloatArray, reference: FloatArray, calibration: Calibration, seed: int = 0) -> Shown:
    """Chooses readings to draw: all of a few; of many, those with the largest errors and some at random.

    Args:
        indication: Of a sample of the readings in the table's order, or of all, shape ``(N,)`` [indicated unit].
        reference: Likewise [°C].
        calibration: Their calibration.
        seed: Of the draw.
    """
    n = len(indication)
    position = ((np.arange(n) + 0.5) * (calibration.n / max(n, 1)) + 0.5).astype(np.float64)
    if n > DRAWN:
        error = np.abs(calibration.w * indication + calibration.b - reference)
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
    """Draws the readings, the line with its bands, and the nearest named scale."""
    x = _grid(c)
    line = c.correct(x, "ignore")
    _bands(axes, c, x, line.estimate)
    _dots(axes, shown.indication, shown.reference, "readings" + _drawn(c, shown))
    axes.plot(x, line.estimate, color=BLUE, label=_LINES[c.finish])
    _scale(axes, c, x, lambda w, b: w * x + b)
    w, b = short(c.w, c.u_w), short(c.b, c.u_b)
    label(axes, f"Readings and line: w = {w} °C/unit, b = {b} °C", _indication(c), _column("reference", c) + " (°C)")


def draw_errors(axes: Axes, c: Calibration, shown: Shown) -> None:
    """Draws the errors against the indication, with the line's bands."""
    x = _grid(c)
    error = c.w * shown.indication + c.b - shown.reference
    _bands(axes, c, x, np.zeros_like(x))
    axes.axhline(0, color=BLUE)
    _dots(axes, shown.indication, error, "errors" + _drawn(c, shown))
    _scale(axes, c, x, lambda w, b: (c.w - w) * x + (c.b - b))
    _point_out(axes, c)
    title = f"Errors, estimate − reference: rmse = {two_digits(c.rmse)} °C"
    label(axes, title, _indication(c), "error (°C)")


def draw_errors_in_order(axes: Axes, c: Calibration, shown: Shown) -> None:
    """Draws the errors in the table's order, with the bands at each reading's indication."""
    error = c.w * shown.indication + c.b - shown.reference
    order = shown.position
    _bands(axes, c, shown.indication, np.zeros_like(error), at=order)
    axes.axhline(0, color=BLUE)
    if len(order) <= 200:
        axes.plot(order, error, color=BLACK, linewidth=0.8, alpha=0.5)
    _dots(axes, order, error, "errors" + _drawn(c, shown))
    axes.locator_params(axis="x", integer=True)
    label(axes, "Errors in the order of the readings", "reading, in the table's order", "error (°C)")


def draw_loss(axes: Axes, descent: Descent) -> None:
    """Draws the loss over (w, b) as contours, and the optimiser's path."""
    import matplotlib as mpl
    from matplotlib.colors import BoundaryNorm

    bowl = descent.bowl
    w, b = (_around(np.append(path, least)) for path, least in ((descent.w, bowl.w), (descent.b, bowl.b)))
    grid = bowl.loss(w[None, :], b[:, None])
    highest = float(grid.max() - bowl.least)
    levels = bowl.least + highest * np.geomspace(1e-5, 1, 11)
    levels = np.unique(np.concatenate([[bowl.least], levels]))
    if len(levels) > 2:
        norm = BoundaryNorm(levels, 256)
        filled = axes.contourf(w, b, grid, levels=levels, norm=norm, cmap=mpl.colormaps["cividis_r"], extend="max")
        axes.contour(w, b, grid, levels=levels[1:], colors="white", linewidths=0.5)
        figure: Any = axes.get_figure()
        bar = figure.colorbar(filled, cax=axes.inset_axes((1.03, 0, 0.04, 1)), label="loss (°C²)")
        bar.set_ticks(list(levels[::2]), labels=[f"{level:.4g}" for level in levels[::2]])
    axes.plot(descent.w, descent.b, color=ORANGE, linewidth=2, marker=".", markersize=4, label="the optimiser's path")
    axes.plot(descent.w[0], descent.b[0], "o", color=ORANGE, markeredgecolor="white", markersize=10, label="start")
    axes.plot(descent.w[-1], descent.b[-1], "s", color=ORANGE, markeredgecolor="white", markersize=11, label="end")
    axes.plot(bowl.w, bowl.b, "*", color="white", markeredgecolor=BLACK, markersize=13, label="least squares")
    axes.grid(visible=False)
    first, last = int(descent.steps[0]), int(descent.steps[-1])
    title = f"Loss over (w, b), and steps {count(first)} to {count(last)}"
    unit = f"w (°C per normalised unit: {printable(descent.normalization, 40)})"
    label(axes, title, unit, "b (°C, on normalised indications)", right=0.8)


def draw_learning_curve(axes: Axes, descent: Descent) -> None:
    """Draws the loss against the step, as it was, and as the Hessian predicts it."""
    positive = descent.loss > 0
    axes.plot(descent.steps[positive], descent.loss[positive], ".", color=BLACK, label="loss before the step")
    if descent.predicted is not None:
        predicted = np.where(descent.predicted > 0, descent.predicted, np.nan)
        axes.plot(descent.steps, predicted, color=ORANGE, label="predicted from the Hessian")
    if descent.bowl.least > 0:
        axes.axhline(
            descent.bowl.least, color=BLUE, linestyle="--", label=f"least squares: {descent.bowl.least:.4g} °C²"
        )
    logarithmic(axes, "x", descent.steps)
    if positive.any():
        logarithmic(axes, "y", descent.loss[positive])
    title = f"Learning curve: loss {descent.loss[-1]:.6g} °C² at step {count(int(descent.steps[-1]))}"
    label(axes, title, "step", "mean squared error (°C²)")


_LINES = {"least_squares": "least-squares line", "sgd": "SGD's line", "snap": "exact conversion"}


def _bands(axes: Axes, c: Calibration, x: FloatArray, centre: FloatArray, at: FloatArray | None = None) -> None:
    """Fills ±k·u_single and ±k·u_line about a centre, where the calibration has them."""
    k = c.coverage_factor
    if k is None:
        return
    at = x if at is None else at
    corrected = c.correct(x, "ignore")
    probability = f"{100 * c.coverage_probability:.4g} %"
    kinds = (("u_single", "one reading", SKY, 0.35), ("u_line", "the line", BLUE, 0.45))
    for name, what, color, alpha in kinds:
        half = k * getattr(corrected, name)
        if np.isfinite(half).all() and half.any():
            said = f"±k·{name}: {what}, {probability}"
            axes.fill_between(at, centre - half, centre + half, color=color, alpha=alpha, linewidth=0, label=said)


def _dots(axes: Axes, x: FloatArray, y: FloatArray, what: str) -> None:
    size = 36 if len(x) <= 100 else 9 if len(x) <= 1000 else 3
    axes.scatter(x, y, s=size, color=BLACK, linewidths=0, label=what, zorder=3)


def _scale(axes: Axes, c: Calibration, x: FloatArray, curve: Callable[[float, float], FloatArray]) -> None:
    """Draws the nearest named scale where it passes through what is seen, and changes no limits for it."""
    if c.scale is None:
        return
    scale = SCALES[c.scale.nearest]
    y = curve(scale.w, scale.b)
    low, high = axes.get_ylim()
    if ((y >= low) & (y <= high)).any():
        axes.plot(x, y, color=ORANGE, linestyle="--", label=f"exact {scale.unit}", scaley=False)
        axes.set_ylim(low, high)


def _point_out(axes: Axes, c: Calibration) -> None:
    """Names the row of the reading that stands out most, or of the one with the largest error."""
    found: Outlying | LargestError | None = c.diagnostics.outlying or c.diagnostics.largest_error
    if found is None or not np.isfinite(found.indication):
        return
    error = c.w * found.indication + c.b - found.reference
    out = c.diagnostics.outlying
    what = "largest error" if out is None else f"stands out, t = {signed(f'{out.t:.1f}')}"
    place = "" if found.row is None else f", row {found.row}"
    low, high = axes.get_xlim()
    right = found.indication > (low + high) / 2
    axes.annotate(
        what + place, (found.indication, error), xytext=(-10 if right else 10, 0), textcoords="offset points",
        ha="right" if right else "left", va="center", color=ORANGE, fontsize=11, fontweight="bold",
    )  # fmt: skip
    axes.plot(found.indication, error, "o", color="none", markeredgecolor=ORANGE, markeredgewidth=2, markersize=11)


def _drawn(c: Calibration, shown: Shown) -> str:
    n = len(shown.indication)
    return f" ({count(n)})" if n >= c.n else f" ({count(n)} of {count(c.n)})"


def _indication(c: Calibration) -> str:
    return _column("indication", c) + " (indicated unit)"


def _column(role: str, c: Calibration) -> str:
    name = getattr(c, f"{role}_column")
    return role if name in (None, role) else f"{role}: {printable(name, 40)}"


def _grid(c: Calibration) -> FloatArray:
    low, high = c.indication_range
    margin = (high - low) * 0.03
    return np.linspace(low - margin, high + margin, 201)


def _around(values: FloatArray) -> FloatArray:
    """Returns a grid over the values and a margin."""
    low, high = float(values.min()), float(values.max())
    span = high - low
    if span <= 1e-9 * max(abs(low), abs(high)):
        span = max(abs(low), abs(high)) or 1.0
    return np.linspace(low - 0.2 * span, high + 0.2 * span, 121)


def is_there() -> bool:
    """Whether figures can be drawn: matplotlib is installed."""
    from importlib.util import find_spec

    return find_spec("matplotlib") is not None

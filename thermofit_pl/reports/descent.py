"""Pictures of the way that the optimiser went: over the loss, and against what the Hessian predicts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from thermofit_pl.formatting import count, printable
from thermofit_pl.functional.units import Units
from thermofit_pl.reports.drawing import BLACK, BLUE, ORANGE, label, logarithmic

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FloatArray = NDArray[np.float64]


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
        units: Of the readings.
    """

    steps: NDArray[np.int64]
    loss: FloatArray
    w: FloatArray
    b: FloatArray
    predicted: FloatArray | None
    bowl: Bowl
    normalization: str
    units: Units = field(default_factory=Units)


def draw_loss(axes: Axes, descent: Descent) -> None:
    """Draws the loss over (w, b) as contours, and the optimiser's path."""
    import matplotlib as mpl
    from matplotlib.colors import BoundaryNorm

    bowl, units = descent.bowl, descent.units
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
        bar = figure.colorbar(filled, cax=axes.inset_axes((1.03, 0, 0.04, 1)))
        bar.set_ticks(list(levels[::2]), labels=[_narrow(level) for level in levels[::2]])
    axes.plot(descent.w, descent.b, color=ORANGE, linewidth=2, marker=".", markersize=4, label="the optimiser's path")
    axes.plot(descent.w[0], descent.b[0], "o", color=ORANGE, markeredgecolor="white", markersize=10, label="start")
    axes.plot(descent.w[-1], descent.b[-1], "s", color=ORANGE, markeredgecolor="white", markersize=11, label="end")
    axes.plot(bowl.w, bowl.b, "*", color="white", markeredgecolor=BLACK, markersize=13, label="least squares")
    axes.grid(visible=False)
    first, last = int(descent.steps[0]), int(descent.steps[-1])
    title = f"Loss ({units.squared}) over (w, b): steps {count(first)} to {count(last)}"
    w_label = f"w ({units.reference} per normalised unit: {printable(descent.normalization, 40)})"
    label(axes, title, w_label, f"b ({units.reference}, normalised)", right=0.8)


def draw_learning_curve(axes: Axes, descent: Descent) -> None:
    """Draws the loss against the step, as it was, and as the Hessian predicts it."""
    positive, squared = descent.loss > 0, descent.units.squared
    axes.plot(descent.steps[positive], descent.loss[positive], ".", color=BLACK, label="loss before the step")
    if descent.predicted is not None:
        predicted = np.where(descent.predicted > 0, descent.predicted, np.nan)
        axes.plot(descent.steps, predicted, color=ORANGE, label="as the Hessian predicts")
    if descent.bowl.least > 0:
        least = descent.bowl.least
        axes.axhline(least, color=BLUE, linestyle="--", label=f"least squares: {least:.4g} {squared}")
    logarithmic(axes, "x", descent.steps)
    if positive.any():
        logarithmic(axes, "y", np.append(descent.loss[positive], descent.bowl.least or descent.loss[positive].min()))
    title = f"Learning curve: {descent.loss[-1]:.6g} {squared} at step {count(int(descent.steps[-1]))}"
    label(axes, title, "step", f"mean squared error ({squared})")


def _narrow(number: float) -> str:
    texts = (f"{number:.4g}", f"{number:.2g}", f"{number:.0e}")
    return next((text for text in texts if len(text) <= 6), texts[-1])


def _around(values: FloatArray) -> FloatArray:
    """Returns a grid over the values and a margin."""
    low, high = float(values.min()), float(values.max())
    span = high - low
    if span <= 1e-9 * max(abs(low), abs(high)):
        span = max(abs(low), abs(high)) or 1.0
    return np.linspace(low - 0.2 * span, high + 0.2 * span, 121)

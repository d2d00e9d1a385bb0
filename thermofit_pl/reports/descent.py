"""Pictures of the way that the optimiser went: over the loss, and against what the Hessian predicts."""

from __future__ import annotations

from collections.abc import Sequence
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
    """The loss over one or two normalised coefficients, the others being those of least squares: a paraboloid.

    Attributes:
        names: What the coefficients are called, one or two.
        exact: Their values for the least-squares curve, as long as ``names`` [the reference's unit].
        least: Its mean squared error [the square of that].
        root: A square root of half the Hessian, shape ``(rows, coefficients)``: δ away from ``exact``, the loss is
            ``least`` + |root δ|².
    """

    names: tuple[str, ...]
    exact: FloatArray
    least: float
    root: FloatArray

    def loss(self, *values: FloatArray) -> FloatArray:
        """Returns the mean squared error at values of the coefficients, of any shapes that broadcast."""
        away = [value - exact for value, exact in zip(values, self.exact.tolist(), strict=True)]
        parts = [sum(part * each for part, each in zip(row, away, strict=True)) for row in self.root.tolist()]
        return np.asarray(self.least + sum(part**2 for part in parts))


def worst_determined(root: FloatArray, free: Sequence[int]) -> list[int]:
    """Returns the two coefficients that the readings tell least well, of one the one: the later, then the earlier.

    Args:
        root: A square root of half the loss's Hessian in all coefficients, shape ``(rows, coefficients)``.
        free: The coefficients that are fitted.
    """
    variance = (np.linalg.pinv(root[:, list(free)]) ** 2).sum(axis=1)
    # of whitened features all are told alike: then the last, which bend the curve most
    alike = np.round(np.log(variance), 6)
    order = sorted(range(len(free)), key=lambda j: (-alike[j], -free[j]))
    return sorted((free[j] for j in order[:2]), reverse=True)


@dataclass(frozen=True)
class Descent:
    """The way that an optimiser went, over normalised features, where its steps are at right angles to contours.

    Attributes:
        steps: Numbers of the steps that are shown, shape ``(K,)``.
        loss: Mean squared error before each of them, shape ``(K,)`` [the square of the reference's unit].
        path: The coefficients of the bowl: at the start, and after each of the steps, shape ``(K + 1, coefficients)``.
        predicted: The loss before each of them that the Hessian predicts for plain full-batch SGD, shape ``(K,)``; None
            for another optimiser.
        bowl: The loss over the coefficients that are shown.
        normalization: What features were put through, in words.
        units: Of the readings.
        others: Whether the curve has coefficients beside those that are shown.
        of_line: Whether the curve is a line, whose w is per normalised unit of the indication.
    """

    steps: NDArray[np.int64]
    loss: FloatArray
    path: FloatArray
    predicted: FloatArray | None
    bowl: Bowl
    normalization: str
    units: Units = field(default_factory=Units)
    others: bool = False
    of_line: bool = True

    def label(self, place: int) -> str:
        """Returns what stands at an axis: a coefficient's name and unit."""
        name, unit, rule = self.bowl.names[place], self.units.reference, printable(self.normalization, 40)
        if name == "b" or not self.of_line:
            return f"{name} ({unit}, normalised)"
        return f"{name} ({unit} per normalised unit: {rule})"


def draw_loss(axes: Axes, descent: Descent) -> None:
    """Draws the loss over two coefficients as contours, of one as a curve, and the optimiser's path."""
    bowl, names = descent.bowl, descent.bowl.names
    grids = [_around(np.append(path, exact)) for path, exact in zip(descent.path.T, bowl.exact, strict=True)]
    if len(names) == 2:
        _contours(axes, bowl, *grids)
        path, exact = descent.path.T, bowl.exact
    else:
        axes.plot(grids[0], bowl.loss(grids[0]), color=BLUE, label="loss")
        path = np.stack([descent.path[:, 0], bowl.loss(descent.path[:, 0])])
        exact = np.array([bowl.exact[0], bowl.least])
    axes.plot(*path, color=ORANGE, linewidth=2, marker=".", markersize=4, label="the optimiser's path")
    axes.plot(*path[:, 0], "o", color=ORANGE, markeredgecolor="white", markersize=10, label="start")
    axes.plot(*path[:, -1], "s", color=ORANGE, markeredgecolor="white", markersize=11, label="end")
    axes.plot(*exact, "*", color="white", markeredgecolor=BLACK, markersize=13, label="least squares")
    axes.grid(visible=False)
    first, last = int(descent.steps[0]), int(descent.steps[-1])
    over = f"({', '.join(names)})" if len(names) == 2 else names[0]
    title = f"Loss ({descent.units.squared}) over {over}: steps {count(first)} to {count(last)}"
    y_label = descent.label(1) if len(names) == 2 else f"mean squared error ({descent.units.squared})"
    label(axes, title, descent.label(0), y_label, right=0.8 if len(names) == 2 else 0.98)
    if descent.others:
        said = "the other coefficients: those of least squares"
        axes.text(1, 1.01, said, transform=axes.transAxes, ha="right", va="bottom", fontsize=10)


def _contours(axes: Axes, bowl: Bowl, x: FloatArray, y: FloatArray) -> None:
    import matplotlib as mpl
    from matplotlib.colors import BoundaryNorm

    grid = bowl.loss(x[None, :], y[:, None])
    highest = float(grid.max() - bowl.least)
    levels = bowl.least + highest * np.geomspace(1e-5, 1, 11)
    levels = np.unique(np.concatenate([[bowl.least], levels]))
    if len(levels) <= 2:
        return
    norm = BoundaryNorm(levels, 256)
    filled = axes.contourf(x, y, grid, levels=levels, norm=norm, cmap=mpl.colormaps["cividis_r"], extend="max")
    axes.contour(x, y, grid, levels=levels[1:], colors="white", linewidths=0.5)
    figure: Any = axes.get_figure()
    bar = figure.colorbar(filled, cax=axes.inset_axes((1.03, 0, 0.04, 1)))
    bar.set_ticks(list(levels[::2]), labels=[_narrow(level) for level in levels[::2]])


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

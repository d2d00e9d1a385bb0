"""Pictures of a fleet: how its lines spread, which instruments are outliers, and the worst of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from thermofit_pl.curves.line import Line
from thermofit_pl.formatting import count, p_text, printable, signed, two_digits
from thermofit_pl.reports.drawing import BLACK, BLUE, ORANGE, SKY, panels
from thermofit_pl.reports.fleet_summary import OUTLYING, needed, outlier_p

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from thermofit_pl.calibration.calibrations import Calibrations
    from thermofit_pl.functional.units import Units
    from thermofit_pl.tables.sample import Sample

FloatArray = NDArray[np.float64]

WORST = 6
DRAWN = 500  # readings of an instrument in its panel
INSTRUMENTS = 5000  # of a map: more of them are a blot


def pictures(fleet: Calibrations, sample: Sample) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Yields the name of each figure, and what draws it as a PNG.

    Args:
        fleet: The calibrations.
        sample: Of the readings that they were made from.
    """
    lined, units = needed(fleet), fleet.units
    if not lined.height:
        return
    yield "spread", lambda: panels(lambda figure: draw_spread(figure, fleet))
    if not isinstance(fleet.curve, Line):
        return
    p = _outlying(lined)
    yield "outliers", lambda: panels(lambda figure: draw_map(figure, lined, p, units))
    yield "worst", lambda: panels(lambda figure: draw_worst(figure, lined, p, sample, units))


def _outlying(lined: pl.DataFrame) -> FloatArray:
    """How probable each instrument is by chance, shape ``(instruments,)``; 1 where that can't be told."""
    p = np.ones(lined.height)
    known = lined["u_w"].is_not_null().to_numpy()
    if known.sum() >= 5:
        p[known] = outlier_p(lined.filter(lined["u_w"].is_not_null()))
    return p


def worst(lined: pl.DataFrame, p: FloatArray) -> NDArray[np.int64]:
    """Returns the rows of the instruments that differ most from the fleet, and then of those that scatter most."""
    s = lined["s"].fill_null(0.0).to_numpy()
    return np.lexsort((-s, np.where(p < OUTLYING, p, 1.0)))[:WORST]


def draw_spread(figure: Figure, fleet: Calibrations) -> None:
    """Draws how many instruments have which w, b and s; of other curves, which of each coefficient, and which s."""
    lined, units = needed(fleet), fleet.units
    of = {"w": units.slope, "b": units.reference}
    shown = [(name, of.get(name, ""), column) for name, column in fleet.coefficients.items()]
    shown.append(("s", units.reference, lined["s"]))
    for axes, (name, unit, column) in zip(figure.subplots(1, len(shown)), shown, strict=True):
        values = column.drop_nulls().to_numpy()
        if not len(values):
            continue
        low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
        room = 2 * (high - low) or abs(middle) or 1.0
        inside = np.clip(values, low - room, high + room)  # the farthest would squeeze all others into one bar
        axes.hist(
            inside, bins=min(40, max(8, int(len(values) ** 0.5) * 2)), color=SKY, edgecolor="white", linewidth=0.5
        )
        axes.axvline(middle, color=BLUE, label=f"{middle:.4g}")
        for end in (low, high):
            axes.axvline(end, color=BLUE, linestyle=":")
        beyond = int((values != inside).sum())
        axes.set_xlabel(name + (f" ({unit})" if unit else "") + (f"\n{count(beyond)} farther out" if beyond else ""))
        axes.set_title(signed(f"median {middle:.4g}"), fontsize=11)
        axes.locator_params(axis="x", nbins=2)
        axes.tick_params(labelsize=10)
    figure.suptitle(f"Spread of {count(lined.height)} instruments; dots: 5 % and 95 %", x=0.02, ha="left", fontsize=13)
    figure.axes[0].set_ylabel("instruments")


def draw_map(figure: Figure, lined: pl.DataFrame, p: FloatArray, units: Units) -> None:
    """Draws each instrument's slope against its estimate in the middle of the fleet, and names the outliers."""
    axes = figure.subplots()
    w, b, n = (lined[name].to_numpy() for name in ("w", "b", "n"))
    middle = float((lined["indication_mean"].to_numpy() * n).sum() / n.sum())
    estimate = w * middle + b
    out = p < OUTLYING
    plain = np.flatnonzero(~out)
    plain = plain[:: max(1, len(plain) // INSTRUMENTS)]
    axes.scatter(estimate[plain], w[plain], s=12, color=BLACK, linewidths=0, label="instruments")
    axes.scatter(
        estimate[out], w[out], s=40, color=ORANGE, marker="D", linewidths=0, label=f"outliers, p < {OUTLYING:g}"
    )
    names = lined["instrument"].to_list()
    for row in worst(lined, p):
        if out[row]:
            place = (estimate[row], w[row])
            axes.annotate(printable(names[row], 20), place, xytext=(7, 3), textcoords="offset points", color=ORANGE)
    title = f"{count(int(out.sum()))} of {count(lined.height)} instruments are outliers of the fleet"
    figure.suptitle(title, x=0.02, ha="left", fontsize=13)
    axes.set_xlabel(f"estimate ({units.reference}) at indication {middle:.4g}")
    axes.set_ylabel(f"w ({units.slope_in_words})")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)


def draw_worst(figure: Figure, lined: pl.DataFrame, p: FloatArray, sample: Sample, units: Units) -> None:
    """Draws the readings and lines of the instruments that are farthest from the fleet."""
    x, y, codes = sample.column("indication"), sample.column("reference"), sample.codes()
    w, b = float(np.median(lined["w"].to_numpy())), float(np.median(lined["b"].to_numpy()))
    rows = worst(lined, p)
    for axes, row in zip(figure.subplots(2, 3).flat, rows, strict=False):
        line = lined.row(int(row), named=True)
        chosen = np.flatnonzero(codes == line["place"])[:DRAWN]
        _panel(axes, x[chosen], y[chosen], line, (w, b))
        why = (
            p_text(p[row])
            if p[row] < OUTLYING
            else ""
            if line["s"] is None
            else f"s = {two_digits(line['s'])} {units.reference}"
        )
        axes.set_title(f"{printable(line['instrument'], 14)}: {why}", fontsize=11)
    for axes in figure.axes[len(rows) :]:
        axes.set_visible(False)
    figure.suptitle("The instruments that differ or scatter most", x=0.02, ha="left", fontsize=13)
    figure.axes[4 if len(rows) > 4 else 0].set_xlabel(f"indication ({units.indicated})", fontsize=12)
    figure.supylabel(f"reference ({units.reference})", fontsize=12)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)


def _panel(axes: Axes, x: FloatArray, y: FloatArray, line: dict[str, float], median: tuple[float, float]) -> None:
    ends = np.array(line["indication_range"], np.float64)
    axes.scatter(x, y, s=9, color=BLACK, linewidths=0, label="readings", zorder=3)
    axes.plot(ends, line["w"] * ends + line["b"], color=BLUE, label="its line")
    axes.plot(ends, median[0] * ends + median[1], color=ORANGE, linestyle="--", label="the fleet's median w, b")
    axes.locator_params(nbins=4)
    axes.tick_params(labelsize=10)

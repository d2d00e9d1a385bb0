"""How our figures look: colours, fonts, room for what stands around the axes, and the PNG.

matplotlib is imported where a figure is drawn, and only its Agg renderer: no window, and no state of pyplot's.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE = (640, 480)  # pixels: legible at half of it, as TensorBoard's cards show it
ROOM = 48  # characters across a figure in STYLE's font
# Okabe and Ito's colours, which colour-blind people tell apart; lines differ in their dashes as well
BLUE, ORANGE, GREEN, SKY, BLACK = "#0072B2", "#D55E00", "#009E73", "#56B4E9", "#000000"
FONT, DPI = 13.0, 120.0
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": FONT,
    "legend.fontsize": 11,
    "legend.handlelength": 1.4,
    "legend.columnspacing": 1.0,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.dpi": DPI,
    "savefig.dpi": DPI,
    "text.parse_math": False,  # a column may be called $x$
}


def logarithmic(axes: Axes, which: str, values: NDArray[Any]) -> None:
    """Gives an axis a logarithmic scale with plain numbers at it, and no more marks than are read."""
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    decades = math.log10(float(values.max()) / float(values.min()) or 1.0)
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 2.5 else (1.0,), numticks=9))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda value, position: f"{value:g}")


def label(axes: Axes, title: str, x: str, y: str, right: float = 0.98) -> None:
    """Writes what stands around the axes, and makes room for it: a tenth of the time of matplotlib's own layouts."""
    from matplotlib.collections import PathCollection

    figure: Any = axes.get_figure()
    axes.set_xlabel(x, fontsize=_size(x, ROOM * right))
    axes.set_ylabel(y, fontsize=_size(y, ROOM * 0.6))
    figure.text(0.02, 0.97, title, va="top", fontsize=_size(title, ROOM))
    handles, labels = axes.get_legend_handles_labels()
    legend = figure.legend(handles, labels, loc="lower center", ncols=2, frameon=False, borderaxespad=0.2)
    for handle in legend.findobj(PathCollection):
        handle.set_sizes([36])  # dots of many readings are too small for a legend
    rows = -(-len(handles) // 2)
    for _ in range(2):  # axes of another size may have other ticks
        ticks = axes.yaxis.get_tightbbox(figure.canvas.get_renderer())
        left = 0.15 if ticks is None else (axes.bbox.x0 - ticks.x0) / SIZE[0] + 0.01
        figure.subplots_adjust(left=left, right=right, bottom=0.16 + 0.06 * rows, top=0.87)


def _size(text: str, room: float) -> float:
    """The size of the font with which a text finds room."""
    return max(6.0, min(FONT, FONT * room / max(len(text), 1)))


@contextmanager
def drawing() -> Iterator[None]:
    """Draws in our style, whatever the user's own is, and without remarks about glyphs that no font has."""
    import matplotlib as mpl

    with mpl.rc_context(), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


def png(draw: Callable[[Axes], None]) -> bytes:
    """Draws a figure of one part and returns it as a PNG."""
    return _png(lambda figure: draw(figure.subplots()))


def panels(draw: Callable[[Figure], None]) -> bytes:
    """Draws a figure of several parts, laid out by matplotlib, and returns it as a PNG."""

    def laid_out(figure: Figure) -> None:
        figure.set_layout_engine("constrained")
        draw(figure)

    return _png(laid_out)


def _png(draw: Callable[[Figure], None]) -> bytes:
    with drawing():
        figure = new_figure()
        draw(figure)
        file = BytesIO()
        figure.savefig(file, format="png")
    return file.getvalue()


def new_figure() -> Figure:
    """Returns an empty figure of ``SIZE``, rendered by Agg."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(SIZE[0] / DPI, SIZE[1] / DPI))
    FigureCanvasAgg(figure)
    return figure

"""Calibrations as targets see them, made by hand."""

from typing import Any

import numpy as np

from thermofit_pl.calibration.correction import Corrected
from thermofit_pl.export.formula import FloatArray, Formula, Platinum, Powers, SteinhartHart
from thermofit_pl.export.view import View

LINE = Powers((-17.3047855, 0.5367719))
QUADRATIC = Powers((1.5, 0.56, -0.0001))
THERMISTOR = SteinhartHart(0.0014741306091191667, 0.00023703117942348504, 1.0875956578075102e-07)  # 2.25 kohm
BETA = SteinhartHart(1 / 298.15 - float(np.log(1e4)) / 3950, 1 / 3950)
PT100 = Platinum(100.0, 3.9083e-3, -5.775e-7, -4.183e-12)  # IEC 60751
RANGES: dict[Formula, tuple[float, float]] = {
    LINE: (14.0, 95.0),
    QUADRATIC: (0.0, 100.0),
    THERMISTOR: (150.0, 7400.0),
    BETA: (600.0, 32000.0),
    PT100: (18.6, 390.0),
}


def made(formula: Formula, ends: tuple[float, float] | None = None, u: float = 0.02, **changes: Any) -> View:
    """A view of a curve that is known exactly but for ``u``."""

    def correct(x: FloatArray) -> Corrected:
        y = formula.evaluate(x)
        return Corrected(y, np.full_like(y, u / 2), np.full_like(y, u), np.zeros(y.shape, bool))

    low, high = ends or RANGES[formula]
    values = {"name": "Probe 1", "identifier": "probe_1", "checksum": "c0ffee" * 10, "version": "1.2.3"} | changes
    return View(formula=formula, correct=correct, low=low, high=high, **values)


def body(text: str) -> str:
    """A text without its comments."""
    return "".join(f"{line}\n" for line in text.splitlines() if not line.startswith(("#  ", "# ", "//")))


def evenly(view: View, count: int = 301) -> FloatArray:
    """Indications over a view's range, other ones than those of the proof."""
    return np.linspace(view.low, view.high, count)

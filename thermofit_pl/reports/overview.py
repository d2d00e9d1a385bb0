"""The one figure that a calibration shows of itself, without the readings, which it doesn't hold."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from thermofit_pl.reports.drawing import drawing, new_figure
from thermofit_pl.reports.figures import Shown, draw_readings
from thermofit_pl.reports.fleet_figures import draw_spread

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from thermofit_pl.calibration.calibration import Calibration
    from thermofit_pl.calibration.calibrations import Calibrations


def overview(calibration: Calibration | Calibrations) -> tuple[Figure, bytes] | None:
    """Draws a calibration, or those of a fleet.

    Args:
        calibration: The calibration, or those of a fleet.

    Returns:
        The figure, and it as a PNG; None of a fleet in which no instrument has a line.
    """
    from thermofit_pl.calibration.calibrations import Calibrations

    with drawing():
        figure = new_figure()
        if isinstance(calibration, Calibrations):
            if calibration.frame["w"].null_count() == len(calibration):
                return None
            figure.set_layout_engine("constrained")
            draw_spread(figure, calibration)
        else:
            draw_readings(figure.subplots(), calibration, known_readings(calibration))
        file = BytesIO()
        figure.savefig(file, format="png")
    return figure, file.getvalue()


def known_readings(c: Calibration) -> Shown:
    """Returns the readings that a calibration names: that with the largest error, and that which stands out most."""
    found = [each for each in (c.diagnostics.largest_error, c.diagnostics.outlying) if each is not None]
    pairs = np.array(sorted({(each.indication, each.reference) for each in found}), np.float64).reshape(-1, 2)
    return Shown(pairs[:, 0], pairs[:, 1], np.arange(1.0, len(pairs) + 1))

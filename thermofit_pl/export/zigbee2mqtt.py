"""Zigbee2MQTT: ``temperature_calibration``, an offset of a device, and the decimals that it rounds to."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from thermofit_pl.export.formula import FloatArray
from thermofit_pl.export.numbers import double, places
from thermofit_pl.export.offset import offset
from thermofit_pl.export.proof import Draft
from thermofit_pl.export.view import View

COMMENT, SUFFIX = "# ", ".yaml"
DECIMALS = (2, 3)  # by default, and at most


def drafts(view: View) -> Iterator[Draft]:
    """Yields the two settings of a device."""
    b = offset(view)
    low, high = DECIMALS
    decimals = min(max(low, places(float(view.tolerance(view.grid()).min()))), high)
    held = round(b, 6) + 0.0

    def evaluate(x: FloatArray) -> FloatArray:
        return np.floor((x + held) * 10.0**decimals + 0.5) / 10.0**decimals  # JavaScript's Math.round

    text = f"temperature_calibration: {double(held)}\ntemperature_precision: {decimals}\n"
    yield Draft(text, "in float64 with its rounding", evaluate, ("below the device in configuration.yaml",))

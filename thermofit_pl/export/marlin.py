"""Marlin: a user thermistor (``TEMP_SENSOR_0 1000``), as macros and as the G-code ``M305``."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from thermofit_pl.export.formula import CannotHoldError, FloatArray, SteinhartHart
from thermofit_pl.export.numbers import plain, to_single
from thermofit_pl.export.proof import Draft
from thermofit_pl.export.thermistor import three_terms
from thermofit_pl.export.view import View

COMMENT, SUFFIX = "// ", ".h"
MOST, MOST_C = 1e6, 0.01  # what M305 takes for R25 and beta, and for C


def drafts(view: View) -> Iterator[Draft]:
    """Yields the macros, and the G-code in a comment."""
    curve = three_terms(view)
    r25, beta, c = (to_single(value) for value in (_r25(curve), 1 / curve.b, curve.c))
    if not (1 <= r25 <= MOST and 1 <= beta <= MOST and abs(c) <= MOST_C):
        raise CannotHoldError(f"it takes R25 and beta from 1 to {MOST:.0f}, and here they are {r25:.6g} and {beta:.6g}")
    text = (
        "#define TEMP_SENSOR_0 1000\n"
        f"#define HOTEND0_RESISTANCE_25C_OHMS {plain(r25)}\n"
        f"#define HOTEND0_BETA {plain(beta)}\n"
        f"#define HOTEND0_SH_C_COEFF {plain(c)}\n"
        # its parser stops at an e
        f"// the same at run time: M305 P0 T{plain(r25)} B{plain(beta)} C{plain(c)}\n"
    )
    remark = "HOTEND0_PULLUP_RESISTOR_OHMS is your board's (4700 on most)"
    yield Draft(text, "in float32", lambda x: _evaluate(x, r25, beta, c), (remark,))


def _r25(curve: SteinhartHart) -> float:
    """The curve's resistance at 25 °C [ohm], whether that lies in the range or not: Newton on ln R."""
    log = math.log(1e4)
    for _ in range(50):
        value = curve.a + log * (curve.b + curve.c * log * log) - 1 / 298.15
        log -= value / (curve.b + 3 * curve.c * log * log)
    return math.exp(min(log, 700.0))


def _evaluate(x: FloatArray, r25: float, beta: float, c: float) -> FloatArray:
    """Marlin's ``user_thermistor_to_deg_c``: float32, alpha from 25 °C."""
    f = np.float32
    log25, recip = np.log(f(r25)), f(1) / f(beta)
    alpha = f(1) / f(298.15) - recip * log25 - f(c) * log25 * log25 * log25
    log = np.log(x.astype(f))
    kelvin: FloatArray = (f(1) / (alpha + log * recip + f(c) * log * log * log)).astype(f)
    return (kelvin + f(-273.15)).astype(np.float64)

"""What holds thermistors alone, in °C and ohm, by three coefficients."""

from __future__ import annotations

from thermofit_pl.export.formula import CannotHoldError, SteinhartHart
from thermofit_pl.export.view import View


def three_terms(view: View) -> SteinhartHart:
    """Returns a thermistor's curve of two or three terms.

    Raises:
        CannotHoldError: The curve is another one.
    """
    formula = view.known
    if not isinstance(formula, SteinhartHart):
        raise CannotHoldError("it holds thermistors alone (Steinhart-Hart or Beta)")
    if formula.square:
        raise CannotHoldError("it holds three terms of Steinhart-Hart, and this curve has four; fit three, or")
    if (formula.kelvin, formula.zero) != (1.0, 273.15):
        raise CannotHoldError(f"it works in °C, and this calibration in {view.unit}")
    return formula

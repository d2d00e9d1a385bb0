"""A curve as people write it: its equation, and its coefficients with their uncertainties."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from thermofit_pl.curves.line import Line
from thermofit_pl.formatting import short, signed

if TYPE_CHECKING:
    from thermofit_pl.calibration.records import Coefficients
    from thermofit_pl.curves.base import Curve
    from thermofit_pl.functional.units import Units

RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def equation(curve: Curve, coefficients: Coefficients, unit: str) -> str:
    """Returns a curve as people write it, with six digits of each coefficient; of one that is no line, more if known.

    Args:
        curve: The curve.
        coefficients: Those that people quote.
        unit: The reference's.
    """
    u = coefficients.u if coefficients.u and not isinstance(curve, Line) else [None] * len(coefficients.values)
    found = [_number(value, each) for value, each in zip(coefficients.values, u, strict=True)]
    if isinstance(curve, Line):
        slope = "indication" if curve.held.get(1) == 1 else f"{found[1]} · indication"
        terms = [(slope, "")] + ([] if 0 in curve.held else [(found[0], "")])
    elif _are_powers(coefficients):
        powers = ["", " · indication", *(f" · indication{str(j).translate(RAISED)}" for j in range(2, len(found)))]
        terms = list(zip(found, powers, strict=True))
    else:
        return f"{type(curve).__name__}: " + ", ".join(map(" = ".join, zip(coefficients.names, found, strict=True)))
    first, *others = (f"{number}{power}" for number, power in terms)
    signs = (f" − {term[1:]}" if term.startswith("−") else f" + {term}" for term in others)
    return f"reference = {first}{''.join(signs)} {unit}"


def _number(value: float, u: float | None) -> str:
    """A coefficient with six digits, or with more where they are known: a hundredth of u is the last but rounding."""
    digits = 6
    if u and value:
        digits = min(17, max(digits, 3 + math.floor(math.log10(abs(value))) - math.floor(math.log10(u))))
    return signed(f"{value:.{digits}g}")


def quantities(curve: Curve, coefficients: Coefficients, units: Units) -> str:
    """Returns the coefficients that were fitted, w first of a line, with their uncertainties and units.

    Args:
        curve: The curve.
        coefficients: Those that people quote.
        units: The calibration's.
    """
    u = coefficients.u or [None] * len(coefficients.values)
    found = list(zip(coefficients.names, coefficients.values, u, strict=True))
    of = dict.fromkeys(coefficients.names, "")
    if isinstance(curve, Line):
        found = [found[j] for j in (1, 0) if j in curve.free]
        of = {"w": f" {units.slope}", "b": f" {units.reference}"}
    elif _are_powers(coefficients):
        of = {"c0": f" {units.reference}", "c1": f" {units.slope}"} | {
            f"c{j}": f" {units.slope}{str(j).translate(RAISED)}" for j in range(2, len(found))
        }
    return ", ".join(f"{name} = {short(value, each)}{of[name]}" for name, value, each in found)


def _are_powers(coefficients: Coefficients) -> bool:
    return coefficients.names == tuple(f"c{j}" for j in range(len(coefficients.names)))

"""A curve as people write it: its equation, and its coefficients with their uncertainties."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from thermofit_pl.curves.line import Line
from thermofit_pl.formatting import number, short

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from thermofit_pl.calibration.records import Coefficients
    from thermofit_pl.curves.base import Curve
    from thermofit_pl.functional.units import Units

RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


class Fitted(NamedTuple):
    """What a printed equation is held against.

    Attributes:
        indication: Indications over the calibrated range, in order, shape ``(N,)``.
        estimate: The curve's estimates of them [°C].
        within: By how much the equation may be off: a tenth of the smallest u_line; inf where that is unknown [°C].
    """

    indication: NDArray[np.float64]
    estimate: NDArray[np.float64]
    within: float


def equation(curve: Curve, coefficients: Coefficients, unit: str, fitted: Fitted) -> str:
    """Returns a curve as people write it, with six digits of each coefficient or as many more as it takes.

    Read as it is printed, it gives the curve over the calibrated range; counted from an indication in the middle of the
    range, where that is shorter.

    Args:
        curve: The curve.
        coefficients: Those that people quote.
        unit: The reference's.
        fitted: The curve over the calibrated range.
    """
    if isinstance(curve, Line):
        powers = [j for j in (1, 0) if j not in curve.held or curve.held[j]]
        values = {j: coefficients.values[j] for j in powers}
    elif _are_powers(coefficients):
        values = dict(enumerate(coefficients.values))
    else:
        found = zip(
            coefficients.names, coefficients.values, coefficients.u or (0.0,) * len(coefficients.values), strict=True
        )
        quoted = ", ".join(f"{name} = {number(value, u / 100 or math.inf)}" for name, value, u in found)
        return f"{type(curve).__name__}: {quoted}"
    written = [_written(values, 0.0, unit, fitted)]
    if not curve.held:
        written.append(_written(*_centred(list(values), fitted), unit, fitted))
    good = [text for text, off in written if off <= fitted.within]
    return min(good, key=len) if good else min(written, key=lambda each: each[1])[0]


def _centred(powers: list[int], fitted: Fitted) -> tuple[dict[int, float], float]:
    """Returns the coefficients of the powers of the distance from an indication, and that indication."""
    import numpy as np

    x, estimate, _ = fitted
    middle, half = x[0] / 2 + x[-1] / 2, x[-1] / 2 - x[0] / 2 or 1.0
    centre = next(c for d in range(1, 18) if abs((c := float(f"{middle:.{d}g}")) - middle) <= half / 10)
    scaled = np.polynomial.polynomial.polyfit((x - centre) / half, estimate, max(powers))
    return {j: float(scaled[j] / half**j) for j in powers}, centre


def _written(values: dict[int, float], centre: float, unit: str, fitted: Fitted) -> tuple[str, float]:
    """Returns an equation in powers of the indication less a centre, and by how much it is off where it is most."""
    import numpy as np

    away = fitted.indication - centre
    reach, read, terms = float(np.abs(away).max()), np.zeros_like(away), []
    what = "indication" if centre == 0 else f"(indication {'+' if centre < 0 else '−'} {number(abs(centre), 0.0)})"
    for j, value in values.items():
        # half of what is allowed is kept for the rounding of who computes it
        text = number(value, fitted.within / 2 / len(values) / reach**j if reach else math.inf)
        read = read + float(text.replace("−", "-")) * away**j
        power = f"{what}{str(j).translate(RAISED) if j > 1 else ''}" if j else ""
        terms.append(power if j and value == 1 else f"{text} · {power}" if j else text)
    first, *others = terms
    signs = (f" − {term[1:]}" if term.startswith("−") else f" + {term}" for term in others)
    off = float(np.abs(read - fitted.estimate).max())
    return f"reference = {first}{''.join(signs)} {unit}", off


def quantities(curve: Curve, coefficients: Coefficients, units: Units) -> str:
    """Returns the coefficients that were fitted, w first of a line, with their uncertainties and units.

    Args:
        curve: The curve.
        coefficients: Those that people quote.
        units: The calibration's.
    """
    u = coefficients.u or [None] * len(coefficients.values)
    found = list(zip(coefficients.names, coefficients.values, u, strict=True))
    own = zip(coefficients.names, curve.conventional_units, strict=True)
    of = {name: unit and f" {unit}" for name, unit in own}
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

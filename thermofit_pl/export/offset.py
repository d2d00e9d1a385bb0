"""What holds an offset alone."""

from __future__ import annotations

from thermofit_pl.export.formula import CannotHoldError, Powers
from thermofit_pl.export.view import View


def offset(view: View) -> float:
    """Returns the offset of a curve whose slope is exactly 1 [the reference's unit].

    Raises:
        CannotHoldError: The curve is another one.
    """
    formula = view.known.about(0.0) if isinstance(view.known, Powers) else None
    if formula is None or formula.degree > 1:
        raise CannotHoldError("it holds an offset alone (slope exactly 1), and this is another curve")
    if formula.coefficients[1] != 1.0:
        slope = f"{formula.coefficients[1]:.6g}"
        raise CannotHoldError(f"it holds an offset alone (slope exactly 1), and this line's slope is {slope}")
    return formula.coefficients[0]

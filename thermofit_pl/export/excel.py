"""Excel and LibreOffice: a formula of the cell A2."""

from __future__ import annotations

from collections.abc import Iterator

from thermofit_pl.export.expressions import Dialect, platinum, powers, steinhart_hart
from thermofit_pl.export.formula import CannotHoldError, Formula, Platinum, Powers
from thermofit_pl.export.numbers import significant
from thermofit_pl.export.proof import Draft
from thermofit_pl.export.view import View

COMMENT, SUFFIX = "# ", ".txt"
DIGITS = 15  # Excel takes the rest of what is typed for zeros


def _number(value: float) -> str:
    text = f"{value:.{DIGITS}g}"
    return text.upper()


DIALECT = Dialect(_number, lambda x: f"LN({x})", lambda x: f"SQRT({x})")
REMARK = "the indication is in A2; where the locale has a decimal comma, type it for the point"


def drafts(view: View) -> Iterator[Draft]:
    """Yields a formula: a polynomial in powers of the indication, then about the middle of the range."""
    formulas: list[Formula] = [view.known]
    if isinstance(view.known, Powers):
        formulas = [*view.known.forms(significant((view.low + view.high) / 2, DIGITS))]
    for formula in formulas:
        held = formula.rounded(lambda value: significant(value, DIGITS))
        yield Draft(f"={_expression(view, held)}\n".replace(" ", ""), "in float64", held.evaluate, (REMARK,))


def _expression(view: View, formula: Formula) -> str:
    if isinstance(formula, Powers):
        return powers(formula, "A2", DIALECT)
    if not isinstance(formula, Platinum):
        return steinhart_hart(formula, "LN(A2)", DIALECT)
    if formula.c and view.low < formula.r0:
        raise CannotHoldError("a formula without steps has no Callendar-Van Dusen curve below 0 °C")
    return platinum(formula, "A2", DIALECT)

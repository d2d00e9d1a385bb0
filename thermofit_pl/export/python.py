"""Python: a function of one file, for CPython's float64."""

from __future__ import annotations

from collections.abc import Iterator

from thermofit_pl.export.expressions import Dialect, platinum, powers, steinhart_hart
from thermofit_pl.export.formula import Platinum, Powers
from thermofit_pl.export.numbers import double
from thermofit_pl.export.proof import Draft
from thermofit_pl.export.view import View

COMMENT, SUFFIX = "# ", ".py"
DIALECT = Dialect(double, lambda x: f"math.log({x})", lambda x: f"math.sqrt({x})")


def drafts(view: View) -> Iterator[Draft]:
    """Yields a function: a polynomial in powers of the indication, then about the middle of the range."""
    formula = view.known
    head = f"def {view.identifier}_correct(indication):\n"
    if isinstance(formula, Powers):
        for form in formula.forms((view.low + view.high) / 2):
            yield Draft(f"{head}    return {powers(form, 'indication', DIALECT)}\n", "in float64", form.evaluate)
        return
    head = f"import math\n\n\n{head}"
    if isinstance(formula, Platinum):
        yield Draft(head + _platinum(formula), "in float64", formula.evaluate)
        return
    body = f"    log = math.log(indication)\n    return {steinhart_hart(formula, 'log', DIALECT)}\n"
    yield Draft(head + body, "in float64", formula.evaluate)


def _platinum(formula: Platinum) -> str:
    body = f"    t = {platinum(formula, 'indication', DIALECT)}\n"
    if formula.c:
        a, b, c = double(formula.a), double(formula.b), double(formula.c)
        body += (
            f"    excess = indication / {double(formula.r0)} - 1.0\n"
            f"    for _ in range({Platinum.NEWTON} if t < 0.0 else 0):\n"
            f"        value = t * ({a} + t * ({b} + {c} * t * (t - 100.0))) - excess\n"
            f"        t -= value / ({a} + t * (2.0 * {b} + {c} * t * (4.0 * t - 300.0)))\n"
        )
    return body + "    return t\n"

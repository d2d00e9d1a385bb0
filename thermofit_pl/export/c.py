"""C and C++: a header with one inline function, in float where that is enough, else in double."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from thermofit_pl.export.expressions import Dialect, platinum, powers, steinhart_hart
from thermofit_pl.export.formula import FloatArray, Formula, Platinum, Powers
from thermofit_pl.export.numbers import double, single, to_single
from thermofit_pl.export.proof import Draft
from thermofit_pl.export.view import View

COMMENT, SUFFIX = "// ", ".h"
# a literal without f is a double: slow on an ESP32 or a Cortex-M4F, and a warning of -Wdouble-promotion
FLOAT = Dialect(lambda value: f"{single(value)}f", lambda x: f"logf({x})", lambda x: f"sqrtf({x})")
DOUBLE = Dialect(double, lambda x: f"log({x})", lambda x: f"sqrt({x})")


def drafts(view: View) -> Iterator[Draft]:
    """Yields headers: in float by powers of the indication, in float about the middle of the range, in double."""
    centre = to_single((view.low + view.high) / 2)
    for kind, dialect in ((np.float32, FLOAT), (np.float64, DOUBLE)):
        formulas: list[Formula] = [view.known]
        if isinstance(view.known, Powers):
            formulas = [*view.known.forms(centre)]
        for formula in formulas:
            yield _draft(view, formula, kind, dialect)


def _draft(view: View, formula: Formula, kind: type[Any], dialect: Dialect) -> Draft:
    name, real = view.identifier, "float" if kind is np.float32 else "double"
    held = formula.rounded(to_single) if kind is np.float32 else formula
    lines = [
        "#pragma once",
        *([] if isinstance(held, Powers) else ["#include <math.h>"]),
        f"#define {name.upper()}_INDICATION_MIN {dialect.number(view.low)}",  # INT_MIN is taken: int may be a name
        f"#define {name.upper()}_INDICATION_MAX {dialect.number(view.high)}",
        f"static inline {real} {name}_correct({real} indication) {{",
        *(f"  {line}" for line in _body(held, real, dialect)),
        "}",
    ]
    remarks = () if kind is np.float32 else ("double, since float is not enough; on an AVR, double is float",)
    return Draft(
        "\n".join(lines) + "\n", f"in float{32 if kind is np.float32 else 64}", _evaluator(held, kind), remarks
    )


def _evaluator(formula: Formula, kind: type[Any]) -> Callable[[FloatArray], FloatArray]:
    return lambda x: formula.evaluate(x, kind)


def _body(formula: Formula, real: str, dialect: Dialect) -> list[str]:
    number = dialect.number
    if isinstance(formula, Powers):
        return [f"return {powers(formula, 'indication', dialect)};"]
    if not isinstance(formula, Platinum):
        logarithm = f"const {real} l = {dialect.log('indication')};"
        return [logarithm, f"return {steinhart_hart(formula, 'l', dialect)};"]
    lines = [f"{real} t = {platinum(formula, 'indication', dialect)};"]
    if formula.c:
        a, b, c = number(formula.a), dialect.inner(formula.b), dialect.inner(formula.c)
        hundred, two, three, four = number(100.0), number(2.0), number(300.0), number(4.0)
        lines += [
            f"const {real} excess = indication / {number(formula.r0)} - {number(1.0)};",
            f"for (int i = 0; t < {number(0.0)} && i < {Platinum.NEWTON}; ++i) {{",
            f"  const {real} value = t * ({a} + t * ({b} + {c} * t * (t - {hundred}))) - excess;",
            f"  t -= value / ({a} + t * ({two} * {b} + {c} * t * ({four} * t - {three})));",
            "}",
        ]
    return [*lines, "return t;"]

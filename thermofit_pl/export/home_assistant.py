"""Home Assistant: ``compensation`` by points on the curve, or a template sensor where that has no such curve."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import numpy as np

from thermofit_pl.export.expressions import Dialect, platinum, powers, steinhart_hart
from thermofit_pl.export.formula import CannotHoldError, FloatArray, Formula, Platinum, Powers
from thermofit_pl.export.numbers import double, places, significant
from thermofit_pl.export.proof import Draft
from thermofit_pl.export.view import View
from thermofit_pl.formatting import printable

COMMENT, SUFFIX = "# ", ".yaml"
HIGHEST = 7  # degree of compensation's polynomial
DIGITS = 12
DECIMALS = 3  # at least; by default it rounds to two
TEMPLATE = Dialect(double, lambda x: f"({x} | log)", lambda x: f"({x}) | sqrt")
SOURCE = "put your own sensor for the source"


def drafts(view: View) -> Iterator[Draft]:
    """Yields a ``compensation`` for polynomials, and a template sensor for all."""
    decimals = max(DECIMALS, places(float(view.tolerance(view.grid()).min()) / 2))
    formula = view.known
    formulas: list[Formula] = [formula]
    if isinstance(formula, Powers):
        if formula.degree <= HIGHEST:
            yield _compensation(view, formula.degree, decimals)
        formulas = [*formula.forms((view.low + view.high) / 2)]
    for one in formulas:
        yield _template(view, one, decimals)


def _labels(view: View) -> list[str]:
    labels = [f"unique_id: thermofit_{view.identifier}", f"unit_of_measurement: {_quoted(view.unit)}"]
    return [*labels, "device_class: temperature"] if view.unit in ("°C", "°F", "K") else labels


def _quoted(text: str) -> str:
    return json.dumps(printable(text), ensure_ascii=False)  # a JSON string is one of YAML's


def _no_template(name: str) -> str:
    """A name without what Home Assistant would evaluate: it takes names for templates."""
    return re.sub(r"[{}%#]", "", printable(name, 60))


def _compensation(view: View, degree: int, decimals: int) -> Draft:
    x = view.nodes(degree)
    y = np.array([significant(value, DIGITS) for value in view.estimate(x).tolist()])
    limits = str(view.high > view.low).lower()
    lines = [
        "compensation:",
        f"  {view.identifier}_corrected:",
        f"    source: sensor.{view.identifier}",
        *(f"    {label}" for label in _labels(view)),
        f"    precision: {decimals}",
        f"    degree: {degree}",
        f"    lower_limit: {limits}",
        f"    upper_limit: {limits}",
        "    data_points:",
        *(f"      - [{double(one)}, {double(other)}]" for one, other in zip(x, y, strict=True)),
    ]

    def evaluate(at: FloatArray) -> FloatArray:
        """``np.polyfit`` through the points, the limits at the first and the last, and rounding."""
        value = np.asarray(np.poly1d(np.polyfit(x, y, degree))(at))
        if limits == "true":
            value = np.where(at <= x[0], y[0], np.where(at >= x[-1], y[-1], value))
        return np.round(value, decimals)

    return Draft("\n".join(lines) + "\n", f"in float64, rounded to {decimals} decimals", evaluate, (SOURCE,))


def _template(view: View, formula: Formula, decimals: int) -> Draft:
    if isinstance(formula, Powers):
        expression = powers(formula, "x", TEMPLATE)
    elif not isinstance(formula, Platinum):
        expression = steinhart_hart(formula, "(x | log)", TEMPLATE)
    elif formula.c and view.low < formula.r0:
        raise CannotHoldError("a template without steps has no Callendar-Van Dusen curve below 0 °C")
    else:
        expression = platinum(formula, "x", TEMPLATE)
    source = f"sensor.{view.identifier}"
    lines = [
        "template:",
        "  - sensor:",
        f"      - name: {_quoted(f'{_no_template(view.name)}, corrected')}",
        *(f"        {label}" for label in _labels(view)),
        "        state_class: measurement",
        f"        state: \"{{% set x = states('{source}') | float %}}{{{{ ({expression}) | round({decimals}) }}}}\"",
        f"        availability: \"{{{{ has_value('{source}') }}}}\"",
    ]
    text = "\n".join(lines) + "\n"
    rounds = f"in float64, rounded to {decimals} decimals"
    return Draft(text, rounds, lambda at: np.round(formula.evaluate(at), decimals), (SOURCE,))

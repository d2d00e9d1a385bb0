"""ESPHome: filters of a sensor."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from thermofit_pl.export.c import FLOAT
from thermofit_pl.export.expressions import powers
from thermofit_pl.export.formula import CannotHoldError, FloatArray, Platinum, Powers, SteinhartHart
from thermofit_pl.export.numbers import double, places, significant, to_single
from thermofit_pl.export.proof import Draft
from thermofit_pl.export.table import knots
from thermofit_pl.export.view import View

COMMENT, SUFFIX = "# ", ".yaml"
DIGITS = 12
Evaluate = Callable[[FloatArray], FloatArray]
MOST = 64  # points of calibrate_linear: each costs the device three floats and a comparison


def drafts(view: View) -> Iterator[Draft]:
    """Yields the filter made for a curve; then what comes closer, a centred formula or more points."""
    formula = view.known
    if isinstance(formula, Powers):
        if formula.degree > 1:
            yield _polynomial(view, formula.degree)
        else:
            yield _linear(view, *_points(view, view.nodes(1)))
        for centred in formula.forms(to_single((view.low + view.high) / 2))[1:]:
            yield _lambda(view, centred.rounded(to_single))
    if isinstance(formula, SteinhartHart) and not formula.square and (formula.kelvin, formula.zero) == (1.0, 273.15):
        yield _thermistor(view, formula)
    x, y = knots(view)
    if len(x) <= MOST:
        yield _linear(view, x, y)
    elif isinstance(formula, Platinum):
        raise CannotHoldError(f"it has no such formula, and would need {len(x)} points instead of one")


def _points(view: View, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    return x, np.array([significant(value, DIGITS) for value in view.estimate(x).tolist()])


def _draft(view: View, filter_: list[str], arithmetic: str, evaluate: Evaluate) -> Draft:
    """Puts the range after a filter: what is outside is dropped, by its reference, a little beyond the curve's own."""
    y = view.estimate(view.grid())
    room = float(view.tolerance(view.grid()).max())
    decimals = places(room)
    low = math.floor((float(y.min()) - room) * 10**decimals) / 10**decimals
    high = math.ceil((float(y.max()) + room) * 10**decimals) / 10**decimals
    lines = ["filters:", *(f"  {line}" for line in filter_)]
    if view.high > view.low:
        lines += ["  - clamp:", f"      min_value: {double(low)}", f"      max_value: {double(high)}"]
        lines += ["      ignore_out_of_range: true"]
    return Draft("\n".join(lines) + "\n", arithmetic, evaluate)


def _datapoints(x: FloatArray, y: FloatArray) -> list[str]:
    pairs = zip(x.tolist(), y.tolist(), strict=True)
    return ["    datapoints:", *(f"      - {double(one)} -> {double(other)}" for one, other in pairs)]


def _linear(view: View, x: FloatArray, y: FloatArray) -> Draft:
    """``calibrate_linear`` by ``exact``: least_squares would refit, and divides by zero for a slope of 0."""
    slope = np.diff(y) / np.diff(x)
    constant = y[:-1] - slope * x[:-1]

    def evaluate(at: FloatArray) -> FloatArray:
        value = at.astype(np.float32)
        piece = np.searchsorted(x[1:-1].astype(np.float32), value, side="right")
        return (value * slope.astype(np.float32)[piece] + constant.astype(np.float32)[piece]).astype(np.float64)

    lines = ["- calibrate_linear:", "    method: exact", *_datapoints(x, y)]
    return _draft(view, lines, "in float32", evaluate)


def _polynomial(view: View, degree: int) -> Draft:
    """``calibrate_polynomial``: its own solution of the normal equations, powers summed in float32."""
    x, y = _points(view, view.nodes(degree))
    coefficients = _normal_equations(x, y, degree)

    def evaluate(at: FloatArray) -> FloatArray:
        value = at.astype(np.float32)
        total, power = np.zeros_like(value), np.ones_like(value)
        for coefficient in coefficients:
            total, power = total + power * np.float32(coefficient), power * value
        return total.astype(np.float64)

    lines = ["- calibrate_polynomial:", f"    degree: {degree}", *_datapoints(x, y)]
    return _draft(view, lines, "in float32", evaluate)


def _normal_equations(x: FloatArray, y: FloatArray, degree: int) -> list[float]:
    """Solves as ESPHome does when it compiles: Gauss and Jordan's inverse of the raw normal equations, in float64."""
    columns = np.vander(x, degree + 1, increasing=True)
    normal, inverse = columns.T @ columns, np.eye(degree + 1)
    for k in range(degree + 1):
        inverse[k], normal[k] = inverse[k] / normal[k, k], normal[k] / normal[k, k]
        for row in range(degree + 1):
            if row != k:
                factor = normal[row, k]
                normal[row] -= factor * normal[k]
                inverse[row] -= factor * inverse[k]
    solution: list[float] = (inverse @ columns.T @ y).tolist()
    return solution


def _lambda(view: View, formula: Powers) -> Draft:
    lines = [f"- lambda: 'return {powers(formula, 'x', FLOAT)};'"]
    return _draft(view, lines, "in float32", lambda at: formula.evaluate(at, np.float32))


def _thermistor(view: View, formula: SteinhartHart) -> Draft:
    """``to_ntc_temperature``: the platform ntc refuses a, b and c, this filter takes them for any sensor in ohm."""
    held = formula.rounded(to_single)  # it compiles them as float literals, and computes in double

    def evaluate(at: FloatArray) -> FloatArray:
        return held.evaluate(at.astype(np.float32).astype(np.float64)).astype(np.float32).astype(np.float64)

    terms = {"a": formula.a, "b": formula.b, "c": formula.c}
    numbers = [f"      {name}: {double(value)}" for name, value in terms.items()]
    return _draft(
        view, ["- to_ntc_temperature:", "    calibration:", *numbers], "as float32 in a float64 formula", evaluate
    )

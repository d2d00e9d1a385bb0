"""Klipper: a ``[thermistor]`` of three points on the curve, or of one point and beta."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from thermofit_pl.export.formula import CannotHoldError, FloatArray, SteinhartHart
from thermofit_pl.export.proof import Draft
from thermofit_pl.export.thermistor import three_terms

if TYPE_CHECKING:
    from thermofit_pl.export.view import View

COMMENT, SUFFIX = "# ", ".cfg"
Pairs = list[tuple[float, float]]


def drafts(view: View) -> Iterator[Draft]:
    """Yields the section."""
    curve = three_terms(view)
    if curve.c < 0:
        raise CannotHoldError("it silently takes Beta's equation where c is below 0, as here")
    section = f"[thermistor {view.identifier}]\n"
    if curve.c == 0:
        ((t, r),) = _pairs(view, 1)
        beta = round(1 / curve.b, 6)
        held = _by_beta(t, r, beta)
        text = f"{section}temperature1: {t!r}\nresistance1: {r:.6f}\nbeta: {beta!r}\n"
        yield Draft(text, "in float64", held.evaluate)
        return
    pairs = _pairs(view, 3)
    held = through(pairs)
    if held.c <= 0:
        raise CannotHoldError("it takes another curve silently where c, from three printed points, isn't above 0")
    lines = [f"temperature{k}: {t!r}\nresistance{k}: {r:.6f}\n" for k, (t, r) in enumerate(pairs, start=1)]
    yield Draft(section + "".join(lines), "in float64", held.evaluate)


def _pairs(view: View, count: int) -> Pairs:
    """Temperatures and resistances on the curve as they are printed: the ends and the middle of ln R, coldest first."""
    low, high = math.log(view.low), math.log(view.high)
    shares = (1.0, 0.5, 0.0) if count == 3 else (0.5,)
    resistances = [round(math.exp(low + share * (high - low)), 6) for share in shares]
    temperatures = view.estimate(np.array(resistances)).tolist()
    return [(round(t, 9), r) for t, r in zip(temperatures, resistances, strict=True)]


def _by_beta(t: float, r: float, beta: float) -> SteinhartHart:
    return SteinhartHart(1 / (t + 273.15) - math.log(r) / beta, 1 / beta)


def through(pairs: Pairs) -> SteinhartHart:
    """Returns the curve through three points, as Klipper solves for it (docs/Config_Reference.md, thermistor)."""
    inverse: FloatArray = np.array([1 / (t + 273.15) for t, _ in pairs])
    log = np.log([r for _, r in pairs])
    (g2, g3), (l2, l3), (k2, k3) = (values[0] - values[1:] for values in (inverse, log, log**3))
    c = (g2 - g3 * l2 / l3) / (k2 - k3 * l2 / l3)
    b = (g2 - c * k2) / l2
    return SteinhartHart(float(inverse[0] - b * log[0] - c * log[0] ** 3), float(b), float(c))

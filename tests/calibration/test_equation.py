"""The printed equation is the fitted curve, over the calibrated range, to a tenth of the smallest u_line."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from thermofit_pl.calibration.calibration import Calibration
from thermofit_pl.curves.offset import Offset
from thermofit_pl.curves.polynomial import Polynomial
from thermofit_pl.curves.proportional import Proportional
from thermofit_pl.results.fit import fit

COUNTS = (
    [8412345.0, 8412784, 8413222, 8413660, 8414537, 8415414, 8416730],
    [0.0, 1, 2, 3, 5, 7, 10],
)


def fitted(x: Any, y: Any, **options: Any) -> Calibration:
    c = fit(x, y, **options)
    assert isinstance(c, Calibration)
    return c


def read(equation: str, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Computes what an equation says, as its reader would."""
    text = equation.removeprefix("reference = ").rsplit(" ", 1)[0].replace("−", "-").replace("·", "*")
    text = re.sub(
        "[⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda match: "**" + match[0].translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")), text
    )
    return np.asarray(eval(text, {"indication": x}), np.float64)


def off(c: Calibration) -> float:
    """By how many u_line the equation is off where it is most."""
    x = np.linspace(*c.indication_range, 101)
    there = c.correct(x)
    return float(np.abs(read(c.equation, x) - there.estimate).max() / np.min(there.u_line))


def test_a_load_cells_counts_keep_their_digits() -> None:
    c = fitted(*COUNTS, unit="g")
    assert c.equation == "reference = 0.002280706904 · indication − 19186.09335 g"
    assert off(c) < 0.1


@pytest.mark.parametrize("degree", [2, 3, 5])
@pytest.mark.parametrize("origin", [0.0, 300.0, 8e6])
@pytest.mark.parametrize("noise", [1e-1, 1e-5])
def test_polynomials(degree: int, origin: float, noise: float) -> None:
    random = np.random.default_rng(degree)
    x = np.linspace(0, 100, 40)
    y = 0.5 * x - 17 + 0.002 * x**2 + noise * random.standard_normal(40)
    c = fitted(x + origin, y, curve=Polynomial(degree))
    assert off(c) < 0.1
    assert ("(indication −" in c.equation) == (origin == 8e6)  # there it is shorter


def test_curves_of_one_coefficient() -> None:
    x, y = [2.0, 4, 6, 8, 10], [1.05, 2.01, 3.08, 3.97, 5.04]
    assert fitted(x, y, curve=Proportional(), unit="ml").equation == "reference = 0.503545 · indication ml"
    x, y = [23.1, 22.9, 23.6, 23.0, 23.4, 23.3], [21.0, 21.0, 21.5, 20.9, 21.5, 21.3]
    assert fitted(x, y, curve=Offset()).equation == "reference = indication − 2.01667 °C"


def test_two_readings_have_six_digits() -> None:
    assert fitted([1, 3], [1, 2]).equation == "reference = 0.5 · indication + 0.5 °C"


@given(
    st.floats(-1e7, 1e7), st.floats(1e-3, 1e4), st.floats(1e-6, 1e3), st.floats(-200, 1e6), st.floats(1e-5, 1e-1),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_any_line(origin: float, span: float, slope: float, level: float, noise: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    x = origin + span * np.linspace(0, 1, 9)
    y = level + slope * span * (np.linspace(0, 1, 9) + noise * random.standard_normal(9))
    if np.ptp(x) > 1e-6 * abs(origin) and y.min() > -200:
        c = fitted(x, y)
        if c.u_pivot:
            assert off(c) < 0.1 or c.u_pivot < 1e-12 * np.abs(y).max()

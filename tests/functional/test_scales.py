from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from made import GUM_H3, NOTEBOOK, calibration
from scipy import stats

from thermofit_pl.functional.scales import SCALES, Verdict, compare, same_quantity

# the freezing and the boiling point of water on each scale, and 0 °C and 100 °C besides: definitions, not conversions
WATER = {
    "celsius": (0, 100),
    "fahrenheit": (32, 212),
    "kelvin": (Fraction("273.15"), Fraction("373.15")),
    "rankine": (Fraction("491.67"), Fraction("671.67")),
    "reaumur": (0, 80),
    "delisle": (150, 0),
    "newton": (0, 33),
    "romer": (Fraction("7.5"), 60),
}


def exact(w: float, b: float, low: float, high: float, **known: Any) -> Verdict:
    return compare(w, b, (low, high), **known).verdict()


@pytest.mark.parametrize(("name", "ice", "steam"), [(name, *points) for name, points in WATER.items()])
def test_conversions_are_those_of_the_freezing_and_the_boiling_point(name: str, ice: Fraction, steam: Fraction) -> None:
    w = Fraction(100) / (steam - ice)
    assert SCALES[name].w == float(w)
    assert SCALES[name].b == float(-w * ice)


def test_notebook_is_fahrenheit() -> None:
    scale = calibration(*NOTEBOOK).scale
    assert scale is not None
    assert scale.sentence() == (
        "The indications are degrees Fahrenheit as far as these readings can tell (p = 0.61); "
        "every other scale is ruled out (p < 1e-12)"
    )
    by_name = {fit.name: fit.p for fit in scale.scales}
    # shared reference: seed_answers.json, of the notebook's readings
    assert by_name["fahrenheit"] == pytest.approx(0.6091916883961149, rel=1e-10)
    assert max(p for name, p in by_name.items() if name != "fahrenheit" and p is not None) == pytest.approx(
        3.09e-13, rel=1e-3
    )


def test_gum_h3_is_celsius_and_too_high() -> None:
    scale = calibration(*GUM_H3).scale
    assert scale is not None
    assert scale.sentence() == (
        "The indications are degrees Celsius, 0.16 to 0.17 °C too high; that is more than chance (p = 4e-16)"
    )
    assert scale.scales[0].difference == pytest.approx((-0.16788390687, -0.15699224514), rel=1e-8)


def test_p_value_is_that_of_the_joint_f_test_by_the_covariance_matrix() -> None:
    c = calibration(*NOTEBOOK)
    assert c.u_w is not None
    assert c.u_b is not None
    assert c.cov_wb is not None
    assert c.scale is not None
    precision = np.linalg.inv([[c.u_w**2, c.cov_wb], [c.cov_wb, c.u_b**2]])
    for fit in c.scale.scales:
        d = np.array([c.w - SCALES[fit.name].w, c.b - SCALES[fit.name].b])
        assert fit.p == pytest.approx(stats.f.sf(d @ precision @ d / 2, 2, 9), rel=1e-6, abs=1e-300)


def test_p_value_is_steady_for_very_many_readings() -> None:
    known: dict[str, Any] = {"u_w": 1e-7, "u_pivot": 1e-5, "pivot": 50.0}
    found = exact(1 + 1e-7, -1e-5, 0, 100, **known, dof=10**15)
    # with so many degrees of freedom F(2, ν) is half of chi-squared with 2, whose survival function is exp(−χ²/2)
    assert found.scales[0].p == pytest.approx(np.exp(-0.5 * (1 + (5e-6 - 1e-5) ** 2 / 1e-10)), rel=1e-6)


def test_largest_difference_is_at_an_end() -> None:
    found = compare(1.01, -0.3, (-20, 50))
    inside = np.linspace(-20, 50, 101)
    for k, scale in enumerate(SCALES.values()):
        brute = np.abs(1.01 * inside - 0.3 - scale.w * inside - scale.b).max()
        assert found.largest[0, k] == pytest.approx(brute, rel=1e-12)


def test_instruments_are_compared_all_at_once() -> None:
    w, b = np.array([1.0, 5 / 9, 0.04]), np.array([0.2, -160 / 9, 3.0])
    u_w, u_pivot = np.array([0.01, np.nan, 1e-4]), np.array([0.1, np.nan, 0.1])
    ranges = np.array([[0, 100], [32, 212], [0, 1000]])
    found = compare(w, b, ranges, u_w=u_w, u_pivot=u_pivot, pivot=[50, 100, 500], dof=[9, 0, 20])
    for i in range(3):
        alone = compare(
            w[i], b[i], ranges[i], u_w=u_w[i], u_pivot=u_pivot[i], pivot=[50, 100, 500][i], dof=[9, 0, 20][i]
        )
        assert found.verdict(i) == alone.verdict()
    assert [found.verdict(i).nearest for i in range(3)] == ["celsius", "fahrenheit", "rankine"]
    assert found.near.tolist() == [True, True, False]


@pytest.mark.parametrize("name", SCALES)
def test_an_exact_conversion_is_exact(name: str) -> None:
    scale = SCALES[name]
    assert exact(scale.w, scale.b, 3.7, 91.3).sentence() == f"The indications are exactly {scale.unit}, to rounding"


VAGUE: dict[str, Any] = {"u_w": 0.2, "u_pivot": 9, "dof": 9, "pivot": 50}


@pytest.mark.parametrize(
    ("w", "b", "known", "sentence"),
    [
        (1, -0.5, {}, "The indications are nearest to degrees Celsius, 0.50 °C too high"),
        (1, 0.5, VAGUE | {"below_rounding": True}, "The indications are nearest to degrees Celsius, 0.50 °C too low"),
        (1.02, -1, {}, "The indications are nearest to degrees Celsius, 1.0 °C too low to 1.0 °C too high"),
        (0.004, 3, {}, "near none of the eight scales; the nearest, degrees Fahrenheit, is 21 °C too low to 34"),
        (1.1, 1, VAGUE, "may be degrees Celsius (p = 0.72) or degrees Réaumur (p = 0.60): these readings can't"),
        (0.1, 9, {**VAGUE, "u_w": 0.5}, "(the readings scatter too much to rule out degrees Fahrenheit (p = 0.6"),
    ],
)  # fmt: skip
def test_sentences(w: float, b: float, known: dict[str, Any], sentence: str) -> None:
    found = exact(w, b, 0, 100, **known).sentence()
    assert sentence in found
    assert "prove" not in found


def test_several_scales_that_agree_are_all_named() -> None:
    found = exact(1.1, 1, 0, 100, u_w=0.2, u_pivot=9, dof=9, pivot=50)
    assert found.agreeing == tuple(fit.name for fit in found.scales if fit.p is not None and fit.p >= 0.05)
    assert len(found.agreeing) > 1
    for name in found.agreeing:
        assert SCALES[name].unit in found.sentence()


@pytest.mark.parametrize(
    ("unit", "x", "y", "sentence"),
    [  # a sensor that is off by a constant, seen over a narrow span
        (
            "°C",
            [23.1, 22.9, 23.6, 23.0, 23.4, 23.3],
            [21.0, 21.0, 21.5, 20.9, 21.5, 21.3],
            "The indications are degrees Celsius, 2.0 °C too high; that is more than chance",
        ),
        (
            "°C",
            [20.51, 20.9, 21.52, 22.1, 22.49],
            [20.0, 20.4, 21.0, 21.6, 22.0],
            "The indications are degrees Celsius, 0.50 to 0.51 °C too high; that is more than chance",
        ),
        (
            "°F",
            [66.0, 66.5, 67.1, 67.6, 68.1],
            [69.0, 69.52, 70.1, 70.58, 71.1],
            "The indications are degrees Fahrenheit, 3.0 °F too low; that is more than chance",
        ),
        # a slope of 1 by chance: nobody's thermometer is 17 °C off
        ("°C", [20.0, 20.5, 21.0, 21.5, 22.0], [3.0, 3.51, 4.0, 4.49, 5.0], "The indications are near none of the"),
        # a slope that the readings don't show
        ("°C", [20.0, 20.1, 20.2, 20.3, 20.2], [23.0, 23.4, 23.1, 23.2, 23.0], "The indications are near none of the"),
    ],
)
def test_a_constant_offset_over_a_narrow_span(unit: str, x: list[float], y: list[float], sentence: str) -> None:
    c = calibration(x, y)
    found = compare(
        c.w, c.b, c.indication_range, u_w=c.u_w, u_pivot=c.u_pivot, pivot=c.indication_mean, dof=c.dof, unit=unit
    )
    assert found.verdict().sentence(unit).startswith(sentence)


def test_another_quantity_with_a_constant_offset_is_still_that_quantity() -> None:
    c = calibration([1002.0, 1003.1, 1004.0, 1004.9, 1006.0], [1000.0, 1001.0, 1002.0, 1003.0, 1004.0])
    found = compare(
        c.w, c.b, c.indication_range, u_w=c.u_w, u_pivot=c.u_pivot, pivot=c.indication_mean, dof=c.dof, unit="hPa"
    )
    expected = "The indications are the same quantity as the reference, 2.0 hPa too high"
    assert same_quantity(found, "hPa").startswith(expected)

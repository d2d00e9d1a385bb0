"""Thermistors and platinum by their own equations: against the equations themselves, and IEC 60751's table."""

from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from numpy.typing import NDArray

from thermofit_pl.curves.base import Curve
from thermofit_pl.curves.beta import Beta
from thermofit_pl.curves.callendar_van_dusen import CallendarVanDusen
from thermofit_pl.curves.steinhart_hart import SteinhartHart
from thermofit_pl.errors import InputError
from thermofit_pl.functional.band import band, single
from thermofit_pl.functional.units import Units

FloatArray = NDArray[np.float64]

A, B, C, D = 1.129241e-3, 2.341077e-4, 8.775468e-8, 1.1e-7  # of a thermistor with 10 kohm at 25 °C; D made up
# IEC 60751:2008, table 1: °C and ohm
IEC = {-200: 18.52, -150: 39.72, -100: 60.26, -50: 80.31, 0: 100.0, 50: 119.40, 100: 138.51, 200: 175.86, 400: 247.09}
IEC |= {600: 313.71, 850: 390.48}
PLATINUM = {"°C": (1.0, 0.0), "K": (1.0, 273.15), "°F": (1.8, 32.0)}


def level_coefficients(curve: Any, in_kelvin: list[float]) -> FloatArray:
    """b and w with which a curve's 1/T has the coefficients, by solving for them."""
    p = len(curve.names) + 1
    base = curve.kelvin_coefficients(np.zeros(p))
    columns = np.stack([curve.kelvin_coefficients(row) - base for row in np.eye(p)], axis=-1)
    return np.linalg.solve(columns, np.array(in_kelvin) - base)


@pytest.mark.parametrize("unit", PLATINUM)
@pytest.mark.parametrize("terms", [2, 3, 4])
def test_a_thermistor_has_the_temperatures_of_its_equation(terms: int, unit: str) -> None:
    kelvin, zero = PLATINUM[unit]
    middle = 70.0 * kelvin + zero
    curve: Any = Beta(unit, middle) if terms == 2 else SteinhartHart(terms, unit, middle)
    told = {2: [A, B], 3: [A, B, C], 4: [A, B, D, C]}[terms]
    theta = level_coefficients(curve, told)
    resistance = np.geomspace(100, 2e5, 60)
    logarithm = np.log(resistance)
    inverse = sum(c * logarithm**k for c, k in zip(told, (0, *curve.powers), strict=True))
    expected = (1 / inverse - 273.15) * kelvin + zero
    estimate, away, slope = curve.evaluate(resistance, theta[0], theta[1:].tolist(), [0.0] * len(curve.names))
    np.testing.assert_allclose(estimate, expected, rtol=0, atol=6e-11)  # 1e-13 of 900 °F above absolute zero
    np.testing.assert_allclose(away, [logarithm**k for k in curve.powers], rtol=1e-15)
    # the slope is d estimate/d level, near 1 at the centre
    change = 1e-4
    higher, lower = (curve.estimate(curve.level(expected) + sign * change) for sign in (1, -1))
    np.testing.assert_allclose(slope, (higher - lower) / (2 * change), rtol=1e-6)
    assert curve.estimate_slope(curve.level(middle)) == pytest.approx(1, rel=1e-12)
    assert curve.estimate(curve.level(middle)) == pytest.approx(middle, abs=1e-12)
    np.testing.assert_allclose(curve.indication(expected, theta), resistance, rtol=2e-12)
    if terms == 2:
        r25, beta = curve.conventional(theta)
        assert (r25, beta) == pytest.approx((np.exp((1 / 298.15 - A) / B), 1 / B), rel=1e-11)
    else:
        assert curve.conventional(theta) == pytest.approx([A, B, C, D][:terms], rel=1e-11)
        assert curve.conventional_names == ("a", "b", "c", "d")[:terms]


@pytest.mark.parametrize("c", [-3e-8, 0.0, 1e-15, 1e-7])
@pytest.mark.parametrize("b", [2.5e-4, 1e-5])
def test_the_closed_form_of_three_terms_is_its_inverse(b: float, c: float) -> None:
    curve: Any = SteinhartHart(3, "°C", 25.0)
    resistance = np.geomspace(500, 5e4, 50)
    logarithm = np.log(resistance)
    theta = level_coefficients(curve, [1.2e-3, b, c])
    rise = b + 3 * c * logarithm**2
    if (rise <= 0).any():  # such a curve turns, and is refused
        resistance = resistance[rise > 0.1 * b]
    estimate = curve.evaluate(resistance, theta[0], theta[1:].tolist(), [0.0, 0.0])[0]
    # the level is rounded to 1e-13 of the centre's, 1/rise times that of the logarithm
    np.testing.assert_allclose(curve.indication(estimate, theta), resistance, rtol=1e-10)


def test_a_c_below_zero_and_a_b_below_zero_have_the_falling_branch() -> None:
    curve: Any = SteinhartHart(3, "°C", 25.0)
    for told in ([2.4e-3, -1e-5, 1.3e-6], [1.0e-3, 2.8e-4, -1.5e-7]):
        theta = level_coefficients(curve, told)
        resistance = np.geomspace(2e3, 3e4, 40)
        assert (told[1] + 3 * told[2] * np.log(resistance) ** 2 > 0).all()
        estimate = curve.evaluate(resistance, theta[0], theta[1:].tolist(), [0.0, 0.0])[0]
        np.testing.assert_allclose(curve.indication(estimate, theta), resistance, rtol=1e-10)


CURVES: list[Any] = [
    SteinhartHart(3, "°C", 25.0),
    SteinhartHart(4, "°F", 80.0),
    Beta("K", 300.0),
    CallendarVanDusen("R0", "°F", 100.0),
    CallendarVanDusen("R0 A B", "K", 90.0),
    CallendarVanDusen("R0 A B C", "°C", 120.0),
]


def known(curve: Any) -> tuple[FloatArray, FloatArray]:
    """b and w of a curve, and indications."""
    if curve.inverted:
        return np.array([0.0, *curve._published()]), np.linspace(20, 300, 20)
    told = {2: [A, B], 3: [A, B, C], 4: [A, B, D, C]}[len(curve.names) + 1]
    return level_coefficients(curve, told), np.geomspace(500, 5e4, 20)


@pytest.mark.parametrize("curve", CURVES, ids=repr)
def test_changes_of_what_people_quote_are_their_derivatives(curve: Any) -> None:
    theta, _ = known(curve)
    theta = np.stack([theta, theta * 1.01])
    spread = np.eye(theta.shape[-1])[int(curve.inverted) :]
    found = curve.conventional_spread(theta, np.stack([spread] * 2))
    for row, change in enumerate(spread):
        size = 1e-5 * np.abs(theta).max(axis=-1)
        sides = [curve.conventional(theta + sign * size[:, None] * change) for sign in (1, -1)]
        numeric = (sides[0] - sides[1]) / (2 * size[:, None])
        scale = np.abs(found).max(axis=1)
        np.testing.assert_allclose(found[:, row] / scale, numeric / scale, rtol=0, atol=1e-5)


@pytest.mark.parametrize("curve", CURVES, ids=repr)
def test_the_slope_and_the_band_are_those_of_changed_coefficients(curve: Any) -> None:
    """The variance of the estimate is that of its first-order change with b and w, whichever way the equation runs."""
    theta, x = known(curve)
    p = len(curve.names)
    pivot = [0.0] * p if curve.inverted else [feature.item() for feature in curve.features(np.array([5e3]))]
    size = np.abs(curve.evaluate(x, theta[0], theta[1:].tolist(), [0.0] * p)[1]).max(axis=1)
    upper = (np.triu(np.random.default_rng(0).uniform(1e-4, 1e-3, (p, p))) / size[:, None]).tolist()
    u_pivot, level = (0.0 if curve.inverted else 1e-3), theta[0] + float(np.dot(theta[1:].tolist(), pivot))

    def estimate(level: float, w: Any) -> FloatArray:
        return np.asarray(curve.evaluate(x, level, w, pivot)[0])

    found, variance = band(curve, x, level, theta[1:].tolist(), pivot, u_pivot, upper)
    np.testing.assert_array_equal(found, estimate(level, theta[1:].tolist()))
    changes = [] if curve.inverted else [(u_pivot, np.zeros(p))]
    changes += [(0.0, np.array([row[k] for row in upper])) for k in range(p)]
    parts = [estimate(level + d, theta[1:] + v) - estimate(level - d, theta[1:] - v) for d, v in changes]
    np.testing.assert_allclose(variance, sum((part / 2) ** 2 for part in parts), rtol=1e-3)
    _, again, one = single(curve, x, level, theta[1:].tolist(), pivot, u_pivot, upper, 0.1)
    np.testing.assert_array_equal(again, variance)
    slope = (
        curve.evaluate(x, level, theta[1:].tolist(), pivot)[2] if curve.inverted else 1.0
    )  # the scatter is the resistance's
    np.testing.assert_allclose(one, variance + (0.1 * slope) ** 2, rtol=1e-12)


@pytest.mark.parametrize("curve", CURVES, ids=repr)
def test_correcting_runs_over_polars_and_torch_too(curve: Any) -> None:
    theta, x = known(curve)
    p = len(curve.names)
    arguments = (theta[0].item(), theta[1:].tolist(), [0.0] * p, 0.01, np.triu(np.full((p, p), 1e-5)).tolist(), 0.1)
    expected = single(curve, x, *arguments)
    named = {str(k): each for k, each in enumerate(single(curve, pl.col("x"), *arguments))}
    of_polars = pl.LazyFrame({"x": [*x, None]}).select(**named).collect()
    of_torch = single(curve, torch.from_numpy(x), *arguments)
    for k, each in enumerate(expected):
        np.testing.assert_allclose(of_polars[str(k)][:-1].to_numpy(), each, rtol=1e-12)
        assert of_polars[str(k)][-1] is None
        np.testing.assert_allclose(of_torch[k].numpy(), each, rtol=1e-12)


def test_each_row_may_have_coefficients_of_its_own_in_polars() -> None:
    curve = CallendarVanDusen("R0", "°C", 100.0)
    scale = 100.0 * 3.9083e-3
    frame = pl.DataFrame({"x": [138.5, 1385.0], "w": [100.0 / scale, 1000.0 / scale]})
    estimate, _ = band(curve, pl.col("x"), 0.0, [pl.col("w")], [0.0], 0.0, [[0.01]])
    assert frame.select(estimate.alias("t"))["t"].to_list() == pytest.approx([99.98, 99.98], abs=0.01)


@pytest.mark.parametrize("unit", PLATINUM)
@pytest.mark.parametrize("free", ["R0", "R0 A B", "R0 A B C"])
def test_platinum_has_the_table_of_iec_60751(free: Any, unit: str) -> None:
    kelvin, zero = PLATINUM[unit]
    curve = CallendarVanDusen(free, unit, 100.0)
    theta = np.array([0.0, *curve._published()])
    t, r = np.array(list(IEC.items()), np.float64).T
    found = curve.indication(t * kelvin + zero, theta)
    np.testing.assert_allclose(found, r, rtol=0, atol=0.00501)  # it has two decimals
    assert curve.platinum(theta.tolist()) == pytest.approx((100.0, 3.9083e-3, -5.775e-7, -4.183e-12), rel=1e-14)
    t = np.linspace(-200, 850, 2101) * kelvin + zero
    back = curve.evaluate(curve.indication(t, theta), 0.0, theta[1:].tolist(), [0.0] * len(curve.names))[0]
    np.testing.assert_allclose(back, t, rtol=0, atol=1e-11)  # issue: 1e-10 K


def test_a_frame_is_taken_once() -> None:
    made: Curve = SteinhartHart().framed(100.0, 1e5, 37.0)
    assert made == SteinhartHart(3, "°C", 37.0)
    assert made.framed(1.0, 2.0, 90.0) is made
    assert Beta().framed(1e3, 1e4) == Beta("°C", 25.0)
    platinum = CallendarVanDusen("R0").framed(100.0, 138.5, 50.0)
    assert platinum == CallendarVanDusen("R0", "°C", platinum.resistance)
    assert platinum.resistance == pytest.approx(100, rel=0.01)
    assert platinum.framed(1.0, 2.0) is platinum
    for curve in (SteinhartHart(), CallendarVanDusen()):
        with pytest.raises(InputError, match="which a fit sets, but it has none yet"):
            curve.evaluate(np.array([100.0]), 0.0, [1.0, 0.0, 0.0], [0.0] * len(curve.names))


def test_an_equation_takes_the_unit_of_the_references() -> None:
    assert SteinhartHart(4).in_units(Units("°F")) == SteinhartHart(4, "°F")
    assert SteinhartHart(4, "K", 300.0).in_units(Units("K", "Ω")) == SteinhartHart(4, "K", 300.0)
    assert CallendarVanDusen("R0").in_units(Units("K")) == CallendarVanDusen("R0", "K")


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: SteinhartHart(5), "expected 3 or 4 terms, but got 5"),
        (lambda: SteinhartHart(True), "expected 3 or 4 terms, but got True"),
        (lambda: Beta("hPa"), "expected the unit °C, °F or K, but got 'hPa'"),
        (lambda: Beta("K", -1.0), "expected a centre above absolute zero, but got -1.0"),
        (lambda: CallendarVanDusen("A B"), "expected free to be R0, 'R0 A B' or 'R0 A B C', but got 'A B'"),  # type: ignore[arg-type]
        (lambda: CallendarVanDusen(unit="m"), "expected the unit °C, °F or K"),
        (lambda: CallendarVanDusen(resistance=-1.0), "expected a positive resistance, but got -1.0"),
        (lambda: SteinhartHart().in_units(Units("hPa")), "expected references in °C, °F or K, .* but got hPa"),
        (lambda: CallendarVanDusen().in_units(Units("hPa")), "expected references in °C, °F or K, .* but got hPa"),
        (lambda: Beta().in_units(Units("°C", "kΩ")), "expected resistances in ohm, .* but got kΩ; convert"),
        (lambda: SteinhartHart(3, "K").framed(1e3, 1e5, 50.0), "expected references in kelvin, but their mean is 50"),
    ],
)
def test_what_an_equation_cannot_be_is_refused(act: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        act()


def test_readings_that_no_such_sensor_has_are_found() -> None:
    good = np.array([1e3, 1e4]), np.array([90.0, 25.0])
    for curve in (SteinhartHart(), Beta(), CallendarVanDusen()):
        assert curve.fault(*good) is None
        fault = curve.fault(np.array([1e3, -2.0]), good[1])
        assert fault is not None
        assert fault[0] == 1
        assert "expected a resistance above 0" in fault[1]
    fault = SteinhartHart(3, "K").fault(good[0], np.array([300.0, 0.0]))
    assert fault is not None
    assert fault[1] == "SteinhartHart expected a reference above absolute zero in K, but got 0"


def told(curve: Any, coefficients: FloatArray, low: float, high: float, units: Units) -> list[str]:
    ends = np.array([low]), np.array([high])
    return [sentence for which, sentence in curve.unfit(coefficients[None], *ends, units) if which.all()]


def test_curves_that_no_such_sensor_has_are_found() -> None:
    curve = SteinhartHart(3, "°C", 25.0)
    good = level_coefficients(curve, [A, B, C])
    assert told(curve, good, 500, 5e4, Units()) == []
    assert (
        "a resistance that falls while the temperature rises"
        in told(curve, level_coefficients(curve, [4e-3, -1e-4, 0.0]), 500, 5e4, Units())[0]
    )
    # the same thermistor in kiloohms, fitted with three terms
    small = level_coefficients(curve, [2.8e-3, 2.6e-4, 2e-6])
    assert "as if they were in kiloohms" in told(curve, small, 0.5, 50, Units())[0]
    assert told(curve, small, 0.5, 50, Units("°C", "Ω")) == []
    four = SteinhartHart(4, "°C", 25.0)
    assert told(four, level_coefficients(four, [2.8e-3, 2.6e-4, 2e-6, 2e-6]), 0.5, 50, Units()) == []
    platinum = CallendarVanDusen("R0 A B", "°C", 100.0)
    theta = np.array([0.0, *platinum._published()])
    assert told(platinum, theta, 20, 300, Units()) == []
    assert "a resistance that rises with the temperature" in told(platinum, theta * [0, 1, -1, -1], 20, 300, Units())[0]


def test_a_c_that_firmware_cannot_hold_is_told() -> None:
    curve = SteinhartHart(3, "°C", 25.0)
    assert curve.remarks(level_coefficients(curve, [A, B, C])) == []
    (sentence,) = curve.remarks(level_coefficients(curve, [A, B, -1e-8]))
    assert sentence.startswith("c is -1e-08, not above 0")

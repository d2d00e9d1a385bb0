"""Tables that look like a thermistor's or platinum's: makers' tables are known, and chance is not taken for one."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from thermofit_pl.functional.sensor_kinds import is_thermistor, platinum

FloatArray = NDArray[np.float64]
Made = tuple[FloatArray, FloatArray]

# Ametherm's ACC101 is 2,252 ohm at 25 °C; NIST's MGH10; and four readings of a printer's, as forums have them
MGH10 = [34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744, 8261, 7030, 6005, 5147, 4427, 3820, 3307, 2872]
PRINTER = [4.6e6, 1.6e5, 3e4, 8100], [25, 100, 150, 200]
IEC = [80.31, 100.0, 119.40, 138.51, 175.86, 247.09], [-50, 0, 50, 100, 200, 400]  # IEC 60751's table


def test_thermistors_are_known() -> None:
    assert is_thermistor(np.array(MGH10, np.float64), np.arange(50.0, 126.0, 5.0))
    assert is_thermistor(*(np.array(column, np.float64) for column in PRINTER))
    assert is_thermistor(np.array(PRINTER[0][::-1]) / 1000, np.array(PRINTER[1][::-1], np.float64))  # in kiloohms too


def test_platinum_is_known() -> None:
    r, t = (np.array(column, np.float64) for column in IEC)
    assert platinum(r, t) == "Pt100"
    assert platinum(r * 10, t) == "Pt1000"
    assert platinum(r + 0.5, t) == "Pt100"  # of two wires
    assert platinum(r[:1].repeat(6), t) is None
    assert platinum(r[:3], t[:3]) is None


def test_what_has_no_logarithm_or_no_span_is_neither() -> None:
    t = np.linspace(0, 100, 10)
    for x in (t - 50, np.full(10, 7.0), -np.exp(-t / 25)):
        assert not is_thermistor(x, t)
        assert platinum(x, t) is None
    assert not is_thermistor(np.exp(-t / 25), np.full(10, 20.0))
    assert not is_thermistor(np.exp(-t / 25), t - 300)
    assert not is_thermistor(np.exp(t / 25), t)


def unrelated(random: np.random.Generator, n: int) -> Made:
    return random.uniform(0.1, 1, n) * 10 ** random.uniform(0, 5), random.uniform(0, 100, n)


def falling_line(random: np.random.Generator, n: int) -> Made:
    t = np.sort(random.uniform(0, 100, n))
    return (1 - (1 - random.uniform(0.02, 0.9)) * t / 100) * (1 + 0.02 * random.standard_normal(n)), t


def any_line(random: np.random.Generator, n: int) -> Made:
    t = np.sort(random.uniform(-20, 100, n))
    return random.uniform(0, 300) + random.uniform(0, 2) * t + random.normal(0, 0.1, n), t


def degrees(random: np.random.Generator, n: int) -> Made:
    t = np.sort(random.uniform(-20, 150, n))
    return (1.8 * t + 32 if random.random() < 0.5 else t) + random.normal(0, 1, n), t


CHANCE: list[tuple[Callable[[np.random.Generator, int], Made], Callable[[FloatArray, FloatArray], object], float]] = [
    (unrelated, is_thermistor, 1e-3),
    (falling_line, is_thermistor, 2e-3),
    (any_line, platinum, 1e-3),
    (degrees, platinum, 1e-3),
]


@pytest.mark.parametrize("n", [4, 8, 40])
@pytest.mark.parametrize("case", CHANCE, ids=lambda case: case[0].__name__)
def test_chance_is_seldom_taken_for_a_sensor(
    case: tuple[Callable[..., Made], Callable[..., object], float], n: int
) -> None:
    make, kind, most = case
    random = np.random.default_rng(n)
    assert sum(bool(kind(*make(random, n))) for _ in range(4000)) <= 4000 * most


@pytest.mark.parametrize("n", [5, 12])
def test_noisy_thermistors_and_platinum_are_mostly_known(n: int) -> None:
    random = np.random.default_rng(0)
    thermistors = resistors = 0
    for _ in range(500):
        t = random.uniform(0, 100, n)
        r = 1e4 * np.exp(random.uniform(2800, 5000) * (1 / (t + 273.15) - 1 / 298.15))
        thermistors += is_thermistor(r, t + 0.3 * random.standard_normal(n))
        r = 100 * random.normal(1, 6e-4) * (1 + 3.9083e-3 * t - 5.775e-7 * t**2) + random.uniform(0, 0.5)
        resistors += platinum(r, t + 0.1 * random.standard_normal(n)) == "Pt100"
    assert thermistors > 425
    assert resistors > 475

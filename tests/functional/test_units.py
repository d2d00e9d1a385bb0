import math

import numpy as np
import pytest
import statsmodels.api as sm

from thermofit_pl.errors import InputError
from thermofit_pl.functional.scales import SCALES, compare, same_quantity, scales_in
from thermofit_pl.functional.units import Units, as_unit, other_unit, unit_in


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("degC", "°C"), ("degF", "°F"), ("K", "K"), ("°C", "°C"), ("deg F", "°F"), ("º C", "°C"), ("℉", "°F"),
        ("celsius", "°C"), ("Kelvin", "K"), (" hPa ", "hPa"), ("ml/s", "ml/s"), ("C", "C"), ("mΩ", "mΩ"),
    ],
)  # fmt: skip
def test_a_unit_is_text_but_for_temperatures_other_spellings(text: str, unit: str) -> None:
    assert as_unit(text, "unit") == unit


@pytest.mark.parametrize("text", ["", "  ", "a\nb", "x" * 41, "\x1b[1m"])
def test_what_is_no_unit_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^--data\.unit: expected a unit as a text of 1 to 40 characters"):
        as_unit(text, "--data.unit")


def test_units_read_as_they_are_written() -> None:
    default, pump, rate = Units(), Units("ml", "s"), Units("ml/s", "m/s")
    assert (default.slope, default.slope_in_words, default.squared) == ("°C/unit", "°C per indicated unit", "°C²")
    assert (pump.slope, pump.slope_in_words, pump.indicated) == ("ml/s", "ml per s", "s")
    assert (rate.slope, rate.squared) == ("(ml/s)/(m/s)", "(ml/s)²")
    assert [Units(unit).is_temperature for unit in ("°C", "°F", "K", "hPa", "C")] == [True, True, True, False, False]


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("ref_f", "°F"), ("ref_F", "°F"), ("T [°F]", "°F"), ("p (hPa)", "hPa"), ("Temp, °F (LGR S/N: 1)", "°F"),
        ("ref_k", "K"), ("bath degC", "°C"), ("temp_celsius", "°C"), ("p.kPa", "kPa"), ("u [mV]", "mV"), ("t_u", None),
        ("reference", None), ("f", None), ("ref (new)", None), ("°Fancy", None), ("kelvin", None), ("ref_min", None),
    ],
)  # fmt: skip
def test_a_name_names_a_unit_only_where_that_is_sure(name: str, unit: str | None) -> None:
    assert unit_in(name, temperature=True) == unit


def test_a_last_letter_is_a_scale_only_of_temperatures() -> None:
    assert unit_in("channel_c", temperature=False) is None
    assert other_unit("channel_f", "hPa", "--data.unit") is None


def test_another_unit_is_told_with_the_option_that_takes_it() -> None:
    assert other_unit("ref_f", "°C", "--data.unit") == (
        "The column 'ref_f' names °F, but its values are taken as °C: nothing was converted. "
        "If they are in °F, add --data.unit °F."
    )
    assert other_unit("ref_f", "°F", "--data.unit") is None
    assert other_unit("volume_ML", "ml", "--data.unit") is None


@pytest.mark.parametrize(("unit", "factor", "zero"), [("°F", 1.8, 32.0), ("K", 1.0, 273.15)])
def test_scales_in_another_unit_are_those_in_celsius_converted(unit: str, factor: float, zero: float) -> None:
    for name, scale in scales_in(unit).items():
        for x in (-40.0, 0.0, 451.0):
            there = factor * (SCALES[name].w * x + SCALES[name].b) + zero
            assert scale.w * x + scale.b == pytest.approx(there, rel=1e-14, abs=1e-12)  # rounding of three operations
    own = scales_in(unit)["fahrenheit" if unit == "°F" else "kelvin"]
    assert (own.w, own.b) == (1.0, 0.0)


def said(x: np.ndarray, y: np.ndarray, unit: str = "hPa") -> tuple[str, float]:
    """The sentence about readings, and the p-value by statsmodels of slope 1 and offset 0, jointly."""
    fit = sm.OLS(y, sm.add_constant(x)).fit()
    (b, w), s = fit.params, math.sqrt(fit.mse_resid)
    u_w, u_pivot = fit.bse[1], s / math.sqrt(len(x))
    found = compare(w, b, (x.min(), x.max()), u_w=u_w, u_pivot=u_pivot, pivot=x.mean(), dof=len(x) - 2, unit=unit)
    p = float(fit.f_test((np.eye(2), [0.0, 1.0])).pvalue)
    assert found.p[0, 0] == pytest.approx(p, rel=1e-7)  # statsmodels solves in the columns as they are
    return same_quantity(found, unit), p


def test_the_same_quantity_is_one_joint_f_test() -> None:
    rng = np.random.default_rng(1)
    x = np.linspace(900.0, 1050.0, 16)
    scatter = rng.normal(0.0, 0.07, 16)
    same, p = said(x, x + scatter)
    assert p > 0.05
    assert same.startswith("The indications are the same quantity as the reference as far as these readings can tell (")
    high, _ = said(x + 2.2, x + scatter)
    assert "are the same quantity as the reference, 2.2 hPa too high; that is more than chance (slope 1" in high
    other, _ = said(x, 0.01 * x + 0.01 * scatter)
    assert "are not the same quantity as the reference in its unit, hPa" in other
    wide, p = said(x, x + 1e4 * scatter)
    assert p > 0.05
    assert "but the readings scatter too much to tell" in wide


def test_without_scatter_the_same_quantity_is_exact_and_two_readings_test_nothing() -> None:
    same = "the same quantity as the reference"
    exact = compare(1.0, 0.0, (0.0, 10.0), unit="V")
    assert same_quantity(exact, "V") == f"The indications are {same}, exactly, to rounding"
    two = compare(1.0, -0.5, (0.0, 10.0), unit="V")
    assert same_quantity(two, "V") == f"If the indications are {same}, they are 0.50 V too high"


def test_the_same_quantity_is_denied_falsely_as_often_as_it_says() -> None:
    rng, n, runs = np.random.default_rng(2), 8, 4000
    x = np.linspace(0.0, 10.0, n)
    y = x + rng.normal(0.0, 0.3, (runs, n))
    sxx = ((x - 5.0) ** 2).sum()
    w = ((x - 5.0) * y).sum(axis=1) / sxx
    level = y.mean(axis=1)
    s = np.sqrt(((y - level[:, None] - w[:, None] * (x - 5.0)) ** 2).sum(axis=1) / (n - 2))
    ends = np.tile([0.0, 10.0], (runs, 1))
    found = compare(w, level - 5.0 * w, ends, u_w=s / sxx**0.5, u_pivot=s / n**0.5, pivot=5.0, dof=n - 2, unit="V")
    false = (found.p[:, 0] < 0.05).mean()
    assert abs(false - 0.05) < 4 * math.sqrt(0.05 * 0.95 / runs)  # four standard deviations of the count

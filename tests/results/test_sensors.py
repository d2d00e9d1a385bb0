"""Thermistors and platinum from readings to calibrations: fits of arrays, files, fleets, logs, tables and exports."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from thermofit_pl import fit, load
from thermofit_pl.apply.apply import apply
from thermofit_pl.curves.beta import Beta
from thermofit_pl.curves.callendar_van_dusen import CallendarVanDusen
from thermofit_pl.curves.steinhart_hart import SteinhartHart
from thermofit_pl.errors import InputError
from thermofit_pl.export.export import export, proof_of
from thermofit_pl.export.view import view

FloatArray = NDArray[np.float64]

# https://www.itl.nist.gov/div898/strd/nls/data/mgh10.shtml: a thermistor [ohm], from 50 to 125 °C
R = np.array(
    [34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744, 8261, 7030, 6005, 5147, 4427, 3820, 3307, 2872], np.float64
)
T = np.arange(50.0, 126.0, 5.0)
UNITS = {"°C": (1.0, 0.0), "K": (1.0, 273.15), "°F": (1.8, 32.0)}
ABC = [1.129241e-3, 2.341077e-4, 8.775468e-8]  # of a thermistor with 10 kohm at 25 °C


def platinum(t: FloatArray, r0: float = 100.02) -> FloatArray:
    cold = np.where(t < 0, (t - 100) * t**3, 0)
    return np.asarray(r0 * (1 + 3.9083e-3 * t - 5.775e-7 * t**2 - 4.183e-12 * cold))


def thermistor(r: FloatArray) -> FloatArray:
    logarithm = np.log(r)
    return np.asarray(1 / (ABC[0] + ABC[1] * logarithm + ABC[2] * logarithm**3) - 273.15)


def refitted(r: FloatArray, t: FloatArray, terms: tuple[int, ...]) -> tuple[FloatArray, FloatArray, float]:
    """Least squares in °C, by Gauss and Newton with NumPy: coefficients of 1/T, their covariance, and s."""
    columns = np.stack([np.log(r) ** k for k in terms], axis=-1)
    scale = np.abs(columns).max(axis=0)
    theta = np.linalg.lstsq(columns / scale, 1 / (t + 273.15), rcond=None)[0]
    for _ in range(20):
        kelvin = 1 / (columns / scale @ theta)
        jacobian = -(kelvin**2)[:, None] * columns / scale
        theta = theta + np.linalg.lstsq(jacobian, t + 273.15 - kelvin, rcond=None)[0]
    s = np.sqrt(((1 / (columns / scale @ theta) - 273.15 - t) ** 2).sum() / (len(t) - len(terms)))
    return theta / scale, np.linalg.inv(jacobian.T @ jacobian) / np.outer(scale, scale) * s**2, float(s)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize(("curve", "terms"), [(SteinhartHart(), (0, 1, 3)), (SteinhartHart(4), (0, 1, 3, 2))])
def test_a_thermistor_has_its_coefficients_and_their_covariance_in_ohm_and_kelvin(
    curve: SteinhartHart, terms: tuple[int, ...], unit: str
) -> None:
    factor, zero = UNITS[unit]
    calibration: Any = fit(R, T * factor + zero, curve=curve, unit=unit, indication_unit="ohm")
    theta, covariance, s = refitted(R, T, terms)
    # a step of 1e-3 u ends the passes
    assert np.abs(calibration.conventional.values - theta).max() < 1e-3 * np.sqrt(np.diag(covariance)).max()
    np.testing.assert_allclose(calibration.conventional.u, np.sqrt(np.diag(covariance)), rtol=1e-5)
    scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    np.testing.assert_allclose(calibration.conventional.covariance / scale, covariance / scale, rtol=0, atol=1e-5)
    assert calibration.s == pytest.approx(s * factor, rel=1e-6)
    assert calibration.conventional.names == ("a", "b", "c", "d")[: len(terms)]
    found = calibration.correct(R)
    exact = 1 / sum(c * np.log(R) ** k for c, k in zip(theta, terms, strict=True)) - 273.15
    np.testing.assert_allclose(found.estimate, exact * factor + zero, rtol=0, atol=1e-9)
    row = np.stack([np.log(R) ** k for k in terms], axis=-1)
    u = factor * (exact + 273.15) ** 2 * np.sqrt(np.einsum("ij,jk,ik->i", row, covariance, row))
    np.testing.assert_allclose(found.u_line, u, rtol=1e-5)
    np.testing.assert_allclose(found.u_single, np.hypot(u, s * factor), rtol=1e-5)
    back = calibration.invert(found.estimate)
    np.testing.assert_allclose(back.indication, R, rtol=1e-9)
    assert set(back.line.kind[1:-1]) == {"bounded"}
    middle = calibration.correct(back.single.lower[5])
    k = calibration.coverage_factor
    assert middle.estimate - k * middle.u_single == pytest.approx(found.estimate[5], abs=1e-8)


def test_beta_has_r25_and_beta() -> None:
    calibration: Any = fit(R, T, curve=Beta())
    (a, b), covariance, _ = refitted(R, T, (0, 1))
    r25, beta = calibration.conventional.values
    assert (r25, beta) == pytest.approx((np.exp((1 / 298.15 - a) / b), 1 / b), rel=1e-6)
    assert calibration.conventional.u[1] == pytest.approx(np.sqrt(covariance[1, 1]) / b**2, rel=1e-4)
    assert "R25 = 107750(750) Ω, beta = 4291(11) K" in str(calibration)


@pytest.mark.parametrize("unit", UNITS)
def test_platinum_is_fitted_as_a_function_of_the_reference(unit: str) -> None:
    factor, zero = UNITS[unit]
    random = np.random.default_rng(0)
    t = np.linspace(-100, 300, 40)
    r = platinum(t) + 0.005 * random.standard_normal(40)
    columns = np.stack([np.where(t < 0, 1 - 4.183e-12 * (t - 100) * t**3, 1), t, t**2], axis=-1)
    scale = np.abs(columns).max(axis=0)
    exact = np.linalg.lstsq(columns / scale, r, rcond=None)[0] / scale
    calibration: Any = fit(r, t * factor + zero, curve=CallendarVanDusen("R0 A B"), unit=unit)
    quoted = [exact[0], *exact[1:] / exact[0]]
    np.testing.assert_allclose(calibration.conventional.values, quoted, rtol=1e-8)
    covariance = np.linalg.inv(columns.T @ columns) * ((columns @ exact - r) ** 2).sum() / 37
    assert calibration.conventional.u[0] == pytest.approx(np.sqrt(covariance[0, 0]), rel=1e-6)
    # the estimate is the inverse, and u that of the resistance over the slope
    found = calibration.correct(r)
    a, b, c = exact
    rise = b + 2 * c * found_celsius(found.estimate, factor, zero)
    warm = t > 5
    u_r = np.sqrt(np.einsum("ij,jk,ik->i", columns, covariance, columns))
    np.testing.assert_allclose(found.u_line[warm], (factor * u_r / rise)[warm], rtol=1e-3)
    s = np.sqrt(((columns @ exact - r) ** 2).sum() / 37)
    np.testing.assert_allclose(found.u_single[warm], (factor * np.hypot(u_r, s) / rise)[warm], rtol=1e-3)
    np.testing.assert_allclose(
        a
        + found_celsius(found.estimate, factor, zero)[warm]
        * (b + c * found_celsius(found.estimate, factor, zero)[warm]),
        r[warm],
        rtol=1e-12,
    )
    np.testing.assert_allclose(calibration.invert(found.estimate[1:-1]).indication, r[1:-1], rtol=1e-12)
    assert "the reference counts as exact" in str(calibration)
    assert "within class A of IEC 60751 from −100 to 300 °C, with R0 nominally 100" in str(calibration)


def found_celsius(estimate: FloatArray, factor: float, zero: float) -> FloatArray:
    return (estimate - zero) / factor


@pytest.mark.parametrize(
    "curve", [SteinhartHart(), SteinhartHart(4), Beta(), CallendarVanDusen("R0"), CallendarVanDusen()], ids=repr
)
def test_the_file_and_a_corrected_table_are_the_calibration(curve: Any, tmp_path: Path) -> None:
    r = platinum(T) if curve.inverted else R
    random = np.random.default_rng(3)
    calibration: Any = fit(r, T + 0.01 * random.standard_normal(16), curve=curve)
    calibration.save(tmp_path / "calibration.json")
    again: Any = load(tmp_path / "calibration.json")
    assert again == calibration
    expected = calibration.correct(r)
    for name, values in again.correct(r)._asdict().items():
        np.testing.assert_array_equal(values, getattr(expected, name))
    pl.DataFrame({"ohm": r}).write_csv(tmp_path / "table.csv")
    apply(again, str(tmp_path / "table.csv"), output=str(tmp_path / "out.csv"), indication="ohm")
    table = pl.read_csv(tmp_path / "out.csv")
    for name in ("estimate", "u_line", "u_single"):
        np.testing.assert_allclose(table[name], getattr(expected, name), rtol=1e-12)


def test_a_fleet_of_thermistors_is_each_of_them(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    probe = random.integers(0, 4, 400)
    r = np.exp(random.uniform(np.log(1e3), np.log(1e5), 400))
    t = thermistor(r) + 0.2 * random.standard_normal(400)
    r = r * (1 + probe)
    t[probe == 3] = random.uniform(0, 50, (probe == 3).sum()) + r[probe == 3] / 1e4  # no thermistor
    fleet: Any = fit(r, t, [f"p{k}" for k in probe], curve=SteinhartHart())
    assert fleet.frame["status"].to_list() == ["ok"] * 3 + ["a curve that no thermistor has"]
    fleet.save(tmp_path / "calibrations.parquet")
    fleet = load(tmp_path / "calibrations.parquet")
    frame = pl.DataFrame({"probe": [f"p{k}" for k in probe], "ohm": r})
    frame.write_csv(tmp_path / "table.csv")
    out = str(tmp_path / "out.csv")
    apply(fleet, str(tmp_path / "table.csv"), output=out, indication="ohm", instrument="probe")
    table = pl.read_csv(tmp_path / "out.csv")
    for k in range(3):
        own: Any = fit(r[probe == k], t[probe == k], curve=SteinhartHart())
        assert fleet[f"p{k}"].s == pytest.approx(own.s, rel=1e-6)
        np.testing.assert_allclose(fleet[f"p{k}"].conventional.values, own.conventional.values, rtol=1e-5)
        estimate = table.filter(probe=f"p{k}")["estimate"].to_numpy()
        # both are within 1e-3 u of the solution
        np.testing.assert_allclose(estimate, own.correct(r[probe == k]).estimate, rtol=0, atol=2e-4)
    assert table.filter(probe="p3")["estimate"].null_count() == (probe == 3).sum()


def test_a_log_of_a_thermistor_knows_that_neighbours_are_alike() -> None:
    random = np.random.default_rng(7)
    n, error = 4000, np.zeros(4000)
    for k in range(1, n):
        error[k] = 0.9 * error[k - 1] + 0.02 * random.standard_normal()
    t = 40 + 30 * np.sin(np.arange(n) * 2 * np.pi / 1000)
    grid = np.geomspace(500, 1e5, 20_000)
    r = np.interp(t, thermistor(grid)[::-1], grid[::-1])
    one: Any = fit(r, t + error, curve=SteinhartHart())
    log: Any = fit(r, t + error, curve=SteinhartHart(), time=np.arange(n) * 10.0)
    assert log.conventional.values == pytest.approx(one.conventional.values, rel=1e-6)
    ratio = log.correct(1e4).u_line / one.correct(1e4).u_line
    assert 2.5 < ratio < 7  # √((1 + 0.9)/(1 − 0.9)) is 4.4


@pytest.mark.slow
def test_intervals_of_a_thermistor_hold_the_truth_as_often_as_they_say() -> None:
    random = np.random.default_rng(11)
    r = np.geomspace(2e3, 5e4, 12)
    true, inside = thermistor(r), np.zeros(12)
    for _ in range(1000):
        calibration: Any = fit(r, true + 0.05 * random.standard_normal(12), curve=SteinhartHart())
        found = calibration.correct(r)
        inside += np.abs(found.estimate - true) <= calibration.coverage_factor * found.u_line
    np.testing.assert_allclose(inside / 1000, 0.95, atol=0.022)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.geomspace(500, 5e4, 12) / 1e3, SteinhartHart(), {}), "expected resistances in ohm, but the fitted curve"),
        ((np.geomspace(500, 5e4, 12), SteinhartHart(), {"indication_unit": "kΩ"}), "expected resistances in ohm"),
        ((np.linspace(-5, 5e4, 12), SteinhartHart(), {}), "row 1: SteinhartHart expected a resistance above 0 ohm"),
        ((np.geomspace(500, 5e4, 12), Beta(), {"unit": "K"}), "expected references in kelvin, but their mean is"),
        ((np.geomspace(5e4, 500, 12), SteinhartHart(), {}), "a resistance that falls while the temperature rises"),
        ((np.geomspace(500, 5e4, 12), CallendarVanDusen(), {}), "a resistance that rises with the temperature"),
        ((np.geomspace(500, 5e4, 12), Beta(), {"unit": "hPa"}), "expected references in °C, °F or K, .* got hPa"),
    ],
)  # fmt: skip
def test_readings_that_no_such_sensor_has_are_refused(arguments: Any, message: str) -> None:
    r, curve, options = arguments
    t = np.abs(thermistor(np.geomspace(500, 5e4, 12)))
    with pytest.raises(InputError, match=message):
        fit(r, t, curve=curve, **options)


def test_kiloohms_that_are_said_to_be_ohms_are_taken_for_ohms() -> None:
    r = np.geomspace(500, 5e4, 12)
    found: Any = fit(r / 1e3, thermistor(r), curve=SteinhartHart(), indication_unit="ohm")
    assert found.s > 0.05  # another model there
    four: Any = fit(r / 1e3, thermistor(r), curve=SteinhartHart(4))
    assert four.s < 1e-9  # which four terms hold in any unit


def test_a_c_that_is_not_above_zero_is_told() -> None:
    r = np.geomspace(500, 5e4, 12)
    logarithm = np.log(r)
    t = 1 / (9e-4 + 2.9e-4 * logarithm - 9e-8 * logarithm**3) - 273.15
    calibration: Any = fit(r, t + 1e-3 * np.cos(np.arange(12) * 9), curve=SteinhartHart())
    assert calibration.conventional.values[2] < 0
    assert "c is -9" in str(calibration)
    assert "not above 0 as a thermistor's is" in str(calibration)


def test_a_line_through_a_thermistor_is_told_of_its_equation() -> None:
    assert "add --model.curve SteinhartHart." in str(fit(R, T))
    assert "add --model.curve SteinhartHart." in str(fit(R, T * 1.8 + 32, unit="°F"))
    t = np.linspace(-50, 200, 20)
    assert "near the resistances of a Pt100: the equation of platinum" in str(fit(platinum(t), t))
    assert "near the resistances of a Pt1000" in str(fit(platinum(t, 1000.0), t))
    for other in (str(fit(T, T + 1)), str(fit(R, T, curve=SteinhartHart())), str(fit(platinum(t), t, unit="hPa"))):
        assert "--model.curve" not in other


@pytest.mark.parametrize("to", ["klipper", "marlin", "esphome", "c", "python", "excel", "table"])
def test_thermistors_are_exported(to: str) -> None:
    for curve in (SteinhartHart(), Beta()):
        calibration: Any = fit(R, T, curve=curve, indication_unit="ohm")
        of = view(calibration, "ntc")
        assert proof_of(of, to).largest <= 0.1 * calibration.s
        text = export(of, to)
        if to == "esphome" and isinstance(curve, SteinhartHart):
            assert f"a: {calibration.conventional.values[0]!r}" in text
            assert "to_ntc_temperature" in text


@pytest.mark.parametrize("to", ["c", "python", "table"])
def test_platinum_is_exported(to: str) -> None:
    t = np.linspace(-100, 300, 30)
    random = np.random.default_rng(0)
    calibration: Any = fit(platinum(t) + 0.005 * random.standard_normal(30), t, curve=CallendarVanDusen())
    assert proof_of(view(calibration, "pt"), to).largest <= 0.1 * calibration.s
    assert export(view(calibration, "pt"), to)

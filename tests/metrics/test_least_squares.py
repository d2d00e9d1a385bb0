"""The line and its uncertainties against certified and published answers; SGD's limits against loops."""

from collections.abc import Callable

import numpy as np
import pytest
import statsmodels.api as sm
import torch
from GTC import type_a
from made import GUM_H3, NOTEBOOK
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from thermofit_pl.functional.distributions import coverage_factor
from thermofit_pl.metrics.least_squares import (
    Fit,
    distance,
    least_squares,
    stability_limit,
    steps_needed,
)
from thermofit_pl.metrics.moments import Moments

# NIST StRD, Norris.dat (calibration of ozone monitors): the first column is the response y, the second x
NORRIS_TEXT = """
0.1 0.2    338.8 337.4  118.1 118.2  888.0 884.6  9.2 10.1     228.1 226.5  668.5 666.3  998.5 996.3  449.1 448.6
778.9 777.0  559.2 558.2  0.3 0.4    0.1 0.6      778.1 775.5  668.8 666.9  339.3 338.0  448.9 447.5  10.8 11.6
557.7 556.0  228.3 228.1  998.0 995.8  888.8 887.6  119.6 120.2  0.3 0.3    0.6 0.3      557.6 556.8  339.3 339.1
888.0 887.2  998.5 999.0  778.9 779.0  10.2 11.1  117.6 118.3  228.9 229.2  668.4 669.1  449.2 448.9  0.2 0.5
"""
NORRIS = np.array(NORRIS_TEXT.split(), dtype=np.float64).reshape(-1, 2)


def moments_of(x: ArrayLike, y: ArrayLike) -> Moments:
    moments = Moments()
    moments.update(torch.tensor(x, dtype=torch.float64), torch.tensor(y, dtype=torch.float64))
    return moments


def line_of(x: ArrayLike, y: ArrayLike) -> Fit:
    return least_squares(moments_of(x, y))


def test_nist_norris_to_twelve_digits() -> None:
    line = line_of(NORRIS[:, 1], NORRIS[:, 0])
    assert line.n.item() == 36
    assert line.dof.item() == 34
    certified = {  # https://www.itl.nist.gov/div898/strd/lls/data/LINKS/DATA/Norris.dat
        "b": -0.262323073774029,
        "u_b": 0.232818234301152,
        "w": 1.00211681802045,
        "u_w": 0.429796848199937e-03,
        "s": 0.884796396144373,
        "r_squared": 0.999993745883712,
    }
    for name, value in certified.items():
        # the intercept is what is left of means of 429, whose last bit is 2e-13 of it
        assert getattr(line, name).item() == pytest.approx(value, rel=5e-13 if name == "b" else 2e-14, abs=0), name
    residual_sum = 26.6173985294224
    assert line.rmse.item() == pytest.approx((residual_sum / 36) ** 0.5, rel=2e-14, abs=0)


def test_the_notebooks_readings_to_all_digits() -> None:
    line = line_of(*NOTEBOOK)
    published = {  # least squares in float64, checked two ways
        "w": 0.5367719209075441,
        "u_w": 0.0355386003267085,
        "b": -17.304785503010784,
        "u_b": 1.927227259586925,
        "cov_wb": -0.0654229914628032,
        "s": 1.8916219166469581,
        "r_squared": 0.9620458441015297,
        "rmse": 2.9276455708956366**0.5,
        "pivot": 51.8,
    }
    for name, value in published.items():
        assert getattr(line, name).item() == pytest.approx(value, rel=1e-14, abs=0), name
    assert line.dof.item() == 9
    correlation = (line.cov_wb / (line.u_w * line.u_b)).item()
    assert correlation == pytest.approx(-0.9552062361955541, rel=1e-14, abs=0)
    u_line = (line.u_pivot**2 + line.u_w**2 * (68 - line.pivot) ** 2).sqrt().item()
    assert u_line == pytest.approx(0.810403357905863, rel=1e-14, abs=0)
    assert (line.s.item() ** 2 + u_line**2) ** 0.5 == pytest.approx(2.05790842314332, rel=1e-14, abs=0)


def test_gum_h3_to_all_digits() -> None:
    line = line_of(*GUM_H3)
    published = {  # JCGM 100:2008, Annex H.3, as pairs (t, t + b), to the digits of its float64 recomputation
        "w": (1.00218269774, 11),
        "b": (-0.21485774493, 11),
        "u_w": (0.000667938773228, 15),
        "u_b": (0.0160708145767511, 14),
        "cov_wb": (-1.07111848443e-05, 16),
        "r_squared": (0.999996002207, 12),
        "s": (0.00349756396, 11),
    }
    for name, (value, places) in published.items():
        assert getattr(line, name).item() == pytest.approx(value, abs=0.51 * 10**-places), name
    w, b = line.w.item(), line.b.item()
    u_at = [
        (line.u_pivot**2 + line.u_w**2 * (t - line.pivot) ** 2).sqrt().item()
        for t in (20, 30)  # °C
    ]
    assert w * 20 + b - 20 == pytest.approx(-0.17120379013135, abs=1e-13)
    assert w * 30 + b - 30 == pytest.approx(-0.14937681273, abs=1e-11)
    np.testing.assert_allclose(u_at, [0.00287759783516, 0.00413859575], rtol=1e-9)
    assert (round(w * 20 + b - 20, 4), round(w - 1, 5)) == (-0.1712, 0.00218)  # as the GUM prints them
    assert (round(u_at[0], 4), round(u_at[1], 4), round(line.s.item(), 4)) == (0.0029, 0.0041, 0.0035)


@pytest.mark.parametrize("seed", range(5))
def test_against_statsmodels_and_gtc(seed: int) -> None:
    random = np.random.default_rng(seed)
    n = int(random.integers(3, 200))
    x = 10.0**seed * random.random(n) + 3
    y = random.normal() * x + 20 + 0.1 * random.standard_normal(n)
    line, ols = line_of(x, y), sm.OLS(y, sm.add_constant(x)).fit()
    np.testing.assert_allclose([line.b.item(), line.w.item()], ols.params, rtol=1e-9)
    np.testing.assert_allclose([line.u_b.item(), line.u_w.item()], ols.bse, rtol=1e-8)
    assert line.cov_wb.item() == pytest.approx(ols.cov_params()[0, 1], rel=1e-8, abs=0)
    assert line.r_squared.item() == pytest.approx(ols.rsquared, rel=1e-9, abs=0)
    b, w = type_a.line_fit(x.tolist(), y.tolist()).a_b
    np.testing.assert_allclose([line.u_b.item(), line.u_w.item()], [b.u, w.u], rtol=1e-8)
    assert line.dof.item() == w.df


def test_two_readings_give_a_line_without_uncertainty() -> None:
    line = line_of([1, 3], [10, 14])
    assert (line.w.item(), line.b.item(), line.dof.item()) == (2, 8, 0)
    assert all(getattr(line, name).isnan() for name in ("s", "u_w", "u_b", "u_pivot", "cov_wb"))


@pytest.mark.parametrize("n", [0, 1, 5])
def test_readings_without_a_line_give_nan(n: int) -> None:
    line = line_of([0.1] * n, list(range(n)))
    names = ("w", "b", "s", "u_w", "u_b", "cov_wb", "rmse", "r_squared")
    assert all(getattr(line, name).isnan() for name in names)


@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("one_by_one", [False, True])
def test_the_errors_of_an_exact_table_are_below_rounding(offset: float, one_by_one: bool) -> None:
    x = np.linspace(-40, 212, 2521) + offset
    moments = Moments()
    for part in np.split(x, range(1, len(x))) if one_by_one else [x]:
        moments.update(torch.from_numpy(part), torch.from_numpy((part - offset - 32) / 1.8))
    line = least_squares(moments)
    assert line.below_rounding.item() is True
    assert [getattr(line, name).item() for name in ("s", "u_w", "u_b", "u_pivot", "rmse")] == [0] * 5
    assert line.r_squared.item() == 1
    # one by one, a mean near a million drifts by some 1e-9
    assert line.w.item() == pytest.approx(5 / 9, rel=1e-9 if one_by_one else 1e-12, abs=0)


def test_errors_that_are_no_rounding_are_kept() -> None:
    x = np.linspace(0, 100, 1000)
    line = line_of(x, x / 1.8 + 1e-9 * np.random.default_rng(0).standard_normal(1000))
    assert line.below_rounding.item() is False
    assert line.s.item() == pytest.approx(1e-9, rel=0.1, abs=0)


@pytest.mark.parametrize("probability", [0.5, 0.6827, 0.9, 0.95, 0.9545, 0.99, 0.9973, 0.9999, 0.999999])
def test_coverage_factors_are_scipys_to_eleven_digits(probability: float) -> None:
    dofs = [*range(1, 6), 9, 17, 30, 60, 99, 150, 198, 199, 200, 201, 500, 10**4, 10**6, 10**9]
    found = coverage_factor(dofs, probability)
    # 1 − p keeps 10 digits of 0.999999; scipy's own t at one degree of freedom has 11
    tolerance = 1e-9 if probability > 0.999 else 2e-11
    np.testing.assert_allclose(found, stats.t.ppf(0.5 + probability / 2, dofs), rtol=tolerance)


def test_the_coverage_factor_of_nine_degrees_of_freedom() -> None:
    assert round(float(coverage_factor(9, 0.95)), 3) == 2.262  # JCGM 100:2008, table G.2
    assert round(float(coverage_factor(1, 0.95)), 2) == 12.71


def loop(x: ArrayLike, y: ArrayLike, rate: float, until: Callable[[float, float], bool], most: int) -> int:
    """Steps of plain SGD on the readings until a condition of (w, b) holds."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    w, b = 1.0, 0.0
    for step in range(most + 1):
        if until(w, b):
            return step
        error = w * x + b - y
        w, b = w - rate * 2 * float(np.mean(error * x)), b - rate * 2 * float(np.mean(error))
    return most + 1


def test_the_stability_limit_is_that_of_the_hessian_and_of_the_loop() -> None:
    x, y = NOTEBOOK
    limit = stability_limit(moments_of(x, y)).item()
    hessian = 2 * np.cov(np.stack([x, np.ones(11)]), bias=True) + 2 * np.outer([51.8, 1], [51.8, 1])
    assert limit == pytest.approx(2 / np.linalg.eigvalsh(hessian).max(), rel=1e-13, abs=0)
    assert f"{limit:.1e}" == "3.4e-04"
    far = 1e6  # from the start, only a loop that diverges gets so far
    assert loop(x, y, 1.001 * limit, lambda w, b: abs(w) > far, 20_000) <= 20_000
    assert loop(x, y, 0.999 * limit, lambda w, b: abs(w) > far, 20_000) == 20_001
    assert loop(x, y, 0.999 * limit, lambda w, b: abs(w * 51.8 + b - 10.5) < 0.01, 20_000) <= 20_000


def forecast(x: NDArray[np.float64], y: ArrayLike, rate: float, w: float, b: float, tolerance: float) -> float:
    moments = moments_of(x, y)
    away = distance(moments, *(torch.tensor([v], dtype=torch.float64) for v in (w, b)))
    return float(steps_needed(moments, away, torch.tensor([tolerance], dtype=torch.float64), rate))


@pytest.mark.parametrize(
    ("mean", "rate"),
    [(5.18, 1e-2), (5.18, 3e-2), (0.0, 0.1), (0.0, 0.45), (0.0, 0.8), (0.0, 0.99)],
    ids=["notebook", "faster", "slow", "fast", "beyond 1/λ", "near the limit"],
)
def test_the_forecast_counts_the_steps_that_a_loop_takes(mean: float, rate: float) -> None:
    x, y = np.array(NOTEBOOK[0]), np.array(NOTEBOOK[1])
    x = x / 10 - 5.18 + mean if mean else (x - x.mean()) / x.std()
    moments = moments_of(x, y)
    line = least_squares(moments)
    w, b = line.w.item(), line.b.item()

    def away(v: float, c: float) -> float:
        return float(max(abs((v - w) * end + c - b) for end in (x.min(), x.max())))

    taken = loop(x, y, rate, lambda v, c: away(v, c) <= 1e-3, 10_000)
    settled = loop(x, y, rate, lambda v, c: away(v, c) <= 0.5, 10_000)  # the fast mode has died away by here
    error = np.zeros(2)

    def keep(v: float, c: float) -> bool:
        error[:] = v, c
        return False

    loop(x, y, rate, keep, settled)
    assert 3 < taken < 10_000
    assert forecast(x, y, rate, error[0], error[1], 1e-3) == pytest.approx(taken - settled, abs=2)


def test_the_forecast_at_its_ends() -> None:
    x, y = np.array([-1.0, 1.0]), [0.0, 1.0]  # both eigenvalues are 2
    assert forecast(x, y, 0.1, 0.5, 0.5, 1e-3) == 0  # on the line
    assert forecast(x, y, 0.5, 1.0, 0.0, 1e-3) == 1  # one step goes all the way
    assert forecast(x, y, 1.0, 1.0, 0.0, 1e-3) == np.inf  # on the limit it swings for ever
    assert forecast(x, y, 1.1, 1.0, 0.0, 1e-3) == np.inf
    assert forecast(x, y, 0.1, 1.0, 0.0, 0.0) == np.inf  # no tolerance


def test_the_distance_is_the_largest_over_the_range() -> None:
    x, y = NOTEBOOK
    moments, (w, b) = moments_of(x, y), (0.6, -20.0)
    over = np.linspace(21.8, 81.9, 1001)
    expected = np.abs((w - 0.5367719209075441) * over + b + 17.304785503010784).max()
    found = distance(moments, *(torch.tensor([v], dtype=torch.float64) for v in (w, b))).item()
    assert found == pytest.approx(expected, rel=1e-13, abs=0)

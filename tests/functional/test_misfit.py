"""Patterns in errors against statsmodels and SciPy, and their rates on clean readings."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.diagnostic import het_breuschpagan

from logs import FloatArray, ar1, errors, fitted, indications, log_of, tolerance
from thermofit_pl.functional.groups import Groups
from thermofit_pl.functional.misfit import growing_scatter, monotone, neighbours, shape

THERMISTOR = (  # °C and ohm: falls throughout, but not along a line
    np.array([25.0, 100, 150, 200, 250, 300, 350, 400]),
    np.array([4.6e6, 1.6e5, 3e4, 8100, 2700, 1050, 480, 260]),
)


def one(n: int) -> Groups:
    return Groups(np.zeros(n, np.int64), 1)


def table(n: int, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    random = np.random.default_rng(seed)
    x = random.uniform(20, 80, n)
    return x, 0.5 * x - 17 + random.standard_normal(n)


@pytest.mark.parametrize("n", [6, 40])
def test_shape_is_statsmodels_f_of_each_term(n: int) -> None:
    x, y = table(n)
    z = (x - x.mean()) / np.ptp(x)
    square = sm.OLS(y, sm.add_constant(np.stack([z, z**2], axis=1))).fit()
    cube = sm.OLS(y, sm.add_constant(np.stack([z, z**2, z**3], axis=1))).fit()
    found = shape(x[:, None], x, y, one(n))
    expected = min(square.pvalues[2], cube.pvalues[3])
    assert found.p[0] == pytest.approx(min(2 * expected, 1), rel=1e-8)
    assert found.degree[0] == (3 if cube.pvalues[3] < square.pvalues[2] else 2)


def test_four_readings_can_only_be_a_parabola() -> None:
    x, y = table(4)
    fit = sm.OLS(y, sm.add_constant(np.stack([x, x**2], axis=1))).fit()
    assert shape(x[:, None], x, y, one(4)).p[0] == pytest.approx(fit.pvalues[2], rel=1e-7)
    assert np.isnan(shape(x[:3, None], x[:3], y[:3], one(3)).p[0])


def test_an_s_of_eight_sigma_is_seen_and_called_one() -> None:
    random = np.random.default_rng(5)
    x = np.linspace(-1, 1, 300)
    y = 20 * x + 8 * (2.5 * x**3 - 1.5 * x) + random.standard_normal(300)
    found = shape(x[:, None], x, y, one(300))
    assert found.p[0] < 1e-12
    assert found.degree[0] == 3
    assert found.size[0] == pytest.approx(8 / np.sqrt(7), rel=0.1)


def test_a_quadratic_curve_is_tested_for_the_next_two_degrees() -> None:
    random = np.random.default_rng(5)
    x = np.linspace(-1, 1, 200)
    y = 20 * x + 9 * x**2 + 0.1 * random.standard_normal(200)
    features = np.stack([x, x**2], axis=-1)
    assert shape(features, x, y, one(200), (3, 4)).p[0] > 0.01
    assert shape(features, x, y + x**3, one(200), (3, 4)).p[0] < 1e-9


def test_growing_scatter_is_koenkers_test() -> None:
    x, y = table(60)
    whitened, groups = fitted(x[None], (y + 0.02 * x * np.random.default_rng(1).standard_normal(60))[None])
    p, _ = growing_scatter(x, whitened.error, groups)
    assert p[0] == pytest.approx(het_breuschpagan(whitened.error, sm.add_constant(x))[1], rel=1e-9)
    assert growing_scatter(x, x * whitened.error, groups)[1][0] == 1


def test_neighbours_alike_about_a_cubic() -> None:
    x, y = table(60)
    r, p = neighbours(x, y, one(60))
    residuals = sm.OLS(y, np.vander((x - 50) / 30, 4)).fit().resid
    assert r[0] == pytest.approx(residuals[1:] @ residuals[:-1] / (residuals @ residuals), rel=1e-9)
    random = np.random.default_rng(2)
    rest = sm.OLS(random.standard_normal((60, 20_000)), np.vander((x - 50) / 30, 4)).fit().resid
    simulated = (rest[1:] * rest[:-1]).sum(axis=0) / (rest**2).sum(axis=0)
    assert p[0] == pytest.approx((simulated >= r[0]).mean(), abs=0.015)  # three standard deviations of 20,000
    log = ar1(random, 1, 300, 0.9)[0]
    assert neighbours(np.linspace(0, 1, 300), log, one(300))[1][0] < 1e-12


def test_monotone_but_not_along_a_line() -> None:
    celsius, ohm = THERMISTOR
    rho, p = monotone(ohm, celsius, one(8))
    assert rho[0] == pytest.approx(-1)
    assert p[0] == pytest.approx(2 / 40320)
    assert stats.linregress(ohm, celsius).pvalue > 0.01
    x, y = table(50)
    assert monotone(x, y, one(50))[0][0] == pytest.approx(stats.spearmanr(x, y).statistic, rel=1e-12)


def test_instruments_do_not_mix() -> None:
    x, y = table(90)
    code = np.repeat([0, 1, 2], [20, 30, 40])
    groups = Groups(code, 3)
    for k in range(3):
        own = code == k
        alone = one(int(own.sum()))
        assert neighbours(x, y, groups)[1][k] == pytest.approx(neighbours(x[own], y[own], alone)[1][0], rel=1e-9)
        both, single = shape(x[:, None], x, y, groups), shape(x[own, None], x[own], y[own], alone)
        assert both.p[k] == pytest.approx(single.p[0], rel=1e-9)
        assert monotone(x, y, groups)[0][k] == pytest.approx(monotone(x[own], y[own], alone)[0][0], rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "replicates"), [(4, 4000), (8, 4000), (20, 4000), (1000, 300)])
def test_rates_on_independent_readings(n: int, replicates: int) -> None:
    random = np.random.default_rng(21)
    x = indications(random, replicates, n, "random")
    y = 0.5 * x + random.standard_normal(x.shape)
    whitened, groups = fitted(x, y)
    flat = x.reshape(-1)
    most = 0.01 + tolerance(0.01, replicates) + 0.003  # the beta distribution and χ² are approximations
    assert np.mean(neighbours(flat, y.reshape(-1), groups)[1] < 0.01) < most
    assert np.mean(shape(flat[:, None], flat, y.reshape(-1), groups).p < 0.01) < most
    assert np.mean(growing_scatter(flat, whitened.error, groups)[0] < 0.01) < most


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ramp", "day", "slow"])
@pytest.mark.parametrize(("n", "rho", "white", "replicates"), [(60, 0.9, 0.0, 600), (3000, 0.98, 0.4, 200)])
def test_rates_on_logs(kind: str, n: int, rho: float, white: float, replicates: int) -> None:
    random = np.random.default_rng(22)
    x = indications(random, replicates, n, kind)
    y = 0.5 * x + errors(random, replicates, n, white, rho)
    whitened, groups = fitted(x, y)
    flat, log = x.reshape(-1), log_of(replicates, n)
    most = 0.03 + tolerance(0.03, replicates)
    assert np.mean(shape(flat[:, None], flat, y.reshape(-1), groups, (2, 3), log).p < 0.01) < most
    assert np.mean(growing_scatter(flat, whitened.error, groups, log)[0] < 0.01) < most

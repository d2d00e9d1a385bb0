"""Readings that don't belong to the rest: against statsmodels, exact bounds, and tables with codes and stuck values."""

import numpy as np
import pytest
import statsmodels.api as sm

from logs import FloatArray, fitted, indications, tolerance
from thermofit_pl.functional.groups import Groups
from thermofit_pl.functional.outliers import Outliers, deleted, find, stuck


def found(x: FloatArray, y: FloatArray) -> Outliers:
    whitened, groups = fitted(x[None], y[None])
    return find(x, y, whitened, groups)


def one(n: int) -> Groups:
    return Groups(np.zeros(n, np.int64), 1)


def test_deleted_residuals_are_statsmodels() -> None:
    random = np.random.default_rng(0)
    x = random.uniform(0, 10, 30)
    y = 0.5 * x + random.standard_normal(30)
    whitened, groups = fitted(x[None], y[None])
    _, t, dof = deleted(whitened, np.zeros(30, bool), groups)
    influence = sm.OLS(y, sm.add_constant(x)).fit().get_influence()
    np.testing.assert_allclose(t, -influence.resid_studentized_external, rtol=1e-9)
    assert dof[0] == 28
    out = np.arange(30) < 3
    rest = sm.OLS(y[~out], sm.add_constant(x[~out])).fit()
    expected = (rest.predict(sm.add_constant(x))[0] - y[0]) / rest.get_prediction([1, x[0]]).se_obs[0]
    assert deleted(whitened, out, groups)[1][0] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("n", "bound"), [(4, 255), (5, 22), (11, 5.1), (100, 4.1), (1000, 4.4)])
def test_the_largest_error_has_bounds_of_its_own(n: int, bound: float) -> None:
    random = np.random.default_rng(1)
    x = np.linspace(0, 1, n)
    y = random.standard_normal(n)
    whitened, groups = fitted(x[None], y[None])
    t = np.abs(deleted(whitened, np.zeros(n, bool), groups)[1]).max()
    # the reading is moved to just below and above the bound: its deleted residual is linear in it
    k = n // 2
    rest = sm.OLS(np.delete(y, k), sm.add_constant(np.delete(x, k))).fit()
    at = rest.get_prediction([1, x[k]])
    for scale, below in ((0.96, False), (1.04, True)):
        y[k] = at.predicted_mean[0] + scale * bound * at.se_obs[0]
        assert (found(x, y).p[0] < 0.01) == below
    assert t > 0


def test_error_codes_are_named_though_they_mask_each_other() -> None:
    x = np.array([20.1, 21.2, 85, 22.3, 23.4, 24.1, 85, 25.2])
    y = np.array([19.8, 20.9, 21.5, 22.0, 23.1, 23.9, 24.5, 25.0])
    result = found(x, y)
    np.testing.assert_array_equal(np.flatnonzero(result.code), [2, 6])
    assert not result.standing_out.any()


@pytest.mark.parametrize("code", [85.0, -127.0, -9999.0, 4711.0])
@pytest.mark.parametrize("of", ["indication", "reference"])
def test_codes_in_a_long_table(code: float, of: str) -> None:
    random = np.random.default_rng(2)
    x = random.uniform(0, 100, 200)
    y = 1.01 * x + 0.1 * random.standard_normal(200)
    rows = [3, 50, 51, 120]
    (x if of == "indication" else y)[rows] = code
    result = found(x, y)
    np.testing.assert_array_equal(np.flatnonzero(result.code | result.standing_out), rows)


def test_a_reading_at_85_degrees_is_no_code() -> None:
    random = np.random.default_rng(3)
    x = np.append(random.uniform(0, 100, 50), [85.0, 85.0])
    assert not found(x, 1.01 * x + 0.1 * random.standard_normal(52)).code.any()


def test_several_outliers_that_mask_each_other() -> None:
    random = np.random.default_rng(4)
    x = random.uniform(0, 100, 60)
    y = x + 0.1 * random.standard_normal(60)
    y[[5, 17, 40]] += [3.0, 3.4, 2.8]
    assert np.flatnonzero(found(x, y).standing_out).tolist() == [5, 17, 40]


def test_a_value_that_is_stuck_while_the_reference_moves() -> None:
    random = np.random.default_rng(5)
    y = np.linspace(10, 30, 200)
    x = y + 0.05 * random.standard_normal(200)
    x[80:110] = x[80]
    result = stuck(x, y, one(200))
    assert (result.first[0], result.length[0]) == (80, 30)
    assert result.moved[0] == pytest.approx(29 * 20 / 199)


@pytest.mark.parametrize("resolution", [0.0625, 0.5])
def test_a_coarse_resolution_is_not_stuck(resolution: float) -> None:
    random = np.random.default_rng(6)
    y = np.linspace(10, 30, 2000)
    x = np.round(y / resolution) * resolution
    assert stuck(x, y + 0.02 * random.standard_normal(2000), one(2000)).first[0] == -1


@pytest.mark.slow
@pytest.mark.parametrize(("n", "replicates"), [(4, 4000), (5, 4000), (11, 4000), (100, 2000), (1000, 300)])
def test_rates_on_clean_readings(n: int, replicates: int) -> None:
    random = np.random.default_rng(31)
    x = indications(random, replicates, n, "random")
    whitened, groups = fitted(x, 0.5 * x + random.standard_normal(x.shape))
    y = 0.5 * x + random.standard_normal(x.shape)
    whitened, groups = fitted(x, y)
    result = find(x.reshape(-1), y.reshape(-1), whitened, groups)
    assert np.mean(groups.sums(result.standing_out) > 0) < 0.01 + tolerance(0.01, replicates)
    assert not result.code.any()
    assert (stuck(x.reshape(-1), y.reshape(-1), groups).first == -1).all()

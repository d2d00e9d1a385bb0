"""Repeats and set points against least squares of means, and their coverage by simulation."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from logs import FloatArray, fitted, tolerance
from thermofit_pl.functional.groups import Groups
from thermofit_pl.functional.set_points import analyse, recognise
from thermofit_pl.functional.uncertainty import REPEATS, SET_POINTS, Source, combine


def bath(
    replicates: int, points: int, repeats: int, shared: float, own: float = 0.003, seed: int = 0
) -> tuple[FloatArray, FloatArray]:
    """Tables of repeats at set points from 0 to 100, of which each is off by an amount of its own."""
    random = np.random.default_rng(seed)
    x = np.repeat(np.linspace(0, 100, points), repeats) + 0.003 * random.standard_normal((replicates, points * repeats))
    off = np.repeat(shared * random.standard_normal((replicates, points)), repeats, axis=1)
    return x, x + off + own * random.standard_normal(x.shape)


def test_set_points_are_least_squares_of_the_means() -> None:
    x, y = bath(1, 5, 20, 0.05)
    whitened, groups = fitted(x, y)
    code = recognise(x[0], y[0], groups)
    np.testing.assert_array_equal(code, np.repeat(np.arange(5), 20))
    found = analyse(whitened, code, groups)
    means = [values.reshape(5, 20).mean(axis=1) for values in (x, y)]
    line = sm.OLS(means[1], sm.add_constant(means[0])).fit()
    sxx = ((x - x.mean()) ** 2).sum()
    # whitened columns are those of all readings, which the repeats' own spread makes a millionth longer
    assert np.sqrt(found.covariance[0, 1, 1] / sxx) == pytest.approx(line.bse[1], rel=1e-5)
    assert found.dof[0] == 3
    assert found.repeats_dof[0] == 95
    assert found.largest[0] == np.argmax(np.abs(line.resid))
    assert found.error[0] == pytest.approx(-line.resid[found.largest[0]], rel=1e-2)


def test_lack_of_fit_is_the_classical_f_test() -> None:
    random = np.random.default_rng(1)
    x = np.repeat([0.0, 10, 20, 30], [3, 4, 5, 6])
    y = 0.5 * x + random.standard_normal(18)
    whitened, groups = fitted(x[None], y[None])
    code = recognise(x, y, groups)
    found = analyse(whitened, code, groups)
    line, means = sm.OLS(y, sm.add_constant(x)).fit(), sm.OLS(y, np.eye(4)[code]).fit()
    f = (line.ssr - means.ssr) / 2 / (means.ssr / 14)
    assert found.p[0] == pytest.approx(stats.f.sf(f, 2, 14), rel=1e-9)
    assert np.isnan(found.covariance).all()  # two degrees of freedom are too few
    assert found.repeats[0, 0, 0] == pytest.approx(means.ssr / 14, rel=1e-10)


@pytest.mark.parametrize("replicates", [1, 30])
def test_readings_at_random_are_no_set_points(replicates: int) -> None:
    random = np.random.default_rng(2)
    x = random.uniform(0, 100, (replicates, 40))
    y = 0.5 * x + 0.1 * random.standard_normal(x.shape)
    _, groups = fitted(x, y)
    assert (recognise(x.reshape(-1), y.reshape(-1), groups) == -1).all()


def test_a_coarse_resolution_is_no_set_point() -> None:
    random = np.random.default_rng(3)
    true = np.sort(random.uniform(10, 30, 400))
    shown = np.round(true * 2) / 2
    assert (recognise(shown, true + 0.02 * random.standard_normal(400), Groups(np.zeros(400, np.int64), 1)) == -1).all()


def test_coverage_where_set_points_share_errors() -> None:
    x, y = bath(2000, 6, 50, 0.05)
    whitened, groups = fitted(x, y)
    code = np.repeat(np.arange(2000 * 6), 50)
    found = analyse(whitened, code, groups)
    both = {REPEATS: Source(found.repeats, found.repeats_dof), SET_POINTS: Source(found.covariance, found.dof)}
    u = combine(both, np.full(2000, 300.0))
    away = groups.sums(whitened.columns * (y - x).reshape(-1, 1))
    half = u.k[:, None] * np.sqrt(np.diagonal(u.covariance, axis1=1, axis2=2))
    rates = (np.abs(away) <= half).mean(axis=0)
    assert (np.abs(rates - 0.95) < tolerance(0.95, 2000)).all()

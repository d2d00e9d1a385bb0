"""Which uncertainty holds: against SciPy, statsmodels and refits, and its coverage by simulation."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from logs import FloatArray, covered, errors, fitted, indications, log_of, tolerance
from thermofit_pl.functional import ar1, blocks
from thermofit_pl.functional.groups import Groups
from thermofit_pl.functional.misfit import sources
from thermofit_pl.functional.uncertainty import (
    AR1,
    BLOCKS,
    INDEPENDENT,
    Source,
    coefficients_covariance,
    combine,
    dof_of,
    join,
    joint_factor,
    joint_p,
    pivot_form,
    single_reading,
)
from thermofit_pl.functional.whitened import basis_of, whiten


def factor(columns: FloatArray) -> FloatArray:
    """The packed root-free factor of some columns, by NumPy's QR."""
    r = np.linalg.qr(columns).R
    d = np.diag(r).copy()
    r = r / d[:, None]
    r[np.diag_indices(len(d))] = d**2
    return np.asarray(r[np.triu_indices(len(d))], np.float64)


def log(n: int = 96, seed: int = 0, rho: float = 0.9) -> tuple[FloatArray, FloatArray]:
    random = np.random.default_rng(seed)
    x = indications(random, 1, n, "day")
    return x, 0.5 * x - 17 + errors(random, 1, n, 0.4, rho)


def test_whitened_least_squares_is_statsmodels() -> None:
    x, y = log()
    whitened, _ = fitted(x, y)
    ols = sm.OLS(y[0], sm.add_constant(x[0])).fit()
    np.testing.assert_allclose(whitened.error, -ols.resid, rtol=0, atol=1e-12)
    np.testing.assert_allclose((whitened.columns**2).sum(axis=1), ols.get_influence().hat_matrix_diag, rtol=1e-11)


def test_deleting_blocks_is_fitting_again_without_each() -> None:
    x, y = log(100)
    block = np.arange(100) * 8 // 100
    whitened, groups = fitted(x, y)
    covariance, dof = blocks.delete_one_block(blocks.of_readings(whitened, block, groups))
    design = sm.add_constant(x[0])
    refits = np.array([sm.OLS(y[0][block != k], design[block != k]).fit().params for k in range(8)])
    away = refits - refits.mean(axis=0)
    basis, coefficients, sse = basis_of(factor(np.column_stack([design, y[0]])))
    np.testing.assert_allclose(coefficients_covariance(basis, covariance[0]), 7 / 8 * away.T @ away, rtol=1e-9)
    np.testing.assert_allclose(coefficients, sm.OLS(y[0], design).fit().params, rtol=1e-11)
    assert dof[0] == 7
    assert sse == pytest.approx(whitened.sse[0], rel=1e-9)


def test_factors_of_blocks_say_what_the_readings_say() -> None:
    x, y = log(100)
    features = np.stack([x[0], x[0] ** 2], axis=-1)
    groups = Groups(np.zeros(100, np.int64), 1)
    whitened = whiten(features, y[0], groups)
    block = np.arange(100) * 8 // 100
    direct, _ = blocks.delete_one_block(blocks.of_readings(whitened, block, groups))
    columns = np.column_stack([np.ones(100), features, y[0]])
    parts = np.stack([factor(columns[block == k]) for k in range(8)])[:, None]
    sums = blocks.of_factors(parts, factor(columns)[None])
    covariance, dof = blocks.delete_one_block(sums)
    sign = np.sign(np.diag(np.linalg.qr(columns[:, :3]).R))  # whitened columns have the sign of R's diagonal or +
    np.testing.assert_allclose(np.abs(covariance), np.abs(direct), rtol=1e-7)
    assert len(sign) == 3
    assert dof[0] == 7
    assert sums.sse.sum() == pytest.approx(whitened.sse[0], rel=1e-9)


def test_blocks_without_readings_take_degrees_of_freedom() -> None:
    x, y = log(100)
    whitened, groups = fitted(x, y)
    late, few = np.arange(100) * 6 // 100 + 2, np.arange(100) * 4 // 100
    _, dof = blocks.delete_one_block(blocks.of_readings(whitened, late, groups))
    covariance, none = blocks.delete_one_block(blocks.of_readings(whitened, few, groups))
    assert dof.tolist() == [5]
    assert none.tolist() == [0]
    assert np.isnan(covariance).all()


@pytest.mark.parametrize(("count", "smallest"), [(8, 1), (16, 2), (17, 2), (31, 3), (32, 4)])
def test_blocks_are_pooled_into_eight(count: int, smallest: int) -> None:
    pooled = np.bincount(blocks.pool(count))
    assert len(pooled) == 8
    assert pooled.min() == smallest
    assert pooled.max() - pooled.min() <= 1


def test_the_likelihood_of_ar1_is_that_of_the_whole_covariance() -> None:
    x, y = log(40)
    whitened, groups = fitted(x, y)
    broken = np.zeros(40, bool)
    broken[25] = True
    products = ar1.lag_products(whitened, groups, broken)
    rho, step = ar1.grid()
    segment = np.cumsum(broken)
    lag = np.abs(np.subtract.outer(np.arange(40), np.arange(40)))
    expected, weights = np.zeros((2, 2)), 0.0
    q, e = whitened.columns, -whitened.error
    for r, width in zip(rho, step, strict=True):
        v = np.where(segment[:, None] == segment, r**lag, 0.0)
        inverse = np.linalg.inv(v)
        gram = q.T @ inverse @ q
        left = e @ inverse @ e - e @ inverse @ q @ np.linalg.solve(gram, q.T @ inverse @ e)
        log_l = -(np.linalg.slogdet(v)[1] + np.linalg.slogdet(gram)[1] + 38 * np.log(left)) / 2
        weight = np.exp(log_l + 38 / 2 * np.log(whitened.sse[0])) * width
        expected += weight * left / 36 * q.T @ v @ q
        weights += weight
    covariance, dof = ar1.integrated(whitened, groups, broken)
    np.testing.assert_allclose(covariance[0], expected / weights, rtol=1e-6)
    assert dof[0] == 38
    assert products.segments.tolist() == [2]
    assert products.pairs.tolist() == [38]


def test_autocorrelation_is_statsmodels_but_for_the_bias() -> None:
    x, y = log(300)
    whitened, groups = fitted(x, y)
    rho = ar1.autocorrelation(ar1.lag_products(whitened, groups))[0]
    plain = sm.tsa.acf(whitened.error, nlags=1)[1] * 300 / 299
    assert rho == pytest.approx(plain + (1 + 3 * plain) / 299, rel=1e-6)


def test_join_is_the_larger_where_one_is_larger() -> None:
    small, large = np.diag([1.0, 2.0])[None], np.array([[[3.0, 0.5], [0.5, 4.0]]])
    np.testing.assert_allclose(join(small, large), large, rtol=1e-12)
    np.testing.assert_allclose(join(np.diag([1.0, 5.0])[None], np.diag([2.0, 3.0])[None])[0], np.diag([2.0, 5.0]))
    zero = np.zeros((1, 2, 2))
    np.testing.assert_allclose(join(zero, large), large, rtol=1e-12)
    assert not join(zero, zero).any()


def test_no_source_is_larger_in_any_direction() -> None:
    random = np.random.default_rng(3)
    roots = random.standard_normal((3, 500, 3, 3))
    named = {
        name: Source(root @ np.swapaxes(root, -1, -2), np.full(500, dof))
        for name, root, dof in zip((INDEPENDENT, AR1, BLOCKS), roots, (98.0, 97.0, 7.0), strict=True)
    }
    u = combine(named, np.full(500, 100.0))
    for source in named.values():
        factor_2 = stats.t.ppf(0.975, source.dof[0]) ** 2
        wider = u.covariance * (u.k**2)[:, None, None] - source.covariance * factor_2
        assert np.linalg.eigvalsh(wider).min() > -1e-9
        assert np.linalg.eigvalsh(u.covariance - source.covariance).min() > -1e-9
    np.testing.assert_allclose(stats.t.ppf(0.975, u.dof), u.k, rtol=1e-9)
    assert (u.test_dof <= u.dof + 1e-6).all()
    assert np.mean(u.test_dof == 7) > 0.9


def test_one_source_keeps_its_numbers() -> None:
    covariance = np.eye(2)[None] * 0.3
    u = combine({INDEPENDENT: Source(covariance, np.array([9.0]))}, np.array([11.0]))
    np.testing.assert_allclose(u.covariance, covariance, rtol=1e-14)
    assert u.k[0] == pytest.approx(stats.t.ppf(0.975, 9), rel=1e-12)
    assert u.dof[0] == pytest.approx(9, rel=1e-9)
    assert not u.estimated[0]
    assert not u.lower_bound[0]


def test_without_any_source_nothing_is_known() -> None:
    u = combine({INDEPENDENT: Source(np.full((1, 2, 2), np.nan), np.zeros(1))}, np.array([2.0]))
    assert np.isnan(u.covariance).all()
    assert np.isnan(u.k[0])
    assert u.source[0] == -1


def test_the_pivot_is_where_the_band_is_narrowest() -> None:
    x, y = log(60)
    design = np.column_stack([np.ones(60), x[0] + 1e6, x[0] ** 2])
    basis, _, _ = basis_of(factor(np.column_stack([design, y[0]])))
    root = np.random.default_rng(1).standard_normal((3, 3))
    whole = root @ root.T
    mean = design[:, 1:].mean(axis=0)
    pivot, u, upper = pivot_form(basis, mean, whole)
    assert upper[1, 0] == 0
    phi = design[5, 1:]
    # against the covariance of (value at the mean, slopes), where digits are not lost
    local = basis.copy()
    local[0] = 0.0
    local[0, 0] = basis[0, 0]
    row = np.concatenate([[1.0], phi - mean]) @ local
    assert u**2 + ((phi - pivot) @ upper) @ ((phi - pivot) @ upper) == pytest.approx(row @ whole @ row, rel=1e-6)
    assert u**2 < row @ whole @ row


def test_hotelling_and_f() -> None:
    assert joint_p(12.0, 2, 7, True) == pytest.approx(stats.f.sf(12.0 * 6 / 14, 2, 6), rel=1e-10)
    assert joint_p(12.0, 2, 7, False) == pytest.approx(stats.f.sf(6.0, 2, 7), rel=1e-10)
    assert joint_factor(2, 7, True) ** 2 == pytest.approx(14 / 6 * stats.f.ppf(0.95, 2, 6), rel=1e-9)
    assert np.isnan(joint_p(1.0, 2, 1, True))


def test_single_readings_have_degrees_of_freedom_of_their_own() -> None:
    u, k, dof = single_reading(np.array([0.04]), 50, np.array([0.1]), 7)
    assert dof[0] == pytest.approx(0.05**2 / (0.04**2 / 50 + 0.01**2 / 7), rel=1e-12)
    assert k[0] == pytest.approx(stats.t.ppf(0.975, dof[0]), rel=1e-10)
    assert u[0] == pytest.approx(0.05**0.5, rel=1e-12)


@pytest.mark.parametrize("dof", [1.0, 2.5, 7.0, 120.0])
def test_dof_of_a_coverage_factor(dof: float) -> None:
    assert dof_of(stats.t.ppf(0.975, dof)) == pytest.approx(dof, rel=1e-8)


def test_a_short_log_and_a_negative_autocorrelation_change_nothing() -> None:
    x = np.linspace(0, 10, 20)[None]
    whitened, groups = fitted(x, np.random.default_rng(0).standard_normal((1, 20)))
    short = combine(sources(whitened, groups, log_of(1, 20)), np.array([20.0]))
    alone = combine(sources(whitened, groups, None), np.array([20.0]))
    np.testing.assert_allclose(short.covariance, alone.covariance, rtol=1e-14, atol=0)
    zigzag = 0.1 * (-1.0) ** np.arange(200)[None] + 0.01 * np.random.default_rng(0).standard_normal((1, 200))
    whitened, groups = fitted(np.linspace(0, 10, 200)[None], zigzag)
    u = combine(sources(whitened, groups, log_of(1, 200)), np.array([200.0]))
    least = whitened.sse[0] / 198 * (1 - 1e-9)
    assert np.linalg.eigvalsh(u.covariance[0]).min() >= least


SHAPES = ("random", "ramp", "day", "steps", "slow")


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("rho", "least"), [(0.98, 0.91), (0.995, 0.84)])
def test_coverage_of_long_logs(shape: str, rho: float, least: float) -> None:
    random = np.random.default_rng(11)
    x = indications(random, 400, 3000, shape)
    rate, _, _ = covered(x, errors(random, 400, 3000, 0.4, rho), log=True)
    for value in rate.values():  # 1,000 and more replicates gave 91 to 94 % and 85 to 90 %
        assert value > least - tolerance(least, 400)


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_independent_readings_of_a_long_log(shape: str) -> None:
    random = np.random.default_rng(12)
    x = indications(random, 400, 3000, shape)
    rate, width, _ = covered(x, random.standard_normal(x.shape), log=True)
    for name in ("line", "w"):  # in whitened coordinates the half-width with s known is 1.96
        assert 0.93 - tolerance(0.93, 400) < rate[name] < 0.985 + tolerance(0.985, 400)
        assert width[name] * 1.02 >= 1.96
        assert width[name] < 1.5 * 1.96


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_coverage_of_fifty_readings_of_ar1_errors(shape: str) -> None:
    random = np.random.default_rng(13)
    x = indications(random, 1000, 50, shape)
    rate, _, u = covered(x, errors(random, 1000, 50, 0.0, 0.9), log=True)
    assert min(rate.values()) > 0.88 - tolerance(0.88, 1000)
    assert u.lower_bound.mean() > 0.9
    rate, _, u = covered(x, random.standard_normal(x.shape), log=True)
    assert min(rate.values()) > 0.93
    assert max(rate.values()) < 0.985 + tolerance(0.985, 1000)
    assert u.lower_bound.mean() < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("n", [4, 5, 11, 29])
def test_coverage_of_few_readings_with_a_time(n: int) -> None:
    random = np.random.default_rng(14)
    x = indications(random, 4000, n, "ramp")
    rate, _, _ = covered(x, random.standard_normal(x.shape), log=True)
    for value in rate.values():
        assert abs(value - 0.95) < tolerance(0.95, 4000)

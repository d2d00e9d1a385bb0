"""Samples, studentised errors and curvature against statsmodels; the autocorrelation of logs against simulation."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
import torch
from made import NOTEBOOK
from numpy.typing import NDArray
from scipy import stats
from scipy.signal import lfilter

from thermofit_pl.functional.diagnostics import Errors, curvature, diagnose
from thermofit_pl.functional.distributions import tail_of_f
from thermofit_pl.functional.groups import Groups
from thermofit_pl.metrics.autocorrelation import LagProducts
from thermofit_pl.metrics.least_squares import Autocorrelation, least_squares
from thermofit_pl.metrics.moments import Moments
from thermofit_pl.tables.sample import Sample
from thermofit_pl.tables.table import Block

FloatArray = NDArray[np.float64]


def block(x: FloatArray, y: FloatArray, time: FloatArray | None = None, first: int = 2, file: str = "log.csv") -> Block:
    return Block(x, y, time, Path(file), range(first, first + len(x)))


def sampled(x: FloatArray, y: FloatArray) -> Sample:
    sample = Sample()
    sample.add(block(x, y))
    return sample


def arrays(sample: Sample) -> tuple[FloatArray, FloatArray, NDArray[np.int64]]:
    return sample.column("indication"), sample.column("reference"), sample.codes()


def diagnosed(x: FloatArray, y: FloatArray, w: float, b: float, s: float) -> Errors:
    numbers = (s, len(x), x.mean(), ((x - x.mean()) ** 2).sum())
    spread, n, pivot, sxx = (np.array([value], dtype=np.float64) for value in numbers)
    sample = sampled(x, y)
    return diagnose(*arrays(sample), np.array([w]), np.array([b]), s=spread, n=n, pivot=pivot, sxx=sxx)


def looked_at(x: FloatArray, y: FloatArray) -> tuple[Errors, Any]:
    """The diagnosis of readings, and statsmodels' fit of them."""
    ols = sm.OLS(y, sm.add_constant(x)).fit()
    b, w = ols.params.tolist()
    return diagnosed(x, y, w, b, float(np.sqrt(ols.mse_resid))), ols


def p_of_curvature(x: FloatArray, error: FloatArray, rho: float = 0.0) -> float:
    return float(curvature(x, error, Groups(np.zeros(len(x), np.int64), 1), rho)[0])


def noisy(n: int, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    random = np.random.default_rng(seed)
    x = np.sort(50 + 20 * random.standard_normal(n))
    return x, 0.5 * x - 17 + random.standard_normal(n)


@pytest.mark.parametrize("n", [4, 11, 300])
def test_curvature_is_statsmodels_p_of_the_quadratic_term(n: int) -> None:
    x, y = noisy(n)
    y = y + 3e-4 * (x - 50) ** 2
    found, _ = looked_at(x, y)
    z = x - x.mean()
    quadratic = sm.OLS(y, sm.add_constant(np.stack([z, z * z], axis=1))).fit()
    assert found.curvature_p[0] == pytest.approx(quadratic.pvalues[2], rel=1e-8, abs=0)


def test_curvature_of_a_log_is_judged_with_fewer_readings() -> None:
    x, y = noisy(100)
    found, ols = looked_at(x, y)
    f = stats.f.isf(found.curvature_p[0], 1, 97)
    honest = stats.f.sf(f / 3, 1, 97)  # the variance is (1 + 0.5)/(1 − 0.5) times as large
    assert p_of_curvature(x, -ols.resid, rho=0.5) == pytest.approx(honest, rel=1e-8, abs=0)


@pytest.mark.parametrize("x", [[1.0, 1.0, 5.0, 5.0, 5.0], [2.0, 2.0, 2.0, 2.0], [1.0, 2.0, 3.0]])
def test_without_three_set_points_curvature_cannot_be_told(x: list[float]) -> None:
    assert np.isnan(p_of_curvature(np.array(x), np.arange(len(x)) % 2 * np.ones(len(x))))


def test_the_reading_that_stands_out_is_statsmodels_deleted_residual() -> None:
    x, y = noisy(60)
    y[17] += 6
    y[40] -= 5
    found, ols = looked_at(x, y)
    deleted = -ols.get_influence().resid_studentized_external  # error is estimate − reference
    assert found.outlying[0] == found.largest[0] == 17
    assert found.t[0] == pytest.approx(deleted[17], rel=1e-9, abs=0)
    assert found.count[0] == (np.abs(deleted) > 3).sum() == 2
    assert found.error[0] == pytest.approx(-ols.resid[17], rel=1e-12, abs=0)


def test_nothing_stands_out_of_the_notebooks_readings() -> None:
    x, y = (np.array(column) for column in NOTEBOOK)
    found, ols = looked_at(x, y)
    assert (found.sampled[0], found.outlying[0], found.count[0], found.largest[0]) == (11, -1, 0, 8)
    assert found.error[0] == pytest.approx(-ols.resid[8], rel=1e-12, abs=0)
    assert np.abs(ols.resid).argmax() == 8


def test_one_reading_off_an_exact_line_stands_out() -> None:
    x = np.arange(6.0)
    y = 2 * x
    y[2] += 1
    found, _ = looked_at(x, y)
    assert abs(found.t[0]) > 100
    assert found.outlying[0] == 2


@pytest.mark.parametrize("s", [0.0, float("nan")])
def test_no_test_is_made_of_rounding(s: float) -> None:
    x = np.linspace(0, 100, 50)
    found = diagnosed(x, x / 1.8, 1 / 1.8, 0.0, s)
    assert np.isnan(found.curvature_p[0])
    assert (found.outlying[0], found.count[0]) == (-1, 0)
    assert abs(found.error[0]) < 1e-13


@pytest.mark.parametrize("dof", [1, 2, 9, 1000, 100_000])
@pytest.mark.parametrize("f", [0.0, 0.3, 4.0, 200.0])
def test_the_tail_of_f_is_scipys(f: float, dof: int) -> None:
    assert tail_of_f(np.array([f]), np.array([dof]))[0] == pytest.approx(stats.f.sf(f, 1, dof), rel=1e-9, abs=1e-300)


def filled(size: int, seed: int, readings: int = 40_000, batch: int = 1000) -> Sample:
    sample = Sample(size=size, seed=seed)
    for start in range(0, readings, batch):
        x = np.arange(start, start + batch, dtype=np.float64)
        sample.add(block(x, -x, first=start + 2, file=f"part {start // batch}.csv"))
    return sample


def test_a_sample_keeps_all_of_few_and_a_bounded_part_of_many() -> None:
    assert len(filled(40_000, 0)) == 40_000
    sizes = [len(filled(2000, seed)) for seed in range(10)]
    assert max(sizes) <= 2000
    assert min(sizes) > 800  # halved each time that it is more
    assert Sample().column("indication").shape == (0,)


def test_a_sample_is_the_same_for_a_seed() -> None:
    one, same, other = (filled(2000, seed).column("indication") for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one[: len(other)], other[: len(one)])


def test_every_reading_is_kept_alike() -> None:
    kept = np.concatenate([filled(2000, seed).column("indication") for seed in range(60)])
    counts, _ = np.histogram(kept, bins=20, range=(0, 40_000))
    assert stats.chisquare(counts).pvalue > 1e-3
    assert stats.chisquare(np.bincount(kept.astype(int) % 10)).pvalue > 1e-3
    assert len(np.unique(filled(2000, 5).column("indication"))) == len(filled(2000, 5))


def test_a_kept_reading_knows_its_file_and_row() -> None:
    sample = filled(2000, 3)
    x, y = sample.column("indication"), sample.column("reference")
    np.testing.assert_array_equal(x, -y)
    files, rows = sample.places(np.array([0, 7, len(x) // 2, len(x) - 1]))
    chosen = x[[0, 7, len(x) // 2, len(x) - 1]].astype(int)
    assert files == [f"part {position // 1000}.csv" for position in chosen]
    assert rows.tolist() == [position + 2 for position in chosen]


def lags_of(x: FloatArray, y: FloatArray, time: FloatArray | None = None, cuts: tuple[int, ...] = ()) -> LagProducts:
    time = np.arange(len(x), dtype=np.float64) if time is None else time
    lags = LagProducts()
    for part in zip(*(np.split(column, cuts) for column in (x, y, time)), strict=True):
        lags.add(block(*part))
    return lags


def line_args(x: FloatArray, y: FloatArray) -> tuple[float, float, float, float, float]:
    w, b = np.polyfit(x - x.mean(), y, 1)
    error = w * (x - x.mean()) + b - y
    return float(w), float(x.mean()), float(y.mean()), float(np.mean(error**2)), float(x.var())


def directly(x: FloatArray, y: FloatArray, pairs: NDArray[np.bool_] | None = None) -> tuple[float, float]:
    """The autocorrelations by their definition, on the errors themselves."""
    w, pivot, mean, mse, variance = line_args(x, y)
    error, dx = w * (x - pivot) + mean - y, x - pivot
    chosen = np.ones(len(x) - 1, bool) if pairs is None else pairs
    rho = np.mean((error[1:] * error[:-1])[chosen]) / mse
    return float(rho + (1 + 3 * rho) / chosen.sum()), float(np.mean((dx[1:] * dx[:-1])[chosen]) / variance)


def ar(rho: float, n: int, random: np.random.Generator) -> FloatArray:
    """A stationary AR(1) series of variance 1."""
    e = random.standard_normal(n)
    e[0] /= np.sqrt(1 - rho**2)
    return np.asarray(lfilter([1], [1, -rho], e) * np.sqrt(1 - rho**2), dtype=np.float64)


@pytest.mark.parametrize("cuts", [(), (1,), (3, 500, 501, 900), tuple(range(1, 1000))])
@pytest.mark.parametrize("scale", [1.0, 1e-4])
def test_lag_products_give_the_autocorrelations_however_they_are_cut(cuts: tuple[int, ...], scale: float) -> None:
    random = np.random.default_rng(0)
    x = 50 + 30 * ar(0.9, 1000, random)
    y = x / 1.8 - 17 + scale * ar(0.7, 1000, random)
    lags = lags_of(x, y, cuts=cuts)
    assert lags.pairs == 999
    np.testing.assert_allclose(lags.autocorrelation(*line_args(x, y)), directly(x, y), rtol=1e-6)


@pytest.mark.parametrize("jitter", [0.0, 1e-6])
def test_a_log_that_begins_with_a_plateau_keeps_its_errors(jitter: float) -> None:
    random = np.random.default_rng(1)
    x = np.repeat([20.1, 60.3, 99.9, 40.7], 250) + jitter * random.standard_normal(1000)
    y = x / 1.8 + 1e-3 * ar(0.8, 1000, random)
    found = lags_of(x, y, cuts=(250, 500)).autocorrelation(*line_args(x, y))
    np.testing.assert_allclose(found, directly(x, y), rtol=1e-5)


@pytest.mark.parametrize("gap", [0.0, 3600.0])
def test_shares_of_processes_merge_with_the_pairs_across_their_borders(gap: float) -> None:
    random = np.random.default_rng(4)
    x, y = 50 + 30 * ar(0.9, 1000, random), 10 * ar(0.7, 1000, random)
    time = np.arange(1000.0)
    time[400:] += gap
    shares = [lags_of(x[cut], y[cut], time[cut]) for cut in (slice(0, 400), slice(400, 401), slice(401, 1000))]
    merged = LagProducts.merged([LagProducts(), shares[0], shares[1], LagProducts(), shares[2]])
    whole = lags_of(x, y, time)
    assert merged.pairs == whole.pairs == 999 - bool(gap)
    args = line_args(x, y)
    np.testing.assert_allclose(merged.autocorrelation(*args), whole.autocorrelation(*args), rtol=1e-10)


def test_several_instruments_are_diagnosed_as_each_alone() -> None:
    columns = [noisy(n, seed=n) for n in (30, 40, 50)]
    columns[1][1][7] += 10
    codes = np.repeat([0, 2, 3], (30, 40, 50))  # the second instrument has no readings
    order = np.random.default_rng(0).permutation(120)
    x, y = (np.concatenate([pair[i] for pair in columns])[order] for i in (0, 1))
    sample, numbers = Sample(), np.ones((6, 4))
    sample.add(Block(x, y, None, Path("log.csv"), range(2, 122), codes[order]))
    for index, pair in zip((0, 2, 3), columns, strict=True):
        ols = sm.OLS(pair[1], sm.add_constant(pair[0])).fit()
        spread = ((pair[0] - pair[0].mean()) ** 2).sum()
        numbers[:, index] = [*ols.params[::-1], np.sqrt(ols.mse_resid), len(pair[0]), pair[0].mean(), spread]
    w, b, s, n, pivot, sxx = numbers
    together = diagnose(*arrays(sample), w, b, s=s, n=n, pivot=pivot, sxx=sxx)
    assert together.sampled.tolist() == [30, 0, 40, 50]
    assert together.largest[1] == -1
    for index, pair in zip((0, 2, 3), columns, strict=True):
        alone, _ = looked_at(*pair)
        for name in ("error", "t", "count", "curvature_p"):
            np.testing.assert_allclose(getattr(together, name)[index], getattr(alone, name)[0], rtol=1e-8)
        assert x[together.largest[index]] == pair[0][alone.largest[0]]


def test_gaps_break_pairs() -> None:
    random = np.random.default_rng(2)
    x, y = 50 + 30 * ar(0.9, 1000, random), 10 * ar(0.7, 1000, random)
    time = np.arange(1000.0)
    time[400:] += 1  # one reading lost
    time[700:] += 3600
    pairs = np.ones(999, bool)
    pairs[[399, 699]] = False
    for cuts in ((), (300, 700)):
        lags = lags_of(x, y, time, cuts)
        assert lags.pairs == 997
        np.testing.assert_allclose(lags.autocorrelation(*line_args(x, y)), directly(x, y, pairs), rtol=1e-9)


def test_jittered_and_equal_times_are_still_neighbours() -> None:
    random = np.random.default_rng(3)
    x, y = random.standard_normal((2, 500))
    time = np.arange(500.0) * 10 + random.uniform(-2, 2, 500)
    time[100] = time[99]
    assert lags_of(x, y, np.sort(time)).pairs >= 497


def test_without_pairs_or_errors_there_is_no_autocorrelation() -> None:
    x = np.array([1.0, 2.0])
    assert lags_of(x, x).autocorrelation(1.0, 1.5, 1.5, 1.0, 0.25) == (0, 0)
    x = np.arange(10.0)
    assert lags_of(x, x).autocorrelation(1.0, 4.5, 4.5, 0.0, 8.25) == (0, 0)


def simulated(kind: str, rho: float, n: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """A log with AR(1) errors: its indications AR(1) (given their ρx), shuffled set points, or a slow ramp."""
    random = np.random.default_rng(seed)
    if kind == "shuffled":
        x = random.permutation(np.repeat(np.arange(10.0), n // 10))
    elif kind == "ramp":
        x = np.linspace(0, 100, n)
    else:
        x = ar(float(kind), n, random)
    return x, 2 * x + 5 + 0.3 * ar(rho, n, random)


@pytest.mark.parametrize(
    ("kind", "rho"),
    [
        ("0.9", 0.56),
        ("shuffled", 0.9),
        *(
            pytest.param(kind, rho, marks=pytest.mark.slow)
            for kind, rho in [
                ("0.9", 0.0), ("0.5", 0.8), ("0.98", 0.8), ("0.9", 0.9), ("shuffled", 0.56), ("ramp", 0.56),
                ("ramp", 0.8),
            ]
        ),
    ],
)  # fmt: skip
def test_honest_uncertainties_are_the_spread_of_simulated_fits(kind: str, rho: float) -> None:
    fits, n = 1200, 1000  # so many that the spread itself is known to 2 %
    columns = torch.empty(fits, 3, dtype=torch.float64)
    moments, scaled = Moments(fits), torch.empty(fits, dtype=torch.float64)
    six = []
    for seed in range(fits):
        x, y = simulated(kind, rho, n, seed)
        lags, one = lags_of(x, y), Moments()
        one.update(torch.from_numpy(x), torch.from_numpy(y))
        _, pivot, mean, sxx, slope, sse = one.factor[0].tolist()
        found = lags.autocorrelation(slope, pivot, mean, sse / n, sxx / n)
        columns[seed] = torch.tensor([*found, lags.pairs])
        six.append(one.moments[0])
        # each fit's distance in units of what one set of indications would give, since they differ from fit to fit
        scaled[seed] = (slope - 2) * sxx**0.5
    moments.moments = torch.stack(six)
    moments.lowest, moments.highest = moments.mean_indication - 100, moments.mean_indication + 100
    line = least_squares(moments, Autocorrelation(*columns.T))
    at_pivot = moments.mean_reference - 2 * moments.mean_indication - 5
    u_w, u_pivot = (line.u_w[:, 0] * moments.sxx.sqrt()).mean().item(), line.u_pivot.mean().item()
    assert u_w == pytest.approx(scaled.std().item(), rel=0.05)
    assert u_pivot == pytest.approx(at_pivot.std().item(), rel=0.05)
    assert columns[:, 0].mean().item() == pytest.approx(rho, abs=0.005)
    independent = least_squares(moments)
    if rho > 0.5:
        assert independent.u_pivot.mean() < 0.6 * at_pivot.std()


def test_the_largest_of_each_instrument() -> None:
    code = np.array([3, 1, 3, 0, 1, 3, 4])
    values = np.array([2.0, 5.0, 7.0, np.nan, 5.0, 7.0, np.nan])
    groups = Groups(code, 6)
    assert groups.unsorted(groups.argmax(groups.sorted(values))).tolist() == [-1, 1, -1, 2, -1, -1]
    np.testing.assert_array_equal(groups.sums(groups.sorted(values)), [np.nan, 10, 0, 16, np.nan, 0])
    np.testing.assert_array_equal(groups.at(groups.sorted(values), np.full(6, -1)), np.full(6, np.nan))

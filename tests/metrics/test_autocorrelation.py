"""The autocorrelation of logs against simulation."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.signal import lfilter

from thermofit_pl.metrics.autocorrelation import LagProducts
from thermofit_pl.metrics.least_squares import Autocorrelation, least_squares
from thermofit_pl.metrics.moments import Moments
from thermofit_pl.tables.table import Block

FloatArray = NDArray[np.float64]


def block(x: FloatArray, y: FloatArray, time: FloatArray | None = None, first: int = 2, file: str = "log.csv") -> Block:
    return Block(x, y, time, Path(file), range(first, first + len(x)))


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

"""The order of a log, however its readings are cut: blocks against refits, neighbours against their definition."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
import torch
from numpy.typing import NDArray
from scipy.signal import lfilter

from thermofit_pl.curves.line import Line
from thermofit_pl.functional import blocks
from thermofit_pl.functional.uncertainty import coefficients_covariance
from thermofit_pl.functional.whitened import basis_of
from thermofit_pl.metrics.autocorrelation import Autocorrelation
from thermofit_pl.metrics.time_order import TimeOrder
from thermofit_pl.metrics.view import View

FloatArray = NDArray[np.float64]


def order_of(
    x: FloatArray,
    y: FloatArray,
    time: FloatArray | None = None,
    cuts: tuple[int, ...] = (),
    codes: NDArray[np.int64] | None = None,
    before: NDArray[np.int64] | None = None,
) -> TimeOrder:
    time = np.arange(len(x), dtype=np.float64) if time is None else time
    order, view = TimeOrder(1, before), View(Line(), (0.0,))
    for at in np.split(np.arange(len(x)), cuts):
        own = None if codes is None else torch.from_numpy(codes[at])
        order.add(view, torch.from_numpy(x[at]), torch.from_numpy(y[at]), time[at], None, own)
    return order


def neighbours(order: TimeOrder, x: FloatArray, y: FloatArray) -> Autocorrelation:
    w, b = np.polyfit(x, y, 1)
    mse = np.mean((w * x + b - y) ** 2)
    return order.neighbours.autocorrelation(np.array([[b, w]]), np.array([mse]), np.array([x.var()]))


def directly(x: FloatArray, y: FloatArray, pairs: Any = slice(None)) -> tuple[float, float]:
    """Von Neumann's ratio by its definition, on the errors themselves."""
    w, b = np.polyfit(x, y, 1)
    error = w * x + b - y
    change = np.diff(error)[pairs]
    rho = 1 - np.mean(change**2) / 2 / np.mean(error**2)
    return float(rho + (1 + 3 * rho) / len(change)), float(1 - np.mean(np.diff(x)[pairs] ** 2) / 2 / x.var())


def ar(rho: float, n: int, random: np.random.Generator) -> FloatArray:
    """A stationary AR(1) series of variance 1."""
    e = random.standard_normal(n)
    e[0] /= np.sqrt(1 - rho**2)
    return np.asarray(lfilter([1], [1, -rho], e) * np.sqrt(1 - rho**2), dtype=np.float64)


def log(n: int = 1000, seed: int = 0, scale: float = 1.0) -> tuple[FloatArray, FloatArray]:
    random = np.random.default_rng(seed)
    x = 50 + 30 * ar(0.9, n, random)
    return x, x / 1.8 - 17 + scale * ar(0.7, n, random)


@pytest.mark.parametrize("n", [33, 64, 65, 1000])
def test_blocks_are_equally_long_and_seventeen_to_thirty_two(n: int) -> None:
    order = order_of(*log(n))
    counts = order.factors[:, 0, 0]
    used = np.flatnonzero(counts)
    assert 17 <= len(used) <= 32
    assert len(set(counts[used[:-1]])) == 1  # the last one is not full
    assert counts.sum() == n
    eight = order.eight()[:, 0, 0]
    assert eight.sum() == n
    assert eight.max() - eight.min() < 2 * counts[0]


@pytest.mark.parametrize("cuts", [(1,), (3, 500, 501, 900), tuple(range(1, 1000))])
def test_batches_change_nothing(cuts: tuple[int, ...]) -> None:
    x, y = log(scale=1e-4)
    whole, cut = order_of(x, y), order_of(x, y, cuts=cuts)
    np.testing.assert_allclose(cut.factors, whole.factors, rtol=1e-9, atol=1e-12)
    for name, found in vars(neighbours(cut, x, y)).items():
        np.testing.assert_allclose(found, getattr(neighbours(whole, x, y), name), rtol=1e-9)


def test_a_block_left_out_is_a_fit_without_it() -> None:
    x, y = log(500)
    order = order_of(x, y, cuts=(70, 300))
    parts = order.eight()
    counts = np.append(0, np.cumsum(parts[:, 0, 0])).astype(int)
    design = sm.add_constant(x)
    packed = np.linalg.qr(np.column_stack([design, y])).R
    d = np.diag(packed)
    packed = packed / d[:, None]
    packed[np.diag_indices(3)] = d**2
    factor = packed[np.triu_indices(3)][None]
    covariance, dof = blocks.delete_one_block(blocks.of_factors(parts, factor))
    rows = np.arange(500)
    refits = []
    for low, high in pairwise(counts):
        left = (rows < low) | (rows >= high)
        refits.append(sm.OLS(y[left], design[left]).fit().params)
    away = np.array(refits) - np.mean(refits, axis=0)
    basis, _, _ = basis_of(factor)
    np.testing.assert_allclose(coefficients_covariance(basis, covariance)[0], 7 / 8 * away.T @ away, rtol=1e-8)
    assert dof[0] == 7


@pytest.mark.parametrize("scale", [1.0, 1e-4])
def test_autocorrelations_are_von_neumanns(scale: float) -> None:
    x, y = log(scale=scale)
    found = neighbours(order_of(x, y), x, y)
    assert found.pairs.tolist() == [999]
    np.testing.assert_allclose([found.errors[0], found.indications[0]], directly(x, y), rtol=1e-7)
    assert found.errors[0] == pytest.approx(0.7, abs=0.08)  # three standard deviations


def test_a_plateau_at_the_start_keeps_its_errors() -> None:
    random = np.random.default_rng(1)
    x = np.repeat([20.1, 60.3, 99.9, 40.7], 250) + 1e-6 * random.standard_normal(1000)
    y = x / 1.8 + 1e-3 * ar(0.8, 1000, random)
    found = neighbours(order_of(x, y, cuts=(250, 500)), x, y)
    np.testing.assert_allclose([found.errors[0], found.indications[0]], directly(x, y), rtol=1e-7)


@pytest.mark.parametrize("gap", [0.0, 3600.0])
def test_shares_of_processes_give_the_answer_of_one(gap: float) -> None:
    x, y = log(seed=4)
    time = np.arange(1000.0)
    time[400:] += gap
    shares = [
        order_of(x[cut], y[cut], time[cut], before=np.array([cut.start]))
        for cut in (slice(0, 400), slice(400, 401), slice(401, 401), slice(401, 1000))
    ]
    merged, whole = TimeOrder.merged(shares), order_of(x, y, time)
    np.testing.assert_allclose(merged.factors, whole.factors, rtol=1e-11, atol=1e-12)
    assert merged.counts.tolist() == [1000]
    for name, found in vars(neighbours(merged, x, y)).items():
        np.testing.assert_allclose(found, getattr(neighbours(whole, x, y), name), rtol=1e-11)
    assert neighbours(merged, x, y).gaps.tolist() == [int(gap > 0)]
    assert neighbours(merged, x, y).pairs.tolist() == [999 - int(gap > 0)]


def test_gaps_and_equal_times_are_counted() -> None:
    x, y = log(seed=2)
    time = np.arange(1000.0)
    time[400:] += 1  # one reading lost
    time[700:] += 3600
    time[10] = time[9]
    pairs = np.ones(999, bool)
    pairs[[399, 699]] = False  # two seconds after equal times are no gap of these
    time[11] = 10.5
    for cuts in ((), (300, 700)):
        found = neighbours(order_of(x, y, time, cuts), x, y)
        assert found.gaps.tolist() == [2]
        assert found.equal_times.tolist() == [1]
        assert found.pairs.tolist() == [997]
        np.testing.assert_allclose([found.errors[0], found.indications[0]], directly(x, y, pairs), rtol=1e-9)


def test_jittered_times_are_still_neighbours() -> None:
    random = np.random.default_rng(3)
    x, y = random.standard_normal((2, 500))
    time = np.sort(np.arange(500.0) * 10 + random.uniform(-2, 2, 500))
    assert neighbours(order_of(x, y, time), x, y).pairs[0] >= 490


def test_without_pairs_or_errors_there_is_no_autocorrelation() -> None:
    for n in (2, 10):
        x = np.arange(float(n))
        found = neighbours(order_of(x, x), x, x)
        assert (found.errors[0] == 0) or abs(found.errors[0]) <= 1
    x = np.arange(10.0)
    found = order_of(x, x).neighbours.autocorrelation(np.array([[0.0, 1.0]]), np.zeros(1), np.array([8.25]))
    assert (found.errors.tolist(), found.indications.tolist()) == ([0.0], [0.0])


def test_each_of_several_instruments_is_as_alone() -> None:
    logs = [log(n, seed=n) for n in (40, 300, 301)]
    codes = np.repeat([0, 2, 3], (40, 300, 301))
    when = np.concatenate([np.arange(float(len(x))) for x, _ in logs])
    order = np.argsort(when, kind="stable")
    x, y = (np.concatenate([pair[i] for pair in logs])[order] for i in (0, 1))
    together = order_of(x, y, when[order], (100, 101, 400), codes[order])
    together.placed(np.array([3, 0, 2, 1]), 4)
    assert together.counts.tolist() == [0, 301, 300, 40]
    readings, owner, broken = together.short()
    assert not broken.any()
    assert np.bincount(owner).tolist() == [0, 0, 300, 40]  # 301 are too many for AR(1)
    for place, (own_x, own_y) in zip((3, 2, 1), logs, strict=True):
        alone = order_of(own_x, own_y)
        np.testing.assert_allclose(together.factors[:, place], alone.factors[:, 0], rtol=1e-9, atol=1e-12)
        if place > 1:
            np.testing.assert_array_equal(readings[owner == place, :2], np.stack([own_x, own_y], axis=-1))


def test_a_gap_breaks_a_short_log() -> None:
    x, y = log(40)
    time = np.arange(40.0)
    time[25:] += 5
    _, _, broken = order_of(x, y, time, (7, 25)).short()
    assert np.flatnonzero(broken).tolist() == [25]

"""One line for a whole fleet, with covariances and degrees of freedom of each instrument; p-values of many."""

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from logs import FloatArray, tolerance
from thermofit_pl.functional.fleet_tests import holm, one_line, outlying


def test_corrected_p_values_are_statsmodels() -> None:
    p = np.random.default_rng(0).uniform(0, 0.2, 30)
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1], rtol=1e-12)
    with_gap = holm(np.array([0.01, np.nan, 0.04]))
    np.testing.assert_allclose(with_gap, [0.02, np.nan, 0.04])


def test_one_instrument_that_differs_is_found_among_many() -> None:
    random = np.random.default_rng(1)
    coefficients = random.standard_normal((200, 2))
    covariance = np.broadcast_to(np.eye(2), (200, 2, 2))
    dof = np.full(200, 98.0)
    alike = one_line(coefficients, covariance, dof, False)
    assert alike.p > 0.05
    assert np.abs(alike.coefficients).max() < 4 / np.sqrt(200)
    coefficients[7] += 8
    differing = one_line(coefficients, covariance, dof, False)
    assert differing.p < 1e-6
    assert np.nanargmin(differing.each) == 7


def test_many_small_differences_are_found() -> None:
    random = np.random.default_rng(2)
    coefficients = 1.5 * random.standard_normal((200, 2))
    assert one_line(coefficients, np.broadcast_to(np.eye(2), (200, 2, 2)), np.full(200, 98.0), False).p < 1e-6


def test_a_single_instrument_is_compared_with_nothing() -> None:
    assert np.isnan(one_line(np.zeros((1, 2)), np.eye(2)[None], np.array([9.0]), False).p)


@pytest.mark.slow
@pytest.mark.parametrize(("instruments", "replicates"), [(3, 1000), (10, 600), (100, 300), (1000, 100)])
@pytest.mark.parametrize(("dof", "estimated"), [(7, True), (9, False)])
def test_rate_on_one_and_the_same_line(instruments: int, replicates: int, dof: int, estimated: bool) -> None:
    random = np.random.default_rng(41)
    false = 0
    for _ in range(replicates):
        noise = np.exp(random.normal(0, 1, instruments))
        if estimated:
            z = random.standard_normal((instruments, dof, 2))
            covariance = np.einsum("inq,inr->iqr", z, z) / dof
        else:
            covariance = (random.chisquare(dof, instruments) / dof)[:, None, None] * np.eye(2)
        coefficients = random.standard_normal((instruments, 2)) * noise[:, None]
        scaled = covariance * (noise**2)[:, None, None]
        false += one_line(coefficients, scaled, np.full(instruments, float(dof)), estimated).p < 0.01
    assert false / replicates < 0.01 + tolerance(0.01, replicates)


def drawn(
    random: np.random.Generator, instruments: int, n: int, spread: float, unequal: bool
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Lines of instruments by least squares, about the middle of the range, with what independent readings give."""
    x = random.uniform(0, 10, (instruments, n))
    true = spread * random.standard_normal((instruments, 2))
    noise = np.exp(random.normal(0, 1, (instruments, 1))) if unequal else 1.0
    y = true[:, :1] + true[:, 1:] * (x - 5) / 3 + noise * random.standard_normal((instruments, n))
    mean = x.mean(axis=1)
    dx = x - mean[:, None]
    sxx = (dx**2).sum(axis=1)
    w = (dx * y).sum(axis=1) / sxx
    s2 = ((y - y.mean(axis=1, keepdims=True) - w[:, None] * dx) ** 2).sum(axis=1) / (n - 2)
    root = np.stack(
        [np.stack([np.full(len(w), n**-0.5), (5 - mean) / sxx**0.5], -1), np.stack([0 * w, sxx**-0.5], -1)], 1
    )
    covariance = root @ np.swapaxes(root, -1, -2) * s2[:, None, None]
    return np.stack([y.mean(axis=1) + w * (5 - mean), w], axis=-1), covariance, np.full(instruments, n - 2.0)


def test_an_instrument_far_from_the_fleet_is_an_outlier() -> None:
    coefficients, covariance, dof = drawn(np.random.default_rng(3), 40, 20, 1.0, unequal=False)
    assert holm(outlying(coefficients, covariance, dof)).min() > 0.01
    coefficients[11] += 30
    p = outlying(coefficients, covariance, dof)
    assert holm(p)[11] < 1e-5
    assert p.argmin() == 11
    assert outlying(np.tile(coefficients[:1], (5, 1)), 0 * covariance[:5], dof[:5]).min() == 1  # all exactly alike


@pytest.mark.slow
@pytest.mark.parametrize(("instruments", "replicates"), [(5, 2000), (10, 1500), (30, 800), (100, 300), (1000, 60)])
@pytest.mark.parametrize(("n", "unequal"), [(3, False), (5, False), (20, False), (5, True), (20, True)])
@pytest.mark.parametrize("spread", [0.0, 0.3, 3.0])
def test_rate_of_outliers_in_normal_fleets(
    instruments: int, replicates: int, n: int, unequal: bool, spread: float
) -> None:
    random = np.random.default_rng(42)
    false = sum(
        bool((holm(outlying(*drawn(random, instruments, n, spread, unequal))) < 0.01).any()) for _ in range(replicates)
    )
    assert false / replicates < 0.01 + tolerance(0.01, replicates)

"""One line for a whole fleet, with covariances and degrees of freedom of each instrument; p-values of many."""

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from logs import tolerance
from thermofit_pl.functional.fleet_tests import holm, one_line


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

"""Deming's line against York's iteration, and as the end of its passes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from scipy import optimize
from stated_cases import york

from thermofit_pl.functional.deming import deming
from thermofit_pl.functional.whitened import basis_of

FloatArray = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def factor(x: FloatArray, y: FloatArray, uy: float) -> FloatArray:
    """The packed factor of (1, x, y), weighed by 1/uy²."""
    n, dx, dy = len(x), x - x.mean(), y - y.mean()
    sxx, slope = dx @ dx, dx @ dy / (dx @ dx)
    sse = ((dy - slope * dx) ** 2).sum()
    return np.array([[n / uy**2, x.mean(), y.mean(), sxx / uy**2, slope, sse / uy**2]])


def readings(seed: int, noise: float = 1.0, n: int = 20) -> tuple[FloatArray, FloatArray]:
    random = np.random.default_rng(seed)
    true = random.uniform(-10, 40, n)
    x = true + 0.3 * noise * random.standard_normal(n)
    return x, 0.6 * true - 5 + 0.2 * noise * random.standard_normal(n)


@pytest.mark.parametrize(("seed", "ux"), [(0, 0.3), (1, 3.0), (2, 0.003)])
def test_it_is_yorks_answer_to_twelve_digits(seed: int, ux: float) -> None:
    x, y = readings(seed)
    b, w, u_b, u_w, cov, chi2 = york(x, y, ux, 0.2)
    basis, found, left = basis_of(deming(factor(x, y, 0.2), (ux / 0.2) ** 2, {}))
    covariance = (basis @ np.swapaxes(basis, -1, -2))[0]
    np.testing.assert_allclose(found[0], [b, w], rtol=1e-12)
    np.testing.assert_allclose(covariance, [[u_b**2, cov], [cov, u_w**2]], rtol=1e-12)
    assert left[0] == pytest.approx(chi2, rel=1e-12)


def test_small_errors_keep_their_digits() -> None:
    x, y = readings(3, noise=1e-6)
    basis, _, left = basis_of(deming(factor(x, y, 2e-7), 2.25, {}))
    chi2 = york(x, y, 3e-7, 2e-7)[5]
    assert left[0] == pytest.approx(chi2, rel=1e-7)  # errors of 1e-7 of numbers of 10, so york has lost these digits
    assert np.isfinite(basis).all()


def test_exact_indications_give_least_squares() -> None:
    x, y = readings(4)
    packed = factor(x, y, 0.2)
    np.testing.assert_allclose(deming(packed, 0.0, {}), packed, rtol=1e-14)


@pytest.mark.parametrize("held", [{0: 0.0}, {1: 1.0}, {0: -5.0}])
def test_held_coefficients_stay(held: Mapping[int, float]) -> None:
    x, y = readings(5)

    def chi_squared(free: FloatArray) -> float:
        b, w = held.get(0, free[0]), held.get(1, free[0])
        return float(((y - b - w * x) ** 2).sum() / (0.2**2 + w * w * 0.3**2))

    best = optimize.minimize(chi_squared, [0.5], method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-12})
    d_after = deming(factor(x, y, 0.2), 2.25, held)
    r = np.zeros((3, 3))
    r[np.triu_indices(3)] = d_after[0]
    d, r[np.diag_indices(3)] = np.diag(r).copy(), 1.0
    b, w = held.get(0, best.x[0]), held.get(1, best.x[0])
    # the held line's sum of squares over the adjusted readings is χ²
    rows = r[:, 2] - b * r[:, 0] - w * r[:, 1]
    assert d @ rows**2 == pytest.approx(best.fun, rel=1e-8)
    # and the free coefficient of their least squares is where it is least
    column = r[:, 1] if 0 in held else r[:, 0]
    rest = r[:, 2] - (held[0] * r[:, 0] if 0 in held else held[1] * r[:, 1])
    assert (d * column) @ rest / ((d * column) @ column) == pytest.approx(best.x[0], rel=1e-6)


def test_a_fleet_is_each_by_itself() -> None:
    one, other = factor(*readings(6), 0.2), factor(*readings(7), 0.2)
    both = deming(np.concatenate([one, other]), np.array([2.25, 0.1]), {})
    np.testing.assert_allclose(both[:1], deming(one, 2.25, {}), rtol=1e-15)
    np.testing.assert_allclose(both[1:], deming(other, 0.1, {}), rtol=1e-15)

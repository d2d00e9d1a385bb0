"""What all references share, against refits with all of them moved, GUM H.3.6 and GTC."""

from collections.abc import Mapping

import GTC
import numpy as np
import pytest
import statsmodels.api as sm
from GTC import type_a
from made import GUM_H3

from thermofit_pl.functional.common_part import PivotForm, add, shifts, triangular

FloatArray = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def factor(design: FloatArray, y: FloatArray, weight: FloatArray) -> FloatArray:
    columns = np.column_stack([design, y]) * np.sqrt(weight)[:, None]
    r = np.linalg.qr(columns).R
    d = np.diag(r).copy()
    r = r / d[:, None]
    r[np.diag_indices(len(d))] = d**2
    return np.asarray(r[np.triu_indices(len(d))], np.float64)[None]


def readings(seed: int = 0, n: int = 12) -> tuple[FloatArray, FloatArray, FloatArray]:
    random = np.random.default_rng(seed)
    x = random.uniform(5, 60, n)
    return x, 0.8 * x + 3 + 0.05 * random.standard_normal(n), random.uniform(0.5, 2, n)


@pytest.mark.parametrize("held", [{}, {0: 0.0}, {1: 1.0}, {2: 0.0}, {0: 2.0, 2: 0.01}])
def test_shifts_are_refits_of_moved_references(held: Mapping[int, float]) -> None:
    x, y, weight = readings()
    design = np.column_stack([np.ones_like(x), x, x**2])
    free = [j for j in range(3) if j not in held]
    fixed = design @ np.array([held.get(j, 0.0) for j in range(3)])

    def fit(references: FloatArray) -> FloatArray:
        found = np.zeros(3)
        found[free] = sm.WLS(references - fixed, design[:, free], weights=weight).fit().params
        return found

    moved = shifts(factor(design, y, weight), 0.15, 0.002, held)
    np.testing.assert_allclose(moved[0, 0], fit(y + 0.15) - fit(y), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(moved[1, 0], fit(y * 1.002) - fit(y), rtol=1e-8, atol=1e-12)


def test_gum_h_3_6_as_printed() -> None:
    # two of the eleven readings' u of 0.0029, and u_b 0.0058 with what the references share
    x, y = (np.array(each) for each in GUM_H3)
    design = sm.add_constant(x - 20)
    fit = sm.OLS(y - x, design).fit()
    moved = shifts(factor(design, y - x, np.ones(11)), 0.005, 0.0, {})[0]
    s, mean = float(np.sqrt(fit.scale)), float((x - 20).mean())
    form = PivotForm(np.array([[mean]]), np.array([s / 11**0.5]), np.array([[[fit.bse[1]]]]))
    assert round(float(np.hypot(form.u_pivot[0], mean * fit.bse[1])), 4) == 0.0029
    after = add(form, moved)
    assert round(float(np.hypot(after.u_pivot[0], after.pivot[0, 0] * after.upper[0, 0, 0])), 4) == 0.0058
    assert after.upper[0, 0, 0] == form.upper[0, 0, 0]


def test_gtc_propagates_the_same() -> None:
    x, y, _ = readings(1)
    shared = GTC.ureal(0, 0.15)
    fit = type_a.line_fit(x.tolist(), y.tolist())
    at = fit.a_b[0] + fit.a_b[1] * 100 + shared
    ols = sm.OLS(y, sm.add_constant(x)).fit()
    form = PivotForm(np.array([[x.mean()]]), np.array([np.sqrt(ols.scale / 12)]), np.array([[[float(ols.bse[1])]]]))
    pivot, u_pivot, upper = add(form, shifts(factor(sm.add_constant(x), y, np.ones(12)), 0.15, 0, {})[0])
    u = np.hypot(u_pivot[0], (100 - pivot[0, 0]) * upper[0, 0, 0])
    assert u == pytest.approx(at.u, rel=1e-10)


@pytest.mark.parametrize("p", [1, 3])
def test_the_pivot_form_has_the_sum_of_both_covariances(p: int) -> None:
    random = np.random.default_rng(p)
    upper = triangular(random.standard_normal((5, p, p)))
    form = PivotForm(random.standard_normal((5, p)), random.uniform(0.1, 1, 5), upper)
    moved = random.standard_normal((5, p + 1))
    after = add(form, moved)
    for point in random.standard_normal((4, p)):
        before = form.u_pivot**2 + (((point - form.pivot)[:, None] @ form.upper) ** 2).sum((-1, -2))
        expected = before + (moved[:, 0] + moved[:, 1:] @ point) ** 2
        found = after.u_pivot**2 + (((point - after.pivot)[:, None] @ after.upper) ** 2).sum((-1, -2))
        np.testing.assert_allclose(found, expected, rtol=1e-10)
    np.testing.assert_array_equal(np.tril(after.upper, -1), 0)


def test_a_held_level_moves_the_slope_alone_and_nothing_becomes_known_by_it() -> None:
    form = PivotForm(np.zeros((1, 1)), np.zeros(1), np.array([[[0.003]]]))
    after = add(form, np.array([[0.0, 0.004]]))
    assert after.pivot[0, 0] == 0
    assert after.u_pivot[0] == 0
    assert after.upper[0, 0, 0] == pytest.approx(0.005)
    unknown = add(PivotForm(np.zeros((1, 1)), np.array([np.nan]), np.array([[[np.nan]]])), np.array([[0.1, 0.1]]))
    assert np.isnan(unknown.u_pivot).all()
    assert np.isnan(unknown.upper).all()

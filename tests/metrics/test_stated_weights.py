"""Weighted least squares with stated uncertainties against ISO/TS 28037 clause 6, statsmodels, and by simulation."""

import numpy as np
import pytest
import stated_cases as cases
import statsmodels.api as sm
import torch
from numpy.typing import ArrayLike
from scipy import stats

from thermofit_pl.metrics.least_squares import Fit, least_squares
from thermofit_pl.metrics.moments import Moments


def fitted(x: ArrayLike, y: ArrayLike, u: ArrayLike, *, absolute: bool = True) -> tuple[Fit, Moments]:
    moments = Moments()
    shown, true, weight = (torch.as_tensor(np.asarray(each, np.float64)) for each in (x, y, np.power(u, -2.0)))
    moments.update(shown, true, weight=weight)
    return least_squares(moments, absolute=absolute), moments


@pytest.mark.parametrize("name", ["equal", "unequal"])
def test_iso_28037_clause_6_as_printed(name: str) -> None:
    y, u, answer = cases.ISO6[name]
    fit, moments = fitted(cases.ISO6_X, y, u)
    found = [fit.b, fit.w[:, 0], fit.u_b, fit.u_w[:, 0], fit.cov_wb[:, 0], moments.sse]
    np.testing.assert_array_equal(np.round([each.item() for each in found], 3), answer)


def test_relative_ones_are_statsmodels_wls_and_absolute_ones_fix_its_scale() -> None:
    random = np.random.default_rng(0)
    x, u = random.uniform(0, 50, 40), random.uniform(0.1, 2, 40)
    y = 3 + 0.7 * x + 3 * u * random.standard_normal(40)
    wls = sm.WLS(y, sm.add_constant(x), weights=u**-2.0).fit()
    for absolute, scale in ((False, 1.0), (True, wls.scale**-0.5)):
        fit, moments = fitted(x, y, u, absolute=absolute)
        np.testing.assert_allclose([fit.b.item(), fit.w.item()], wls.params, rtol=1e-12)
        np.testing.assert_allclose([fit.u_b.item(), fit.u_w.item()], wls.bse * scale, rtol=1e-12)
        assert moments.sse.item() == pytest.approx(wls.ssr, rel=1e-12)


def test_s_is_in_the_references_unit() -> None:
    random = np.random.default_rng(1)
    x = random.uniform(0, 50, 30)
    y = 3 + 0.7 * x + 0.2 * random.standard_normal(30)
    plain = sm.OLS(y, sm.add_constant(x)).fit()
    fit, _ = fitted(x, y, np.full(30, 0.05))
    assert fit.s.item() == pytest.approx(float(np.sqrt(plain.scale)), rel=1e-12)
    assert fit.rmse.item() == pytest.approx(float(np.sqrt(plain.ssr / 30)), rel=1e-12)


@pytest.mark.parametrize("n", [6, 15])
def test_coverage_is_ninety_five_per_cent(n: int) -> None:
    replicates = 8000
    random = np.random.default_rng(2)
    x = np.linspace(0, 10, n)
    u = np.geomspace(0.02, 0.2, n)
    error = u * random.standard_normal((replicates, n))
    moments = Moments(replicates)
    codes = torch.arange(replicates).repeat_interleave(n)
    true = torch.from_numpy((2 * x + 1 + error).reshape(-1))
    shown, weight = (torch.from_numpy(np.tile(each, replicates)) for each in (x, u**-2.0))
    moments.update(shown, true, codes, weight)
    fit, k = least_squares(moments, absolute=True), stats.norm.ppf(0.975)
    for at in (0.0, 5.0, 12.0):
        u_line = torch.hypot(fit.u_pivot, (at - fit.pivot[:, 0]) * fit.U[:, 0, 0])
        away = fit.w[:, 0] * at + fit.b - (2 * at + 1)
        rate = (away.abs() <= k * u_line).double().mean().item()
        assert 0.94 <= rate <= 0.96, (at, rate)

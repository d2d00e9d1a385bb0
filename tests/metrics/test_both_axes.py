"""York's line by passes: published answers, his own iteration, GTC and odrpack; its coverage by simulation."""

import numpy as np
import odrpack
import pytest
import stated_cases as cases
import torch
from GTC import type_a
from stated_cases import york

from thermofit_pl.curves.base import Curve
from thermofit_pl.curves.line import Line
from thermofit_pl.curves.offset import Offset
from thermofit_pl.curves.polynomial import Polynomial
from thermofit_pl.curves.proportional import Proportional
from thermofit_pl.errors import InputError
from thermofit_pl.functional.whitened import basis_of
from thermofit_pl.functional.york import Uncertain
from thermofit_pl.metrics.both_axes import both_axes, in_one_ratio
from thermofit_pl.metrics.least_squares import least_squares
from thermofit_pl.metrics.moments import Moments

FloatArray = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def fitted(
    readings: Uncertain, curve: Curve | None = None, codes: FloatArray | None = None, instruments: int = 1
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Coefficients, their covariance and χ²."""
    instrument = None if codes is None else codes.astype(np.int64)
    moments = Moments(instruments, curve or Line())
    moments.update(
        torch.from_numpy(readings.indication),
        torch.from_numpy(readings.reference),
        None if instrument is None else torch.from_numpy(instrument),
        torch.from_numpy(readings.u_reference**-2.0),
    )
    found = both_axes(moments, readings, instrument)
    basis, _, left = basis_of(found.factor.numpy())
    w, b = found.exact
    return torch.cat([b[:, None], w], dim=-1).numpy(), basis @ np.swapaxes(basis, -1, -2), left


def test_york_pearson_to_twelve_digits() -> None:
    found, covariance, chi2 = fitted(Uncertain(cases.YORK_X, cases.YORK_Y, cases.YORK_UX, cases.YORK_UY))
    np.testing.assert_allclose([*found[0], chi2[0]], cases.YORK_ANSWER, rtol=1e-12)
    _, _, u_b, u_w, cov, _ = york(cases.YORK_X, cases.YORK_Y, cases.YORK_UX, cases.YORK_UY)
    # York (2004) counts them at the adjusted indications, as here
    np.testing.assert_allclose(covariance[0], [[u_b**2, cov], [cov, u_w**2]], rtol=1e-10)


def test_iso_28037_clause_7_as_printed() -> None:
    found, covariance, chi2 = fitted(Uncertain(cases.ISO_X, cases.ISO_Y, cases.ISO_UX, cases.ISO_UY))
    printed = [*found[0], *np.sqrt(np.diag(covariance[0])), covariance[0, 0, 1]]
    np.testing.assert_array_equal(np.round(printed, 4), [0.5788, 2.1597, 0.4764, 0.1355, -0.0577])
    assert round(float(chi2[0]), 3) == 2.743


def test_iso_28037_clause_8_with_correlation() -> None:
    correlation = cases.ISO_COVARIANCE / (cases.ISO_UX * cases.ISO_UY)
    found, covariance, chi2 = fitted(Uncertain(cases.ISO_X, cases.ISO_Y, cases.ISO_UX, cases.ISO_UY, correlation))
    printed = [*found[0], *np.sqrt(np.diag(covariance[0]))]
    # its answers were had by cutting the iteration off at 5e-5
    np.testing.assert_allclose(printed, [0.58159, 2.16999, 0.28564, 0.09019], atol=1e-5)
    b, w, u_b, u_w, cov, chi = york(cases.ISO_X, cases.ISO_Y, cases.ISO_UX, cases.ISO_UY, correlation)
    np.testing.assert_allclose(found[0], [b, w], rtol=1e-12)
    np.testing.assert_allclose(covariance[0], [[u_b**2, cov], [cov, u_w**2]], rtol=1e-11)
    assert chi2[0] == pytest.approx(chi, rel=1e-12)


def made(seed: int, n: int = 30) -> Uncertain:
    random = np.random.default_rng(seed)
    true, ux, uy = random.uniform(-40, 120, n), random.uniform(0.2, 0.6, n), random.uniform(0.05, 0.2, n)
    x = true + ux * random.standard_normal(n)
    return Uncertain(x, 0.5 * true - 17 + 1e-3 * true**2 + uy * random.standard_normal(n), ux, uy)


def test_gtc_has_the_same_line() -> None:
    x, y, ux, uy, _ = made(0)
    y = y - 1e-3 * x**2
    gtc = type_a.line_fit_wtls(x.tolist(), y.tolist(), u_x=ux.tolist(), u_y=uy.tolist())
    found, _, chi2 = fitted(Uncertain(x, y, ux, uy))
    np.testing.assert_allclose(found[0], [gtc.a_b[0].x, gtc.a_b[1].x], rtol=1e-7)  # its minimum is found by Brent
    assert chi2[0] == pytest.approx(gtc.ssr, rel=1e-10)


def test_odrpack_has_the_same_parabola() -> None:
    readings = made(1)
    x, y, ux, uy, _ = readings
    found, covariance, chi2 = fitted(readings, Polynomial(2, centre=0.0, half=1.0))

    def curve(x: FloatArray, beta: FloatArray) -> FloatArray:
        level: FloatArray = beta[0] + beta[1] * x + beta[2] * (x**2 - 1 / 3)
        return level

    odr = odrpack.odr_fit(
        curve, x, y, np.array([-17, 0.5, 1e-3]), weight_x=ux**-2.0, weight_y=uy**-2.0, sstol=1e-15, partol=1e-15
    )
    u = np.sqrt(np.diag(covariance[0]))
    assert (np.abs(odr.beta - found[0]) < 1e-4 * u).all()  # odrpack's derivatives are differences
    assert chi2[0] == pytest.approx(odr.sum_square, rel=1e-8)
    np.testing.assert_allclose(np.sqrt(np.diag(odr.cov_beta)), u, rtol=1e-3)


def test_frozen_weights_end_elsewhere() -> None:
    w = -0.5
    for _ in range(100):
        weight = 1 / np.sqrt(cases.YORK_UY**2 + w * w * cases.YORK_UX**2)
        w = np.polyfit(cases.YORK_X, cases.YORK_Y, 1, w=weight)[0]
    assert w == pytest.approx(-0.46345, abs=1e-5)
    found, _, _ = fitted(Uncertain(cases.YORK_X, cases.YORK_Y, cases.YORK_UX, cases.YORK_UY))
    assert found[0, 1] < w - 0.01


def test_a_fleet_is_each_by_itself_and_one_without_a_line_stays_so() -> None:
    several = [made(seed, n) for seed, n in ((2, 8), (3, 20))]
    lone = Uncertain(*(np.array([value]) for value in (3.0, 4.0, 0.1, 0.1)))
    whole = Uncertain(*(np.concatenate([each[k] for each in (*several, lone)]) for k in range(4)))
    codes = np.repeat([0, 1, 2], [8, 20, 1])
    order = np.random.default_rng(0).permutation(len(codes))
    found, covariance, chi2 = fitted(Uncertain(*(each[order] for each in whole[:4])), codes=codes[order], instruments=3)
    for k, readings in enumerate(several):
        one, own, left = fitted(readings)
        np.testing.assert_allclose(found[k], one[0], rtol=1e-11)
        np.testing.assert_allclose(covariance[k], own[0], rtol=1e-11)
        assert chi2[k] == pytest.approx(left[0], rel=1e-9)
    assert np.isnan(covariance[2]).any()


def test_passes_that_do_not_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thermofit_pl.metrics.both_axes.PASSES", 3)
    with pytest.raises(InputError, match="3 passes found none that stays"):
        fitted(Uncertain(cases.YORK_X, cases.YORK_Y, cases.YORK_UX, cases.YORK_UY))


@pytest.mark.parametrize("curve", [Line(), Offset(), Proportional()], ids=repr)
@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_one_ratio_needs_no_pass(curve: Curve, shift: float) -> None:
    random = np.random.default_rng(4)
    codes = np.repeat([0, 1, 2], [12, 30, 1])
    true = random.uniform(0, 10, 43)
    x, y = true + shift + 0.05 * random.standard_normal(43), true + 0.1 * random.standard_normal(43)
    if shift and curve.held:
        y = y + shift
    readings = Uncertain(x, y, np.full(43, 0.05), np.full(43, 0.1))
    moments = Moments(3, curve)
    shown, true_values, instrument = (torch.from_numpy(each) for each in (x, y, codes))
    moments.update(shown, true_values, instrument, torch.full((43,), 100.0).double())
    one, passed = in_one_ratio(moments, 0.25), both_axes(moments, readings, codes)
    assert one.moments[2, -3:].tolist() == moments.moments[2, -3:].tolist() or curve.held
    fits = [least_squares(each, absolute=True) for each in (one, passed)]
    for name in ("w", "b", "s", "u_pivot", "U", "pivot", "rmse", "n", "dof"):
        found, expected = (getattr(fit, name)[:2] for fit in fits)
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-9 * max(shift, 1.0) if name == "b" else 1e-12)
    torch.testing.assert_close(one.sse[:2], passed.sse[:2], rtol=1e-7, atol=0)
    assert torch.equal(one.lowest, moments.lowest)


@pytest.mark.parametrize("n", [6, 20])
def test_coverage_is_ninety_five_per_cent(n: int) -> None:
    replicates = 4000
    random = np.random.default_rng(1)
    true = np.tile(np.linspace(0, 10, n), replicates)
    ux, uy = random.uniform(0.02, 0.1, true.size), random.uniform(0.02, 0.1, true.size)
    readings = Uncertain(
        true + ux * random.standard_normal(true.size), 2 * true + 1 + uy * random.standard_normal(true.size), ux, uy
    )
    found, covariance, _ = fitted(readings, codes=np.repeat(np.arange(replicates), n), instruments=replicates)
    for x in (-2.0, 0.0, 5.0, 10.0):
        row = np.array([1.0, x])
        u = np.sqrt(np.einsum("q,iqr,r->i", row, covariance, row))
        rate = np.mean(np.abs(found @ row - (2 * x + 1)) <= 1.959964 * u)
        assert 0.94 <= rate <= 0.96, (x, rate)

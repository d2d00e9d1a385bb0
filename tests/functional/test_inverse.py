"""Bands and the sets of an inverse: against exact arithmetic, Fieller's closed form, and the equation itself."""

import mpmath
import numpy as np
import polars as pl
import pytest
import torch
from numpy.typing import NDArray

from thermofit_pl.curves.line import Line
from thermofit_pl.curves.polynomial import Polynomial
from thermofit_pl.errors import InputError
from thermofit_pl.functional.band import band
from thermofit_pl.functional.fieller import fieller
from thermofit_pl.functional.inverse import Evaluate, inverse, inverse_set
from thermofit_pl.metrics.least_squares import Fit, least_squares
from thermofit_pl.metrics.moments import Moments

FloatArray = NDArray[np.float64]


def fitted(moments: Moments) -> tuple[Fit, Evaluate]:
    fit = least_squares(moments)
    w, pivot, upper = (value[0].tolist() for value in (fit.w, fit.pivot, fit.U))
    level = fit.b.item() + float(np.dot(w, pivot))

    def evaluate(x: FloatArray) -> tuple[FloatArray, FloatArray]:
        return band(moments.curve, x, level, w, pivot, fit.u_pivot.item(), upper)

    return fit, evaluate


def readings(seed: int = 0, falls: bool = False) -> tuple[FloatArray, FloatArray]:
    random = np.random.default_rng(seed)
    x = np.sort(random.uniform(0, 100, 40))
    return x, (-1 if falls else 1) * 0.5368 * x - 17.3 + 0.5 * random.standard_normal(40)


def moments_of(moments: Moments, x: FloatArray, y: FloatArray) -> Moments:
    moments.update(torch.from_numpy(x), torch.from_numpy(y))
    return moments


@pytest.mark.parametrize("centre", [0.0, 1e4])
def test_the_band_keeps_its_digits_on_a_narrow_range(centre: float) -> None:
    x, y = readings()
    x = centre + x / 100
    moments = moments_of(Moments(curve=Polynomial(2)), x, y)
    fit, evaluate = fitted(moments)
    at = np.linspace(x.min(), x.max(), 7)
    _, variance = evaluate(at)
    with mpmath.workdps(60):
        rows = mpmath.matrix([[mpmath.mpf(v) ** j for j in range(3)] for v in x.tolist()])
        inverse_gram = (rows.T * rows) ** -1
        for v, found in zip(at.tolist(), variance, strict=True):
            row = mpmath.matrix([mpmath.mpf(v) ** j for j in range(3)])
            exact = (row.T * inverse_gram * row)[0] * mpmath.mpf(fit.s.item()) ** 2
            # t = (x − centre)/half keeps 1e-16 · 1e4 / 1
            assert found == pytest.approx(float(exact), rel=1e-11 if centre else 1e-13, abs=0)


def test_the_band_runs_over_polars_to_the_same_bits() -> None:
    moments = moments_of(Moments(curve=Polynomial(3)), *readings())
    fit, evaluate = fitted(moments)
    x = np.linspace(0, 100, 50)
    w, pivot, upper = (value[0].tolist() for value in (fit.w, fit.pivot, fit.U))
    level = fit.b.item() + float(np.dot(w, pivot))
    columns = band(moments.curve, pl.col("x"), level, w, pivot, fit.u_pivot.item(), upper)
    found = pl.DataFrame({"x": x}).select(e=columns[0], v=columns[1])
    for name, values in zip("ev", evaluate(x), strict=True):
        np.testing.assert_array_equal(found[name].to_numpy(), values)


@pytest.mark.parametrize("falls", [False, True])
@pytest.mark.parametrize("single", [False, True])
def test_the_sets_of_a_line_are_fiellers(single: bool, falls: bool) -> None:
    x, y = readings(falls=falls)
    fit, evaluate = fitted(moments_of(Moments(curve=Line()), x, y))
    k, scatter = 2.0244, fit.s.item() if single else 0.0
    reference = (np.linspace(-10, 30, 1001) + 17.3) * (-1 if falls else 1) - 17.3

    def of_reading(at: FloatArray) -> tuple[FloatArray, FloatArray]:
        estimate, variance = evaluate(at)
        return estimate, variance + scatter**2

    found = inverse_set(of_reading, reference, k, -50.0, 150.0)
    pivot, w = fit.pivot.item(), fit.w.item()
    level = np.hypot(k * fit.u_pivot.item(), k * scatter)
    exact = fieller(reference - (fit.b.item() + w * pivot), w, k * fit.u_w.item(), level)
    assert set(found.kind) == {"bounded"}
    np.testing.assert_allclose(found.lower, exact.lower + pivot, rtol=0, atol=1e-12 * 100)
    np.testing.assert_allclose(found.upper, exact.upper + pivot, rtol=0, atol=1e-12 * 100)
    estimate = inverse(evaluate, reference, -50.0, 150.0)
    np.testing.assert_allclose(estimate, (reference - fit.b.item()) / w, rtol=0, atol=1e-12 * 100)


def test_the_sets_of_a_cubic_solve_its_equation() -> None:
    x, y = readings(1)
    moments = moments_of(Moments(curve=Polynomial(3)), x, y + 0.0006 * (x - 50) ** 2 + 1e-5 * (x - 50) ** 3)
    _, evaluate = fitted(moments)
    low, high = float(x.min()), float(x.max())
    reference = np.linspace(-25, 45, 501)
    found = inverse_set(evaluate, reference, 2.03, low, high)
    assert {"bounded", "open"} <= set(found.kind)
    for ends, sign in ((found.lower, 1), (found.upper, -1)):
        inside = np.isfinite(ends)
        estimate, variance = evaluate(ends[inside])
        assert inside.sum() > 200
        np.testing.assert_allclose(estimate + sign * 2.03 * np.sqrt(variance), reference[inside], rtol=0, atol=2e-13)
    opened = found.kind == "open"
    assert (np.isinf(found.lower[opened]) | np.isinf(found.upper[opened])).all()


def test_references_beyond_the_range_have_no_set() -> None:
    x, y = readings()
    _, evaluate = fitted(moments_of(Moments(curve=Line()), x, y))
    found = inverse_set(evaluate, np.array([-1e3, 1e3, np.nan, 10.0]), 2.0, 0.0, 100.0)
    assert found.kind.tolist() == ["nothing", "nothing", "unknown", "bounded"]
    assert np.isnan(found.lower[:3]).all()
    assert np.isnan(inverse(evaluate, np.array([-1e3]), 0.0, 100.0)).all()


def test_a_curve_that_turns_is_refused() -> None:
    x, y = readings()
    _, evaluate = fitted(moments_of(Moments(curve=Polynomial(2)), x, (x - 30) ** 2 + y))
    for solve in (
        lambda: inverse(evaluate, np.array([1.0]), 0.0, 100.0),
        lambda: inverse_set(evaluate, np.array([1.0]), 2.0, 0.0, 100.0),
    ):
        with pytest.raises(
            InputError, match=r"rises or falls over the calibrated range, 0 to 100, but .* turns near 29"
        ):
            solve()

"""Moments of any curve: the mean squared error, laps, whitening and least squares against NumPy and loops."""

import mpmath
import numpy as np
import pytest
import statsmodels.api as sm
import torch
from numpy.typing import NDArray

from thermofit_pl.curves.base import Curve
from thermofit_pl.curves.line import Line
from thermofit_pl.curves.offset import Offset
from thermofit_pl.curves.polynomial import Polynomial
from thermofit_pl.curves.proportional import Proportional
from thermofit_pl.errors import InputError
from thermofit_pl.metrics.least_squares import distance, least_squares, refuse_no_curve, stability_limit
from thermofit_pl.metrics.moments import Moments
from thermofit_pl.training.laps import PlainSgd

FloatArray = NDArray[np.float64]
CURVES = [Line(), Offset(), Proportional(), *(Polynomial(degree, 3.0, 7.0) for degree in (2, 3, 5, 10))]


def readings(n: int = 400, seed: int = 0) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Indications, references and weights."""
    random = np.random.default_rng(seed)
    x = random.uniform(-4, 10, n)
    return x, 1.2 * x + 3 + 0.02 * x**2 + 0.1 * random.standard_normal(n), random.uniform(0.2, 4, n)


def of(curve: Curve, x: FloatArray, y: FloatArray, weight: FloatArray | None = None, parts: int = 1) -> Moments:
    moments = Moments(curve=curve)
    for cut in np.array_split(np.arange(len(x)), parts):
        own = None if weight is None else torch.from_numpy(weight[cut])
        moments.update(torch.from_numpy(x[cut]), torch.from_numpy(y[cut]), weight=own)
    return moments


def design(curve: Curve, x: FloatArray) -> FloatArray:
    return np.stack([np.ones_like(x), *curve.features(x)], axis=-1)


@pytest.mark.parametrize("parts", [1, 7])
@pytest.mark.parametrize("curve", CURVES, ids=repr)
def test_least_squares_are_statsmodels_weighted(curve: Curve, parts: int) -> None:
    x, y, weight = readings()
    whole = design(curve, x)
    free, held = list(curve.free), curve.held
    expected = sm.WLS(y - sum(v * whole[:, j] for j, v in held.items()), whole[:, free], weights=weight).fit()
    fit = least_squares(of(curve, x, y, weight, parts))
    theta = np.concatenate([fit.b.numpy(), fit.w[0].numpy()])
    deviations = np.concatenate([fit.u_b.numpy(), fit.u_w[0].numpy()])
    np.testing.assert_allclose(theta[free], expected.params, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(deviations[free], expected.bse, rtol=1e-9)
    for j, value in held.items():
        assert (theta[j], deviations[j]) == (value, 0)
    # s is that of an error of mean weight
    assert fit.s.item() ** 2 * weight.mean() == pytest.approx(expected.scale, rel=1e-11, abs=0)
    assert fit.dof.item() == 400 - len(free)
    if 0 in free and len(free) > 1:
        covariance = expected.cov_params()
        np.testing.assert_allclose(fit.cov_wb[0], covariance[0, 1:], rtol=1e-8, atol=1e-12 * np.abs(covariance).max())
    level = fit.u_pivot.item() ** 2 + (((whole[:, 1:] - fit.pivot[0].numpy()) @ fit.U[0].numpy()) ** 2).sum(axis=1)
    band = (whole[:, free] @ expected.cov_params() * whole[:, free]).sum(axis=1)
    np.testing.assert_allclose(level, band, rtol=1e-8)


@pytest.mark.parametrize("curve", CURVES, ids=repr)
def test_the_mse_and_its_gradient_are_those_of_the_readings(curve: Curve) -> None:
    x, y, weight = readings()
    random = torch.Generator().manual_seed(1)
    moments, p = of(curve, x, y, weight, 3), len(curve.names)
    w, b = (torch.randn(*shape, dtype=torch.float64, generator=random).requires_grad_() for shape in ((1, p), (1,)))
    loss = moments.mse(w, b)
    loss.sum().backward()  # type: ignore[no-untyped-call]
    error = design(curve, x) @ np.concatenate([b.detach().numpy(), w[0].detach().numpy()]) - y
    assert loss.item() == pytest.approx(np.average(error**2, weights=weight), rel=1e-12, abs=0)
    assert moments.mean_error(w, b).item() == pytest.approx(np.average(error, weights=weight), rel=1e-12, abs=0)
    gradient = 2 * design(curve, x).T @ (weight * error) / weight.sum()
    gradient[list(curve.held)] = 0  # whatever an optimiser is, it leaves a coefficient that is held
    assert w.grad is not None
    assert b.grad is not None
    found = np.concatenate([b.grad.numpy(), w.grad[0].numpy()])
    np.testing.assert_allclose(found, gradient, rtol=1e-11, atol=1e-13 * np.abs(gradient).max())


def loop(curve: Curve, phi: FloatArray, y: FloatArray, weight: FloatArray, rate: float, steps: int) -> FloatArray:
    """Plain SGD on readings, from 0 but for what is held: b and w."""
    theta = np.zeros(phi.shape[1])
    theta[list(curve.held)] = list(curve.held.values())
    free = list(curve.free)
    for _ in range(steps):
        gradient = 2 * phi.T @ (weight * (phi @ theta - y)) / weight.sum()
        theta[free] -= rate * gradient[free]
    return theta


@pytest.mark.parametrize("curve", CURVES, ids=repr)
@pytest.mark.parametrize("share", [0.02, 0.6, 0.98])
def test_two_thousand_plain_steps_are_one_power(curve: Curve, share: float) -> None:
    x, y, weight = readings()
    moments = of(curve, x, y, weight)
    rate = share * stability_limit(moments).item()
    start = torch.zeros(1, len(curve.names) + 1, dtype=torch.float64)
    for j, value in curve.held.items():
        start[:, j] = value
    w, b = PlainSgd(moments, rate).after(torch.tensor([2000]), start[:, 1:], start[:, 0])
    expected = loop(curve, design(curve, x), y, weight, rate, 2000)
    found = np.concatenate([b[0].numpy(), w[0, 0].numpy()])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * np.abs(expected).max())


@pytest.mark.parametrize("curve", CURVES, ids=repr)
def test_whitened_every_curve_converges_as_fast_as_a_line(curve: Curve) -> None:
    x, y, weight = readings()
    raw = of(curve, x, y, weight)
    white = raw.normalized(*raw.whitening())
    values = white.modes()[0]
    torch.testing.assert_close(values, torch.full_like(values, 2.0), rtol=1e-11, atol=0)
    phi = white.features(torch.from_numpy(x)[:, None])[:, 0].numpy()
    expected = loop(curve, np.column_stack([np.ones(400), phi]), y, weight, 0.1, 50)
    zero = torch.zeros(1, len(curve.names), dtype=torch.float64)
    for j, value in curve.held.items():
        zero[:, max(j - 1, 0)] = value if j else zero[:, 0]
    w, b = PlainSgd(white, 0.1).after(torch.tensor([50]), zero, torch.zeros(1, dtype=torch.float64))
    np.testing.assert_allclose(np.concatenate([b[0].numpy(), w[0, 0].numpy()]), expected, rtol=0, atol=1e-12)
    exact = least_squares(raw)
    estimate = phi @ white.exact[0][0].numpy() + white.exact[1].item()  # the same curve in other coordinates
    np.testing.assert_allclose(estimate, design(curve, x)[:, 1:] @ exact.w[0].numpy() + exact.b.item(), rtol=1e-10)
    assert distance(white, *white.exact).item() == pytest.approx(0, abs=1e-10)
    assert distance(white, white.exact[0], white.exact[1] + 0.25).item() == pytest.approx(0.25, rel=1e-9)


def test_counts_about_a_million_keep_their_digits() -> None:
    random = np.random.default_rng(3)
    x = 1e6 + np.round(50 * random.standard_normal(3000))
    y = 0.02 * (x - 1e6) + 20 + 0.01 * random.standard_normal(3000)
    with mpmath.workdps(40):
        mx, my = mpmath.fsum(x) / 3000, mpmath.fsum(y) / 3000
        dx, dy = [mpmath.mpf(v) - mx for v in x.tolist()], [mpmath.mpf(v) - my for v in y.tolist()]
        slope = mpmath.fdot(dx, dy) / mpmath.fdot(dx, dx)
        s = mpmath.sqrt((mpmath.fdot(dy, dy) - slope * mpmath.fdot(dx, dy)) / 2998)
        b = float(my - slope * mx)
    for parts in (1, 50):
        moments = of(Line(), x, y, parts=parts)
        fit = least_squares(moments)
        assert fit.s.item() == pytest.approx(float(s), rel=1e-13 if parts == 1 else 1e-12, abs=0)
        assert fit.w.item() == pytest.approx(float(slope), rel=1e-13, abs=0)
        assert fit.b.item() == pytest.approx(b, rel=1e-12, abs=0)
        assert moments.feature_means[..., 0].item() == pytest.approx(float(mx), rel=1e-15, abs=0)


def test_moments_with_other_origins_merge() -> None:
    x, y, _ = readings()
    far, near = of(Line(), x[:200] / 100 + 1e6, y[:200]), of(Line(), x[200:] + 5e5, y[200:])
    assert far.origin is not None
    assert abs(far.origin[0] - 1e6) < 1
    assert far.origin != near.origin
    whole_x = np.concatenate([x[:200] / 100 + 1e6, x[200:] + 5e5])
    merged = Moments()
    for each in (far, near):
        merged.merge_state(each)
    slope = np.polyfit(whole_x - 7.5e5, y, 1)[0]
    assert merged.exact[0][..., 0].item() == pytest.approx(slope, rel=1e-9, abs=0)
    assert merged.count.item() == 400


def test_moments_of_another_curve_or_frame_are_refused() -> None:
    x, y, _ = readings(20)
    quadratic = of(Polynomial(2), x, y)
    for other in (Line(), Polynomial(3, 3.0, 7.0), Polynomial(2, 0.0, 1.0)):
        with pytest.raises(ValueError, match="Expected moments of the same curve"):
            of(other, x, y).merge_state(quadratic)
    empty = Moments(curve=Polynomial(2))
    empty.merge_state(quadratic)  # takes the frame over
    assert empty.curve == quadratic.curve
    torch.testing.assert_close(empty.moments, quadratic.moments, rtol=1e-15, atol=0)


def test_effective_count_and_sums_of_weights() -> None:
    x, y = np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 3.0])
    moments = of(Line(), x, y, y)
    assert [moments.count.item(), moments.total.item(), moments.effective_count.item()] == [3, 6, 36 / 14]
    with pytest.raises(ValueError, match=r"Expected `weight` of shape \(3,\), but got \(2,\)"):
        moments.update(torch.zeros(3), torch.zeros(3), weight=torch.ones(2))


def test_a_fleet_of_quadratics_is_as_each_alone() -> None:
    x, y, weight = readings(900)
    code = np.random.default_rng(5).integers(0, 4, 900)
    curve, together = Polynomial(2, 3.0, 7.0), Moments(5, Polynomial(2, 3.0, 7.0))
    for cut in np.array_split(np.arange(900), 4):
        together.update(*(torch.from_numpy(column[cut]) for column in (x, y, code, weight)))
    fits = least_squares(together)
    for instrument in range(4):
        mine = code == instrument
        alone = least_squares(of(curve, x[mine], y[mine], weight[mine]))
        torch.testing.assert_close(fits.w[instrument], alone.w[0], rtol=1e-10, atol=0)
        torch.testing.assert_close(fits.U[instrument], alone.U[0], rtol=1e-9, atol=1e-15)
    assert bool(fits.w[4].isnan().all())
    pooled = together.pooled(together.has_curve)
    torch.testing.assert_close(pooled.moments, of(curve, x, y, weight).moments, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(
    ("curve", "x", "message"),
    [
        (Line(), [1.0], "expected at least two readings, as a line needs, but got 1"),
        (Offset(), [], "expected at least one reading, as an offset needs, but got 0"),
        (
            Polynomial(3),
            [1.0, 2.0, 3.0],
            "expected at least four readings, as a polynomial of degree 3 needs, but got 3",
        ),
        (Line(), [5.0, 5.0], "expected indications that differ, but all 2 in column 'shown' are 5"),
        (Proportional(), [0.0, 0.0], "tell all 1 coefficients of a gain, but those .* can't tell w"),
        (Polynomial(2), [1.0, 2.0, 1.0, 2.0], "all 3 coefficients of a polynomial of degree 2.*can't tell w2"),
    ],
)
def test_readings_that_tell_no_curve_are_refused(curve: Curve, x: list[float], message: str) -> None:
    moments = of(curve, np.array(x), np.array([1.5 * k for k in range(len(x))]))
    with pytest.raises(InputError, match=message):
        refuse_no_curve(moments, "readings.csv", "shown")
    assert bool(least_squares(moments).s.isnan().all())

"""Passes of Gauss and Newton through the factor: against 50 digits, least squares in °C, and refits."""

from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from thermofit_pl.curves.base import Curve
from thermofit_pl.curves.beta import Beta
from thermofit_pl.curves.callendar_van_dusen import CallendarVanDusen
from thermofit_pl.curves.line import Line
from thermofit_pl.curves.steinhart_hart import SteinhartHart
from thermofit_pl.errors import InputError
from thermofit_pl.functional.band import band
from thermofit_pl.metrics.accumulator import Accumulator
from thermofit_pl.metrics.least_squares import distance, least_squares, step
from thermofit_pl.metrics.moments import Moments
from thermofit_pl.metrics.passes import needs_another, of_block, repeated, solution
from thermofit_pl.tables.table import Block

FloatArray = NDArray[np.float64]

# https://www.itl.nist.gov/div898/strd/nls/data/mgh10.shtml: y, the resistance of a thermistor, and x [°C]
MGH10 = np.array(
    [34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744, 8261, 7030, 6005, 5147, 4427, 3820, 3307, 2872], np.float64
), np.arange(50.0, 126.0, 5.0)  # fmt: skip
ABC = 1.129241e-3, 2.341077e-4, 8.775468e-8


def temperature(r: FloatArray, abc: Any = ABC) -> FloatArray:
    logarithm = np.log(r)
    return np.asarray(1 / (abc[0] + abc[1] * logarithm + abc[2] * logarithm**3) - 273.15)


def fitted(curve: Curve, x: FloatArray, y: FloatArray, weight: FloatArray | None = None) -> tuple[Moments, list[float]]:
    steps: list[float] = []

    def make(about: torch.Tensor | None) -> Moments:
        moments = Moments(1, curve, about)
        omega = None if weight is None else torch.from_numpy(weight)
        moments.update(torch.from_numpy(x), torch.from_numpy(y), weight=omega)
        steps.append(step(moments).item())
        return moments

    return repeated(make), steps


def test_mgh10_is_within_1e_12_kelvin_of_50_digits_after_two_passes() -> None:
    r, t = MGH10
    moments, steps = fitted(SteinhartHart(), r, t)
    assert len(steps) == 2
    with mpmath.workdps(50):
        theta = mpmath.matrix(
            [mpmath.mpf(v) for v in moments.curve.conventional(solution(moments).numpy())[0].tolist()]
        )
        logs = [mpmath.log(mpmath.mpf(v)) for v in r.tolist()]
        for _ in range(8):
            inverse = [theta[0] + theta[1] * v + theta[2] * v**3 for v in logs]
            jacobian = mpmath.matrix([[-(f / e**2) for f in (1, v, v**3)] for v, e in zip(logs, inverse, strict=True)])
            errors = mpmath.matrix(
                [1 / e - mpmath.mpf("273.15") - mpmath.mpf(v) for e, v in zip(inverse, t.tolist(), strict=True)]
            )
            theta -= mpmath.lu_solve(jacobian.T * jacobian, jacobian.T * errors)
        s = mpmath.sqrt(sum(e**2 for e in errors) / 13)
        covariance = (jacobian.T * jacobian) ** -1 * s**2
        exact = np.array([float(1 / e - mpmath.mpf("273.15")) for e in inverse])
        u = [float(mpmath.sqrt(covariance[j, j])) for j in range(3)]
        band_u = [float(mpmath.sqrt((jacobian[k, :] * covariance * jacobian[k, :].T)[0])) for k in (0, 7, 15)]
    fit = least_squares(moments)
    estimate, variance = band_of(moments, r)
    assert np.abs(estimate - exact).max() < 1e-12
    assert fit.s.item() == pytest.approx(float(s), rel=1e-9)
    np.testing.assert_allclose(np.sqrt(variance)[[0, 7, 15]], band_u, rtol=1e-7)
    b_and_w = solution(moments).numpy()[0]
    upper, pivot = fit.U[0].numpy(), fit.pivot[0].numpy()
    spread = np.vstack([[fit.u_pivot.item(), 0, 0], np.column_stack([-upper.T @ pivot, upper.T])])
    quoted = moments.curve.conventional_spread(b_and_w, spread)
    np.testing.assert_allclose(np.sqrt((quoted**2).sum(axis=0)), u, rtol=1e-7)
    # the linear fit in 1/T is another problem, 0.35 mK away
    linear = np.linalg.lstsq(np.column_stack([np.ones(16), np.log(r), np.log(r) ** 3]), 1 / (t + 273.15), rcond=None)[0]
    assert np.abs(temperature(r, linear) - exact).max() == pytest.approx(0.35e-3, abs=0.01e-3)


def band_of(moments: Moments, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    fit = least_squares(moments)
    w, pivot, upper = (each[0].tolist() for each in (fit.w, fit.pivot, fit.U))
    level = fit.b.item() + float(np.dot(w, pivot))
    return band(moments.curve, x, level, w, pivot, fit.u_pivot.item(), upper)


@pytest.mark.parametrize("unit", ["K", "°F"])
def test_other_units_are_the_same_physics(unit: str) -> None:
    r, t = MGH10
    factor, zero = {"K": (1.0, 273.15), "°F": (1.8, 32.0)}[unit]
    ours, theirs = (fitted(SteinhartHart(unit=u), r, y)[0] for u, y in (("°C", t), (unit, t * factor + zero)))
    a, b = (m.curve.conventional(solution(m).numpy())[0] for m in (ours, theirs))
    np.testing.assert_allclose(b, a, rtol=1e-12)
    assert least_squares(theirs).s.item() == pytest.approx(factor * least_squares(ours).s.item(), rel=1e-10)
    np.testing.assert_allclose(band_of(theirs, r)[0], band_of(ours, r)[0] * factor + zero, rtol=0, atol=1e-11)


@pytest.mark.parametrize("scatter", [1e-3, 0.1, 3.0])
@pytest.mark.parametrize("curve", [SteinhartHart(), SteinhartHart(4), Beta()], ids=repr)
def test_a_noisy_thermistor_is_the_least_squares_of_its_temperature(curve: Curve, scatter: float) -> None:
    random = np.random.default_rng(3)
    r = np.geomspace(1e3, 1e5, 200)
    t = temperature(r) + scatter * random.standard_normal(200)
    weight = random.uniform(0.5, 2, 200)
    moments, steps = fitted(curve, r, t, weight)
    assert steps[-1] < 1e-3
    assert len(steps) <= 5
    framed: Any = moments.curve
    theta = solution(moments).numpy()[0]
    columns = np.column_stack([np.ones(200), *framed.features(r)])

    # Gauss and Newton by orthogonal columns, to the end: scipy's least_squares stops short where errors are 1 mK
    q, upper = np.linalg.qr(columns)
    root, z = np.sqrt(weight), upper @ theta
    for _ in range(6):
        jacobian = (framed.estimate_slope(q @ z) * root)[:, None] * q
        z = z + np.linalg.lstsq(jacobian, (t - framed.estimate(q @ z)) * root, rcond=None)[0]
    sse = (((framed.estimate(q @ z) - t) * root) ** 2).sum()
    s = np.sqrt(sse / (200 - len(theta)))
    u = np.sqrt(np.diag(np.linalg.inv(jacobian.T @ jacobian))) * s
    assert np.abs((upper @ theta - z) / u).max() < 1e-3  # a pass further would be nearer
    fit = least_squares(moments)
    assert moments.total.item() == pytest.approx(weight.sum())
    assert fit.rmse.item() == pytest.approx(np.sqrt(sse / weight.sum()), rel=1e-6)


@pytest.mark.slow
def test_the_band_is_the_scatter_of_refits() -> None:
    random = np.random.default_rng(5)
    r, at = np.geomspace(2e3, 5e4, 12), np.array([1.5e3, 1e4, 6e4])
    found = []
    for _ in range(3000):
        moments, _ = fitted(SteinhartHart(), r, temperature(r) + 0.05 * random.standard_normal(12))
        found.append((*band_of(moments, at), least_squares(moments).s.item()))
    estimates, variances, s = (np.array([row[k] for row in found]) for k in range(3))
    u = np.sqrt((variances / s[:, None] ** 2).mean(axis=0)) * 0.05
    np.testing.assert_allclose(estimates.std(axis=0), u, rtol=0.03)  # 3,000 refits tell it to 1.3 %


def test_platinum_is_the_least_squares_of_its_resistance() -> None:
    random = np.random.default_rng(1)
    t = np.linspace(-150, 400, 80)
    cold = np.where(t < 0, (t - 100) * t**3, 0)
    r = 100.02 * (1 + 3.91e-3 * t - 5.8e-7 * t**2 - 4.183e-12 * cold) + 0.01 * random.standard_normal(80)
    columns = {
        "R0": [1 + 3.9083e-3 * t - 5.775e-7 * t**2 - 4.183e-12 * cold],
        "R0 A B": [1 - 4.183e-12 * cold, t, t**2],
        "R0 A B C": [np.ones(80), t, t**2, cold],
    }
    for free, of in columns.items():
        moments, steps = fitted(CallendarVanDusen(free), r, t)  # type: ignore[arg-type]
        assert len(steps) == 1
        matrix = np.column_stack(of)
        scale = np.linalg.norm(matrix, axis=0)
        exact = np.linalg.lstsq(matrix / scale, r, rcond=None)[0] / scale
        theta = solution(moments).numpy()[0]
        assert theta[0] == 0
        quoted = moments.curve.conventional(theta)
        np.testing.assert_allclose(quoted, [exact[0], *exact[1:] / exact[0]], rtol=1e-9)
        s = np.sqrt(((matrix @ exact - r) ** 2).sum() / (80 - len(of)))
        fit = least_squares(moments)
        # in degrees to first order: by the resistance of the frame
        curve: Any = moments.curve
        assert fit.s.item() * curve.resistance * 3.9083e-3 == pytest.approx(s, rel=1e-9)
        _, variance = band_of(moments, np.array([119.4]))
        row = [float(column) for column in np.array([np.interp(50.0, t, column) for column in of])]
        rise = float(np.interp(50.0, t[:-1], np.diff(matrix @ exact) / np.diff(t)))
        u_r = s * np.sqrt(np.array(row) @ np.linalg.inv(matrix.T @ matrix) @ np.array(row))
        assert np.sqrt(variance[0]) == pytest.approx(u_r / rise, rel=0.02)


def test_platinum_without_readings_below_zero_does_not_tell_c() -> None:
    t = np.linspace(0, 100, 20)
    moments, _ = fitted(CallendarVanDusen("R0 A B C"), 100 * (1 + 3.9083e-3 * t - 5.775e-7 * t**2), t)
    assert moments.sound.tolist() == [[True, True, True, False]]


def test_a_fleet_is_each_of_its_thermistors() -> None:
    random = np.random.default_rng(2)
    codes = random.integers(0, 5, 400)
    r = np.exp(random.uniform(np.log(1e3), np.log(1e5), 400)) * (1 + codes)
    t = temperature(r / (1 + codes)) + 0.3 * random.standard_normal(400)
    curve = SteinhartHart(3, "°C", 40.0)

    def make(about: torch.Tensor | None) -> Moments:
        moments = Moments(5, curve, about)
        for part in np.array_split(np.arange(400), 3):
            moments.update(*(torch.from_numpy(each[part]) for each in (r, t, codes)))
        return moments

    together = repeated(make)
    for code in range(5):
        own, _ = fitted(curve, r[codes == code], t[codes == code])
        np.testing.assert_allclose(together.sse[code], own.sse[0], rtol=1e-6)
        ours, theirs = (
            curve.evaluate(r[codes == code], *split(solution(m)[k].tolist()))[0]
            for m, k in ((together, code), (own, 0))
        )
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)  # 1e-3 of u, which is 0.05


def split(theta: list[float]) -> tuple[float, list[float], list[float]]:
    return theta[0], theta[1:], [0.0] * (len(theta) - 1)


def test_weights_of_a_fleet_and_of_one_are_counted_as_they_are_given() -> None:
    r, t = (np.tile(each, 2) for each in MGH10)
    weight, codes = np.linspace(1, 2, 32), np.repeat([0, 1], 16)
    moments = Moments(2, SteinhartHart())
    moments.update(*(torch.from_numpy(each) for each in (r, t, codes, weight)))
    np.testing.assert_allclose(moments.total, [weight[:16].sum(), weight[16:].sum()])
    np.testing.assert_allclose(moments.effective_count[0], weight[:16].sum() ** 2 / (weight[:16] ** 2).sum())
    assert moments.count.tolist() == [16, 16]


def test_the_first_block_gives_what_a_pass_is_linearised_about() -> None:
    """So that a table of one block needs one reading, and one of many needs another only if its step says so."""
    random = np.random.default_rng(4)
    r = np.exp(random.uniform(np.log(1e3), np.log(1e5), 30_000))
    t = temperature(r) + 0.5 * random.standard_normal(30_000)
    accumulator = Accumulator(curve=SteinhartHart())
    for start in range(0, 30_000, 10_000):
        part = slice(start, start + 10_000)
        accumulator.add("train", Block(r[part], t[part], None, Path(), range(start + 1, start + 10_001)))
    accumulator.flush()
    train = accumulator.moments["train"]
    assert train.about is not None
    first = of_block(train.curve, torch.from_numpy(r[:10_000]), torch.from_numpy(t[:10_000]))
    assert first is not None
    assert torch.equal(train.about, first)
    exact, _ = fitted(train.curve, r, t)
    at = np.array([1e3, 1e4, 1e5])
    away = np.abs(band_of(train, at)[0] - band_of(exact, at)[0]) / np.sqrt(band_of(exact, at)[1])
    assert away.max() < 0.02
    assert step(train).item() > away.max()  # it tells more than the truth, never less
    assert needs_another(train)


def test_a_reading_that_no_thermistor_has_is_named() -> None:
    r, t = MGH10
    block = Block(np.where(t == 60, -1.0, r), t, None, Path("t.csv"), range(2, 18))
    with pytest.raises(InputError, match=r"t\.csv, row 4: SteinhartHart expected a resistance above 0 ohm, but got -1"):
        Accumulator(curve=SteinhartHart()).add("train", block)


def test_passes_that_do_not_settle_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thermofit_pl.metrics.passes.STEP", -1.0)
    with pytest.raises(InputError, match="after 20 passes it still moves"):
        fitted(SteinhartHart(), *MGH10)


def test_a_line_needs_one_pass() -> None:
    moments, steps = fitted(Line(), *MGH10)
    assert len(steps) == 1
    assert not needs_another(moments)


def test_moments_about_two_solutions_do_not_merge() -> None:
    moments, _ = fitted(SteinhartHart(), *MGH10)
    other = Moments(1, moments.curve)
    other.update(*(torch.from_numpy(each) for each in MGH10))
    with pytest.raises(ValueError, match="linearised about one solution"):
        moments.merge_state(other)


@pytest.mark.parametrize("curve", [SteinhartHart(), CallendarVanDusen()], ids=repr)
def test_the_distance_is_that_of_the_estimates(curve: Curve) -> None:
    r, t = MGH10
    if curve.inverted:
        t = np.linspace(-100, 300, 16)
        r = np.asarray(CallendarVanDusen("R0", "°C", 100.0).indication(t, np.array([0.0, 1 / 3.9083e-3])))
    moments, _ = fitted(curve, r, t)
    moments.about = solution(moments)
    w, b = moments.exact
    changed = w * (1 + 1e-6)
    at = moments.curve.over(r.min(), r.max(), np.linspace(0, 1, 1001))
    zeros = [0.0] * w.shape[1]
    sides = [moments.curve.evaluate(at, b.item(), each[0].tolist(), zeros)[0] for each in (w, changed)]
    assert distance(moments, changed, b).item() == pytest.approx(np.abs(sides[1] - sides[0]).max(), rel=1e-3)
    offset, scale = moments.whitening()
    seen = moments.normalized(offset, scale)
    inside = torch.linalg.solve(scale, changed[..., None])[..., 0]
    level = b + (changed * offset).sum(dim=-1)
    assert distance(seen, inside, level).item() == pytest.approx(np.abs(sides[1] - sides[0]).max(), rel=1e-3)

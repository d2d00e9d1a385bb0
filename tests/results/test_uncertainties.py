"""The uncertainties that ``fit`` states, on logs, at set points, on few readings: against statsmodels and by coverage.

Coverage is simulated through ``fit`` itself, of whole fleets at once, with fixed seeds. Limits stand three binomial
standard deviations away from what is asked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
import torch

from logs import FloatArray, ar1, errors, indications, tolerance
from thermofit_pl import Calibration, Calibrations, InputError, ReadingsDataModule, fit
from thermofit_pl.curves.offset import Offset
from thermofit_pl.curves.polynomial import Polynomial
from thermofit_pl.curves.proportional import Proportional
from thermofit_pl.functional.uncertainty import AR1, BLOCKS, INDEPENDENT, REPEATS, SET_POINTS, SOURCES
from thermofit_pl.metrics.accumulator import Accumulator
from thermofit_pl.metrics.least_squares import least_squares
from thermofit_pl.results.analyse import Analysis
from thermofit_pl.results.fit import _blocks


def one(x: FloatArray, y: FloatArray, time: FloatArray | None = None) -> Calibration:
    found = fit(x, y, time=time)
    assert isinstance(found, Calibration)
    return found


def analysed(x: FloatArray, y: FloatArray, time: FloatArray | None = None, **options: Any) -> Analysis:
    accumulator = Accumulator(log=time is not None, **options)
    for block in _blocks(x, y, time, None):
        accumulator.add("train", block)
    accumulator.flush()
    moments = accumulator.moments["train"]
    return Analysis.of(moments, least_squares(moments), accumulator.sample, accumulator.log)


def source(found: Analysis) -> str:
    return SOURCES[int(found.source[0])]


def bath(points: int, repeats: int, shared: float, own: float = 0.003, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    random = np.random.default_rng(seed)
    x = np.repeat(np.linspace(0, 80, points), repeats) + own * random.standard_normal(points * repeats)
    return x, x + np.repeat(shared * random.standard_normal(points), repeats)


def test_a_line_through_set_points_has_the_uncertainty_of_their_means() -> None:
    x, y = bath(5, 20, 0.05)
    c = one(x, y)
    means = [column.reshape(5, 20).mean(axis=1) for column in (x, y)]
    line = sm.OLS(means[1], sm.add_constant(means[0])).fit()
    # the readings' own spread makes their sum of squares a millionth longer than that of the means
    assert c.u_w == pytest.approx(line.bse[1], rel=1e-3)
    assert c.u_b == pytest.approx(line.bse[0], rel=1e-3)
    assert c.coverage_factor == pytest.approx(3.182, abs=1e-3)  # three degrees of freedom
    found = analysed(x, y)
    assert source(found) == SET_POINTS
    assert found.u_dof[0] == pytest.approx(3)
    spread = np.sqrt(line.mse_resid)
    assert found.u_reading[0] == pytest.approx(spread, rel=0.01)  # a new set point is off as these are
    assert found.reading_dof[0] == pytest.approx(3, abs=0.1)


def test_set_points_may_be_named(tmp_path: Path) -> None:
    """Where neither references nor indications repeat: a bath that drifts while it is read."""
    random = np.random.default_rng(6)
    point = np.repeat(np.arange(6), 15)
    x = 13.0 * point + random.uniform(0, 12, 90)
    y = x + 0.3 * random.standard_normal(6)[point] + 0.01 * random.standard_normal(90)
    order = random.permutation(90)
    x, y, point = x[order], y[order], point[order]
    names = np.array([f"bath {k}" for k in point])
    plain, named = one(x, y), fit(x, y, group=names)
    assert isinstance(named, Calibration)
    assert named.u_pivot is not None
    assert plain.u_pivot is not None
    assert named.u_pivot > 2 * plain.u_pivot
    assert named.coverage_factor == pytest.approx(2.776, abs=0.05)  # four degrees of freedom
    frame = pl.DataFrame({"shown": x, "true": y, "bath": names, "number": point})
    path = str(tmp_path / "named.csv")
    frame.write_csv(path)
    for column in ("bath", "number"):
        again = fit(frame, indication="shown", reference="true", group=column)
        assert again.u_w == pytest.approx(named.u_w, rel=1e-12)
        data = ReadingsDataModule(path, "shown", "true", group=column)
        data.setup("fit")
        found = Analysis.of(data.moments["train"], data.line, data.sample, data.log)
        assert found.fit.u_w.item() == pytest.approx(named.u_w, rel=1e-9)
        assert found.findings.points.number.tolist() == [6]
    with pytest.raises(InputError, match="group: expected a column of its own, but got 'true'"):
        ReadingsDataModule(path, "shown", "true", group="true").setup("fit")
    with pytest.raises(InputError, match="Expected a group for each reading, but got none at index 1"):
        fit(x[:3], y[:3], group=np.array(["a", None, "b"], dtype=object))


def test_repeats_of_few_set_points_are_all_that_is_known() -> None:
    x, y = bath(3, 20, 0.05)
    found = analysed(x, y)
    assert source(found) == REPEATS
    assert found.u_dof[0] == pytest.approx(57)
    sxx = ((x - x.mean()) ** 2).sum()
    slope = (x - x.mean()) @ (y - y.mean()) / sxx
    residual = y - y.mean() - slope * (x - x.mean())
    own = sm.OLS(residual, np.repeat(np.eye(3), 20, axis=0)).fit().mse_resid ** 0.5
    assert found.fit.u_w.item() == pytest.approx(own / sxx**0.5, rel=1e-9)


def test_set_points_of_a_log_take_the_larger() -> None:
    x, y = bath(5, 20, 0.05)
    plain, log = analysed(x, y), analysed(x, y, np.arange(100.0))
    assert log.fit.u_w.item() * log.k[0] >= plain.fit.u_w.item() * plain.k[0] * (1 - 1e-9)


def test_a_sample_of_set_points_says_what_all_readings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = bath(6, 400, 0.05, seed=3)
    whole = analysed(x, y)
    monkeypatch.setattr("thermofit_pl.metrics.accumulator.SAMPLE_SIZE", 700)
    part = analysed(x, y)
    assert len(part.sample) < 700
    assert part.fit.u_w.item() == pytest.approx(whole.fit.u_w.item(), rel=0.02)
    assert part.fit.u_b.item() == pytest.approx(whole.fit.u_b.item(), rel=0.02)


@pytest.mark.parametrize("n", [4, 11, 29])
def test_a_short_log_has_the_uncertainty_of_independent_readings(n: int) -> None:
    random = np.random.default_rng(n)
    x = np.linspace(0, 50, n)
    y = 0.5 * x + random.standard_normal(n)
    with_time, without = one(x, y, np.arange(float(n))), one(x, y)
    for key in ("u_w", "u_b", "u_pivot", "coverage_factor"):
        assert getattr(with_time, key) == getattr(without, key)


@pytest.mark.parametrize("n", [40, 200, 1000])
def test_alternating_errors_never_lower_the_uncertainty(n: int) -> None:
    x = np.linspace(0, 50, n)
    y = 0.5 * x + 0.1 * (-1.0) ** np.arange(n) + 0.01 * np.random.default_rng(0).standard_normal(n)
    log, plain = one(x, y, np.arange(float(n))), one(x, y)
    assert log.diagnostics.autocorrelation is not None
    assert log.diagnostics.autocorrelation.errors < -0.9
    for key in ("u_w", "u_pivot"):
        assert getattr(log, key) * log.coverage_factor >= getattr(plain, key) * plain.coverage_factor * (1 - 1e-12)


def test_a_log_is_at_least_as_uncertain_as_independent_readings() -> None:
    random = np.random.default_rng(1)
    for seed in range(6):
        x = np.cumsum(random.standard_normal(60))
        y = x + ar1(np.random.default_rng(seed), 1, 60, 0.8)[0]
        found, plain = analysed(x, y, np.arange(60.0)), analysed(x, y)
        assert source(found) in (AR1, BLOCKS, INDEPENDENT)
        for at in np.linspace(x.min(), x.max(), 5):
            u = [np.hypot(f.fit.u_pivot.item(), f.fit.u_w.item() * (at - f.fit.pivot.item())) for f in (found, plain)]
            assert u[0] >= u[1] * (1 - 1e-9)
        assert found.u_reading[0] >= plain.u_reading[0]


def test_a_log_of_few_correlation_times_is_a_lower_bound() -> None:
    random = np.random.default_rng(2)
    x = random.uniform(0, 100, 3000)
    slow = analysed(x, x + ar1(random, 1, 3000, 0.999)[0], np.arange(3000.0))
    white = analysed(x, x + random.standard_normal(3000), np.arange(3000.0))
    assert slow.lower_bound.tolist() == [True]
    assert white.lower_bound.tolist() == [False]
    assert white.u_reading[0] == pytest.approx(white.fit.s.item(), rel=0.01)


@pytest.mark.parametrize("curve", [Polynomial(2), Polynomial(3), Proportional(), Offset()])
def test_every_curve_has_the_refits_of_its_blocks(curve: Any) -> None:
    """Against the covariance of refits without each of eight parts, made by statsmodels."""
    random = np.random.default_rng(4)
    n = 1024
    x = random.uniform(1, 10, n)
    y = x + ar1(random, 1, n, 0.97)[0]
    found = analysed(x, y, np.arange(float(n)), curve=curve)
    assert source(found) == BLOCKS
    view = found.moments.curve
    features = np.stack(view.features(x), axis=-1)
    target = y - sum((v * (features[:, j - 1] if j else 1.0) for j, v in view.held.items()), np.zeros(n))
    design = np.column_stack([np.ones(n), features])[:, list(view.free)]
    refits = []
    for k in range(8):
        left = np.arange(n) * 8 // n != k
        refits.append(sm.OLS(target[left], design[left]).fit().params)
    away = np.array(refits) - np.mean(refits, axis=0)
    u = np.sqrt(np.diag(7 / 8 * away.T @ away))
    stated = torch.cat([found.fit.u_b[:, None], found.fit.u_w], dim=1).numpy()[0][list(view.free)]
    # what holds is no smaller in any direction, and larger where independent readings or AR(1) would be
    assert (stated * found.k[0] >= u * 2.3646 * (1 - 1e-6)).all()
    assert (stated < 3 * u).all()
    p = found.slope_p[0]
    assert np.isnan(p) or 0 <= p <= 1


def test_three_readings_exactly_on_a_line_tell_no_uncertainty() -> None:
    three, four = one(np.arange(3.0), np.arange(3.0)), one(np.arange(4.0), np.arange(4.0))
    assert (three.u_w, three.u_b, three.coverage_factor, three.w_interval) == (None, None, None, None)
    assert (three.w, three.b) == (1, 0)
    assert four.u_w == 0


@pytest.mark.parametrize("n", [100, 10_000])
def test_rounding_is_that_of_the_numbers(n: int) -> None:
    random = np.random.default_rng(5)
    x = 1e9 + random.random(n)
    c = one(x, x - 1e9 + 2e-5 * random.standard_normal(n))
    assert not c.below_rounding
    assert c.s == pytest.approx(2e-5, rel=0.25)
    assert one(x, x - 1e9).below_rounding


def test_one_line_of_logs_counts_each_ones_own_uncertainty() -> None:
    small = 0
    for seed in range(8):
        random = np.random.default_rng(seed)
        scatter = np.repeat(random.uniform(0.1, 1.0, 12), 1000)
        error = errors(random, 12, 1000, 0.4, 0.98).ravel() * scatter
        x = indications(random, 12, 1000, "day").ravel()
        fleet = fit(x, 0.5 * x + error, np.repeat(np.arange(12), 1000), time=np.tile(np.arange(1000.0), 12))
        assert isinstance(fleet, Calibrations)
        small += fleet.provenance["common"]["p"] < 0.01
    assert small <= 1  # at the 1 % level


def coverage(n: int, shape: str, replicates: int, white: float, rho: float, seed: int) -> dict[str, float]:
    """How often 95 % cover the line at three places, w and b, of a fleet of logs; and the half-widths."""
    random = np.random.default_rng(seed)
    x = indications(random, replicates, n, shape)
    e = errors(random, replicates, n, white, rho) if white < 1 else random.standard_normal(x.shape)
    who, time = np.repeat(np.arange(replicates), n), np.tile(np.arange(float(n)), replicates)
    fleet = fit(x.ravel(), (0.5 * x - 17 + e).ravel(), who, time=time)
    assert isinstance(fleet, Calibrations)
    names = ("w", "b", "u_w", "u_b", "u_pivot", "indication_mean", "coverage_factor")
    w, b, u_w, u_b, u_pivot, pivot, k = (fleet.frame[name].to_numpy() for name in names)
    found = {"w": np.mean(np.abs(w - 0.5) <= k * u_w), "b": np.mean(np.abs(b + 17) <= k * u_b)}
    for name, at in (("low", x.min(axis=1)), ("mean", x.mean(axis=1)), ("high", x.max(axis=1))):
        u = np.hypot(u_pivot, u_w * (at - pivot))
        found[name] = np.mean(np.abs((w - 0.5) * at + b + 17) <= k * u)
        if name == "mean":
            found["width"] = np.mean(k * u) / 1.96 * n**0.5  # that of s known, where readings are independent
    return {name: float(value) for name, value in found.items()}


PLACES = ("w", "b", "low", "mean", "high")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "shape", "white", "rho", "least"),
    [
        (50, "ramp", 0.0, 0.9, 0.88),
        (50, "steps", 0.0, 0.9, 0.88),
        (3000, "day", 0.4, 0.98, 0.91),
        (3000, "steps", 0.4, 0.995, 0.84),
    ],
)
def test_coverage_of_logs_by_fit(n: int, shape: str, white: float, rho: float, least: float) -> None:
    replicates = 1000 if n == 50 else 150
    found = coverage(n, shape, replicates, white, rho, seed=21)
    for place in PLACES:
        assert found[place] > least - tolerance(least, replicates), place


@pytest.mark.slow
@pytest.mark.parametrize(("n", "shape"), [(50, "random"), (50, "ramp"), (3000, "slow")])
def test_coverage_of_independent_readings_of_a_log_by_fit(n: int, shape: str) -> None:
    replicates = 1000 if n == 50 else 150
    found = coverage(n, shape, replicates, 1.0, 0.0, seed=22)
    for place in PLACES:
        assert 0.93 - tolerance(0.93, replicates) < found[place] <= 0.985 + tolerance(0.985, replicates), place
    assert 1 <= found["width"] < 1.5

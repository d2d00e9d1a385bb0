"""Other curves for the same readings, against NumPy's fits and simulated false alarms."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm

from thermofit_pl import Calibration, fit
from thermofit_pl.calibration.records import Candidates
from thermofit_pl.curves.offset import Offset
from thermofit_pl.curves.proportional import Proportional
from thermofit_pl.reports.candidates import table
from thermofit_pl.results.candidates import candidates

RNG = np.random.default_rng(8)
X = RNG.uniform(10.0, 90.0, 60)
BENT = 2.0 + 0.9 * X + 1e-3 * X**2 + RNG.normal(0, 0.2, 60)


def told(found: Candidates | None) -> Candidates:
    assert found is not None
    return found


def test_each_candidate_is_what_numpy_fits() -> None:
    found = told(candidates(X, BENT))
    assert [one.name for one in found.curves] == ["Offset", "Proportional", "Line", "Polynomial(2)", "Polynomial(3)"]
    powers = {"Offset": [0], "Proportional": [1], "Line": [0, 1], "Polynomial(2)": [0, 1, 2], "Polynomial(3)": range(4)}
    for one in found.curves:
        design = np.stack([X**j for j in powers[one.name]], axis=-1)
        target = BENT - X if one.name == "Offset" else BENT
        model = sm.OLS(target, design).fit()
        assert one.s == pytest.approx(np.sqrt(model.mse_resid), rel=1e-9)
        n, k = 60, len(model.params) + 1
        assert one.aicc == pytest.approx(n * np.log(model.ssr / n) + 2 * k + 2 * k * (k + 1) / (n - k - 1), rel=1e-9)
        left_out = []
        for block in np.array_split(np.arange(60), 8):
            kept = np.setdiff1d(np.arange(60), block)
            coefficients = np.linalg.lstsq(design[kept], target[kept], rcond=None)[0]
            left_out.append((design[block] @ coefficients - target[block]) ** 2)
        assert one.left_out == pytest.approx(np.sqrt(np.concatenate(left_out).mean()), rel=1e-8)
    line, cubic = (sm.OLS(BENT, np.vander(X, degree + 1)).fit() for degree in (1, 3))
    assert found.better == "Polynomial(2)"
    assert found.p == pytest.approx(cubic.compare_f_test(line)[1], rel=1e-5)


def test_a_cubic_is_told_from_a_quadratic() -> None:
    y = 2 + 0.9 * X + 2e-5 * (X - 50) ** 3 + RNG.normal(0, 0.2, 60)
    assert told(candidates(X, y)).better == "Polynomial(3)"


def test_of_few_readings_rounding_and_set_points_nothing_is_told() -> None:
    assert candidates(X[:4], BENT[:4]) is None
    assert len(told(candidates(X[:9], BENT[:9])).curves) == 3
    assert candidates(X, 2 + 0.9 * X) is None
    assert candidates(np.repeat([1.0, 2.0], 10), RNG.normal(0, 1, 20)) is None
    three = np.repeat([1.0, 2.0, 3.0], 10)
    found = told(candidates(three, three + RNG.normal(0, 1, 30)))
    assert [one.name for one in found.curves] == ["Offset", "Proportional", "Line"]


@pytest.mark.slow
@pytest.mark.parametrize("ordered", [False, True])
def test_false_alarms_are_at_most_a_percent(ordered: bool) -> None:
    rng, alarms, trials = np.random.default_rng(1), 0, 2000
    for _ in range(trials):
        x = rng.uniform(10, 90, 25)
        x = np.sort(x) if ordered else x
        alarms += told(candidates(x, 2 + 0.9 * x + rng.normal(0, 0.5, 25))).better is not None
    assert alarms / trials < 0.01 + 3 * np.sqrt(0.01 * 0.99 / trials)


def test_the_summary_names_the_command_and_the_file_keeps_the_table(tmp_path: Path) -> None:
    c = fit(X, BENT)
    assert c.candidates == candidates(X, BENT)
    sentence = "A quadratic lowers the error on readings left out from 0.5"
    assert sentence in str(c)
    assert "): --model.curve Polynomial --model.curve.degree 2." in str(c)
    c.save(tmp_path / "c.json")
    assert Calibration.load(tmp_path / "c.json") == c
    assert table(told(c.candidates), "°C").count("\n") == 6
    straight = fit(X, 2 + 0.9 * X + RNG.normal(0, 0.2, 60))
    assert "--model.curve" not in str(straight)
    assert fit(X, BENT, time=np.arange(60.0)).candidates is None


# a constant offset seen over 0.7 °C, and a pump: seconds and millilitres
ROOM = np.array([23.1, 22.9, 23.6, 23.0, 23.4, 23.3]), np.array([21.0, 21.0, 21.5, 20.9, 21.5, 21.3])
PUMP = np.array([2.0, 4.0, 6.0, 8.0, 10.0]), np.array([1.05, 2.01, 3.08, 3.97, 5.04])


def test_an_offset_is_proposed_where_w_may_be_1() -> None:
    c = fit(*ROOM)
    found = told(c.candidates)
    line = sm.OLS(ROOM[1], sm.add_constant(ROOM[0])).fit()
    assert (found.better, [one.name for one in found.curves]) == ("Offset", ["Offset", "Proportional", "Line"])
    assert found.p == pytest.approx(float(line.t_test("x1 = 1").pvalue), rel=1e-9)
    assert str(c).count("--model.curve") == 1
    assert (
        "An offset alone fits as well as the line: w may be 1 (p = 0.79), and the error on readings left out is"
        in str(c)
    )
    assert "0.11 °C, the line's 0.14 °C: --model.curve Offset (in Python curve=Offset())." in str(c)
    simpler = fit(*ROOM, curve=Offset())
    assert simpler.b == pytest.approx(-2.01667, abs=5e-6)
    assert simpler.u_b == pytest.approx(0.0401386, abs=5e-8)
    assert simpler.candidates is None


def test_a_gain_is_proposed_where_b_may_be_0() -> None:
    c = fit(*PUMP, unit="ml", indication_unit="s")
    line = sm.OLS(PUMP[1], sm.add_constant(PUMP[0])).fit()
    assert told(c.candidates).better == "Proportional"
    assert told(c.candidates).p == pytest.approx(line.pvalues[0], rel=1e-9)
    assert str(c).count("--model.curve") == 1
    assert "A gain alone fits as well as the line: b may be 0 (p = 0.40)" in str(c)
    assert "--model.curve Proportional (in Python curve=Proportional())." in str(c)
    simpler = fit(*PUMP, unit="ml", indication_unit="s", curve=Proportional())
    assert simpler.w == pytest.approx(0.503545, abs=5e-7)
    assert simpler.u_w == pytest.approx(0.0031505, abs=5e-8)


def better(x: np.ndarray, y: np.ndarray, **more: Any) -> str | None:
    return told(fit(x, y, **more).candidates).better


def test_nothing_simpler_is_proposed_where_it_means_nothing() -> None:
    x = np.linspace(2.0, 10.0, 12)
    noise = 0.05 * np.resize([1.0, -1.0, -1.0, 1.0], 12)
    assert better(x, x + 3 + noise) == "Offset"
    assert better(x, x + 3 + noise, unit="ml", indication_unit="s") is None  # another unit
    assert better(x + 40, x - 233.15 + noise) is None  # kelvins, which the scale's sentence says
    assert better(x, 0.7 * x + noise) == "Proportional"
    assert better(x, 1.25 * x + noise) is None  # degrees Réaumur
    assert better(x + 40, 0.7 * (x + 40) + noise) is None  # zero is five widths of the range away
    assert better(x, 0.7 * x + 3 + noise) is None
    assert better(x, 0.01 * x + noise) is None  # a slope that may be chance
    assert better(x, x + 3 + np.where(np.arange(12) == 5, 9.0, 0) + noise) is None  # a reading stands out
    assert better(x, x + 0.1 * (x - 6) ** 2 + noise) == "Polynomial(2)"
    assert better(x, x + noise) in {"Offset", "Proportional"}  # one of both
    assert fit(x, x + 3 + noise, time=np.arange(12.0)).candidates is None


def test_it_is_proposed_by_the_uncertainty_that_the_line_has() -> None:
    room, pump = fit(*ROOM), fit(*PUMP)
    assert told(candidates(*ROOM, room)).better == "Offset"
    assert told(candidates(*ROOM, dataclasses.replace(room, u_w=(1 - room.w) / 2.8))).better is None  # t at 5 %: 2.776
    assert told(candidates(*PUMP, dataclasses.replace(pump, u_b=pump.b / 3.1))).better == "Proportional"  # 3.182
    assert told(candidates(*PUMP, dataclasses.replace(pump, u_b=pump.b / 3.3))).better is None


@pytest.mark.parametrize(("off", "least", "most"), [(0.0, 0.6, 0.9), (6.0, 0.0, 0.01)])
@pytest.mark.parametrize("held", [0, 1])
def test_an_offset_or_a_gain_is_proposed_as_often_as_promised(off: float, least: float, most: float, held: int) -> None:
    rng, trials, proposed = np.random.default_rng(4), 300, 0
    for _ in range(trials):
        x = rng.uniform(2.0, 10.0, 11)
        design = np.stack([np.ones(11), x], axis=-1)
        truth = np.array([3.0, 1.0]) if held else np.array([0.0, 0.5])
        truth[held] += off * 0.05 * np.sqrt(np.linalg.inv(design.T @ design)[held, held])
        y = design @ truth + rng.normal(0, 0.05, 11)
        found = sm.OLS(y, design).fit()
        line: Any = SimpleNamespace(
            w=found.params[1], b=found.params[0], u_w=found.bse[1], u_b=found.bse[0], u_dof=9.0, misfit=None,
            scale=None, unit="ml", indication_unit=None, indication_range=(x.min(), x.max()),
            diagnostics=SimpleNamespace(slope_p=0.0),
        )  # fmt: skip
        proposed += told(candidates(x, y, line)).better == ("Offset" if held else "Proportional")
    assert least <= proposed / trials <= most

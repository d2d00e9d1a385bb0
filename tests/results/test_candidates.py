"""Other curves for the same readings, against NumPy's fits and simulated false alarms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm

from thermofit_pl import Calibration, fit
from thermofit_pl.calibration.records import Candidates
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
    assert candidates(X[:9], BENT[:9]) is None
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

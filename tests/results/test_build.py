"""A fit of arrays against published answers, and the lines that a calibration can hold."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
import torch
from made import GUM_H3, NOTEBOOK
from scipy import stats

import thermofit_pl
from thermofit_pl.calibration.calibration import Calibration
from thermofit_pl.calibration.records import Source
from thermofit_pl.errors import InputError
from thermofit_pl.functional.scales import SCALES
from thermofit_pl.metrics.least_squares import least_squares
from thermofit_pl.metrics.moments import Moments
from thermofit_pl.results.analyse import Analysis
from thermofit_pl.results.build import OptimizerOutcome, build
from thermofit_pl.results.columns import single
from thermofit_pl.results.fit import fit
from thermofit_pl.tables.sample import Sample
from thermofit_pl.tables.table import Block

X, Y = (np.array(column) for column in NOTEBOOK)


def held(x: np.ndarray[Any, Any], y: np.ndarray[Any, Any], **options: Any) -> Calibration:
    moments, sample = Moments(), Sample()
    moments.update(torch.from_numpy(x), torch.from_numpy(y))
    sample.add(Block(x, y, None, Path("t.csv"), range(2, len(x) + 2)))
    evidence = Analysis.of(moments, least_squares(moments), sample)
    return single(build(evidence, **options), Source(data_name="t.csv"))


def at(w: float, b: float, tolerance: float, factor: float | None = None) -> OptimizerOutcome:
    """Where SGD ended; with a factor of its normalisation, the forecast can be made."""
    moments = Moments()
    moments.update(torch.from_numpy(X), torch.from_numpy(Y))
    w_, b_, tolerance_ = (torch.tensor([value], dtype=torch.float64) for value in (w, b, tolerance))
    zero, one = torch.zeros_like(w_), torch.ones_like(w_)
    return OptimizerOutcome.at(
        w_[:, None],
        b_,
        moments,
        normalized=None if factor is None else moments.normalized(zero, one * factor),
        tolerance=tolerance_,
        steps=500,
        learning_rate=1e-2,
        advice=lambda more: f"go on, {more}",
    )


def test_the_notebooks_readings() -> None:
    c = thermofit_pl.fit(X, Y)
    assert c.w == pytest.approx(0.5367719209075441, rel=1e-14, abs=0)
    assert c.b == pytest.approx(-17.304785503010784, rel=1e-14, abs=0)
    assert c.rmse == pytest.approx(2.9276455708956366**0.5, rel=1e-14, abs=0)
    assert c.w_interval is not None
    assert c.b_interval is not None
    # least squares in float64, checked two ways
    np.testing.assert_allclose(c.w_interval, [0.4563780216226579, 0.6171658201924303], rtol=1e-11)
    np.testing.assert_allclose(c.b_interval, [-21.6644764526253, -12.945094553396267], rtol=1e-11)
    assert (c.n, c.dof, c.finish, c.below_rounding) == (11, 9, "least_squares", False)
    assert (c.indication_range, round(c.indication_mean, 12)) == ((21.8, 81.9), 51.8)
    assert c.coverage_factor == pytest.approx(stats.t.ppf(0.975, 9), rel=1e-12, abs=0)
    assert c.diagnostics.slope_p == pytest.approx(sm.OLS(Y, sm.add_constant(X)).fit().pvalues[1], rel=1e-9, abs=0)
    there = c.correct(68.0)
    assert there.estimate == pytest.approx(19.1957051187022, rel=1e-13, abs=0)
    assert there.u_line == pytest.approx(0.810403357905863, rel=1e-13, abs=0)
    assert there.u_single == pytest.approx(2.05790842314332, rel=1e-13, abs=0)
    assert c.data_sha256 == hashlib.sha256(X.tobytes() + Y.tobytes()).hexdigest()


def test_gum_h3() -> None:
    c = fit(*GUM_H3)
    assert c.w == pytest.approx(1.00218269774, abs=1e-11)
    assert c.u_b == pytest.approx(0.0160708145767511, rel=1e-12, abs=0)
    at_30 = c.correct(30.0, "ignore")
    assert round(at_30.estimate - 30, 4) == -0.1494  # JCGM 100:2008, H.3.4
    assert round(at_30.u_line, 4) == 0.0041


@pytest.mark.parametrize(
    "kind", [list, tuple, torch.tensor, pl.Series, np.float32, lambda v: torch.tensor(v, requires_grad=True)]
)
def test_any_kind_of_column_gives_the_same_line(kind: Any) -> None:
    c = fit(kind(NOTEBOOK[0]), kind(NOTEBOOK[1]))
    assert c.w == pytest.approx(0.5367719209075441, rel=1e-6, abs=0)  # 1e-6: torch and np.float32 round the columns


def test_the_largest_error_has_its_row() -> None:
    largest = fit(X, Y).diagnostics.largest_error
    assert largest is not None
    error = 0.5367719209075441 * X - 17.304785503010784 - Y
    assert largest.error == pytest.approx(error[np.abs(error).argmax()], rel=1e-12, abs=0)
    assert (largest.row, largest.file, largest.indication) == (9, None, 48.4)


def test_two_readings_give_a_line_and_no_uncertainty() -> None:
    c = fit([0.0, 100.0], [1.0, 3.0])
    assert (c.w, c.b, c.dof) == (0.02, 1.0, 0)
    unknown = (c.s, c.u_w, c.u_b, c.cov_wb, c.u_pivot, c.coverage_factor, c.w_interval, c.b_interval)
    assert unknown == (None,) * 8


def test_an_exact_table_makes_no_p_value_of_rounding() -> None:
    x = np.arange(-40.0, 213.0)
    c = fit(x, (x - 32) / 1.8)
    assert (c.below_rounding, c.s, c.u_w, c.rmse, c.r_squared) == (True, 0.0, 0.0, 0.0, 1.0)
    found = c.diagnostics
    assert (found.shape, found.scatter, found.neighbours, found.outlying, found.slope_p) == (None,) * 5
    assert c.scale is not None
    assert c.scale.nearest == "fahrenheit"


def test_snapping_to_the_scale_that_it_is_leaves_no_error_of_rounding() -> None:
    x = np.arange(-40.0, 213.0)
    c = held(x, (x - 32) / 1.8, snap="fahrenheit")
    assert (c.below_rounding, c.s, c.rmse) == (True, 0.0, 0.0)
    other = held(x, (x - 32) / 1.8, snap="celsius")
    assert other.below_rounding is False
    assert other.s == pytest.approx(np.sqrt(np.mean((x - (x - 32) / 1.8) ** 2)), rel=1e-13, abs=0)


def test_a_snapped_line_is_exact_with_its_own_scatter() -> None:
    c, scale = held(X, Y, snap="fahrenheit"), SCALES["fahrenheit"]
    rmse = float(np.sqrt(np.mean((scale.w * X + scale.b - Y) ** 2)))
    assert (c.w, c.b, c.u_w, c.u_b, c.cov_wb, c.u_pivot, c.dof) == (scale.w, scale.b, 0, 0, 0, 0, 11)
    assert c.s == pytest.approx(rmse, rel=1e-13, abs=0)
    assert c.finish == "snap"
    assert c.snap is not None
    assert c.snap.rmse_free == pytest.approx(2.9276455708956366**0.5, rel=1e-13, abs=0)
    assert c.coverage_factor == pytest.approx(stats.t.ppf(0.975, 11), rel=1e-12, abs=0)


@pytest.mark.parametrize("converged", [True, False])
def test_sgds_line_has_uncertainties_once_it_has_converged(converged: bool) -> None:
    ended = at(0.53, -17.0, 10.0 if converged else 1e-3)
    c = held(X, Y, ended=ended, finish="sgd")
    assert (c.w, c.b, c.finish) == (0.53, -17.0, "sgd")
    assert c.rmse == pytest.approx(np.sqrt(np.mean((0.53 * X - 17 - Y) ** 2)), rel=1e-13, abs=0)
    assert (c.s is not None, c.u_w is not None, c.coverage_factor is not None) == (converged,) * 3
    exact = held(X, Y, ended=ended)
    assert exact.finish == "least_squares"
    assert exact.sgd is not None
    assert (exact.sgd.w, exact.sgd.b, exact.sgd.steps, exact.sgd.converged) == (0.53, -17.0, 500, converged)
    assert exact.sgd.distance_w == pytest.approx(0.53 - 0.5367719209075441, rel=1e-12, abs=0)
    assert exact.sgd.advice == (None if converged else "go on, None")
    assert exact.w == pytest.approx(0.5367719209075441, rel=1e-14, abs=0)


def test_the_forecast_is_the_slowest_modes() -> None:
    found = held(X, Y, ended=at(0.53, -17.0, 1e-3, factor=0.1)).sgd
    assert found is not None
    assert found.distance_w == pytest.approx(0.53 - 0.5367719209075441, rel=1e-12, abs=0)
    assert found.distance_b == pytest.approx(-17 + 17.304785503010784, rel=1e-12, abs=0)
    away = max(abs(found.distance_w * end + found.distance_b) for end in (21.8, 81.9))
    assert found.distance == pytest.approx(away, rel=1e-12, abs=0)
    hessian = 2 * np.array([[np.mean((X / 10) ** 2), 5.18], [5.18, 1]])
    slow = 1 - 1e-2 * np.linalg.eigvalsh(hessian)[0]
    assert found.steps_needed == np.ceil(np.log(1e-3 / away) / np.log(slow))
    assert found.advice == f"go on, {found.steps_needed}"


@pytest.mark.parametrize("options", [{}, {"snap": "fahrenheit"}, {"ended": at(0.53, -17.0, 1e-3), "finish": "sgd"}])
def test_every_calibration_survives_its_file(options: dict[str, Any], tmp_path: Path) -> None:
    c = held(X, Y, **options)
    c.save(tmp_path / "c.json")
    assert Calibration.load(tmp_path / "c.json") == c


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([1.0, 2.0], [1.0], "as many references as indications, but got 1 and 2"),
        ([], [], "at least two readings, as a line needs, but got 0"),
        ([1.0], [1.0], "at least two readings, as a line needs, but got 1"),
        ([0.1] * 7, [1.0] * 7, "indications that differ, but all 7 .* are 0.1"),
        ([1.0, np.nan], [1.0, 2.0], "finite numbers as indication, but got nan at index 1"),
        ([1.0, 2.0], [np.inf, 2.0], "finite numbers as reference, but got inf at index 0"),
        ([1.0, 2.0], [1.0, -300.0], "references in °C, from -273.15 on, but got -300"),
        ([[1.0], [2.0]], [1.0, 2.0], r"indication of shape \(N,\), but got \(2, 1\)"),
        (["warm", "cold"], [1.0, 2.0], "Expected numbers as indication"),
    ],
)
def test_what_has_no_line_is_refused_with_a_sentence(x: Any, y: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit(x, y)

import dataclasses
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from made import GUM_H3, NOTEBOOK, calibration
from scipy import stats

from thermofit_pl.calibration.records import Autocorrelation, Diagnostics, Outlying, Sgd, Snap
from thermofit_pl.reports.summary import summary

SGD = Sgd(0.53, -17.0, 2.93, 5000, 0.01, True, 0.00361, 1e-4, 1e-3, None, None)


def notebook(**changes: Any) -> str:
    return summary(calibration(*NOTEBOOK, **changes))


def found(**changes: Any) -> str:
    return notebook(diagnostics=Diagnostics(sampled=11, **changes))


def test_the_notebooks_summary() -> None:
    assert notebook(sgd=SGD).splitlines() == [
        "reference = 0.536772 · indication − 17.3048 °C",
        "w = 0.537(36) °C/unit, b = −17.3(1.9) °C (in brackets: the standard uncertainty, in the last digits).",
        "11 readings of readings.csv, indications from 21.8 to 81.9.",
        "The references scatter about the line by s = 1.9 °C (9 degrees of freedom, R² = 0.962); "
        "k = 2.262 times an uncertainty covers 95 %.",
        "A corrected reading is good to ±4.5 °C in the middle of the range and ±5.1 °C at its ends (95 % of readings), "
        "about what the reference reads: the reference's own uncertainty is in no number here.",
        "The largest error: the line is 2.7 °C above the reference, 6 °C at indication 48.4 in row 10 of readings.csv.",
        "The indications are degrees Fahrenheit as far as these readings can tell (p = 0.61); "
        "every other scale is ruled out (p < 1e-12).",
        "After 5 000 steps, SGD is within 0.0036 °C of this line over the whole range: it has converged.",
    ]


def test_the_gums_summary() -> None:
    text = summary(calibration(*GUM_H3))
    for part in (
        "reference = 1.002183 · indication − 0.214858 °C\n",
        "w = 1.00218(67) °C/unit, b = −0.215(16) °C",
        "s = 0.0035 °C (9 degrees of freedom, R² = 0.99999600)",
        "0.16 to 0.17 °C too high; that is more than chance (p = 4e-16).",
    ):
        assert part in text


def test_what_a_reading_is_good_to_is_statsmodels_interval() -> None:
    x, y = np.array([1.0, 2.0, 3.0, 4.0, 20.0]), np.array([1.1, 1.7, 3.4, 3.9, 20.0])
    fit = sm.OLS(y, sm.add_constant(x)).fit()
    frame = fit.get_prediction(sm.add_constant(np.array([10.5, 1.0, 20.0]))).summary_frame()
    half = (frame["obs_ci_upper"] - frame["obs_ci_lower"]) / 2
    middle, low, high = (f"±{value:.1f}" for value in half)
    assert low < high
    assert f"{middle} °C in the middle of the range and {low} and {high} °C at its ends" in summary(calibration(x, y))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"converged": None}, "After 5 000 steps, SGD is within 0.0036 °C of this line over the whole range."),
        (
            {"converged": False, "distance": 12.3, "steps_needed": 3200, "advice": "raise --model.lr"},
            "After 5 000 steps, SGD is still up to 12 °C from this line in the range: it has not converged; "
            "it needs about 3 200 more; raise --model.lr.",
        ),
        ({"converged": False, "steps": 1}, "After 1 step, SGD is still up to 0.0036 °C from this line"),
    ],
)
def test_where_sgd_ended(changes: dict[str, Any], sentence: str) -> None:
    assert notebook(sgd=dataclasses.replace(SGD, **changes)).splitlines()[-1].startswith(sentence)


def test_sgds_own_line() -> None:
    none = dict.fromkeys(("u_w", "u_b", "cov_wb", "u_pivot", "s", "w_interval", "b_interval"))
    text = notebook(finish="sgd", sgd=dataclasses.replace(SGD, converged=False, distance=3.0), **none)
    assert "w = 0.536772 °C/unit, b = −17.3048 °C, where SGD ended." in text
    assert "SGD's line, before it has converged, has no uncertainty (rmse = 1.7 °C, R² = 0.962): nothing says" in text
    assert "SGD is still up to 3.0 °C from the exact line" in text
    assert "good to" not in text


def test_snapped() -> None:
    text = notebook(
        finish="snap", dof=11, w=5 / 9, b=-160 / 9, u_w=0.0, u_b=0.0, cov_wb=0.0, u_pivot=0.0, rmse=1.8, s=1.8,
        snap=Snap("fahrenheit", 1.711),
    )  # fmt: skip
    assert "w = 0.555555555556 °C/unit, b = −17.7777777778 °C: exact, if it truly is that scale." in text
    assert "its rmse is 1.8 °C, where the free line's is 1.711 °C" in text
    assert "good to ±4.1 °C in the middle of the range and at its ends (95 % of readings)" in text


def test_two_readings() -> None:
    none = dict.fromkeys(("u_w", "u_b", "cov_wb", "u_pivot", "s", "coverage_factor", "w_interval", "b_interval"))
    text = notebook(n=2, dof=0, scale=None, **none)
    assert "Two readings give a line, but nothing about how far to trust it: take at least a third." in text
    assert "w = 0.536772 °C/unit, b = −17.3048 °C.\n" in text
    assert "largest error" not in text


def test_below_rounding() -> None:
    text = notebook(below_rounding=True, s=0.0, u_w=0.0, u_b=0.0, cov_wb=0.0, u_pivot=0.0, r_squared=1.0)
    assert (
        "The readings follow the line to the rounding of their numbers, R² = 1.000: no scatter to judge it by." in text
    )
    assert "good to" not in text
    assert "largest error" not in text


@pytest.mark.parametrize(
    ("r_squared", "text"), [(None, ""), (0.5, "R² = 0.500"), (-0.1, "R² = −0.100"), (0.99912, "R² = 0.99912")]
)
def test_r_squared(r_squared: float | None, text: str) -> None:
    assert text in notebook(r_squared=r_squared)


def test_rows_that_were_dropped() -> None:
    assert "11 readings of readings.csv, indications from 21.8 to 81.9; 3 more dropped, since a cell" in notebook(
        dropped=3
    )


@pytest.mark.parametrize(
    ("errors", "n", "sentence"),
    [
        (0.56, 100, "Neighbouring errors of the log are alike (autocorrelation 0.56): the uncertainties allow for it."),
        (0.02, 100, "Neighbouring errors of the log show no correlation beyond chance (autocorrelation 0.02)."),
        (-0.97, 100, "of the log alternate (negative autocorrelation, −0.97): that lowers no uncertainty."),
        (0.56, 29, "The log is too short to tell how alike its errors are: 30 readings are the fewest."),
    ],
)
def test_logs(errors: float, n: int, sentence: str) -> None:
    log = Diagnostics(sampled=n, autocorrelation=Autocorrelation(errors, 0.99, n - 1))
    assert sentence in notebook(n=n, dof=n - 2, diagnostics=log)


def test_gaps_and_equal_times() -> None:
    text = found(autocorrelation=Autocorrelation(0.5, 0.9, 10, gaps=1, equal_times=3))
    assert "The log has 1 gap in time" in text
    assert "3 readings have the time of the one before: nothing tells their order." in text
    assert "gap" not in found(autocorrelation=Autocorrelation(0.5, 0.9, 10, 0, 0))


@pytest.mark.parametrize(
    ("source", "words", "more"),
    [
        ("set points", "comes from the scatter of the set points: k = 3.182 times u_line covers 95 % (3 degrees", None),
        (
            "repeats",
            "comes from the repeats: k = 3.182 times u_line",
            "what the readings of each share is in no number",
        ),
        ("blocks", "comes from eight blocks of time, each left out in turn: k = 3.182 times u_line", None),
        ("AR(1)", "comes from AR(1) errors, as alike as they may be: k = 3.182 times u_line", None),
    ],
)
def test_where_the_uncertainty_comes_from(source: str, words: str, more: str | None) -> None:
    text = notebook(source=source, coverage_factor=3.182, u_dof=3.0, reading_dof=50.0, u_reading=1.9)
    assert words in text
    assert more is None or more in text
    assert "k = 3.182 times an uncertainty" not in text
    # u_reading² and u_line² with their own degrees of freedom (Welch and Satterthwaite)
    c = calibration(*NOTEBOOK, source=source, coverage_factor=3.182, u_dof=3.0, reading_dof=50.0, u_reading=1.9)
    u_line = c.correct(51.85).u_line
    dof = (1.9**2 + u_line**2) ** 2 / (1.9**4 / 50 + u_line**4 / 3)
    assert f"and k = {stats.t.ppf(0.975, dof):.4g} times u_single ({dof:.0f} degrees of freedom)." in text
    half = stats.t.ppf(0.975, dof) * np.hypot(1.9, u_line)
    assert f"good to ±{half:.1f} °C" in text


def test_a_lower_bound_is_called_one() -> None:
    assert "every u is at least so large" in notebook(source="blocks", lower_bound=True, u_dof=7.0, reading_dof=9.0)
    assert "at least" not in notebook()


def test_one_degree_of_freedom() -> None:
    text = notebook(dof=1)
    assert "(1 degree of freedom, R²" in text


def test_counts_are_written_out() -> None:
    text = notebook(indication_range=(8412345.0, 8416730.0), indication_mean=8414500.0, pivot=8414500.0)
    assert "indications from 8412345 to 8416730." in text
    assert "e+0" not in text


def test_it_is_a_dozen_printable_lines() -> None:
    text = summary(
        calibration(
            *NOTEBOOK,
            sgd=SGD,
            data_name="a\x1b[2J\n.csv",
            diagnostics=Diagnostics(
                11,
                outlying=Outlying(5.0, 1e-9, 1.0, 2.0, "\x07.csv", 3, 1, (3,)),
                slope_p=0.2,
                autocorrelation=Autocorrelation(0.99, 0.9, 10),
            ),
        )
    )
    assert len(text.splitlines()) <= 12
    assert all(line.isprintable() for line in text.split("\n"))

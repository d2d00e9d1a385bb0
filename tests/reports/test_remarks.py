"""The sentences on misfit: each with what it is about, and only where nothing before it explains it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from made import NOTEBOOK, calibration

from thermofit_pl.calibration.records import (
    Autocorrelation,
    Diagnostics,
    ErrorCodes,
    Neighbours,
    Outlying,
    Rank,
    Scatter,
    SetPoints,
    Shape,
    Stuck,
)
from thermofit_pl.reports.remarks import remarks

ONE = Outlying(-23.44, 1e-9, 48.4, 6.0, "a.csv", 10, 1, (10,))
POINTS = SetPoints(5, 1e-9, 20.0, -0.07, 4)


def said(changes: dict[str, Any] | None = None, **found: Any) -> list[str]:
    c = calibration(*NOTEBOOK, **(changes or {}))
    return list(remarks(dataclasses.replace(c, diagnostics=Diagnostics(sampled=11, **found))))


def test_nothing_is_remarked_of_what_chance_gives() -> None:
    patterns: dict[str, Any] = {
        "set_points": dataclasses.replace(POINTS, p=0.011),
        "neighbours": Neighbours(0.3, 0.0051, False),
        "shape": Shape(2, 0.3, 0.011),
        "scatter": Scatter(True, 0.0051),
        "rank": Rank(1.0, 1e-9),
    }
    assert said(slope_p=0.0499, **patterns) == []


@pytest.mark.parametrize(
    ("codes", "sentence"),
    [
        (
            ErrorCodes("indication", (85.0,), 2, "t.csv", (4, 8)),
            "2 readings are far off the line of all others, with 85 as indication, as error codes are in rows 4 and 8 "
            "of t.csv: --data.table.missing_values '[85]' --data.missing drop leaves them out.",
        ),
        (
            ErrorCodes("reference", (-9999.0,), 1, None, (4,)),
            "1 reading is far off the line of all others, with −9999 as reference, as error codes are (reading 4): "
            "take them out of the references.",
        ),
        (
            ErrorCodes("both", (85.0, -127.0), 12, "t.csv", (2, 3, 4, 5, 6, 7, 8, 9, 10, 11)),
            "with 85 and −127 as indication or reference, as error codes are in rows 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 "
            "and 2 more of t.csv: --data.table.missing_values '[85, -127]' --data.missing drop leaves them out.",
        ),
    ],
)
def test_error_codes_are_named_with_their_rows_and_the_way_out(codes: ErrorCodes, sentence: str) -> None:
    (only,) = said(error_codes=codes, slope_p=0.9, rank=Rank(1.0, 1e-9))  # of the slope, nothing can be said
    assert sentence in only


def test_a_stuck_value_is_named() -> None:
    assert said(stuck=Stuck(21.5, 30, 2.9, "t.csv", 81, 110)) == [
        "The indication stood at 21.5 in rows 81 to 110 of t.csv (30 readings), while the reference moved by 2.9 °C: "
        "leave these readings out."
    ]


def test_set_points_that_lie_off_the_line() -> None:
    # outliers about the line are then no more than the set points' differences
    assert said(set_points=POINTS, outlying=ONE) == [
        "The 5 set points lie off the line by more than repeats explain (lack of fit, p = 1e-9); the largest error: "
        "near 20 °C the line is 0.070 °C below the mean of 4 readings."
    ]


@pytest.mark.parametrize(
    ("data_name", "how"), [("a.csv", "name their times with --data.time"), (None, "give fit their")]
)
def test_a_log_that_nobody_called_one(data_name: str | None, how: str) -> None:
    (plain,) = said({"data_name": data_name}, neighbours=Neighbours(0.98, 1e-9, False))
    assert "Errors of neighbouring rows are alike, about a cubic too (autocorrelation 0.98, p = 1e-9)" in plain
    assert how in plain
    (ordered,) = said({"data_name": data_name}, neighbours=Neighbours(0.98, 1e-9, True))
    assert "it may also be a shape that no cubic has" in ordered
    assert "no cubic" not in plain


@pytest.mark.parametrize(
    ("degree", "name"), [(0, "an offset"), (2, "a parabola"), (3, "an S"), (4, "a term of degree 4")]
)
def test_a_shape_has_its_name_and_size_and_explains_what_comes_after_it(degree: int, name: str) -> None:
    assert said(shape=Shape(degree, 0.31, 0.009), scatter=Scatter(True, 1e-9), outlying=ONE) == [
        f"The errors have a shape beyond chance (p = 0.009): {name} of 0.31 °C (root mean square) is left; calibrate "
        "over the part that you use, or take another curve (--model.curve)."
    ]


@pytest.mark.parametrize(("grows", "way"), [(True, "grows"), (False, "falls")])
def test_scatter_that_changes(grows: bool, way: str) -> None:
    (only,) = said(scatter=Scatter(grows, 1e-5), outlying=ONE)
    assert f"The scatter {way} along the range (p = 1e-5): s and u_single are averages over it" in only
    assert ("too small at its high end" in only) == grows


def test_readings_that_stand_out() -> None:
    assert said(outlying=ONE) == [
        "1 reading stands out beyond chance (p = 1e-9): 6 °C at indication 48.4 in row 10 of a.csv, off the line by "
        "23.4 times the scatter of the others."
    ]
    (three,) = said(outlying=dataclasses.replace(ONE, count=3, rows=(4, 10, 11), file=None))
    assert three.startswith("3 readings stand out beyond chance (p = 1e-9) (readings 4, 10 and 11); the farthest, 6 °C")


def test_a_slope_that_may_be_chance() -> None:
    (only,) = said(slope_p=0.0501)
    assert "The slope may be chance (p = 0.05)" in only


def test_an_order_without_a_line_gets_no_advice_to_widen_the_range() -> None:
    (only,) = said(slope_p=0.09, rank=Rank(-1.0, 5e-5), shape=Shape(2, 1.0, 1e-9), outlying=ONE)
    assert only == (
        "The reference falls throughout as the indication rises (rank correlation −1.00), but not along a line: these "
        "readings need a curve (--model.curve)."
    )
    log = Autocorrelation(0.9, 0.9, 10)  # a slow log's ranks correlate by chance
    assert "may be chance" in said(slope_p=0.09, rank=Rank(-0.98, 1e-9), autocorrelation=log)[0]
    assert "may be chance" not in said(slope_p=0.09, rank=Rank(-0.995, 1e-9), autocorrelation=log)[0]


def test_a_line_that_explains_little() -> None:
    (only,) = said({"r_squared": 0.03, "rmse": 2.0})
    assert only == (
        "The line explains 3 % of the references' variance: it leaves errors of 2.0 °C (root mean square), where the "
        "references' mean alone leaves 2.0 °C."
    )
    assert said({"r_squared": 0.5}) == []

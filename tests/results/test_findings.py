"""What is found in tables of each kind, through ``fit``, and that nothing is where there isn't anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from numpy.typing import NDArray

from logs import ar1
from thermofit_pl.calibration.calibration import Calibration
from thermofit_pl.calibration.records import Diagnostics
from thermofit_pl.curves.line import Line
from thermofit_pl.curves.offset import Offset
from thermofit_pl.curves.polynomial import Polynomial
from thermofit_pl.curves.proportional import Proportional
from thermofit_pl.reports.remarks import remarks
from thermofit_pl.results.findings import Findings, examine
from thermofit_pl.results.fit import fit
from thermofit_pl.tables.sample import Sample
from thermofit_pl.tables.table import Block

FloatArray = NDArray[np.float64]

THERMISTOR = (  # ohm and °C: falls throughout, but not along a line
    [4.6e6, 1.6e5, 3e4, 8100, 2700, 1050, 480, 260],
    [25.0, 100, 150, 200, 250, 300, 350, 400],
)
DS18B20 = (  # shows its power-on value 85 twice
    [20.1, 21.2, 85, 22.3, 23.4, 24.1, 85, 25.2],
    [19.8, 20.9, 21.5, 22.0, 23.1, 23.9, 24.5, 25.0],
)


def noisy(n: int, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    random = np.random.default_rng(seed)
    x = random.uniform(20, 80, n)
    return x, 0.5 * x - 17 + random.standard_normal(n)


def found(x: Any, y: Any, **options: Any) -> Diagnostics:
    c = fit(x, y, **options)
    assert isinstance(c, Calibration)
    return c.diagnostics


def text(x: Any, y: Any, **options: Any) -> str:
    c = fit(x, y, **options)
    assert isinstance(c, Calibration)
    return "\n".join(remarks(c))


def examined(x: FloatArray, y: FloatArray, curve: Any) -> Findings:
    sample = Sample()
    sample.add(Block(x, y, None, Path(), range(1, len(x) + 1)))
    return examine(sample, curve.framed(float(x.min()), float(x.max())), np.zeros(1, bool))


def test_error_codes_are_named_and_the_rest_is_judged_without_them() -> None:
    codes = found(*DS18B20).error_codes
    assert codes is not None
    assert (codes.role, codes.values, codes.count, codes.rows) == ("indication", (85.0,), 2, (3, 7))
    (only,) = text(*DS18B20).splitlines()
    assert "85 as indication" in only


@pytest.mark.parametrize("code", [85.0, -127.0, -9999.0])
@pytest.mark.parametrize("n", [12, 300])
def test_codes_in_longer_tables(code: float, n: int) -> None:
    x, _ = noisy(n)
    y = 0.5 * x - 17 + 0.1 * np.random.default_rng(1).standard_normal(n)
    x[[2, 7, 8]] = code
    codes = found(x, y).error_codes
    assert codes is not None
    assert (codes.values, codes.rows) == ((code,), (3, 8, 9))
    assert text(x, y).count("\n") == 0


def test_a_thermistor_needs_a_curve_and_shows_no_error_code() -> None:
    assert found(*THERMISTOR).error_codes is None
    assert text(*THERMISTOR) == (
        "The reference falls throughout as the indication rises (rank correlation −1.00), but not along a line: these "
        "readings need a curve (curve=…)."
    )


def test_set_points_and_what_their_readings_share() -> None:
    random = np.random.default_rng(1)
    y = np.repeat([0.0, 25, 50, 75, 100], 20) + 0.004 * random.standard_normal(100)
    shared = np.repeat([0.05, -0.03, 0.02, -0.06, 0.04], 20)
    x = y + shared + 0.003 * random.standard_normal(100)
    points = found(x, y).set_points
    assert points is not None
    assert points.p is not None
    assert (points.count, points.readings) == (5, 20)
    assert points.p < 1e-9
    assert points.reference == pytest.approx(75, abs=0.1)
    means = x.reshape(5, 20).mean(axis=1), y.reshape(5, 20).mean(axis=1)
    line = sm.OLS(means[1], sm.add_constant(means[0])).fit()
    assert points.error == pytest.approx(-line.resid[3], rel=1e-3)
    (only,) = text(x, y).splitlines()  # neither curved, nor a log, nor anything that stands out
    assert only.startswith("The 5 set points lie off the line")
    fine = found(y + 0.003 * random.standard_normal(100), y).set_points
    assert fine is not None
    assert fine.p is not None
    assert fine.p > 0.01


def test_a_log_without_its_time_is_seen() -> None:
    x = 50 + 40 * np.sin(np.arange(400) / 50)
    y = 0.5 * x + ar1(np.random.default_rng(2), 1, 400, 0.95)[0]
    (only,) = text(x, y).splitlines()
    assert only.startswith("Errors of neighbouring rows are alike")
    assert "no cubic" not in only
    assert found(x, y, time=np.arange(400.0)).neighbours is None
    assert "Errors of neighbouring rows" not in text(x, y, time=np.arange(400.0))


def test_a_log_without_its_time_is_seen_alike_in_a_fleet_and_alone() -> None:
    random = np.random.default_rng(5)
    x = random.uniform(0, 40, (5, 200))
    y = x + 0.1 * random.standard_normal((5, 200))
    y[1::2] = x[1::2] + ar1(random, 2, 200, 0.9)
    fleet = fit(x.ravel(), y.ravel(), np.repeat(list("abcde"), 200))
    for at, name in enumerate("abcde"):
        one, own = found(x[at], y[at]), fleet[name].diagnostics
        assert own.neighbours is not None
        assert own.neighbours.p is not None
        assert (own.neighbours.p < 1e-10) == (at in (1, 3))
        for pattern in ("shape", "scatter"):
            assert getattr(own, pattern).p == pytest.approx(getattr(one, pattern).p, rel=1e-9)


def test_a_table_in_the_order_of_the_indication_is_told_both_explanations() -> None:
    x = np.linspace(0, 100, 60)
    y = x + 2 * np.sin(x / 8) + 0.1 * np.random.default_rng(3).standard_normal(60)
    assert "it may also be a shape that no cubic has" in text(x, y)


def test_shapes_have_their_names() -> None:
    x, y = noisy(300)
    t = (x - 50) / 30
    assert "a parabola of" in text(x, y + 2 * t**2)
    assert "an S of" in text(x, y + 8 * (2.5 * t**3 - 1.5 * t))
    assert text(x, y) == ""


def test_scatter_that_grows() -> None:
    x, _ = noisy(200)
    y = 0.5 * x + 0.05 * (x - 18) * np.random.default_rng(4).standard_normal(200)
    (only,) = text(x, y).splitlines()
    assert only.startswith("The scatter grows along the range")


def test_readings_that_mask_each_other_stand_out() -> None:
    x, y = noisy(60)
    y[[5, 17, 40]] += [9, 11, 8]
    out = found(x, y).outlying
    assert out is not None
    assert (out.count, out.rows) == (3, (6, 18, 41))
    (only,) = text(x, y).splitlines()
    assert only.startswith("3 readings stand out")


def test_a_value_that_is_stuck_is_named_and_the_rest_is_judged_without_it() -> None:
    y = np.linspace(10, 30, 200)
    x = y + 0.05 * np.random.default_rng(5).standard_normal(200)
    x[80:110] = x[80]
    stuck = found(x, y).stuck
    assert stuck is not None
    assert (stuck.first_row, stuck.last_row, stuck.count, stuck.indication) == (81, 110, 30, x[80])
    (only,) = text(x, y).splitlines()
    assert only.startswith("The indication stood at")


@pytest.mark.parametrize("at", [3, 0])
def test_an_exact_line_with_one_code_is_no_pattern_of_rounding(at: int) -> None:
    x = np.linspace(0, 100, 12)
    y = 0.3 * x - 1 / 3
    x[at] = -9999
    d = found(x, y)
    assert d.error_codes is not None
    assert d.error_codes.rows == (at + 1,)
    assert (d.shape, d.scatter, d.neighbours) == (None, None, None)


@pytest.mark.parametrize(
    ("curve", "more", "degree"),
    [
        (Line(), lambda x: 0.01 * (x - 50) ** 2, 2),
        (Offset(), lambda x: 0.5 * x, 1),
        (Proportional(), lambda x: 30 + 0 * x, 0),
        (Polynomial(2), lambda x: 0.001 * (x - 50) ** 3, 3),
    ],
)
def test_each_curve_is_tested_for_what_it_lacks(curve: Any, more: Any, degree: int) -> None:
    random = np.random.default_rng(6)
    x = random.uniform(0, 100, 200)
    y = (1.0 if isinstance(curve, Offset) else 0.8) * x + random.standard_normal(200)
    assert examined(x, y, curve).shape.p[0] > 0.01
    bent = examined(x, y + more(x), curve).shape
    assert bent.p[0] < 1e-9
    assert bent.degree[0] == degree


def test_gaps_do_not_make_neighbours_of_a_logs_readings() -> None:
    from thermofit_pl.functional.groups import Groups
    from thermofit_pl.results.findings import _log

    time = np.concatenate([np.arange(50.0), 1000 + np.arange(50.0), [5.0, 5.0, 6.0, 90.0]])
    log = _log(time, Groups(np.repeat([0, 2], [100, 4]), 3), whole=True)
    assert log.broken is not None
    assert np.flatnonzero(log.broken).tolist() == [50, 103]
    assert np.bincount(log.block[:100]).tolist() == [13, 12, 13, 12, 13, 12, 13, 12]
    assert _log(time, Groups(np.repeat([0, 2], [100, 4]), 3), whole=False).broken is None

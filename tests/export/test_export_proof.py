"""What an export refuses, what it says of itself, and names that try to break it."""

import dataclasses
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml  # type: ignore[import-untyped]  # it ships no types
from export_views import LINE, QUADRATIC, THERMISTOR, body, made
from made import NOTEBOOK, calibration

from thermofit_pl.curves.base import Curve
from thermofit_pl.curves.line import Line
from thermofit_pl.curves.offset import Offset
from thermofit_pl.curves.polynomial import Polynomial
from thermofit_pl.curves.proportional import Proportional
from thermofit_pl.errors import InputError
from thermofit_pl.export.export import TARGETS, export
from thermofit_pl.export.formula import Powers, SteinhartHart
from thermofit_pl.export.numbers import ascii_text, double, places, plain, single, slug
from thermofit_pl.export.proof import Draft, prove
from thermofit_pl.export.view import formula_of, view

HOSTILE = [
    "*/ int main() { } /*",
    "a\nimport os\n",
    'x" }}{{ 7 * 7 }}',
    "??/",
    "name\\",
    "<script>alert(1)</script>",
    "- !!python/object:os.system {}",
    "°C 温度 \x1b[2J",
    "int",
    "9 lives",
    "",
    "=HYPERLINK(1)",
    "#define X",
]


@pytest.mark.parametrize(
    ("to", "formula", "u", "sentence"),
    [
        ("tasmota", LINE, 1.0, r"slope exactly 1\), and this line's slope is 0\.536772; use --to table"),
        ("zigbee2mqtt", QUADRATIC, 1.0, r"slope exactly 1\), and this is another curve; use --to table"),
        (
            "tasmota",
            Powers((0.05, 1.0)),
            0.3,
            r"its arithmetic is 0\.05 °C off .* a tenth of u is 0\.03 °C; use --to table",
        ),
        ("tasmota", Powers((13.0, 1.0)), 1.0, r"offsets from -12\.6 to 12\.6, and this one is 13 °C"),
        ("esphome", LINE, 1e-6, r"a tenth of u is 1e-07 °C; use --to table"),
        ("klipper", SteinhartHart(1e-3, 3e-4, -1e-8), 0.1, "silently takes Beta's equation where c is below 0"),
        ("klipper", SteinhartHart(1e-3, 2e-4, 1e-7, 1e-6), 0.1, "this curve has four; fit three, or use --to table"),
        ("marlin", SteinhartHart(1e-3, 2e-4, 1e-7, 1e-6), 0.1, "this curve has four; fit three, or use --to table"),
        ("marlin", SteinhartHart(1e-3, 2e-4, 1e-7, kelvin=1.8, zero=459.67), 0.1, "works in °C"),
        ("marlin", SteinhartHart(1e-3, 1e-7, 0.0), 0.1, "R25 and beta from 1 to 1000000, and here they are"),
        ("nonsense", LINE, 1.0, "Expected --to esphome, .*, table, but got 'nonsense'"),
    ],
)
def test_what_a_target_cannot_hold_is_refused(to: str, formula: Powers, u: float, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        export(made(formula, (10.0, 90.0), u), to)
    assert str(caught.value).isprintable()


def test_a_difference_is_held_against_u_where_it_is() -> None:
    one = made(LINE, u=0.1)
    exact = LINE.evaluate
    just = prove(one, Draft("", "", lambda x: exact(x) + 0.0099))
    over = prove(one, Draft("", "", lambda x: exact(x) + np.where(x > 90, 0.0101, 0.0)))
    broken = prove(one, Draft("", "", lambda x: exact(x) * np.nan))
    assert just.holds
    assert just.largest == pytest.approx(0.0099)
    assert not over.holds
    assert over.at > 90
    assert not broken.holds


def test_without_an_uncertainty_a_ten_thousandth_of_the_range_is_allowed() -> None:
    for u in (float("nan"), 0.0):
        one = made(LINE, u=u)
        assert one.tolerance(np.array([20.0])) == pytest.approx(1e-4 * 0.5367719 * 81)
        assert "0.5367719f" in export(one, "c")
    assert "u of a corrected reading: unknown" in export(made(LINE, u=float("nan")), "c")


def test_the_comment_says_what_it_is() -> None:
    c = calibration(*NOTEBOOK)
    text = export(view(c, "Küche 1"), "python")
    u = [f"{c.correct(x).u_single:.1f}" for x in (21.8, 51.85, 81.9)]
    lines = text.splitlines()
    assert lines[0] == f"# thermofit_pl 0.1.0, calibration {c.checksum}"
    assert "calibrated from 21.8 to 81.9" in lines[1]
    assert f"{u[0]} at 21.8, {u[1]} in the middle, {u[2]} at 81.9 [degC, standard uncertainty]" in lines[2]
    assert re.search(r"in float64, differ from the calibration by \S+ degC at most", lines[3])


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_breaks_out_of_a_text(name: str, tmp_path: Path) -> None:
    identifier = slug(name)
    assert re.fullmatch("[a-z][a-z0-9_]*", identifier)
    for to in TARGETS:
        formula = THERMISTOR if to in ("klipper", "marlin") else Powers((0.5, 1.0))
        one = made(formula, (200.0, 300.0), 0.3, name=name, identifier=identifier)
        plain_one = made(formula, (200.0, 300.0), 0.3, name="probe", identifier=identifier)
        text, usual = export(one, to), export(plain_one, to)
        assert len(text.splitlines()) == len(usual.splitlines())
        assert [line for line in text.splitlines() if "instrument" not in line] == [
            line for line in usual.splitlines() if "instrument" not in line
        ]
        assert text.isascii() or to == "home-assistant"
        if to in ("esphome", "home-assistant", "zigbee2mqtt"):
            assert yaml.safe_load(text) == yaml.safe_load(usual)
    header = tmp_path / "h.h"
    header.write_text(export(made(LINE, name=name, identifier=identifier), "c"))
    source = tmp_path / "c.c"
    call = f"float f(void);\nfloat f(void) {{ return {identifier}_correct(INT_MIN); }}\n"
    source.write_text(f'#include <limits.h>\n#include "{header}"\n{call}')
    subprocess.run(["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-c", source, "-o", tmp_path / "c.o"], check=True)


def test_home_assistant_evaluates_no_name() -> None:
    text = export(made(THERMISTOR, name="{{ 7 * 7 }}{% x %}{# y #}"), "home-assistant")
    (entry,) = yaml.safe_load(text)["template"]
    assert entry["sensor"][0]["name"] == " 7 * 7  x  y , corrected"


def test_numbers() -> None:
    assert (double(1e-5), double(-2.5e20), double(14)) == ("1.0e-05", "-2.5e+20", "14.0")
    assert (single(0.5367719209), single(1e-5)) == ("0.5367719", "1.0e-05")
    assert float(yaml.safe_load(double(1e-5))) == 1e-5
    assert isinstance(yaml.safe_load(double(1e-5)), float)
    assert plain(1.0876e-7) == "0.00000010876"
    assert (places(0.01), places(0.003), places(5.0), places(0.0)) == (2, 3, 0, 12)
    assert ascii_text("a */ b\n°") == "a * / b/ndeg"


def test_a_polynomial_moves_exactly() -> None:
    moved = Powers((36.0, 14.5, 2.0, 0.1), centre=5.0).about(0.0)
    x = np.linspace(-3, 9, 7)
    assert moved.evaluate(x) == pytest.approx(Powers((36.0, 14.5, 2.0, 0.1), centre=5.0).evaluate(x), rel=1e-13)
    assert Powers((1.0, 2.0)).about(0.0) == Powers((1.0, 2.0))


@pytest.mark.parametrize("degree", [2, 3, 5])
def test_a_fitted_polynomial_is_held_far_from_zero_too(degree: int) -> None:
    # a load cell's counts: in powers about 0, degree 5 would keep no digit
    curve = Polynomial(degree, 1e6, 50.0)
    coefficients = [20.0, 8.0, *([0.3] * (degree - 1))]
    x = np.linspace(1e6 - 50, 1e6 + 50, 101)
    expected = coefficients[0] + sum(w * f for w, f in zip(coefficients[1:], curve.features(x), strict=True))
    formula = formula_of(curve, coefficients)
    assert isinstance(formula, Powers)
    assert formula.evaluate(x) == pytest.approx(expected, rel=1e-13)
    for to in ("python", "c", "table"):
        assert "differ from the calibration" in export(made(formula, (1e6 - 50, 1e6 + 50), 0.05), to)


def test_lines_of_all_kinds_and_curves_of_ones_own() -> None:
    for curve in (Line(), Offset(), Proportional()):
        assert formula_of(curve, [0.5, 2.0]) == Powers((0.5, 2.0))
    assert formula_of(Curve(), [0.5, 2.0]) is None
    own = dataclasses.replace(made(QUADRATIC), formula=None)
    for to in TARGETS:
        if to != "table":
            with pytest.raises(InputError, match=f"{to} holds, but it knows no such curve; use --to table"):
                export(own, to)
    assert body(export(own, "table")) == body(export(made(QUADRATIC), "table"))

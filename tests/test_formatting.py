import math
import re
from decimal import Decimal

import pytest
from GTC import ureal
from hypothesis import given
from hypothesis import strategies as st

from thermofit_pl.formatting import below, count, number, p_text, printable, short, signed, two_digits


@pytest.mark.parametrize(
    ("value", "u", "text"),
    [
        (0.5367719209075441, 0.0355386003267085, "0.537(36)"),
        (-17.304785503010784, 1.927227259586925, "−17.3(1.9)"),
        (1.00218269774, 0.000667938773228, "1.00218(67)"),
        (100.0, 0.35, "100.00(35)"),
        (1234.5, 36.0, "1234(36)"),
        (1236.0, 360.0, "1240(360)"),
        (9.96, 0.0996, "9.96(10)"),
        (1.0, 9.96, "1(10)"),
        (0.0, 0.1, "0.00(10)"),
        (-0.001, 0.5, "0.00(50)"),
        (-0.001, 290.0, "0(290)"),
        (5.3e-7, 3.6e-8, "5.30(36)e−7"),
        (-5.3e-7, 3.6e-7, "−5.3(3.6)e−7"),
        (1e-9, 3.6e-7, "0.0(3.6)e−7"),
        (1e300, 1e298, "1.000(10)e300"),
        (123456789.0, 1.0, "1.234567890(10)e8"),
        (3.0, 1e-12, "3.0000000000000(10)"),
        (0.5555555555555556, 0.0, "0.555555555556"),
        (-0.5555555555555556, None, "−0.555556"),
        (0.0, 0.0, "0"),
    ],
)
def test_short_form(value: float, u: float | None, text: str) -> None:
    assert short(value, u) == text


@given(st.floats(-1e5, 1e5), st.floats(1e-9, 1e4))
def test_short_form_holds_the_value_and_two_digits_of_the_uncertainty(value: float, u: float) -> None:
    found = re.fullmatch(r"(−?[\d.]+)\(([\d.]+)\)(?:e(−?\d+))?", short(value, u))
    assert found
    power = int((found[3] or "0").replace("−", "-"))
    kept = Decimal(found[1].replace("−", "-")).scaleb(power)
    places = len(found[1].partition(".")[2])
    spread = Decimal(found[2]).scaleb(power - (0 if "." in found[2] else places))
    assert abs(kept - Decimal(value)) <= spread / 19
    assert abs(float(spread) / u - 1) <= 0.05


@given(st.floats(0.01, 999), st.floats(0.0001, 0.99))
def test_short_form_is_gtcs(value: float, u: float) -> None:
    ours, theirs = short(value, u), str(ureal(value, u)).strip()
    if value > 10 * u:  # else GTC counts the digits of the value instead
        assert ours == theirs


def test_minus_signs_and_zeros() -> None:
    assert [signed(text) for text in ("-1.5", "1.5", "-0.00", "0", "-0.01")] == ["−1.5", "1.5", "0.00", "0", "−0.01"]


def test_sizes() -> None:
    assert [two_digits(x) for x in (0.0, 0.158, 1.0, 55.2, 280, 12345, 1.23e-7, 9.99)] == [
        "0", "0.16", "1.0", "55", "280", "12000", "1.2e-07", "10",
    ]  # fmt: skip


def test_counts() -> None:
    assert [count(n) for n in (0, 999, 5000, 10**7)] == ["0", "999", "5 000", "10 000 000"]


def test_p_values() -> None:
    assert [p_text(p) for p in (1.0, 0.609, 0.05, 0.0095, 0.003, 4.01e-16, 5e-324, 0.0)] == [
        "p = 1.00", "p = 0.61", "p = 0.05", "p = 0.01", "p = 0.003", "p = 4e-16", "p < 1e-300", "p < 1e-300",
    ]  # fmt: skip
    assert [below(p) for p in (0.04, 0.003, 2e-4, 3.09e-13, 1e-12, 0.0)] == [
        "p < 0.05", "p < 0.01", "p < 0.001", "p < 1e-12", "p < 1e-11", "p < 1e-300",
    ]  # fmt: skip


def test_what_a_terminal_would_act_on_is_shown() -> None:
    assert printable("a\x1b[2Jb\u202e\udce9\n°") == "a\\x1b[2Jb\\u202e\\udce9\\n°"
    assert printable("x" * 300, 10) == "x" * 9 + "…"


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (8412345.0, 1.0, "8412345"),
        (8412345.5, math.inf, "8412350"),
        (8412345.0, math.inf, "8412345"),
        (-5.0656712e-05, math.inf, "−5.06567e−05"),
        (0.00228070691, 1e-9, "0.002280707"),
        (1.5e18, math.inf, "1.5e+18"),
        (-0.0, math.inf, "0"),
        (20.0, math.inf, "20"),
        (0.1 + 0.2, 0.0, "0.30000000000000004"),
    ],
)
def test_numbers(value: float, error: float, text: str) -> None:
    assert number(value, error) == text

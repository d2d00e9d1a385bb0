"""Stated uncertainties as people write them."""

import numpy as np
import pytest

from thermofit_pl.errors import InputError
from thermofit_pl.functional.stated import Stated, of_mean, of_resolution, parse


@pytest.mark.parametrize(
    ("given", "k", "expected"),
    [
        (0.05, 1, Stated(0.05)),
        ("0.05", 2, Stated(0.025)),
        ("1e-3", 1, Stated(0.001)),
        ("0.1%", 1, Stated(relative=0.001)),
        (" 0.1 % ", 2, Stated(relative=0.0005)),
        ("0.05+0.1%", 1, Stated(0.05, 0.001)),
        (".05 + .1 %", 2, Stated(0.025, 0.0005)),
        ("u_ref", 1, Stated(column="u_ref")),
        ("U (k=2)", 2, Stated(column="U (k=2)", divisor=2.0)),
        ("0.05 V+0.1%", 1, Stated(column="0.05 V+0.1%")),
    ],
)
def test_what_is_stated_is_read(given: str | float, k: float, expected: Stated) -> None:
    found = parse(given, "u_reference", k)
    assert found[2:] == expected[2:]
    np.testing.assert_allclose(found[:2], expected[:2], rtol=1e-15)


@pytest.mark.parametrize("given", [0, -0.1, "0", "-0.05+0.1%", "0.05+0%", float("nan"), "inf", "0,05", "0.05+0.1", ""])
def test_what_is_no_uncertainty_is_refused(given: str | float) -> None:
    with pytest.raises(InputError, match=r"u_reference: expected a positive number.*but got "):
        parse(given, "u_reference")


@pytest.mark.parametrize("k", [0, -2, float("nan")])
def test_coverage_factor_is_positive(k: float) -> None:
    with pytest.raises(InputError, match="coverage_factor: expected a positive number, but got"):
        parse(0.05, "u_reference", k)


def test_absolute_and_relative_are_added_in_quadrature() -> None:
    u = parse("0.03+0.1%", "u_reference").at([-40.0, 0.0, 40.0])
    np.testing.assert_allclose(u, [0.05, 0.03, 0.05], rtol=1e-15)


def test_a_column_is_divided_by_its_coverage_factor() -> None:
    stated = parse("U", "u_reference", 2)
    np.testing.assert_array_equal(stated.at([100.0, 200.0], [0.1, 0.4]), [0.05, 0.2])
    assert not stated.is_number


def test_text_says_what_holds() -> None:
    texts = [str(parse(given, "u", k)) for given, k in ((0.05, 1), ("0.1%", 1), ("0.05+0.1%", 2), ("U (k=2)", 2))]
    assert texts == ["0.05", "0.1 %", "0.025 + 0.05 %", "column 'U (k=2)' / 2"]


def test_resolution_is_a_rectangle_and_a_floor_under_the_scatter_of_a_mean() -> None:
    steps = np.linspace(-0.05, 0.05, 200_001)  # where in a step of 0.1 a true value may be
    assert of_resolution(0.1) == pytest.approx(steps.std(), rel=1e-5)
    np.testing.assert_allclose(of_mean([0.2, 0.0], [16, 16]), [0.05, 0.0])
    np.testing.assert_allclose(of_mean([0.2, 0.0], [16, 16], step=0.1), [0.05, 0.1 / 12**0.5])

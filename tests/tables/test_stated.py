"""Uncertainties that are stated beside readings: numbers, shares and columns, and what they must be."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from thermofit_pl.errors import InputError
from thermofit_pl.tables.stated import UncertaintyOptions
from thermofit_pl.tables.table import Table

TEXT = "shown,true,u,t\n10,20,0.1,3\n20,40,0.2,1\n30,60,0.4,2\n"


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Table]:
    def opened(text: str = TEXT, time: str | None = None, missing: str = "error", **stated: float | str) -> Table:
        path = tmp_path / "sheet.csv"
        path.write_text(text, encoding="utf-8")
        options = UncertaintyOptions(**stated)  # type: ignore[arg-type]
        return Table(path, "shown", "true", time=time, missing=missing, stated=options)  # type: ignore[arg-type]

    return opened


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({"reference": 0.3}, [0.3, 0.3, 0.3]),
        ({"reference": "1%"}, [0.2, 0.4, 0.6]),
        ({"reference": "0.15+1%"}, [0.25, np.hypot(0.15, 0.4), np.hypot(0.15, 0.6)]),
        ({"reference": "u"}, [0.1, 0.2, 0.4]),
        ({"reference": "u", "coverage_factor": 2}, [0.05, 0.1, 0.2]),
        ({"reference": "0.3", "coverage_factor": 2}, [0.15, 0.15, 0.15]),
    ],
)
def test_each_reading_has_its_standard_uncertainty(
    table: Callable[..., Table], stated: dict[str, float | str], expected: list[float]
) -> None:
    (block,) = table(**stated).blocks()
    assert block.u_reference is not None
    np.testing.assert_allclose(block.u_reference, expected, rtol=1e-14)
    taken = block.take(np.array([2, 0])).u_reference
    assert taken is not None
    np.testing.assert_array_equal(taken, block.u_reference[[2, 0]])


def test_they_follow_their_readings_into_the_order_of_time(table: Callable[..., Table]) -> None:
    (block,) = table(time="t", reference="u").blocks()
    assert block.u_reference is not None
    np.testing.assert_array_equal(block.indication, [20, 30, 10])
    np.testing.assert_array_equal(block.u_reference, [0.2, 0.4, 0.1])


def test_nothing_stated_costs_nothing(table: Callable[..., Table]) -> None:
    (block,) = table().blocks()
    assert block.u_reference is None


@pytest.mark.parametrize("cell", ["0", "-0.1", "1e-300"])
def test_uncertainties_are_positive(table: Callable[..., Table], cell: str) -> None:
    wrong = TEXT.replace("0.2", cell)
    with pytest.raises(InputError, match=r"sheet.csv, row 3: expected a positive uncertainty in column 'u', but got "):
        list(table(wrong, reference="u").blocks())
    with pytest.raises(InputError, match="row 3: expected a positive uncertainty"):  # it is no missing value
        list(table(wrong, missing="drop", reference="u").blocks())


def test_a_missing_uncertainty_is_a_missing_value(table: Callable[..., Table]) -> None:
    wrong = TEXT.replace("0.2", "")
    with pytest.raises(InputError, match=r"sheet.csv, row 3: expected a number in column 'u', but it is missing"):
        list(table(wrong, reference="u").blocks())
    (block,) = table(wrong, missing="drop", reference="u").blocks()
    np.testing.assert_array_equal(block.indication, [10, 30])
    np.testing.assert_array_equal(block.u_reference, [0.1, 0.4])


def test_a_share_of_nothing_is_no_uncertainty(table: Callable[..., Table]) -> None:
    with pytest.raises(
        InputError, match=r"row 3: expected a positive uncertainty of the reference, but what is stated comes"
    ):
        list(table(TEXT.replace("20,40", "20,0"), reference="1%").blocks())


def test_a_column_that_is_not_there_is_named_with_those_that_are(table: Callable[..., Table]) -> None:
    with pytest.raises(InputError, match=r"'U' .*u\.reference"):
        table(reference="U")


def test_a_coverage_factor_has_something_to_divide() -> None:
    with pytest.raises(InputError, match=r"u\.coverage_factor: expected an uncertainty to divide, but got none"):
        UncertaintyOptions(coverage_factor=2)
    with pytest.raises(InputError, match=r"u\.coverage_factor: expected a positive number, but got 0"):
        UncertaintyOptions(reference=0.1, coverage_factor=0)
    with pytest.raises(InputError, match=r"u\.reference: expected a positive number"):
        UncertaintyOptions(reference=-0.1)

"""What counts as a number, and what as missing, in arrays of every kind."""

from __future__ import annotations

import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

from thermofit_pl.errors import InputError
from thermofit_pl.functional.arrays import numbers

TWO = [1.5, 2.0]


@pytest.mark.parametrize(
    "values",
    [
        TWO,
        tuple(TWO),
        np.array(TWO, np.float32),
        np.ma.array(TWO, mask=[False, False]),
        torch.tensor(TWO, requires_grad=True),
        pd.Series(TWO, index=[7, 3]),
        pd.Series(TWO, dtype="Float64"),
        pl.Series(TWO),
        pa.array(TWO),
        pa.chunked_array([[1.5], [2.0]]),
        [Decimal("1.5"), Fraction(2)],
        [np.float64(1.5), 2],
    ],
)
def test_numbers_of_every_kind(values: Any) -> None:
    found, missing = numbers(values, "indication")
    assert found.dtype == np.float64
    assert found.tolist() == TWO
    assert not missing.any()


@pytest.mark.parametrize(
    "values",
    [
        np.ma.array([1, 99, 3], mask=[False, True, False]),
        [1, None, 3],
        pd.Series([1, pd.NA, 3], dtype="Int64"),
        pl.Series([1, None, 3]),
        pa.array([1, None, 3]),
        pa.chunked_array([[1], [None, 3]]),
    ],
)
def test_masks_and_nulls_are_missing(values: Any) -> None:
    found, missing = numbers(values, "indication")
    assert missing.tolist() == [False, True, False]
    assert found[[0, 2]].tolist() == [1.0, 3.0]
    assert np.isnan(found[1])


def test_a_nan_among_floats_is_a_value() -> None:
    assert not numbers([1.0, np.nan], "indication")[1].any()


def test_a_mask_is_left_as_it_was() -> None:
    values = np.ma.array([1.0, 2.0], mask=[False, True])
    numbers(values, "indication")
    assert values.mask.tolist() == [False, True]
    assert values.data.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("values", "what"),
    [
        (["1.5", "2"], "text"),
        ([1.5, "2"], "text"),
        (np.array([True, False]), "truths"),
        (pl.Series([True, None]), "bool"),
        (np.array(["2026-01-01"], "datetime64[D]"), "dates"),
        (pd.Series(pd.to_datetime(["2026-01-01"])), "dates"),
        (pd.Series(pd.to_datetime(["2026-01-01"]).tz_localize("UTC")), "Timestamp"),
        ([datetime.date(2026, 1, 1)], "date"),
        (pl.Series([datetime.date(2026, 1, 1)]), "dates"),
        (np.array([1], "timedelta64[s]"), "durations"),
        ([1 + 2j], "complex"),
    ],
)
def test_what_is_no_number_is_refused_by_its_kind(values: Any, what: str) -> None:
    with pytest.raises(InputError, match=f"Expected numbers as reference, but got {what}"):
        numbers(values, "reference")


def test_lists_of_different_lengths_are_refused() -> None:
    with pytest.raises(InputError, match="lists of different lengths"):
        numbers([[1.0], [1.0, 2.0]], "indication")

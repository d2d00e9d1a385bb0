"""Numbers in arrays of any kind, with what is missing among them, as float64."""

from __future__ import annotations

from numbers import Real
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from thermofit_pl.errors import InputError


def numbers(values: Any, role: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Returns numbers as float64, and which of them are missing.

    Args:
        values: A number, a list, NumPy's (with a mask or without), torch's, or a column of pandas, Polars or Arrow; of
            any shape.
        role: What they are, for a complaint.

    Returns:
        The numbers, NaN where one is missing; and whether each is masked, null or None; both of the same shape. NaN
        among floats is a value that is no number, and no missing one, but in pandas, which tells no difference.

    Raises:
        InputError: They are dates, truths, text, or anything else that is no number.
    """
    raw, missing = arrays(values, role)
    if raw.dtype.kind == "O":
        wrong = next((each for each in raw[~missing].ravel() if not _is_number(each)), None)
        if wrong is not None:
            raise InputError(f"Expected numbers as {role}, but got {_kind_of(wrong)}; convert them first.")
        raw = np.where(missing, np.nan, raw)
    elif raw.dtype.kind not in "iuf":
        raise InputError(
            f"Expected numbers as {role}, but got {_KINDS.get(raw.dtype.kind, raw.dtype)}; convert them first."
        )
    try:
        column = raw.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"Expected numbers as {role}, but got {error}.") from error
    column[missing] = np.nan
    return column, missing


def arrays(values: Any, role: str) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Returns what is given as NumPy's array, and which of it is masked, null or None.

    Args:
        values: As ``numbers`` takes them, but of anything.
        role: What they are, for a complaint.

    Raises:
        InputError: They are lists of different lengths.
    """
    if hasattr(values, "detach"):  # torch's, without importing it
        values = values.detach().cpu().numpy()
    masked = np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) else None
    find = getattr(values, "is_null", None) or getattr(values, "isna", None)  # as floats, nulls would be NaN
    nulls = None if find is None else find()
    try:
        raw = np.ma.getdata(values) if masked is not None else np.asarray(values)
    except ValueError as error:
        raise InputError(f"Expected numbers as {role}, but got lists of different lengths.") from error
    missing = np.zeros(raw.shape, np.bool_) if masked is None else masked.copy()
    if nulls is not None:
        missing |= np.asarray(nulls, np.bool_)
    if raw.dtype.kind == "O":
        missing |= np.array([_is_missing(each) for each in raw.ravel()], np.bool_).reshape(raw.shape)
    elif raw.dtype.kind == "M":
        missing |= np.isnat(raw)
    return raw, missing


_KINDS = {
    "b": "truths (bool)",
    "M": "dates",
    "m": "durations",
    "U": "text",
    "S": "text",
    "T": "text",
    "c": "complex ones",
}


def _is_missing(value: object) -> bool:
    return value is None or value is np.ma.masked or type(value).__name__ in ("NAType", "NaTType")


def _is_number(value: object) -> TypeGuard[Real]:
    """Whether it is a number: Python's, NumPy's, or a decimal, which is no Real."""
    return (isinstance(value, Real) or type(value).__name__ == "Decimal") and not isinstance(value, (bool, np.bool_))


def _kind_of(value: object) -> str:
    return f"text ({value!r})" if isinstance(value, str) else f"{type(value).__name__} ({value})"

"""Tables that are in memory: pandas', Polars' and Arrow's, dicts of arrays, and NumPy's records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from thermofit_pl.errors import InputError
from thermofit_pl.formatting import quoted
from thermofit_pl.functional.arrays import arrays, numbers
from thermofit_pl.tables.cells import NumberFormat
from thermofit_pl.tables.times import Times

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Frame(Protocol):
    """What gives a column by its name."""

    def __getitem__(self, name: Any, /) -> Any: ...


def is_frame(values: object) -> bool:
    """Whether it is a table in memory, and no array."""
    return isinstance(values, Mapping) or bool(names_of(values))


def names_of(frame: object) -> list[str]:
    """Returns the names of a table's columns; none of what is no table."""
    if isinstance(frame, Mapping):
        return [str(name) for name in frame]
    if isinstance(frame, np.ndarray):
        return list(frame.dtype.names or ())
    if hasattr(frame, "collect_schema"):  # Polars, also lazy
        return list(frame.collect_schema().names())
    names = getattr(frame, "column_names", None)  # Arrow's; its columns are the data
    found: Sequence[Any] = getattr(frame, "columns", ()) if names is None else names
    return [str(name) for name in found]


def column_of(frame: Any, role: str, name: str | None) -> Any:
    """Returns a column of a table.

    Args:
        frame: The table.
        role: What the column is for: the argument that names it.
        name: Its name.

    Raises:
        InputError: It isn't named, or there is none of that name.
    """
    names = names_of(frame)
    has = f"the table has {', '.join(map(quoted, names[:20]))}"
    if not isinstance(name, str):
        raise InputError(f"Expected the name of a column as {role}, but got {type(name).__name__}; {has}.")
    if name not in names:
        raise InputError(f"Expected a column {quoted(name)} as {role}, but {has}.")
    return (frame.select(name).collect() if hasattr(frame, "collect") else frame)[name]


def seconds(times: Any) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Returns times as numbers, and which of them are missing, each of shape ``(N,)`` [s; of dates since 1970].

    Args:
        times: Numbers, dates, or text with ISO dates and times, shape ``(N,)``; dates without a zone are UTC.

    Raises:
        InputError: They are something else.
    """
    import polars as pl

    raw, missing = arrays(times, "time")
    first = next((each for each in raw[~missing].ravel()), None) if raw.dtype.kind == "O" else None
    if hasattr(first, "isoformat"):
        series = pl.Series([None if gone else each for each, gone in zip(raw.tolist(), missing, strict=True)])
        raw = series.cast(pl.Datetime("us")).to_numpy()
    if raw.dtype.kind == "M":
        return np.where(missing, np.nan, raw.astype("datetime64[us]").astype(np.int64) / 1e6), missing
    if raw.dtype.kind in "UT" or isinstance(first, str):
        text = pl.Series(
            [None if gone else str(each) for each, gone in zip(raw.tolist(), missing, strict=True)], dtype=pl.String
        )
        found, wrong = NumberFormat().numbers(text, Times())
        if wrong is not None:
            raise InputError(
                f"Expected numbers or ISO dates and times as time, but got {text[wrong]!r} at index {wrong}."
            )
        return found, np.isnan(found)
    return numbers(times, "time")

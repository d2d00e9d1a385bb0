"""Tables that are in memory: pandas', Polars' and Arrow's, dicts of arrays, and NumPy's records."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from thermofit_pl.errors import InputError, Setting
from thermofit_pl.formatting import quoted
from thermofit_pl.functional.arrays import arrays, numbers
from thermofit_pl.tables.cells import NumberFormat
from thermofit_pl.tables.times import Times

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray


class Frame(Protocol):
    """What gives a column by its name."""

    def __getitem__(self, name: Any, /) -> Any: ...


if TYPE_CHECKING:
    TablePath = str | os.PathLike[str] | Frame
else:
    TablePath = str  # jsonargparse takes what annotations say from the command line, where a path can be typed alone


class MemoryPath(type(Path())):  # type: ignore[misc]  # before Python 3.12, only the platform's own class can be made
    """A table in memory in the place of a file's path, by what it is called in sentences.

    Attributes:
        frame: The table.
    """

    name = ""  # a calibration then records no file
    frame: Frame

    @classmethod
    def of(cls, frame: Frame) -> MemoryPath:
        """Names a table."""
        path = cls("the table")
        path.frame = frame
        return path

    def __reduce__(self) -> tuple[Any, ...]:
        return MemoryPath.of, (self.frame,)


def is_frame(values: object) -> bool:
    """Whether it is a table in memory, and no array."""
    return isinstance(values, Mapping) or bool(names_of(values))


def as_path(table: TablePath) -> str | MemoryPath:
    """Returns what says where a table is: its path as text, or one that holds it, if it is in memory.

    Raises:
        InputError: It is none of them.
    """
    if isinstance(table, MemoryPath):
        return table
    if isinstance(table, (str, os.PathLike)):
        return os.fspath(table)
    if not is_frame(table):
        raise InputError(
            Setting("path"),
            ": expected a path, a table of pandas, Polars or Arrow, or a dict of arrays, but got "
            f"{type(table).__name__}.",
        )
    return MemoryPath.of(table)


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


def as_polars(frame: Any, columns: Iterable[str]) -> pl.DataFrame:
    """Returns some columns of a table; nothing is copied that is Polars' or Arrow's.

    Args:
        frame: The table.
        columns: Their names; of those that it lacks, none is returned.

    Raises:
        InputError: They are of different lengths, or one is no column.
    """
    import polars as pl

    has = names_of(frame)
    names = [name for name in dict.fromkeys(columns) if name in has]
    if hasattr(frame, "collect"):
        frame = frame.select(names).collect()
    found = [_series(frame[name], name) for name in names]
    lengths = {len(series): series.name for series in found}
    if len(lengths) > 1:
        told = ", ".join(f"{n} of {quoted(name)}" for n, name in lengths.items())
        raise InputError(f"Expected a table whose columns are of one length, but got {told}.")
    return pl.DataFrame(found)


def _series(values: Any, name: str) -> pl.Series:
    """A column; null where a cell is masked, null or None."""
    import polars as pl

    if isinstance(values, pl.Series) or type(values).__module__.startswith("pyarrow."):
        return pl.Series(name, values)
    raw, missing = arrays(values, name)
    if raw.ndim != 1:
        raise InputError(f"Expected one column {quoted(name)} of shape (N,), but got {raw.shape}.")
    if raw.dtype.kind == "M":
        return pl.Series(name, raw.astype("datetime64[us]"))
    if raw.dtype.kind == "f" and raw.dtype != np.float32:
        raw = raw.astype(np.float64)
    if raw.dtype.kind not in "iufb":  # of texts and of Python's objects each by itself
        cells = [None if gone else cell for cell, gone in zip(raw.tolist(), missing, strict=True)]
        return pl.Series(name, cells, strict=False)
    series = pl.Series(name, raw.astype(raw.dtype.newbyteorder("=")))
    return series.set(pl.Series(missing), None) if missing.any() else series


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

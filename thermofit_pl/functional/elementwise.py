"""Functions that operators alone don't give, over NumPy arrays, Polars expressions and torch tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def log(values: Any) -> Any:
    """Returns natural logarithms; of numbers, as of NumPy's."""
    if hasattr(values, "log"):  # Polars' and torch's
        return values.log()
    import numpy as np

    return np.log(values)


def by_rows(function: Callable[..., Any], *arguments: Any) -> Any:
    """Returns a function of arrays; of Polars expressions, by NumPy: written out, iterations would grow beyond use."""
    expressions = [k for k, argument in enumerate(arguments) if hasattr(argument, "map_batches")]
    if not expressions:
        return function(*arguments)
    import numpy as np
    import polars as pl

    def of_columns(columns: Any) -> pl.Series:
        values = list(arguments)
        for k, column in zip(expressions, columns, strict=True):
            values[k] = column.cast(pl.Float64).to_numpy()
        with np.errstate(all="ignore"):
            found = np.broadcast_to(function(*values), max(len(column) for column in columns))
        return pl.Series(found, nan_to_null=True)

    chosen = [arguments[k] for k in expressions]
    return pl.map_batches(chosen, of_columns, return_dtype=pl.Float64, is_elementwise=True)

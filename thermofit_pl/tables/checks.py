"""What a reading must be: finite, small enough to compute with, and not colder than absolute zero."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from thermofit_pl.errors import InputError, Setting
from thermofit_pl.formatting import printable, quoted
from thermofit_pl.tables.cells import Part

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thermofit_pl.tables.cells import Columns, Rows

ABSOLUTE_ZERO = -273.15  # °C
LARGEST = 1e150  # the square of a larger number is infinite


def check(path: Path, part: Part, reference: str | None, *, drop: bool) -> tuple[Columns, Rows]:
    """Lets sound values through, at the cost of their minimum and maximum.

    Args:
        path: The file that they stand in.
        part: The values.
        reference: The column with temperatures in °C, if there is one.
        drop: Whether to leave out rows with a missing or infinite value.

    Returns:
        The values of the rows that are left, and those rows.

    Raises:
        InputError: A value can't be used; the first such row's.
    """
    values, rows = part.values, part.rows
    if is_sound(values, reference):
        return values, rows
    if drop:
        keep = np.logical_and.reduce([np.isfinite(column) for column in values.values()])
        values, rows = {name: column[keep] for name, column in values.items()}, np.asarray(rows)[keep]
    worst = [(int(np.argmin(good)), name) for name, good in _good(values, reference) if not good.all()]
    if worst:
        index, name = min(worst)
        raise _complaint(path, int(rows[index]), name, float(values[name][index]))
    return values, rows


def is_sound(values: Columns, reference: str | None) -> bool:
    """Whether every value can be used."""
    for name, column in values.items():
        lowest = ABSOLUTE_ZERO if name == reference else -LARGEST
        if column.size and not (column.min() >= lowest and column.max() <= LARGEST):  # NaN is neither
            return False
    return True


def _good(values: Columns, reference: str | None) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    for name, column in values.items():
        lowest = ABSOLUTE_ZERO if name == reference else -LARGEST
        yield name, (column >= lowest) & (column <= LARGEST)


def _complaint(path: Path, row: int, column: str, value: float) -> InputError:
    cell = f"{printable(path)}, row {row}: expected a number in column {quoted(column)}, but"
    if np.isnan(value):
        return InputError(
            f"{cell} it is missing (empty, NaN, or a word such as unavailable); complete it, or leave such readings "
            "out with ",
            Setting("missing", "drop"),
            ".",
        )
    if np.isinf(value):
        return InputError(
            f"{cell} it is infinite or too large; correct it, or leave such readings out with ",
            Setting("missing", "drop"),
            ".",
        )
    if abs(value) > LARGEST:
        return InputError(
            f"{cell} got {value:g}, whose square is too large to compute with; correct it or delete the row."
        )
    return InputError(
        f"{printable(path)}, row {row}: expected a reference in °C in column {quoted(column)}, but {value:.10g} is "
        f"below {ABSOLUTE_ZERO} °C; convert it to °C or correct it."
    )

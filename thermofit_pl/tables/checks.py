"""What a reading must be: finite, small enough to compute with, and not colder than absolute zero."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from thermofit_pl.errors import InputError, Setting
from thermofit_pl.formatting import printable, quoted
from thermofit_pl.functional.units import ABSOLUTE_ZERO, CELSIUS
from thermofit_pl.tables.cells import Part

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thermofit_pl.tables.cells import Columns, Rows

LARGEST = 1e150  # the square of a larger number is infinite
TINY = 1e-150  # and that of a smaller one is 0


class Bounds(NamedTuple):
    """What values must be: from ``least`` to ``most``, and the words for that."""

    least: float
    most: float
    words: str


def check(
    path: Path,
    part: Part,
    reference: str | None,
    *,
    drop: bool,
    unit: str = CELSIUS,
    bounds: Mapping[str, Bounds] = MappingProxyType({}),
) -> tuple[Columns, Rows]:
    """Lets sound values through, at the cost of their minimum and maximum.

    Args:
        path: The file that they stand in.
        part: The values.
        reference: The column with the references, if there is one.
        drop: Whether to leave out rows with a missing or infinite value.
        unit: The references'; a temperature in it is not below absolute zero.
        bounds: What else the values of columns must be.

    Returns:
        The values of the rows that are left, and those rows.

    Raises:
        InputError: A value can't be used; the first such row's.
    """
    values, rows = part.values, part.rows
    zero = ABSOLUTE_ZERO.get(unit, -LARGEST)
    least = {name: zero if name == reference else -LARGEST for name in values}
    least |= {name: bound.least for name, bound in bounds.items()}
    most = {name: bound.most for name, bound in bounds.items()}
    if is_sound(values, least, most):
        return values, rows
    if drop:
        keep = np.logical_and.reduce([np.isfinite(column) for column in values.values()])
        values, rows = {name: column[keep] for name, column in values.items()}, np.asarray(rows)[keep]
    worst = [(int(np.argmin(good)), name) for name, good in _good(values, least, most) if not good.all()]
    if worst:
        index, name = min(worst)
        raise _complaint(path, int(rows[index]), name, float(values[name][index]), unit, bounds.get(name))
    return values, rows


def is_sound(values: Columns, least: Mapping[str, float], most: Mapping[str, float]) -> bool:
    """Whether every value can be used: none is below the least of its column, or above the most."""
    for name, column in values.items():
        if column.size and not (column.min() >= least[name] and column.max() <= most.get(name, LARGEST)):
            return False  # NaN is neither
    return True


def _good(
    values: Columns, least: Mapping[str, float], most: Mapping[str, float]
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    for name, column in values.items():
        yield name, (column >= least[name]) & (column <= most.get(name, LARGEST))


def _complaint(path: Path, row: int, column: str, value: float, unit: str, bounds: Bounds | None) -> InputError:
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
    if bounds is not None:
        return InputError(
            f"{printable(path)}, row {row}: expected {bounds.words} in column {quoted(column)}, but got {value:g}; "
            "correct it, or leave the cell empty and such readings out with ",
            Setting("missing", "drop"),
            ".",
        )
    return InputError(
        f"{printable(path)}, row {row}: expected a reference in {unit} in column {quoted(column)}, but {value:.10g} is "
        f"below {ABSOLUTE_ZERO[unit]:g} {unit}; convert it to {unit} or correct it."
    )

"""What ``fit`` is given of the readings' uncertainties: numbers, shares, arrays, or the names of a table's columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict

import numpy as np

from thermofit_pl.errors import InputError
from thermofit_pl.functional.arrays import numbers
from thermofit_pl.tables.frames import column_of
from thermofit_pl.tables.stated import BOUNDS, UncertaintyOptions

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]

PREFIX = "u_"
Scale = Literal["absolute", "relative"]


class StatedArguments(TypedDict, total=False):
    """The arguments of ``fit`` that state uncertainties, named as the options of ``--data.u``."""

    u_reference: float | str | ArrayLike
    u_indication: float | str | ArrayLike
    u_correlation: float | str | ArrayLike
    u_common: float | str
    u_coverage_factor: float
    u_scatter: str | ArrayLike
    u_count: str | ArrayLike
    u_reference_resolution: float
    u_indication_resolution: float


def stated_of(given: dict[str, Any], n: int, frame: Any = None) -> tuple[UncertaintyOptions, dict[str, FloatArray]]:
    """Returns what is stated, and the columns of it by what they are of, each of shape ``(N,)``.

    Args:
        given: The arguments, by name.
        n: How many readings there are.
        frame: The table whose columns they name, if there is one.

    Raises:
        InputError: One can't be used.
    """
    options: dict[str, Any] = {}
    columns: dict[str, FloatArray] = {}
    for name, value in given.items():
        if value is None:
            continue
        of = name.removeprefix(PREFIX)
        array = not isinstance(value, str) and np.ndim(value) > 0
        options[of] = name if array else value
        if array and of in BOUNDS:
            columns[of] = _checked(name, value, n)
    made = UncertaintyOptions(**options)
    for of, column in made.columns.items():
        if of not in columns:
            name = f"{PREFIX}{of}"
            if frame is None:
                raise InputError(
                    f"{name}: expected a number, a share such as '0.1%', both as '0.05+0.1%', or an array, but got "
                    f"{column!r}"
                )
            columns[of] = _checked(name, column_of(frame, name, column), n)
    return made, columns


def refuse_together(options: UncertaintyOptions, *, relative: bool, log: bool) -> None:
    """Refuses what is not defined together.

    Args:
        options: What is stated.
        relative: Whether the errors give the scale of the weights.
        log: Whether the readings are a log.

    Raises:
        InputError: They are.
    """
    if relative and not options.by_reading:
        raise InputError(
            "uncertainties: expected stated uncertainties to rescale beside 'relative', but got none; state them as "
            "u_reference"
        )
    if log and options.by_reading and not options.one_number:
        raise InputError(
            "time: expected u_reference as one number beside it, and nothing else of single readings, but got more; "
            "a log of weighted readings is not defined"
        )


def _checked(name: str, values: Any, n: int) -> FloatArray:
    found, missing = numbers(values, name)
    if found.shape != (n,):
        raise InputError(f"Expected {name} of shape ({n},), as there are so many indications, but got {found.shape}")
    if missing.any():
        raise InputError(f"Expected {name} for each reading, but got none at index {int(missing.argmax())}")
    bounds = BOUNDS[name.removeprefix(PREFIX)]
    wrong = np.flatnonzero(~((found >= bounds.least) & (found <= bounds.most)))
    if wrong.size:
        raise InputError(f"Expected {bounds.words} as {name}, but got {found[wrong[0]]:g} at index {wrong[0]}")
    return found

"""What is stated of the readings' uncertainties: by numbers and columns, made one number a reading."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from thermofit_pl.errors import InputError, Setting
from thermofit_pl.functional.stated import Stated, parse, positive

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class UncertaintyOptions:
    """What is known beforehand of the readings' uncertainties.

    Args:
        reference: Standard uncertainty of each reading's reference, independent from reading to reading: a number in
            its unit, a share such as 0.1%, both as 0.05+0.1%, or a column.
        coverage_factor: What stated uncertainties are divided by, such as 2 where they are expanded ones with k = 2.
    """

    reference: float | str | None = None
    coverage_factor: float = 1.0

    def __post_init__(self) -> None:
        positive(self.coverage_factor, Setting("u.coverage_factor"))
        if self.coverage_factor != 1 and not self:
            raise InputError(
                Setting("u.coverage_factor"),
                ": expected an uncertainty to divide, but got none; state it with ",
                Setting("u.reference"),
            )
        _ = self.stated  # complains

    def __bool__(self) -> bool:
        return self.reference is not None

    @cached_property
    def stated(self) -> dict[str, Stated]:
        """What is stated, as standard uncertainties, by what it is of."""
        given = {"reference": self.reference}
        return {
            name: parse(value, Setting(f"u.{name}"), self.coverage_factor)
            for name, value in given.items()
            if value is not None
        }

    @property
    def columns(self) -> dict[str, str]:
        """The columns that are needed, by what they are of."""
        return {name: each.column for name, each in self.stated.items() if each.column is not None}

    def of_references(self, reference: FloatArray, columns: Mapping[str, FloatArray]) -> FloatArray | None:
        """Returns the standard uncertainty of each reference, shape ``(N,)``; None where nothing is stated.

        Args:
            reference: Shape ``(N,)``.
            columns: Those of ``columns``, by what they are of, shape ``(N,)`` each.
        """
        stated = self.stated.get("reference")
        return None if stated is None else stated.at(reference, columns.get("reference"))

"""What is stated of the readings' uncertainties: by numbers and columns, made one number a reading."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from thermofit_pl.errors import InputError, Setting
from thermofit_pl.formatting import quoted
from thermofit_pl.functional.stated import Stated, of_mean, of_resolution, parse, positive
from thermofit_pl.functional.uncertainty_names import said
from thermofit_pl.tables.checks import LARGEST, TINY, Bounds
from thermofit_pl.tables.finding import WRITTEN

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from thermofit_pl.curves.base import Curve

    FloatArray = NDArray[np.float64]

TOLD = 5  # columns that are named
EXPANDED = ("reference", "indication", "common")  # what the coverage factor divides
POSITIVE = Bounds(TINY, LARGEST, "a positive uncertainty")
BOUNDS = {  # of columns, by what they are of
    "reference": POSITIVE,
    "indication": POSITIVE,
    "scatter": Bounds(0.0, LARGEST, "a standard deviation from 0"),
    "count": Bounds(1.0, LARGEST, "a number of readings from 1"),
    "correlation": Bounds(-1 + 1e-9, 1 - 1e-9, "a correlation between -1 and 1"),
}


class OfReadings(NamedTuple):
    """Standard uncertainties of readings, shape ``(N,)`` each; None where nothing is stated.

    Attributes:
        u_reference: Of the references [°C].
        u_indication: Of the indications [indicated unit].
        correlation: Of the two errors of one reading.
    """

    u_reference: FloatArray | None = None
    u_indication: FloatArray | None = None
    correlation: FloatArray | None = None


@dataclass(frozen=True)
class UncertaintyOptions:
    """What is known beforehand of the readings' uncertainties.

    Args:
        reference: Standard uncertainty of each reading's reference, independent from reading to reading: a number in
            its unit, a share such as 0.1%, both as 0.05+0.1%, or a column. Readings are weighed by it.
        indication: The same of each reading's indication, beside that of the reference: the curve is then York's, a
            line with the same uncertainties throughout Deming's.
        correlation: Of the two errors of one reading: a number between -1 and 1, or a column.
        common: Standard uncertainty of what all references share, such as the certificate of the standard: a number, a
            share, or both. It is added to that of every estimate.
        coverage_factor: What these uncertainties are divided by, such as 2 where they are expanded ones with k = 2.
        scatter: Column with the standard deviation of the single readings whose means the references are.
        count: Column with their number; without their scatter, readings are weighed by it.
        reference_resolution: Step of the reference's display: a reference has at least step/√12.
        indication_resolution: Step of the indication's display, likewise.
    """

    reference: float | str | None = None
    indication: float | str | None = None
    correlation: float | str | None = None
    common: float | str | None = None
    coverage_factor: float = 1.0
    scatter: str | None = None
    count: str | None = None
    reference_resolution: float | None = None
    indication_resolution: float | None = None

    def __post_init__(self) -> None:
        positive(self.coverage_factor, Setting("u.coverage_factor"))
        for name in ("reference_resolution", "indication_resolution"):
            if (step := getattr(self, name)) is not None:
                positive(step, Setting(f"u.{name}"))
        if self.coverage_factor != 1 and all(getattr(self, name) is None for name in EXPANDED):
            raise _expected(
                "u.coverage_factor", "an uncertainty to divide, but got none; state it with ", "u.reference"
            )
        if (common := self.stated.get("common")) is not None and common.column is not None:
            raise InputError(
                Setting("u.common"),
                ": expected a number such as 0.05, a share such as 0.1%, or both as 0.05+0.1%, as all references share "
                f"it, but got {self.common!r}",
            )
        if self.indication is not None and not self.by_reading:
            raise _expected(
                "u.indication", "the reference's uncertainty beside it, but got none; state it with ", "u.reference"
            )
        if self.correlation is not None and self.indication is None:
            raise _expected("u.correlation", "uncertainties of both axes, but got none of the ", "u.indication")
        if self.scatter is not None and self.count is None:
            raise _expected("u.scatter", "how many readings each mean is of; name their column with ", "u.count")
        if self.count is not None and self.scatter is None and (self.reference, self.indication) != (None, None):
            raise _expected("u.count", "the scatter of the readings that were averaged beside it, as ", "u.scatter")
        if isinstance(self.correlation, float | int) and not -1 < self.correlation < 1:
            raise InputError(
                Setting("u.correlation"), f": expected a number between -1 and 1, but got {self.correlation:g}"
            )

    def __bool__(self) -> bool:
        return any(getattr(self, each.name) is not None for each in fields(self) if each.name != "coverage_factor")

    @cached_property
    def stated(self) -> dict[str, Stated]:
        """What is stated, as standard uncertainties, by what it is of."""
        given = ((name, getattr(self, name)) for name in EXPANDED)
        return {
            name: parse(value, Setting(f"u.{name}"), self.coverage_factor) for name, value in given if value is not None
        }

    @property
    def columns(self) -> dict[str, str]:
        """The columns that are needed, by what they are of."""
        named = {name: each.column for name, each in self.stated.items()}
        named |= {"scatter": self.scatter, "count": self.count}
        if isinstance(self.correlation, str):
            named["correlation"] = self.correlation
        return {name: column for name, column in named.items() if column is not None}

    def remarks(self, columns: Sequence[str]) -> Iterator[str]:
        """Yields what there is to say of columns whose names speak of uncertainties.

        Args:
            columns: Those of the table that have no other role.
        """
        used = set(self.columns.values())
        divided = {stated.column for stated in self.stated.values() if stated.column is not None}
        for name in sorted(divided):
            found = said(name)
            k = None if found is None else found.coverage_factor or (2.0 if found.expanded else None)
            if k is not None and k != self.coverage_factor:
                what = f"k = {k:g}" if found is not None and found.coverage_factor else "a capital U or a word"
                yield (
                    f"The name of column {quoted(name)} speaks of expanded uncertainties ({what}), but they are "
                    f"divided by {self.coverage_factor:g}: --data.u.coverage_factor says by what else."
                )
        left = [name for name in columns if name not in used and name.rpartition(".")[2] not in WRITTEN[0]]
        idle = [name for name in left if said(name) is not None]  # what apply wrote is u of estimates, not of readings
        if idle:
            named = ", ".join(map(quoted, idle[:TOLD]))
            what = "Column" if len(idle) == 1 else "Columns"
            verb = "speaks of an uncertainty, but is" if len(idle) == 1 else "speak of uncertainties, but are"
            yield (
                f"{what} {named} {verb} not used: --data.u.reference states that of each reference, "
                "--data.u.indication that of each indication."
            )

    @property
    def by_reading(self) -> bool:
        """Whether readings have an uncertainty of their own, by which they are weighed."""
        return self.reference is not None or self.count is not None

    def refuse_curve(self, curve: Curve) -> None:
        """Refuses a curve for which what is stated isn't defined.

        Args:
            curve: The curve.

        Raises:
            InputError: It isn't.
        """
        if not (curve.linked or curve.inverted):
            return
        for name in ("indication", "common", "reference_resolution", "indication_resolution"):
            if getattr(self, name) is not None:
                raise InputError(
                    Setting(f"u.{name}"),
                    f": expected a curve whose estimate is linear in its coefficients, but got {curve.noun}, of which "
                    "it is not defined; leave it out",
                )

    @property
    def on_both_axes(self) -> bool:
        """Whether indications have one too."""
        return self.indication is not None

    @property
    def made(self) -> tuple[str, ...]:
        """The attributes of ``OfReadings`` that readings get."""
        has = self.by_reading, self.on_both_axes, self.correlation is not None
        return tuple(name for name, there in zip(OfReadings._fields, has, strict=True) if there)

    @property
    def one_number(self) -> bool:
        """Whether all that is stated of readings is one number for their references."""
        stated = self.stated.get("reference")
        return stated is not None and stated.is_number and not self.columns and not self.on_both_axes

    @property
    def weights_alone(self) -> bool:
        """Whether only ratios of uncertainties are known."""
        return self.count is not None and self.scatter is None

    def ratio(self) -> float | None:
        """Returns (u of the indication/u of the reference)², if it is one number for all readings; else None."""
        stated = self.stated
        if self.columns or self.correlation is not None or not all(each.is_number for each in stated.values()):
            return None
        u_x, u_y = (stated[name].absolute for name in ("indication", "reference"))
        return (max(u_x, self.step("indication")) / max(u_y, self.step("reference"))) ** 2

    def of_one(self) -> float:
        """Returns the standard uncertainty of each reference, where it is one number."""
        return max(self.stated["reference"].absolute, self.step("reference"))

    def step(self, axis: str) -> float:
        """Returns the standard uncertainty that the resolution of an axis stands for; 0 where it is unknown."""
        return of_resolution(getattr(self, f"{axis}_resolution") or 0.0)

    def of_readings(
        self, indication: FloatArray, reference: FloatArray, columns: Mapping[str, FloatArray]
    ) -> OfReadings:
        """Returns the standard uncertainties of readings.

        Args:
            indication: Shape ``(N,)``.
            reference: Shape ``(N,)``.
            columns: Those of ``columns``, by what they are of, shape ``(N,)`` each.
        """
        import numpy as np

        if not self.by_reading:
            return OfReadings()
        if self.weights_alone:
            return OfReadings(columns["count"] ** -0.5)
        parts = []
        if (stated := self.stated.get("reference")) is not None:
            parts.append(stated.at(reference, columns.get("reference")))
        if self.scatter is not None:
            parts.append(of_mean(columns["scatter"], columns["count"]))
        u = np.maximum(np.sqrt(np.sum(np.square(parts), axis=0)), self.step("reference"))
        if (shown := self.stated.get("indication")) is None:
            return OfReadings(u)
        u_shown = np.maximum(shown.at(indication, columns.get("indication")), self.step("indication"))
        if self.correlation is None:
            return OfReadings(u, u_shown)
        one = None if isinstance(self.correlation, str) else np.full(len(u), float(self.correlation))
        return OfReadings(u, u_shown, columns["correlation"] if one is None else one)


def _expected(name: str, what: str, other: str) -> InputError:
    return InputError(Setting(name), f": expected {what}", Setting(other))

"""The tolerance classes of platinum thermometers, IEC 60751:2008, with a guard."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

NOMINAL = (10.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 10000.0)  # ohm at 0 °C, as they are sold
EDGE = 0.5  # °C beyond the ends of a class's range that don't count
NEAR = 0.05  # of a nominal resistance: further away, R0 is no deviation from it


class Class(NamedTuple):
    """A tolerance class, of thermometers with wire-wound resistors.

    Attributes:
        name: Of the class.
        constant: Tolerance at 0 °C [°C].
        share: What each degree away from 0 °C adds to it.
        low: The lowest temperature at which the class is defined [°C].
        high: The highest.
    """

    name: str
    constant: float
    share: float
    low: float
    high: float

    def limit(self, t: FloatArray) -> FloatArray:
        """Returns the tolerance at temperatures [°C]."""
        return self.constant + self.share * abs(t)


CLASSES = (
    Class("AA", 0.1, 0.0017, -50.0, 250.0),
    Class("A", 0.15, 0.002, -100.0, 450.0),
    Class("B", 0.3, 0.005, -196.0, 600.0),
    Class("C", 0.6, 0.01, -196.0, 600.0),
)


class Conformity(NamedTuple):
    """Within which class a thermometer is.

    Attributes:
        name: The narrowest class that its deviations are within; None where there is none.
        guarded: The narrowest that they are within with a guard band of U on each side; None likewise.
        margin: How far inside the limit of ``name`` the nearest deviation is [°C]; NaN without a class.
        at: Where that is [°C].
    """

    name: str | None
    guarded: str | None
    margin: float
    at: float


def nominal(r0: float) -> float | None:
    """Returns the resistance at 0 °C that a thermometer was sold with, or None where there is none near [ohm]."""
    nearest = min(NOMINAL, key=lambda each: abs(r0 / each - 1))
    return nearest if abs(r0 / nearest - 1) <= NEAR else None


def conformity(t: FloatArray, deviation: FloatArray, expanded: FloatArray) -> Conformity:
    """Returns within which class of IEC 60751 a thermometer is, over temperatures at which its deviation is known.

    A class counts where it is defined at all of them. The guard band is U, so that a thermometer at the limit is let
    pass in no more than one case in forty where U has a coverage of 95 % (ISO 14253-1, JCGM 106).

    Args:
        t: Temperatures, shape ``(N,)`` [°C].
        deviation: What IEC 60751 makes of the thermometer's resistances, less these, shape ``(N,)`` [°C].
        expanded: Expanded uncertainties U of the deviations, shape ``(N,)`` [°C].
    """
    import numpy as np

    found: list[str | None] = [None, None]
    margin, at = float("nan"), float("nan")
    for each in reversed(CLASSES):
        if t.min() < each.low - EDGE or t.max() > each.high + EDGE:
            continue
        room = each.limit(t) - np.abs(deviation)
        if (room >= 0).all():
            found[0] = each.name
            margin, at = float(room.min()), float(t[room.argmin()])
        if (room - expanded >= 0).all():
            found[1] = each.name
    return Conformity(found[0], found[1], margin, at)

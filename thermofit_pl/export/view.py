"""A calibration as all targets see it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from thermofit_pl.export.formula import CannotHoldError, FloatArray, Formula, Platinum, Powers, SteinhartHart
from thermofit_pl.export.numbers import between, slug
from thermofit_pl.functional.units import ABSOLUTE_ZERO, CELSIUS

if TYPE_CHECKING:
    from thermofit_pl.calibration.calibration import Calibration
    from thermofit_pl.calibration.correction import Corrected
    from thermofit_pl.curves.base import Curve

TENTH = 0.1  # of u: what the numbers of a target may add to it unnoticed
SHARE = 1e-4  # of the range's span in the reference's unit: the same where u is unknown, or 0
GRID = 2001  # points of the range at which a text is proven, evenly and, of positive indications, by ratio too


@dataclass(frozen=True)
class View:
    """One calibrated instrument.

    Attributes:
        name: The instrument's, or that of the column that the indications came from.
        identifier: The name as every target takes it.
        formula: Its curve; None for a curve of the user's own.
        correct: The calibration's own answer for indications of shape ``(N,)``, in float64.
        low: The smallest indication of the calibrated range.
        high: The largest.
        checksum: The calibration's.
        version: Of this package, when it made the calibration.
        unit: The reference's.
        indication_unit: The indication's; None where it is unknown.
    """

    name: str
    identifier: str
    formula: Formula | None
    correct: Callable[[FloatArray], Corrected]
    low: float
    high: float
    checksum: str
    version: str
    unit: str = "°C"
    indication_unit: str | None = None

    @property
    def known(self) -> Formula:
        """Its curve, for targets that take no other.

        Raises:
            CannotHoldError: It is one of the user's own.
        """
        if self.formula is None:
            raise CannotHoldError("it knows no such curve")
        return self.formula

    def grid(self) -> FloatArray:
        """The indications at which a text is proven, ascending."""
        if not self.high > self.low:
            return np.array([self.low])
        even = np.linspace(self.low, self.high, GRID)
        if self.low <= 0:
            return even
        return np.unique(np.concatenate([even, np.geomspace(self.low, self.high, GRID).clip(self.low, self.high)]))

    def estimate(self, x: FloatArray) -> FloatArray:
        """What the calibration makes of indications."""
        return np.asarray(self.correct(x).estimate, np.float64)

    def tolerance(self, x: FloatArray) -> FloatArray:
        """What a text may differ at indications [the reference's unit]."""
        found = self.correct(x)
        u = np.asarray(found.u_single, np.float64)
        ends = self.estimate(np.array([self.low, self.high]))
        span = abs(float(ends[1] - ends[0])) or abs(float(ends[0])) or 1.0
        return np.where(np.isfinite(u) & (u > 0), TENTH * u, SHARE * span)

    def nodes(self, degree: int) -> FloatArray:
        """Indications that pin down a polynomial: both ends and Chebyshev's points between, rounded."""
        low, high = (self.low, self.high) if self.high > self.low else (self.low, self.low + 1.0)
        half = (high - low) / 2
        inside = [between(low + half * (1 - math.cos(math.pi * k / degree)), high - low) for k in range(1, degree)]
        return np.array([low, *inside, high])


def formula_of(curve: Curve, coefficients: Sequence[float]) -> Formula | None:
    """Returns a curve as targets hold it, or None for one that none of them knows.

    Args:
        curve: The curve.
        coefficients: b and w.
    """
    from thermofit_pl.curves.callendar_van_dusen import CallendarVanDusen
    from thermofit_pl.curves.line import Line
    from thermofit_pl.curves.offset import Offset
    from thermofit_pl.curves.polynomial import Polynomial
    from thermofit_pl.curves.proportional import Proportional
    from thermofit_pl.curves.thermistor import KELVIN, Thermistor

    if isinstance(curve, Thermistor):
        of = dict(zip((0, *curve.powers), curve.kelvin_coefficients(np.array(coefficients)).tolist(), strict=True))
        terms = (of[0], of[1], of.get(3, 0.0), of.get(2, 0.0))
        return SteinhartHart(*terms, kelvin=KELVIN[curve.unit], zero=-ABSOLUTE_ZERO[curve.unit])
    if isinstance(curve, CallendarVanDusen):
        return Platinum(*curve.platinum(coefficients)) if curve.unit == CELSIUS else None
    if isinstance(curve, Polynomial) and curve.centre is not None:
        # about the centre of its own basis the powers lose no digits, however far from 0 that is
        there = Polynomial(curve.degree, 0.0, curve.half)
        return Powers(tuple(there.conventional(np.array(coefficients)).tolist()), curve.centre)
    return Powers(tuple(coefficients)) if isinstance(curve, (Line, Offset, Proportional)) else None


def _coefficients(calibration: Calibration) -> list[float]:
    """Returns b and w."""
    c: Any = calibration  # which fields there are, the curve says
    if c.b is not None:
        return [c.b, c.w]
    return [c.level - math.fsum(w * at for w, at in zip(c.w, c.pivot, strict=True)), *c.w]


def view(calibration: Calibration, name: str | None = None, identifier: str | None = None) -> View:
    """Returns one calibration as the targets see it.

    Args:
        calibration: The calibration.
        name: The instrument's; by default the column's.
        identifier: By default made of the name.
    """
    name = name or calibration.indication_column or "probe"
    return View(
        name=name,
        identifier=identifier or slug(name),
        formula=formula_of(calibration.curve, _coefficients(calibration)),
        correct=lambda x: calibration.correct(x, "ignore"),
        low=calibration.indication_range[0],
        high=calibration.indication_range[1],
        checksum=calibration.checksum,
        version=calibration.version,
        unit=calibration.unit,
        indication_unit=calibration.indication_unit,
    )

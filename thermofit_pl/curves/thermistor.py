"""What the equations of NTC thermistors share: 1/T is linear in the coefficients, the errors are those of T."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from thermofit_pl.curves.base import Curve
from thermofit_pl.errors import InputError
from thermofit_pl.functional.elementwise import log
from thermofit_pl.functional.units import ABSOLUTE_ZERO, CELSIUS, Units

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

KELVIN = {CELSIUS: 1.0, "K": 1.0, "°F": 1.8}  # one, in each unit
ROOM = 298.15  # K, at which thermistors are quoted
COLD = 150.0  # K: no NTC thermistor is used below it
SMALL = 50.0  # ohm at 25 °C, below which resistances are taken for kiloohms
OHM = ("Ω", "ohm", "Ohm", "ohms", "Ohms", "OHM", "R")
POINTS = 33  # of the range at which the curve is looked at


class Thermistor(Curve):
    """An equation 1/T = a + Σ … in powers of ln R, R in ohm and T in kelvin, fitted in the reference's unit.

    The coefficients are those of the level T₀²·(1/T₀ − 1/T) + T₀, whose unit is the reference's, and which differs
    from T to second order: w, b and the loss of SGD are then in that unit too.
    """

    linked = True
    sensor = "thermistor"
    powers: tuple[int, ...] = (1,)  # of ln R, one a feature
    unit: str = CELSIUS
    centre: float | None = None

    def features(self, indication: Any) -> list[Any]:
        """Returns the powers of ln R."""
        logarithm = log(indication)
        return [_power(logarithm, k) for k in self.powers]

    def slopes(self, indication: Any) -> list[Any]:
        """Returns their derivatives, k·(ln R)^(k − 1)/R."""
        logarithm = log(indication)
        return [k * _power(logarithm, k - 1) / indication for k in self.powers]

    def estimate(self, level: Any) -> Any:
        """Returns the temperature of a level."""
        zero, centre = self._zero_and_centre()
        return centre * centre / (2 * centre - zero - level) - zero

    def estimate_slope(self, level: Any) -> Any:
        """Returns (T/T₀)²."""
        zero, centre = self._zero_and_centre()
        ratio = centre / (2 * centre - zero - level)
        return ratio * ratio

    def level(self, reference: Any) -> Any:
        """Returns the level of a temperature."""
        zero, centre = self._zero_and_centre()
        return 2 * centre - zero - centre * centre / (reference + zero)

    def working(
        self, indication: Any, reference: Any, about: Sequence[Any] | None = None
    ) -> tuple[list[Any], Any, Any]:
        """Returns the rows of a pass of Gauss and Newton; of the first, at the references themselves."""
        features = self.features(indication)
        if about is None:
            zero, centre = self._zero_and_centre()
            slope = (reference + zero) / centre
            return features, self.level(reference), (slope * slope) ** 2
        level = about[0]
        for w, feature in zip(about[1:], features, strict=True):
            level = level + w * feature
        slope = self.estimate_slope(level)
        return features, level - (self.estimate(level) - reference) / slope, slope * slope

    def framed(self, low: float, high: float, reference: float | None = None) -> Thermistor:
        """Returns the curve with T₀ at the mean of the first references, unless it has one.

        Raises:
            InputError: If the references are no temperatures in kelvin, though they are said to be.
        """
        del low, high
        if self.centre is not None:
            return self
        room = ROOM * KELVIN[self.unit] + ABSOLUTE_ZERO[self.unit]
        mean = room if reference is None else reference
        if self.unit == "K" and mean < COLD:
            raise InputError(
                f"{type(self).__name__}: expected references in kelvin, but their mean is {mean:.4g}, where no "
                "thermistor works; if they are degrees Celsius, leave the unit K out"
            )
        return self._with(centre=mean)

    def over(self, low: Any, high: Any, share: Any) -> Any:
        """Returns resistances over a range, evenly by their logarithms."""
        return low * (high / low) ** share

    def in_units(self, units: Units) -> Thermistor:
        """Returns the equation for references in °C, °F or K.

        Raises:
            InputError: For references that are no temperature, or indications that are no resistance in ohm.
        """
        name = type(self).__name__
        if not units.is_temperature:
            raise InputError(
                f"{name}: expected references in °C, °F or K, since its equation is one of temperature, but got "
                f"{units.reference}"
            )
        if units.indication is not None and units.indication not in OHM:
            raise InputError(
                f"{name}: expected resistances in ohm, for which its coefficients are, but got {units.indication}; "
                "convert the column first"
            )
        return self if self.unit == units.reference else self._with(unit=units.reference, centre=None)

    def fault(self, indication: FloatArray, reference: FloatArray) -> tuple[int, str] | None:
        """Finds a resistance that has no logarithm, and a temperature at absolute zero."""
        for values, wrong, what in (
            (indication, indication <= 0, "a resistance above 0 ohm"),
            (reference, reference <= ABSOLUTE_ZERO[self.unit], f"a reference above absolute zero in {self.unit}"),
        ):
            if wrong.any():
                at = int(wrong.argmax())
                return at, f"{type(self).__name__} expected {what}, but got {values[at]:g}"
        return None

    def unfit(
        self, coefficients: FloatArray, low: FloatArray, high: FloatArray, units: Units
    ) -> list[tuple[NDArray[np.bool_], str]]:
        """Finds thermistors whose resistance doesn't fall, and resistances in kiloohms."""
        import numpy as np

        del units
        share = np.linspace(0, 1, POINTS)[:, None]
        with np.errstate(all="ignore"):
            at = self.over(low, high, share)
            rise = sum(w * slope for w, slope in zip(coefficients.T[1:], self.slopes(at), strict=True))
            zero, centre = self._zero_and_centre()
            level = coefficients.T[0] + sum(
                w * feature for w, feature in zip(coefficients.T[1:], self.features(at), strict=True)
            )
            rises = (rise >= 0) | (level >= 2 * centre - zero)
        return [
            (
                rises.any(axis=0),
                "expected a resistance that falls while the temperature rises, as that of an NTC thermistor, but the "
                "fitted curve doesn't over the whole range; look at the columns' roles and units, or take another",
            )
        ]

    def kelvin_coefficients(self, coefficients: FloatArray) -> FloatArray:
        """Returns the coefficients of 1 and the powers of ln R in 1/T, for kelvin and ohm.

        Args:
            coefficients: b and w along the last axis.
        """
        import numpy as np

        zero, centre = self._zero_and_centre()
        scaled = -np.asarray(coefficients, np.float64) * (KELVIN[self.unit] / centre**2)
        scaled[..., 0] += (2 * centre - zero) * (KELVIN[self.unit] / centre**2)
        return scaled

    def kelvin_spread(self, spread: FloatArray) -> FloatArray:
        """Returns their changes from those of b and w."""
        _, centre = self._zero_and_centre()
        return -spread * (KELVIN[self.unit] / centre**2)

    def _zero_and_centre(self) -> tuple[float, float]:
        """Returns what is added to a reference to make it absolute, and T₀, absolute, both in the reference's unit."""
        if self.centre is None:
            raise InputError(f"{type(self).__name__}: expected a centre, which a fit sets, but it has none yet")
        zero = -ABSOLUTE_ZERO[self.unit]
        return zero, self.centre + zero

    def _with(self, **changes: Any) -> Thermistor:
        kind: Any = type(self)
        return kind(**(self.record()["init_args"] | changes))  # type: ignore[no-any-return]


def refuse_unit(name: str, unit: str, centre: float | None) -> None:
    """Refuses what is no unit of temperature, and a centre at absolute zero.

    Raises:
        InputError: For each of them.
    """
    if unit not in ABSOLUTE_ZERO:
        raise InputError(f"{name}: expected the unit °C, °F or K, but got {unit!r}")
    if centre is not None and not ABSOLUTE_ZERO[unit] < centre < float("inf"):
        raise InputError(f"{name}: expected a centre above absolute zero, but got {centre}")


def _power(value: Any, exponent: int) -> Any:
    found = value * 0.0 + 1.0 if exponent == 0 else value
    for _ in range(exponent - 1):
        found = found * value
    return found

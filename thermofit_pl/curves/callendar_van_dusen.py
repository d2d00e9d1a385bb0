"""Platinum resistance thermometers by the equation of Callendar and Van Dusen."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from thermofit_pl.curves.base import Curve
from thermofit_pl.curves.thermistor import KELVIN
from thermofit_pl.errors import InputError
from thermofit_pl.functional.elementwise import by_rows
from thermofit_pl.functional.units import ABSOLUTE_ZERO, CELSIUS, Units

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

A, B, C = 3.9083e-3, -5.775e-7, -4.183e-12  # IEC 60751, per °C, °C² and °C⁴
POINTS = 33  # of the range at which the curve is looked at
NEWTON = 5  # steps from the quadratic's root: 2e-13 °C from −200 °C on
Free = Literal["R0", "R0 A B", "R0 A B C"]


class CallendarVanDusen(Curve):
    """The equation of platinum thermometers, R = R0·(1 + A·t + B·t² + C·(t − 100)·t³), the last term below 0 °C only.

    Here the resistance is the function of the temperature, so that the *reference* is taken as exact, and the errors
    that are least are those of the resistance; ``correct`` inverts the equation.

    Args:
        free: Which coefficients are fitted: R0, 'R0 A B' or 'R0 A B C'; the others are those of IEC 60751.
        unit: That of the references: °C, °F or K; a fit sets it.
        resistance: About R0 [indicated unit], by which resistances are scaled to degrees; a fit sets it.
    """

    inverted = True
    sensor = "platinum thermometer"
    noun = "the equation of Callendar and Van Dusen"
    held = MappingProxyType({0: 0.0})  # R0 is the coefficient of a column of its own

    def __init__(self, free: Free = "R0 A B", unit: str = CELSIUS, resistance: float | None = None) -> None:
        if free not in ("R0", "R0 A B", "R0 A B C"):
            raise InputError(f"CallendarVanDusen: expected free to be R0, 'R0 A B' or 'R0 A B C', but got {free!r}")
        if unit not in ABSOLUTE_ZERO:
            raise InputError(f"CallendarVanDusen: expected the unit °C, °F or K, but got {unit!r}")
        if resistance is not None and not 0 < resistance < float("inf"):
            raise InputError(f"CallendarVanDusen: expected a positive resistance, but got {resistance}")
        self.conventional_names = tuple(free.split())
        self.unit, self.resistance = unit, resistance
        self.names = ("w",) if free == "R0" else tuple(f"w{j}" for j in range(1, len(self.conventional_names) + 1))

    conventional_names: tuple[str, ...] = ()

    @property
    def conventional_units(self) -> tuple[str, ...]:
        """Theirs; that of R0 is the indication's."""
        return ("", "1/°C", "1/°C²", "1/°C⁴")[: len(self.names)]

    def record(self) -> dict[str, Any]:
        """Returns the class's path and the arguments that make this curve; ``free`` is the names' text."""
        arguments = {"free": " ".join(self.conventional_names), "unit": self.unit, "resistance": self.resistance}
        return super().record() | {"init_args": arguments}

    def features(self, indication: Any) -> list[Any]:
        """Returns the features of indications, at the temperatures that IEC 60751 gives for them."""
        return self.features_at(indication, None)

    def features_at(self, indication: Any, about: Sequence[Any] | None) -> list[Any]:
        """Returns the features at the temperatures of indications by a solution."""
        return self._of_temperature(self._temperature(indication, self._published() if about is None else about[1:]))

    def slopes(self, indication: Any) -> list[Any]:
        """Returns their derivatives."""
        w = self._published()
        t = self._temperature(indication, w)
        slopes = self._slopes_of_temperature(t)
        rise = sum((each * slope for each, slope in zip(w[1:], slopes[1:], strict=True)), start=w[0] * slopes[0])
        return [slope / (rise * self._scale()) for slope in slopes]

    def working(
        self, indication: Any, reference: Any, about: Sequence[Any] | None = None
    ) -> tuple[list[Any], Any, Any]:
        """Returns the features of the references, and the resistances, scaled to degrees."""
        del about
        return self._of_temperature(self.celsius(reference)), indication / self._scale(), None

    def evaluate(self, indication: Any, level: Any, w: Sequence[Any], pivot: Sequence[Any]) -> tuple[Any, Any, Any]:
        """Returns the temperatures, the features there, and d temperature/d level."""
        del level, pivot  # both 0, as there is no intercept
        t = self._temperature(indication, w)
        slopes = self._slopes_of_temperature(t)
        rise = w[0] * slopes[0]
        for each, slope in zip(w[1:], slopes[1:], strict=True):
            rise = rise + each * slope
        kelvin, zero = KELVIN[self.unit], ABSOLUTE_ZERO[self.unit] - ABSOLUTE_ZERO[CELSIUS] * KELVIN[self.unit]
        return t * kelvin + zero, self._of_temperature(t), kelvin / rise

    def framed(self, low: float, high: float, reference: float | None = None) -> CallendarVanDusen:
        """Returns the curve with the resistance at 0 °C that the first readings have about, unless it has one."""
        if self.resistance is not None:
            return self
        t = 0.0 if reference is None else self.celsius(reference)
        ratio = 1 + t * (A + t * B) + C * _cold(t)
        return CallendarVanDusen(self.record()["init_args"]["free"], self.unit, (low / 2 + high / 2) / ratio or 1.0)

    def in_units(self, units: Units) -> CallendarVanDusen:
        """Returns the equation for references in °C, °F or K.

        Raises:
            InputError: For references that are no temperature.
        """
        if not units.is_temperature:
            raise InputError(
                "CallendarVanDusen: expected references in °C, °F or K, since its equation is one of temperature, but "
                f"got {units.reference}"
            )
        if self.unit == units.reference:
            return self
        return CallendarVanDusen(self.record()["init_args"]["free"], units.reference)

    def fault(self, indication: FloatArray, reference: FloatArray) -> tuple[int, str] | None:
        """Finds a resistance that isn't above 0."""
        del reference
        if (indication > 0).all():
            return None
        at = int((indication <= 0).argmax())
        return at, f"CallendarVanDusen expected a resistance above 0, but got {indication[at]:g}"

    def unfit(
        self, coefficients: FloatArray, low: FloatArray, high: FloatArray, units: Units
    ) -> list[tuple[NDArray[np.bool_], str]]:
        """Finds thermometers whose resistance doesn't rise."""
        import numpy as np

        del units
        share = np.linspace(0, 1, POINTS)[:, None]
        w = list(coefficients.T[1:])
        with np.errstate(all="ignore"):
            rise = 1 / self.evaluate(self.over(low, high, share), 0.0, w, w)[2]
        r0, r1, *_ = self._numbers(w)
        sentence = (
            "expected a resistance that rises with the temperature, as that of a platinum thermometer, but the fitted "
            "curve doesn't over the whole range; look at the columns' roles and units, or take another curve"
        )
        return [(~((rise > 0).all(axis=0) & (r0 > 0) & (r1 > 0)), sentence)]

    def conventional(self, coefficients: FloatArray) -> FloatArray:
        """Returns R0 [indicated unit] and, where they are fitted, A [1/°C], B [1/°C²] and C [1/°C⁴].

        Args:
            coefficients: b, which is 0, and w along the last axis.
        """
        import numpy as np

        w = np.asarray(coefficients, np.float64)[..., 1:]
        return np.concatenate([w[..., :1] * self._scale(), w[..., 1:] / w[..., :1]], axis=-1)

    def conventional_spread(self, coefficients: FloatArray, spread: FloatArray) -> FloatArray:
        """Returns their changes, to first order, from those of b and w."""
        import numpy as np

        w, change = np.asarray(coefficients, np.float64)[..., None, 1:], spread[..., 1:]
        ratios = (change[..., 1:] - w[..., 1:] / w[..., :1] * change[..., :1]) / w[..., :1]
        return np.concatenate([change[..., :1] * self._scale(), ratios], axis=-1)

    def platinum(self, coefficients: Sequence[float]) -> tuple[float, float, float, float]:
        """Returns R0, A, B and C, fitted or published.

        Args:
            coefficients: b and w.
        """
        r0, a, b, c = (float(number) for number in self._numbers(coefficients[1:]))
        return r0 * self._scale(), a / r0, b / r0, c / r0

    def indication(self, reference: FloatArray, coefficients: FloatArray) -> FloatArray:
        """Returns the resistances at temperatures."""
        import numpy as np

        t = self.celsius(np.asarray(reference, np.float64))
        w = np.moveaxis(np.asarray(coefficients, np.float64), -1, 0)[1:]
        features = self._of_temperature(t)
        return np.asarray(sum(each * feature for each, feature in zip(w, features, strict=True)) * self._scale())

    def published(self, indication: Any, resistance: float) -> Any:
        """Returns the temperatures that IEC 60751 gives for resistances [°C].

        Args:
            indication: The resistances.
            resistance: R0, as it was sold.
        """
        numbers = (resistance / self._scale() * of for of in (1.0, A, B, C))
        return by_rows(_inverse, indication / self._scale(), *numbers)

    def celsius(self, reference: Any) -> Any:
        """Returns references in °C."""
        return (reference - ABSOLUTE_ZERO[self.unit]) / KELVIN[self.unit] + ABSOLUTE_ZERO[CELSIUS]

    def _scale(self) -> float:
        """The change of resistance that is about one degree of the references' [indicated unit]."""
        if self.resistance is None:
            raise InputError("CallendarVanDusen: expected a resistance, which a fit sets, but it has none yet")
        return self.resistance * A / KELVIN[self.unit]

    def _published(self) -> list[float]:
        """The coefficients w of IEC 60751 for a thermometer with the resistance of the frame."""
        scale = self._scale()
        assert self.resistance is not None
        return [self.resistance / scale * of for of in (1.0, A, B, C)[: len(self.names)]]

    def _numbers(self, w: Sequence[Any]) -> tuple[Any, Any, Any, Any]:
        """Returns R0, R0·A, R0·B and R0·C, scaled, of the coefficients w."""
        if len(self.names) == 1:
            return w[0], w[0] * A, w[0] * B, w[0] * C
        return w[0], w[1], w[2], w[3] if len(self.names) == 4 else w[0] * C

    def _of_temperature(self, t: Any) -> list[Any]:
        """Returns the features at temperatures [°C]."""
        if len(self.names) == 1:
            return [1 + t * (A + t * B) + C * _cold(t)]
        if len(self.names) == 3:
            return [1 + C * _cold(t), t, t * t]
        return [t * 0.0 + 1.0, t, t * t, _cold(t)]

    def _slopes_of_temperature(self, t: Any) -> list[Any]:
        if len(self.names) == 1:
            return [A + 2 * B * t + C * _cold_slope(t)]
        if len(self.names) == 3:
            return [C * _cold_slope(t), t * 0.0 + 1.0, 2 * t]
        return [t * 0.0, t * 0.0 + 1.0, 2 * t, _cold_slope(t)]

    def _temperature(self, indication: Any, w: Sequence[Any]) -> Any:
        """Returns the temperatures of resistances [°C]: by the quadratic from 0 °C on, by Newton's method below."""
        return by_rows(_inverse, indication / self._scale(), *self._numbers(w))


def _inverse(ratio: Any, r0: Any, r1: Any, r2: Any, r4: Any) -> Any:
    excess = ratio - r0
    t = 2 * excess / (r1 + (r1 * r1 + 4 * r2 * excess) ** 0.5)  # the form that loses no digits
    for _ in range(NEWTON):  # above 0 °C it stays where it is
        value = t * (r1 + t * r2) + r4 * _cold(t) - excess
        t = t - value / (r1 + 2 * r2 * t + r4 * _cold_slope(t))
    return t


def _cold(t: Any) -> Any:
    """Returns (t − 100)·t³ below 0 °C, and 0 above."""
    below = (t - abs(t)) * 0.5
    return (t - 100) * (below * below * below)


def _cold_slope(t: Any) -> Any:
    below = (t - abs(t)) * 0.5
    return (4 * t - 300) * (below * below)

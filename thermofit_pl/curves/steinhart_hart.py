"""NTC thermistors by the equation of Steinhart and Hart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thermofit_pl.curves.thermistor import KELVIN, OHM, ROOM, SMALL, Thermistor, refuse_unit
from thermofit_pl.errors import InputError
from thermofit_pl.functional.units import ABSOLUTE_ZERO, CELSIUS, Units

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

NEWTON = 3  # steps from the closed form: its rounding goes in the first


class SteinhartHart(Thermistor):
    """The equation of an NTC thermistor, 1/T = a + b·ln R + c·(ln R)³, R in ohm, fitted in the reference's unit.

    The resistances are taken as exact, the errors as those of the temperature: it is that least-squares problem which
    is solved, by Gauss and Newton, not the linear one in 1/T.

    Args:
        terms: 3, or 4 for one more, d·(ln R)²: three do for 50 °C, four for 200 °C.
        unit: That of the references: °C, °F or K; a fit sets it.
        centre: Temperature at which the coefficients that SGD trains are in that unit; a fit sets it.
    """

    def __init__(self, terms: int = 3, unit: str = CELSIUS, centre: float | None = None) -> None:
        if isinstance(terms, bool) or terms not in (3, 4):
            raise InputError(f"SteinhartHart: expected 3 or 4 terms, but got {terms}")
        refuse_unit("SteinhartHart", unit, centre)
        self.terms, self.unit, self.centre = terms, unit, centre
        self.powers = (1, 3) if terms == 3 else (1, 2, 3)
        self.names = tuple(f"w{j}" for j in range(1, terms))
        self.noun = "the equation of Steinhart and Hart" + (" with four terms" if terms == 4 else "")

    @property
    def conventional_names(self) -> tuple[str, ...]:
        """a, b and c, and d, the coefficient of (ln R)²."""
        return ("a", "b", "c", "d")[: self.terms]

    @property
    def conventional_units(self) -> tuple[str, ...]:
        """Theirs, for R in ohm."""
        return ("1/K",) * self.terms

    def conventional(self, coefficients: FloatArray) -> FloatArray:
        """Returns a, b, c and d, for kelvin and ohm.

        Args:
            coefficients: b and w along the last axis.
        """
        return self._in_order(self.kelvin_coefficients(coefficients))

    def conventional_spread(self, coefficients: FloatArray, spread: FloatArray) -> FloatArray:
        """Returns their changes from those of b and w."""
        del coefficients
        return self._in_order(self.kelvin_spread(spread))

    def unfit(
        self, coefficients: FloatArray, low: FloatArray, high: FloatArray, units: Units
    ) -> list[tuple[NDArray[np.bool_], str]]:
        """Finds thermistors whose resistance doesn't fall, and resistances that look like kiloohms."""
        found = super().unfit(coefficients, low, high, units)
        if self.terms == 3 and units.indication not in OHM:
            import numpy as np

            room = ROOM * KELVIN[self.unit] + ABSOLUTE_ZERO[self.unit]
            with np.errstate(all="ignore"):
                small = self.indication(np.full(len(coefficients), room), coefficients) < SMALL
            sentence = (
                f"expected resistances in ohm, but the fitted curve has less than {SMALL:g} at 25 °C, as if they were "
                "in kiloohms; with three terms the equation is another one there: multiply by 1000, or if they are "
                "in ohm, say so with --data.indication_unit ohm"
            )
            found.append((small, sentence))
        return found

    def remarks(self, coefficients: FloatArray) -> list[str]:
        """Says where c isn't above 0, of one thermistor's b and w."""
        c = float(self.kelvin_coefficients(coefficients)[-1])
        if self.terms == 4 or c > 0:
            return []
        return [
            f"c is {c:.3g}, not above 0 as a thermistor's is: firmware such as Klipper's can't hold it; more readings "
            "over a wider range settle it, or the Beta equation (--model.curve Beta)"
        ]

    def indication(self, reference: FloatArray, coefficients: FloatArray) -> FloatArray:
        """Returns the resistances at temperatures: of three terms by the closed form, of four by Newton's method."""
        import numpy as np

        kelvin = self.kelvin_coefficients(coefficients)
        four = self._in_order(kelvin) if self.terms == 4 else np.insert(kelvin, 3, 0.0, axis=-1)
        a, b, c, d = np.moveaxis(four, -1, 0)
        level = KELVIN[self.unit] / (np.asarray(reference, np.float64) - ABSOLUTE_ZERO[self.unit]) - a
        with np.errstate(all="ignore"):
            shift = d / (3 * c)
            logarithm = _root(b / c - 3 * shift**2, 2 * shift**3 - shift * b / c - level / c, c) - shift
            linear = level / b
            logarithm = np.where(c == 0, linear, logarithm)
            for _ in range(NEWTON):
                value = logarithm * (b + logarithm * (d + logarithm * c)) - level
                logarithm = logarithm - value / (b + logarithm * (2 * d + logarithm * 3 * c))
            return np.asarray(np.exp(logarithm))

    def _in_order(self, kelvin: FloatArray) -> FloatArray:
        """Returns a, b, c (and d), of the coefficients of rising powers of ln R."""
        return kelvin if self.terms == 3 else kelvin[..., [0, 1, 3, 2]]


def _root(p: FloatArray, q: FloatArray, c: FloatArray) -> FloatArray:
    """Returns the root of x³ + p·x + q at which c·(x³ + p·x + q) rises: by Cardano's formula, in its stable forms."""
    import numpy as np

    m = np.sqrt(np.abs(p) / 3)
    ratio = q / (2 * m**3)
    one = -2 * m * np.sinh(np.arcsinh(ratio) / 3)  # p > 0: it is the only one
    # p < 0: with c < 0 the middle one; else the largest
    middle = 2 * m * np.sin(np.arcsin(ratio) / 3)
    far = np.abs(ratio) > 1
    largest = np.where(
        far, 2 * m * np.cosh(np.arccosh(np.maximum(-ratio, 1.0)) / 3), 2 * m * np.cos(np.arccos(-ratio) / 3)
    )
    return np.asarray(np.where(p > 0, one, np.where(c < 0, middle, largest)))

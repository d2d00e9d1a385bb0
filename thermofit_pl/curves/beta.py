"""NTC thermistors by the Beta equation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thermofit_pl.curves.thermistor import KELVIN, ROOM, Thermistor, refuse_unit
from thermofit_pl.functional.units import ABSOLUTE_ZERO, CELSIUS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]


class Beta(Thermistor):
    """The Beta equation of an NTC thermistor, R = R25·exp(β·(1/T − 1/298.15 K)), fitted in the reference's unit.

    Over 50 °C it is 0.2 °C off what a thermistor does, over 200 °C 3 °C: SteinhartHart does better from four readings
    on.

    Args:
        unit: That of the references: °C, °F or K; a fit sets it.
        centre: Temperature at which the coefficients that SGD trains are in that unit; a fit sets it.
    """

    noun = "the Beta equation"
    names = ("w",)
    conventional_names = ("R25", "beta")
    conventional_units = ("Ω", "K")

    def __init__(self, unit: str = CELSIUS, centre: float | None = None) -> None:
        refuse_unit("Beta", unit, centre)
        self.unit, self.centre = unit, centre

    def conventional(self, coefficients: FloatArray) -> FloatArray:
        """Returns R25, the resistance at 25 °C [ohm], and β [K].

        Args:
            coefficients: b and w along the last axis.
        """
        import numpy as np

        a, b = np.moveaxis(self.kelvin_coefficients(coefficients), -1, 0)
        return np.stack([np.exp((1 / ROOM - a) / b), 1 / b], axis=-1)

    def conventional_spread(self, coefficients: FloatArray, spread: FloatArray) -> FloatArray:
        """Returns changes of R25 and β, to first order, from changes of b and w."""
        import numpy as np

        a, b = np.moveaxis(self.kelvin_coefficients(coefficients)[..., None, :], -1, 0)
        da, db = np.moveaxis(self.kelvin_spread(spread), -1, 0)
        logarithm = (1 / ROOM - a) / b
        return np.stack([np.exp(logarithm) * -(da + logarithm * db) / b, -db / b**2], axis=-1)

    def indication(self, reference: FloatArray, coefficients: FloatArray) -> FloatArray:
        """Returns the resistances at temperatures."""
        import numpy as np

        a, b = np.moveaxis(self.kelvin_coefficients(coefficients), -1, 0)
        inverse = KELVIN[self.unit] / (reference - ABSOLUTE_ZERO[self.unit])
        return np.asarray(np.exp((inverse - a) / b))

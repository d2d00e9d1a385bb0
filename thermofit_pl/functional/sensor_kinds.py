"""Of which kind a sensor looks to be whose indications were taken for a line: a thermistor, or platinum."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

FEWEST = 4  # readings
BETAS = 1500.0, 8000.0  # K: thermistors' are 2,500 to 5,500
FEW = 8  # below so many readings, chance may draw a curve: they must fall throughout
FOLLOWS = 0.99  # R² of ln R on 1/T
BETTER = 25.0  # times smaller, the squared errors of the Beta equation beside those of a line
COEFFICIENTS = 3.9083e-3, -5.775e-7  # IEC 60751's A and B, per °C and °C²
PLATINUM = {"Pt100": 100.0, "Pt500": 500.0, "Pt1000": 1000.0}  # ohm at 0 °C
SPAN = 10.0  # °C: over less, the slope of platinum is not told from others
WIRES = 2.0  # °C that a thermometer may be off: five times the tolerance of class B at 0 °C, or 0.8 ohm of wires
SHARE = 0.01  # of the temperature, that it may be off beside


def is_thermistor(indication: FloatArray, celsius: FloatArray) -> bool:
    """Whether indications fall over temperatures as the resistance of an NTC thermistor does.

    They are positive, and where they are few they fall throughout; ln R follows 1/T as of a thermistor's β; and the
    Beta equation leaves far smaller errors of the temperature than a line. Simulated, unrelated numbers are taken for a
    thermistor in one case of 10,000, and readings of a falling line, with 2 % of noise, in no more than one of 1,000.

    Args:
        indication: Shape ``(N,)``.
        celsius: References, shape ``(N,)`` [°C].
    """
    import numpy as np

    n = len(indication)
    kelvin = celsius + 273.15
    if n < FEWEST or not ((indication > 0).all() and (kelvin > 0).all() and np.ptp(celsius) > 0):
        return False
    order = np.argsort(celsius, kind="stable")
    if n < FEW and (np.diff(indication[order]) > 0).any():
        return False
    logarithm, inverse = np.log(indication), 1 / kelvin
    if np.ptp(logarithm) == 0:
        return False
    slope, constant = _line(inverse, logarithm)
    if not BETAS[0] <= slope <= BETAS[1]:
        return False
    if np.corrcoef(inverse, logarithm)[0, 1] ** 2 < FOLLOWS:
        return False
    errors = slope / (logarithm - constant) - kelvin
    w, b = _line(indication, celsius)
    others = w * indication + b - celsius
    return bool((errors**2).sum() * BETTER < (others**2).sum())


def platinum(indication: FloatArray, celsius: FloatArray) -> str | None:
    """Returns which platinum thermometer indications may be the resistances of: ``Pt100``; None for none.

    IEC 60751's temperatures of the resistances are all near the references, over a span of ten degrees at least, and
    rise with them by 5 % more or less at most. Simulated, one line of 20,000 with a slope from 0 to 2 and an offset
    from 0 to 300 is taken for platinum, and no table of degrees.

    Args:
        indication: Shape ``(N,)``.
        celsius: References, shape ``(N,)`` [°C].
    """
    import numpy as np

    if len(indication) < FEWEST or np.ptp(celsius) < SPAN or celsius.min() < -200 or celsius.max() > 850:
        return None
    a, b = COEFFICIENTS
    for name, r0 in PLATINUM.items():
        excess = indication / r0 - 1
        square = a * a + 4 * b * excess
        if (square <= 0).any():
            continue
        off = 2 * excess / (a + np.sqrt(square)) - celsius
        if (np.abs(off) <= WIRES + SHARE * np.abs(celsius)).all() and abs(_line(celsius, off)[0]) <= 0.05:
            return name
    return None


def _line(x: FloatArray, y: FloatArray) -> tuple[float, float]:
    away = x - x.mean()
    slope = float((away * y).sum() / max(float((away * away).sum()), 1e-300))
    return slope, float(y.mean()) - slope * float(x.mean())

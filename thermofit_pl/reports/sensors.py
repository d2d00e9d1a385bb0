"""What a summary says of thermistors and platinum thermometers, and of lines through what look like their readings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from thermofit_pl.curves.line import Line
from thermofit_pl.formatting import signed, two_digits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from thermofit_pl.calibration.calibration import Calibration

POINTS = 201  # of the range at which the tolerance is looked at
THERMISTOR = "thermistor"


def sensors(c: Calibration) -> Iterator[str]:
    """Yields sentences about a sensor's own equation.

    Args:
        c: The calibration.
    """
    looks_like = c.diagnostics.looks_like
    if looks_like is not None and type(c.curve) is Line:
        yield _suggestion(looks_like)
    if c.curve.linked or c.curve.inverted:
        import numpy as np

        of: Any = c  # which fields there are, the curve says
        b = of.level - sum(w * at for w, at in zip(of.w, of.pivot, strict=True))
        yield from (f"{remark}." for remark in c.curve.remarks(np.array([b, *of.w])))
    if c.curve.inverted:
        yield (
            "The resistance was fitted as a function of the temperature: the reference counts as exact, and s is the "
            f"resistances' scatter, in {c.unit} at 0 °C."
        )
        yield from _tolerance_class(c)


def _suggestion(looks_like: str) -> str:
    if looks_like == THERMISTOR:
        return (
            "The indications fall as the resistance of an NTC thermistor does: its own equation fits them better; add "
            "--model.curve SteinhartHart."
        )
    return (
        f"The indications are near the resistances of a {looks_like}: the equation of platinum fits them better; add "
        "--model.curve CallendarVanDusen."
    )


def _tolerance_class(c: Calibration) -> Iterator[str]:
    """Yields within which class of IEC 60751 a platinum thermometer is, over the calibrated range."""
    import numpy as np

    from thermofit_pl.curves.callendar_van_dusen import CallendarVanDusen
    from thermofit_pl.curves.thermistor import KELVIN
    from thermofit_pl.functional.tolerance_classes import conformity, nominal

    curve = c.curve
    if not isinstance(curve, CallendarVanDusen) or c.coverage_factor is None:
        return
    sold = nominal(curve.platinum([0.0, *c.w])[0])
    if sold is None:
        return
    low, high = c.indication_range
    x = np.linspace(low, high, POINTS)
    found = c.correct(x, "ignore")
    t, kelvin = curve.celsius(found.estimate), KELVIN[curve.unit]
    deviation = curve.published(x, sold) - t
    of = conformity(t, deviation, c.coverage_factor * found.u_line / kelvin)
    span = f"from {signed(f'{t.min():.4g}')} to {signed(f'{t.max():.4g}')} °C, with R0 nominally {sold:g}"
    if of.name is None:
        yield f"It is within no tolerance class of IEC 60751 {span}."
        return
    sentence = (
        f"It is within class {of.name} of IEC 60751 {span}: nearest to the limit at {signed(f'{of.at:.3g}')} °C, "
        f"{two_digits(of.margin)} °C inside it"
    )
    if of.guarded == of.name:
        sentence += "; so also with a guard band of U (95 %)"
    elif of.guarded is not None:
        sentence += f"; with a guard band of U (95 %), within class {of.guarded}"
    else:
        sentence += "; with a guard band of U (95 %), within none"
    yield f"{sentence}."

"""Readings that are uncertain on both axes, each by an amount of its own: one pass of York's, of any curve.

A pass profiles the true indication of each reading out, given the curve, and leaves readings at those indications whose
weighted least squares are the next Gauss-Newton step. To weigh readings by 1/(u_y² + w² u_x²) and fit again, with these
weights frozen, ends elsewhere: on York's data at b = −0.46345, and not at −0.48053.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from thermofit_pl.curves.base import Curve

FloatArray = NDArray[np.float64]

TURNS = 60  # of the search for a true indication; a line needs one, a curve a digit or two a turn
STILL = 1e-13  # standard uncertainties of the indication, within which it has ended


class Pass(NamedTuple):
    """Readings at their true indications, as a curve has them; each attribute of shape ``(N,)``.

    Attributes:
        indication: The true indications [indicated unit].
        reference: What their weighted least squares are taken of [°C].
        weight: 1/variance of what the reference and the curve differ by [1/°C²].
    """

    indication: FloatArray
    reference: FloatArray
    weight: FloatArray


class Uncertain(NamedTuple):
    """Readings with what is stated of their errors; each attribute of shape ``(N,)``.

    Attributes:
        indication: As shown [indicated unit].
        reference: [°C].
        u_indication: Standard uncertainty of each indication; 0 for an exact one.
        u_reference: Standard uncertainty of each reference.
        correlation: Of the two errors of one reading, between −1 and 1 (ISO/TS 28037 clause 8); None where there is
            none.
    """

    indication: FloatArray
    reference: FloatArray
    u_indication: FloatArray
    u_reference: FloatArray
    correlation: FloatArray | None = None

    @property
    def covariance(self) -> FloatArray | float:
        """Of the two errors of each reading."""
        return 0.0 if self.correlation is None else self.correlation * self.u_indication * self.u_reference


def profile(curve: Curve, w: Sequence[FloatArray], b: FloatArray, readings: Uncertain) -> Pass:
    """Returns the readings at their true indications, given a curve.

    Args:
        curve: Linear in its coefficients.
        w: Its coefficients, p of them, each a number or of shape ``(N,)``.
        b: Its intercept, likewise.
        readings: With their uncertainties.
    """
    x, y = readings.indication, readings.reference
    own, both = readings.u_indication**2, readings.covariance
    true = x
    for _ in range(TURNS):
        before, (level, slope) = true, _at(curve, w, b, true)
        error = y - level - slope * (x - true)
        true = x + (slope * own - both) / _variance(slope, readings) * error
        if not np.any(np.abs(true - before) > STILL * readings.u_indication):
            break
    _, slope = _at(curve, w, b, true)
    return Pass(true, y - slope * (x - true), 1 / _variance(slope, readings))


def _at(curve: Curve, w: Sequence[FloatArray], b: FloatArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The curve and its derivative at indications."""
    level = b + sum(each * feature for each, feature in zip(w, curve.features(x), strict=True))
    slope = sum(each * derivative for each, derivative in zip(w, curve.slopes(x), strict=True))
    return np.asarray(level), np.asarray(slope)


def _variance(slope: FloatArray, readings: Uncertain) -> FloatArray:
    """Of reference less curve, by the errors of both axes."""
    variance: FloatArray = (
        readings.u_reference**2 + (slope * readings.u_indication) ** 2 - 2 * slope * readings.covariance
    )
    return variance

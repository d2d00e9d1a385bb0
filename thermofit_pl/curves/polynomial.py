"""Polynomials of the indication."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from thermofit_pl.curves.base import Curve
from thermofit_pl.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DEGREES = range(2, 11)  # of a higher one, float64 keeps too few digits of the powers' coefficients
SPLITTER = 2.0**27 + 1  # halves the 53 bits of a float64 (Dekker 1971)


class Polynomial(Curve):
    """A polynomial of the indication, fitted in a basis of nearly orthogonal polynomials, told in powers.

    Inside, its features are the monic Legendre polynomials of (indication − centre)/half.

    Args:
        degree: 2 to 10.
        centre: The middle of the range over which they are orthogonal [indicated unit]; None takes that of the first
            readings.
        half: Half the width of that range [indicated unit], likewise.
    """

    def __init__(self, degree: int = 2, centre: float | None = None, half: float | None = None) -> None:
        if isinstance(degree, bool) or not isinstance(degree, int) or degree not in DEGREES:
            raise InputError(f"Polynomial: expected a degree from 2 to 10, but got {degree}")
        if (centre is None) != (half is None):
            raise InputError(f"Polynomial: expected centre and half together, but got {centre} and {half}")
        if centre is not None and half is not None and not (math.isfinite(centre) and 0 < half < math.inf):
            raise InputError(f"Polynomial: expected a finite centre and a positive half, but got {centre} and {half}")
        self.degree = degree
        self.centre = centre
        self.half = half
        self.noun = f"a polynomial of degree {degree}"
        self.names = tuple(f"w{j}" for j in range(1, degree + 1))

    def framed(self, low: float, high: float, reference: float | None = None) -> Polynomial:
        """Returns the polynomial over the range of the first readings, unless it has a range already."""
        del reference
        if self.centre is not None:
            return self
        return Polynomial(self.degree, low / 2 + high / 2, high / 2 - low / 2 or abs(low) or 1.0)

    def features(self, indication: Any) -> list[Any]:
        """Returns the basis, by its recurrence: t·P_j − j²/(4j² − 1)·P_(j−1), with P_0 = 1 and P_1 = t."""
        centre, per_half = self._frame()
        t = (indication - centre) * per_half
        basis = [t]
        for j in range(1, self.degree):
            before = basis[-2] if j > 1 else 1.0
            basis.append(t * basis[-1] - _factor(j) * before)
        return basis

    def slopes(self, indication: Any) -> list[Any]:
        """Returns the derivatives of the basis, by the derivative of its recurrence."""
        centre, per_half = self._frame()
        t = (indication - centre) * per_half
        values, slopes = [1.0, t], [0.0, t * 0.0 + 1.0]
        for j in range(1, self.degree):
            slopes.append(values[-1] + t * slopes[-1] - _factor(j) * slopes[-2])
            values.append(t * values[-1] - _factor(j) * values[-2])
        return [slope * per_half for slope in slopes[1:]]

    @property
    def conventional_names(self) -> tuple[str, ...]:
        """The names of the coefficients of the powers, c0 first."""
        return tuple(f"c{j}" for j in range(self.degree + 1))

    def conventional(self, coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the coefficients of the powers of the indication, exact but for one rounding.

        The basis is expanded in rational arithmetic; the sums, whose terms may be far larger than they, are taken to
        twice the working precision.

        Args:
            coefficients: b and w along the last axis.
        """
        import numpy as np

        coefficients = np.asarray(coefficients, dtype=np.float64)
        powers = []
        for row in zip(*self._expanded(), strict=True):
            large = np.array([float(entry) for entry in row])
            small = np.array([float(entry - Fraction(float(entry))) for entry in row])
            powers.append(_dot(large, coefficients) + coefficients @ small)
        return np.stack(powers, axis=-1)

    def _expanded(self) -> list[list[Fraction]]:
        """Returns the coefficients of each polynomial of the basis, 1 first, in powers of the indication."""
        centre, per_half = map(Fraction, self._frame())

        def times_t(of: list[Fraction]) -> list[Fraction]:
            shifted = [Fraction(0), *of]
            return [(shifted[k] - centre * (of[k] if k < len(of) else 0)) * per_half for k in range(len(shifted))]

        basis = [[Fraction(1)], times_t([Fraction(1)])]
        for j in range(1, self.degree):
            before = basis[-2]
            # the factor as the features use it: a rounded one
            basis.append(
                [
                    c - Fraction(_factor(j)) * (before[k] if k < len(before) else 0)
                    for k, c in enumerate(times_t(basis[-1]))
                ]
            )
        return [[*of, *[Fraction(0)] * (self.degree + 1 - len(of))] for of in basis]

    def _frame(self) -> tuple[float, float]:
        """Returns the centre and 1/half, to multiply by: Polars divides by a number in that way, to another bit."""
        if self.centre is None or self.half is None:
            raise InputError("Polynomial: expected a centre and a half, which a fit sets, but it has none yet")
        return self.centre, 1 / self.half


def _factor(j: int) -> float:
    return j * j / (4 * j * j - 1)


def _dot(row: NDArray[np.float64], columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the sums of products along the last axis, as if in twice the precision (Ogita, Rump, Oishi 2005)."""
    total, rest = 0.0 * columns[..., 0], 0.0 * columns[..., 0]
    for k, factor in enumerate(row):
        column = columns[..., k]
        product = factor * column
        low = _halves(factor), _halves(column)
        error = ((low[0][0] * low[1][0] - product) + low[0][0] * low[1][1] + low[0][1] * low[1][0]) + low[0][1] * low[
            1
        ][1]
        new = total + product
        part = new - total
        rest = rest + ((total - (new - part)) + (product - part)) + error
        total = new
    return total + rest


def _halves(value: Any) -> tuple[Any, Any]:
    big = SPLITTER * value
    high = big - (big - value)
    return high, value - high

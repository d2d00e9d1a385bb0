"""What a target holds of a curve: its numbers, and what they give in the target's own arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermofit_pl.errors import InputError

FloatArray = NDArray[np.float64]
Rounding = Callable[[float], float]


class CannotHoldError(InputError):
    """A target has no place for a curve."""


@dataclass(frozen=True)
class Powers:
    """``reference = Σ coefficients[k] · (indication − centre)^k``: a line, an offset, a gain, a polynomial.

    Attributes:
        coefficients: From the constant upwards, two at least.
        centre: [indicated unit].
    """

    coefficients: tuple[float, ...]
    centre: float = 0.0

    @property
    def degree(self) -> int:
        """The highest power."""
        return len(self.coefficients) - 1

    def about(self, centre: float) -> Powers:
        """Returns the same polynomial about another centre, each coefficient rounded once."""
        exact, step = [Fraction(c) for c in self.coefficients], Fraction(centre) - Fraction(self.centre)
        moved = [
            sum((exact[j] * comb(j, k) * step ** (j - k) for j in range(k, len(exact))), Fraction(0))
            for k in range(len(exact))
        ]
        return Powers(tuple(float(c) for c in moved), centre)

    def forms(self, centre: float) -> list[Powers]:
        """Returns the polynomial in powers of the indication, then about a centre, then as it is."""
        return [self.about(0.0), self.about(centre), *([self] if self.centre else [])]

    def rounded(self, rounding: Rounding) -> Powers:
        """Returns the curve with its numbers as they are printed."""
        return Powers(tuple(map(rounding, self.coefficients)), rounding(self.centre))

    def evaluate(self, x: FloatArray, kind: type[Any] = np.float64) -> FloatArray:
        """Evaluates by Horner's scheme in ``kind``'s arithmetic, shape as ``x``."""
        t = x.astype(kind) - kind(self.centre)
        value = np.full_like(t, kind(self.coefficients[-1]))
        for c in reversed(self.coefficients[:-1]):
            value = value * t + kind(c)
        return _double(value)


@dataclass(frozen=True)
class SteinhartHart:
    """``1/T = a + b·ln R + square·ln²R + c·ln³R``; Beta's equation where ``square`` and ``c`` are 0.

    Attributes:
        a: [1/K].
        b: [1/K], with R in ohm.
        c: Likewise.
        square: Likewise: the fourth term's.
        kelvin: What a kelvin is in the reference's unit.
        zero: Absolute zero is at ``−zero`` in the reference's unit: 273.15 for °C.
    """

    a: float
    b: float
    c: float = 0.0
    square: float = 0.0
    kelvin: float = 1.0
    zero: float = 273.15

    def rounded(self, rounding: Rounding) -> SteinhartHart:
        """Returns the curve with its numbers as they are printed."""
        return replace(self, **{name: rounding(getattr(self, name)) for name in ("a", "b", "c", "square")})

    def evaluate(self, x: FloatArray, kind: type[Any] = np.float64) -> FloatArray:
        """Evaluates in ``kind``'s arithmetic, shape as ``x`` [ohm]."""
        log = np.log(x.astype(kind))
        inverse = kind(self.a) + log * (kind(self.b) + log * (kind(self.square) + log * kind(self.c)))
        return _double(kind(self.kelvin) / inverse - kind(self.zero))


@dataclass(frozen=True)
class Platinum:
    """``R = r0·(1 + a·t + b·t² + c·(t − 100)·t³)``, the last term below 0 °C alone, turned round [ohm, °C]."""

    r0: float
    a: float
    b: float
    c: float = 0.0

    NEWTON = 4  # steps from the quadratic's root: 2e-13 K from −200 °C on

    def rounded(self, rounding: Rounding) -> Platinum:
        """Returns the curve with its numbers as they are printed."""
        return Platinum(*(rounding(number) for number in (self.r0, self.a, self.b, self.c)))

    def evaluate(self, x: FloatArray, kind: type[Any] = np.float64) -> FloatArray:
        """Evaluates in ``kind``'s arithmetic, shape as ``x`` [ohm]."""
        a, b, c, two, four, hundred = (kind(number) for number in (self.a, self.b, self.c, 2, 4, 100))
        excess = x.astype(kind) / kind(self.r0) - kind(1)
        t = two * excess / (a + np.sqrt(a * a + four * b * excess))
        if self.c:
            cold = t < 0
            for _ in range(self.NEWTON):
                value = t * (a + t * (b + c * t * (t - hundred))) - excess
                slope = a + t * (two * b + c * t * (four * t - kind(3) * hundred))
                t = np.where(cold, t - value / slope, t)
        return _double(t)


def _double(value: NDArray[Any]) -> FloatArray:
    return value.astype(np.float64)


Formula = Powers | SteinhartHart | Platinum

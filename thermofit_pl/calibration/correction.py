"""The line's correction and its inverse: written once, for one calibration, for many, and for Polars."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from thermofit_pl.errors import InputError
from thermofit_pl.formatting import count
from thermofit_pl.functional.fieller import FiellerSet, fieller

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]

Extrapolate = Literal["warn", "error", "ignore"]


class Corrected(NamedTuple):
    """Corrected indications: numbers for a number, arrays of the same shape for an array.

    Attributes:
        estimate: What the reference would show [the reference's unit].
        u_line: Standard uncertainty of the line there [the reference's unit]; NaN where the calibration has none.
        u_single: Standard uncertainty of one new reading there [the reference's unit]; NaN likewise.
        extrapolated: Whether the indication lies outside the calibrated range.
    """

    estimate: Any
    u_line: Any
    u_single: Any
    extrapolated: Any


class Expected(NamedTuple):
    """The indications to expect at references: numbers for a number, arrays of the same shape for an array.

    Attributes:
        indication: Where the line has the reference [indicated unit]; NaN for a slope of zero.
        line: Fieller's set of the line: where its mean indication may be.
        single: Fieller's set of a single reading: where one new indication may be.
    """

    indication: Any
    line: FiellerSet[Any, Any]
    single: FiellerSet[Any, Any]


class Line(NamedTuple):
    """What correcting needs of a line: its numbers, arrays with an entry for each indication, or Polars expressions.

    What is unknown is NaN, and null in Polars. The attributes are those of a calibration; ``low`` and ``high`` are the
    ends of its range.
    """

    w: Any
    b: Any
    u_w: Any
    u_pivot: Any
    s: Any
    indication_mean: Any
    low: Any
    high: Any

    def at(self, indication: Any) -> Corrected:
        """Corrects indications: NumPy's or Polars', by operators alone.

        Args:
            indication: What the instruments show, a number, an array or an expression [indicated unit].
        """
        variance = (self.u_w * (indication - self.indication_mean)) ** 2 + self.u_pivot**2
        return Corrected(
            estimate=self.w * indication + self.b,
            u_line=variance**0.5,
            u_single=(variance + self.s**2) ** 0.5,
            extrapolated=(indication < self.low) | (indication > self.high),
        )

    def correct(self, indication: FloatArray, extrapolate: Extrapolate) -> Corrected:
        """Corrects indications of any shape, and says or refuses what lies outside the calibrated range.

        Raises:
            InputError: ``extrapolate`` is none of the three, or ``error`` and an indication is outside.
        """
        import numpy as np

        if extrapolate not in ("warn", "error", "ignore"):
            raise InputError(f"Expected extrapolate to be 'warn', 'error' or 'ignore', but got {extrapolate!r}.")
        with np.errstate(all="ignore"):
            found = self.at(indication)
        if extrapolate != "ignore" and found.extrapolated.any():
            sentence = self._outside(indication, found.extrapolated)
            if extrapolate == "error":
                raise InputError(sentence)
            warnings.warn(sentence, stacklevel=3)  # at the call of a calibration's own `correct`
        return found

    def _outside(self, indication: FloatArray, extrapolated: NDArray[np.bool_]) -> str:
        import numpy as np

        what = f"{count(int(extrapolated.sum()))} of {count(indication.size)} indications lie"
        if indication.size == 1:
            what = f"The indication {indication.item():.6g} lies"
        own = np.ndim(self.low) > 0  # each indication has its own instrument's range
        span = "" if own else f", {self.low:.6g} to {self.high:.6g}: no reading supports the line there"
        return f"{what} outside the calibrated range{span}."

    def invert(self, reference: FloatArray, coverage_factor: Any) -> Expected:
        """Gives the indications to expect at references of any shape, with Fieller's sets.

        Args:
            reference: The references [the reference's unit].
            coverage_factor: k, one for all or one each; NaN where unknown.
        """
        import numpy as np

        with np.errstate(all="ignore"):
            known = np.isfinite(reference) & (np.asarray(self.w) != 0)
            indication = np.where(known, (reference - self.b) / self.w, np.nan)
            offset = reference - (self.w * self.indication_mean + self.b)
            levels = (self.u_pivot, np.hypot(self.u_pivot, self.s))
            sets = [fieller(offset, self.w, coverage_factor * self.u_w, coverage_factor * level) for level in levels]
        mean = self.indication_mean
        return Expected(indication, *(FiellerSet(kind, mean + lower, mean + upper) for kind, lower, upper in sets))


def numbers(values: ArrayLike, what: str) -> FloatArray:
    """Returns values as float64, of any shape; NaN where one is masked or null.

    Args:
        values: A number, or an array or list.
        what: ``indication`` or ``reference``, for the sentence.

    Raises:
        InputError: They are no numbers.
    """
    from thermofit_pl.functional.arrays import numbers as with_missing  # numpy, 0.1 s

    return with_missing(values, what)[0]

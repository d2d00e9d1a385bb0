"""The correction and its inverse: written once for every curve, for one calibration, for many, and for Polars."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from thermofit_pl.curves.line import Line
from thermofit_pl.errors import InputError
from thermofit_pl.formatting import count
from thermofit_pl.functional.band import band, single
from thermofit_pl.functional.fieller import FiellerSet, fieller

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import polars as pl
    from numpy.typing import ArrayLike, NDArray

    from thermofit_pl.curves.base import Curve

    FloatArray = NDArray[np.float64]

Extrapolate = Literal["warn", "error", "ignore"]
SLACK = 1e-12  # of an end of the range, by which rounding may miss it


class Corrected(NamedTuple):
    """Corrected indications: numbers for a number, arrays of the same shape for an array.

    Attributes:
        estimate: What the reference would show [the reference's unit].
        u_line: Standard uncertainty of the curve there [the reference's unit]; NaN where the calibration has none.
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
        indication: Where the curve has the reference [indicated unit]; NaN for a slope of zero, and where a curve that
            is no line has it nowhere in the calibrated range.
        line: The set of the curve: where its mean indication may be.
        single: The set of a single reading: where one new indication may be.
    """

    indication: Any
    line: FiellerSet[Any, Any]
    single: FiellerSet[Any, Any]


class Correction(NamedTuple):
    """What correcting needs of a calibration, about the pivot, where no digits are lost.

    Its numbers are floats, arrays with an entry for each indication, or Polars expressions. What is unknown is NaN, and
    null in Polars.

    Attributes:
        curve: The curve, which gives p features.
        level: The curve's level at the pivot [the reference's unit].
        w: The coefficients of the features, p of them.
        pivot: The features at the pivot, p of them.
        u_pivot: Standard uncertainty of the level [the reference's unit].
        U: p rows of p entries, upper triangular: U Uᵀ is the covariance of w.
        u_reading: Standard deviation of the error of one new reading [the reference's unit].
        low: The smallest calibrated indication.
        high: The largest.
    """

    curve: Curve
    level: Any
    w: Sequence[Any]
    pivot: Sequence[Any]
    u_pivot: Any
    U: Sequence[Sequence[Any]]
    u_reading: Any
    low: Any
    high: Any

    def at(self, indication: Any) -> Corrected:
        """Corrects indications: NumPy's or Polars', by operators alone.

        Args:
            indication: What the instruments show, a number, an array or an expression [indicated unit].
        """
        about = self.level, self.w, self.pivot, self.u_pivot, self.U
        estimate, variance, of_reading = single(self.curve, indication, *about, self.u_reading)
        return Corrected(
            estimate=estimate,
            u_line=variance**0.5,
            u_single=of_reading**0.5,
            extrapolated=(indication < self.low) | (indication > self.high),
        )

    def band(self, indication: Any) -> tuple[Any, Any]:
        """Returns the estimates of indications, and the variances of the curve there."""
        return band(self.curve, indication, self.level, self.w, self.pivot, self.u_pivot, self.U)

    def _of_reading(self, indication: Any) -> tuple[Any, Any]:
        """Returns the estimates of indications, and the variances of one new reading there."""
        about = self.level, self.w, self.pivot, self.u_pivot, self.U
        estimate, _, variance = single(self.curve, indication, *about, self.u_reading)
        return estimate, variance

    def of_uncertain(self, indication: FloatArray, u: ArrayLike) -> Correction:
        """Returns the same for new readings whose indications have an uncertainty of their own.

        Args:
            indication: The indications, of any shape.
            u: Their standard uncertainty, one for all or one each [indicated unit]: in the place of the scatter.

        Raises:
            InputError: An uncertainty is negative, or no number.
        """
        import numpy as np

        own = numbers(u, "u")
        if (own < 0).any():
            raise InputError(f"Expected standard uncertainties of indications, from 0, but got {own.min():g}.")
        if self.curve.inverted:  # whose level is the indication
            return self._replace(u_reading=own)
        slopes = self.curve.slopes(indication)
        slope = sum(w * derivative for w, derivative in zip(self.w, slopes, strict=True))
        _, _, by_level = self.curve.evaluate(indication, self.level, self.w, self.pivot)
        return self._replace(u_reading=np.abs(by_level * slope) * own)

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
        span = "" if own else f", {self.low:.6g} to {self.high:.6g}: no reading supports the {self.curve.shape} there"
        return f"{what} outside the calibrated range{span}."

    def invert(self, reference: FloatArray, k: Any, k_single: Any) -> Expected:
        """Gives the indications to expect at references, with the sets that the curve and single readings allow.

        A line's are Fieller's, in closed form; those of other curves are found over the calibrated range.

        Args:
            reference: The references [the reference's unit], of any shape for a line, of shape ``(N,)`` otherwise.
            k: Coverage factor of the curve, one for all or for a line one each; NaN where unknown.
            k_single: That of a single reading, likewise.

        Raises:
            InputError: The curve, or an edge of its band, turns inside the calibrated range.
        """
        import numpy as np

        if not isinstance(self.curve, Line):
            return self._search(reference, k, k_single)
        w, u_w, pivot = self.w[0], self.U[0][0], self.pivot[0]
        with np.errstate(all="ignore"):
            known = np.isfinite(reference) & (np.asarray(w) != 0)
            offset = reference - self.level
            indication = np.where(known, pivot + offset / w, np.nan)
            levels = ((k, self.u_pivot), (k_single, np.hypot(self.u_pivot, self.u_reading)))
            sets = [fieller(offset, w, factor * u_w, factor * level) for factor, level in levels]
        return Expected(indication, *(FiellerSet(kind, pivot + lower, pivot + upper) for kind, lower, upper in sets))

    def _search(self, reference: FloatArray, k: float, k_single: float) -> Expected:
        import numpy as np

        from thermofit_pl.functional.inverse import inverse, inverse_set

        flat = np.asarray(reference, np.float64).ravel()
        shape = np.shape(reference)
        ends = self.low, self.high, self.curve.over
        with np.errstate(all="ignore"):
            b = self.level - sum(w * at for w, at in zip(self.w, self.pivot, strict=True))
            closed = self.curve.indication(flat, np.array([b, *self.w]))
            if closed is None:
                indication = inverse(self.band, flat, *ends)
            else:
                inside = (closed >= self.low * (1 - SLACK)) & (closed <= self.high * (1 + SLACK))
                indication = np.where(inside, closed, np.nan)
        sets = []
        for factor, u, evaluate in ((k, self.u_pivot, self.band), (k_single, self.u_reading, self._of_reading)):
            if np.isfinite(factor) and np.isfinite(u):
                with np.errstate(all="ignore"):
                    found = inverse_set(evaluate, flat, factor, *ends)
            else:
                nothing = np.full(flat.shape, np.nan)
                found = FiellerSet(np.full(flat.shape, "unknown"), nothing, nothing)
            sets.append(FiellerSet(*(part.reshape(shape) for part in found)))
        return Expected(indication.reshape(shape), *sets)


def needed(curve: Curve) -> dict[str, pl.Expr]:
    """Returns what correcting needs of a table of calibrations, as expressions by the names that ``of_columns`` takes.

    Args:
        curve: Theirs.
    """
    import polars as pl

    ends = pl.col("indication_range").arr
    found = {"u_pivot": pl.col("u_pivot"), "u_reading": pl.col("u_reading"), "low": ends.get(0), "high": ends.get(1)}
    if isinstance(curve, Line):
        w, pivot = pl.col("w"), pl.col("pivot")
        return found | {"level": w * pivot + pl.col("b"), "w 0": w, "pivot 0": pivot, "U 0 0": pl.col("u_w")}
    found["level"] = pl.col("level")
    for j in range(len(curve.names)):
        found |= {f"{name} {j}": pl.col(name).arr.get(j) for name in ("w", "pivot")}
        found |= {f"U {j} {k}": pl.col("U").arr.get(j).arr.get(k) for k in range(j, len(curve.names))}
    return found


def of_columns(curve: Curve, column: Callable[[str], Any]) -> Correction:
    """Returns what correcting needs, out of columns such as ``needed`` makes.

    Args:
        curve: The curve.
        column: Gives a column by its name: an array, or a Polars expression.
    """
    of = range(len(curve.names))
    return Correction(
        curve,
        column("level"),
        [column(f"w {j}") for j in of],
        [column(f"pivot {j}") for j in of],
        column("u_pivot"),
        [[column(f"U {j} {k}") if k >= j else 0.0 for k in of] for j in of],
        column("u_reading"),
        column("low"),
        column("high"),
    )


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


def factors(
    k: FloatArray,
    u_pivot: FloatArray,
    u_dof: FloatArray,
    u_reading: FloatArray,
    reading_dof: FloatArray,
    *,
    probability: float,
) -> tuple[FloatArray, FloatArray]:
    """Returns the coverage factors of curves and of single readings, each of the shape of k; NaN where unknown.

    Where both uncertainties come from one sum of squares, they have one factor. Else that of a single reading has the
    degrees of freedom of both together, at the pivot.

    Args:
        k: Of the curves.
        u_pivot: Standard uncertainties at the pivot.
        u_dof: Their degrees of freedom.
        u_reading: Standard deviations of one reading's error.
        reading_dof: Their degrees of freedom.
        probability: Of coverage.
    """
    import numpy as np

    from thermofit_pl.functional.uncertainty import single_reading

    apart = np.asarray((u_dof != reading_dof) & np.isfinite(u_dof) & np.isfinite(reading_dof))
    if not apart.any():
        return k, k
    own = single_reading(u_reading**2, reading_dof, u_pivot, u_dof, probability)[1]
    return k, np.where(apart, own, k)

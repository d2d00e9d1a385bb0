"""``Calibration``: the line that turns indications into °C, how far to trust it, and its file."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from thermofit_pl.calibration.records import Diagnostics, Sgd, Snap
from thermofit_pl.errors import InputError
from thermofit_pl.functional.fieller import FiellerSet, fieller
from thermofit_pl.functional.scales import Verdict

if TYPE_CHECKING:
    import os

    import numpy as np
    import polars as pl
    from numpy.typing import ArrayLike, NDArray


class Corrected(NamedTuple):
    """Corrected indications: numbers for a number, arrays of the same shape for an array.

    Attributes:
        estimate: What the reference would show [°C].
        u_line: Standard uncertainty of the line there [°C]; NaN where the calibration has none.
        u_single: Standard uncertainty of one new reading there [°C]; NaN likewise.
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


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The line ``reference = w · indication + b``, and how far to trust it.

    Its attributes are the keys of its file. The reference was regressed on the indication, which is taken as exact.
    Everything is in raw indications and °C.

    Attributes:
        format: The version of the file's format.
        w: Slope [°C per indicated unit].
        b: Intercept [°C].
        u_w: Standard uncertainty of the slope. This and the next three are None for two readings, and for SGD that has
            not converged.
        u_b: Standard uncertainty of the intercept.
        cov_wb: Their covariance.
        u_pivot: Standard uncertainty of the line at ``indication_mean``, where its value and the slope are uncorrelated
            [°C].
        s: Scatter of the errors, over ``dof`` [°C]; it mixes the scatter of thermometer and reference.
        rmse: Root mean square of the errors, over n [°C].
        r_squared: Share of the reference's variance that the line explains; None when the references are all equal.
        below_rounding: Whether the errors are the rounding of float64 alone; ``s`` is then 0.
        n: Number of readings.
        dof: Degrees of freedom: n − 2, or n for a snapped line.
        coverage_probability: The probability that intervals hold.
        coverage_factor: k, Student's t for it: expanded uncertainty = k · u.
        w_interval: The interval of w at that probability.
        b_interval: The interval of b.
        indication_range: Smallest and largest indication of the readings: the calibrated range.
        indication_mean: Their mean, the pivot.
        finish: Whether w and b are the ``least_squares`` line, ``sgd``'s, or a named scale's (``snap``).
        scale: Which temperature scale the line is near.
        sgd: Where the optimiser ended.
        diagnostics: What the errors say about the line.
        snap: What snapping to a named scale costs.
        indication_column: The column that the indications came from.
        reference_column: The column that the references came from.
        data_name: The file or files that they came from, without folders.
        data_sha256: SHA-256 of the files' bytes, or of the arrays' as float64.
        dropped: Rows that were dropped because a cell was missing.
        created: When, in UTC (ISO 8601).
        version: The version of this package that made it.
        torch: The version of torch, if one took part.
        lightning: The version of lightning, if one took part.
    """

    format: str = "thermofit_pl calibration 1"
    w: float
    b: float
    u_w: float | None
    u_b: float | None
    cov_wb: float | None
    u_pivot: float | None
    s: float | None
    rmse: float
    r_squared: float | None
    below_rounding: bool = False
    n: int
    dof: int
    coverage_probability: float = 0.95
    coverage_factor: float | None
    w_interval: tuple[float, float] | None
    b_interval: tuple[float, float] | None
    indication_range: tuple[float, float]
    indication_mean: float
    finish: str = "least_squares"
    scale: Verdict | None = None
    sgd: Sgd | None = None
    diagnostics: Diagnostics
    snap: Snap | None = None
    indication_column: str | None = None
    reference_column: str | None = None
    data_name: str | None = None
    data_sha256: str | None = None
    dropped: int = 0
    created: str
    version: str
    torch: str | None = None
    lightning: str | None = None

    @property
    def checksum(self) -> str:
        """SHA-256 of all the other keys' values: the last key of the file, by which an altered one is found."""
        from thermofit_pl.calibration.file import checksum

        return checksum(self)

    def correct(self, indication: ArrayLike, extrapolate: Literal["warn", "error", "ignore"] = "warn") -> Corrected:
        """Turns indications into °C.

        ``u_single`` holds for a new reading that scatters as those of the calibration did: ``s`` mixes the scatter of
        thermometer and reference, so it is too large for the thermometer alone beside a coarse reference, and too small
        for one that scatters more in use, or has drifted since. ``u_line`` is the line's alone: that of the mean of
        very many readings at one temperature.

        Args:
            indication: What the thermometer shows: a number, or an array or list of any shape [indicated unit]. NaN
                stays NaN.
            extrapolate: What to do outside the calibrated range, where no reading supports the line: ``warn``,
                ``error`` or ``ignore``.

        Returns:
            Estimates, uncertainties and which of them are extrapolated.

        Raises:
            InputError: An indication is no number, or outside the range with ``extrapolate="error"``.
        """
        import numpy as np

        if extrapolate not in ("warn", "error", "ignore"):
            raise InputError(f"Expected extrapolate to be 'warn', 'error' or 'ignore', but got {extrapolate!r}.")
        x = _numbers(indication, "indication")
        low, high = self.indication_range
        extrapolated = (x < low) | (x > high)
        if extrapolate != "ignore" and extrapolated.any():
            sentence = _outside(x[extrapolated], x.size, low, high)
            if extrapolate == "error":
                raise InputError(sentence)
            warnings.warn(sentence, stacklevel=2)
        u_pivot, u_w, s = (math.nan if u is None else u for u in (self.u_pivot, self.u_w, self.s))
        with np.errstate(all="ignore"):
            estimate = self.w * x + self.b
            u_line = np.hypot(u_pivot, u_w * (x - self.indication_mean))
            u_single = np.hypot(u_line, s)
        found = Corrected(estimate, u_line, u_single, extrapolated)
        return found if x.ndim else Corrected(*(np.asarray(value).item() for value in found))

    def invert(self, reference: ArrayLike) -> Expected:
        """Gives the indication to expect at a reference, with Fieller's sets at the coverage probability.

        The set of the line holds every indication x with |reference − (w·x + b)| ≤ k·u_line(x), that of a single
        reading the same with u_single. It is an interval only where the slope is beyond doubt.

        Args:
            reference: A number, or an array or list of any shape [°C].

        Returns:
            The indications and both sets.

        Raises:
            InputError: A reference is no number.
        """
        import numpy as np

        y = _numbers(reference, "reference")
        with np.errstate(all="ignore"):
            indication = np.where(np.isfinite(y), (y - self.b) / self.w, np.nan) if self.w else np.full(y.shape, np.nan)
            offset = y - (self.w * self.indication_mean + self.b)
        sets = [self._fieller(offset, self.u_pivot)]
        sets.append(
            self._fieller(offset, None if self.u_pivot is None or self.s is None else math.hypot(self.u_pivot, self.s))
        )
        if y.ndim:
            return Expected(indication, *sets)
        return Expected(indication.item(), *(FiellerSet(*(part.item() for part in found)) for found in sets))

    def _fieller(self, offset: NDArray[np.float64], u_level: float | None) -> FiellerSet[Any, Any]:
        import numpy as np

        if u_level is None or self.u_w is None or self.coverage_factor is None:
            nan = np.full(offset.shape, np.nan)
            return FiellerSet(np.full(offset.shape, "unknown"), nan, nan.copy())
        k = self.coverage_factor
        kind, lower, upper = fieller(offset, self.w, k * self.u_w, k * u_level)
        return FiellerSet(kind, self.indication_mean + lower, self.indication_mean + upper)

    def polars_expressions(self, indication: pl.Expr | str) -> dict[str, pl.Expr]:
        """Gives ``correct`` as Polars expressions, for tables of any size.

        Args:
            indication: The column of the indications, Float64 without NaN, by name or as an expression.

        Returns:
            The expressions of ``estimate``, ``u_line``, ``u_single`` and ``extrapolated``, under these names; null
            for a null indication, and where uncertainties are unknown.
        """
        import polars as pl

        x = pl.col(indication) if isinstance(indication, str) else indication
        low, high = self.indication_range
        nothing = pl.lit(None, dtype=pl.Float64)
        u_line = u_single = nothing
        if self.u_pivot is not None and self.u_w is not None:
            variance = (self.u_w * (x - self.indication_mean)) ** 2 + self.u_pivot**2
            u_line = variance.sqrt()
            u_single = nothing if self.s is None else (variance + self.s**2).sqrt()
        expressions = {
            "estimate": self.w * x + self.b,
            "u_line": u_line,
            "u_single": u_single,
            "extrapolated": (x < low) | (x > high),
        }
        return {name: expression.alias(name) for name, expression in expressions.items()}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the calibration as JSON that a person can read; the file is whole or absent.

        Args:
            path: Where to; a file that is there is replaced.

        Raises:
            InputError: A value can't stand in the file (infinite, not a number, inconsistent with the others), or the
                file can't be written.
        """
        from thermofit_pl.calibration.file import to_text
        from thermofit_pl.files import atomic_write

        text = to_text(self)
        with atomic_write(path) as temporary:
            temporary.write_bytes(text)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Calibration:
        """Reads a calibration's file.

        Args:
            path: The file, or a run's folder with ``calibration.json`` in it.

        Returns:
            The calibration.

        Raises:
            InputError: The file isn't a calibration that this version knows, was altered, or can't be read.
        """
        from thermofit_pl.calibration.file import read

        return read(cls, path)


def _numbers(values: ArrayLike, what: str) -> NDArray[np.float64]:
    import numpy as np

    try:
        raw = np.asarray(values)
        if raw.dtype.kind not in "iufO" or any(
            isinstance(value, (str, bytes)) for value in raw.flat if raw.dtype.kind == "O"
        ):
            raise TypeError
        return raw.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"Expected {what} to be numbers, but got {type(values).__name__} holding something else; convert it first."
        ) from error


def _outside(outside: NDArray[np.float64], size: int, low: float, high: float) -> str:
    what = f"The indication {outside[0]:.6g} lies" if size == 1 else f"{outside.size} of {size} indications lie"
    return f"{what} outside the calibrated range, {low:.6g} to {high:.6g}: no reading supports the line there."

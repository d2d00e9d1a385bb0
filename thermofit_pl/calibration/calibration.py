"""``Calibration``: the curve that turns indications into the reference's unit, how far to trust it, and its file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from thermofit_pl.calibration import display
from thermofit_pl.calibration.correction import Corrected, Correction, Expected, Extrapolate, factors, numbers
from thermofit_pl.calibration.equation import Fitted, equation, quantities
from thermofit_pl.calibration.records import (
    Candidates,
    Coefficients,
    Diagnostics,
    Sgd,
    Snap,
    Stated,
    per_feature,
    spread,
)
from thermofit_pl.curves.base import Curve
from thermofit_pl.curves.line import Line
from thermofit_pl.functional.fieller import FiellerSet
from thermofit_pl.functional.scales import Verdict
from thermofit_pl.functional.units import CELSIUS, Units

if TYPE_CHECKING:
    import os

    import numpy as np
    import polars as pl
    from numpy.typing import ArrayLike, NDArray

FORMAT = "thermofit_pl calibration 2"
# what marks a field: that all instruments of a fit share it, that version 1 of the file has it not, and whose it is;
# "single", that those of a fleet have it not;
# "type" is that of its value, or a function of the curve that gives it, where the annotation doesn't tell
COMMON = {"common": True}
NEW = {"since": 2}
LINE = {"of": "line"}  # Offset and Proportional are lines too
OTHER = {"of": "other", **NEW}


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A curve, such as the line ``reference = w · indication + b``, and how far to trust it.

    Its attributes are the keys of its file; those that a curve has not are None, and not in its file. The reference was
    regressed on the indication, which is taken as exact. Everything is in raw indications and the reference's unit,
    ``unit``.

    Attributes:
        format: The version of the file's format.
        curve: The curve.
        w: Slope [the reference's unit per indicated unit]; of curves other than lines, the coefficients of the
            features, p of them.
        b: Intercept [the reference's unit]; of lines, as are the next three.
        u_w: Standard uncertainty of the slope. This, all others, and ``cov_wb`` are None where the readings are as few
            as the coefficients, and for SGD that has not converged.
        u_b: Standard uncertainty of the intercept.
        cov_wb: Their covariance.
        level: The level of a curve other than a line at its pivot: b + Σ w_j · pivot_j [the reference's unit].
        pivot: The indication where the line's level and slope are uncorrelated; of other curves, p features.
        u_pivot: Standard uncertainty of the curve there [the reference's unit].
        U: Of curves other than lines, upper triangular, p rows of p: U Uᵀ is the covariance of w.
        conventional: Of curves other than lines, the coefficients that people quote.
        s: Scatter of the errors, over ``dof`` [the reference's unit]; it mixes the scatter of thermometer and
            reference.
        u_reading: Standard deviation of the error of one new reading [the reference's unit].
        rmse: Root mean square of the errors, over n [the reference's unit].
        r_squared: Share of the reference's variance that the curve explains; None when the references are all equal.
        below_rounding: Whether the errors are the rounding of float64 alone; ``s`` is then 0.
        n: Number of readings.
        dof: Degrees of freedom: n less the number of coefficients that were fitted, or n for a snapped line.
        u_dof: Degrees of freedom of the uncertainty of the curve.
        reading_dof: Degrees of freedom of ``u_reading``.
        source: What the uncertainty of the curve comes from, such as ``independent readings``.
        lower_bound: Whether that uncertainty is no more than a lower bound.
        coverage_probability: The probability that intervals hold.
        coverage_factor: k for it: expanded uncertainty = k · u.
        w_interval: The interval of w at that probability, of lines.
        b_interval: The interval of b, of lines.
        indication_range: Smallest and largest indication of the readings: the calibrated range.
        indication_mean: Their mean, of lines.
        finish: Whether w and b are the ``least_squares`` curve, ``sgd``'s, or a named scale's (``snap``).
        scale: Which temperature scale the line is near; None where the reference is no temperature.
        sgd: Where the optimiser ended.
        misfit: How the readings don't fit the curve, in a few words; None where they do. Of a fleet's instruments it is
            told with p-values that are corrected for their number.
        diagnostics: What the errors say about the curve.
        candidates: Other curves for the same readings, where a line was fitted to one instrument's, which are no log.
        snap: What snapping to a named scale costs.
        stated: What was stated of the readings' uncertainties; None where nothing was.
        indication_column: The column that the indications came from.
        reference_column: The column that the references came from.
        data_name: The file or files that they came from, without folders.
        data_sha256: SHA-256 of the files' bytes, or of the arrays' as float64.
        dropped: Rows that were dropped because a cell was missing.
        unit: The reference's.
        indication_unit: The indication's; None where nobody said.
        created: When, in UTC (ISO 8601).
        version: The version of this package that made it.
        torch: The version of torch, if one took part.
        lightning: The version of lightning, if one took part.
    """

    format: str = FORMAT
    curve: Curve = field(default=Line(), metadata=NEW | COMMON)
    w: Any = field(metadata={"type": per_feature})
    b: Any = field(default=None, metadata=LINE | {"type": float})
    u_w: float | None = field(default=None, metadata=LINE)
    u_b: float | None = field(default=None, metadata=LINE)
    cov_wb: float | None = field(default=None, metadata=LINE)
    level: Any = field(default=None, metadata=OTHER | {"type": float})
    pivot: Any = field(default=None, metadata=NEW | {"type": per_feature})
    u_pivot: float | None
    U: tuple[tuple[float, ...], ...] | None = field(default=None, metadata=OTHER | {"type": spread})
    conventional: Coefficients | None = field(default=None, metadata=OTHER | {"type": Coefficients})
    s: float | None
    u_reading: float | None = field(default=None, metadata=NEW)
    rmse: float
    r_squared: float | None
    below_rounding: bool = False
    n: int
    dof: int
    u_dof: float | None = field(default=None, metadata=NEW)
    reading_dof: float | None = field(default=None, metadata=NEW)
    source: str | None = field(default=None, metadata=NEW)
    lower_bound: bool = field(default=False, metadata=NEW)
    coverage_probability: float = field(default=0.95, metadata=COMMON)
    coverage_factor: float | None
    w_interval: tuple[float, float] | None = field(default=None, metadata=LINE)
    b_interval: tuple[float, float] | None = field(default=None, metadata=LINE)
    indication_range: tuple[float, float]
    indication_mean: Any = field(default=None, metadata=LINE | {"type": float})
    finish: str = field(default="least_squares", metadata=COMMON)
    scale: Verdict | None = None
    sgd: Sgd | None = None
    misfit: str | None = field(default=None, metadata=NEW)
    diagnostics: Diagnostics
    candidates: Candidates | None = field(default=None, metadata=NEW | {"single": True})
    snap: Snap | None = None
    stated: Stated | None = field(default=None, metadata=NEW)
    indication_column: str | None = field(default=None, metadata=COMMON)
    reference_column: str | None = field(default=None, metadata=COMMON)
    data_name: str | None = field(default=None, metadata=COMMON)
    data_sha256: str | None = field(default=None, metadata=COMMON)
    dropped: int = field(default=0, metadata=COMMON)
    unit: str = field(default=CELSIUS, metadata=COMMON)
    indication_unit: str | None = field(default=None, metadata=COMMON)
    created: str = field(metadata=COMMON)
    version: str = field(metadata=COMMON)
    torch: str | None = field(default=None, metadata=COMMON)
    lightning: str | None = field(default=None, metadata=COMMON)

    __str__ = display.text
    __repr__ = display.one_line
    _repr_html_ = display.html
    plot = display.plot
    apply = display.apply
    export = display.export
    report = display.report

    @property
    def units(self) -> Units:
        """How its units read."""
        return Units(self.unit, self.indication_unit)

    @property
    def checksum(self) -> str:
        """SHA-256 of all the other keys' values: the last key of the file, by which an altered one is found."""
        from thermofit_pl.calibration.file import checksum

        return checksum(self)

    @property
    def coefficients(self) -> Coefficients:
        """The coefficients that people quote: of a line b and w, of a polynomial those of the powers."""
        if self.conventional is not None:
            return self.conventional
        known = self.u_w is not None and self.u_b is not None and self.cov_wb is not None
        return Coefficients(
            names=("b", "w"),
            values=(self.b, self.w),
            u=(self.u_b, self.u_w) if known else None,  # type: ignore[arg-type]
            intervals=None
            if self.b_interval is None or self.w_interval is None
            else (self.b_interval, self.w_interval),
            covariance=((self.u_b**2, self.cov_wb), (self.cov_wb, self.u_w**2)) if known else None,  # type: ignore[arg-type,operator]
        )

    @property
    def equation(self) -> str:
        """The curve as people write it, with six digits of each coefficient or as many more as its uncertainty asks."""
        import numpy as np

        x = np.linspace(*self.indication_range, 33)
        estimate, u_line, _, _ = self.correct(x, "ignore")
        least = float(u_line.min())
        fitted = Fitted(x, estimate, least / 10 if least > 0 else math.inf)
        return equation(self.curve, self.coefficients, self.unit, fitted)

    @property
    def quantities(self) -> str:
        """The coefficients that were fitted, with their uncertainties: ``w = 0.537(36) °C/unit, b = −17.3(1.9) °C``."""
        return quantities(self.curve, self.coefficients, self.units)

    def correct(
        self, indication: ArrayLike, extrapolate: Extrapolate = "warn", *, u: ArrayLike | None = None
    ) -> Corrected:
        """Turns indications into the reference's unit.

        ``u_single`` holds for a new reading that scatters as those of the calibration did: ``u_reading`` mixes the
        scatter of thermometer and reference, so it is too large for the thermometer alone beside a coarse reference,
        and too small for one that scatters more in use, or has drifted since. ``u_line`` is the curve's alone: that of
        the mean of very many readings at one temperature.

        Args:
            indication: What the thermometer shows: a number, or an array or list of any shape [indicated unit]. NaN
                stays NaN.
            extrapolate: What to do outside the calibrated range, where no reading supports the curve: ``warn``,
                ``error`` or ``ignore``.
            u: Standard uncertainty of the indication itself, one for all or one each [indicated unit]: ``u_single`` has
                it in the place of the scatter.

        Returns:
            Estimates, uncertainties and which of them are extrapolated.

        Raises:
            InputError: An indication is no number, or outside the range with ``extrapolate="error"``.
        """
        x = numbers(indication, "indication")
        correction = self._correction(math.nan)
        found = (correction if u is None else correction.of_uncertain(x, u)).correct(x, extrapolate)
        return found if x.ndim else Corrected(*(value.item() for value in found))

    def invert(self, reference: ArrayLike) -> Expected:
        """Gives the indication to expect at a reference, with its set at the coverage probability.

        The set of the curve holds every indication x with |reference − estimate(x)| ≤ k·u_line(x), that of a single
        reading the same with u_single. A line's is Fieller's, an interval only where the slope is beyond doubt; that of
        another curve is looked for in the calibrated range, and ``open`` where it goes on beyond it.

        Args:
            reference: A number, or an array or list of any shape [the reference's unit].

        Returns:
            The indications and both sets.

        Raises:
            InputError: A reference is no number, or the curve turns inside the calibrated range.
        """
        y = numbers(reference, "reference")
        k, single = (factor.item() for factor in self._factors())
        found = self._correction(math.nan).invert(y, k, single)
        if y.ndim:
            return found
        sets = (FiellerSet(*(part.item() for part in each)) for each in found[1:])
        return Expected(found.indication.item(), *sets)

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
        found = self._correction(pl.lit(None, dtype=pl.Float64)).at(x)
        return {name: expression.alias(name) for name, expression in found._asdict().items()}

    def _correction(self, unknown: Any) -> Correction:
        """What correcting needs, with ``unknown`` for what is None."""
        u_pivot = unknown if self.u_pivot is None else self.u_pivot
        u_reading = unknown if self.u_reading is None else self.u_reading
        if isinstance(self.curve, Line):
            level, w, pivot = self.w * self.pivot + self.b, [self.w], [self.pivot]
            upper = [[unknown if self.u_w is None else self.u_w]]
        else:
            level, w, pivot = self.level, self.w, self.pivot
            upper = [[unknown] * len(w)] * len(w) if self.U is None else list(map(list, self.U))
        return Correction(self.curve, level, w, pivot, u_pivot, upper, u_reading, *self.indication_range)

    def _factors(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The coverage factors of the curve and of a single reading; NaN where they are unknown."""
        import numpy as np

        names = ("coverage_factor", "u_pivot", "u_dof", "u_reading", "reading_dof")
        values = (math.nan if (value := getattr(self, name)) is None else value for name in names)
        return factors(*map(np.asarray, values), probability=self.coverage_probability)

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
    def load(cls, path: str | os.PathLike[str], curves: Sequence[type[Curve]] = ()) -> Calibration:
        """Reads a calibration's file.

        Args:
            path: The file, or a run's folder with ``calibration.json`` in it.
            curves: Classes of your own that its curve may be of; none is imported because a file names it.

        Returns:
            The calibration.

        Raises:
            InputError: The file isn't a calibration that this version knows, was altered, or can't be read.
        """
        from thermofit_pl.calibration.file import read

        return read(path, curves)

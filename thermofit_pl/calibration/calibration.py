"""``Calibration``: the line that turns indications into the reference's unit, how far to trust it, and its file."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from thermofit_pl.calibration import display
from thermofit_pl.calibration.correction import Corrected, Expected, Extrapolate, Line, numbers
from thermofit_pl.calibration.records import Diagnostics, Sgd, Snap
from thermofit_pl.functional.fieller import FiellerSet
from thermofit_pl.functional.scales import Verdict
from thermofit_pl.functional.units import CELSIUS, Units

if TYPE_CHECKING:
    import os

    import polars as pl
    from numpy.typing import ArrayLike

COMMON = {"common": True}  # marks a field that all instruments of a fit share


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The line ``reference = w · indication + b``, and how far to trust it.

    Its attributes are the keys of its file. The reference was regressed on the indication, which is taken as exact.
    Everything is in raw indications and the reference's unit, ``unit``.

    Attributes:
        format: The version of the file's format.
        w: Slope [the reference's unit per indicated unit].
        b: Intercept [the reference's unit].
        u_w: Standard uncertainty of the slope. This and the next three are None for two readings, and for SGD that has
            not converged.
        u_b: Standard uncertainty of the intercept.
        cov_wb: Their covariance.
        u_pivot: Standard uncertainty of the line at ``indication_mean``, where its value and the slope are uncorrelated
            [the reference's unit].
        s: Scatter of the errors, over ``dof`` [the reference's unit]; it mixes the scatter of thermometer and
            reference.
        rmse: Root mean square of the errors, over n [the reference's unit].
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
        scale: Which temperature scale the line is near; None where the reference is no temperature.
        sgd: Where the optimiser ended.
        diagnostics: What the errors say about the line.
        snap: What snapping to a named scale costs.
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
    coverage_probability: float = field(default=0.95, metadata=COMMON)
    coverage_factor: float | None
    w_interval: tuple[float, float] | None
    b_interval: tuple[float, float] | None
    indication_range: tuple[float, float]
    indication_mean: float
    finish: str = field(default="least_squares", metadata=COMMON)
    scale: Verdict | None = None
    sgd: Sgd | None = None
    diagnostics: Diagnostics
    snap: Snap | None = None
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

    def correct(self, indication: ArrayLike, extrapolate: Extrapolate = "warn") -> Corrected:
        """Turns indications into the reference's unit.

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
        x = numbers(indication, "indication")
        found = self._line(math.nan).correct(x, extrapolate)
        return found if x.ndim else Corrected(*(value.item() for value in found))

    def invert(self, reference: ArrayLike) -> Expected:
        """Gives the indication to expect at a reference, with Fieller's sets at the coverage probability.

        The set of the line holds every indication x with |reference − (w·x + b)| ≤ k·u_line(x), that of a single
        reading the same with u_single. It is an interval only where the slope is beyond doubt.

        Args:
            reference: A number, or an array or list of any shape [the reference's unit].

        Returns:
            The indications and both sets.

        Raises:
            InputError: A reference is no number.
        """
        y = numbers(reference, "reference")
        k = math.nan if self.coverage_factor is None else self.coverage_factor
        found = self._line(math.nan).invert(y, k)
        if y.ndim:
            return found
        sets = (FiellerSet(*(part.item() for part in each)) for each in found[1:])
        return Expected(found.indication.item(), *sets)

    def _line(self, unknown: Any) -> Line:
        """What correcting needs, with ``unknown`` for what is None."""
        values = (self.w, self.b, self.u_w, self.u_pivot, self.s, self.indication_mean, *self.indication_range)
        return Line(*(unknown if value is None else value for value in values))

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
        found = self._line(pl.lit(None, dtype=pl.Float64)).at(x)
        return {name: expression.alias(name) for name, expression in found._asdict().items()}

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

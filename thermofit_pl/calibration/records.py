"""What a fit tells beside the curve: where the readings come from, where SGD ended, what the errors say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from thermofit_pl.curves.line import Line
from thermofit_pl.functional.units import CELSIUS

if TYPE_CHECKING:
    from thermofit_pl.curves.base import Curve


def per_feature(curve: Curve) -> Any:
    """The type of one number a feature of the curve: of a line, a number."""
    return float if isinstance(curve, Line) else tuple[(float,) * len(curve.names)]  # type: ignore[misc]


def spread(curve: Curve) -> Any:
    """The type of a matrix of numbers that has a row and a column for each feature, or of none."""
    return tuple[(per_feature(curve),) * len(curve.names)] | None  # type: ignore[misc]


def _values(curve: Curve) -> Any:
    return tuple[(float,) * len(curve.conventional_names)]  # type: ignore[misc]


def _values_or_none(curve: Curve) -> Any:
    return _values(curve) | None


def _intervals(curve: Curve) -> Any:
    return tuple[(tuple[float, float],) * len(curve.conventional_names)] | None  # type: ignore[misc]


def _covariance(curve: Curve) -> Any:
    return tuple[(_values(curve),) * len(curve.conventional_names)] | None  # type: ignore[misc]


@dataclass(frozen=True)
class Coefficients:
    """The coefficients that people quote, q of them: of a polynomial those of the powers of the indication.

    Attributes:
        names: Their names.
        values: Their values.
        u: Their standard uncertainties. This and the next two are None where they are unknown.
        intervals: Their intervals at the coverage probability.
        covariance: Their covariance matrix, q rows of q.
    """

    names: tuple[str, ...]
    values: tuple[float, ...] = field(metadata={"type": _values})
    u: tuple[float, ...] | None = field(metadata={"type": _values_or_none})
    intervals: tuple[tuple[float, float], ...] | None = field(metadata={"type": _intervals})
    covariance: tuple[tuple[float, ...], ...] | None = field(metadata={"type": _covariance})


@dataclass(frozen=True)
class Sgd:
    """Where plain SGD (or another optimiser) ended, in raw indications and the reference's unit.

    Attributes:
        w: Slope [°C per unit]; of a curve other than a line, the coefficients of the features.
        b: Intercept, or what is added to the features [°C].
        loss: The MSE at them [°C²].
        steps: How many steps it took.
        learning_rate: The last one; None when the optimiser has none.
        converged: Whether ``distance`` is within the tolerance; None when nothing was asked.
        distance: Largest distance from the least-squares curve over the calibrated range [°C].
        distance_w: SGD's w less the least-squares one.
        distance_b: The same for the intercept [°C].
        steps_needed: How many more steps it needs; None when it needs none, or none can be forecast.
        advice: What to change; None when it has converged.
    """

    w: Any = field(metadata={"type": per_feature})
    b: float
    loss: float
    steps: int
    learning_rate: float | None
    converged: bool | None
    distance: float
    distance_w: Any = field(metadata={"type": per_feature})
    distance_b: float
    steps_needed: int | None
    advice: str | None


@dataclass(frozen=True)
class LargestError:
    """The reading with the largest ``error`` (estimate − reference) [°C]; ``row`` as an editor counts it."""

    error: float
    indication: float
    reference: float
    file: str | None
    row: int | None


@dataclass(frozen=True)
class ErrorCodes:
    """Values that sensors write for none, or that lie far from all others and off the curve.

    Attributes:
        role: Which of both shows them: ``indication`` or ``reference``.
        values: Which values, the first ten.
        count: How many readings.
        file: Where the first stands.
        rows: The rows in that file, the first ten.
    """

    role: str
    values: tuple[float, ...]
    count: int
    file: str | None
    rows: tuple[int, ...]


@dataclass(frozen=True)
class Stuck:
    """An indication that stood still while the reference moved.

    Attributes:
        indication: It.
        count: In how many readings.
        moved: How far the reference moved meanwhile [°C].
        file: Where the first of them stands.
        first_row: Its row.
        last_row: That of the last.
    """

    indication: float
    count: int
    moved: float
    file: str | None
    first_row: int
    last_row: int


@dataclass(frozen=True)
class SetPoints:
    """Repeats at set points.

    Attributes:
        count: How many set points.
        p: p-value of "they scatter about the curve no more than repeats explain"; None for logs, and with too few.
        reference: Near where the one is whose mean error is largest against its uncertainty [°C].
        error: That mean error [°C].
        readings: How many readings it has.
    """

    count: int
    p: float | None
    reference: float
    error: float
    readings: int


@dataclass(frozen=True)
class Neighbours:
    """How alike errors about a cubic are in neighbouring rows.

    Attributes:
        errors: Their lag-1 autocorrelation.
        p: How probable one so large is by chance.
        ordered: Whether the rows stand in the order of the indication.
    """

    errors: float
    p: float
    ordered: bool


@dataclass(frozen=True)
class Shape:
    """What a further term would take away, the likelier of the next two degrees.

    Attributes:
        degree: Of the term: about a line 2, a parabola, or 3, an S.
        size: Root of the mean square of the term [°C].
        p: How probable one so large is by chance.
    """

    degree: int
    size: float
    p: float


@dataclass(frozen=True)
class Scatter:
    """How the errors' scatter changes along the range: whether it ``grows`` with the indication, and the p-value."""

    grows: bool
    p: float


@dataclass(frozen=True)
class Rank:
    """The rank ``correlation`` of indications and references, and the p-value of "it is zero"."""

    correlation: float
    p: float


@dataclass(frozen=True)
class Outlying:
    """Readings whose errors are too large for the largest of so many.

    Attributes:
        t: Error of the farthest about the curve of the others, over its standard deviation.
        p: How probable one so large is by chance.
        indication: Of the farthest.
        reference: Likewise [°C].
        file: Where it stands.
        row: Its row.
        count: How many such readings.
        rows: Their rows in that file, the first ten.
    """

    t: float
    p: float
    indication: float
    reference: float
    file: str | None
    row: int | None
    count: int
    rows: tuple[int, ...]


@dataclass(frozen=True)
class Autocorrelation:
    """Neighbours in the time order of a log.

    Attributes:
        errors: Lag-1 autocorrelation of the errors.
        indications: That of the indications.
        pairs: How many pairs of neighbours.
        gaps: How many steps in time are longer than usual: no neighbours lie across them. None where nobody counted.
        equal_times: How many readings have the time of the one before, so that nothing tells their order; or None.
    """

    errors: float
    indications: float
    pairs: int
    gaps: int | None = field(default=None, metadata={"since": 2})
    equal_times: int | None = field(default=None, metadata={"since": 2})


@dataclass(frozen=True)
class Diagnostics:
    """What the errors say about the curve, in the order in which one cause explains what comes after it.

    All but ``largest_error`` and ``slope_p`` is about the least-squares curve of all other readings than those of
    ``error_codes``, ``stuck`` and ``outlying``, which are None where there are none.

    Attributes:
        sampled: How many readings were looked at.
        largest_error: The largest of them.
        error_codes: Values that are no readings.
        stuck: Where the indication stood.
        set_points: Repeats at set points; None where none were recognised.
        neighbours: How alike neighbouring rows' errors are; without a time and set points.
        shape: What the next two degrees would take away.
        scatter: Whether the scatter changes along the range.
        outlying: Readings that stand out.
        rank: Rank correlation.
        looks_like: Of which sensor a line's readings look to be: ``thermistor``, ``Pt100``, ``Pt1000``; None for none.
        slope_p: p-value of "the slope is zero".
        autocorrelation: For a log in time order.
    """

    sampled: int
    largest_error: LargestError | None = None
    error_codes: ErrorCodes | None = None
    stuck: Stuck | None = None
    set_points: SetPoints | None = None
    neighbours: Neighbours | None = None
    shape: Shape | None = None
    scatter: Scatter | None = None
    outlying: Outlying | None = None
    rank: Rank | None = None
    looks_like: str | None = None
    slope_p: float | None = None
    autocorrelation: Autocorrelation | None = None


@dataclass(frozen=True)
class Candidate:
    """A curve that could be fitted to the same readings.

    Attributes:
        name: As it is written in Python.
        coefficients: How many are fitted.
        s: Standard deviation of the errors [the reference's unit].
        left_out: Root mean square error on blocks of readings that were left out in turn [the reference's unit].
        aicc: Akaike's information criterion, corrected for few readings: of two, the smaller is the better.
    """

    name: str
    coefficients: int
    s: float
    left_out: float
    aicc: float


@dataclass(frozen=True)
class Candidates:
    """Curves compared on the sampled readings, which are no log.

    Attributes:
        curves: Each, the fewest coefficients first.
        better: The one that is proposed in the place of a line; None where the line will do.
        p: Where a polynomial is proposed, the p-value of "a line is enough", by the F test against the cubic; for an
            offset that of "w is 1", for a gain that of "b is 0".
    """

    curves: tuple[Candidate, ...]
    better: str | None
    p: float | None


@dataclass(frozen=True)
class Snap:
    """The line is the exact conversion of ``scale``; ``rmse_free`` is what the free least-squares line had [°C]."""

    scale: str
    rmse_free: float


@dataclass(frozen=True)
class BudgetPart:
    """What one cause has in u_single, at the lower end of the range, in its middle and at its upper end.

    Attributes:
        u: Standard uncertainties [°C].
        share: Their squares' shares of that of u_single.
    """

    u: tuple[float, ...]
    share: tuple[float, ...]


@dataclass(frozen=True)
class Budget:
    """What u_single is made of; a cause that has no part in it is None.

    Attributes:
        indications: The lower end of the range, its middle and its upper end [indicated unit].
        u_single: There [°C].
        scatter: The errors' scatter.
        reference: What is stated of each reference.
        indication: What is stated of indications.
        resolution: The resolution, where it is more than the scatter.
        common: What all references share.
    """

    indications: tuple[float, ...]
    u_single: tuple[float, ...]
    scatter: BudgetPart | None = None
    reference: BudgetPart | None = None
    indication: BudgetPart | None = None
    resolution: BudgetPart | None = None
    common: BudgetPart | None = None


@dataclass(frozen=True)
class Stated:
    """What was stated of the readings' uncertainties, and what they say of it.

    Attributes:
        method: The fit that followed: ``least squares``, ``weighted least squares``, ``Deming`` or ``York``.
        uncertainties: ``absolute``, or ``relative`` where the errors give the scale.
        reference: Standard uncertainty of each reference, in words.
        indication: Of each indication.
        common: Of what all references share.
        resolution: Of the displays.
        alike: Whether all references have the same.
        chi_squared: Sum of the squares of errors over their uncertainties; None where none are stated of readings.
        chi_squared_dof: Its degrees of freedom.
        chi_squared_p: How probable one so large is, if the uncertainties are right.
        budget: What u_single is made of; None where it is unknown.
    """

    method: str
    uncertainties: str
    reference: str | None = None
    indication: str | None = None
    common: str | None = None
    resolution: str | None = None
    alike: bool = False
    chi_squared: float | None = None
    chi_squared_dof: float | None = None
    chi_squared_p: float | None = None
    budget: Budget | None = None


@dataclass(frozen=True)
class Source:
    """Where readings come from.

    Attributes:
        indication_column: The column that the indications came from, if they came from a table.
        reference_column: The column that the references came from.
        data_name: The file or files, without folders.
        data_sha256: SHA-256 of the files' bytes, or of the arrays' as float64.
        dropped: Rows that were left out because a cell was missing.
        unit: The reference's.
        indication_unit: The indication's; None where nobody said.
    """

    indication_column: str | None = None
    reference_column: str | None = None
    data_name: str | None = None
    data_sha256: str | None = None
    dropped: int = 0
    unit: str = CELSIUS
    indication_unit: str | None = None

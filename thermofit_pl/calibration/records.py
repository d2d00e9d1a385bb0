"""What a fit tells beside the line: where the readings come from, where SGD ended, what the errors say."""

from __future__ import annotations

from dataclasses import dataclass

from thermofit_pl.functional.units import CELSIUS


@dataclass(frozen=True)
class Sgd:
    """Where plain SGD (or another optimiser) ended, in raw indications and the reference's unit.

    Attributes:
        w: Slope [°C per unit].
        b: Intercept [°C].
        loss: The MSE at them [°C²].
        steps: How many steps it took.
        learning_rate: The last one; None when the optimiser has none.
        converged: Whether ``distance`` is within the tolerance; None when nothing was asked.
        distance: Largest distance from the least-squares line over the calibrated range [°C].
        distance_w: SGD's slope less the least-squares one [°C per unit].
        distance_b: The same for the intercept [°C].
        steps_needed: How many more steps it needs; None when it needs none, or none can be forecast.
        advice: What to change; None when it has converged.
    """

    w: float
    b: float
    loss: float
    steps: int
    learning_rate: float | None
    converged: bool | None
    distance: float
    distance_w: float
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
class Outlying:
    """The reading with the largest studentised error ``t``, and the ``count`` of readings with |t| > 3."""

    t: float
    indication: float
    reference: float
    file: str | None
    row: int | None
    count: int


@dataclass(frozen=True)
class Autocorrelation:
    """Lag-1 autocorrelations of a log's ``errors`` and ``indications``, over ``pairs`` of neighbours in time."""

    errors: float
    indications: float
    pairs: int


@dataclass(frozen=True)
class Diagnostics:
    """What the errors say about the line.

    Attributes:
        sampled: How many readings were looked at.
        largest_error: The largest of them.
        curvature_p: p-value of a quadratic term.
        outlying: The reading that stands out most.
        slope_p: p-value of "the slope is zero".
        autocorrelation: For a log in time order.
    """

    sampled: int
    largest_error: LargestError | None = None
    curvature_p: float | None = None
    outlying: Outlying | None = None
    slope_p: float | None = None
    autocorrelation: Autocorrelation | None = None


@dataclass(frozen=True)
class Snap:
    """The line is the exact conversion of ``scale``; ``rmse_free`` is what the free least-squares line had [°C]."""

    scale: str
    rmse_free: float


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

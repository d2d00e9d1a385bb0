"""What files of the first version of the format hold that later ones hold otherwise: they are read for ever."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from thermofit_pl.calibration import records
from thermofit_pl.functional.uncertainty import AR1, INDEPENDENT

if TYPE_CHECKING:
    import polars as pl

    from thermofit_pl.calibration.calibration import Calibration

FORMAT = "thermofit_pl calibration 1"
MANY = "thermofit_pl calibrations 1"
KEPT = ("sampled", "largest_error", "slope_p", "autocorrelation")  # of the diagnostics


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
class Diagnostics:
    """What the errors say about the line."""

    sampled: int
    largest_error: records.LargestError | None = None
    curvature_p: float | None = None
    outlying: Outlying | None = None
    slope_p: float | None = None
    autocorrelation: records.Autocorrelation | None = None


RECORDS = {records.Diagnostics: Diagnostics}


def upgraded(c: Calibration, form: str) -> Calibration:
    """Returns a line of the first version with what it says in the fields of a later one.

    Args:
        c: The calibration, with the first version's records.
        form: The later version.
    """
    dof = None if c.u_pivot is None else float(c.dof)
    source = None if dof is None else INDEPENDENT if c.diagnostics.autocorrelation is None else AR1
    diagnostics = records.Diagnostics(**{name: getattr(c.diagnostics, name) for name in KEPT})
    more: dict[str, Any] = {"u_dof": dof, "reading_dof": dof, "source": source, "diagnostics": diagnostics}
    return replace(c, format=form, pivot=c.indication_mean, u_reading=c.s, **more)


def upgraded_frame(frame: pl.DataFrame, diagnostics: list[str]) -> pl.DataFrame:
    """Returns the lines of a fleet likewise.

    Args:
        frame: The calibrations.
        diagnostics: The names of what the later version's hold.
    """
    import polars as pl

    sure, old = pl.col("u_pivot").is_not_null(), pl.col("diagnostics").struct
    log = old.field("autocorrelation").is_not_null()
    dof = pl.when(sure).then(pl.col("dof").cast(pl.Float64))
    columns = {name: old.field(name) for name in KEPT}
    if isinstance(frame["diagnostics"].struct.field("autocorrelation").dtype, pl.Struct):  # it may be null throughout
        more = (pl.lit(None, dtype=pl.Int64).alias(name) for name in ("gaps", "equal_times"))
        columns["autocorrelation"] = pl.when(log).then(columns["autocorrelation"].struct.with_fields(*more))
    return frame.with_columns(
        pivot=pl.when(pl.col("w").is_not_null()).then(pl.col("indication_mean")),
        u_reading=pl.col("s"),
        u_dof=dof,
        reading_dof=dof,
        source=pl.when(sure).then(pl.when(log).then(pl.lit(AR1)).otherwise(pl.lit(INDEPENDENT))),
        lower_bound=pl.lit(value=False),
        misfit=pl.lit(None, dtype=pl.String),
        stated=pl.lit(None),
        diagnostics=pl.struct(columns.get(name, pl.lit(None)).alias(name) for name in diagnostics),
    )

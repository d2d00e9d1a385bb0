"""The column ``diagnostics``: of each instrument, what its errors say, with the files and rows of readings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from thermofit_pl.calibration.levels import PATTERN
from thermofit_pl.curves.line import Line
from thermofit_pl.curves.thermistor import KELVIN
from thermofit_pl.functional.groups import Groups
from thermofit_pl.functional.sensor_kinds import is_thermistor, platinum
from thermofit_pl.functional.units import ABSOLUTE_ZERO, CELSIUS

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from thermofit_pl.results.build import Result
    from thermofit_pl.results.findings import Findings, Odd
    from thermofit_pl.tables.sample import Sample

LOOKED_AT = 1000  # instruments of a fleet, of which it is told what kind of sensor they may be
NAMED = 10  # rows that are told, of those that don't belong to the rest


def diagnostics(result: Result) -> pl.Series:
    """Returns the column ``diagnostics``, whose fields are those of ``records.Diagnostics``."""
    found, sample, log = result.evidence.findings, result.evidence.sample, result.evidence.log
    everywhere = np.full(len(found.sampled), True)
    largest, error = result.largest
    return struct(
        "diagnostics",
        everywhere,
        sampled=found.sampled,
        largest_error=struct("largest_error", largest >= 0, error=error, **_places(sample, largest)),
        error_codes=_error_codes(found.odd, sample),
        stuck=_stuck(found.odd, sample),
        **_patterns(found, sample),
        outlying=_outlying(found.odd, sample),
        looks_like=_looks_like(result, sample),
        slope_p=result.evidence.slope_p,
        autocorrelation=struct(
            "autocorrelation",
            everywhere,
            errors=log.errors,
            indications=log.indications,
            pairs=log.pairs,
            gaps=log.gaps,
            equal_times=log.equal_times,
        )
        if log is not None
        else struct("autocorrelation", ~everywhere, errors=everywhere),
    )


def _looks_like(result: Result, sample: Sample) -> pl.Series:
    """Of which sensor each line's readings look to be."""
    import polars as pl

    unit, found = result.evidence.unit, len(result.evidence.findings.sampled)
    kinds: list[str | None] = [None] * found
    if isinstance(result.curve, Line) and unit in ABSOLUTE_ZERO and found <= LOOKED_AT and len(sample):
        groups = Groups(sample.codes(), found)
        x, y = (groups.sorted(sample.column(name)) for name in ("indication", "reference"))
        celsius = (y - ABSOLUTE_ZERO[unit]) / KELVIN[unit] + ABSOLUTE_ZERO[CELSIUS]
        ends = np.cumsum(groups.counts)
        for k, (start, end) in enumerate(zip(ends - groups.counts, ends, strict=True)):
            own = x[start:end], celsius[start:end]
            kinds[k] = "thermistor" if is_thermistor(*own) else platinum(*own)
    return pl.Series(kinds, dtype=pl.String)


def _patterns(found: Findings, sample: Sample) -> dict[str, pl.Series]:
    """What each test of the errors says, where it could be made."""
    points, alike, shape, scatter, rank = found.points, found.neighbours, found.shape, found.scatter, found.rank
    return {
        "set_points": struct(
            "set_points",
            points.number > 0,
            count=points.number,
            p=points.p,
            reference=_places(sample, points.largest)["reference"],
            error=points.error,
            readings=points.size,
        ),
        "neighbours": struct("neighbours", np.isfinite(alike.p), errors=alike.value, p=alike.p, ordered=found.ordered),
        "shape": struct("shape", np.isfinite(shape.p), degree=shape.degree, size=shape.size, p=shape.p),
        "scatter": struct("scatter", np.isfinite(scatter.p), grows=scatter.value > 0, p=scatter.p),
        "rank": struct("rank", np.isfinite(rank.p), correlation=rank.value, p=rank.p),
    }


def _error_codes(odd: Odd, sample: Sample) -> pl.Series:
    import polars as pl

    at = np.flatnonzero(odd.code)
    of_reference = odd.code_of_reference[at]
    values = np.where(of_reference, sample.column("reference")[at], sample.column("indication")[at])
    columns = {"role": np.where(of_reference, "reference", "indication"), "value": values}
    found = _gathered(
        sample,
        at,
        len(odd.p),
        columns,
        role=pl.when(pl.col("role").n_unique() > 1).then(pl.lit("both")).otherwise(pl.col("role").first()),
        values=pl.col("value").unique(maintain_order=True).head(NAMED),
    )
    return struct("error_codes", found["count"].is_not_null().to_numpy(), **found.to_dict())


def _outlying(odd: Odd, sample: Sample) -> pl.Series:
    found = _gathered(sample, np.flatnonzero(odd.standing_out), len(odd.p), {})
    farthest = np.where(found["count"].is_not_null().to_numpy() & (odd.p < PATTERN), odd.farthest, -1)
    columns = {"t": odd.t, "p": odd.p, **_places(sample, farthest), "count": found["count"], "rows": found["rows"]}
    return struct("outlying", farthest >= 0, **columns)


def _stuck(odd: Odd, sample: Sample) -> pl.Series:
    first, length, moved = odd.stuck
    # those of one instrument follow each other in the sample, but others' may lie between them
    order = np.argsort(sample.codes(), kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    last = np.full(len(first), -1)
    here = first >= 0
    last[here] = order[place[first[here]] + length[here] - 1]
    begin, end = _places(sample, first), _places(sample, last)
    columns = {"indication": begin["indication"], "count": length, "moved": moved, "file": begin["file"]}
    return struct("stuck", here, **columns, first_row=begin["row"], last_row=end["row"])


def _gathered(
    sample: Sample, at: NDArray[np.int64], instruments: int, columns: dict[str, NDArray[Any]], **lists: pl.Expr
) -> pl.DataFrame:
    """Returns how many of some readings each instrument has, and where; null where it has none."""
    import polars as pl

    files, rows = sample.places(at)
    readings = {"file": pl.Series(files, dtype=pl.String), "row": pl.Series(rows, dtype=pl.Int64)}
    frame = pl.DataFrame({"instrument": sample.codes()[at], **readings, **columns})
    file = pl.col("file").first()
    there = pl.col("row").filter(pl.col("file").eq_missing(file)).head(NAMED)
    found = frame.group_by("instrument", maintain_order=True).agg(
        **lists, count=pl.len().cast(pl.Int64), file=file, rows=there
    )
    everyone = pl.DataFrame({"instrument": np.arange(instruments)})
    return everyone.join(found, on="instrument", how="left", maintain_order="left").drop("instrument")


def _places(sample: Sample, index: NDArray[np.int64]) -> dict[str, pl.Series]:
    """Returns a reading of each instrument, by its index in the sample, and where it stands; null where that is −1."""
    import polars as pl

    place = np.flatnonzero(index >= 0)
    files, rows = sample.places(index[place])
    columns = {}
    for key in ("indication", "reference"):
        values = np.full(len(index), np.nan)
        values[place] = sample.column(key)[index[place]]
        columns[key] = pl.Series(values)
    columns["file"] = pl.repeat(None, len(index), eager=True, dtype=pl.String).scatter(place, files)
    columns["row"] = pl.repeat(None, len(index), eager=True, dtype=pl.Int64).scatter(place, rows)
    return columns


def struct(name: str, where: NDArray[np.bool_], **columns: Any) -> pl.Series:
    """Returns one nested column of several, null where there is nothing; NaN in a column of floats is null."""
    import polars as pl

    made = {
        key: pl.Series(values, nan_to_null=True) if isinstance(values, np.ndarray) else values
        for key, values in columns.items()
    }
    nested = pl.DataFrame(made).to_struct(name)
    return pl.select(pl.when(pl.Series(where)).then(nested).alias(name)).to_series()

"""A result as a table: one row an instrument, with a status that says what is wrong with it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from thermofit_pl.calibration.calibrations import Calibrations
from thermofit_pl.calibration.fields import NUMBERS
from thermofit_pl.functional.scales import AGREES, SCALES
from thermofit_pl.functional.units import ABSOLUTE_ZERO
from thermofit_pl.metrics.least_squares import COVERAGE_PROBABILITY
from thermofit_pl.results.build import provenance
from thermofit_pl.results.diagnostics import diagnostics, struct

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl
    from numpy.typing import NDArray

    from thermofit_pl.calibration.calibration import Calibration
    from thermofit_pl.calibration.records import Source
    from thermofit_pl.results.build import Result

LEVEL = 0.05  # p-value from which a slope may be chance


def tabulate(
    result: Result,
    instruments: Sequence[str],
    source: Source,
    *,
    instrument_column: str | None = None,
    lightning: str | None = None,
) -> Calibrations:
    """Returns the calibrations of a fleet.

    Args:
        result: What the fit found.
        instruments: The name of each instrument.
        source: Where the readings come from.
        instrument_column: The column that named the instruments; None where each had a column of its own.
        lightning: Version of lightning, if it took part.
    """
    import polars as pl

    from thermofit_pl.calibration.parquet_file import columns

    numbers, n, has_line = result.numbers, result.whole["n"], result.has_line

    def column(name: str, values: Any) -> pl.Series:
        series = pl.Series(name, values, nan_to_null=True)
        return series.set(pl.Series(~has_line), None)

    def pair(name: str, low: NDArray[np.float64], high: NDArray[np.float64]) -> pl.Series:
        pairs = pl.Series(name, np.stack([low, high], axis=-1), dtype=pl.Array(pl.Float64, 2))
        return pl.select(pl.when(pl.Series(np.isfinite(low) & np.isfinite(high))).then(pairs)).to_series().alias(name)

    made = {name: column(name, numbers[name]) for name in NUMBERS}
    made |= {name: pl.Series(name, values) for name, values in result.whole.items()}
    made["indication_mean"] = pl.Series(np.where(n > 0, numbers["indication_mean"], np.nan), nan_to_null=True)
    made["instrument"], made["status"] = pl.Series(list(instruments), dtype=pl.String), statuses(result)
    made["indication_range"] = pair("indication_range", numbers["low"], numbers["high"])
    for name in ("w", "b"):
        spread = numbers["coverage_factor"] * numbers[f"u_{name}"]
        made[f"{name}_interval"] = pair(name, numbers[name] - spread, numbers[name] + spread)
    made |= {"scale": _scales(result, has_line), "sgd": _sgd(result, has_line)}
    made |= {"diagnostics": diagnostics(result), "snap": _snap(result, has_line)}
    frame = pl.DataFrame({name: made[name] for name in columns()})
    common = {
        "coverage_probability": COVERAGE_PROBABILITY,
        "finish": result.finish,
        **vars(source),
        **provenance(lightning),
        "instrument_column": instrument_column,
        "common": result.evidence.common,
    }
    return Calibrations(frame, common)


def single(result: Result, source: Source, *, lightning: str | None = None) -> Calibration:
    """Returns the calibration of one instrument: a row, and what is said of one alone.

    That is how it compares with all eight scales, and how many steps SGD still needs.

    Args:
        result: What the fit found.
        source: Where the readings come from.
        lightning: Version of lightning, if it took part.
    """
    found = tabulate(result, [""], source, lightning=lightning).row(0)
    sgd = found.sgd
    if sgd is not None and result.ended is not None and not sgd.converged:
        sgd = dataclasses.replace(sgd, advice=result.ended.advice(sgd.steps_needed))
    scale = result.evidence.differences.verdict() if result.evidence.unit in ABSOLUTE_ZERO else None
    return dataclasses.replace(found, scale=scale, sgd=sgd)


def statuses(result: Result) -> pl.Series:
    """Says of each instrument ``ok``, or why it has no line, or what its line lacks."""
    import polars as pl

    n, has_line, fit = result.whole["n"], result.has_line, result.evidence.fit
    level = np.isfinite(result.evidence.slope_p) & (result.evidence.slope_p >= LEVEL)
    equal_references = has_line & (fit.w == 0).all(dim=-1).numpy() & (fit.rmse == 0).numpy()
    reasons = [
        (n == 0, "no readings"),
        (n == 1, "fewer than two readings"),
        (~has_line, "equal indications"),
        (equal_references, "equal references"),
        (n == 2, "two readings: no uncertainty"),
        (level, "slope not significant"),
    ]
    chosen = np.select([where for where, _ in reasons], range(len(reasons)), len(reasons))
    return pl.Series("status", [*(reason for _, reason in reasons), "ok"]).gather(chosen)


def _scales(result: Result, has_line: NDArray[np.bool_]) -> pl.Series:
    import polars as pl

    differences, names = result.evidence.differences, pl.Series(list(SCALES))
    has_line = has_line & (result.evidence.unit in ABSOLUTE_ZERO)
    # an instrument without a line compares with nothing
    nearest = np.where(has_line[:, None], differences.largest, 0.0).argmin(axis=1)
    row = np.arange(len(nearest))
    return struct(
        "scale",
        has_line,
        nearest=names.gather(nearest),
        near=pl.Series(differences.near),
        exact=pl.Series(differences.exact),
        agreeing=_agreeing(np.nan_to_num(differences.p) >= AGREES, differences.largest),
        difference=pl.Series(differences.largest[row, nearest], nan_to_null=True),
        p=pl.Series(differences.p[row, nearest], nan_to_null=True),
    )


def _agreeing(agrees: NDArray[np.bool_], difference: NDArray[np.float64]) -> pl.Series:
    """The names of the scales that agree with each instrument's readings, the nearest first.

    Few lists differ, so each is made once.
    """
    import polars as pl

    several = np.flatnonzero(agrees.sum(axis=1) > 1)
    order = np.zeros(agrees.shape, np.int64) + np.arange(agrees.shape[1])
    order[several] = np.argsort(np.where(agrees, difference, np.inf)[several], axis=1, kind="stable")
    named = np.where(np.take_along_axis(agrees, order, axis=1), order + 1, 0)
    key = named @ (len(SCALES) + 1) ** np.arange(agrees.shape[1])
    _, first, which = np.unique(key, return_index=True, return_inverse=True)
    lists = [[list(SCALES)[index - 1] for index in named[row] if index] for row in first]
    return pl.Series(lists, dtype=pl.List(pl.String)).gather(which)


def _sgd(result: Result, has_line: NDArray[np.bool_]) -> pl.Series:
    import polars as pl

    ended = result.ended
    if ended is None:
        return pl.Series("sgd", [None] * len(has_line), dtype=pl.Struct({"w": pl.Float64}))
    w, b, loss, away, converged, more = (
        tensor.numpy() for tensor in (ended.w[:, 0], ended.b, ended.loss, ended.distance, ended.converged, ended.more)
    )
    known = ~converged & (more < 1e15)
    needed = pl.Series(np.where(known, more, -1).astype(np.int64))
    return struct(
        "sgd",
        has_line,
        w=pl.Series(w),
        b=pl.Series(b),
        loss=pl.Series(loss),
        steps=pl.repeat(ended.steps, len(w), eager=True, dtype=pl.Int64),
        learning_rate=pl.repeat(ended.learning_rate, len(w), eager=True, dtype=pl.Float64),
        converged=pl.Series(converged),
        distance=pl.Series(away),
        distance_w=pl.Series(w - result.evidence.fit.w[:, 0].numpy()),
        distance_b=pl.Series(b - result.evidence.fit.b.numpy()),
        steps_needed=needed.set(needed < 0, None),
        advice=pl.Series([ended.advice(None), None], dtype=pl.String).gather(converged.astype(np.int64)),
    )


def _snap(result: Result, has_line: NDArray[np.bool_]) -> pl.Series:
    import polars as pl

    here = has_line if result.snap is not None else np.zeros_like(has_line)
    scale = pl.repeat(result.snap, len(here), eager=True, dtype=pl.String)
    return struct("snap", here, scale=scale, rmse_free=pl.Series(result.evidence.fit.rmse.numpy(), nan_to_null=True))

"""A result as a table: one row an instrument, with a status that says what is wrong with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, get_origin

import numpy as np

from thermofit_pl.calibration.calibrations import Calibrations
from thermofit_pl.calibration.fields import Schema, required, type_hints
from thermofit_pl.calibration.records import Budget
from thermofit_pl.curves.line import Line
from thermofit_pl.functional.scales import AGREES, AGREES_LOG, SCALES
from thermofit_pl.functional.uncertainty import SOURCES
from thermofit_pl.functional.units import ABSOLUTE_ZERO
from thermofit_pl.metrics.least_squares import COVERAGE_PROBABILITY, NUMERALS
from thermofit_pl.results.build import provenance
from thermofit_pl.results.candidates import candidates
from thermofit_pl.results.diagnostics import diagnostics
from thermofit_pl.results.misfit import misfits
from thermofit_pl.results.turning import warn_of_turns

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl
    from numpy.typing import NDArray

    from thermofit_pl.calibration.calibration import Calibration
    from thermofit_pl.calibration.records import Source
    from thermofit_pl.results.build import Result

LEVEL = 0.05  # p-value from which a slope may be chance


class Records(NamedTuple):
    """A record of each instrument.

    Attributes:
        values: What its fields hold, by name: arrays, Polars series, or one value for all; or records again.
        where: Which instruments have it, shape ``(instruments,)``.
    """

    values: Mapping[str, Any]
    where: NDArray[np.bool_]


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

    schema, numbers, there = Schema(result.curve), result.numbers, result.has_curve
    everywhere = np.ones_like(there)
    values: dict[str, Any] = {
        name: _where(numbers[name], there) for name in (*schema.numbers, *schema.vectors) if name != "indication_mean"
    }
    values |= result.whole | {"instrument": list(instruments), "status": statuses(result)}
    if "indication_mean" in schema.own:
        values["indication_mean"] = _where(numbers["indication_mean"], result.whole["n"] > 0)
        for name in ("w", "b"):
            values[f"{name}_interval"] = _interval(result, numbers[name], numbers[f"u_{name}"])
    else:
        values["conventional"] = _quoted(result)
    values["indication_range"] = _finite(np.stack([numbers["low"], numbers["high"]], axis=-1))
    values["source"] = pl.Series([*SOURCES, None]).gather(result.whole["source"] % (len(SOURCES) + 1))  # −1: none
    evidence = result.evidence
    r_squared = evidence.fit.r_squared.numpy()
    values["misfit"] = misfits(evidence.findings, evidence.sample.codes(), evidence.slope_p, r_squared)
    values |= {"scale": _scales(result), "sgd": _sgd(result), "diagnostics": diagnostics(result)}
    rmse_free = result.evidence.fit.rmse.numpy()
    values["snap"] = Records({"scale": result.snap, "rmse_free": rmse_free}, there & (result.snap is not None))
    values["stated"] = _stated(result)
    frame = pl.DataFrame(
        {name: _column(schema, hint, values[name], everywhere) for name, hint in columns(schema).items()}
    )
    common = {
        "curve": result.curve,
        "coverage_probability": COVERAGE_PROBABILITY,
        "finish": result.finish,
        **vars(source),
        **provenance(lightning),
        "instrument_column": instrument_column,
        "common": result.evidence.common,
    }
    made = Calibrations(frame, common)
    warn_of_turns(made)
    return made


def single(result: Result, source: Source, *, lightning: str | None = None) -> Calibration:
    """Returns the calibration of one instrument: a row, and what is said of one alone.

    That is how it compares with all eight scales, and with other curves, and how many steps SGD still needs.

    Args:
        result: What the fit found.
        source: Where the readings come from.
        lightning: Version of lightning, if it took part.
    """
    found = tabulate(result, [""], source, lightning=lightning).row(0)
    sgd = found.sgd
    if sgd is not None and result.ended is not None and not sgd.converged:
        sgd = dataclasses.replace(sgd, advice=result.ended.advice(sgd.steps_needed))
    agrees = AGREES if result.evidence.log is None else AGREES_LOG
    scale = result.evidence.differences.verdict(agrees=agrees) if found.scale is not None else None
    made, other = dataclasses.replace(found, scale=scale, sgd=sgd), None
    if type(result.curve) is Line and result.snap is None and result.evidence.log is None and found.stated is None:
        sample = result.evidence.sample
        other = candidates(sample.column("indication"), sample.column("reference"), made)
    return dataclasses.replace(made, candidates=other)


def _stated(result: Result) -> Records | None:
    """What was stated of the readings' uncertainties."""
    there, found = result.has_curve, result.evidence.stated
    if found is None:
        return None
    total = np.sum(list(found.budget.values()), axis=0)
    whole = there & np.isfinite(total).all(axis=0) & (total > 0).all(axis=0) & (result.finish == "least_squares")
    parts: dict[str, Any] = dict.fromkeys(type_hints(Budget))
    for name, variance in found.budget.items():
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.where(whole, variance / total, np.nan)
        part = {"u": np.sqrt(np.maximum(variance, 0.0)).T, "share": share.T}
        parts[name] = Records({key: _finite(value) for key, value in part.items()}, whole)
    parts |= {"indications": _finite(found.at.T), "u_single": np.sqrt(total).T}
    judged = np.isfinite(found.p)
    values: dict[str, Any] = found.words() | {
        "alike": found.alike,
        "chi_squared": _where(found.chi_squared, judged),
        "chi_squared_dof": _where(found.dof, judged),
        "chi_squared_p": _where(found.p, judged),
        "budget": Records(parts, whole),
    }
    return Records(values, there)


def statuses(result: Result) -> pl.Series:
    """Says of each instrument ``ok``, or why it has no curve, or what its curve lacks."""
    import polars as pl

    n, there, fit, free = result.whole["n"], result.has_curve, result.evidence.fit, result.curve.free
    least, line = NUMERALS.get(len(free), str(len(free))), isinstance(result.curve, Line)
    level = np.isfinite(result.evidence.slope_p) & (result.evidence.slope_p >= LEVEL) & line
    equal_references = there & (fit.w == 0).all(dim=-1).numpy() & (fit.rmse == 0).numpy()
    reasons = [
        (n == 0, "no readings"),
        (n < len(free), f"fewer than {least} readings"),
        (~there & result.evidence.moments.has_curve.numpy(), f"a curve that no {result.curve.sensor} has"),
        (~there, "equal indications" if line else "readings that don't tell every coefficient"),
        (equal_references, "equal references"),
        (n == len(free), f"{least} {'reading' if len(free) == 1 else 'readings'}: no uncertainty"),
        (level, "slope not significant"),
    ]
    chosen = np.select([where for where, _ in reasons], range(len(reasons)), len(reasons))
    return pl.Series("status", [*(reason for _, reason in reasons), "ok"]).gather(chosen)


def _column(schema: Schema, hint: Any, values: Any, where: NDArray[np.bool_]) -> pl.Series:
    """A column of the type that a field has, null where there is nothing, or a number isn't known."""
    import polars as pl

    if values is None:
        return pl.repeat(None, len(where), eager=True, dtype=pl.Null)
    hint = required(hint)
    if isinstance(values, Records):
        columns = {name: _column(schema, of, values.values[name], where) for name, of in schema.of(hint).items()}
        nested = pl.DataFrame(columns).to_struct()
        return pl.select(pl.when(pl.Series(values.where)).then(nested)).to_series()
    if get_origin(hint) is tuple and isinstance(values, np.ndarray):
        known = np.isfinite(values).reshape(len(values), -1).all(axis=1)
        series = pl.Series(values, dtype=pl.Array(pl.Float64, values.shape[1:]))
        return series if known.all() else pl.select(pl.when(pl.Series(known)).then(series)).to_series()
    if isinstance(values, (str, int, float, list)) and not (isinstance(values, list) and hint is str):
        series = pl.Series([values])
        return series.new_from_index(0, len(where))
    return pl.Series(values, nan_to_null=True) if isinstance(values, np.ndarray) else pl.Series(values)


def _where(values: NDArray[np.float64], there: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Numbers, NaN where there is no curve."""
    return values if there.all() else np.where(there.reshape(-1, *[1] * (values.ndim - 1)), values, np.nan)


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isfinite(values), values, np.nan)


def _interval(result: Result, values: NDArray[np.float64], u: NDArray[np.float64]) -> NDArray[np.float64]:
    """The ends of intervals at the coverage probability, along a last axis."""
    k = result.numbers["coverage_factor"].reshape(-1, *[1] * (values.ndim - 1))
    return np.stack([values - k * u, values + k * u], axis=-1)


def _quoted(result: Result) -> Records:
    numbers = result.numbers
    values = {name: numbers[name] for name in ("values", "u", "covariance")}
    intervals = _interval(result, numbers["values"], numbers["u"])
    return Records(values | {"names": list(result.curve.conventional_names), "intervals": intervals}, result.has_curve)


def _scales(result: Result) -> Records | None:
    import polars as pl

    if not isinstance(result.curve, Line) or result.evidence.unit not in ABSOLUTE_ZERO:
        return None
    differences, names, there = result.evidence.differences, pl.Series(list(SCALES)), result.has_curve
    # an instrument without a line compares with nothing
    nearest = np.where(there[:, None], differences.largest, 0.0).argmin(axis=1)
    row = np.arange(len(nearest))
    values = {
        "nearest": names.gather(nearest),
        "near": differences.near,
        "exact": differences.exact,
        "agreeing": _agreeing(
            np.nan_to_num(differences.p) >= (AGREES if result.evidence.log is None else AGREES_LOG), differences.largest
        ),
        "difference": differences.largest[row, nearest],
        "p": differences.p[row, nearest],
    }
    return Records(values, there)


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


def _sgd(result: Result) -> Records | None:
    import polars as pl

    ended, fit = result.ended, result.evidence.fit
    if ended is None:
        return None
    values: dict[str, Any] = {
        name: getattr(ended, name).numpy() for name in ("w", "b", "loss", "distance", "converged")
    }
    values |= {"distance_w": (ended.w - fit.w).numpy(), "distance_b": (ended.b - fit.b).numpy()}
    if isinstance(result.curve, Line):
        values |= {name: values[name][:, 0] for name in ("w", "distance_w")}
    more, converged = ended.more.numpy(), values["converged"]
    known = ~converged & (more < 1e15)
    needed = pl.Series(np.where(known, more, -1).astype(np.int64))
    values |= {"steps": ended.steps, "learning_rate": ended.learning_rate}
    values["steps_needed"] = needed.set(needed < 0, None)
    values["advice"] = pl.Series([ended.advice(None), None], dtype=pl.String).gather(converged.astype(np.int64))
    return Records(values, result.has_curve)

"""What a fit of many instruments says at its end, for somebody who has ten thousand of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from thermofit_pl.calibration.correction import factors, of_columns
from thermofit_pl.calibration.correction import needed as parts_of
from thermofit_pl.calibration.equation import Fitted, equation
from thermofit_pl.calibration.records import Coefficients
from thermofit_pl.curves.line import Line
from thermofit_pl.formatting import count, p_text, printable, signed, two_digits
from thermofit_pl.functional.fleet_tests import holm, outlying
from thermofit_pl.functional.scales import AGREES, SCALES, compare
from thermofit_pl.functional.uncertainty import AR1, BLOCKS, INDEPENDENT, SHORT
from thermofit_pl.reports.stated import LEVEL, fit_sentence

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl
    from numpy.typing import NDArray

    from thermofit_pl.calibration.calibrations import Calibrations
    from thermofit_pl.curves.base import Curve
    from thermofit_pl.functional.units import Units

NEEDED = (
    "instrument",
    "n",
    "w",
    "s",
    "pivot",
    "u_pivot",
    "u_dof",
    "u_reading",
    "reading_dof",
    "coverage_factor",
    "indication_range",
)
OF_LINES = ("b", "u_w", "indication_mean")
OF_OTHERS = ("level", "U")
NAMED = 5  # instruments that a line names
WORST = 10
OUTLYING = 0.01  # probability that any instrument of a normal fleet is called an outlier


def fleet_summary(fleet: Calibrations) -> str:
    """Says how a fleet is: how many are fine, how they spread, and which to look at.

    Args:
        fleet: The calibrations.

    Returns:
        Plain text, one sentence a line, without a newline at its end.
    """
    lines = [*_statuses(fleet)]
    lined = needed(fleet)  # to copy nested columns too would take a gigabyte for a million
    if lined.height:
        of_lines, ended = isinstance(fleet.curve, Line), fleet.frame["sgd"].drop_nulls()
        lines += [*(_spread(lined, fleet.units) if of_lines else _quoted(fleet)), *_worst(fleet, lined)]
        lines += [*_outliers(lined), *_common(fleet)] if of_lines else []
        lines += [*_sources(fleet), *_logs(fleet)]
        lines += [*(_scales(fleet) if of_lines else []), *_stated(fleet), *_sgd(ended, fleet.units)]
    return "\n".join(lines)


def _stated(fleet: Calibrations) -> Iterator[str]:
    """Says what was stated of uncertainties, of how many instruments the errors are larger, and what all share."""
    found, common = fleet.frame["stated"].drop_nulls(), None
    if len(found):
        first = found[0]
        common, kind = first["common"], first["uncertainties"]
        yield fit_sentence(
            first["method"], kind, first["reference"], first["indication"], common, fleet.units.reference
        )
        p = found.struct.field("chi_squared_p").drop_nulls()
        if len(p) and kind == "absolute":
            more = int((p < LEVEL / len(p)).sum())
            yield (
                f"The errors of {count(more)} of {count(len(p))} instruments scatter by more than the stated "
                f"uncertainties explain (each with p < {LEVEL / len(p):.1g}); nothing is rescaled."
            )
    if common is None:
        yield (
            "Errors of a shared reference are common to all instruments: they are in no u here, and no mean over the "
            "fleet makes them smaller."
        )
    else:
        yield "What all references share is in every u, common to all instruments: no mean over them makes it smaller."


def needed(fleet: Calibrations) -> pl.DataFrame:
    """Returns what is said and drawn of the instruments that have a curve, with their ``place`` in the fleet."""
    return (
        fleet.frame.with_row_index("place")
        .select("place", *NEEDED, *(OF_LINES if isinstance(fleet.curve, Line) else OF_OTHERS))
        .drop_nulls("w")
    )


def _statuses(fleet: Calibrations) -> Iterator[str]:
    import polars as pl

    frame, source = fleet.frame, fleet.provenance["data_name"]
    readings = f"{count(int(frame['n'].sum()))} readings" + (f" of {printable(source)}" if source else "")
    fine = int(((frame["status"] == "ok") & frame["misfit"].is_null()).sum())
    yield f"{count(fine)} of {count(frame.height)} instruments are fine ({readings})."
    for status in sorted(set(frame["status"].unique()) - {"ok"}):
        some = frame.select("instrument", "status", "w").filter(pl.col("status") == status)
        kept = "no line" if some["w"].null_count() else "a line"
        yield f"{count(some.height)} with {kept}: {printable(status, 100)} ({_named(some['instrument'])})."
    for misfit in sorted(set(frame["misfit"].drop_nulls().unique())):
        names = frame.select("instrument", "misfit").filter(pl.col("misfit") == misfit)["instrument"]
        yield f"{count(len(names))} with a misfit: {printable(misfit, 100)} ({_named(names)})."
    if dropped := fleet.provenance["dropped"]:
        were = "reading was" if dropped == 1 else "readings were"
        yield f"{count(dropped)} {were} dropped, since a cell was missing."


def _named(names: pl.Series) -> str:
    shown = ", ".join(printable(name, 40) for name in names.head(NAMED))
    return shown + (" …" if len(names) > NAMED else "")


def _spread(lined: pl.DataFrame, units: Units) -> Iterator[str]:
    parts = []
    for name, unit in (("w", units.slope), ("b", units.reference), ("s", units.reference)):
        values = lined[name].drop_nulls().to_numpy()
        if len(values):
            low, middle, high = (signed(f"{value:.4g}") for value in np.quantile(values, (0.05, 0.5, 0.95)))
            parts.append(f"{name} {middle} {unit} ({low} to {high})")
    yield f"Medians, and from where to where nine of ten lie: {'; '.join(parts)}."


def _quoted(fleet: Calibrations) -> Iterator[str]:
    values = fleet.frame["conventional"].drop_nulls().struct.field("values").to_numpy()
    middle, spread = np.median(values, axis=0), np.quantile(values, (0.05, 0.95), axis=0)
    parts = [
        f"{name} {signed(f'{value:.4g}')} ({signed(f'{low:.4g}')} to {signed(f'{high:.4g}')})"
        for name, value, low, high in zip(fleet.curve.conventional_names, middle, *spread, strict=True)
    ]
    yield f"Medians, and from where to where nine of ten lie: {'; '.join(parts)}."


def _worst(fleet: Calibrations, lined: pl.DataFrame) -> Iterator[str]:
    known = lined.drop_nulls(["u_pivot", "coverage_factor"])
    if not known.height:
        return
    probability = f"{100 * fleet.provenance['coverage_probability']:.4g} %"
    worst = _ranked(known, good_to(known, fleet.curve, fleet.provenance["coverage_probability"]), fleet.units, "±")
    yield f"A corrected reading is worst of ({probability}, at an end of the range): {worst}."
    yield f"The readings scatter most about the lines of (s): {_ranked(known, known['s'].to_numpy(), fleet.units)}."


def good_to(known: pl.DataFrame, curve: Curve, probability: float) -> NDArray[np.float64]:
    """Returns U of a corrected reading at the worse end of each instrument's range, shape ``(instruments,)``.

    Args:
        known: Rows of instruments with uncertainties.
        curve: The fleet's.
        probability: Of coverage.
    """
    columns = {name: known.select(value).to_series().to_numpy() for name, value in parts_of(curve).items()}
    correction = of_columns(curve, columns.__getitem__)
    u = [correction.at(columns[end]).u_single for end in ("low", "high")]
    names = ("coverage_factor", "u_pivot", "u_dof", "u_reading", "reading_dof")
    _, k = factors(*(known[name].fill_null(math.nan).to_numpy() for name in names), probability=probability)
    expanded: NDArray[np.float64] = k * np.maximum(*u)
    return expanded


def _ranked(frame: pl.DataFrame, values: NDArray[np.float64], units: Units, sign: str = "") -> str:
    order = np.argsort(-values, kind="stable")[:WORST]
    names = frame["instrument"].gather(order.tolist()).to_list()
    shown = zip(names, values[order], strict=True)
    return ", ".join(f"{printable(name, 40)} {sign}{two_digits(value)} {units.reference}" for name, value in shown)


def _outliers(lined: pl.DataFrame) -> Iterator[str]:
    known = lined.drop_nulls("u_w")
    if known.height < 5:
        return
    p = outlier_p(known)
    beyond = np.flatnonzero(p < OUTLYING)
    if not beyond.size:
        yield f"No instrument is an outlier of the fleet (p-values corrected for their number, at {OUTLYING:g})."
        return
    order = beyond[np.argsort(p[beyond], kind="stable")]
    names = ", ".join(
        f"{printable(name, 40)} ({p_text(value)})"
        for name, value in zip(known["instrument"].gather(order[:WORST].tolist()), p[order[:WORST]], strict=True)
    )
    more = " …" if len(order) > WORST else ""
    are = "instruments is an outlier" if len(order) == 1 else "instruments are outliers"
    yield (
        f"{count(len(order))} of {count(known.height)} {are} of the fleet (p-values corrected for their number): "
        f"{names}{more}."
    )


def outlier_p(known: pl.DataFrame) -> NDArray[np.float64]:
    """Returns how probable an instrument so far from the fleet is by chance, shape ``(instruments,)``.

    The pair (estimate at the fleet's mean indication, slope) of each instrument is compared with the fleet's medians.
    The p-values are corrected for the number of instruments (Holm 1979).

    Args:
        known: Rows of instruments with uncertainties.
    """
    w, b, u_w, u_pivot, pivot, n, dof = (
        known[name].to_numpy().astype(np.float64) for name in ("w", "b", "u_w", "u_pivot", "pivot", "n", "u_dof")
    )
    mean = float((pivot * n).sum() / n.sum())
    away = mean - pivot
    own = np.empty((len(w), 2, 2))
    own[:, 0, 0], own[:, 1, 1] = u_pivot**2 + (away * u_w) ** 2, u_w**2
    own[:, 0, 1] = own[:, 1, 0] = away * u_w**2
    return holm(outlying(np.stack([w * mean + b, w], axis=-1), own, np.maximum(dof, 1.0)))


def _common(fleet: Calibrations) -> Iterator[str]:
    common = fleet.provenance.get("common")
    if common is None:
        return
    unit, ends = fleet.units.reference, fleet.frame["indication_range"].drop_nulls().to_numpy()
    x = np.linspace(ends.min(), ends.max(), 33)
    within = common["s"] / 10 / math.sqrt(fleet.frame["n"].sum()) or math.inf
    quoted = Coefficients(("b", "w"), (common["b"], common["w"]), None, None, None)
    line = equation(Line(), quoted, unit, Fitted(x, common["w"] * x + common["b"], within)).removeprefix("reference = ")
    scatter = (
        f"s = {two_digits(common['s'])} {unit} about it, {two_digits(common['s_own'])} {unit} about their own lines"
    )
    if common["p"] >= OUTLYING:
        yield f"One common line would do for all, as far as these readings can tell ({p_text(common['p'])}): {line}."
    else:
        yield f"One common line, {line}, would not do for all ({p_text(common['p'])}): {scatter}."


def _logs(fleet: Calibrations) -> Iterator[str]:
    log = fleet.frame["diagnostics"].struct.field("autocorrelation").drop_nulls()
    if not len(log):
        return
    errors = log.struct.field("errors").to_numpy()
    low, middle, high = (signed(f"{value:.2f}") for value in np.quantile(errors, (0.05, 0.5, 0.95)))
    short = int((fleet.frame["n"] < SHORT).sum())
    text = f"Neighbouring errors of these logs have an autocorrelation of {middle} ({low} to {high})"
    if short == len(fleet):
        yield f"{text}; they are too short, with fewer than {SHORT} readings, to tell how alike their errors are."
        return
    more = f"; {count(short)} are too short to tell" if short else ""
    bounds = int(fleet.frame["lower_bound"].sum())
    least = f"; of {count(bounds)}, every u is at least so large, for they are short beside it" if bounds else ""
    yield f"{text}, which the uncertainties allow for{more}{least}."


def _sources(fleet: Calibrations) -> Iterator[str]:
    found = fleet.frame["source"].drop_nulls().value_counts(sort=True)
    if set(found["source"]) - {INDEPENDENT}:
        parts = [f"{source} ({count(number)})" for source, number in found.iter_rows()]
        yield f"The uncertainties come from {', '.join(parts)}."


def _scales(fleet: Calibrations) -> Iterator[str]:
    if not fleet.units.is_temperature:
        yield from _same_quantity(fleet)
        return
    scale = fleet.frame["scale"].drop_nulls()
    near = scale.struct.field("near")
    found = scale.struct.field("nearest").filter(near).value_counts(sort=True)
    parts = [f"{SCALES[name].unit}: {count(number)}" for name, number in found.iter_rows()]
    none = len(scale) - int(near.sum())
    if none:
        parts.append(f"none of the eight scales: {count(none)}")
    yield f"Nearest to what they show: {'; '.join(parts)}."


def _same_quantity(fleet: Calibrations) -> Iterator[str]:
    units = fleet.units
    known = fleet.frame.drop_nulls(["u_w", "u_pivot"])
    if units.indication not in (None, units.reference) or fleet.provenance["finish"] == "snap" or not known.height:
        return
    numbers = {name: known[name].to_numpy() for name in ("w", "b", "u_w", "u_pivot", "pivot", "below_rounding")}
    numbers["dof"] = known["u_dof"].to_numpy()
    numbers["estimated"] = known["source"].is_in([AR1, BLOCKS]).to_numpy()
    found = compare(indication_range=known["indication_range"].to_numpy(), unit=units.reference, **numbers)
    same = int(((found.p[:, 0] >= AGREES) | found.exact).sum())
    yield (
        f"As far as the readings can tell, {count(same)} of {count(known.height)} instruments show the same quantity "
        f"as the reference, in {units.reference} (slope 1 and offset 0, p ≥ {AGREES:g})."
    )


def _sgd(ended: pl.Series, units: Units) -> Iterator[str]:
    if not len(ended) or "converged" not in ended.struct.fields:
        return
    good = int(ended.struct.field("converged").sum())
    farthest = float(ended.struct.field("distance").max() or 0.0)  # type: ignore[arg-type]  # polars types any number
    steps = count(int(ended.struct.field("steps")[0]))
    text = (
        f"After {steps} steps, SGD has converged to the exact line of {count(good)} of {count(len(ended))} instruments"
    )
    needed = ended.struct.field("steps_needed").max()
    more = f"; the slowest needs {count(int(needed))} more steps" if isinstance(needed, int) and needed > 0 else ""
    yield (
        f"{text}; the farthest is {two_digits(farthest)} {units.reference} away{more}."
        if math.isfinite(farthest)
        else f"{text}."
    )

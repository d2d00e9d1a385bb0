"""What a fit says at its end, and ``show`` again: a dozen lines for somebody who knows no statistics."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from thermofit_pl.curves.line import Line
from thermofit_pl.formatting import count, number, printable, signed, two_digits
from thermofit_pl.functional.scales import LONG, SCALES, compare, same_quantity
from thermofit_pl.functional.uncertainty import AR1, BLOCKS, INDEPENDENT, REPEATS, SET_POINTS, SHORT, single_reading
from thermofit_pl.reports.candidates import better
from thermofit_pl.reports.remarks import are_alike, remarks
from thermofit_pl.reports.sensors import sensors
from thermofit_pl.reports.stated import stated

KNOWN = 1e6  # degrees of freedom from which a number counts as known

if TYPE_CHECKING:
    from collections.abc import Iterator

    from thermofit_pl.calibration.calibration import Calibration
    from thermofit_pl.calibration.calibrations import Calibrations

SOURCES = {
    REPEATS: "the repeats",
    SET_POINTS: "the scatter of the set points",
    AR1: "AR(1) errors, as alike as they may be",
    BLOCKS: "eight blocks of time, each left out in turn",
}
ALIKE = 2.6  # standard deviations of an autocorrelation beyond which it is more than chance


def summary(calibration: Calibration | Calibrations) -> str:
    """Says what a calibration is, how far to trust it, and what is remarkable about it.

    Args:
        calibration: The calibration, or those of a fleet.

    Returns:
        Plain text, one sentence a line, without a newline at its end.
    """
    from thermofit_pl.calibration.calibrations import Calibrations

    if isinstance(calibration, Calibrations):
        from thermofit_pl.reports.fleet_summary import fleet_summary  # numpy, 0.1 s

        return fleet_summary(calibration)
    c = calibration
    lines = [c.equation, _line(c), _readings(c), *_fit(c), *_good_to(c), *_largest(c), *_scale(c)]
    lines += [*stated(c), *_snap(c), *sensors(c), *remarks(c), *better(c), *_log(c), *_sgd(c)]
    return "\n".join(lines)


def _scale(c: Calibration) -> Iterator[str]:
    if c.units.is_temperature:
        if c.scale is not None:
            yield (c.scale.untested() if are_alike(c) else c.scale).sentence(c.unit) + "."
    elif c.indication_unit in (None, c.unit) and c.snap is None and isinstance(c.curve, Line):
        short = c.diagnostics.autocorrelation and c.n < LONG
        found = compare(
            c.w,
            c.b,
            c.indication_range,
            u_w=c.u_w,
            u_pivot=c.u_pivot,
            pivot=c.pivot,
            dof=0.0 if c.lower_bound or short or are_alike(c) else c.u_dof or 0.0,
            estimated=c.source in (AR1, BLOCKS),
            below_rounding=c.below_rounding,
            unit=c.unit,
        )
        yield same_quantity(found, c.unit) + "."


def _line(c: Calibration) -> str:
    line = c.quantities
    if c.finish == "snap":
        return f"{line}: exact, if it truly is that scale."
    if c.finish == "sgd":
        line += ", where SGD ended"
    known = any(c.coefficients.u or ())
    return f"{line} (in brackets: the standard uncertainty, in the last digits)." if known else f"{line}."


def _readings(c: Calibration) -> str:
    low, high = (number(end, _step(c)) for end in c.indication_range)
    source = f" of {printable(c.data_name)}" if c.data_name else ""
    text = f"{count(c.n)} readings{source}, indications from {low} to {high}"
    if c.dropped:
        text += f"; {count(c.dropped)} more dropped, since a cell was missing"
    return text + "."


def _step(c: Calibration) -> float:
    """To what an indication is told: a thousandth of the range."""
    low, high = c.indication_range
    return (high - low) / 1000 or math.inf


def _fit(c: Calibration) -> Iterator[str]:
    rmse, s = (f"{two_digits(value or 0.0)} {c.unit}" for value in (c.rmse, c.s))
    r_squared = "" if c.r_squared is None else f", R² = {_r_squared(c.r_squared)}"
    if c.n < 3 and c.snap is None:
        yield "Two readings give a line, but nothing about how far to trust it: take at least a third."
    elif _is_exact(c):
        follow = f"The readings follow the {c.curve.shape} to the rounding of their numbers{r_squared}"
        yield f"{follow}: no scatter to judge it by."
    elif c.s is None or c.coverage_factor is None:
        yield (
            f"SGD's {c.curve.shape}, before it has converged, has no uncertainty (rmse = {rmse}{r_squared}): "
            "nothing says how far to trust it."
        )
    else:
        text = f"The references scatter about the {c.curve.shape} by s = {s} ({_freedom(c.dof)}{r_squared})"
        probability = f"{100 * c.coverage_probability:.4g} %"
        if c.source in (None, INDEPENDENT):
            yield f"{text}; k = {c.coverage_factor:.4g} times an uncertainty covers {probability}."
        else:
            yield f"{text}."
            yield from _source(c, probability)


def _source(c: Calibration, probability: str) -> Iterator[str]:
    """Says where the uncertainty comes from that is not that of independent readings."""
    low, high = c.indication_range
    _, k, dof = _single(c, low / 2 + high / 2)
    source = SOURCES.get(c.source or "", c.source)
    yield (
        f"The uncertainty of the {c.curve.shape} comes from {source}: k = {c.coverage_factor:.4g} "
        f"times u_line covers {probability} ({_freedom(c.u_dof or 0.0)}), and k = {k:.4g} times u_single "
        f"({_freedom(dof)})."
    )
    if c.source == REPEATS:
        yield "There are too few set points for more: what the readings of each share is in no number here."
    if c.lower_bound:
        yield "The log is short beside the time over which its errors are alike: every u is at least so large."


def _single(c: Calibration, indication: float) -> tuple[float, float, float]:
    """Returns u_single at an indication, its coverage factor and degrees of freedom."""
    found = c.correct(indication, "ignore")
    if c.source in (None, INDEPENDENT) or c.u_dof is None or c.reading_dof is None or c.u_reading is None:
        # both parts come from one sum of squares
        return found.u_single, c.coverage_factor or math.nan, float(c.dof)
    import numpy as np

    variance, u_line = np.asarray(c.u_reading**2), np.asarray(found.u_line)
    both = single_reading(variance, c.reading_dof, u_line, c.u_dof, c.coverage_probability)
    u, k, dof = (float(value) for value in both)
    return u, k, dof


def _freedom(dof: float) -> str:
    if dof >= KNOWN:
        return "known, not estimated"
    return (
        "1 degree of freedom"
        if dof == 1
        else f"{count(round(dof)) if dof >= 10 or dof == int(dof) else f'{dof:.2g}'} degrees of freedom"
    )


def _is_exact(c: Calibration) -> bool:
    """Whether errors are made of rounding."""
    return c.snap is None and (c.below_rounding or c.n < 3)


def _r_squared(value: float) -> str:
    """Three digits of it, or of what it is short of 1."""
    short_of = 1 - value
    places = 3 if short_of >= 0.01 or short_of <= 0 else min(2 - math.floor(math.log10(short_of)), 15)
    return signed(f"{value:.{places}f}")


def _good_to(c: Calibration) -> Iterator[str]:
    if c.u_pivot is None or c.coverage_factor is None or c.s is None or _is_exact(c):
        return
    low, high = c.indication_range
    at = [k * u for u, k, _ in (_single(c, x) for x in (low, low + (high - low) / 2, high))]
    at_ends = sorted({two_digits(at[0]), two_digits(at[2])}, key=float)
    where = f"in the middle of the range and ±{' and ±'.join(at_ends)} {c.unit} at its ends"
    if at_ends == [two_digits(at[1])]:
        where = "in the middle of the range and at its ends"
    own = ", about what the reference reads: the reference's own uncertainty is in no number here"
    if c.stated is not None and c.stated.common is not None:
        own = ""
    yield (
        f"A corrected reading is good to ±{two_digits(at[1])} {c.unit} {where} "
        f"({100 * c.coverage_probability:.4g} % of readings){own}."
    )


def _largest(c: Calibration) -> Iterator[str]:
    largest = c.diagnostics.largest_error
    if largest is None or _is_exact(c):
        return
    sign = "above" if largest.error > 0 else "below"
    size = two_digits(abs(largest.error))
    yield (
        f"The largest error: the {c.curve.shape} is {size} {c.unit} {sign} the reference, "
        f"{number(largest.reference)} {c.unit} at indication {number(largest.indication, _step(c))}"
        f"{_place(largest.row, largest.file)}."
    )


def _place(row: int | None, file: str | None) -> str:
    if row is None:
        return ""
    return f" in row {row} of {printable(file)}" if file else f" of reading {row}"


def _snap(c: Calibration) -> Iterator[str]:
    if c.snap is not None:
        yield (
            f"The line is the exact conversion of {SCALES[c.snap.scale].unit}, if it truly is that scale: its rmse is "
            f"{c.rmse:.4g} {c.unit}, where the free line's is {c.snap.rmse_free:.4g} {c.unit}."
        )


def _log(c: Calibration) -> Iterator[str]:
    log = c.diagnostics.autocorrelation
    if log is None:
        return
    rho = signed(f"{log.errors:.2f}")
    if c.n < SHORT:
        yield f"The log is too short to tell how alike its errors are: {count(SHORT)} readings are the fewest."
    elif abs(log.errors) * log.pairs**0.5 < ALIKE:
        yield f"Neighbouring errors of the log show no correlation beyond chance (autocorrelation {rho})."
    elif log.errors < 0:
        yield f"Neighbouring errors of the log alternate (negative autocorrelation, {rho}): that lowers no uncertainty."
    else:
        yield f"Neighbouring errors of the log are alike (autocorrelation {rho}): the uncertainties allow for it."
    if log.gaps:
        yield f"The log has {_several(log.gaps, 'gap')} in time; readings on both sides of one are no neighbours."
    if log.equal_times:
        have = "has" if log.equal_times == 1 else "have"
        yield f"{_several(log.equal_times, 'reading')} {have} the time of the one before: nothing tells their order."


def _several(number: int, what: str) -> str:
    return f"{count(number)} {what}{'' if number == 1 else 's'}"


def _sgd(c: Calibration) -> Iterator[str]:
    sgd = c.sgd
    if sgd is None:
        return
    # less is rounding, and differs between machines
    distance = f"{two_digits(max(sgd.distance, 1e-12))} {c.unit}"
    steps = f"{count(sgd.steps)} {'step' if sgd.steps == 1 else 'steps'}"
    kind = "exact" if c.finish == "sgd" else None if c.snap is None else "free"
    of = f"this {c.curve.shape}" if kind is None else f"the {kind} {c.curve.shape}"
    if sgd.converged is not False:
        ended = ": it has converged" if sgd.converged else ""
        yield f"After {steps}, SGD is within {distance} of {of} over the whole range{ended}."
        return
    needed = f"; it needs about {count(sgd.steps_needed)} more" if sgd.steps_needed else ""
    advice = f"; {printable(sgd.advice)}" if sgd.advice else ""
    still = f"After {steps}, SGD is still up to {distance} from {of} in the range: it has not converged"
    yield f"{still}{needed}{advice}."

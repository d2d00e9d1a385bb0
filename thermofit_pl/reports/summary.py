"""What a fit says at its end, and ``show`` again: a dozen lines for somebody who knows no statistics."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from thermofit_pl.curves.line import Line
from thermofit_pl.formatting import count, printable, signed, two_digits
from thermofit_pl.functional.scales import SCALES, compare, same_quantity
from thermofit_pl.reports.remarks import remarks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from thermofit_pl.calibration.calibration import Calibration
    from thermofit_pl.calibration.calibrations import Calibrations
    from thermofit_pl.calibration.records import Autocorrelation

ESTIMATE = 0.9  # autocorrelation above which even the honest uncertainties are estimates


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
    lines += [*_snap(c), *remarks(c), *_log(c.diagnostics.autocorrelation), *_sgd(c)]
    return "\n".join(lines)


def _scale(c: Calibration) -> Iterator[str]:
    if c.units.is_temperature:
        if c.scale is not None:
            yield c.scale.sentence(c.unit) + "."
    elif c.indication_unit in (None, c.unit) and c.snap is None and isinstance(c.curve, Line):
        found = compare(
            c.w,
            c.b,
            c.indication_range,
            u_w=c.u_w,
            u_pivot=c.u_pivot,
            pivot=c.indication_mean,
            dof=c.dof,
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
    low, high = (signed(f"{end:.6g}") for end in c.indication_range)
    source = f" of {printable(c.data_name)}" if c.data_name else ""
    text = f"{count(c.n)} readings{source}, indications from {low} to {high}"
    if c.dropped:
        text += f"; {count(c.dropped)} more dropped, since a cell was missing"
    return text + "."


def _fit(c: Calibration) -> Iterator[str]:
    rmse, s = (f"{two_digits(value or 0.0)} {c.unit}" for value in (c.rmse, c.s))
    r_squared = "" if c.r_squared is None else f", R² = {_r_squared(c.r_squared)}"
    if c.n < 3 and c.snap is None:
        yield "Two readings give a line, but nothing about how far to trust it: take at least a third."
    elif _is_exact(c):
        yield f"The readings follow the line to the rounding of their numbers{r_squared}: no scatter to judge it by."
    elif c.s is None or c.coverage_factor is None:
        yield (
            f"SGD's line, before it has converged, has no uncertainty (rmse = {rmse}{r_squared}): "
            "nothing says how far to trust it."
        )
    else:
        probability = f"{100 * c.coverage_probability:.4g} %"
        yield (
            f"The references scatter about the line by s = {s} ({count(c.dof)} degrees of freedom"
            f"{r_squared}); k = {c.coverage_factor:.4g} times an uncertainty covers {probability}."
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
    k = c.coverage_factor
    ends = [k * c.correct(x, "ignore").u_single for x in (low, high)]
    middle = k * c.correct(low + (high - low) / 2, "ignore").u_single
    at_ends = sorted({two_digits(end) for end in ends}, key=float)
    where = f"in the middle of the range and ±{' and ±'.join(at_ends)} {c.unit} at its ends"
    if at_ends == [two_digits(middle)]:
        where = "in the middle of the range and at its ends"
    yield (
        f"A corrected reading is good to ±{two_digits(middle)} {c.unit} {where} "
        f"({100 * c.coverage_probability:.4g} % of readings)."
    )


def _largest(c: Calibration) -> Iterator[str]:
    largest = c.diagnostics.largest_error
    if largest is None or _is_exact(c):
        return
    sign = "above" if largest.error > 0 else "below"
    size = two_digits(abs(largest.error))
    yield (
        f"The largest error: the line is {size} {c.unit} {sign} the reference, "
        f"{signed(f'{largest.reference:.6g}')} {c.unit} at indication "
        f"{signed(f'{largest.indication:.6g}')}{_place(largest.row, largest.file)}."
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


def _log(log: Autocorrelation | None) -> Iterator[str]:
    if log is not None:
        estimate = "; above 0.9, as here, they are estimates" if log.errors > ESTIMATE else ""
        rho = f"{signed(f'{log.errors:.2f}')}; of the indications, {signed(f'{log.indications:.2f}')}"
        yield f"Neighbouring errors have an autocorrelation of {rho}: the uncertainties allow for it{estimate}."


def _sgd(c: Calibration) -> Iterator[str]:
    sgd = c.sgd
    if sgd is None:
        return
    # less is rounding, and differs between machines
    distance = f"{two_digits(max(sgd.distance, 1e-12))} {c.unit}"
    steps = f"{count(sgd.steps)} {'step' if sgd.steps == 1 else 'steps'}"
    of = "the exact line" if c.finish == "sgd" else "this line" if c.snap is None else "the free line"
    if sgd.converged is not False:
        ended = ": it has converged" if sgd.converged else ""
        yield f"After {steps}, SGD is within {distance} of {of} over the whole range{ended}."
        return
    needed = f"; it needs about {count(sgd.steps_needed)} more" if sgd.steps_needed else ""
    advice = f"; {printable(sgd.advice)}" if sgd.advice else ""
    still = f"After {steps}, SGD is still up to {distance} from {of} in the range: it has not converged"
    yield f"{still}{needed}{advice}."

"""What a summary remarks on: readings that don't belong to the rest, and errors with a pattern, by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thermofit_pl.calibration.levels import CHANCE, LITTLE, ORDERED, ORDERED_LOG, PATTERN, RARER, RARER_LOG
from thermofit_pl.formatting import count, number, p_text, printable, signed, two_digits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from thermofit_pl.calibration.calibration import Calibration
    from thermofit_pl.calibration.records import (
        ErrorCodes,
        Neighbours,
        Outlying,
        Rank,
        Scatter,
        SetPoints,
        Shape,
        Stuck,
    )

_CURVE = {True: "--model.curve", False: "curve=…"}  # how it is chosen, of tables and of arrays
SHAPES = {0: "an offset", 1: "a slope", 2: "a parabola", 3: "an S"}


def remarks(c: Calibration) -> Iterator[str]:
    """Yields sentences, in the order in which one cause explains what comes after it.

    Args:
        c: The calibration.
    """
    found, unit, noun = c.diagnostics, c.unit, c.curve.shape
    if found.error_codes is not None:
        yield _error_codes(found.error_codes, noun)
    if found.stuck is not None:
        yield _stuck(found.stuck, unit)
    differ, alike = _is_pattern(found.set_points), are_alike(c)
    if found.set_points is not None and differ:
        yield _set_points(found.set_points, unit, noun)
    if found.neighbours is not None and alike:
        yield _neighbours(found.neighbours, table=c.data_name is not None)
    if not (found.error_codes or found.stuck) and (slope := _slope(c)):
        yield slope
    shaped = _follows_a_curve(c) or _is_pattern(found.shape)
    if found.shape is not None and shaped and not _follows_a_curve(c):
        yield _shape(found.shape, unit, table=c.data_name is not None)
    uneven = not shaped and _is_pattern(found.scatter, RARER if found.autocorrelation is None else RARER_LOG)
    if found.scatter is not None and uneven:
        yield _scatter(found.scatter)
    if found.outlying is not None and not (differ or shaped or uneven):
        yield _outlying(found.outlying, unit, noun)


def are_alike(c: Calibration) -> bool:
    """Whether the errors of neighbouring rows are alike, so that no test of independent readings holds."""
    return _is_pattern(c.diagnostics.neighbours, RARER)


def _is_pattern(found: SetPoints | Neighbours | Shape | Scatter | None, level: float = PATTERN) -> bool:
    return found is not None and found.p is not None and found.p < level


def _may_be_chance(c: Calibration) -> bool:
    return c.diagnostics.slope_p is not None and c.diagnostics.slope_p >= CHANCE


def _follows_a_curve(c: Calibration) -> bool:
    """Whether the reference follows the indication's order, but not along a line."""
    rank, log = c.diagnostics.rank, c.diagnostics.autocorrelation is not None
    return _may_be_chance(c) and rank is not None and is_order(rank, log=log)


def _slope(c: Calibration) -> str | None:
    found = c.diagnostics
    if found.rank is not None and _follows_a_curve(c):
        return _monotone(found.rank, table=c.data_name is not None)
    if found.slope_p is not None and _may_be_chance(c):
        followed = "temperature" if c.units.is_temperature else "reference"
        return (
            f"The slope may be chance ({p_text(found.slope_p)}): these readings don't show that the indication follows "
            f"the {followed}; take them over a wider range."
        )
    return None if c.r_squared is None or c.r_squared >= LITTLE else _explains_little(c, c.r_squared)


def is_order(rank: Rank, *, log: bool) -> bool:
    """Whether the reference follows the indication's order by more than chance."""
    return abs(rank.correlation) > ORDERED_LOG if log else rank.p < ORDERED


def _error_codes(found: ErrorCodes, noun: str) -> str:
    values = _listed([number(value) for value in found.values])
    what = {"both": "indication or reference"}.get(found.role, found.role)
    role = {"both": "indications and references"}.get(found.role, f"{found.role}s")
    readings = "1 reading is" if found.count == 1 else f"{count(found.count)} readings are"
    option = ", ".join(f"{value:.15g}" for value in found.values)
    out = (
        f"--data.table.missing_values '[{option}]' --data.missing drop"
        if found.file
        else f"take them out of the {role}"
    )
    leaves = f"{out} leaves them out" if found.file else out
    return (
        f"{readings} far off the {noun} of all others, with {values} as {what}, as error codes are"
        f"{_rows(found.rows, found.count, found.file)}: {leaves}."
    )


def _stuck(found: Stuck, unit: str) -> str:
    what = "rows" if found.file else "readings"
    return (
        f"The indication stood at {number(found.indication)} in {what} {found.first_row} to "
        f"{found.last_row}{_of(found.file)} ({count(found.count)} readings), while the reference moved by "
        f"{two_digits(found.moved)} {unit}: leave these readings out."
    )


def _set_points(found: SetPoints, unit: str, noun: str) -> str:
    side = "above" if found.error > 0 else "below"
    return (
        f"The {count(found.count)} set points lie off the {noun} by more than repeats explain (lack of fit, "
        f"{p_text(found.p or 0.0)}); the largest error: near {number(found.reference)} {unit} the {noun} is "
        f"{two_digits(abs(found.error))} {unit} {side} the mean of {count(found.readings)} readings."
    )


def _neighbours(found: Neighbours, *, table: bool) -> str:
    how = "name their times with --data.time" if table else "give fit their time"
    also = "; as they are in the order of the indication, it may also be a shape that no cubic has" * found.ordered
    return (
        f"Errors of neighbouring rows are alike, about a cubic too (autocorrelation {_share(found.errors)}, "
        f"{p_text(found.p)}): if the rows are in the order of time, they are a log, and every u here is too small; "
        f"{how}{also}."
    )


def _monotone(found: Rank, *, table: bool) -> str:
    way = "rises" if found.correlation > 0 else "falls"
    throughout = "throughout" if abs(found.correlation) > 1 - 1e-9 else "nearly throughout"
    return (
        f"The reference {way} {throughout} as the indication rises (rank correlation {_share(found.correlation)}), but "
        f"not along a line: these readings need a curve ({_CURVE[table]})."
    )


def _explains_little(c: Calibration, r_squared: float) -> str:
    alone = c.rmse / (1 - r_squared) ** 0.5
    return (
        f"The {c.curve.shape} explains {max(100 * r_squared, 0.0):.2g} % of the references' variance: it leaves errors "
        f"of {two_digits(c.rmse)} {c.unit} (root mean square), where the references' mean alone leaves "
        f"{two_digits(alone)} {c.unit}."
    )


def _shape(found: Shape, unit: str, *, table: bool) -> str:
    what = SHAPES.get(found.degree, f"a term of degree {found.degree}")
    return (
        f"The errors have a shape beyond chance ({p_text(found.p)}): {what} of {two_digits(found.size)} {unit} (root "
        f"mean square) is left; calibrate over the part that you use, or take another curve ({_CURVE[table]})."
    )


def _scatter(found: Scatter) -> str:
    way, more, less = ("grows", "high", "low") if found.grows else ("falls", "low", "high")
    return (
        f"The scatter {way} along the range ({p_text(found.p)}): s and u_single are averages over it, too small at its "
        f"{more} end and too large at its {less} end."
    )


def _outlying(found: Outlying, unit: str, noun: str) -> str:
    where = f"{number(found.reference)} {unit} at indication {number(found.indication)}"
    times = f"{abs(found.t):.1f} times the scatter of the others"
    if found.count == 1:
        at = _rows(found.rows, 1, found.file)
        return f"1 reading stands out beyond chance ({p_text(found.p)}): {where}{at}, off the {noun} by {times}."
    return (
        f"{count(found.count)} readings stand out beyond chance ({p_text(found.p)})"
        f"{_rows(found.rows, found.count, found.file)}; the farthest, {where}, is off the {noun} by {times}."
    )


def _rows(rows: Sequence[int], number: int, file: str | None) -> str:
    """Says where readings stand: `` in rows 4 and 8 of t.csv``; of arrays, which they are."""
    more = f" and {count(number - len(rows))} more" if number > len(rows) else ""
    listed = ", ".join(map(str, rows)) + more if more else _listed([str(row) for row in rows])
    what = ("row" if file else "reading") + "s" * (number > 1)
    return f" in {what} {listed}{_of(file)}" if file else f" ({what} {listed})"


def _of(file: str | None) -> str:
    return f" of {printable(file)}" if file else ""


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _share(value: float) -> str:
    return signed(f"{value:.2f}")

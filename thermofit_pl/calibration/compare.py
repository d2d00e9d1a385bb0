"""What drifted between two calibrations of an instrument, and whether the old corrections still hold."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from thermofit_pl.errors import InputError
from thermofit_pl.formatting import count, printable, signed, two_digits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thermofit_pl.calibration.calibration import Calibration
    from thermofit_pl.calibration.calibrations import Calibrations

CHANCE = (  # simulated: up to 300 readings each, spread evenly
    "Without any drift it does so at any one indication in up to 5 of 100 comparisons, and somewhere in the range in "
    "up to 14 of two lines, 20 of two quadratics."
)
GRID = 2001  # indications at which the largest |E_n| is looked for
WORST = 10  # instruments that a fleet's text names


@dataclass(frozen=True)
class Drift:
    """The difference of two curves at an indication.

    Attributes:
        indication: Where [indicated unit].
        old: The old calibration's estimate [the reference's unit].
        new: The new one's.
        difference: new − old.
        u: The difference's standard uncertainty; None where a curve has none.
        e_n: The difference over the expanded uncertainties U of both curves, added in squares (ISO/IEC 17043); None
            where they are unknown or 0.
    """

    indication: float
    old: float
    new: float
    difference: float
    u: float | None
    e_n: float | None


@dataclass(frozen=True)
class Comparison:
    """How two calibrations of an instrument differ over the range that both cover.

    Attributes:
        instrument: Its name, in a fleet.
        unit: The reference's.
        low: At the lower end of the common range.
        middle: In its middle.
        high: At its upper end.
        largest: Where |E_n| is largest, or the difference, where there is no E_n.
        coverage_factor_old: k of the old calibration's U.
        coverage_factor_new: k of the new one's.
        holds: Whether the old corrections still hold: |E_n| ≤ 1 over the whole common range; None where that can't be
            told.
    """

    instrument: str | None
    unit: str
    low: Drift
    middle: Drift
    high: Drift
    largest: Drift
    coverage_factor_old: float | None
    coverage_factor_new: float | None
    holds: bool | None


@dataclass(frozen=True)
class Comparisons:
    """How two calibrations of a fleet differ, instrument by instrument.

    Attributes:
        instruments: Those that both have calibrated, over a common range.
        apart: Those that both have, and why they can't be compared.
        only_old: Those that only the old one has.
        only_new: Those that only the new one has.
    """

    instruments: list[Comparison]
    apart: dict[str, str]
    only_old: list[str]
    only_new: list[str]


def compare(old: Calibration, new: Calibration, instrument: str | None = None) -> Comparison:
    """Compares two calibrations of an instrument.

    What both have in common from one shared reference is in neither curve's u, so that it cancels, as it does in their
    difference.

    Args:
        old: The earlier one.
        new: The later one.
        instrument: Its name, in a fleet.

    Raises:
        InputError: They have no common range, or different units.
    """
    for role in ("unit", "indication_unit"):
        before, after = getattr(old, role), getattr(new, role)
        if before != after and None not in (before, after):
            raise InputError(
                f"Expected two calibrations in one unit, but got {printable(str(before))} and {printable(str(after))} "
                f"({role}); calibrate again in one of them."
            )
    low = max(old.indication_range[0], new.indication_range[0])
    high = min(old.indication_range[1], new.indication_range[1])
    if low > high:
        ranges = " and ".join(
            f"{ends[0]:.6g} to {ends[1]:.6g}" for ends in (old.indication_range, new.indication_range)
        )
        raise InputError(f"Expected two calibrations with a common range, but they cover {ranges}.")
    x = np.array([low, low + (high - low) / 2, high])
    lower, middle, upper = _drifts(old, new, x)
    largest = _largest(old, new, low, high)
    return Comparison(
        instrument,
        new.unit,
        lower,
        middle,
        upper,
        largest,
        old.coverage_factor,
        new.coverage_factor,
        None if largest.e_n is None else abs(largest.e_n) <= 1,
    )


def compare_fleets(old: Calibrations, new: Calibrations) -> Comparisons:
    """Compares two calibrations of a fleet, by the instruments' names.

    Args:
        old: The earlier ones.
        new: The later ones.

    Raises:
        InputError: They have no instrument in common.
    """
    both = [name for name in old if name in new]
    if not both:
        names = ", ".join(printable(name, 40) for name in [*old][:1] + [*new][:1])
        raise InputError(f"Expected two fleets with instruments in common, but they have none ({names}); check names.")
    instruments: list[Comparison] = []
    apart: dict[str, str] = {}
    for name in both:
        try:
            instruments.append(compare(old[name], new[name], name))
        except InputError as error:  # noqa: PERF203  # each instrument has its own reason
            apart[name] = str(error)
    return Comparisons(
        instruments, apart, [name for name in old if name not in new], [name for name in new if name not in old]
    )


def comparison_text(found: Comparison) -> str:
    """Says what drifted, one sentence a line, without a newline at its end.

    Args:
        found: The comparison of one instrument.
    """
    unit, (low, high) = found.unit, (found.low.indication, found.high.indication)
    lines = [f"New less old, over the common range of indications, {_number(low)} to {_number(high)}:"]
    places = (("at the lower end", found.low), ("in the middle", found.middle), ("at the upper end", found.high))
    lines += [f"{where}, indication {_number(drift.indication)}: {_of(drift, unit)}." for where, drift in places]
    lines.append(f"Most, at indication {_number(found.largest.indication)}: {_of(found.largest, unit)}.")
    if found.holds is None:
        lines.append("Whether the old corrections still hold can't be told: a curve has no uncertainty.")
        return "\n".join(lines)
    if found.holds:
        lines.append("The old corrections still hold: |E_n| is at most 1 over the whole common range.")
    else:
        lines.append(f"The old corrections no longer hold: |E_n| exceeds 1. {CHANCE}")
    k = " and ".join(f"{k:.4g}" for k in (found.coverage_factor_old, found.coverage_factor_new) if k is not None)
    lines.append(
        f"E_n takes U = k · u_line of each curve, k = {k} (old and new); what a shared reference is off cancels."
    )
    return "\n".join(lines)


def comparisons_text(found: Comparisons) -> str:
    """Says how a fleet drifted, one sentence a line, without a newline at its end.

    Args:
        found: The comparisons.
    """
    told = [one for one in found.instruments if one.holds is not None]
    held = sum(bool(one.holds) for one in told)
    lines = [f"The old corrections still hold (|E_n| ≤ 1) for {count(held)} of {count(len(told))} instruments."]
    if len(found.instruments) > len(told):
        lines.append(f"{count(len(found.instruments) - len(told))} can't be told: a curve has no uncertainty.")
    order = sorted(told, key=lambda one: -abs(one.largest.e_n or 0.0))[:WORST]
    if held < len(told):
        lines.append(f"|E_n| exceeds 1 for {count(len(told) - held)}. {CHANCE}")
    if order:
        lines.append("The largest |E_n|:")
    for one in order:
        where = f"indication {_number(one.largest.indication)}"
        lines.append(f"  {printable(str(one.instrument), 40)}: {_of(one.largest, one.unit)}, at {where}")
    lines += [f"{printable(name, 40)}: {reason}" for name, reason in [*found.apart.items()][:WORST]]
    for names, which in ((found.only_old, "old"), (found.only_new, "new")):
        if names:
            some = ", ".join(printable(name, 40) for name in names[:5]) + (" …" if len(names) > 5 else "")
            lines.append(f"Only the {which} calibration has {count(len(names))} of them: {some}.")
    return "\n".join(lines)


def _number(value: float) -> str:
    return signed(f"{value:.6g}")


def _of(drift: Drift, unit: str) -> str:
    size = "+" if drift.difference > 0 else ""
    u = "" if drift.u is None else f", u {two_digits(drift.u)} {unit}"
    e_n = "" if drift.e_n is None else f", E_n {signed(f'{drift.e_n:.2f}')}"
    return f"{size}{signed(f'{drift.difference:.3g}')} {unit}{u}{e_n}"


def _columns(old: Calibration, new: Calibration, x: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """The fields of ``Drift`` at indications of shape ``(N,)``, each of that shape; NaN for None."""
    before, after = old.correct(x, "ignore"), new.correct(x, "ignore")
    squares = [np.asarray(side.u_line, np.float64) ** 2 for side in (before, after)]
    k = [math.nan if one.coverage_factor is None else one.coverage_factor for one in (old, new)]
    with np.errstate(all="ignore"):
        expanded = np.sqrt(k[0] ** 2 * squares[0] + k[1] ** 2 * squares[1])
        difference = after.estimate - before.estimate
        e_n = np.where(expanded > 0, difference / expanded, math.nan)
    return [x, before.estimate, after.estimate, difference, np.sqrt(squares[0] + squares[1]), e_n]


def _drifts(old: Calibration, new: Calibration, x: NDArray[np.float64]) -> list[Drift]:
    rows = np.stack(_columns(old, new, x), axis=-1).tolist()
    return [Drift(*row[:4], *(value if math.isfinite(value) else None for value in row[4:])) for row in rows]


def _largest(old: Calibration, new: Calibration, low: float, high: float) -> Drift:
    """Where |E_n| is largest: by a grid, and a finer one about its best point."""

    def best(x: NDArray[np.float64]) -> float:
        *_, difference, _, e_n = _columns(old, new, x)
        size = difference if np.isnan(e_n).all() else np.nan_to_num(e_n)
        return float(x[np.abs(size).argmax()])

    step = (high - low) / (GRID - 1)
    at = best(np.linspace(low, high, GRID))
    at = best(np.append(np.linspace(max(low, at - step), min(high, at + step), 101), at))
    return _drifts(old, new, np.array([at]))[0]

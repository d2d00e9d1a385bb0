"""The eight named temperature scales, which of them a line is near."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from thermofit_pl.formatting import below, p_text, two_digits
from thermofit_pl.functional.units import ABSOLUTE_ZERO, CELSIUS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

NEAR = 0.2  # of the span: a room sensor 1 °C off over 7 °C still shows degrees Celsius, raw counts show nothing
OFFSET = {CELSIUS: 5.0, "K": 5.0, "°F": 9.0}  # by how much a thermometer of a scale may be off, however narrow the span
SHARE = 0.05  # of the largest value: the same for other quantities
AGREES = 0.01  # the p-value from which a scale counts as one that the readings don't rule out
LONG = 300  # readings of a log from which it is compared: a slow error of a shorter one looks like an offset
AGREES_LOG = 0.001  # the same of logs, whose uncertainty of few blocks has heavier tails than it is given
_ROUNDING = 1e-12  # of the largest term of the line: some thousand units in the last place of float64


class Scale(NamedTuple):
    """A named temperature scale: ``reference = w · indication + b``, exactly.

    Attributes:
        name: What options and files call it.
        unit: What a sentence calls it, in the plural.
        w: Slope [the reference's unit per unit of the scale].
        b: Intercept [the reference's unit].
    """

    name: str
    unit: str
    w: float
    b: float


_IN_CELSIUS = (
    ("celsius", "degrees Celsius", "1", "0"),
    ("fahrenheit", "degrees Fahrenheit", "5/9", "-160/9"),
    ("kelvin", "kelvins", "1", "-273.15"),
    ("rankine", "degrees Rankine", "5/9", "-273.15"),
    ("reaumur", "degrees Réaumur", "5/4", "0"),
    ("delisle", "degrees Delisle", "-2/3", "100"),
    ("newton", "degrees Newton", "100/33", "0"),
    ("romer", "degrees Rømer", "40/21", "-100/7"),
)
_FROM_CELSIUS = {CELSIUS: ("1", "0"), "°F": ("9/5", "32"), "K": ("1", "273.15")}


@lru_cache
def scales_in(unit: str) -> dict[str, Scale]:
    """Returns the scales by name, with their conversions to a unit.

    Args:
        unit: ``°C``, ``°F`` or ``K``.
    """
    factor, zero = map(Fraction, _FROM_CELSIUS[unit])
    return {
        name: Scale(name, words, float(factor * Fraction(w)), float(factor * Fraction(b) + zero))
        for name, words, w, b in _IN_CELSIUS
    }


SCALES = scales_in(CELSIUS)
IDENTITY = {"same": Scale("same", "the same quantity as the reference", 1.0, 0.0)}


@dataclass(frozen=True)
class ScaleFit:
    """How a line compares with one scale.

    Attributes:
        name: The scale, a key of ``SCALES``.
        difference: The line less the exact conversion, at the two ends of the calibrated range [the
            reference's unit].
        p: The joint F-test's p-value of "(w, b) is exactly this conversion"; None without uncertainties.
    """

    name: str
    difference: tuple[float, float]
    p: float | None


@dataclass(frozen=True)
class Verdict:
    """Which scale a thermometer shows.

    Attributes:
        nearest: The scale whose largest difference from the line over the calibrated range is smallest.
        near: Whether that difference is small against the range (below a fifth of its span), or a constant offset.
        exact: Whether it is no more than rounding.
        agreeing: The scales that the readings don't rule out (p ≥ 0.05), the nearest first; that is no proof of any of
            them.
        scales: All eight, the nearest first.
    """

    nearest: str
    near: bool
    exact: bool
    agreeing: tuple[str, ...]
    scales: tuple[ScaleFit, ...]

    def sentence(self, reference_unit: str = CELSIUS) -> str:
        """Says it to a person, in one sentence without a full stop.

        Args:
            reference_unit: ``°C``, ``°F`` or ``K``, in which differences are.

        Returns:
            For example `The indications are degrees Fahrenheit as far as these readings can tell (p = 0.61); every
            other scale is ruled out (p < 1e-12)`.
        """
        nearest = self.scales[0]
        unit, off = SCALES[nearest.name].unit, too_high(nearest.difference, reference_unit)
        if not self.near:
            none = f"The indications are near none of the eight scales; the nearest, {unit}, is {off}"
            return none + self._although()
        if self.exact:
            return f"The indications are exactly {unit}, to rounding"
        if self.agreeing:
            return self._agreement()
        if nearest.p is None:
            return f"The indications are nearest to {unit}, {off}"
        return f"The indications are {unit}, {off}; that is more than chance ({p_text(nearest.p)})"

    def untested(self) -> Verdict:
        """Returns the verdict without its p-values, of readings that are not independent as the tests take them."""
        return replace(self, agreeing=(), scales=tuple(replace(fit, p=None) for fit in self.scales))

    def _agreement(self) -> str:
        named = [fit for fit in self.scales if fit.name in self.agreeing]
        rejected = [fit.p for fit in self.scales if fit.name not in self.agreeing and fit.p is not None]
        others = f"every other scale is ruled out ({below(max(rejected))})" if rejected else ""
        if len(named) == 1:
            unit, p = SCALES[named[0].name].unit, p_text(named[0].p or 0.0)
            first = f"The indications are {unit} as far as these readings can tell ({p})"
        else:
            first = f"The indications may be {_listed(named)}: these readings can't tell which"
        return f"{first}; {others}" if others else first

    def _although(self) -> str:
        named = [fit for fit in self.scales if fit.name in self.agreeing]
        return f" (the readings scatter too much to rule out {_listed(named)})" if named else ""


class Differences(NamedTuple):
    """Lines compared with the eight scales, in the order of ``SCALES``, or with ``IDENTITY`` for other quantities.

    Attributes:
        at_ends: The lines less the exact conversions, at both ends of the calibrated ranges, shape (I, 8, 2) [the
            reference's unit].
        largest: The larger of the two, shape (I, 8) [likewise]. As both are straight, nothing in between differs more.
        p: The joint F-test's p-value, shape (I, 8); NaN where there is none.
        near: Whether the nearest scale's difference is small against the range, or a constant offset, shape (I,).
        exact: Whether it is no more than rounding, shape (I,).
    """

    at_ends: NDArray[np.float64]
    largest: NDArray[np.float64]
    p: NDArray[np.float64]
    near: NDArray[np.bool_]
    exact: NDArray[np.bool_]

    def verdict(self, instrument: int = 0, agrees: float = AGREES) -> Verdict:
        """Puts one instrument's comparison into a record.

        Args:
            instrument: Its index.
            agrees: The p-value from which a scale agrees.

        Returns:
            The verdict, with the scales from the nearest on.
        """
        names = list(SCALES)
        fits = []
        for k in sorted(range(len(names)), key=self.largest[instrument].tolist().__getitem__):
            low, high = self.at_ends[instrument, k].tolist()
            p = float(self.p[instrument, k])
            fits.append(ScaleFit(names[k], (low, high), None if math.isnan(p) else p))
        return Verdict(
            nearest=fits[0].name,
            near=bool(self.near[instrument]),
            exact=bool(self.exact[instrument]),
            agreeing=tuple(fit.name for fit in fits if fit.p is not None and fit.p >= agrees),
            scales=tuple(fits),
        )


def same_quantity(found: Differences, unit: str) -> str:
    """Says whether an instrument shows the reference's quantity, where that is no temperature.

    Args:
        found: Its line, compared with ``IDENTITY``.
        unit: The reference's.

    Returns:
        One sentence without a full stop.
    """
    low, high = found.at_ends[0, 0].tolist()
    p, same = float(found.p[0, 0]), "the same quantity as the reference"
    off, chance = too_high((low, high), unit), f"slope 1 and offset 0 jointly: {p_text(p)}"
    if found.exact[0]:
        return f"The indications are {same}, exactly, to rounding"
    if math.isnan(p):
        return f"If the indications are {same}, they are {off}"
    if p >= AGREES and found.near[0]:
        return f"The indications are {same} as far as these readings can tell ({chance})"
    if p >= AGREES:
        return f"The indications may be {same}, but the readings scatter too much to tell ({chance})"
    if found.near[0]:
        return f"The indications are {same}, {off}; that is more than chance ({chance})"
    return f"The indications are not {same} in its unit, {unit}: they differ by more than chance ({chance})"


def compare(
    w: ArrayLike,
    b: ArrayLike,
    indication_range: ArrayLike,
    *,
    u_w: ArrayLike | None = None,
    u_pivot: ArrayLike | None = None,
    pivot: ArrayLike = 0.0,
    dof: ArrayLike = 0,
    estimated: ArrayLike = False,
    below_rounding: ArrayLike = False,
    unit: str = CELSIUS,
) -> Differences:
    """Compares calibration lines with the eight scales.

    Two separate tests of w and b mislead (Rankine's slope is Fahrenheit's), so the test is joint: F = ½[(Δw/u_w)² + (Δ
    at the pivot/u_pivot)²] with 2 and ν degrees of freedom, as slope and value at the pivot are uncorrelated; its
    survival function is (1 + 2F/ν)^(−ν/2).

    Args:
        w: Slopes, shape (I,) or a number [the reference's unit per indicated unit].
        b: Intercepts, shape (I,) [the reference's unit].
        indication_range: Smallest and largest indication, shape (I, 2) [indicated unit].
        u_w: Standard uncertainties of the slopes, shape (I,); None or NaN where unknown.
        u_pivot: Standard uncertainties of the lines at the pivot, shape (I,) [the reference's unit].
        pivot: Mean indications, shape (I,) [indicated unit].
        dof: Degrees of freedom ν, shape (I,).
        estimated: Whether the ratio of both uncertainties is estimated too, shape (I,): then it is Hotelling's T² with
            ν, whose survival function is (1 + 2F/ν)^(−(ν − 1)/2).
        below_rounding: Whether the uncertainties are made of rounding, so that a test of them would be one of noise,
            shape (I,).
        unit: The reference's; other than ``°C``, ``°F`` and ``K``, the lines are compared with slope 1 and offset 0.

    Returns:
        The comparison, for all instruments.
    """
    import numpy as np

    from thermofit_pl.functional.distributions import tail_of_f

    def column(values: ArrayLike | None) -> NDArray[np.float64]:
        return np.atleast_1d(np.asarray(np.nan if values is None else values, np.float64))[:, None]

    slopes, intercepts, middle = column(w), column(b), column(pivot)
    ends = np.atleast_2d(np.asarray(indication_range, np.float64))[:, None, :]
    scales = scales_in(unit) if unit in ABSOLUTE_ZERO else IDENTITY
    scale_w, scale_b = (np.array([getattr(scale, name) for scale in scales.values()]) for name in "wb")
    with np.errstate(all="ignore"):
        at_ends = (slopes - scale_w)[:, :, None] * ends + (intercepts - scale_b)[:, :, None]
        largest = np.abs(at_ends).max(axis=2)
        terms = np.abs(slopes[:, :, None] * ends).max(axis=(1, 2)) + np.abs(intercepts[:, 0])
        span = np.abs(slopes[:, 0] * (ends[:, 0, 1] - ends[:, 0, 0]))
        nu, unusable = column(dof), np.atleast_1d(np.asarray(below_rounding, bool))[:, None]
        u_slope, u_middle = (
            np.where(unusable | (nu <= 0) | ~(u > 0), np.nan, u) for u in (column(u_w), column(u_pivot))
        )
        offset = (slopes - scale_w) * middle + (intercepts - scale_b)
        twice_f = ((slopes - scale_w) / u_slope) ** 2 + (offset / u_middle) ** 2
        p = np.exp(-(nu - np.atleast_1d(np.asarray(estimated, bool))[:, None]) / 2 * np.log1p(twice_f / nu))
        steep = tail_of_f(np.nan_to_num((slopes / u_slope) ** 2), np.maximum(nu, 1)) < AGREES
        parallel = tail_of_f(np.nan_to_num(((slopes - scale_w) / u_slope) ** 2), np.maximum(nu, 1)) >= AGREES
    parallel &= steep & np.isfinite(u_slope)
    parallel |= (column(u_w) == 0) & (slopes == scale_w)  # the slope of an offset is held, not estimated
    least = largest.argmin(axis=1)
    smallest, at = largest.min(axis=1), (np.arange(len(largest)), least)
    exact = smallest <= _ROUNDING * terms
    most = OFFSET.get(unit) or SHARE * terms
    near = exact | (smallest <= NEAR * span) | (parallel[at] & (np.abs(offset[at]) <= most))
    return Differences(at_ends, largest, p, near, exact)


def too_high(difference: tuple[float, float], unit: str) -> str:
    """Says how far off an instrument is: ``0.16 to 0.17 °C too high``.

    Args:
        difference: Of the line, less what it should be, at both ends of its range; the instrument's has the other sign.
        unit: Its unit.
    """
    low, high = sorted(-end for end in difference)
    if low < 0 < high:
        return f"{two_digits(-low)} {unit} too low to {two_digits(high)} {unit} too high"
    nearer, farther = sorted((two_digits(abs(low)), two_digits(abs(high))), key=float)
    size = nearer if nearer == farther else f"{nearer} to {farther}"
    return f"{size} {unit} too {'high' if high > 0 else 'low'}"


def _listed(fits: list[ScaleFit]) -> str:
    words = [f"{SCALES[fit.name].unit} ({p_text(fit.p or 0.0)})" for fit in fits]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"

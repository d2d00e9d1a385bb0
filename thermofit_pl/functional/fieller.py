"""Fieller's set: every indication that a line, uncertain as it is, may turn into a given reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

Number = TypeVar("Number")
Kind = TypeVar("Kind")


class FiellerSet(NamedTuple, Generic[Kind, Number]):
    """The indications whose band, at the coverage probability, holds a reference; it needn't be an interval.

    Attributes:
        kind: ``bounded``: from ``lower`` to ``upper``. ``two rays``: up to ``lower``, and from ``upper`` on (the slope
            may be zero). ``everything``: any indication at all; the ends are −inf and inf. ``nothing``: none (the line
            is exactly level, and elsewhere); the ends are NaN. ``unknown``: the calibration has no uncertainties, or
            the reference is no finite number; the ends are NaN.
        lower: One end [indicated unit].
        upper: The other [indicated unit].
    """

    kind: Kind
    lower: Number
    upper: Number


def fieller(
    offset: ArrayLike, w: ArrayLike, expanded_w: ArrayLike, expanded_level: ArrayLike
) -> FiellerSet[NDArray[np.str_], NDArray[np.float64]]:
    """Solves |offset − w·z| ≤ √(expanded_level² + expanded_w²·z²) for z.

    Everything is counted from the pivot, where level and slope are uncorrelated: at zero the same quadratic loses the
    digits that the mean indication is larger than the spread. Lengths are scaled to at most 1, so that no square over-
    or underflows.

    Args:
        offset: The references less the lines' values at the pivot, of any shape [°C].
        w: The slopes, one for all or one each [°C per unit].
        expanded_w: k · u_w, likewise [°C per unit]; NaN where unknown.
        expanded_level: k times the standard uncertainty at the pivot, of the line or of a single reading there,
            likewise [°C].

    Returns:
        The sets, with their ends as distances from the pivot, of the same shape [indicated unit].
    """
    import numpy as np

    offset, w, expanded_w, expanded_level = np.broadcast_arrays(
        *(np.asarray(each, np.float64) for each in (offset, w, expanded_w, expanded_level))
    )
    slope_unit, level_unit = np.maximum(np.abs(w), expanded_w), np.maximum(np.abs(offset), expanded_level)
    slope_unit, level_unit = (np.where(unit > 0, unit, 1.0) for unit in (slope_unit, level_unit))
    with np.errstate(all="ignore"):
        slope, spread = w / slope_unit, expanded_w / slope_unit
        # leading · z² − 2 d·slope·z + constant ≤ 0, with the differences of squares as products
        leading = (slope - spread) * (slope + spread)
        d, level = offset / level_unit, expanded_level / level_unit
        constant = (d - level) * (d + level)
        quarter_discriminant = leading * level**2 + (spread * d) ** 2
        q = d * slope + np.copysign(np.sqrt(np.maximum(quarter_discriminant, 0.0)), d * slope)
        far = np.where(leading == 0, np.copysign(np.inf, -q), q / leading)
        near = np.where(q == 0, 0.0, constant / q)
        lower, upper = (end * (level_unit / slope_unit) for end in (np.minimum(near, far), np.maximum(near, far)))
    # leading = 0: k·u_w is the slope itself; one end is at infinity, or, both zero, no indication matters
    any_or_none = (leading == 0) & ((q == 0) | (slope == 0))
    kind = np.select(
        [
            ~np.isfinite(offset) | np.isnan(leading) | np.isnan(level),
            leading > 0,
            any_or_none & (constant <= 0),
            any_or_none,
            (leading == 0) | (quarter_discriminant > 0),
        ],
        ["unknown", "bounded", "everything", "nothing", "two rays"],
        "everything",
    )
    lower = np.select([kind == "everything", (kind == "nothing") | (kind == "unknown")], [-np.inf, np.nan], lower)
    upper = np.select([kind == "everything", (kind == "nothing") | (kind == "unknown")], [np.inf, np.nan], upper)
    return FiellerSet(kind, lower, upper)

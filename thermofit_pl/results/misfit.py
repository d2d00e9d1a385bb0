"""The misfit of each instrument of a fleet, by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from thermofit_pl.calibration.levels import CHANCE, LITTLE, ORDERED, ORDERED_LOG, PATTERN, RARER, RARER_LOG
from thermofit_pl.functional.fleet_tests import holm

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from thermofit_pl.results.findings import Findings

    FloatArray = NDArray[np.float64]

SHAPES = {0: "an offset is left", 1: "a slope is left", 2: "curved", 3: "S-shaped"}


def misfits(found: Findings, instrument: NDArray[np.int64], slope_p: FloatArray, r_squared: FloatArray) -> pl.Series:
    """Says of each instrument how its readings don't fit, null where they do.

    It is the first of what a single calibration's summary would say, with p-values that are corrected for the number
    of instruments.

    Args:
        found: What their errors say.
        instrument: The instrument of each reading of the sample, shape ``(N,)``.
        slope_p: p-values of "the slope is zero", shape ``(I,)``.
        r_squared: Shape ``(I,)``.
    """
    import polars as pl

    def any_of(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return np.bincount(instrument[flags], minlength=len(slope_p)) > 0

    def beyond(p: FloatArray, level: float = PATTERN) -> NDArray[np.bool_]:
        return holm(p) < level

    chance = slope_p >= CHANCE
    order = np.abs(found.rank.value) > ORDERED_LOG if found.log else beyond(found.rank.p, ORDERED)
    shaped = beyond(found.shape.p)
    reasons = {
        "error codes": any_of(found.odd.code),
        "stuck": found.odd.stuck.first >= 0,
        "set points differ": beyond(found.points.p),
        "neighbours are alike": beyond(found.neighbours.p, RARER),
        "follows a curve": chance & order,
        "explains little": ~chance & (r_squared < LITTLE),
        **{name: shaped & (found.shape.degree == degree) for degree, name in SHAPES.items()},
        "shaped": shaped,
        "scatter changes": beyond(found.scatter.p, RARER_LOG if found.log else RARER),
        "readings stand out": any_of(found.odd.standing_out) & beyond(found.odd.p),
    }
    first = np.select(list(reasons.values()), range(len(reasons)), len(reasons))
    return pl.Series("misfit", [*reasons, None], dtype=pl.String).gather(first)

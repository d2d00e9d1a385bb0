"""Curves that turn inside their calibrated range: what they make of an indication is sure, but not the way back."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from thermofit_pl.curves.line import Line
from thermofit_pl.formatting import count, printable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thermofit_pl.calibration.calibrations import Calibrations

POINTS = 129  # over the range; a turn between two of them changes less than u does
NAMED = 5  # instruments that the sentence names


def turns(fleet: Calibrations) -> NDArray[np.float64]:
    """Returns about where each curve turns in its calibrated range, shape ``(instruments,)``; NaN where it doesn't.

    Args:
        fleet: The calibrations.
    """
    correction = fleet.correction()
    low, high = correction.low, correction.high
    at, before = np.full(len(fleet), np.nan), None
    rises, falls = np.zeros(len(fleet), np.bool_), np.zeros(len(fleet), np.bool_)
    with np.errstate(all="ignore"):
        for share in np.linspace(0, 1, POINTS):
            x = low + share * (high - low)
            estimate = correction.at(x).estimate
            if before is not None:
                step = estimate - before
                at = np.where(np.isnan(at) & ((rises & (step < 0)) | (falls & (step > 0))), x, at)
                rises, falls = rises | (step > 0), falls | (step < 0)
            before = estimate
    return at


def warn_of_turns(fleet: Calibrations) -> None:
    """Says once, of a fit of curves that are no lines, which of them turn."""
    if isinstance(fleet.curve, Line):
        return
    at = turns(fleet)
    turning = np.flatnonzero(np.isfinite(at))
    if not turning.size:
        return
    what = f"The curve turns near {at[turning[0]]:.4g}, inside the calibrated range"
    if len(fleet) > 1:
        names = ", ".join(printable(fleet.instruments[place], 40) for place in turning[:NAMED])
        more = " …" if turning.size > NAMED else ""
        curves = "curve turns inside its" if turning.size == 1 else "curves turn inside their"
        what = f"{count(int(turning.size))} {curves} calibrated range ({names}{more})"
    warnings.warn(f"{what}: `correct` works there, but `invert` doesn't.", stacklevel=4)

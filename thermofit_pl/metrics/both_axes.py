"""The curve through readings that are uncertain on both axes (Deming; York; ISO/TS 28037 clauses 7 and 8)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from thermofit_pl.errors import InputError
from thermofit_pl.functional.deming import deming
from thermofit_pl.functional.whitened import unpacked
from thermofit_pl.functional.york import Uncertain, profile
from thermofit_pl.metrics.moments import Moments

FloatArray = NDArray[np.float64]

PASSES = 200
NEAR = 1e-8  # standard uncertainties of a step, below which a step that no longer shrinks is rounding
ENDED = 1e-13  # and below which nothing is left to gain


def in_one_ratio(moments: Moments, ratio: float) -> Moments:
    """Returns what ``both_axes`` does, of a line whose readings are uncertain in one ratio: without a pass.

    Args:
        moments: Of the readings as they are, weighed by 1/u² of the reference.
        ratio: (u of the indication/u of the reference)² [(indicated unit/°C)²].
    """
    own = moments.moments.numpy()
    found, known = own.copy(), moments.has_curve.numpy()
    found[known, :-3] = deming(own[known, :-3], ratio, moments.curve.held)
    shrunk = found[:, 0] / np.where(own[:, 0] > 0, own[:, 0], 1.0)  # each reading's weight, by all of them
    found[:, -2:] = own[:, -2:] * np.stack([shrunk, shrunk**2], axis=-1)
    other = Moments(len(found), moments.curve)
    other.origin = moments.origin
    other.absorb(torch.from_numpy(found)[None], moments.lowest[None], moments.highest[None])
    return other


def both_axes(moments: Moments, readings: Uncertain, instrument: NDArray[np.int64] | None = None) -> Moments:
    """Returns the moments of the readings at their true indications, of which the most likely curve is least squares.

    What the curve leaves of them is χ², and its covariance that for errors of variance 1. They keep the range of the
    indications as they were shown.

    Args:
        moments: Of the readings as they are, weighed by 1/u² of the reference: where the passes begin.
        readings: All of them, with their uncertainties.
        instrument: Index of each reading's instrument, shape ``(N,)``; None where there is one.

    Raises:
        InputError: The passes don't end.
    """
    codes = np.zeros(len(readings.indication), np.int64) if instrument is None else instrument
    found, last = moments, np.full(len(moments.moments), np.inf)
    ended = np.zeros(len(last), bool)
    for _ in range(PASSES):
        known = found.has_curve.numpy()[codes]
        w, b = (part.numpy() for part in found.exact)
        step = profile(moments.curve, list(w[codes].T), b[codes], readings)
        new = Moments(len(moments.moments), moments.curve)
        new.frame(torch.from_numpy(readings.indication))
        # of an instrument without a curve there is nothing to profile
        new.update(
            torch.from_numpy(np.where(known, step.indication, readings.indication)),
            torch.from_numpy(np.where(known, step.reference, readings.reference)),
            None if instrument is None else torch.from_numpy(instrument),
            torch.from_numpy(np.where(known, step.weight, readings.u_reference**-2.0)),
        )
        moved = _step(new, found)
        found = new
        ended |= ~(moved > ENDED) | ((moved < NEAR) & (moved > last / 2))
        if ended.all() and not bool((moments.has_curve & ~found.has_curve).any()):
            found.lowest, found.highest = moments.lowest.clone(), moments.highest.clone()
            return found
        last = moved
    raise InputError(
        f"Expected a curve through readings that are uncertain on both axes, but {PASSES} passes found none that "
        "stays; the indications' uncertainty is perhaps as large as their range"
    )


def _step(new: Moments, old: Moments) -> FloatArray:
    """By how many standard uncertainties the coefficients differ, shape ``(instruments,)``."""
    d, r = unpacked(new.factor.numpy())
    change = torch.cat([new.exact[1][:, None] - old.exact[1][:, None], new.exact[0] - old.exact[0]], dim=-1).numpy()
    moved = (r[..., :-1, :-1] @ change[..., None])[..., 0]
    size: FloatArray = np.sqrt((d[..., :-1] * moved**2).sum(-1))
    return size

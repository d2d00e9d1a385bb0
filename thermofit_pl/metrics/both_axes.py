"""The curve through readings that are uncertain on both axes (Deming; York; ISO/TS 28037 clauses 7 and 8)."""

from __future__ import annotations

from typing import NamedTuple

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


class Indications(NamedTuple):
    """What the uncertainties of indications come to.

    Attributes:
        variance: Of a reading's estimate by its indication, the mean of each instrument's, shape ``(instruments,)``
            [°C²].
        covariance: Of the fitted coefficients by the references alone, for stated uncertainties as they are, shape
            ``(instruments, coefficients, coefficients)``.
        method: Whose curve it is: ``Deming`` or ``York``.
    """

    variance: FloatArray
    covariance: FloatArray
    method: str

    def of_references(self, indication: FloatArray, moments: Moments) -> FloatArray:
        """Returns the curve's variance by the references alone, shape as ``indication``, ``(places, instruments)``."""
        features = [np.ones_like(indication), *moments.curve.features(indication)]
        rows = np.stack([np.broadcast_to(features[j], indication.shape) for j in moments.curve.free], axis=-1)
        variance: FloatArray = np.einsum("xiq,iqr,xir->xi", rows, self.covariance, rows)
        return variance


def indications_of(moments: Moments, readings: Uncertain, instrument: NDArray[np.int64] | None = None) -> Indications:
    """Returns what the uncertainties of readings' indications come to.

    Args:
        moments: As ``both_axes`` returns them.
        readings: With their uncertainties.
        instrument: As ``both_axes`` takes it.
    """
    codes = np.zeros(len(readings.indication), np.int64) if instrument is None else instrument
    w, b = (part.numpy()[codes] for part in moments.exact)
    at = profile(moments.curve, list(w.T), b, readings)
    slopes = moments.curve.slopes(at.indication)
    slope = sum(each * derivative for each, derivative in zip(w.T, slopes, strict=True))
    total = np.bincount(codes, (slope * readings.u_indication) ** 2, len(moments.moments))
    ones = np.ones_like(at.weight)
    columns = [ones, *moments.curve.features(at.indication)]
    rows = np.stack([columns[j] * ones for j in moments.curve.free], axis=-1) * at.weight[:, None]
    rows *= readings.u_reference[:, None]
    own = np.empty((len(total), rows.shape[1], rows.shape[1]))
    for i, one in enumerate(rows.T):
        for j, other in enumerate(rows.T):
            own[:, i, j] = np.bincount(codes, one * other, len(total))
    whole = whole_covariance(moments)
    return Indications(total / np.maximum(np.bincount(codes, minlength=len(total)), 1), whole @ own @ whole, "York")


def indications_in_one_ratio(moments: Moments, ratio: float, u_indication: float) -> Indications:
    """Returns the same of what ``in_one_ratio`` returns.

    Args:
        moments: As it returns them.
        ratio: As it takes it.
        u_indication: Standard uncertainty of each indication.
    """
    square = moments.exact[0].numpy()[:, 0] ** 2
    return Indications(
        square * u_indication**2, whole_covariance(moments) / (1 + square * ratio)[:, None, None], "Deming"
    )


def whole_covariance(moments: Moments) -> FloatArray:
    """Returns the covariance of the fitted coefficients for errors of variance 1; NaN where they are not told."""
    d, r = unpacked(moments.fitted.numpy())
    root = r[..., :-1, :-1] * np.sqrt(d[..., :-1])[..., None]
    known = moments.has_curve.numpy()
    inverse = np.linalg.inv(np.where(known[:, None, None], root, np.eye(root.shape[-1])))
    return np.where(known[:, None, None], inverse @ np.swapaxes(inverse, -1, -2), np.nan)


def _step(new: Moments, old: Moments) -> FloatArray:
    """By how many standard uncertainties the coefficients differ, shape ``(instruments,)``."""
    d, r = unpacked(new.factor.numpy())
    change = torch.cat([new.exact[1][:, None] - old.exact[1][:, None], new.exact[0] - old.exact[0]], dim=-1).numpy()
    moved = (r[..., :-1, :-1] @ change[..., None])[..., 0]
    size: FloatArray = np.sqrt((d[..., :-1] * moved**2).sum(-1))
    return size

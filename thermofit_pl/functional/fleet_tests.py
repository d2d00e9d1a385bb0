"""Whether one line would do for a whole fleet, and p-values of many instruments at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thermofit_pl.functional.distributions import tail_of_f
from thermofit_pl.functional.uncertainty import joint_p

FloatArray = NDArray[np.float64]

MAD = 1.4826  # makes the median absolute deviation of normal values their standard deviation
MAD_EFFICIENCY = 0.36  # degrees of freedom that one of many values adds to it
FEW = 8  # degrees of freedom below which an instrument's uncertainty may be far too small by chance


class OneLine(NamedTuple):
    """One curve for all instruments.

    Attributes:
        coefficients: Their mean, weighted by the inverse of each one's covariance, shape ``(q,)``.
        covariance: Of it, shape ``(q, q)``.
        p: How probable it is that instruments of one curve differ by this much; NaN with fewer than two.
        each: The same of every instrument by itself, shape ``(I,)``.
    """

    coefficients: FloatArray
    covariance: FloatArray
    p: float
    each: FloatArray


def one_line(coefficients: FloatArray, covariance: FloatArray, dof: FloatArray, estimated: ArrayLike) -> OneLine:
    """Tests whether one curve would do for all, each instrument with its own covariance and degrees of freedom.

    The mean is weighted by the inverse of each one's covariance, less for those of few degrees of freedom. Of the
    instruments' p-values about it, the sum of −2 ln p finds many small differences (Fisher 1932), and the smallest a
    single large one; each has half the level.

    Args:
        coefficients: (b, w) about a common indication near the middle of the fleet, shape ``(I, q)``.
        covariance: Of them: ``test_covariance``, shape ``(I, q, q)``.
        dof: ``test_dof``, shape ``(I,)``.
        estimated: Whether the matrix itself is estimated, shape ``(I,)`` or a truth value.
    """
    q = coefficients.shape[1]
    estimated = np.broadcast_to(np.asarray(estimated), dof.shape)
    left = dof - q + 1
    told = (left > 0) & np.isfinite(coefficients).all(axis=1) & np.isfinite(covariance).all(axis=(1, 2))
    told &= np.linalg.eigvalsh(np.where(told[:, None, None], covariance, 0.0))[:, 0] > 0
    count = int(told.sum())
    each = np.full(len(dof), np.nan)
    if count < 2:
        return OneLine(np.full(q, np.nan), np.full((q, q), np.nan), np.nan, each)
    inverse = np.linalg.inv(covariance[told]) * (np.maximum(left[told] - 2, 0.5) / left[told])[:, None, None]
    mean_covariance = np.linalg.inv(inverse.sum(axis=0))
    mean = mean_covariance @ np.einsum("iqr,ir->q", inverse, coefficients[told])
    away = coefficients[told] - mean
    square = np.einsum("iq,iqr,ir->i", away, np.linalg.inv(covariance[told]), away)
    each[told] = joint_p(square, q, dof[told], estimated[told])
    fisher = float(-2 * np.log(np.maximum(each[told], 1e-300)).sum())
    # with two terms each, −2 ln p has a chi-squared distribution with two degrees of freedom, q of each mean are lost
    summed = float(tail_of_f(fisher / (2 * count - q), 1e12, 2 * count - q))
    p = min(1.0, 2 * min(summed, count * float(np.nanmin(each))))
    return OneLine(mean, mean_covariance, p, each)


def outlying(coefficients: FloatArray, covariance: FloatArray, dof: FloatArray) -> FloatArray:
    """Returns how probable an instrument so far from the fleet's medians is by chance, shape ``(I,)``.

    The spread is that of the fleet by medians (the correlation after Gnanadesikan and Kettenring 1972), with what the
    instruments' own uncertainties explain of it taken out and each one's own put in. The squared distance over 2 is
    compared with F; the spread by medians counts as 0.36 I degrees of freedom (simulated for 5 to 1,000 normal
    instruments), and where an instrument's own uncertainty matters or has few, it has no more than that.

    Args:
        coefficients: Level about a common indication, and slope, shape ``(I, 2)``.
        covariance: Of them, shape ``(I, 2, 2)``.
        dof: Degrees of freedom of each covariance, shape ``(I,)``.
    """
    instruments = len(dof)
    points = coefficients - np.median(coefficients, axis=0)
    spread = MAD * np.median(np.abs(points), axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    scaled, own = points / spread, covariance / np.outer(spread, spread)
    plus, minus = (MAD * np.median(np.abs(scaled[:, 0] + sign * scaled[:, 1])) for sign in (1, -1))
    correlation = (plus**2 - minus**2) / (plus**2 + minus**2) if plus or minus else 0.0
    total = np.array([[1.0, correlation], [correlation, 1.0]])
    # the median of an estimated variance is below its mean (Wilson and Hilferty 1931)
    usual = np.median(own / ((1 - 2 / (9 * dof)) ** 3)[:, None, None], axis=0)
    of_spread = MAD_EFFICIENCY * instruments
    values, vectors = np.linalg.eigh(total - usual)
    least = 1 / np.sqrt(2 * of_spread)  # half of what the total itself is uncertain by
    between = vectors @ np.diag(np.maximum(values, least)) @ vectors.T
    centre = np.pi / 2 / instruments * total
    found = between + own + centre
    squared = np.einsum("ni,ni->n", scaled, np.linalg.solve(found, scaled[:, :, None])[:, :, 0])
    wide = np.trace(between)
    narrow = np.maximum(np.einsum("iqq->i", own), np.trace(usual))
    both = (wide + narrow) ** 2 / (wide**2 / of_spread + narrow**2 / dof)
    few = (dof < FEW) | (wide < 6 * narrow / np.sqrt(of_spread))
    freedom = np.minimum(of_spread, np.where(few, dof, both))
    # the tail of F with 2 and ν degrees of freedom is (1 + 2 F/ν)^(−ν/2); the continued fraction of any F takes 9 s for
    # 200 000 instruments
    p: FloatArray = np.exp(-freedom / 2 * np.log1p(squared / freedom))
    return p


def holm(p: FloatArray) -> FloatArray:
    """Returns p-values corrected for their number (Holm 1979), shape as ``p``; NaN stays and is not counted."""
    told = np.flatnonzero(np.isfinite(p))
    corrected = np.full(p.shape, np.nan)
    order = told[np.argsort(p[told], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return corrected

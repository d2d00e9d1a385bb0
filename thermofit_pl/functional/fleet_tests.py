"""Whether one line would do for a whole fleet, and p-values of many instruments at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thermofit_pl.functional.distributions import tail_of_f
from thermofit_pl.functional.uncertainty import joint_p

FloatArray = NDArray[np.float64]


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


def holm(p: FloatArray) -> FloatArray:
    """Returns p-values corrected for their number (Holm 1979), shape as ``p``; NaN stays and is not counted."""
    told = np.flatnonzero(np.isfinite(p))
    corrected = np.full(p.shape, np.nan)
    order = told[np.argsort(p[told], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return corrected

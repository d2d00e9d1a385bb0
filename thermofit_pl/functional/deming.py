"""The line through readings that are uncertain on both axes, in one ratio: Deming's, from the factor alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thermofit_pl.functional.whitened import unpacked

FloatArray = NDArray[np.float64]


def deming(factor: FloatArray, ratio: ArrayLike, held: Mapping[int, float]) -> FloatArray:
    """Returns the factor of the readings at their true indications, as the line that is most likely has them.

    Its least-squares line is Deming's, its covariance for errors of variance 1 that of York (2004) and of ISO/TS
    28037 clause 7, and what it leaves is χ²; for the references are weighed by 1/u². It is the end of York's passes,
    without a pass.

    Args:
        factor: Packed factors of (1, indication, reference), weighed by 1/u² of the reference, shape ``(I, 6)``.
        ratio: (u of the indication/u of the reference)², a number or of shape ``(I,)`` [(indicated unit/°C)²].
        held: By coefficient (0 is b, 1 is w) the value of those that are not fitted.

    Returns:
        Packed factors of (1, true indication, linearised reference), shape ``(I, 6)``.
    """
    d, r = unpacked(factor)
    rho = np.broadcast_to(np.asarray(ratio, np.float64), d.shape[:-1])
    rows = r.copy()  # three weighted readings that give the same least squares as all
    b, w = _coefficients(d, rows, rho, held)
    error = rows[..., 2] - b[..., None] * rows[..., 0] - w[..., None] * rows[..., 1]
    variance = 1 + w * w * rho
    true = rows[..., 1] + (w * rho / variance)[..., None] * error
    target = b[..., None] * rows[..., 0] + w[..., None] * true + error
    return _factor(np.stack([rows[..., 0], true, target], axis=-1), d / variance[..., None])


def _coefficients(
    d: FloatArray, rows: FloatArray, rho: FloatArray, held: Mapping[int, float]
) -> tuple[FloatArray, FloatArray]:
    """The line's b and w, shape ``(I,)``; each row has a weight d."""
    one, x, y = (rows[..., k] for k in range(3))
    if 1 in held:
        w = np.full(d.shape[:-1], held[1])
        left = y - w[..., None] * x
        return (d * one * left).sum(-1) / (d * one * one).sum(-1), w
    if 0 in held:
        left = y - held[0] * one
        sxx, sxy = (d * x * x).sum(-1), (d * x * left).sum(-1)
        slope = sxy / sxx
        sse = (d * (left - slope[..., None] * x) ** 2).sum(-1)
        return np.full(d.shape[:-1], held[0]), slope_of(slope, sse / sxx, rho)
    w = slope_of(rows[..., 1, 2], d[..., 2] / d[..., 1], rho)
    return rows[..., 0, 2] - w * rows[..., 0, 1], w


def slope_of(slope: FloatArray, left: FloatArray, ratio: FloatArray) -> FloatArray:
    """Returns Deming's slope from the least-squares one, to all its digits however small the errors are.

    It solves the quadratic for what is added to the slope, which has no difference of squares in it.

    Args:
        slope: Of least squares.
        left: What that leaves, over the sum of squares of the indications about their mean.
        ratio: (u of the indication/u of the reference)².
    """
    lead, middle, last = ratio * slope, 1 + ratio * (slope * slope - left), ratio * slope * left
    root = np.sqrt(middle * middle + 4 * lead * last)
    with np.errstate(divide="ignore", invalid="ignore"):
        added = np.where(middle >= 0, 2 * last / (middle + root), (root - middle) / (2 * lead))
    w: FloatArray = slope + added
    return w


def _factor(rows: FloatArray, weight: FloatArray) -> FloatArray:
    """Packed factors of a few weighted rows, shape ``(I, rows, columns)``, by modified Gram–Schmidt, done twice."""
    q = rows.shape[-1]
    left, r = rows.copy(), np.zeros((*rows.shape[:-2], q, q))
    for k in range(q):
        d = (weight * left[..., k] ** 2).sum(-1)
        r[..., k, k] = d
        safe = np.where(d > 0, d, 1.0)
        for j in range(k + 1, q):
            for _ in range(2):
                share = (weight * left[..., k] * left[..., j]).sum(-1) / safe
                r[..., k, j] += share
                left[..., j] -= share[..., None] * left[..., k]
    packed: FloatArray = r[(..., *np.triu_indices(q))]
    return packed

"""What all reference readings share, such as the certificate of the standard: its part in a curve's uncertainty.

It is never averaged away: it moves the whole curve, by its sensitivity (JCGM 100:2008, H.3.6).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from thermofit_pl.functional.whitened import RANK, unpacked

FloatArray = NDArray[np.float64]


class PivotForm(NamedTuple):
    """A curve's uncertainty, u² = u_pivot² + |(φ − pivot) U|².

    Attributes:
        pivot: Features where the level and w are uncorrelated, shape ``(I, p)``.
        u_pivot: Standard uncertainty of the level there, shape ``(I,)``.
        upper: U, upper triangular, shape ``(I, p, p)``: U Uᵀ is the covariance of w.
    """

    pivot: FloatArray
    u_pivot: FloatArray
    upper: FloatArray


def shifts(factor: FloatArray, absolute: float, relative: float, held: Mapping[int, float]) -> FloatArray:
    """Returns by how much b and w move when all references are wrong together by one standard uncertainty.

    Args:
        factor: Packed factors of (1, features, reference), shape ``(I, k)``.
        absolute: Standard uncertainty that all references share [°C].
        relative: The same as a share of the reference.
        held: By coefficient (0 is b, j is w_j) the value of those that are not fitted: they don't move.

    Returns:
        Of the absolute part and of the relative one, which are independent of each other, shape ``(2, I, p + 1)``.
    """
    d, r = unpacked(factor)
    q = d.shape[-1] - 1
    free = [j for j in range(q) if j not in held]
    found = np.zeros((2, *d.shape[:-1], q))
    for part, (size, column) in enumerate(((absolute, r[..., 0]), (relative, r[..., q]))):
        if size:
            found[part][..., free] = size * _least_squares(r[..., free], column, d)
    return found


def add(form: PivotForm, moved: FloatArray) -> PivotForm:
    """Returns a curve's uncertainty with a part added that moves its coefficients together.

    Args:
        form: Without it.
        moved: By how much b and w move, one standard uncertainty, shape ``(I, p + 1)``.
    """
    pivot, u_pivot, upper = form
    level = moved[..., 0] + (moved[..., 1:] * pivot).sum(-1)
    slopes = moved[..., 1:]
    if not np.any(slopes):  # a line that is free is only lifted
        return PivotForm(pivot, np.hypot(u_pivot, level), upper)
    covariance = upper @ np.swapaxes(upper, -1, -2) + slopes[..., :, None] * slopes[..., None, :]
    cross = slopes * level[..., None]
    sound = np.asarray(np.isfinite(covariance).all(axis=(-1, -2)) & np.isfinite(cross).all(axis=-1))
    inverse = np.linalg.pinv(np.where(sound[..., None, None], covariance, 0.0), rcond=1e-14, hermitian=True)
    shift = (inverse @ cross[..., None])[..., 0]
    left = np.maximum(u_pivot**2 + level**2 - (cross * shift).sum(-1), 0.0)
    blank = np.where(sound, 1.0, np.nan)
    # U, with the slopes' part as one more column, made triangular again
    both = np.concatenate([upper, slopes[..., None]], axis=-1)
    return PivotForm(pivot - shift, np.sqrt(left), triangular(both * blank[..., None, None]))


def triangular(root: FloatArray) -> FloatArray:
    """Returns the upper triangular U with U Uᵀ that of a root of any number of columns, shape ``(..., p, p)``."""
    known = np.asarray(np.isfinite(root).all(axis=(-1, -2)))
    flipped = np.swapaxes(np.where(known[..., None, None], root, 0.0)[..., ::-1, :], -1, -2)
    lower = np.swapaxes(np.linalg.qr(flipped).R, -1, -2)[..., ::-1, ::-1]
    signs = np.where(np.diagonal(lower, axis1=-2, axis2=-1) < 0, -1.0, 1.0)
    upper: FloatArray = lower * signs[..., None, :] * np.where(known, 1.0, np.nan)[..., None, None]
    return upper


def _least_squares(columns: FloatArray, target: FloatArray, weight: FloatArray) -> FloatArray:
    """Weighted least squares of few rows, by Gram–Schmidt: shape ``(I, columns)``; NaN where they are not told."""
    root = np.sqrt(weight)
    scaled = columns * root[..., None]
    size = np.sqrt((scaled**2).sum(-2))
    safe = np.where(size > 0, size, 1.0)
    q, r = np.linalg.qr(scaled / safe[..., None, :])
    diagonal = np.abs(np.diagonal(r, axis1=-2, axis2=-1))
    sound = (diagonal > RANK).all(axis=-1) & (size > 0).all(axis=-1)
    r = np.where(sound[..., None, None], r, np.eye(r.shape[-1]))
    found = np.linalg.solve(r, np.swapaxes(q, -1, -2) @ (target * root)[..., None])[..., 0] / safe
    return np.where(sound[..., None], found, np.nan)

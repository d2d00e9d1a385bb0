"""The coefficients that people quote of a curve, such as those of powers, with their covariance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from thermofit_pl.curves.base import Curve

FloatArray = NDArray[np.float64]


def conventional(
    curve: Curve, b: FloatArray, w: FloatArray, pivot: FloatArray, u_pivot: FloatArray, upper: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Returns the values of the coefficients that people quote, their standard uncertainties and their covariance.

    The covariance is made of the columns of its square root, so that terms are added whose squares would cancel.

    Args:
        curve: The curve.
        b: Intercepts, shape ``(I,)`` [°C].
        w: Coefficients of the features, shape ``(I, p)``.
        pivot: The features where level and w are uncorrelated, shape ``(I, p)``.
        u_pivot: Standard uncertainties of the levels there, shape ``(I,)`` [°C].
        upper: U, shape ``(I, p, p)``: U Uᵀ is the covariance of w.

    Returns:
        Shapes ``(I, q)``, ``(I, q)`` and ``(I, q, q)``.
    """
    coefficients = np.concatenate([b[:, None], w], axis=-1)
    columns = np.swapaxes(upper, -1, -2)  # (I, k, p): a change of w for each of p numbers of variance 1
    of_level = -(columns * pivot[:, None, :]).sum(axis=-1)
    level = np.concatenate([u_pivot[:, None], np.zeros_like(w)], axis=-1)
    spread = np.concatenate([of_level[..., None], columns], axis=-1)
    changes = np.concatenate([level[:, None, :], spread], axis=-2)  # (I, 1 + p, 1 + p)
    with np.errstate(all="ignore"):  # a coefficient of 0 that another is divided by
        values, root = curve.conventional(coefficients), curve.conventional_spread(coefficients, changes)
    covariance: FloatArray = np.swapaxes(root, -1, -2) @ root
    return values, np.sqrt(np.einsum("iqq->iq", covariance)), covariance

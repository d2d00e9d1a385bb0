"""A curve and its uncertainty at indications, in pivot form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thermofit_pl.curves.base import Curve


def band(
    curve: Curve, indication: Any, level: Any, w: Sequence[Any], pivot: Sequence[Any], u_pivot: Any, upper: Any
) -> tuple[Any, Any]:
    """Returns the estimate and the variance of the curve at indications.

    All is counted from the pivot: there the digits survive that b + Σ w·φ and φᵀCφ lose on a range that is narrow
    beside its distance from zero. Every argument may be a number, an array, a Polars expression or a tensor.

    Args:
        curve: The curve.
        indication: Raw indications.
        level: The estimate at the pivot, b + Σ w_j · pivot_j [°C].
        w: The coefficients, p of them.
        pivot: The features at the pivot, p of them.
        u_pivot: Standard uncertainty of the level [°C].
        upper: U, upper triangular, p rows of p entries: U Uᵀ is the covariance of w.
    """
    away = [feature - at for feature, at in zip(curve.features(indication), pivot, strict=True)]
    estimate, variance = level + w[0] * away[0], u_pivot * u_pivot
    for j in range(1, len(away)):
        estimate = estimate + w[j] * away[j]
    for k in range(len(away)):
        part = away[0] * upper[0][k]
        for j in range(1, k + 1):
            part = part + away[j] * upper[j][k]
        variance = variance + part * part
    return curve.estimate(estimate), variance

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
        level: The level at the pivot, b + Σ w_j · pivot_j [°C].
        w: The coefficients, p of them.
        pivot: The features at the pivot, p of them.
        u_pivot: Standard uncertainty of the level [°C].
        upper: U, upper triangular, p rows of p entries: U Uᵀ is the covariance of w.
    """
    estimate, variance, slope = _band(curve, indication, level, w, pivot, u_pivot, upper)
    return estimate, variance * (slope * slope) if curve.linked or curve.inverted else variance


def single(
    curve: Curve,
    indication: Any,
    level: Any,
    w: Sequence[Any],
    pivot: Sequence[Any],
    u_pivot: Any,
    upper: Any,
    u_reading: Any,
) -> tuple[Any, Any, Any]:
    """Returns the estimate, the variance of the curve, and that of one new reading's correction, at indications.

    Args:
        curve: The curve.
        indication: Raw indications.
        level: As ``band`` takes it.
        w: Likewise.
        pivot: Likewise.
        u_pivot: Likewise.
        upper: Likewise.
        u_reading: Standard deviation of one reading's error [°C]; of a curve that gives the indication as a function of
            the reference, that of the indication's, in the unit of its level.
    """
    estimate, variance, slope = _band(curve, indication, level, w, pivot, u_pivot, upper)
    scatter = u_reading * u_reading
    if curve.inverted:
        return estimate, variance * (slope * slope), (variance + scatter) * (slope * slope)
    if curve.linked:
        variance = variance * (slope * slope)
    return estimate, variance, variance + scatter


def _band(
    curve: Curve, indication: Any, level: Any, w: Sequence[Any], pivot: Sequence[Any], u_pivot: Any, upper: Any
) -> tuple[Any, Any, Any]:
    """Returns the estimate, the variance of the level, and d estimate/d level."""
    estimate, away, slope = curve.evaluate(indication, level, w, pivot)
    variance = u_pivot * u_pivot
    for k in range(len(away)):
        part = away[0] * upper[0][k]
        for j in range(1, k + 1):
            part = part + away[j] * upper[j][k]
        variance = variance + part * part
    return estimate, variance, slope

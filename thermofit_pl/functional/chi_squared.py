"""The tail of χ², for many at once, and the test of stated uncertainties that rests on it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

LARGE = 1e4  # dof/2 from which the first terms of Temme's expansion are exact to 1e-9, and a series would be long


def tail_of_chi_squared(chi_squared: ArrayLike, dof: ArrayLike) -> FloatArray:
    """Returns the probability that a χ² exceeds ``chi_squared``, of the arguments' common shape.

    It is the regularised incomplete gamma function Q(dof/2, χ²/2): by its series or its continued fraction (DLMF
    8.11.4, 8.9.2), and for many degrees of freedom by Temme's expansion (DLMF 8.12.4).

    Args:
        chi_squared: From 0; NaN stays NaN.
        dof: Degrees of freedom, positive; they need be no whole numbers.
    """
    z, a = np.broadcast_arrays(np.asarray(chi_squared, np.float64) / 2, np.asarray(dof, np.float64) / 2)
    tail = np.full(z.shape, np.nan)
    told = np.isfinite(a) & (a > 0) & (z >= 0)
    tail[told & np.isinf(z)] = 0.0
    finite = told & np.isfinite(z)
    many, low = finite & (a >= LARGE), finite & (a < LARGE) & (z < a + 1)
    high = finite & (a < LARGE) & ~low
    tail[many], tail[low] = _uniform(a[many], z[many]), 1 - _series(a[low], z[low])
    tail[high] = _fraction(a[high], z[high])
    clipped: FloatArray = np.where(told, np.clip(tail, 0.0, 1.0), np.nan)
    return clipped


def _front(a: FloatArray, z: FloatArray) -> FloatArray:
    """Returns zᵃ e⁻ᶻ/Γ(a + 1)."""
    log_gamma = np.array([math.lgamma(each + 1) for each in a.tolist()], np.float64)
    with np.errstate(divide="ignore"):
        front: FloatArray = np.exp(a * np.log(z) - z - log_gamma)
    return front


def _series(a: FloatArray, z: FloatArray) -> FloatArray:
    """Returns P(a, z) for z < a + 1."""
    term, total, n = np.ones_like(a), np.ones_like(a), 0
    while term.size and np.any(term > 1e-17 * total):
        n += 1
        term = term * z / (a + n)
        total = total + term
    return _front(a, z) * total


def _fraction(a: FloatArray, z: FloatArray) -> FloatArray:
    """Returns Q(a, z) for z ≥ a + 1, by Lentz's method; its denominators are positive there."""
    if not a.size:
        return a
    even = z + 1 - a
    c, d = np.full_like(a, 1e300), 1 / even
    value, n = d, 0
    step = np.zeros_like(a)
    while np.any(np.abs(step - 1) > 1e-15) and n < 10_000:
        n += 1
        numerator, even = -n * (n - a), even + 2
        d = 1 / (even + numerator * d)
        c = even + numerator / c
        step = c * d
        value = value * step
    return _front(a, z) * a * value


def _uniform(a: FloatArray, z: FloatArray) -> FloatArray:
    """Returns Q(a, z) for a large a: ½ erfc(η √(a/2)) and two terms, which matter only where η is small."""
    mu = z / a - 1
    eta = np.sign(mu) * np.sqrt(np.maximum(2 * (mu - np.log1p(mu)), 0.0))
    half = np.array([math.erfc(each) / 2 for each in (eta * np.sqrt(a / 2)).tolist()], np.float64)
    first = -1 / 3 + eta / 12 - 2 * eta**2 / 135 + eta**3 / 864
    second = -1 / 540 - eta / 288
    rest = np.exp(-a * np.minimum(eta**2, 1.0) / 2) / np.sqrt(2 * np.pi * a) * (first + second / a)
    tail: FloatArray = half + rest
    return tail

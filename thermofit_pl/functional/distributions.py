"""The tail of F and the quantile of Student's t, for many at once: scipy would make every start a second slower."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

LARGE = 30.0  # from here on, the series of Γ(a + ½)/Γ(a) is exact to float64, where a difference of logarithms is not


def tail_of_f(f: ArrayLike, dof: ArrayLike, numerator: ArrayLike = 1) -> FloatArray:
    """Returns the probability that an F exceeds ``f``, shape as ``f`` and ``dof``.

    It is the regularised incomplete beta function I(dof/2, m/2) at dof/(dof + m·f), by its continued fraction (DLMF
    8.17.22).

    Args:
        f: From 0.
        dof: Degrees of freedom of the denominator, positive.
        numerator: m, those of the numerator; they need be no whole numbers.
    """
    twice_b = np.asarray(numerator, np.float64)
    f, a, b = np.broadcast_arrays(twice_b * np.asarray(f, np.float64), np.asarray(dof, np.float64) / 2, twice_b / 2)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore", under="ignore"):
        x = np.where(np.isinf(f), 0.0, 2 * a / (2 * a + f))
        rest = np.where(np.isinf(f), 1.0, f / (2 * a + f))
        log_x, log_rest = (np.where(one < 0.5, np.log(one), np.log1p(-other)) for one, other in ((x, rest), (rest, x)))
        front = np.exp(_log_inverse_beta(a, b) + a * log_x + b * log_rest)
        swap = x > (a + 1) / (a + b + 2)  # where the fraction converges fast for the other tail
        first, second, at = np.where(swap, b, a), np.where(swap, a, b), np.where(swap, rest, x)
        part = front / first * _fraction(first, second, at)
        tail = np.where(swap, 1 - part, part)
    clipped: FloatArray = np.clip(np.where(f == 0, 1.0, tail), 0.0, 1.0)
    return clipped


def coverage_factor(dof: ArrayLike, probability: float) -> FloatArray:
    """Returns Student's t that covers a probability on both sides, shape as ``dof`` (JCGM 100:2008, G.3).

    Args:
        dof: Degrees of freedom, from 1.
        probability: Between 0 and 1.
    """
    nu = np.asarray(dof, np.float64)
    z = NormalDist().inv_cdf(0.5 + probability / 2)
    # Abramowitz and Stegun 26.7.5: the answer itself for many degrees of freedom, and a start for few
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    factors: FloatArray = z + np.sum([term / nu**power for power, term in enumerate(terms, start=1)], axis=0)
    few = nu < 200 * max(1.0, (z / 2) ** 4)
    if few.any():
        factors = np.array(factors)
        factors[few] = _by_newton(nu[few], factors[few], math.log1p(-probability))
    return factors


def _by_newton(nu: FloatArray, start: FloatArray, log_tail_asked: float) -> FloatArray:
    """Returns Student's t of few degrees of freedom, shape as ``nu``."""
    # over log t, along which the logarithm of the tail is nearly straight for few degrees of freedom
    log_t = np.log(start)
    for _ in range(60):
        t = np.exp(log_t)
        tail = tail_of_f(t * t, nu)
        density = np.exp(_log_inverse_beta(nu / 2, np.full_like(nu, 0.5)) - 0.5 * np.log(nu))
        slope = -2 * t * density * np.exp(-(nu + 1) / 2 * np.log1p(t * t / nu)) / tail
        change = np.clip((log_tail_asked - np.log(tail)) / slope, -1.0, 1.0)
        log_t = log_t + change
        if np.all(np.abs(change) < 1e-14):
            break
    return np.exp(log_t)


def _log_inverse_beta(a: FloatArray, b: FloatArray) -> FloatArray:
    """Returns log Γ(a + b)/(Γ(a) Γ(b)), with its digits for b = ½ and any a."""
    whole, one, other = map(_log_gamma, (a + b, a, b))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        series = 0.5 * np.log(a) - 1 / (8 * a) + 1 / (192 * a**3) - 1 / (640 * a**5) + 17 / (14336 * a**7)
        logarithm: FloatArray = np.where((b == 0.5) & (a > LARGE), series, whole - one) - other
    return logarithm


def _log_gamma(values: FloatArray) -> FloatArray:
    """Returns log Γ of each value; few of a fleet's degrees of freedom differ, so each is computed once."""
    distinct, index = np.unique(values, return_inverse=True)
    logarithms = [math.lgamma(value) if value > 0 else math.nan for value in distinct.tolist()]
    found: FloatArray = np.array(logarithms, np.float64)[index].reshape(values.shape)
    return found


def _fraction(a: FloatArray, b: FloatArray, x: FloatArray) -> FloatArray:
    """The continued fraction of the incomplete beta function, by Lentz's method."""
    c = np.ones_like(x)
    d = 1 / _away(1 - (a + b) * x / (a + 1))
    value = d.copy()
    for m in range(1, 10_000):
        step = np.ones_like(x)
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _away(1 + numerator * d)
            c = _away(1 + numerator / c)
            step = c * d
            value = value * step
        if not np.any(np.abs(step - 1) > 1e-15):
            break
    return value


def _away(values: FloatArray) -> FloatArray:
    """Keeps a divisor from being zero."""
    return np.where(np.abs(values) < 1e-300, 1e-300, values)

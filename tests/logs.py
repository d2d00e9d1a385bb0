"""Logs and tables to simulate with, many at once, and their least squares in whitened coordinates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from thermofit_pl.functional.groups import Groups
from thermofit_pl.functional.misfit import Log, sources
from thermofit_pl.functional.uncertainty import Uncertainty, combine
from thermofit_pl.functional.whitened import Whitened, whiten

FloatArray = NDArray[np.float64]


def ar1(random: np.random.Generator, replicates: int, n: int, rho: float) -> FloatArray:
    white = random.standard_normal((replicates, n))
    white[:, 1:] *= np.sqrt(1 - rho**2)
    return np.asarray(lfilter([1], [1, -rho], white, axis=1), np.float64)


def errors(random: np.random.Generator, replicates: int, n: int, white: float, rho: float) -> FloatArray:
    """A white part of this share of the variance, the rest AR(1)."""
    slow = np.sqrt(1 - white) * ar1(random, replicates, n, rho) if white < 1 else 0.0
    both: FloatArray = np.sqrt(white) * random.standard_normal((replicates, n)) + slow
    return both


def indications(random: np.random.Generator, replicates: int, n: int, shape: str) -> FloatArray:
    t = np.arange(n)
    if shape == "random":
        return random.uniform(0, 100, (replicates, n))
    if shape == "ramp":
        return np.tile(100 * t / n, (replicates, 1))
    if shape == "day":
        phase = t / min(1440, n / 2) + random.random((replicates, 1))
        return 50 + 40 * np.sin(2 * np.pi * phase) + random.standard_normal((replicates, n))
    if shape == "steps":
        return 100 * (t * 10 // n) / 9 + 0.1 * random.standard_normal((replicates, n))
    return 50 + 20 * ar1(random, replicates, n, 1 - 5 / n)


def log_of(replicates: int, n: int) -> Log:
    return Log(np.tile(np.arange(n) * 8 // n, replicates), np.zeros(replicates * n, bool))


def fitted(x: FloatArray, y: FloatArray) -> tuple[Whitened, Groups]:
    """Of tables of shape ``(replicates, n)``."""
    groups = Groups(np.repeat(np.arange(len(x)), x.shape[1]), len(x))
    return whiten(x.reshape(-1, 1), y.reshape(-1), groups), groups


def covered(x: FloatArray, error: FloatArray, *, log: bool) -> tuple[dict[str, float], dict[str, float], Uncertainty]:
    """How often 95 % cover the mean level, the slope and the intercept, and the half-widths, whitened."""
    whitened, groups = fitted(x, error)
    replicates, n = x.shape
    u = combine(sources(whitened, groups, log_of(replicates, n) if log else None), np.full(replicates, float(n)))
    away = groups.sums(whitened.columns * error.reshape(-1, 1))  # the true coefficients are 0
    mean = x.mean(axis=1)
    root = np.sqrt(((x - mean[:, None]) ** 2).sum(axis=1))
    rows = {
        "line": np.tile([1.0, 0.0], (replicates, 1)),
        "w": np.tile([0.0, 1.0], (replicates, 1)),
        "b": np.stack([np.full(replicates, n**-0.5), -mean / root], axis=-1),
    }
    rate, width = {}, {}
    for name, row in rows.items():
        half = u.k * np.sqrt(np.einsum("iq,iqr,ir->i", row, u.covariance, row))
        rate[name] = float(np.mean(np.abs((row * away).sum(axis=1)) <= half))
        width[name] = float(half.mean())
    return rate, width, u


def tolerance(probability: float, replicates: int) -> float:
    """Three binomial standard deviations."""
    return float(3 * np.sqrt(probability * (1 - probability) / replicates))

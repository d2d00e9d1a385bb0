"""How often a summary remarks on clean readings: all sentences together on at most 5 % of them."""

from __future__ import annotations

import numpy as np
import pytest

from logs import FloatArray, errors, indications, tolerance
from thermofit_pl.calibration.calibration import Calibration
from thermofit_pl.calibration.calibrations import Calibrations
from thermofit_pl.reports.remarks import remarks
from thermofit_pl.results.fit import fit

ALL = 0.05


def said(c: Calibration) -> list[str]:
    """What is remarked, or said of the scale, that is not so of clean readings of a thermometer in Fahrenheit."""
    assert c.scale is not None
    sentence = c.scale.sentence()
    return [*remarks(c), *([sentence] if "more than chance" in sentence else [])]


def rate(x: FloatArray, noise: FloatArray, time: FloatArray | None = None) -> float:
    """The share of tables, of shape ``(replicates, n)``, of which anything is said."""
    replicates, n = x.shape
    times = None if time is None else np.tile(time, replicates)
    found = fit(x.ravel(), ((x - 32) / 1.8 + noise).ravel(), np.repeat(np.arange(replicates), n), time=times)
    assert isinstance(found, Calibrations)
    return float(np.mean([bool(said(found.row(place))) for place in range(replicates)]))


@pytest.mark.slow
@pytest.mark.parametrize(("n", "replicates"), [(4, 1500), (5, 1500), (11, 1500), (100, 800), (1000, 200)])
@pytest.mark.parametrize("kind", ["random", "ramp"])
def test_independent_readings(n: int, replicates: int, kind: str) -> None:
    random = np.random.default_rng(51)
    x = indications(random, replicates, n, kind)
    assert rate(x, 0.3 * random.standard_normal(x.shape)) < ALL + tolerance(ALL, replicates)


@pytest.mark.slow
@pytest.mark.parametrize(("points", "each"), [(3, 3), (5, 4), (8, 3), (10, 2)])
def test_repeats_at_set_points(points: int, each: int) -> None:
    random, replicates = np.random.default_rng(52), 1000
    x = np.tile(np.repeat(np.linspace(32, 212, points), each), (replicates, 1)).astype(np.float64)
    x += 0.2 * random.standard_normal(x.shape)
    assert rate(x, 0.02 * random.standard_normal(x.shape)) < ALL + tolerance(ALL, replicates)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "replicates"), [(11, 1000), (50, 500), (200, 300), (3000, 60)])
@pytest.mark.parametrize(("white", "rho"), [(1.0, 0.0), (0.0, 0.9), (0.4, 0.98)])
def test_logs_with_their_time(n: int, replicates: int, white: float, rho: float) -> None:
    random = np.random.default_rng(53)
    x = indications(random, replicates, n, "day")
    noise = 0.3 * errors(random, replicates, n, white, rho)
    assert rate(x, noise, 60 * np.arange(float(n))) < ALL + tolerance(ALL, replicates)

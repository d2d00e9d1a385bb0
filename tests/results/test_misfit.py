"""Misfit in a fleet: named in a column and in the summary, with p-values that are corrected for their number."""

from __future__ import annotations

import numpy as np
import pytest

import thermofit_pl
from logs import FloatArray
from thermofit_pl.calibration.calibrations import Calibrations


def fleet(x: FloatArray, y: FloatArray) -> Calibrations:
    """Of tables of shape ``(instruments, n)``."""
    found = thermofit_pl.fit(x.ravel(), y.ravel(), np.repeat([f"p{i}" for i in range(len(x))], x.shape[1]))
    assert isinstance(found, Calibrations)
    return found


def clean(instruments: int, n: int, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    random = np.random.default_rng(seed)
    x = random.uniform(0, 100, (instruments, n))
    return x, 0.5 * x - 17 + random.standard_normal(x.shape)


def test_ten_curved_instruments_are_not_fine() -> None:
    x, y = clean(10, 40)
    made = fleet(x, y + 0.004 * (x - 50) ** 2)
    assert set(made.frame["misfit"]) == {"curved"}
    assert made.frame.columns[:3] == ["instrument", "status", "misfit"]
    assert str(made).splitlines()[:2] == [
        "0 of 10 instruments are fine (400 readings).",
        "10 with a misfit: curved (p0, p1, p2, p3, p4 …).",
    ]
    assert made["p3"].misfit == "curved"


def test_sensors_that_see_nothing_are_not_fine() -> None:
    x, _ = clean(10, 1000)
    y = 0.006 * x + np.random.default_rng(1).standard_normal(x.shape)  # R² 0.03, and significant
    made = fleet(x, y)
    assert set(made.frame["status"]) == {"ok"}
    assert set(made.frame["misfit"]) == {"explains little"}
    assert str(made).startswith("0 of 10 instruments are fine")


def test_each_has_its_own_misfit_by_its_name() -> None:
    x, y = clean(9, 120)
    random = np.random.default_rng(2)
    t = (x - 50) / 50
    x[0, [4, 9]] = -127
    x[1] = np.linspace(0, 100, 120)
    y[1] = 0.5 * x[1] - 17 + 0.02 * random.standard_normal(120)
    x[1, 40:60] = x[1, 40]
    y[2] += 8 * (2.5 * t[2] ** 3 - 1.5 * t[2])
    y[3] = 0.5 * x[3] - 17 + 0.001 * x[3] ** 2 * random.standard_normal(120)
    y[4, 7] += 15
    y[5] += np.repeat(random.standard_normal(6), 20) * 4
    x[6] = np.repeat(np.linspace(0, 100, 6), 20) + 0.01 * random.standard_normal(120)
    y[6] = 0.5 * x[6] + np.repeat(random.standard_normal(6), 20) + 0.02 * random.standard_normal(120)
    x[7], y[7] = np.exp(np.linspace(0, 14, 120)), np.linspace(100, 0, 120)
    assert fleet(x, y).frame["misfit"].to_list() == [
        "error codes",
        "stuck",
        "S-shaped",
        "scatter changes",
        "readings stand out",
        "neighbours are alike",
        "set points differ",
        "neighbours are alike",  # sharper than a cubic, in the order of the indication
        None,
    ]


def test_p_values_are_corrected_for_their_number() -> None:
    made = fleet(*clean(500, 20))
    raw = made.frame["diagnostics"].struct.field("shape").struct.field("p").to_numpy()
    assert (raw < 0.01).sum() > 0
    assert made.frame["misfit"].null_count() == 500
    assert str(made).startswith("500 of 500 instruments are fine")


@pytest.mark.parametrize("n", [4, 5, 8])
def test_an_instrument_without_a_line_has_no_misfit(n: int) -> None:
    x, y = clean(3, n)
    x[1] = 7.0
    assert fleet(x, y).frame["misfit"][1] is None

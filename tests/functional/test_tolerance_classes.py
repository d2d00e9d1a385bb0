"""IEC 60751's classes, with a guard: its table of tolerances, and how often a bad thermometer is let pass."""

import numpy as np
import pytest

from thermofit_pl.functional.tolerance_classes import CLASSES, conformity, nominal

T = np.linspace(-50, 200, 26)
# of IEC 60751:1995's table of tolerances, which the classes A and B still have [°C]
TABLE = {"A": {-100: 0.35, 0: 0.15, 100: 0.35, 400: 0.95}, "B": {-100: 0.8, 0: 0.3, 100: 0.8, 600: 3.3}}


def test_the_tolerances_are_the_standard_s() -> None:
    of = {each.name: each for each in CLASSES}
    for name, limits in TABLE.items():
        t, limit = np.array(list(limits.items()), np.float64).T
        np.testing.assert_allclose(of[name].limit(t), limit, atol=1e-12)
    assert of["AA"].limit(np.array([100.0])) == pytest.approx(0.27)
    assert of["C"].limit(np.array([-100.0])) == pytest.approx(1.6)


def test_the_class_is_the_narrowest_that_holds_everywhere() -> None:
    none = np.zeros(26)
    found = conformity(T, none + 0.12, none + 0.02)
    assert (found.name, found.guarded) == ("A", "A")
    assert found.margin == pytest.approx(0.03)
    assert found.at == pytest.approx(0, abs=1e-9)
    assert conformity(T, none + 0.12, none + 0.04)[:2] == ("A", "B")
    assert conformity(T, none - 0.05, none + 0.01)[:2] == ("AA", "AA")
    assert conformity(T, none - 5, none)[:2] == (None, None)
    assert conformity(T, none + 0.01, none + np.nan)[:2] == ("AA", None)  # nothing is known of U
    # AA ends at 250 °C, and A at 450 °C
    assert conformity(T + 200, none, none)[:2] == ("A", "A")
    assert conformity(T + 500, none, none)[:2] == (None, None)


def test_a_thermometer_at_the_limit_is_let_pass_once_in_forty() -> None:
    random, u, n = np.random.default_rng(0), 0.02, 20_000
    passed = sum(
        conformity(T[:1] * 0, np.array([0.15 + u * random.standard_normal()]), np.array([1.96 * u])).guarded == "A"
        for _ in range(n)
    )
    assert passed / n == pytest.approx(0.025, abs=0.005)


def test_nominal_resistances() -> None:
    assert nominal(100.08) == 100
    assert nominal(1003.0) == 1000
    assert nominal(96.0) == 100
    assert nominal(77.0) is None

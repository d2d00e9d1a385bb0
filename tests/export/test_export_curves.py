"""Fitted curves in every target that holds them, by the arithmetic of Python and of tables."""

from __future__ import annotations

import numpy as np
import pytest

from thermofit_pl import InputError, fit
from thermofit_pl.curves.base import Curve
from thermofit_pl.curves.line import Line
from thermofit_pl.curves.offset import Offset
from thermofit_pl.curves.polynomial import Polynomial
from thermofit_pl.curves.proportional import Proportional
from thermofit_pl.export.export import TARGETS, export
from thermofit_pl.export.view import view

X = np.linspace(1e5, 9e5, 80)
T = X / 1e4
Y = 2 + 0.9 * T + 1e-3 * T**2 + np.random.default_rng(3).normal(0, 0.2, 80)
CURVES: list[Curve] = [Line(), Proportional(), Polynomial(2), Polynomial(5)]


@pytest.mark.parametrize("curve", CURVES, ids=repr)
def test_python_computes_what_the_calibration_does(curve: Curve) -> None:
    c = fit(X, Y, curve=curve)
    made: dict[str, object] = {}
    exec(export(view(c, "tank"), "python"), made)
    corrected = made["tank_correct"]
    assert callable(corrected)
    for x in (1e5, 4.321e5, 9e5):
        # about zero a polynomial of degree 5 over a range from 1e5 leaves ten digits
        assert corrected(x) == pytest.approx(c.correct(x).estimate, rel=1e-9)


@pytest.mark.parametrize("curve", CURVES, ids=repr)
@pytest.mark.parametrize("to", ["c", "excel", "esphome", "home-assistant", "table"])
def test_targets_that_hold_powers(curve: Curve, to: str) -> None:
    text = export(view(fit(X, Y, curve=curve), "tank"), to)
    assert "differ from the calibration by" in text


@pytest.mark.parametrize("to", ["tasmota", "zigbee2mqtt", "klipper", "marlin"])
def test_targets_that_dont_offer_a_table(to: str) -> None:
    with pytest.raises(InputError, match=f"Expected a curve that {to} holds, but .* use --to table"):
        export(view(fit(X, Y, curve=Polynomial(2))), to)


def test_an_offset_goes_where_one_number_does() -> None:
    noise = np.random.default_rng(4).normal(0, 0.5, 80)
    assert "TempOffset 0.6" in export(view(fit(T, T + 0.6 + noise - noise.mean(), curve=Offset())), "tasmota")
    with pytest.raises(InputError, match=r"its arithmetic is 0\.02 °C off"):  # tenths are all that it has
        export(view(fit(T, T + 0.62, curve=Offset())), "tasmota")


def test_a_curve_of_ones_own_goes_into_a_table() -> None:
    class Root(Curve):
        def features(self, indication: object) -> list[object]:
            return [indication**0.5]  # type: ignore[operator]

        def slopes(self, indication: object) -> list[object]:
            return [0.5 * indication**-0.5]  # type: ignore[operator]

    c = fit(X, Y, curve=Root())
    assert view(c).formula is None
    lines = export(view(c), "table").splitlines()
    x, y = np.array([line.split(",") for line in lines if not line.startswith("#")], float).T
    np.testing.assert_allclose(np.interp(5e5, x, y), c.correct(5e5).estimate, atol=0.1 * c.correct(5e5).u_single)
    held = {to for to in TARGETS if to != "table"}
    for to in held:
        with pytest.raises(InputError, match="use --to table"):
            export(view(c), to)

"""Curves: one expression over NumPy, Polars and torch; their records; and what a record may not do."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from thermofit_pl.curves.base import SHIPPED, Curve, from_record
from thermofit_pl.curves.beta import Beta
from thermofit_pl.curves.callendar_van_dusen import CallendarVanDusen
from thermofit_pl.curves.line import Line
from thermofit_pl.curves.offset import Offset
from thermofit_pl.curves.polynomial import Polynomial
from thermofit_pl.curves.proportional import Proportional
from thermofit_pl.curves.steinhart_hart import SteinhartHart
from thermofit_pl.errors import InputError


class Root(Curve):
    """A curve of somebody's own."""

    names = ("w",)

    def __init__(self, power: float = 0.5) -> None:
        self.power = power

    def features(self, indication: Any) -> list[Any]:
        return [indication**self.power]

    def slopes(self, indication: Any) -> list[Any]:
        return [self.power * indication ** (self.power - 1)]


CURVES = [
    Line(),
    Offset(),
    Proportional(),
    Root(0.3),
    *(Polynomial(degree, 37.5, 61.5) for degree in (2, 3, 10)),
    SteinhartHart(3, "°C", 25.0),
    SteinhartHart(4, "K", 300.0),
    Beta("°F", 77.0),
    *(CallendarVanDusen(free, "°C", 50.0) for free in ("R0", "R0 A B", "R0 A B C")),
]


@pytest.mark.parametrize("curve", CURVES, ids=repr)
def test_one_expression_runs_over_numpy_polars_and_torch(curve: Curve) -> None:
    x = np.linspace(1, 99, 50)
    for method in (curve.features, curve.slopes):
        of_numpy = np.stack([np.broadcast_to(column, x.shape) for column in method(x)])
        assert of_numpy.shape == (len(curve.names), 50)
        of_torch = torch.stack([torch.as_tensor(column).expand(50) for column in method(torch.from_numpy(x))]).numpy()
        named = [expression.alias(str(j)) for j, expression in enumerate(method(pl.col("x")))]
        of_polars = pl.DataFrame({"x": x}).select(named).to_numpy().T
        # powers, logarithms and iterations may be rounded otherwise; + − · and / may not
        tolerance = 0.0 if isinstance(curve, Line | Polynomial) else 1e-15 if isinstance(curve, Root) else 2e-14
        np.testing.assert_allclose(of_torch, of_numpy, rtol=tolerance)
        np.testing.assert_allclose(of_polars, of_numpy, rtol=tolerance)


@pytest.mark.parametrize("curve", CURVES, ids=repr)
def test_slopes_are_the_derivatives_of_features(curve: Curve) -> None:
    x = torch.linspace(1, 99, 50, dtype=torch.float64, requires_grad=True)
    for feature, slope in zip(curve.features(x), curve.slopes(x.detach()), strict=True):
        (derivative,) = torch.autograd.grad(feature.sum(), x, retain_graph=True)
        torch.testing.assert_close(slope, derivative, rtol=1e-11, atol=1e-13)


def test_the_features_of_a_polynomial_are_monic_legendre_polynomials() -> None:
    x = np.linspace(-20, 180, 2001)
    for degree, feature in enumerate(Polynomial(10, 80.0, 100.0).features(x), 1):
        legendre = np.polynomial.Legendre.basis(degree)
        leading = legendre.convert(kind=np.polynomial.Polynomial).coef[-1]
        np.testing.assert_allclose(feature, legendre((x - 80) / 100) / leading, atol=1e-15)


@pytest.mark.parametrize("degree", [2, 5, 10])
def test_powers_are_exact_but_for_one_rounding(degree: int) -> None:
    random = np.random.default_rng(degree)
    curve = Polynomial(degree, -5.957, 2.8247)  # the range of NIST's Filip: terms cancel to a part in 1e9
    coefficients = random.standard_normal((3, degree + 1))
    found = curve.conventional(coefficients)
    assert len(curve.conventional_names) == degree + 1
    expanded = curve._expanded()
    for row, of in zip(found, coefficients, strict=True):
        for power in range(degree + 1):
            exact = sum(Fraction(c) * basis[power] for c, basis in zip(of.tolist(), expanded, strict=True))
            assert row[power] == pytest.approx(float(exact), rel=3e-16, abs=0)
    # and they are the same polynomial, in exact arithmetic
    at = Fraction(-35, 8)
    values = [sum(c * at**k for k, c in enumerate(basis)) for basis in expanded]
    inside = [1.0, *curve.features(float(at))]
    np.testing.assert_allclose(inside, [float(value) for value in values], rtol=1e-13)


def test_a_polynomial_takes_its_frame_from_the_first_readings_once() -> None:
    free = Polynomial(3)
    framed = free.framed(-40.0, 120.0)
    assert (framed.centre, framed.half) == (40.0, 80.0)
    assert framed.framed(0.0, 1.0) is framed
    assert free.framed(5.0, 5.0).half == 5.0  # equal readings leave no width
    assert Line().framed(0.0, 1.0) == Line()
    with pytest.raises(InputError, match="expected a centre and a half, which a fit sets"):
        free.features(1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1,), "expected a degree from 2 to 10, but got 1"),
        ((11,), "expected a degree from 2 to 10, but got 11"),
        ((True,), "expected a degree from 2 to 10, but got True"),
        ((2.0,), "expected a degree from 2 to 10, but got 2.0"),
        ((2, 1.0), "expected centre and half together, but got 1.0 and None"),
        ((2, 1.0, 0.0), "expected a finite centre and a positive half, but got 1.0 and 0.0"),
        ((2, float("nan"), 1.0), "expected a finite centre"),
    ],
)
def test_a_polynomial_refuses_what_it_cannot_be(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Polynomial(*arguments)


def test_which_coefficients_are_fitted() -> None:
    assert [Line().free, Offset().free, Proportional().free] == [(0, 1), (0,), (1,)]
    assert Polynomial(3).free == (0, 1, 2, 3)


@pytest.mark.parametrize("curve", CURVES, ids=repr)
def test_a_record_is_plain_and_makes_the_same_curve(curve: Curve) -> None:
    record = curve.record()
    assert set(record) == {"class_path", "init_args"}
    assert all(isinstance(value, int | float | str | None) for value in record["init_args"].values())
    again = from_record(record, known=[Root])
    assert again == curve
    assert hash(again) == hash(curve)
    if not isinstance(curve, Root):
        assert record["class_path"] == f"thermofit_pl.curves.{type(curve).__name__}"
        assert (
            from_record(
                {"class_path": f"{type(curve).__module__}.{type(curve).__name__}"} | {"init_args": record["init_args"]}
            )
            == curve
        )


def test_curves_that_differ_are_not_equal() -> None:
    assert Polynomial(2) != Polynomial(3)
    assert Line() != Offset()
    assert Line() != "Line"
    assert repr(Polynomial(2, 1.0, 2.0)) == "Polynomial(degree=2, centre=1.0, half=2.0)"


def test_a_record_never_imports_another_module(tmp_path: Path) -> None:
    (tmp_path / "evilmod.py").write_text("open('ran', 'w')\nclass E: ...\nclass Line: ...\n")
    code = (
        "import sys; from thermofit_pl.curves.base import from_record; from thermofit_pl.errors import InputError\n"
        "for path in ('evilmod.E', 'evilmod.Line', 'thermofit_pl.curves.evilmod.E', 'thermofit_pl.curves.base.E',\n"
        "             'thermofit_pl.curves.os', 'builtins.eval', 'Line', '', 'thermofit_pl.curves.line.Curve'):\n"
        "    try: from_record({'class_path': path, 'init_args': {}})\n"
        "    except InputError as error: assert 'is never imported because a file names it' in str(error), error\n"
        "    else: raise SystemExit(f'{path} was taken')\n"
        "assert 'evilmod' not in sys.modules and 'torch' not in sys.modules and 'numpy' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (None, "expected a class_path and its init_args, but got None"),
        ({"init_args": {}}, "expected a class_path"),
        ({"class_path": 3}, "expected a class_path"),
        (
            {"class_path": "thermofit_pl.curves.Line", "init_args": {"degree": 2}},
            "expected arguments that .*Line takes",
        ),
        ({"class_path": "thermofit_pl.curves.Polynomial", "init_args": {"degree": 99}}, "a degree from 2 to 10"),
        ({"class_path": "thermofit_pl.curves.Polynomial", "init_args": [2]}, "expected arguments"),
        (Root().record(), "a class of your own is never imported because a file names it"),
    ],
)
def test_records_that_are_refused(record: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_record(record)


def test_every_shipped_curve_is_listed() -> None:
    package = Path(__file__).parents[2] / "thermofit_pl" / "curves"
    assert {path.stem for path in package.glob("*.py")} - {"__init__", "base", "thermistor"} == set(SHIPPED.values())


def test_a_curve_without_features_says_so() -> None:
    for method in ("features", "slopes"):
        with pytest.raises(NotImplementedError, match=f"Expected Curve to have a method `{method}`"):
            getattr(Curve(), method)(1.0)

"""The factor against NIST's certified sets, NumPy's least squares, and its own readings."""

from typing import Any

import numpy as np
import pytest
import torch
from factors import by_numpy, kept, weighted
from nist import Set, digits, sets
from numpy.typing import NDArray

from thermofit_pl.curves.base import Curve
from thermofit_pl.curves.polynomial import Polynomial
from thermofit_pl.curves.proportional import Proportional
from thermofit_pl.metrics.factor import hold, lower_degrees, solve, sound, spread_of, transform, whitening
from thermofit_pl.metrics.least_squares import least_squares
from thermofit_pl.metrics.modes import modes
from thermofit_pl.metrics.moments import Moments
from thermofit_pl.metrics.packing import unpack

FloatArray = NDArray[np.float64]

NIST = sets()


class Columns(Curve):
    """Columns of a table as features: an indication is the number of a row."""

    def __init__(self, columns: list[FloatArray]) -> None:
        self.columns = columns
        self.names = tuple(f"w{j + 1}" for j in range(len(columns)))

    def features(self, indication: Any) -> list[Any]:
        rows = np.asarray(indication, dtype=np.int64)
        return [column[rows] for column in self.columns]


def curve_of(of: Set) -> tuple[Curve, FloatArray]:
    """The curve of a set, and the indications."""
    if not of.intercept:
        return Proportional(), of.columns[0]
    if len(of.columns) == 6:  # Longley's are no powers
        return Columns(of.columns), np.arange(len(of.reference), dtype=np.float64)
    if len(of.columns) == 1:
        return Columns(of.columns), np.arange(len(of.reference), dtype=np.float64)
    x = of.columns[0]
    return Polynomial(len(of.columns)).framed(float(x.min()), float(x.max())), x


# coefficients, their standard deviations, s: in one block; Wampler's coefficients are 1 beside standard deviations of
# up to 2e7, and two of the sets have none; a coefficient of Norris is what is left of means of 429, rounded to 1e-13
DIGITS = {
    "Norris": (12.3, 13.5, 13.5),
    "Pontius": (12, 13.5, 13.5),
    "Filip": (13, 14, 14),
    "Longley": (13, 14, 14),
    "Wampler1": (9, 0, 0),
    "Wampler2": (12.5, 0, 0),
    "Wampler3": (9.5, 13.5, 13.5),
    "Wampler4": (9.5, 13.5, 13.5),
    "Wampler5": (8, 13.5, 13.5),
    "NoInt1": (14, 14, 14),
    "NoInt2": (14, 14, 14),
}


@pytest.mark.parametrize("blocks", ["one", "singles"])
@pytest.mark.parametrize("name", DIGITS)
def test_the_eleven_certified_sets(name: str, blocks: str) -> None:
    of = NIST[name]
    curve, x = curve_of(of)
    moments = Moments(curve=curve)
    moments.frame(x)
    moments.origin = (0.0,) * len(curve.names)  # what the factor itself keeps
    for cut in np.split(np.arange(len(x)), range(1, len(x))) if blocks == "singles" else [np.arange(len(x))]:
        moments.update(torch.from_numpy(x[cut]), torch.from_numpy(of.reference[cut]))
    fit = least_squares(moments)
    root = np.zeros((len(curve.names) + 1,) * 2)  # a square root of the covariance of b and w
    root[0, 0], root[1:, 1:] = fit.u_pivot.item(), fit.U[0].numpy()
    root[0, 1:] = -fit.pivot[0].numpy() @ root[1:, 1:]
    theta = np.concatenate([fit.b.numpy(), fit.w[0].numpy()])
    coefficients, root = curve.conventional(theta), curve.conventional(root.T).T
    deviations = np.sqrt((root**2).sum(axis=1))
    free = list(curve.free)
    fewer = 3.5 if blocks == "singles" else 0
    wanted = DIGITS[name]
    assert digits(coefficients[free], of.coefficients) >= wanted[0] - fewer
    if of.s:
        assert digits(deviations[free], of.deviations) >= wanted[1] - fewer
        assert digits([fit.s.item()], [of.s]) >= wanted[2] - fewer
    else:
        assert fit.s.item() < 1e-14 * np.abs(of.reference).max()


@pytest.mark.parametrize("p", [1, 3])
def test_the_covariance_is_the_inverse_of_the_normal_matrix(p: int) -> None:
    columns, y, weight = weighted(p)
    design = np.stack([np.ones(300), *columns])
    upper = spread_of(kept(columns, y, weight)[0, :-3]).numpy()
    expected = np.linalg.inv((design * weight) @ design.T)[1:, 1:]
    np.testing.assert_allclose(upper @ upper.T, expected, rtol=1e-10, atol=1e-16)
    np.testing.assert_array_equal(np.tril(upper, -1), 0)


@pytest.mark.parametrize("held", [{0: 0.7}, {3: 1.3}, {1: -0.2, 3: 1.3}, {0: 0.1, 2: 0.0}])
def test_a_coefficient_that_is_held_leaves_as_if_it_never_was(held: dict[int, float]) -> None:
    columns, y, weight = weighted(3)
    design = np.stack([np.ones(300), *columns])
    free = [j for j in range(4) if j not in held]
    found, left = by_numpy(design[free], y - sum(value * design[j] for j, value in held.items()), weight)
    packed = hold(kept(columns, y, weight)[:, :-3], held)
    np.testing.assert_allclose(solve(packed)[0], found, rtol=1e-12)
    assert packed[0, -1].item() == pytest.approx(left, rel=1e-12, abs=0)


def test_lower_degrees_stand_in_the_last_column() -> None:
    columns, y, weight = weighted(4)
    design = np.stack([np.ones(300), *columns])
    expected = [by_numpy(design[: k + 1], y, weight)[1] for k in range(5)]
    np.testing.assert_allclose(lower_degrees(kept(columns, y, weight)[0, :-3]), expected, rtol=1e-12)


def test_a_transformed_factor_is_that_of_transformed_features() -> None:
    columns, y, weight = weighted(3)
    random = np.random.default_rng(5)
    offset, scale = random.normal(size=3), np.triu(random.normal(size=(3, 3))) + 3 * np.eye(3)
    direct = kept(((columns.T - offset) @ scale).T.copy(), y, weight)[:, :-3]
    found = transform(kept(columns, y, weight)[:, :-3], torch.from_numpy(offset)[None], torch.from_numpy(scale)[None])
    torch.testing.assert_close(found, direct, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("p", [1, 2, 5])
def test_whitened_features_have_a_hessian_of_twice_the_identity(p: int) -> None:
    columns, y, weight = weighted(p)
    of = kept(columns, y, weight)
    _, r = unpack(of[:, :-3])
    white = transform(of[:, :-3], *whitening(of[:, :-3], of[:, -2], r[:, 0, 1:-1], range(p + 1)))
    values, _ = modes(white, of[:, -2], range(p + 1))
    torch.testing.assert_close(values, torch.full_like(values, 2.0), rtol=1e-13, atol=0)


@pytest.mark.parametrize("value", [0.1, 37.3, 1e6 / 3, 1e8 + 0.1, -273.15 / 7])
@pytest.mark.parametrize("n", [3, 1000, 30_000])
def test_equal_numbers_tell_no_slope_and_two_no_parabola(value: float, n: int) -> None:
    random = np.random.default_rng(3)
    y = random.normal(size=n)
    assert sound(kept(np.full((1, n), value), y, None)[0, :-3]).tolist() == [True, False]
    x = value + 1.7 * (np.arange(n) % 2)
    assert sound(kept(np.stack([x, x * x]), y, None)[0, :-3]).tolist() == [True, True, False]


@pytest.mark.parametrize("base", [1e6, 1e8, 1e10])
def test_a_spread_that_is_small_beside_the_mean_is_sound(base: float) -> None:
    x = base + np.random.default_rng(4).uniform(-50, 50, 1000)
    assert sound(kept(x[None], x / 2, None)[0, :-3]).tolist() == [True, True]

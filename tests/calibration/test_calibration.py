import dataclasses
import math
from collections.abc import Callable
from typing import Any

import GTC
import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from made import GUM_H3, NOTEBOOK, calibration
from numpy.typing import NDArray
from polars.testing import assert_frame_equal
from scipy import optimize

from thermofit_pl.calibration.calibration import Calibration
from thermofit_pl.errors import InputError
from thermofit_pl.results.fit import fit

SPREADS = st.floats(0, 10).filter(lambda u: u == 0 or u > 1e-6)


def plain(w: float, b: float, **changes: Any) -> Calibration:
    """A calibration with these numbers, whatever their origin."""
    return calibration(*NOTEBOOK, w=w, b=b, **changes)


def band(c: Calibration, reference: float, z: NDArray[np.float64] | float, *, single: bool) -> Any:
    """How far the band at the pivot + z holds the reference, below zero: outside. Written out, in squares."""
    assert c.u_pivot is not None
    assert c.u_w is not None
    assert c.s is not None
    assert c.coverage_factor is not None
    variance = c.u_pivot**2 + (c.u_w * z) ** 2 + (c.s**2 if single else 0.0)
    d = reference - (c.w * c.indication_mean + c.b)
    return c.coverage_factor * np.sqrt(variance) - np.abs(d - c.w * z)


def test_correct_gives_statsmodels_uncertainties() -> None:
    x, y = map(np.asarray, NOTEBOOK)
    fit = sm.OLS(y, sm.add_constant(x)).fit()
    new = np.array([21.8, 50.0, 68.0, 81.9])
    predicted = fit.get_prediction(sm.add_constant(new)).summary_frame(alpha=0.05)
    c = calibration(x, y)
    found = c.correct(new)
    assert c.coverage_factor is not None
    np.testing.assert_allclose(found.estimate, predicted["mean"], rtol=1e-12)
    np.testing.assert_allclose(found.u_line, predicted["mean_se"], rtol=1e-12)
    upper = found.estimate + c.coverage_factor * found.u_single
    np.testing.assert_allclose(upper, predicted["obs_ci_upper"], rtol=1e-12)


def test_correct_at_68_of_the_notebook() -> None:
    # shared reference: seed_answers.json, at_indication_68
    assert calibration(*NOTEBOOK).correct(68) == pytest.approx(
        (19.1957051187022, 0.810403357905863, 2.05790842314332, False), rel=1e-12
    )


def test_correct_gives_the_gums_uncertainties() -> None:
    c = calibration(*GUM_H3)
    with pytest.warns(UserWarning, match="outside"):
        at_30 = c.correct(30.0)
    # JCGM 100:2008, H.3.4: −0.1494 and 0.0041 at 30 °C; float64 by GTC
    assert at_30.estimate - 30 == pytest.approx(-0.14937681273, abs=2e-11)
    assert at_30.u_line == pytest.approx(0.00413859575, rel=1e-8)
    assert at_30.extrapolated is True


def test_correct_agrees_with_gtc() -> None:
    fit = GTC.type_a.line_fit(*NOTEBOOK)
    found = calibration(*NOTEBOOK).correct([30.0, 70.0])
    for i, x in enumerate((30.0, 70.0)):
        line = fit.intercept + fit.slope * x
        assert found.estimate[i] == pytest.approx(GTC.value(line), rel=1e-12)
        assert found.u_line[i] == pytest.approx(GTC.uncertainty(line), rel=1e-12)


def test_correct_takes_and_gives_scalars_and_arrays() -> None:
    c = calibration(*NOTEBOOK)
    assert [type(value) for value in c.correct(np.float64(60))] == [float, float, float, bool]
    for shape in ((0,), (3,), (2, 2)):
        found = c.correct(np.full(shape, 60))
        assert all(value.shape == shape for value in found)
        assert found.estimate.dtype == np.float64
    assert c.correct(pl.Series([60, 61])).estimate.tolist() == c.correct([60, 61]).estimate.tolist()
    missing = c.correct([60, float("nan")])
    assert math.isnan(missing.estimate[1])
    assert not missing.extrapolated[1]


def test_correct_outside_the_range_warns_or_refuses() -> None:
    c = calibration(*NOTEBOOK)
    assert not c.correct([21.8, 81.9]).extrapolated.any()
    with pytest.warns(
        UserWarning, match=r"2 of 3 indications lie outside the calibrated range, 21\.8 to 81\.9"
    ) as seen:
        found = c.correct([21.7, 50, 82])
    assert len(seen) == 1
    assert seen[0].filename == __file__
    assert found.extrapolated.tolist() == [True, False, True]
    with pytest.raises(InputError, match=r"The indication 100 lies outside the calibrated range, 21\.8 to 81\.9"):
        c.correct(100, extrapolate="error")
    assert c.correct(100, extrapolate="ignore").extrapolated is True
    with pytest.raises(InputError, match="Expected extrapolate to be 'warn', 'error' or 'ignore', but got 'never'"):
        c.correct(100, extrapolate="never")  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", ["50", ["50"], [True], [50, "x"], [[1], [2, 3]], 1j, object()])
def test_what_is_no_number_is_refused(wrong: Any) -> None:
    c = calibration(*NOTEBOOK)
    with pytest.raises(InputError, match="Expected numbers as indication, but got"):
        c.correct(wrong)
    with pytest.raises(InputError, match="Expected numbers as reference, but got"):
        c.invert(wrong)


def test_without_uncertainties_they_are_nan() -> None:
    c = plain(0.5, -17, u_w=None, u_b=None, cov_wb=None, u_pivot=None, s=None, coverage_factor=None)
    found = c.correct(50.0)
    assert found.estimate == 8
    assert math.isnan(found.u_line)
    assert math.isnan(found.u_single)
    inverse = c.invert([8.0, 9.0])
    assert inverse.indication.tolist() == [50, 52]
    assert inverse.line.kind.tolist() == inverse.single.kind.tolist() == ["unknown", "unknown"]
    assert np.isnan(inverse.line.lower).all()


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("data", [NOTEBOOK, GUM_H3])
def test_invert_is_where_the_band_meets_the_reference(data: Any, single: bool) -> None:
    c = calibration(*data)
    references = np.linspace(min(data[1]) - 5, max(data[1]) + 5, 7)
    found = c.invert(references)
    kind, lower, upper = found.single if single else found.line
    assert kind.tolist() == ["bounded"] * 7
    for i, y in enumerate(references.tolist()):
        best = found.indication[i] - c.indication_mean

        def inside(z: float, y: float = y) -> float:
            return float(band(c, y, z, single=single))

        for end, direction in ((lower[i], -1), (upper[i], 1)):
            root = optimize.brentq(inside, best, best + direction * 1e3, xtol=1e-12)
            assert end == pytest.approx(c.indication_mean + root, rel=1e-10)


def test_invert_agrees_with_gtc_where_the_slope_is_sharp() -> None:
    # GTC propagates to first order, which Fieller's set approaches as k·u_w/w does zero: here 2.3 · 0.00067 = 0.0015
    fit = GTC.type_a.line_fit(*GUM_H3)
    c = calibration(*GUM_H3)
    assert c.coverage_factor is not None
    x = (23.0 - fit.intercept) / fit.slope
    found = c.invert(23.0)
    assert found.indication == pytest.approx(GTC.value(x), rel=1e-13)
    half = (found.line.upper - found.line.lower) / 2
    assert half == pytest.approx(c.coverage_factor * GTC.uncertainty(x), rel=1e-4)


@given(
    w=st.floats(-3, 3),
    u_w=SPREADS,
    u_pivot=SPREADS,
    s=SPREADS,
    mean=st.floats(-1e3, 1e3),
    reference=st.floats(-1e3, 1e3),
    single=st.booleans(),
)
def test_invert_against_the_band_at_many_points(
    w: float, u_w: float, u_pivot: float, s: float, mean: float, reference: float, single: bool
) -> None:
    c = plain(w, -w * mean, u_w=u_w, u_pivot=u_pivot, s=s, indication_mean=mean)
    found = c.invert(reference)
    kind, lower, upper = found.single if single else found.line
    z = np.concatenate([[0.0], np.geomspace(1e-3, 1e6, 200)])
    z = np.concatenate([-z, z])
    holds = band(c, reference, z, single=single)
    sure = np.abs(holds) > 1e-6 * (abs(reference) + 10 + np.abs(z))
    ends = [abs(end - mean) for end in (lower, upper) if math.isfinite(end)]
    away = np.all([np.abs(np.abs(z) - end) > 1e-6 * (1 + end + abs(mean)) for end in ends], axis=0)
    expected = {
        "bounded": (z + mean >= lower) & (z + mean <= upper),
        "two rays": (z + mean <= lower) | (z + mean >= upper),
        "everything": np.full(z.shape, True),
        "nothing": np.full(z.shape, False),
    }[kind]
    keep = sure & away
    np.testing.assert_array_equal(expected[keep], (holds >= 0)[keep])


@pytest.mark.parametrize(
    ("w", "u_w", "u_level", "reference", "kind", "lower", "upper"),
    [
        (2.0, 0.0, 0.0, 6.0, "bounded", 3.0, 3.0),
        (2.0, 0.0, 0.0, 0.0, "bounded", 0.0, 0.0),
        (0.0, 0.0, 1.0, 1.5, "everything", -math.inf, math.inf),
        (0.0, 0.0, 1.0, 2.5, "nothing", math.nan, math.nan),
        (0.0, 1.0, 1.0, 4.0, "two rays", -math.sqrt(3), math.sqrt(3)),
        (0.0, 1.0, 1.0, 1.9, "everything", -math.inf, math.inf),
        (2.0, 1.0, 1.0, 4.0, "two rays", -math.inf, 0.75),
        (2.0, 1.0, 1.0, -4.0, "two rays", -0.75, math.inf),
        (2.0, 1.0, 1.0, 0.0, "everything", -math.inf, math.inf),
        (2.0, 1.5, 0.0, 0.0, "everything", -math.inf, math.inf),
        (2.0, 0.5, 0.0, math.inf, "unknown", math.nan, math.nan),
        (2.0, 0.5, 0.0, math.nan, "unknown", math.nan, math.nan),
    ],
)
def test_invert_at_the_edges(
    w: float, u_w: float, u_level: float, reference: float, kind: str, lower: float, upper: float
) -> None:
    # k = 2, pivot at 0; the ends from 4·(u_level² + u_w²z²) = (reference − w·z)² by hand
    c = plain(w, 0.0, u_w=u_w, u_pivot=u_level, s=0.0, indication_mean=0.0, coverage_factor=2.0)
    found = c.invert(reference)
    assert found.line == found.single or kind in ("nothing", "unknown")
    assert found.line.kind == kind
    assert (found.line.lower, found.line.upper) == pytest.approx((lower, upper), rel=1e-14, nan_ok=True)
    assert math.isnan(found.indication) == (w == 0 or not math.isfinite(reference))


def test_invert_keeps_its_digits_far_from_zero() -> None:
    near = plain(0.5, 0.0, u_w=0.01, u_pivot=1e-4, s=1e-3, indication_mean=0.0)
    far = plain(0.5, -0.5e6, u_w=0.01, u_pivot=1e-4, s=1e-3, indication_mean=1e6)
    for single in (1, 2):
        a, b = near.invert(0.25)[single], far.invert(0.25)[single]
        # an ulp of 1e6 is 1.2e-10; the quadratic at zero would leave 1e-4
        assert (b.lower - 1e6, b.upper - 1e6) == pytest.approx((a.lower, a.upper), abs=3e-10)


@pytest.mark.parametrize("unit", [1e-160, 1e160])
def test_invert_neither_overflows_nor_underflows(unit: float) -> None:
    small = plain(2.0, 0.0, u_w=0.1, u_pivot=0.3, s=0.2, indication_mean=0.0).invert(1.0).single
    c = plain(2.0 * unit, 0.0, u_w=0.1 * unit, u_pivot=0.3 * unit, s=0.2 * unit, indication_mean=0.0)
    found = c.invert(1.0 * unit).single
    assert (found.lower, found.upper) == pytest.approx((small.lower, small.upper), rel=1e-13)


def test_invert_undoes_correct() -> None:
    c = calibration(*NOTEBOOK)
    x = np.linspace(22, 80, 50)
    np.testing.assert_allclose(c.invert(c.correct(x).estimate).indication, x, rtol=1e-13)


def test_polars_expressions_are_correct() -> None:
    c = calibration(*NOTEBOOK)
    x = [21.0, 21.8, 50.0, 81.9, 1e4]
    frame = pl.DataFrame({"x": x}).select(**c.polars_expressions("x"))
    assert_frame_equal(frame, pl.DataFrame(c.correct(x, "ignore")._asdict()), rel_tol=1e-14)


def test_polars_expressions_leave_out_what_is_unknown() -> None:
    frame = pl.DataFrame({"x": [None, 50.0]})
    known = frame.select(**calibration(*NOTEBOOK).polars_expressions(pl.col("x")))
    assert [known[name].null_count() for name in known.columns] == [1, 1, 1, 1]
    bare = plain(0.5, 1, u_w=None, u_b=None, cov_wb=None, u_pivot=None, s=None)
    found = frame.select(**bare.polars_expressions("x"))
    assert found.row(1) == (26.0, None, None, False)
    assert found.schema["u_line"] == pl.Float64


def test_a_calibration_does_not_change() -> None:
    c = calibration(*NOTEBOOK)
    change: Callable[..., None] = setattr
    for name in dataclasses.asdict(c):
        with pytest.raises(dataclasses.FrozenInstanceError):
            change(c, name, 1)
    assert hash(c) == hash(calibration(*NOTEBOOK))


def test_what_is_masked_has_no_estimate() -> None:
    x, y = [35.7, 55.9, 58.2, 81.9], [0.5, 14.0, 15.0, 28.0]
    masked = np.ma.array([40.0, 50.0], mask=[True, False])
    for found in (fit(x, y).correct(masked), fit(x, y, ["a"] * 4).correct(masked, "a")):
        assert np.isnan(found.estimate).tolist() == [True, False]
        assert not np.isnan(found.u_single[1])
    assert np.isnan(fit(x, y).invert(np.ma.array([1.0], mask=[True])).indication).all()

"""Calibrations of every curve: certified answers, statsmodels, files, corrections, inverses."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
import torch
from nist import Set, digits, sets
from polars.testing import assert_frame_equal
from scipy import stats

from thermofit_pl import Calibration, Calibrations, InputError, fit
from thermofit_pl.calibration.calibrations import load
from thermofit_pl.calibration.file import to_text
from thermofit_pl.curves.base import Curve
from thermofit_pl.curves.line import Line
from thermofit_pl.curves.offset import Offset
from thermofit_pl.curves.polynomial import Polynomial
from thermofit_pl.curves.proportional import Proportional
from thermofit_pl.functional.conventional import conventional
from thermofit_pl.metrics.least_squares import least_squares
from thermofit_pl.metrics.moments import Moments

NIST = sets()
RNG = np.random.default_rng(11)
X = np.linspace(10.0, 90.0, 60)
Y = 2.0 + 0.9 * X + 1e-3 * X**2 + RNG.normal(0, 0.2, X.size)


class Root(Curve):
    """A curve of the user's own: b + w · √indication."""

    names = ("w",)

    def features(self, indication: Any) -> list[Any]:
        return [indication**0.5]

    def slopes(self, indication: Any) -> list[Any]:
        return [0.5 * indication**-0.5]


CURVES: list[tuple[Curve, list[int]]] = [
    (Line(), [0, 1]),
    (Offset(), [0]),
    (Proportional(), [1]),
    (Polynomial(2), [0, 1, 2]),
    (Polynomial(5), [0, 1, 2, 3, 4, 5]),
]
IDS = [repr(curve) for curve, _ in CURVES]


def curve_of(found: Set) -> Curve:
    if not found.intercept:
        return Proportional()
    return Line() if len(found.columns) == 1 else Polynomial(len(found.columns))


# digits of coefficients, of their standard deviations and of s; Longley's six columns are no features of one indication
CERTIFIED = {
    "Norris": (13, 13, 13),
    "Pontius": (12, 13, 13),
    "Filip": (12, 13, 13),
    "Wampler1": (9, 0, 0),
    "Wampler2": (12, 0, 0),
    "Wampler3": (9, 13, 13),
    "Wampler4": (9, 13, 13),
    "Wampler5": (8, 13, 13),
    "NoInt1": (14, 14, 14),
    "NoInt2": (14, 14, 14),
}


@pytest.mark.filterwarnings("ignore:The curve turns")  # Filip's does
@pytest.mark.parametrize("name", CERTIFIED)
def test_nists_sets(name: str) -> None:
    found = NIST[name]
    c = fit(found.columns[0], found.reference, curve=curve_of(found), unit="unit")
    quoted, kept = c.coefficients, [1] if not found.intercept else list(range(len(found.coefficients)))
    least, least_u, least_s = CERTIFIED[name]
    assert digits(np.array(quoted.values)[kept], found.coefficients) >= least
    assert quoted.u is not None
    assert quoted.covariance is not None
    assert c.s is not None
    np.testing.assert_allclose(np.sqrt(np.diag(quoted.covariance)), quoted.u, rtol=1e-13)
    if not found.s:
        assert (c.s, set(quoted.u)) == (0.0, {0.0})
        return
    assert digits([c.s], [found.s]) >= least_s
    # Norris and Pontius repeat their readings, from which a calibration takes more than independent readings tell
    moments = Moments(1, curve_of(found))
    moments.update(torch.from_numpy(found.columns[0]), torch.from_numpy(found.reference))
    own = least_squares(moments)
    parts = (part.numpy() for part in (own.b, own.w, own.pivot, own.u_pivot, own.U))
    _, u, _ = conventional(moments.curve, *parts)
    assert digits(u[0, kept], found.deviations) >= least_u
    if c.source == "independent readings":
        assert digits(np.array(quoted.u)[kept], found.deviations) >= least_u
    else:
        assert name in ("Norris", "Pontius")
        np.testing.assert_array_less(u[0] * stats.t.ppf(0.975, c.dof), np.array(quoted.u) * c.coverage_factor * 1.0001)


@pytest.mark.parametrize(("curve", "kept"), CURVES, ids=IDS)
def test_uncertainties_are_statsmodels(curve: Curve, kept: list[int]) -> None:
    x = (X - 50) / 40 if len(kept) > 3 else X  # powers of 90 to the fifth leave statsmodels few digits
    design = np.stack([x**j for j in kept], axis=-1)
    held = X if isinstance(curve, Offset) else 0.0
    model = sm.OLS(Y - held, design).fit(method="qr")
    c = fit(x, Y, curve=curve)
    assert (c.n, c.dof) == (60, 60 - len(kept))
    quoted = c.coefficients
    assert quoted.covariance is not None
    assert quoted.intervals is not None
    rel = 1e-9
    values, covariance = np.array(quoted.values)[kept], np.array(quoted.covariance)[np.ix_(kept, kept)]
    np.testing.assert_allclose(values, model.params, rtol=rel)
    np.testing.assert_allclose(covariance, model.cov_params(), rtol=rel, atol=1e-15)
    np.testing.assert_allclose(np.array(quoted.intervals)[kept], model.conf_int(), rtol=rel)
    new = x[[0, 17, -1]]
    predicted = model.get_prediction(np.stack([new**j for j in kept], axis=-1)).summary_frame()
    found = c.correct(new)
    held = new if isinstance(curve, Offset) else 0.0
    np.testing.assert_allclose(found.estimate, predicted["mean"] + held, rtol=1e-9)
    np.testing.assert_allclose(found.u_line, predicted["mean_se"], rtol=rel)
    half = (predicted["obs_ci_upper"] - predicted["obs_ci_lower"]) / 2
    np.testing.assert_allclose(c.coverage_factor * found.u_single, half, rtol=rel)


def test_a_held_coefficient_has_its_value_and_no_uncertainty() -> None:
    offset, gain = fit(X, Y, curve=Offset()), fit(X, Y, curve=Proportional())
    assert (offset.w, offset.u_w, offset.cov_wb, offset.w_interval) == (1.0, 0.0, 0.0, (1.0, 1.0))
    assert offset.b == pytest.approx(np.mean(Y - X), rel=1e-13)
    assert offset.u_b == pytest.approx(np.std(Y - X, ddof=1) / 60**0.5, rel=1e-12)
    assert offset.quantities.startswith("b = ")
    assert "w" not in offset.quantities
    assert (gain.b, gain.u_b, gain.cov_wb) == (0.0, 0.0, 0.0)
    assert gain.w == pytest.approx((X @ Y) / (X @ X), rel=1e-13)
    assert gain.equation == f"reference = {gain.w:.6g} · indication °C"


def test_one_reading_gives_an_offset_without_uncertainty() -> None:
    c = fit([20.0], [20.5], curve=Offset())
    assert (c.b, c.dof, c.u_b, c.coverage_factor) == (0.5, 0, None, None)
    assert c.correct(20.0).estimate == 20.5
    with pytest.raises(InputError, match="at least three readings, as a polynomial of degree 2 needs, but got 2"):
        fit([1.0, 2.0], [1.0, 2.0], curve=Polynomial(2))
    with pytest.raises(InputError, match="can't tell w2"):
        fit([1.0, 2.0, 1.0, 2.0], [1.0, 2.0, 1.1, 2.1], curve=Polynomial(2))
    with pytest.raises(TypeError, match="an instance of a curve"):
        fit(X, Y, curve=Polynomial)  # type: ignore[call-overload]


@pytest.mark.parametrize("curve", [curve for curve, _ in CURVES] + [Root()], ids=[*IDS, "Root()"])
def test_files_keep_every_curve(curve: Curve, tmp_path: Path) -> None:
    own = (Root,)
    c = fit(X, Y, curve=curve)
    c.save(tmp_path / "c.json")
    loaded = Calibration.load(tmp_path / "c.json", curves=own)
    assert loaded == c
    assert loaded.correct(40.0) == c.correct(40.0)
    names = np.repeat(["a", "b", "c"], 60)
    fleet = fit(np.tile(X, 3), np.concatenate([Y, Y + 1, 2 * Y]), names, curve=curve)
    fleet.save(tmp_path / "c.parquet")
    again = load(tmp_path / "c.parquet", curves=own)
    assert isinstance(again, Calibrations)
    assert_frame_equal(again.frame, fleet.frame)
    assert again.curve == fleet.curve
    one, row = again["a"], dataclasses.replace(c, created=again["a"].created, data_sha256=again["a"].data_sha256)
    assert one.coefficients.values == pytest.approx(row.coefficients.values, rel=1e-11)
    at = np.array([15.0, 60.0, 88.0])
    each = fleet.correct(at, ["a", "b", "c"])
    np.testing.assert_allclose(each.estimate[0], c.correct(15.0).estimate, rtol=1e-13)
    np.testing.assert_allclose(each.u_single, [fleet[i].correct(x).u_single for i, x in zip("abc", at, strict=True)])


def test_a_polynomials_file_has_what_people_quote_and_what_correcting_needs() -> None:
    kept = json.loads(to_text(fit(X, Y, curve=Polynomial(2))))
    assert kept["format"] == "thermofit_pl calibration 2"
    assert kept["curve"] == {
        "class_path": "thermofit_pl.curves.Polynomial",
        "init_args": {"degree": 2, "centre": 50.0, "half": 40.0},
    }
    assert {"b", "u_w", "u_b", "cov_wb", "w_interval", "indication_mean"}.isdisjoint(kept)
    assert kept["conventional"]["names"] == ["c0", "c1", "c2"]
    assert [len(kept[name]) for name in ("w", "pivot", "U")] == [2, 2, 2]
    # by hand: the estimate at 20 from the powers, and its variance from their covariance
    powers = np.array([1.0, 20.0, 400.0])
    c = fit(X, Y, curve=Polynomial(2))
    found = c.correct(20.0)
    assert found.estimate == pytest.approx(powers @ np.array(kept["conventional"]["values"]), rel=1e-12)
    variance = powers @ np.array(kept["conventional"]["covariance"]) @ powers
    assert found.u_line**2 == pytest.approx(variance, rel=1e-9)


def altered(tmp_path: Path, change: Any, calibration: Calibration | None = None) -> Path:
    """A file with another content and the checksum that goes with it."""
    import hashlib

    kept = json.loads(to_text(calibration or fit(X, Y, curve=Polynomial(2))))
    del kept["checksum"]
    change(kept)
    counted = {
        key: value for key, value in kept.items() if (key, value) not in (("unit", "°C"), ("indication_unit", None))
    }
    plain = json.dumps(counted, sort_keys=True, separators=(",", ":"))
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(kept | {"checksum": hashlib.sha256(plain.encode()).hexdigest()}))
    return path


HOSTILE = [
    ({"class_path": "os.system", "init_args": {"command": "touch evil"}}, "its curve isn't one of Line"),
    ({"class_path": "evilmod.E", "init_args": {}}, "never imported because a file names it"),
    ({"class_path": "thermofit_pl.curves.polynomial.import_module", "init_args": {}}, "its curve isn't one of"),
    ({"class_path": "thermofit_pl.curves.Polynomial", "init_args": {"degree": 2}}, "a centre and a half"),
    ({"class_path": "thermofit_pl.curves.Polynomial", "init_args": {"degree": 10**9}}, "degree from 2 to 10"),
    ({"class_path": "thermofit_pl.curves.Polynomial", "init_args": [1]}, "its curve isn't arguments that"),
    (
        {"class_path": "thermofit_pl.curves.Polynomial", "init_args": {"degree": 2, "centre": "a", "half": 1}},
        "arguments",
    ),
    ({"class_path": "thermofit_pl.curves.Polynomial", "init_args": {"bell\x07": 1}}, "its curve isn't arguments that"),
    ("Polynomial", "its curve isn't a class_path"),
    (None, "its curve isn't a class_path"),
    ({"class_path": "thermofit_pl.curves.Line", "init_args": {}}, "the key b is missing"),
    (
        {"class_path": "thermofit_pl.curves.Polynomial", "init_args": {"degree": 3, "centre": 50.0, "half": 40.0}},
        "not a list of 3",
    ),
]


@pytest.mark.parametrize(("record", "sentence"), HOSTILE)
def test_a_file_names_no_class_to_import(record: Any, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "evilmod.py").write_text("raise SystemExit('imported')")
    path = altered(tmp_path, lambda kept: kept.update(curve=record))
    with pytest.raises(InputError, match=rf"Expected a calibration in .*calibration\.json, but .*{sentence}") as caught:
        Calibration.load(path)
    assert str(caught.value).isprintable()


def test_a_class_of_ones_own_must_be_given(tmp_path: Path) -> None:
    fit(X, Y, curve=Root()).save(tmp_path / "c.json")
    with pytest.raises(InputError, match="a class of your own is never imported because a file names it"):
        Calibration.load(tmp_path / "c.json")
    fit(X, Y, ["a"] * 60, curve=Root()).save(tmp_path / "c.parquet")
    with pytest.raises(InputError, match="never imported because a file names it"):
        load(tmp_path / "c.parquet")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda kept: kept.update(w=[1.0]), r"w is \[1\.0\], not a list of 2"),
        (lambda kept: kept["U"][1].__setitem__(0, 1.0), "U isn't upper triangular"),
        (lambda kept: kept.update(U=None), "some of U, u_pivot, .* are null and some aren't"),
        (lambda kept: kept.update(level=kept["level"] + 1), r"conventional\.values don't go with level, w and pivot"),
        (lambda kept: kept["conventional"]["u"].__setitem__(1, 1.0), r"conventional\.u doesn't go with u_pivot, U"),
        (
            lambda kept: kept["conventional"]["covariance"][0].__setitem__(2, 1.0),
            r"covariance doesn't go with u_pivot, U",
        ),
        (lambda kept: kept.update(n=2, dof=0), "n is 2, fewer than 3 readings"),
        (lambda kept: kept.update(dof=58), "dof is 58, which doesn't go with n = 60"),
        (lambda kept: kept.update(b=1.0), "the key b is unknown"),
        (lambda kept: kept["conventional"].pop("names"), r"the key conventional\.names is missing"),
    ],
)
def test_what_no_fit_gives_is_refused(change: Any, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=sentence):
        Calibration.load(altered(tmp_path, change))


def test_the_inverse_of_a_polynomial_is_its_bands() -> None:
    c = fit(X, Y, curve=Polynomial(2))
    references = np.array([15.0, 40.0, 60.0])
    found = c.invert(references)
    np.testing.assert_allclose(c.correct(found.indication).estimate, references, rtol=1e-13)
    for sets_, name in ((found.line, "u_line"), (found.single, "u_single")):
        assert sets_.kind.tolist() == ["bounded"] * 3
        for end in (sets_.lower, sets_.upper):
            there = c.correct(end)
            half = np.abs(there.estimate - references)
            np.testing.assert_allclose(half, c.coverage_factor * getattr(there, name), rtol=1e-10)
    alone = c.invert(40.0)
    assert alone.indication == found.indication[1]
    assert alone.line.kind == "bounded"
    fleet = fit(np.tile(X, 2), np.concatenate([Y, Y + 5]), np.repeat(["a", "b"], 60), curve=Polynomial(2))
    many = fleet.invert([40.0, 45.0, 60.0], ["a", "b", "a"])
    assert many.indication == pytest.approx([alone.indication, alone.indication, found.indication[2]], rel=1e-12)
    assert many.single.upper == pytest.approx([alone.single.upper, alone.single.upper, found.single.upper[2]], rel=1e-9)
    assert np.isnan(c.invert(1e4).indication)


def test_a_curve_that_turns_corrects_but_is_not_inverted() -> None:
    y = 0.01 * (X - 50) ** 2 + RNG.normal(0, 0.05, X.size)
    with pytest.warns(UserWarning, match=r"turns near 50.*correct.* works.*invert.* doesn't") as warned:
        c = fit(X, y, curve=Polynomial(2))
    assert len(warned) == 1
    assert c.correct(50.0).estimate == pytest.approx(0.0, abs=0.1)
    with pytest.raises(InputError, match="invert: expected a curve that rises or falls over the calibrated range"):
        c.invert(5.0)


def test_polars_corrects_as_numpy_does() -> None:
    for curve, _ in CURVES:
        c = fit(X, Y, curve=curve)
        at = [5.0, 10.0, 47.1, 90.0, 200.0]
        frame = pl.DataFrame({"x": at}).select(**c.polars_expressions("x"))
        assert_frame_equal(frame, pl.DataFrame(c.correct(at, "ignore")._asdict()), rel_tol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["line", "reading", "coefficient"])
@pytest.mark.parametrize(("curve", "kept"), CURVES, ids=IDS)
def test_simulated_coverage(curve: Curve, kept: list[int], kind: str) -> None:
    # 4000 instruments of 12 readings: a share of 0.95 has a standard deviation of 0.0034, of which five are allowed
    rng, instruments, n = np.random.default_rng(5), 4000, 12
    x = np.linspace(10.0, 90.0, n)
    truth = {0: 2.0, 1: 0.9, 2: 2e-3, 3: -2e-5, 4: 1e-7, 5: 1e-9}
    truth = {j: (truth[j] if j in kept else 0.0) for j in range(6)} | ({1: 1.0} if isinstance(curve, Offset) else {})
    level = sum(truth[j] * x**j for j in range(6))
    y = level + rng.normal(0, 0.5, (instruments, n))
    names = np.repeat(np.arange(instruments).astype(str), n)
    fleet = fit(np.tile(x, instruments), y.ravel(), names, curve=curve)
    at = 72.0
    exact = sum(truth[j] * at**j for j in range(6))
    k = stats.t.ppf(0.975, n - len(kept))
    if kind == "coefficient":
        j = kept[-1]
        if "conventional" in fleet.frame.columns:
            ends = fleet.frame["conventional"].struct.field("intervals").to_numpy()[:, j]
        else:
            ends = fleet.frame["b_interval" if j == 0 else "w_interval"].to_numpy()
        inside = (ends[:, 0] <= truth[j]) & (truth[j] <= ends[:, 1])
    else:
        found = fleet.correct(np.full(instruments, at), fleet.instruments, "error")
        shown = exact if kind == "line" else exact + rng.normal(0, 0.5, instruments)
        inside = np.abs(found.estimate - shown) <= k * (found.u_line if kind == "line" else found.u_single)
    assert inside.mean() == pytest.approx(0.95, abs=0.017)


def test_curves_show_themselves() -> None:
    c = fit(X, Y, curve=Polynomial(2))
    assert re.match(r"reference = [\d.]+ \+ 0\.\d+ · indication \+ 0\.00\d+ · indication² °C\n", str(c))
    assert "c2 = 0.00" in repr(c)
    fleet = fit(np.tile(X, 2), np.concatenate([Y, Y + 5]), np.repeat(["a", "b"], 60), curve=Polynomial(2))
    assert "c1 0.8" in str(fleet)

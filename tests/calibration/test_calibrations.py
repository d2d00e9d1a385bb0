"""A fleet against each of its instruments alone, with planted faults."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from numpy.typing import NDArray

import thermofit_pl
from thermofit_pl.__main__ import main
from thermofit_pl.calibration.calibration import Calibration
from thermofit_pl.calibration.calibrations import Calibrations, load
from thermofit_pl.errors import InputError
from thermofit_pl.reports.fleet_summary import OUTLYING, fleet_summary, outlier_p

Columns = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.str_]]
NAMES = [f"sensor-{index}" for index in range(12)]


def made(seed: int = 0) -> Columns:
    """Twelve instruments with unequal numbers of readings, in a random order; sensor-11 is off by 5 °C."""
    random = np.random.default_rng(seed)
    n = random.integers(20, 200, len(NAMES))
    code = random.permutation(np.repeat(np.arange(len(NAMES)), n))
    w, b = random.normal(0.5, 0.01, len(NAMES)), random.normal(-17, 0.1, len(NAMES))
    b[11] += 5
    x = random.uniform(0, 100, len(code))
    return x, w[code] * x + b[code] + random.normal(0, 0.2, len(code)), np.array(NAMES)[code]


FAULTS: Columns = (
    np.array([1.0, 5, 5, 1, 2, 3, 4, 1, 2, 1, 2, 3, 4, 5]),
    np.array([1.0, 2, 3, 7, 7, 7, 7, 1, 2, 1, -1, 1, -1, 1]),
    np.array(["one"] * 1 + ["stuck"] * 2 + ["flat"] * 4 + ["two"] * 2 + ["noise"] * 5),
)


@pytest.fixture(scope="module")
def fleet() -> Calibrations:
    return thermofit_pl.fit(*made())


@pytest.mark.parametrize("name", NAMES)
def test_an_instrument_is_as_if_it_had_been_alone(fleet: Calibrations, name: str) -> None:
    x, y, names = made()
    alone, found = thermofit_pl.fit(x[names == name], y[names == name]), fleet[name]
    for key, digits in (("w", 1e-12), ("b", 1e-12), ("u_w", 1e-10), ("u_b", 1e-10), ("u_pivot", 1e-10), ("s", 1e-10)):
        assert getattr(found, key) == pytest.approx(getattr(alone, key), rel=digits, abs=0)
    assert (found.n, found.dof) == (alone.n, alone.dof)
    assert found.coverage_factor == pytest.approx(alone.coverage_factor, rel=1e-13, abs=0)
    assert found.indication_range == alone.indication_range
    assert found.scale is not None
    assert alone.scale is not None
    assert (found.scale.nearest, found.scale.agreeing) == (alone.scale.nearest, alone.scale.agreeing)
    assert found.diagnostics.shape is not None
    assert alone.diagnostics.shape is not None
    assert found.diagnostics.shape.p == pytest.approx(alone.diagnostics.shape.p, rel=1e-6)
    assert found.diagnostics.largest_error is not None
    assert alone.diagnostics.largest_error is not None
    assert found.diagnostics.largest_error.indication == alone.diagnostics.largest_error.indication


def test_a_line_and_its_uncertainties_are_statsmodels(fleet: Calibrations) -> None:
    x, y, names = made()
    at = names == "sensor-3"
    ols = sm.OLS(y[at], sm.add_constant(x[at])).fit()
    found = fleet["sensor-3"]
    np.testing.assert_allclose(np.array([found.b, found.w]), ols.params, rtol=1e-11)
    np.testing.assert_allclose(np.array([found.u_b, found.u_w], dtype=float), ols.bse, rtol=1e-10)


def test_an_instrument_without_a_line_stays_and_says_why() -> None:
    x, y, names = (np.concatenate(columns) for columns in zip(made(), FAULTS, strict=True))
    fleet = thermofit_pl.fit(x, y, names)
    status = dict(zip(fleet.instruments, fleet.frame["status"], strict=True))
    assert status["one"] == "fewer than two readings"
    assert status["stuck"] == "equal indications"
    assert status["flat"] == "equal references"
    assert status["two"] == "two readings: no uncertainty"
    assert status["noise"] == "slope not significant"
    assert {status[name] for name in NAMES} == {"ok"}
    row = {row["instrument"]: row for row in fleet.frame.iter_rows(named=True)}
    for name in ("one", "stuck"):
        assert [row[name][key] for key in ("w", "b", "u_w", "s", "rmse", "scale", "sgd")] == [None] * 7
        with pytest.raises(InputError, match=f"Expected a calibrated instrument, but {name} has {status[name]}"):
            fleet[name]
    assert row["noise"]["u_w"] > 0
    assert fleet["two"].u_w is None
    text = fleet_summary(fleet)
    assert "12 of 17 instruments are fine" in text
    assert "1 with no line: equal indications (stuck)." in text


def test_the_outlier_is_found(fleet: Calibrations) -> None:
    p = dict(zip(fleet.instruments, outlier_p(fleet.frame), strict=True))
    assert min(p, key=lambda name: p[name]) == "sensor-11"
    assert (
        "1 of 12 instruments is an outlier of the fleet (p-values corrected for their number): sensor-11"
        in fleet_summary(fleet)
    )
    assert "sensor-11 (p" in fleet_summary(fleet)


def test_a_normal_fleet_has_no_outliers() -> None:
    random = np.random.default_rng(1)
    n, instruments = 30, 4000
    names = np.repeat(np.arange(instruments), n)
    w, b = random.normal(0.5, 0.02, instruments), random.normal(-17, 0.5, instruments)
    x = random.uniform(0, 100, n * instruments)
    fleet = thermofit_pl.fit(x, w[names] * x + b[names] + random.normal(0, 0.3, len(x)), names)
    assert outlier_p(fleet.frame).min() > OUTLYING
    assert "No instrument is an outlier of the fleet" in fleet_summary(fleet)


def test_one_line_for_all_is_tested() -> None:
    random = np.random.default_rng(2)
    x, names = random.uniform(0, 100, 3000), np.repeat(np.arange(30), 100)
    same = thermofit_pl.fit(x, 0.5 * x - 17 + random.normal(0, 0.3, 3000), names)
    assert same.provenance["common"]["p"] > 0.01
    assert "One common line would do for all" in fleet_summary(same)
    other = thermofit_pl.fit(x, 0.5 * x - 17 + 0.1 * names + random.normal(0, 0.3, 3000), names)
    assert "would not do for all" in fleet_summary(other)
    # independent: the F test of nested models by statsmodels
    groups = np.eye(30)[names]
    y = 0.5 * x - 17 + random.normal(0, 0.3, 3000)
    full = sm.OLS(y, np.hstack([groups, groups * x[:, None]])).fit()
    nested = sm.OLS(y, sm.add_constant(x)).fit()
    p = full.compare_f_test(nested)[1]
    assert thermofit_pl.fit(x, y, names).provenance["common"]["p"] == pytest.approx(p, rel=1e-8)


def test_correct_takes_each_readings_own_line(fleet: Calibrations) -> None:
    x, names = np.array([10.0, 50.0, 90.0, 20.0]), ["sensor-3", "sensor-7", "sensor-3", "nobody"]
    found = fleet.correct(x, names, extrapolate="ignore")
    for index, name in enumerate(names[:3]):
        alone = fleet[name].correct(x[index], "ignore")
        assert found.estimate[index] == pytest.approx(alone.estimate, rel=1e-14)
        assert found.u_single[index] == pytest.approx(alone.u_single, rel=1e-12)
    assert np.isnan([found.estimate[3], found.u_line[3], found.u_single[3]]).all()
    with pytest.warns(UserWarning, match="1 of 2 indications lie outside"):
        fleet.correct([50.0, 1000.0], "sensor-1")
    with pytest.raises(InputError, match="outside the calibrated range"):
        fleet.correct(1000.0, "sensor-1", extrapolate="error")


def test_invert_is_each_instruments(fleet: Calibrations) -> None:
    found = fleet.invert([0.0, 10.0], ["sensor-2", "sensor-5"])
    alone = fleet["sensor-5"].invert(10.0)
    assert found.indication[1] == pytest.approx(alone.indication)
    assert (found.single.lower[1], found.single.upper[1]) == (alone.single.lower, alone.single.upper)


def test_invert_is_each_instruments_whatever_its_set() -> None:
    x, y, names = (np.concatenate(columns) for columns in zip(made(), FAULTS, strict=True))
    fleet = thermofit_pl.fit(x, y, names)
    lined = [name for name in fleet if fleet.has_line(name)]
    instruments = np.repeat(lined, 3)
    references = np.tile([-20.0, 7.0, np.nan], len(lined))
    found = fleet.invert(references, instruments)
    kinds = set()
    for index, (name, reference) in enumerate(zip(instruments, references, strict=True)):
        alone = fleet[name].invert(reference)
        np.testing.assert_array_equal(found.indication[index], alone.indication)
        for mine, own in ((found.line, alone.line), (found.single, alone.single)):
            assert mine.kind[index] == own.kind
            np.testing.assert_allclose([mine.lower[index], mine.upper[index]], own[1:], rtol=1e-14)
            kinds.add(own.kind)
    assert kinds == {"bounded", "two rays", "everything", "nothing", "unknown"}
    with pytest.raises(InputError, match="Expected a calibrated instrument, but stuck has equal indications"):
        fleet.invert(0.0, ["sensor-1", "stuck"])
    with pytest.raises(InputError, match="Expected one of 17 instruments, but got nobody"):
        fleet.invert([0.0, 1.0], "nobody")


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda c, *of: c.correct(50.0, *of, extrapolate="eror"), "'warn', 'error' or 'ignore', but got 'eror'"),
        (lambda c, *of: c.correct(["warm"], *of), "Expected numbers as indication, but got text"),
        (lambda c, *of: c.correct("50", *of), "Expected numbers as indication, but got text"),
        (lambda c, *of: c.invert(["warm"], *of), "Expected numbers as reference, but got text"),
        (lambda c, *of: c.correct(1e4, *of, extrapolate="error"), "The indication 10000 lies outside the calibrated"),
    ],
)
def test_one_and_many_refuse_the_same(fleet: Calibrations, ask: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ask(fleet["sensor-1"])
    with pytest.raises(InputError, match=message):
        ask(fleet, "sensor-1")


def test_instruments_that_do_not_match_their_indications_are_refused(fleet: Calibrations) -> None:
    with pytest.raises(InputError, match=r"one for each indication, but got shape \(3,\) for \(2,\)"):
        fleet.correct([1.0, 2.0], ["sensor-1"] * 3)


def test_what_lies_outside_is_so_for_one_and_for_many(fleet: Calibrations) -> None:
    x = np.array([np.inf, -np.inf, np.nan, 50.0, 1e4])
    many, one = fleet.correct(x, "sensor-1", "ignore"), fleet["sensor-1"].correct(x, "ignore")
    np.testing.assert_array_equal(many.extrapolated, [True, True, False, False, True])
    for mine, own in zip(many, one, strict=True):
        np.testing.assert_array_equal(mine, own)


def test_a_fleet_survives_its_file(fleet: Calibrations, tmp_path: Path) -> None:
    fleet.save(tmp_path / "calibrations.parquet")
    found = load(tmp_path)
    assert isinstance(found, Calibrations)
    assert found.frame.equals(fleet.frame)
    assert found["sensor-4"] == fleet["sensor-4"]
    fleet.save(tmp_path / "fleet.csv")
    table = pl.read_csv(tmp_path / "fleet.csv")
    assert table["w"].to_list() == fleet.frame["w"].to_list()
    assert {"instrument", "status", "indication_range.low", "diagnostics.largest_error.row"} <= set(table.columns)


def test_what_is_no_fleet_is_refused(tmp_path: Path) -> None:
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "other.parquet")
    with pytest.raises(InputError, match=r"Expected calibrations in .*other\.parquet"):
        load(tmp_path / "other.parquet")
    with pytest.raises(InputError, match="Expected the calibration file"):
        load(tmp_path / "nothing.json")


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame:
    monkeypatch.chdir(tmp_path)
    x, y, names = (np.concatenate(columns) for columns in zip(made(), FAULTS, strict=True))
    frame = pl.DataFrame({"sensor": names, "shown": x, "celsius": y})
    frame.write_parquet("readings.parquet")
    return frame


OPTIONS = ["--data.path", "readings.parquet", "--data.indication", "shown", "--data.reference", "celsius"]


def run(*arguments: str) -> Calibrations:
    assert main(["fit", *OPTIONS, "--data.instrument", "sensor", "--figures", "false", *arguments]) == 0
    newest = max(Path("logs/fit").iterdir(), key=lambda path: int(path.name[8:]))
    found = load(newest)
    assert isinstance(found, Calibrations)
    return found


@pytest.mark.usefixtures("table")
def test_fit_and_apply_by_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    fleet = run("--csv", "true")
    assert "12 of 17 instruments are fine (" in capsys.readouterr().out
    written = pl.read_csv("logs/fit/version_0/calibrations.csv")
    assert written["instrument"].to_list() == fleet.instruments
    assert written.filter(instrument="sensor-6")["w"].item() == fleet["sensor-6"].w
    alone = thermofit_pl.fit(*made())["sensor-6"]
    found = fleet["sensor-6"]
    assert [found.w, found.b] == pytest.approx([alone.w, alone.b], rel=1e-12, abs=0)
    assert found.sgd is not None
    assert found.sgd.converged
    assert found.sgd.w == pytest.approx(found.w, rel=1e-9)
    new = pl.DataFrame(
        {"sensor": ["sensor-6", "stuck", "nobody", "sensor-6"], "shown": [50.0, 50.0, 50.0, 1e4], "note": [*"abcd"]}
    )
    new.write_csv("new.csv")
    assert main(["apply", "last", "new.csv", "--output", "out.csv"]) == 0
    said = capsys.readouterr().err
    assert "2 of 4 rows are of an instrument that is unknown or has no line" in said
    assert "1 of 4 rows lie outside the calibrated range of their instrument" in said
    out = pl.read_csv("out.csv")
    assert out.columns == ["sensor", "shown", "note", "estimate", "u_line", "u_single", "extrapolated"]
    assert out["estimate"][0] == pytest.approx(found.correct(50.0).estimate, rel=1e-12)
    assert out["u_single"][0] == pytest.approx(found.correct(50.0).u_single, rel=1e-12)
    assert out["estimate"].to_list()[1:3] == [None, None]
    assert main(["show", "last"]) == 0


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize("options", [("--model.finish", "none"), ("--model.snap", "fahrenheit")])
def test_what_has_no_line_has_none_of_sgds_or_a_scales_either(options: tuple[str, str]) -> None:
    rows = {row["instrument"]: row for row in run(*options).frame.iter_rows(named=True)}
    for name in ("one", "stuck"):
        assert [rows[name][key] for key in ("w", "b", "s", "rmse", "scale", "sgd", "snap")] == [None] * 7
    assert (rows["one"]["status"], rows["stuck"]["status"]) == ("fewer than two readings", "equal indications")
    assert rows["sensor-3"]["w"] is not None


def test_an_exact_instrument_among_others_that_are_all_alike_has_a_summary() -> None:
    random = np.random.default_rng(0)
    x, names = random.uniform(0, 100, 600), random.integers(0, 8, 600).astype(str)
    y = 0.5 * x - 17 + random.normal(0, 0.3, 600)
    fleet = thermofit_pl.fit([*x, 1, 2, 3, 4], [*y, 7, 7, 7, 7], [*names, *["flat"] * 4])
    assert "1 of 9 instruments is an outlier of the fleet (p-values corrected for their number): flat" in fleet_summary(
        fleet
    )


@pytest.mark.usefixtures("table")
def test_sgd_of_a_fleet_is_that_of_each_alone() -> None:
    fleet = run("--trainer.max_steps", "40", "--model.learning_rate", "0.03")
    x, y, names = made()
    x, y = x[names == "sensor-2"], y[names == "sensor-2"]
    z = (x - x.mean()) / x.std()
    w, b = 1.0, 0.0
    for _ in range(40):
        error = w * z + b - y
        w, b = w - 0.03 * 2 * np.mean(error * z), b - 0.03 * 2 * np.mean(error)
    sgd = fleet["sensor-2"].sgd
    assert sgd is not None
    assert sgd.w == pytest.approx(w / x.std(), rel=1e-11)
    assert sgd.b == pytest.approx(b - w * x.mean() / x.std(), rel=1e-11)


def test_columns_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(3)
    reference = np.sort(random.uniform(0, 40, 300))
    frame = pl.DataFrame({"ref": reference} | {f"probe_{k}": reference * (1 + k / 100) + k for k in range(3)})
    frame = frame.with_columns(probe_1=pl.when(pl.int_range(300) > 250).then(None).otherwise("probe_1"))
    frame.write_csv("wide.csv")
    options = ["--data.path", "wide.csv", "--data.indication", "probe_*", "--data.reference", "ref"]
    assert main(["fit", *options, "--data.missing", "drop", "--figures", "false"]) == 0
    fleet = load("logs/fit/version_0")
    assert isinstance(fleet, Calibrations)
    assert fleet.instruments == ["probe_0", "probe_1", "probe_2"]
    assert fleet.frame["n"].to_list() == [300, 251, 300]
    np.testing.assert_allclose(fleet.frame["w"], [1, 1 / 1.01, 1 / 1.02], rtol=1e-12)
    capsys.readouterr()
    assert main(["apply", "last", "wide.csv", "--output", "out.parquet"]) == 0
    out = pl.read_parquet("out.parquet")
    np.testing.assert_allclose(out["probe_2.estimate"], reference, atol=1e-9)
    assert out["probe_1.estimate"].null_count() == 49


def test_provenance_is_in_the_files_metadata(fleet: Calibrations, tmp_path: Path) -> None:
    fleet.save(tmp_path / "calibrations.parquet")
    kept: dict[str, Any] = json.loads(pl.read_parquet_metadata(tmp_path / "calibrations.parquet")["thermofit_pl"])
    assert kept["format"] == "thermofit_pl calibrations 2"
    assert len(kept["data_sha256"]) == 64


@pytest.mark.usefixtures("table")
def test_mini_batches_give_each_instrument_its_own_gradient() -> None:
    fleet = run("--data.batch_size", "1000000", "--trainer.max_steps", "30", "--model.learning_rate", "0.03")
    whole = run("--trainer.max_steps", "30", "--model.learning_rate", "0.03")
    for name in NAMES:  # one batch holds all readings, so that its steps are the full batch's
        sgd, full = fleet[name].sgd, whole[name].sgd
        assert sgd is not None
        assert full is not None
        assert [sgd.w, sgd.b] == pytest.approx([full.w, full.b], rel=1e-11, abs=0)


@pytest.mark.parametrize("wide", [False, True])
def test_each_of_several_logs_is_as_if_it_had_been_alone(
    wide: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(5)
    n, logs = 400, {}
    true = np.cumsum(random.normal(0, 0.3, n)) + 20
    for name, rho in (("p_a", 0.9), ("p_b", 0.3), ("p_c", 0.7)):
        error = np.zeros(n)
        for k in range(1, n):
            error[k] = rho * error[k - 1] + random.normal(0, 0.1)
        logs[name] = true * 1.8 + 32 + error
    frame = pl.DataFrame({"t": np.arange(n) * 600.0, "ref": true, **logs})
    options = ["--data.path", "log.parquet", "--data.reference", "ref", "--data.time", "t", "--figures", "false"]
    if wide:
        frame.write_parquet("log.parquet")
        several = ["--data.indication", "p_*"]
    else:
        long = frame.unpivot(on=list(logs), index=["t", "ref"], variable_name="probe", value_name="shown")
        long.sample(fraction=1.0, shuffle=True, seed=1).write_parquet("log.parquet")
        several = ["--data.indication", "shown", "--data.instrument", "probe"]
    assert main(["fit", *options, *several]) == 0
    assert "Neighbouring errors of these logs have an autocorrelation of 0." in capsys.readouterr().out
    fleet = load("logs/fit/version_0")
    assert isinstance(fleet, Calibrations)
    frame.write_parquet("log.parquet")
    for number, name in enumerate(logs):
        assert main(["fit", *options, "--data.indication", name]) == 0
        alone, found = load(f"logs/fit/version_{number + 1}"), fleet[name]
        assert isinstance(alone, Calibration)
        for key in ("w", "b", "u_w", "u_b", "s"):
            assert getattr(found, key) == pytest.approx(getattr(alone, key), rel=1e-10, abs=0)
        (mine, own) = (each.diagnostics.autocorrelation for each in (found, alone))
        assert mine is not None
        assert own is not None
        assert mine.errors == pytest.approx(own.errors, rel=1e-9)
        assert mine.pairs == own.pairs == n - 1
        assert found.diagnostics.shape is not None
        assert alone.diagnostics.shape is not None
        assert found.diagnostics.shape.p == pytest.approx(alone.diagnostics.shape.p, rel=1e-8)


def test_correct_takes_any_shape_and_says_nothing_of_what_has_no_line(recwarn: pytest.WarningsRecorder) -> None:
    fleet = thermofit_pl.fit([1.0, 2.0, 3.0, 1.0], [1.0, 2.0, 4.0, 3.0], ["a", "a", "a", "one"])
    assert isinstance(fleet, Calibrations)
    found = fleet.correct([[1.0, 9.0], [2.0, 9.0]], [["a", "one"], ["a", "nobody"]])
    assert found.extrapolated.tolist() == [[False, False], [False, False]]
    assert np.isnan(found.estimate).tolist() == [[False, True], [False, True]]
    assert not len(recwarn)


def test_no_readings_are_refused() -> None:
    with pytest.raises(InputError, match="at least two of an instrument, but got none"):
        thermofit_pl.fit([], [], [])

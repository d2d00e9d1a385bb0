"""What drifted between two calibrations: against formulas by hand, and a simulation of what chance does."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
from made import GUM_H3, NOTEBOOK, calibration

from thermofit_pl import fit
from thermofit_pl.calibration.calibrations import Calibrations
from thermofit_pl.calibration.compare import CHANCE, compare, compare_fleets, comparison_text
from thermofit_pl.cli import commands
from thermofit_pl.errors import InputError

X, Y = map(np.array, NOTEBOOK)
OLD = calibration(X, Y)


def test_the_difference_and_its_u_are_those_of_the_two_lines() -> None:
    new = calibration(X[2:] + 3.0, 1.02 * Y[2:] + 0.4)
    found = compare(OLD, new)
    low, high = max(X.min(), X[2:].min() + 3), min(X.max(), X[2:].max() + 3)
    assert [found.low.indication, found.middle.indication, found.high.indication] == pytest.approx(
        [low, (low + high) / 2, high]
    )
    for drift in (found.low, found.middle, found.high, found.largest):
        x = drift.indication
        u = [math.hypot(c.u_pivot or 0, (c.u_w or 0) * (x - c.indication_mean)) for c in (OLD, new)]
        difference = (new.w * x + new.b) - (OLD.w * x + OLD.b)
        expanded = math.hypot((OLD.coverage_factor or 0) * u[0], (new.coverage_factor or 0) * u[1])
        assert drift.difference == pytest.approx(difference, rel=1e-12, abs=1e-13)
        assert drift.u == pytest.approx(math.hypot(*u), rel=1e-12)
        assert drift.e_n == pytest.approx(difference / expanded, rel=1e-10)


def test_the_largest_is_the_largest_of_the_range() -> None:
    new = calibration(X, Y + 0.5 + 0.03 * X)
    found = compare(OLD, new)
    x = np.linspace(X.min(), X.max(), 100_001)
    old_side, new_side = OLD.correct(x), new.correct(x)
    k = OLD.coverage_factor or 0
    e_n = (new_side.estimate - old_side.estimate) / (k * np.hypot(old_side.u_line, new_side.u_line))
    assert found.largest.e_n == pytest.approx(e_n.max(), rel=1e-7)
    assert found.holds is bool(e_n.max() <= 1)


@pytest.mark.parametrize(("shift", "holds"), [(0.0, True), (1.0, True), (3.0, False), (-3.0, False)])
def test_whether_the_old_corrections_hold(shift: float, holds: bool) -> None:
    found = compare(OLD, calibration(X, Y + shift))
    assert found.holds is holds
    sentence = "still hold: |E_n| is at most 1" if holds else "no longer hold: |E_n| exceeds 1"
    assert sentence in comparison_text(found)
    assert (CHANCE in comparison_text(found)) is not holds


@pytest.mark.slow
def test_by_chance_the_largest_exceeds_1_as_often_as_it_is_said() -> None:
    random = np.random.default_rng(5)
    single = anywhere = 0
    for _ in range(600):
        x = np.linspace(0, 100, 40)
        both = [fit(x, 0.5 * x + random.normal(0, 0.1, 40)) for _ in range(2)]
        found = compare(both[0], both[1])
        anywhere += not found.holds
        single += abs(found.middle.e_n or 0.0) > 1
    # 12.5 and 4.6 of 100, by 6,000 simulations of NumPy's; four standard deviations of 600 are 5.5 and 3.5
    assert 7 < anywhere / 6 < 18
    assert 1 < single / 6 < 8.1


def test_without_uncertainty_nothing_is_told() -> None:
    blind = dataclasses.replace(OLD, u_w=None, u_b=None, cov_wb=None, u_pivot=None, s=None, coverage_factor=None)
    found = compare(OLD, blind)
    assert (found.holds, found.middle.u, found.largest.e_n) == (None, None, None)
    assert "can't be told" in comparison_text(found)


def fleet(shift: float, names: list[str]) -> Calibrations:
    random = np.random.default_rng(len(names))
    x = random.uniform(0, 50, 20 * len(names))
    instrument = np.repeat(names, 20)
    found = fit(x, 0.5 * x + shift * (instrument == "c") + random.normal(0, 0.01, len(x)), instrument)
    assert isinstance(found, Calibrations)
    return found


def test_fleets_are_compared_by_name(capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> None:
    old, new = fleet(0.0, ["a", "b", "c", "gone"]), fleet(0.3, ["c", "b", "a", "n\x1b[2J", "d"])
    found = compare_fleets(old, new)
    assert [one.instrument for one in found.instruments] == ["a", "b", "c"]
    assert (found.only_old, sorted(found.only_new)) == (["gone"], ["d", "n\x1b[2J"])
    drifted = next(one for one in found.instruments if one.instrument == "c")
    assert drifted.holds is False
    assert drifted.middle.difference == pytest.approx(0.3, abs=0.02)
    old.save(tmp_path / "old.parquet")
    new.save(tmp_path / "new.parquet")
    commands.main(["compare", str(tmp_path / "old.parquet"), str(tmp_path / "new.parquet")])
    text = capsysbinary.readouterr().out.decode()
    assert f"c: +{drifted.largest.difference:.3g} °C, u " in text
    assert "\x1b" not in text
    commands.main(["compare", str(tmp_path / "old.parquet"), str(tmp_path / "new.parquet"), "--json"])
    read = json.loads(capsysbinary.readouterr().out)
    assert read == json.loads(json.dumps(dataclasses.asdict(found)))
    with pytest.raises(InputError, match="instruments in common, but they have none"):
        compare_fleets(old, fleet(0.0, ["x"]))


def test_the_command(capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> None:
    new = calibration(X, Y + 3)
    OLD.save(tmp_path / "old.json")
    new.save(tmp_path / "new.json")
    places = [str(tmp_path / "old.json"), str(tmp_path / "new.json")]
    assert commands.main(["compare", *places]) == 0
    assert capsysbinary.readouterr().out.decode() == comparison_text(compare(OLD, new)) + "\n"
    commands.main(["compare", *places, "--json"])
    assert json.loads(capsysbinary.readouterr().out)["middle"]["difference"] == pytest.approx(3.0)
    calibration(np.array(GUM_H3[0]) + 200, GUM_H3[1]).save(tmp_path / "far.json")
    with pytest.raises(InputError, match=r"a common range, but they cover 21\.8 to 81\.9 and 221\.521 to 226\.511"):
        commands.main(["compare", places[0], str(tmp_path / "far.json")])
    fleet(0.0, ["a", "b"]).save(tmp_path / "fleet.parquet")
    with pytest.raises(InputError, match="two of fleets, but got one of each"):
        commands.main(["compare", places[0], str(tmp_path / "fleet.parquet")])
    with pytest.raises(InputError, match="required: NEW"):
        commands.main(["compare", places[0]])

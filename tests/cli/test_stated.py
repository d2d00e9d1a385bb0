"""Stated uncertainties from the command line: published answers, the sentences, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stated_cases as cases
from made import GUM_H3
from running import Ended, refused, run

FAST = ["--model.steps_per_epoch=200", "--trainer.max_epochs=1", "--trainer.logger=false"]


@pytest.fixture(autouse=True)
def _somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def sheet(**columns: Any) -> list[str]:
    """Writes a table, and returns the options that name it."""
    rows = zip(*(np.asarray(column, float).tolist() for column in columns.values()), strict=True)
    text = "\n".join([",".join(columns), *(",".join(map(repr, row)) for row in rows)])
    Path("sheet.csv").write_text(text + "\n", encoding="utf-8")
    return ["--data.path=sheet.csv", "--data.indication=x", "--data.reference=y"]


def fitted(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[dict[str, Any], Ended]:
    ended = run(capsys, "fit", *words, *FAST)
    assert ended.code == 0, ended.err
    newest = max(Path("logs").rglob("calibration.json"), key=lambda path: path.stat().st_mtime_ns)
    found: dict[str, Any] = json.loads(newest.read_text(encoding="utf-8"))
    return found, ended


def numbers(found: dict[str, Any]) -> list[float]:
    return [found[name] for name in ("b", "w", "u_b", "u_w", "cov_wb")]


@pytest.mark.parametrize("name", ["equal", "unequal"])
def test_iso_28037_clause_6(capsys: pytest.CaptureFixture[str], name: str) -> None:
    y, u, answer = cases.ISO6[name]
    columns = sheet(x=cases.ISO6_X, y=y, **{"U (k=2)": 2 * u})
    found, ended = fitted(
        capsys, *columns, "--data.u.reference=U (k=2)", "--data.u.coverage_factor=2", "--model.learning_rate=0.1"
    )
    np.testing.assert_array_equal(np.round([*numbers(found), found["stated"]["chi_squared"]], 3), answer)
    assert found["sgd"]["converged"]  # on the weighted mean squared error
    assert "weighed by 1/u²" in ended.out
    assert "The errors are as large as the stated uncertainties explain" in ended.out
    assert "speaks of" not in ended.err


def test_iso_28037_clauses_7_and_8(capsys: pytest.CaptureFixture[str]) -> None:
    correlation = cases.ISO_COVARIANCE / (cases.ISO_UX * cases.ISO_UY)
    columns = sheet(x=cases.ISO_X, y=cases.ISO_Y, uy=cases.ISO_UY, r=correlation)
    both = ["--data.u.reference=uy", "--data.u.indication=0.2"]
    found, ended = fitted(capsys, *columns, *both, "--optimizer=SGD", "--optimizer.lr=0.3")
    np.testing.assert_array_equal(np.round(numbers(found), 4), [0.5788, 2.1597, 0.4764, 0.1355, -0.0577])
    assert "York's curve, as both axes are uncertain" in ended.out
    assert found["sgd"]["w"] == pytest.approx(found["w"], rel=1e-10)  # trained on the same loss
    found, _ = fitted(capsys, *columns, *both, "--data.u.correlation=r")
    np.testing.assert_allclose(numbers(found)[:4], [0.58159, 2.16999, 0.28564, 0.09019], atol=1e-5)


def test_york_pearson_and_its_answer_by_sgd(capsys: pytest.CaptureFixture[str]) -> None:
    columns = sheet(x=cases.YORK_X, y=cases.YORK_Y, ux=cases.YORK_UX, uy=cases.YORK_UY)
    found, _ = fitted(capsys, *columns, "--data.u.reference=uy", "--data.u.indication=ux", "--model.learning_rate=0.3")
    np.testing.assert_allclose([found["b"], found["w"], found["stated"]["chi_squared"]], cases.YORK_ANSWER, rtol=1e-12)
    assert [found["sgd"]["b"], found["sgd"]["w"]] == pytest.approx(list(cases.YORK_ANSWER[:2]), rel=1e-10)


def test_gum_h_3_6(capsys: pytest.CaptureFixture[str]) -> None:
    columns = sheet(x=np.array(GUM_H3[0]) - 20, y=np.array(GUM_H3[1]) - 20)
    found, ended = fitted(capsys, *columns, "--data.u.common=0.005")
    assert round(found["u_b"], 4) == 0.0058
    assert round(found["u_w"], 5) == 0.00067
    assert "common to all references 0.005" in ended.out
    budget = found["stated"]["budget"]
    shares = [budget[name]["share"] for name in ("scatter", "common")]
    np.testing.assert_allclose(np.sum(shares, axis=0), 1, rtol=1e-9)
    shown = run(capsys, "show", next(Path("logs").rglob("calibration.json")))
    assert "made of (shares of u²)" in shown.out


def test_columns_that_speak_of_uncertainties_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    y, u, _ = cases.ISO6["unequal"]
    columns = sheet(x=cases.ISO6_X, y=y, **{"U (k=2)": 2 * u})
    _, ended = fitted(capsys, *columns)
    assert "Column 'U (k=2)' speaks of an uncertainty, but is not used: --data.u.reference states" in ended.err
    _, ended = fitted(capsys, *columns, "--data.u.reference=U (k=2)")
    assert (
        "The name of column 'U (k=2)' speaks of expanded uncertainties (k = 2), but they are divided by 1" in ended.err
    )


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--data.u.indication=0.1"], ["--data.u.indication", "state it with --data.u.reference"]),
        (["--data.u.reference=v"], ["'v' (--data.u.reference)"]),
        (["--data.u.reference=u"], ["sheet.csv, row 3: expected a positive uncertainty in column 'u', but got 0"]),
        (["--data.u.reference=0"], ["--data.u.reference: expected a positive number"]),
        (["--data.u.common=u"], ["--data.u.common", "as all references share it"]),
        (["--data.u.coverage_factor=2"], ["--data.u.coverage_factor: expected an uncertainty to divide"]),
        (["--data.u.reference=0.1", "--data.batch_size=2"], ["--data.u.reference and --data.batch_size"]),
        (["--model.uncertainties=relative"], ["--model.uncertainties: expected stated uncertainties to rescale"]),
    ],
)
def test_what_cannot_be_is_refused(capsys: pytest.CaptureFixture[str], options: list[str], parts: list[str]) -> None:
    columns = sheet(x=[1, 2, 3], y=[1.1, 2, 3.1], u=[0.1, 0, 0.1])
    refused(run(capsys, "fit", *columns, *options), *parts)

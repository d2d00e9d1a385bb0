"""No command loses a row or takes one twice and succeeds."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from running import run, table

ROWS = "".join(f"{17 + 0.54 * k + 0.3 * (-1) ** k:.2f},{k},ok\n" for k in range(40))
NOTED = "shown,ref,note\n"


@pytest.fixture(autouse=True)
def _somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def fit(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    ended = run(capsys, "fit", *options, "--trainer.max_epochs=1", "--trainer.logger=false")
    assert (ended.code, ended.err) == (0, "")
    return ended.out


@pytest.mark.parametrize("command", ["fit", "predict", "validate", "test", "apply"])
@pytest.mark.parametrize("time", [(), ("--data.time=ref",)])
def test_a_quotation_mark_that_is_not_closed(
    capsys: pytest.CaptureFixture[str], command: str, time: tuple[str, ...]
) -> None:
    sound = table(content=ROWS, header=NOTED)
    if command != "fit":
        fit(capsys, *sound)
    lines = ROWS.splitlines(keepends=True)
    lines[23] = lines[23].replace("ok", '"since noon')
    bad = table("bad.csv", "".join(lines), NOTED)
    if command == "apply":
        ended = run(capsys, "apply", "last", "bad.csv")
    else:
        ended = run(capsys, command, *bad, *time, *(() if command == "fit" else ("--ckpt_path=last",)))
    assert (ended.code, ended.out) == (2, "")
    assert "bad.csv, row 25: expected a cell in quotation marks" in ended.err
    assert ended.err.count("\n") == 1
    assert not Path("bad.corrected.csv").exists()
    assert not list(Path().rglob("predictions*"))


@pytest.mark.parametrize("command", ["fit", "predict", "validate", "test", "apply"])
def test_rows_that_do_not_come(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    options = table(content=ROWS, header=NOTED)
    pl.read_csv("readings.csv").write_ipc("readings.arrow")
    options[1] = "readings.arrow"
    if command != "fit":
        fit(capsys, *options)
    collect = pl.LazyFrame.collect_batches

    def early(self: pl.LazyFrame, **settings: Any) -> Iterator[pl.DataFrame]:  # as where a thread of Polars panics
        yield from list(collect(self, **settings))[:-1]

    monkeypatch.setattr(pl.LazyFrame, "collect_batches", early)
    if command == "apply":
        ended = run(capsys, "apply", "last", "readings.arrow")
    else:
        ended = run(capsys, command, *options, *(() if command == "fit" else ("--ckpt_path=last",)))
    assert (ended.code, ended.out) == (2, "")
    assert "readings.arrow: expected 40 rows, but " in ended.err


def test_what_apply_wrote_is_not_fitted_again(capsys: pytest.CaptureFixture[str]) -> None:
    options = table("monday.csv", ROWS, NOTED)
    options[1] = "."
    first = fit(capsys, *options)
    assert run(capsys, "apply", "last", "monday.csv").code == 0
    Path("again.csv").symlink_to("monday.csv")
    second = fit(capsys, *options)
    assert "Left out monday.corrected.csv: thermofit_pl wrote it; to take one, name it alone." in second
    assert "Left out again.csv: it is monday.csv under another name." in second
    assert "Left out" not in first
    for key in ("n", "w", "u_w", "data_sha256"):
        runs = [json.loads(Path(f"logs/fit/version_{run}/calibration.json").read_text()) for run in (0, 1)]
        assert runs[0][key] == runs[1][key], key
    options[1] = "monday.corrected.csv"
    assert "Left out" not in fit(capsys, *options)

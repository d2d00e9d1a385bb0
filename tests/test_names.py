"""Names that no file of ours can hold, or a terminal acts on, are refused before the fit, and printed escaped."""

import os
from pathlib import Path

import polars as pl
import pytest
from made import NOTEBOOK, calibration
from running import TABLE, refused, run, table

from thermofit_pl import Calibrations, InputError, fit
from thermofit_pl.reports.summary import summary


@pytest.fixture(autouse=True)
def _somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "name", ["a\x1b[2J.csv", "a\x9b.csv", os.fsdecode(b"t\xe9.csv"), "fold\x07er/a.csv"], ids=ascii
)
def test_a_table_of_such_a_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text("shown,ref\n" + TABLE)
    options = [f"--data.path={name}", "--data.indication=shown", "--data.reference=ref"]
    refused(run(capsys, "fit", *options), "without control characters, but got", "rename it")
    refused(run(capsys, "fit", "--data.path=*", *options[1:]) if "/" not in name else run(capsys, "fit", *options))


def test_a_column_of_such_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    options = table(header="a\x1b[2J,ref\n")
    refused(
        run(capsys, "fit", *options, "--data.indication=a\x1b[2J"),
        "expected a column without control characters in its name",
    )


@pytest.mark.parametrize("name", ["ru\x1b[2Jns", os.fsdecode(b"r\xe9")], ids=ascii)
def test_a_run_of_such_a_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    refused(run(capsys, "fit", f"--trainer.default_root_dir={name}"), "expected a folder with a name in UTF-8")
    assert not Path(name).exists()


def test_a_status_from_elsewhere_is_printed_escaped() -> None:
    fleet = fit([0, 1, 2, 0], [0.0, 1.0, 2.1, 5.0], ["a", "a", "a", "b"])
    assert isinstance(fleet, Calibrations)
    fleet.frame = fleet.frame.with_columns(pl.lit("evil\x1b[2J").alias("status"))
    with pytest.raises(InputError, match="holds control characters"):  # nor does load take such a file
        fleet.save("calibrations.parquet")
    assert "evil\\x1b[2J" in (text := summary(fleet))
    assert "\x1b" not in text
    with pytest.raises(InputError, match=r"b has evil\\x1b\[2J"):
        fleet["b"]


def test_a_link_to_nothing_in_the_place_of_the_runs(capsys: pytest.CaptureFixture[str]) -> None:
    Path("logs").symlink_to("nowhere")
    ended = run(capsys, "fit")
    assert ended.code == 2
    assert "Expected a folder logs, but it is a link to nothing; move it" in ended.err


def test_a_default_output_of_too_long_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    calibration(*NOTEBOOK, indication_column="shown").save("c.json")
    name = "a" * 250 + ".csv"
    Path(name).write_text("shown\n35.7\n")
    ended = run(capsys, "apply", "c.json", name)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "is too long a name, but got none; say where the result is to go" in ended.err


def test_apply_takes_numbers_in_categories_as_fit_does(capsys: pytest.CaptureFixture[str]) -> None:
    calibration(*NOTEBOOK, indication_column="shown").save("c.json")
    cells = pl.Series("shown", ["35.7", "55.9", None])
    pl.DataFrame([cells.cast(pl.Categorical)]).write_parquet("t.parquet")
    pl.DataFrame([cells.cast(pl.Float64)]).write_parquet("n.parquet")
    estimates = []
    for source in ("t", "n"):
        ended = run(capsys, "apply", "c.json", f"{source}.parquet", "--output", f"{source}.out.parquet")
        assert ended.code == 0, ended
        estimates.append(pl.read_parquet(f"{source}.out.parquet")["estimate"].to_list())
    assert estimates[0] == estimates[1] != [None, None, None]

import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from running import files, run, table

RUN = "logs/predict/version_0"
NEW = pl.DataFrame({"note": ["a", "b,c", None], "shown": [20.0, 25.5, 30.25], "n": [1, 2, 3]})


@pytest.fixture(autouse=True)
def _fitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(capsys, "fit", *table(), "--trainer.max_epochs=1", "--trainer.logger=false").code == 0


def line() -> tuple[float, float]:
    calibration: dict[str, Any] = json.loads(Path("logs/fit/version_0/calibration.json").read_text(encoding="utf-8"))
    return calibration["w"], calibration["b"]


def predict(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    ended = run(capsys, "predict", "--ckpt_path=last", "--trainer.logger=false", *words)
    assert (ended.code, ended.err) == (0, "")
    return ended.out


def with_estimates(frame: pl.DataFrame) -> pl.DataFrame:
    w, b = line()
    return frame.with_columns(estimate=w * pl.col("shown") + b)


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".csv", ".tsv", ".csv.gz"])
def test_every_column_and_an_estimate_in_the_format_of_the_table(
    suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = f"new{suffix}"
    if suffix == ".parquet":
        NEW.write_parquet(path)
    elif suffix == ".arrow":
        NEW.write_ipc(path)
    else:
        text = NEW.write_csv(separator="\t" if suffix == ".tsv" else ",")
        Path(path).write_bytes(gzip.compress(text.encode()) if suffix.endswith("gz") else text.encode())
    out = predict(capsys, f"--data.path={path}")
    assert out == f"3 rows, with an estimate each by the least-squares line: {RUN}/predictions{suffix}\n"
    assert {name for name in files() if "predict" in name} <= {f"{RUN}/config.yaml", f"{RUN}/predictions{suffix}"}
    written = Path(RUN, f"predictions{suffix}")
    if suffix in (".parquet", ".arrow"):
        read = pl.read_parquet(written) if suffix == ".parquet" else pl.read_ipc(written)
    else:
        read = pl.read_csv(written, separator="\t" if suffix == ".tsv" else ",")
    assert_frame_equal(read, with_estimates(NEW), rel_tol=1e-12)


def test_text_stays_to_the_letter(capsys: pytest.CaptureFixture[str]) -> None:
    Path("new.csv").write_text('shown;note\n020,50;"x;y"\n25,0;001\n', encoding="utf-8")
    predict(capsys, "--data.path=new.csv", "--data.decimal_comma=true")
    rows = Path(RUN, "predictions.csv").read_text(encoding="utf-8").splitlines()
    assert [row.rpartition(";")[0] for row in rows] == ["shown;note", '020,50;"x;y"', "25,0;001"]
    w, b = line()
    assert [float(row.rpartition(";")[2].replace(",", ".")) for row in rows[1:]] == pytest.approx(
        [w * 20.5 + b, w * 25 + b], rel=1e-12
    )


def test_rows_without_an_indication_stay_without_an_estimate(capsys: pytest.CaptureFixture[str]) -> None:
    Path("new.csv").write_text("shown,note\n20,a\n,b\nnan,c\n30,d\n", encoding="utf-8")
    ended = run(capsys, "predict", "--ckpt_path=last", "--data.path=new.csv")
    assert ended.code == 2
    assert "row 3" in ended.err
    assert "--data.missing" in ended.err
    assert not Path("logs/predict").exists()
    out = predict(capsys, "--data.path=new.csv", "--data.missing=drop")
    assert "4 rows, with an estimate each by the least-squares line, 2 of them empty for want of an indication" in out
    written = pl.read_csv(Path(RUN, "predictions.csv"))
    assert written["note"].to_list() == ["a", "b", "c", "d"]
    assert written["estimate"].is_null().to_list() == [False, True, True, False]


def test_several_files_come_one_after_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    Path("logs-of-day").mkdir()
    NEW.write_csv("logs-of-day/a.csv")
    NEW.drop("n").with_columns(shown=pl.col("shown") * 2).write_csv("logs-of-day/b.csv")
    predict(capsys, "--data.path=logs-of-day/*.csv")
    written = pl.read_csv(Path(RUN, "predictions.csv"))
    assert written["shown"].to_list() == [20.0, 25.5, 30.25, 40.0, 51.0, 60.5]
    assert written["n"].to_list() == [1, 2, 3, None, None, None]
    assert_frame_equal(written, with_estimates(written), rel_tol=1e-12)


def test_large_tables_keep_their_order(capsys: pytest.CaptureFixture[str]) -> None:
    n = 300_000  # beyond one block of readings
    pl.DataFrame({"shown": pl.int_range(n, eager=True) * 0.001}).write_parquet("new.parquet")
    predict(capsys, "--data.path=new.parquet")
    written = pl.read_parquet(Path(RUN, "predictions.parquet"))
    assert_frame_equal(written, with_estimates(written), rel_tol=1e-12)
    assert written["shown"].is_sorted()
    predict(capsys, "--data.path=new.parquet", "--trainer.limit_predict_batches=1")
    some = pl.read_parquet("logs/predict/version_1/predictions.parquet")
    assert 0 < len(some) < n
    assert_frame_equal(some, written.head(len(some)))


def test_the_readings_themselves_unless_another_table_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    predict(capsys)
    written = pl.read_csv(Path(RUN, "predictions.csv"))
    assert written.columns == ["shown", "ref", "estimate"]
    assert len(written) == 20


def test_a_rehearsal_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert "not written: a rehearsal" in predict(capsys, "--trainer.fast_dev_run=true")
    assert not Path("logs/predict").exists()

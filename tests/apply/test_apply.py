import gzip
import io
import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from made import NOTEBOOK, calibration
from polars.testing import assert_frame_equal

from thermofit_pl.apply.apply import apply
from thermofit_pl.apply.corrections import RESULTS
from thermofit_pl.errors import InputError

CALIBRATION = calibration(*NOTEBOOK)
SHOWN = [21.8, 50.0, 81.9, 90.5]
TABLE = pl.DataFrame({"id": ["007", "1e3", "", "a,b"], "t_u": SHOWN, "kept": [1, 2, 3, 4]})


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, text: str) -> str:
    Path(name).write_text(text, encoding="utf-8")
    return name


def results(indications: list[float]) -> pl.DataFrame:
    return pl.DataFrame(CALIBRATION.correct(indications, "ignore")._asdict())


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "feather", "pq", "ipc"])
def test_columns_keep_their_types(suffix: str) -> None:
    TABLE.write_parquet("t.parquet")
    apply(CALIBRATION, "t.parquet", output=f"out.{suffix}")
    found = pl.read_parquet(f"out.{suffix}") if suffix in ("parquet", "pq") else pl.read_ipc(f"out.{suffix}")
    assert_frame_equal(found, TABLE.hstack(results(SHOWN)), rel_tol=1e-14)


def test_arrow_is_read() -> None:
    TABLE.write_ipc("t.arrow")
    apply(CALIBRATION, "t.arrow")
    assert_frame_equal(pl.read_ipc("t.corrected.arrow"), TABLE.hstack(results(SHOWN)), rel_tol=1e-14)


@pytest.mark.parametrize("name", ["out.csv", "out.txt", "out.tsv", "out.csv.gz"])
def test_text_cells_stay_as_they_are(name: str) -> None:
    write("t.csv", 'id,t_u,kept\n007,21.80,1.0\n1e3, 50 ,"x\ny"\n,81.9,°\n"a,b",90.5,\n')
    apply(CALIBRATION, "t.csv", output=name)
    text = gzip.decompress(Path(name).read_bytes()).decode() if name.endswith("gz") else Path(name).read_text()
    found = pl.read_csv(io.StringIO(text), separator="\t" if "tsv" in name else ",", infer_schema=False)
    assert found.select("id", "t_u", "kept").fill_null("").rows() == [
        ("007", "21.80", "1.0"), ("1e3", " 50 ", "x\ny"), ("", "81.9", "°"), ("a,b", "90.5", ""),
    ]  # fmt: skip
    numbers = found.select(pl.col(RESULTS[:3]).cast(pl.Float64), pl.col("extrapolated") == "true")
    assert_frame_equal(numbers, results(SHOWN), rel_tol=1e-14)


def test_text_becomes_parquet_with_number_columns_beside() -> None:
    write("t.csv", "id,t_u\n007,21.80\n")
    apply(CALIBRATION, "t.csv", output="out.parquet")
    assert pl.read_parquet("out.parquet").schema == {
        "id": pl.String, "t_u": pl.String, "estimate": pl.Float64, "u_line": pl.Float64, "u_single": pl.Float64,
        "extrapolated": pl.Boolean,
    }  # fmt: skip


def test_gzipped_and_latin_1_text() -> None:
    Path("t.csv.gz").write_bytes(gzip.compress("t_u,°\n50,é\n".encode("latin-1")))
    apply(CALIBRATION, "t.csv.gz")
    assert gzip.decompress(Path("t.corrected.csv.gz").read_bytes()).decode().startswith("t_u,°,estimate")


def test_decimal_comma() -> None:
    write("t.csv", "t_u;x\n50,5;1\n")
    apply(CALIBRATION, "t.csv", output="out.csv", decimal_comma=True)
    header, line = Path("out.csv").read_text().splitlines()
    assert header == "t_u;x;estimate;u_line;u_single;extrapolated"
    assert line.split(";")[:2] == ["50,5", "1"]
    assert float(line.split(";")[2].replace(",", ".")) == pytest.approx(CALIBRATION.correct(50.5).estimate, rel=1e-14)


def test_another_column_can_be_corrected() -> None:
    write("t.csv", "raw\n50\n")
    apply(CALIBRATION, "t.csv", indication="raw", output="out.csv")
    assert pl.read_csv("out.csv")["estimate"].item() == pytest.approx(CALIBRATION.correct(50).estimate, rel=1e-14)


def test_missing_cells_stay_and_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    write("t.csv", "i,t_u\n1,50\n2,\n3,NA\n4, nan \n5,inf\n6,90\n")
    apply(CALIBRATION, "t.csv", output="out.csv")
    found = pl.read_csv("out.csv")
    assert found["estimate"].is_null().to_list() == [False, True, True, True, True, False]
    assert found["extrapolated"].to_list() == [False, None, None, None, None, True]
    assert capsys.readouterr().err.splitlines() == [
        "4 of 6 rows have no indication; their results are empty.",
        "1 of 6 rows lie outside the calibrated range, 21.8 to 81.9: no reading supports the line there.",
        "Corrected 6 rows into out.csv.",
    ]


@pytest.mark.parametrize("text", ["t_u,room\n50,a\n   \n\n60,\n", "room,t_u\na,50\n \t\n,60\n", "t_u\n50\n  \n60\n"])
def test_blank_lines_are_no_rows_and_empty_cells_stay_empty(text: str) -> None:
    apply(CALIBRATION, write("t.csv", text), output="out.csv")
    assert '""' not in Path("out.csv").read_text(encoding="utf-8")
    assert pl.read_csv("out.csv")["t_u"].to_list() == [50, 60]


def test_missing_values_of_parquet() -> None:
    pl.DataFrame({"t_u": [None, float("nan"), float("-inf"), 50.0]}).write_parquet("t.parquet")
    apply(CALIBRATION, "t.parquet", output="out.parquet")
    assert pl.read_parquet("out.parquet")["u_single"].is_null().to_list() == [True, True, True, False]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_every_row_is_corrected_and_counted_once(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = np.random.default_rng(1).uniform(0, 100, 400_000).round(4)
    table = pl.DataFrame({"row": range(len(shown)), "t_u": pl.Series(shown).set(pl.Series(shown < 1), None)})
    getattr(table, f"write_{kind}")(f"t.{kind}")
    apply(CALIBRATION, f"t.{kind}", output="out.parquet")
    found = pl.read_parquet("out.parquet")
    assert found["row"].cast(pl.Int64).to_list() == list(range(len(shown)))
    expected = CALIBRATION.correct(shown, "ignore")
    keep = shown >= 1
    np.testing.assert_allclose(found["estimate"].to_numpy()[keep], expected.estimate[keep], rtol=1e-13, atol=1e-13)
    outside = int((expected.extrapolated & keep).sum())
    numbers = [int(line.partition(" of ")[0].replace(" ", "")) for line in capsys.readouterr().err.splitlines()[:2]]
    assert numbers == [int((~keep).sum()), outside]


def test_several_tables_become_one() -> None:
    Path("logs").mkdir()
    write("logs/a.csv", "t_u\n50\n")
    write("logs/b.csv", "t_u,x\n60,1\n")
    with pytest.raises(InputError, match="Expected output, since the table is several files, but got none"):
        apply(CALIBRATION, "logs")
    apply(CALIBRATION, "logs", output="out.csv")
    assert pl.read_csv("out.csv").select("t_u", "x").rows() == [(50, None), (60, 1)]


@pytest.mark.parametrize(
    ("text", "options", "sentence"),
    [
        ("t_u\n50\nwarm\n", {}, r"t\.csv, row 3: expected a number in column 't_u', but got 'warm'"),
        ("t_u\n50\n\x1b[2J\n", {}, r"t\.csv, row 3: expected a number in column 't_u', but got '\\x1b\[2J'"),
        ("t_u;x\n50,5;1\n", {}, "row 2: .* got '50,5'; if the comma is the decimal sign, add decimal_comma=True"),
        ("t_u;x\n1.234;1\n", {"decimal_comma": True}, "row 2: .*if the point is the decimal sign, leave out dec"),
        ("x\n50\n", {}, r"expected a column 't_u' \(indication\)"),
        ("t_u,u_line\n50,1\n", {}, "Expected a table without a column 'u_line', but t.csv has one"),
        ("t_u\n50\n", {"output": "t.csv"}, "Expected another output than the table itself, but got t.csv"),
        ("t_u\n50\n", {"output": "out.json"}, r"Expected output to end in \.csv, .*, but got out\.json"),
        ("t_u\n50\n", {"output": "out"}, "Expected output to end in"),
        ("t_u\n50\n", {"output": "out.parquet.gz"}, "Expected output to end in"),
        ("t_u\n50\n", {"output": "none/out.csv"}, r"Expected to write none/out\.csv, but got No such file"),
    ],
)  # fmt: skip
def test_what_cannot_be_corrected_is_a_sentence(text: str, options: dict[str, Any], sentence: str) -> None:
    write("t.csv", text)
    with pytest.raises(InputError, match=sentence) as caught:
        apply(CALIBRATION, "t.csv", **options)
    assert str(caught.value).isprintable()
    assert os.listdir() == ["t.csv"]  # noqa: PTH208
    assert Path("t.csv").read_text() == text


def test_a_table_that_is_not_there() -> None:
    with pytest.raises(InputError, match=r"^none\.csv is not there; check the name \(path\)\.$"):
        apply(CALIBRATION, "none.csv")


def test_a_calibration_of_arrays_needs_a_column() -> None:
    write("t.csv", "t_u\n50\n")
    with pytest.raises(InputError, match=r"^Expected indication, the column to correct, but got none"):
        apply(calibration(*NOTEBOOK, indication_column=None), "t.csv")


def test_nothing_is_overwritten_unasked() -> None:
    write("t.csv", "t_u\n50\n")
    write("t.corrected.csv", "mine")
    with pytest.raises(InputError, match=r"since t\.corrected\.csv is there already, but got none"):
        apply(CALIBRATION, "t.csv")
    assert Path("t.corrected.csv").read_text() == "mine"
    apply(CALIBRATION, "t.csv", output="t.corrected.csv")
    assert pl.read_csv("t.corrected.csv").height == 1


def test_standard_input_and_output(monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"t_u\n50\n")))
    apply(CALIBRATION, "-")
    captured = capsysbinary.readouterr()
    assert pl.read_csv(captured.out)["estimate"].item() == pytest.approx(CALIBRATION.correct(50).estimate, rel=1e-14)
    assert captured.err == b""


def test_standard_input_may_be_parquet(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.BytesIO()
    TABLE.write_parquet(stream)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stream.getvalue())))
    apply(CALIBRATION, "-", output="out.parquet")
    assert pl.read_parquet("out.parquet").height == 4


def test_complaints_about_standard_input_name_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"t_u\nwarm\n")))
    with pytest.raises(InputError, match=r"^standard input, row 2: expected a number in column 't_u', but got 'warm'"):
        apply(CALIBRATION, "-", output="out.csv")
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="Expected a table on standard input, but it is closed"):
        apply(CALIBRATION, "-")


def test_a_device_may_be_the_output() -> None:
    write("t.csv", "t_u\n50\n")
    apply(CALIBRATION, "t.csv", output="/dev/null")
    with pytest.raises(InputError, match="Expected to write /dev/full, but got No space left on device"):
        apply(CALIBRATION, "t.csv", output="/dev/full")
    assert Path("/dev/null").is_char_device()


def test_a_calibration_without_uncertainties_gives_empty_ones() -> None:
    bare = calibration(*NOTEBOOK, u_w=None, u_b=None, cov_wb=None, u_pivot=None, s=None)
    write("t.csv", "t_u\n50\n")
    apply(bare, "t.csv", output="out.csv")
    assert re.search(r"50,9\.53\d+,,,false\n$", Path("out.csv").read_text())

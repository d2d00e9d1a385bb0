"""What can't be used is refused in one sentence, with exit code 2, and leaves nothing behind."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from running import TABLE, refused, run, start, table


@pytest.fixture(autouse=True)
def _somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def no_file() -> list[str]:
    options = table()
    Path("readings.csv").unlink()
    return options


def cut_gzip() -> list[str]:
    options = table("readings.csv.gz")
    Path("readings.csv.gz").write_bytes(gzip.compress((("shown,ref\n" + TABLE) * 50).encode())[:-60])
    return options


def damaged_parquet() -> list[str]:
    options = table("readings.parquet")
    pl.DataFrame({"shown": [1.0, 2.0], "ref": [1.0, 2.0]}).write_parquet("readings.parquet")
    Path("readings.parquet").write_bytes(Path("readings.parquet").read_bytes()[:-40])
    return options


def binary() -> list[str]:
    options = table()
    Path("readings.csv").write_bytes(bytes(range(256)) * 10)
    return options


def workbook() -> list[str]:
    options = table()
    Path("readings.csv").write_bytes(b"PK\x03\x04" + bytes(100))
    return options


def folder_without_tables() -> list[str]:
    Path("empty").mkdir()
    return ["--data.path=empty", "--data.indication=shown", "--data.reference=ref"]


TABLES: dict[str, tuple[Callable[[], list[str]], tuple[str, ...]]] = {
    "no such file": (no_file, ("readings.csv is not there", "--data.path")),
    "an empty file": (lambda: table(content="", header=""), ("readings.csv is empty",)),
    "a header alone": (lambda: table(content=""), ("readings.csv has a header but no readings",)),
    "a column that isn't there": (
        lambda: table(header="shwn,ref\n"),
        ("expected a column 'shown' (--data.indication)", "'shwn', 'ref'", "did you mean 'shwn'?"),
    ),
    "a cell that is no number": (lambda: table(content="1,2\n3,x\n"), ("readings.csv", "row 3", "'x'", "'ref'")),
    "a decimal comma": (lambda: table(content='"35,7",2\n"36,7",3\n'), ("'35,7'", "--data.decimal_comma")),
    "a unit": (lambda: table(content="35.7 °C,2\n36.7 °C,3\n"), ("'35.7 °C'", "unit")),
    "a missing value": (lambda: table(content="1,2\n,3\n4,5\n"), ("row 3", "--data.missing")),
    "NaN": (lambda: table(content="1,2\n3,nan\n4,5\n"), ("row 3", "--data.missing")),
    "infinity": (lambda: table(content="1,2\n3,inf\n4,5\n"), ("row 3",)),
    "one reading": (lambda: table(content="1,2\n"), ("expected at least two readings", "but got 1")),
    "equal indications": (lambda: table(content="5,1\n5,2\n5,3\n"), ("indications that differ", "two temperatures")),
    "below absolute zero": (lambda: table(content="1,2\n3,-273.2\n"), ("row 3", "-273.15")),
    "a binary file": (binary, ("readings.csv", "binary file")),
    "a workbook": (workbook, ("a zip archive", "save it as CSV")),
    "a damaged Parquet": (damaged_parquet, ("readings.parquet", "damaged")),
    "a cut gzip": (cut_gzip, ("readings.csv.gz", "cut or damaged")),
    "a folder without tables": (folder_without_tables, ("empty holds no table", ".csv")),
    "an address": (
        lambda: ["--data.path=https://x.org/a.csv", "--data.indication=a", "--data.reference=b"],
        ("local file", "download it first"),
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    make, parts = TABLES[name]
    refused(run(capsys, "fit", *make()), *parts)


def test_unreadable_file(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    options, opened = table(), Path.open

    def refuse(path: Path, *args: Any, **kwargs: Any) -> Any:  # root, who runs tests in containers, may read every file
        if path.name == "readings.csv":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    refused(run(capsys, "fit", *options), "readings.csv may not be read by this user", "permissions")


OPTIONS: list[tuple[str, tuple[str, ...]]] = [
    ("--data.val_fraction 1.5", ("--data.val_fraction: expected a number from 0 to less than 1, but got 1.5",)),
    ("--data.test_fraction -0.1", ("--data.test_fraction: expected a number from 0",)),
    ("--data.val_fraction 0.6 --data.test_fraction 0.5", ("expected a sum below 1",)),
    ("--data.batch_size 0", ("--data.batch_size: expected a whole number from 1",)),
    ("--data.normalization -1", ("--data.normalization: expected a positive factor",)),
    ("--data.missing maybe", ("--data.missing: expected error or drop, but got maybe",)),
    ("--model.learning_rate -1", ("--model.learning_rate: expected a positive number, but got -1",)),
    ("--model.learning_rate 0", ("--model.learning_rate: expected a positive number",)),
    ("--model.learning_rate nan", ("--model.learning_rate: expected a number, but got nan",)),
    ("--model.learning_rate x", ("--model.learning_rate: expected a number, but got x",)),
    ("--model.steps_per_epoch 1.5", ("--model.steps_per_epoch: expected a whole number, but got 1.5",)),
    ("--model.snap nope", ("--model.snap: expected celsius, fahrenheit", "but got nope")),
    ("--model.w inf", ("--model.w: expected a number",)),
    ("--model.w .inf", ("--model.w, --model.b: expected finite numbers",)),
    ("--trainer.max_epoch 3", ("there is no option --trainer.max_epoch; did you mean --trainer.max_epochs?",)),
    ("--data.pth x", ("there is no option --data.pth; did you mean --data.path?",)),
    ("--trainer.max_epochs", ("--trainer.max_epochs: expected a value, but got none",)),
    ("stray", ("expected an option, but got 'stray'",)),
    ("--weights_only false", ("there is no option --weights_only",)),
    ("--optimizer Adm", ("--optimizer: expected the name of a class of Optimizer, but got Adm; did you mean Adam?",)),
    ("--optimizer Adam --optimizer.foo 3", ("--optimizer: Adam has no option foo",)),
    ("--optimizer SGD --optimizer.lr x", ("--optimizer.lr: expected a number, but got x",)),
    ("--optimizer SGD --optimizer.lr 0.1 --model.learning_rate 0.2", ("expected one of them, or the same number",)),
    ("--optimizer Muon", ("--optimizer: expected arguments that fit together", "2D")),
    ("--lr_scheduler StepLR", ("--lr_scheduler.step_size: expected a value, since StepLR needs one",)),
    ("--trainer.logger CSVLogger", ("--trainer.logger.save_dir: expected a value, since CSVLogger needs one",)),
    ("--trainer.callbacks EarlyStopping", ("--trainer.callbacks.monitor: expected a value",)),
    ("--ckpt_path nope.ckpt", ("--ckpt_path: expected a checkpoint, but there is no file nope.ckpt",)),
    ("--ckpt_path last", ("--ckpt_path last: expected a checkpoint of an earlier fit under logs/",)),
    ("--ckpt_path https://x.org/a.ckpt", ("expected a file on this computer", "download it first")),
    ("--config nope.yaml", ("--config: there is no file", "nope.yaml")),
]


@pytest.mark.parametrize(("words", "parts"), OPTIONS)
def test_options(words: str, parts: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    refused(run(capsys, "fit", *words.split(" ")), *parts)


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"model: {w: abc}", ("--model.w: expected a number, but got abc",)),
        (b"model: {x: 1}", ("--config: there is no option model.x",)),
        (b"modl: {w: 1}", ("--config: there is no option modl.w; did you mean model.w?",)),
        (b"fit: {model: {w: 1}}", ("expected the options of fit at the file's top level", "'fit:'; take it out")),
        (b"a: [1\n b: {", ("--config: expected YAML",)),
        (b"- 1\n- 2\n", ("--config: expected YAML",)),
        (b"\xff\xfe\x00\x01", ("--config: expected YAML",)),
    ],
)  # fmt: skip
def test_configurations(content: bytes, parts: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    Path("c.yaml").write_bytes(content)
    refused(run(capsys, "fit", "--config", "c.yaml"), *parts)


@pytest.mark.parametrize("command", ["validate", "test", "predict"])
def test_no_checkpoint(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    refused(run(capsys, command), f"--ckpt_path: expected a checkpoint, whose line {command} takes", "last")


def test_a_rate_with_which_full_batch_sgd_must_diverge(capsys: pytest.CaptureFixture[str]) -> None:
    # 2/λmax of [[2·mean(x²), 2·mean(x)], [2·mean(x), 2]] over the notebook's indications
    refused(
        run(capsys, "fit", "--data.normalization=none"),
        "--model.learning_rate: expected less than 0.0003399",
        "but got 0.01",
        "lower it, or normalise",
    )


def test_a_column_that_the_prediction_would_overwrite(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "fit", *table(), "--trainer.max_epochs=1").code == 0
    options = table("new.csv", header="shown,estimate\n")
    ended = run(capsys, "predict", "--ckpt_path=last", *options)
    assert ended.code == 2
    assert "without a column 'estimate', which predict adds; rename it" in ended.err
    assert not Path("logs/predict").exists()


def test_a_folder_that_cannot_be_made(capsys: pytest.CaptureFixture[str]) -> None:
    Path("logs").touch()
    ended = run(capsys, "fit")
    assert ended.code == 2
    assert "run's folder logs/fit/version_0, but got Not a directory" in ended.err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["no such file", "a cut gzip", "equal indications"])
def test_in_a_process_of_its_own(name: str) -> None:
    make, parts = TABLES[name]
    process = start("fit", *make())
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out, err.count("\n")) == (2, "", 1)
    assert all(part in err for part in parts)
    assert not Path("logs").exists()

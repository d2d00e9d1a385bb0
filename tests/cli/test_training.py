import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # it ships no types
from running import TABLE, checkpoint, files, parameters, refused, run, start, table

from thermofit_pl.__main__ import main
from thermofit_pl.cli.about import TRAINING

SHORT = ["--model.steps_per_epoch=20"]
ALWAYS = {"config.yaml", "calibration.json", "checkpoints/last.ckpt"}


@pytest.fixture(autouse=True)
def _somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def config(folder: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(Path(folder, "config.yaml").read_text(encoding="utf-8"))
    return loaded


LOGGERS = {
    "TensorBoard": ([], "logs/fit", {"events", "hparams.yaml"}),
    "none": (["--trainer.logger=false"], "logs/fit", set()),
    "CSV": (
        ["--trainer.logger=CSVLogger", "--trainer.logger.save_dir=logs"],
        "logs/fit",
        {"metrics.csv", "hparams.yaml"},
    ),
    "named": (
        [
            "--trainer.logger=CSVLogger",
            "--trainer.logger.save_dir=here",
            "--trainer.logger.name=mine",
            "--trainer.logger.version=0",
        ],
        "here/mine",
        {"metrics.csv", "hparams.yaml"},
    ),
    "elsewhere": (["--trainer.default_root_dir=else"], "else/fit", {"events", "hparams.yaml"}),
    "dummy": (["--trainer.logger=lightning.pytorch.loggers.logger.DummyLogger"], "logs/fit", set()),
}


@pytest.mark.parametrize("case", LOGGERS)
def test_a_run_has_one_folder_and_a_repeated_one_another(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    words, folder, more = LOGGERS[case]
    for _ in range(2):
        ended = run(capsys, "fit", *words, "--trainer.max_epochs=1")
        assert (ended.code, ended.err) == (0, "")
    found = set(files()) | {str(path) for path in Path().rglob("metrics.csv")}
    assert found == {f"{folder}/version_{n}/{name}" for n in (0, 1) for name in ALWAYS | more}


def test_several_loggers_share_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    Path("c.yaml").write_text(
        "trainer:\n  max_epochs: 1\n  logger:\n"
        "  - class_path: TensorBoardLogger\n    init_args: {save_dir: logs, name: mine, version: 3}\n"
        "  - class_path: CSVLogger\n    init_args: {save_dir: logs, name: mine, version: 3}\n",
        encoding="utf-8",
    )
    for version in (3, 4):
        ended = run(capsys, "fit", "--config=c.yaml")
        assert (ended.code, ended.err) == (0, "")
        assert files(f"logs/mine/version_{version}") == ALWAYS | {"events", "hparams.yaml"}
        assert Path(f"logs/mine/version_{version}/metrics.csv").exists()


def test_a_saved_configuration_runs_again(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*table(), "--optimizer=Adam", "--lr_scheduler=StepLR", "--lr_scheduler.step_size=2", *SHORT]
    words += ["--trainer.callbacks=EarlyStopping", "--trainer.callbacks.monitor=train/loss", "--trainer.max_epochs=3"]
    assert run(capsys, "fit", *words).code == 0
    assert run(capsys, "fit", "--config=logs/fit/version_0/config.yaml").code == 0
    assert config("logs/fit/version_0") == config("logs/fit/version_1")
    assert parameters("logs/fit/version_0") == parameters("logs/fit/version_1")


def test_printed_configuration_runs(capsys: pytest.CaptureFixture[str]) -> None:
    ended = run(capsys, "fit", "--model.w=2", "--print_config")
    assert (ended.code, ended.err) == (0, "")
    printed = yaml.safe_load(ended.out)
    assert printed["model"]["w"] == 2
    assert not {"weights_only", "return_predictions", "verbose"} & printed.keys()
    assert not Path("logs").exists()
    Path("c.yaml").write_text(ended.out, encoding="utf-8")
    assert run(capsys, "fit", "--config=c.yaml", "--trainer.max_epochs=1").code == 0
    assert config("logs/fit/version_0")["model"]["w"] == 2


@pytest.mark.parametrize("command", TRAINING)
def test_every_option_has_a_sentence(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: python -m thermofit_pl {command} [options]\n\n{TRAINING[command][:5].title()}")
    entries = re.split(r"^  (?=-)", text, flags=re.MULTILINE)[1:]
    assert len(entries) > 80
    for entry in entries:
        found = re.match(r"([^\n]*?)(?:\n|  )(.*?)(?:\n\n|\Z)", entry, flags=re.DOTALL)
        assert found, entry
        option, about = found.groups()
        assert len(about.partition("(type")[0].split()) >= 3, option
    assert "--weights_only" not in text


def test_the_help_says_what_holds_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Ends the fit after so many epochs, 10 if no other end is set" in text
    assert "last is the newest of the runs under logs/" in text
    assert "os.getcwd()" not in text
    assert "registry" not in text.replace("model_registry", "")


def test_validate_and_test_say_which_line_and_which_readings(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "fit", *table(), "--trainer.max_epochs=1").code == 0
    for command in ("validate", "test"):
        ended = run(capsys, command, "--ckpt_path=last")
        assert (ended.code, ended.err) == (0, "")
        first, second = ended.out.splitlines()
        assert first == (
            f"{command}: the least-squares line on all readings of readings.csv, those that it was trained on too"
        )
        assert re.fullmatch(r"rmse \S+ °C   mean error \S+ °C   largest error \S+ °C   R² \S+", second)
        assert files(f"logs/{command}/version_0") == {"config.yaml", "events", "hparams.yaml"}
    ended = run(capsys, "test", "--ckpt_path=last", *table("other.csv"))
    assert "on all readings of other.csv, those that it was trained on too" in ended.out  # a copy of them
    ended = run(capsys, "validate", "--ckpt_path=last", *table("others.csv", "1,2\n3,4\n5,6.5\n"))
    assert "on all readings of others.csv\n" in ended.out


def test_held_out_readings_are_counted_and_scored(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*table(), "--data.val_fraction=0.25", "--data.test_fraction=0.1", "--trainer.max_epochs=1"]
    out = run(capsys, "fit", *words, "--model.finish=none").out
    assert "\n13 readings of readings.csv" in out
    assert "\n5 readings were held out for validation: held-out readings of readings.csv.\n" in out
    assert "\n2 readings were held out for the test: held-out readings of readings.csv.\n" in out
    assert re.search(r"\nOn those for validation, SGD's line has rmse \S+ °C\.\n", out)
    said = [run(capsys, command, "--ckpt_path=last").out for command in ("validate", "test")]
    assert said[0].startswith("validate: SGD's line on held-out readings of readings.csv\n")
    assert said[1].startswith("test: SGD's line on held-out readings of readings.csv\n")
    assert said[0].splitlines()[1] != said[1].splitlines()[1]


def test_held_out_readings_that_may_have_been_trained_on_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "fit", *table(), "--data.val_fraction=0.25", "--trainer.max_epochs=1").code == 0
    table(content=TABLE + "40,41\n")
    ended = run(capsys, "validate", "--ckpt_path=last")
    assert ended.code == 2
    assert (
        "--data.path: expected the readings that the checkpoint was made from, but readings.csv holds others"
        in ended.err
    )
    assert not Path("logs/validate").exists()


def test_batches_of_scores_are_limited(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "fit", "--trainer.max_epochs=1").code == 0
    out = run(capsys, "validate", "--ckpt_path=last", "--trainer.limit_val_batches=1").out
    assert "(no more than 1 batches of them)" in out.splitlines()[0]
    out = run(capsys, "test", "--ckpt_path=last", "--trainer.limit_test_batches=0").out
    assert "No scores: no readings were taken." in out


GOING_ON = [
    (
        "--model.learning_rate=0.02",
        "--model.learning_rate: expected 0.01, with which the run of the checkpoint goes on",
    ),
    ("--model.w=3", "--model.w: expected 1.0"),
    ("--model.dtype=float32", "--model.dtype: expected float64"),
    ("--optimizer=Adam", "--optimizer: expected that of the checkpoint's run"),
    ("--optimizer=SGD --optimizer.momentum=0.5", "momentum"),
    ("--data.normalization=none", "normalised differently"),
    ("--data.val_fraction=0.5", "normalised differently"),
    ("--trainer.max_epochs=2", "--trainer.max_epochs: expected more than 2, which the run of the checkpoint has made"),
]


def test_going_on_with_other_settings_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "fit", *table(), "--trainer.max_epochs=2").code == 0
    for words, said in GOING_ON:
        ended = run(capsys, "fit", "--ckpt_path=last", "--trainer.max_epochs=4", *words.split())
        assert ended.code == 2
        assert said in ended.err
        assert [path.name for path in Path("logs/fit").iterdir()] == ["version_0"]


def test_going_on_with_other_readings_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "fit", *table(), "--trainer.max_epochs=2").code == 0
    table(content=TABLE.replace("17.30,0", "17.31,0"))
    ended = run(capsys, "fit", "--ckpt_path=last", "--trainer.max_epochs=4")
    assert ended.code == 2
    assert "expected the readings that the checkpoint was made from, but readings.csv holds others" in ended.err


def test_a_curve_is_named_shortly_and_a_misspelt_one_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--data.normalization=standard", "--trainer.max_epochs=1"]
    refused(
        run(capsys, "fit", *table(), *options, "--model.curve=Polynomal"),
        "--model.curve: expected the name of a class of Curve, but got Polynomal; did you mean Polynomial?",
        "There are Beta,",
        "Line, Offset, Polynomial, Proportional",
    )
    refused(
        run(capsys, "fit", *table(), *options, "--model.curve=Polynomial", "--model.curve.degree=40"),
        "Polynomial: expected a degree from 2 to 10, but got 40",
    )


@pytest.mark.parametrize("words", [[], ["--optimizer=Adam", *SHORT], ["--data.batch_size=6"]])
def test_more_epochs_go_on_as_if_there_had_been_no_pause(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "fit", *table(), *words, "--trainer.max_epochs=5").code == 0
    assert run(capsys, "fit", *table(), *words, "--trainer.max_epochs=2").code == 0
    Path("moved.ckpt").write_bytes(Path("logs/fit/version_1/checkpoints/last.ckpt").read_bytes())
    assert run(capsys, "fit", "--ckpt_path=last", "--trainer.max_epochs=5").code == 0
    assert parameters("logs/fit/version_2") == parameters("logs/fit/version_0")
    if not words:  # a checkpoint that stands alone tells the module's settings, not those of the readings
        assert run(capsys, "fit", "--ckpt_path=moved.ckpt", *table(), "--trainer.max_epochs=5").code == 0
        assert parameters("logs/fit/version_3") == parameters("logs/fit/version_0")


@pytest.mark.parametrize("content", ["10,1\n20,2\n", "10,5\n20,5\n30,5\n"])
def test_few_and_equal_readings_give_a_line(content: str, capsys: pytest.CaptureFixture[str]) -> None:
    ended = run(capsys, "fit", *table(content=content))
    assert (ended.code, ended.err) == (0, "")
    two = "Two readings give a line, but nothing about how far to trust it: take at least a third."
    assert (two in ended.out) == (content.count("\n") == 2)


def test_nothing_is_left_of_a_run_that_failed_before_a_checkpoint(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, stage: str) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr("thermofit_pl.cli.training.WriteCalibration.setup", fail)
    ended = run(capsys, "fit")
    assert (ended.code, "RuntimeError: no" in ended.err) == (1, True)
    assert not Path("logs").exists()


def test_the_module_is_what_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "fit", "--model.dtype=float32", "--trainer.max_epochs=1").code == 0
    assert str(checkpoint()["state_dict"]["w"].dtype) == "torch.float32"
    assert checkpoint()["hyper_parameters"]["dtype"] == "float32"


def test_an_unknown_command_line_leaves_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    refused(run(capsys, "fit", "--trainer.enable_checkpointing=perhaps"), "--trainer.enable_checkpointing: expected")


@pytest.mark.slow
def test_two_fits_at_once_get_a_folder_each() -> None:
    processes = [start("fit", "--trainer.max_epochs=1", "--figures=false") for _ in range(2)]
    for process in processes:
        _, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (0, "")
    assert sorted(path.name for path in Path("logs/fit").iterdir()) == ["version_0", "version_1"]

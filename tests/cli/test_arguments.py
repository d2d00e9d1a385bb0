from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import torch
import yaml  # type: ignore[import-untyped]  # it ships no types
from lightning.pytorch.cli import LightningArgumentParser
from running import run, table

from thermofit_pl.cli.arguments import arrange, split_off
from thermofit_pl.cli.building import BatchTrainer
from thermofit_pl.errors import InputError


@pytest.fixture(autouse=True)
def _somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run_with_checkpoint(folder: str, config: str | None, **settings: object) -> str:
    path = Path(folder) / "checkpoints" / "last.ckpt"
    path.parent.mkdir(parents=True)
    state = {name: torch.ones(1) for name in ("w", "b")}
    torch.save({"state_dict": state, "hyper_parameters": settings}, path)
    if config is not None:
        (Path(folder) / "config.yaml").write_text(config, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("fit --model.w 2 --config a.yaml", "fit --config a.yaml --model.w 2"),
        ("--config a.yaml fit --model.w 2", "fit --config a.yaml --model.w 2"),
        ("-c a.yaml fit --config=b.yaml", "fit -c a.yaml --config b.yaml"),
        ("fit --data.path x --data d.yaml --config a.yaml", "fit --config a.yaml --data d.yaml --data.path x"),
        ("fit --optimizer.lr 1 --optimizer Adam", "fit --optimizer Adam --optimizer.lr 1"),
        ("fit --trainer.logger.save_dir x --trainer.logger A", "fit --trainer.logger A --trainer.logger.save_dir x"),
        ("fit --config", "fit --config"),
    ],
)
def test_what_was_typed_wins_wherever_it_stands(typed: str, meant: str) -> None:
    assert arrange(typed.split()) == meant.split()


def test_options_before_the_command_are_refused() -> None:
    with pytest.raises(InputError, match=r"expected options after the command fit, but got --model\.w before it"):
        arrange(["--model.w", "2", "fit"])


def test_split_off_keeps_values_that_look_like_options() -> None:
    assert split_off(["--a", "--b", "--b=1", "x"], ("--a",)) == ([("--a", "--b")], ["--b=1", "x"])


def test_last_is_the_newest_of_all_runs_also_elsewhere() -> None:
    for folder in ("logs/fit/version_0", "logs/mine/version_1", "other/fit/version_0"):
        newest = run_with_checkpoint(folder, None)
    assert arrange(["fit", "--ckpt_path", "last"])[-1] == "logs/mine/version_1/checkpoints/last.ckpt"
    assert arrange(["fit", "--ckpt_path=last", "--trainer.default_root_dir=other"])[-1] == newest


def test_going_on_takes_all_settings_of_the_run() -> None:
    path = run_with_checkpoint("logs/fit/version_0", "model: {w: 3}")
    typed = ["fit", "--ckpt_path", path, "--config", "a.yaml", "--model.w=2"]
    expected = ["fit", "--config", "logs/fit/version_0/config.yaml", "--config", "a.yaml", "--model.w=2"]
    assert arrange(typed) == [*expected, "--ckpt_path", path]


def test_going_on_from_a_checkpoint_that_stands_alone_takes_what_it_says() -> None:
    path = run_with_checkpoint("alone", None, w=3.0, tolerance=None, stop_when_converged=True, _instantiator="x")
    assert arrange(["fit", "--ckpt_path", path])[1:4] == [
        "--model.w=3.0",
        "--model.tolerance=null",
        "--model.stop_when_converged=true",
    ]


DATA = {"path": "a b.csv", "indication": "x", "time": "t", "val_fraction": 0.2, "test_path": "t.csv", "missing": "drop"}


def test_scoring_takes_the_settings_of_the_readings_alone() -> None:
    path = run_with_checkpoint(
        "logs/fit/version_0", yaml.safe_dump({"data": DATA, "trainer": {"max_epochs": 3}}, sort_keys=False)
    )
    assert arrange(["validate", "--ckpt_path", path])[1:-2] == [
        *("--data.path=a b.csv", "--data.indication=x", "--data.time=t", "--data.val_fraction=0.2"),
        *("--data.test_path=t.csv", "--data.missing=drop"),
    ]


def test_another_table_has_no_parts_and_is_no_log() -> None:
    path = run_with_checkpoint("logs/fit/version_0", yaml.safe_dump({"data": DATA}))
    words = arrange(["test", "--ckpt_path", path, "--data.path", "new.csv"])
    for word in ("--data.val_fraction=0.0", "--data.test_path=null", "--data.time=null", "--data.missing=drop"):
        assert word in words
    assert words.index("--data.path=a b.csv") < words.index("--data.path")
    assert "--data.time=null" in arrange(["predict", "--ckpt_path", path])


def test_unreadable_settings_are_a_sentence() -> None:
    path = run_with_checkpoint("logs/fit/version_0", "[1, 2")
    with pytest.raises(InputError, match=r"expected YAML .* in logs/fit/version_0/config\.yaml, but"):
        arrange(["test", "--ckpt_path", path])


def test_a_configuration_loses_against_what_was_typed_before_it(capsys: pytest.CaptureFixture[str]) -> None:
    Path("c.yaml").write_text("model: {w: 3, b: 4}\ntrainer: {max_epochs: 1}\n", encoding="utf-8")
    assert run(capsys, "fit", "--model.w", "2", "--config", "c.yaml").code == 0
    written = yaml.safe_load(Path("logs/fit/version_0/config.yaml").read_text(encoding="utf-8"))
    assert (written["model"]["w"], written["model"]["b"], written["trainer"]["max_epochs"]) == (2, 4, 1)


@pytest.mark.parametrize("words", [["--optimizer=Adam"], ["--optimizer=Adam", "--optimizer.lr=0.01"]])
def test_one_learning_rate_for_module_and_optimiser(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    options = [*table(), *words, "--trainer.max_epochs=1"]
    rate = [] if len(words) > 1 else ["--model.learning_rate=0.01"]
    assert run(capsys, "fit", *options, *rate).code == 0
    written = yaml.safe_load(Path("logs/fit/version_0/config.yaml").read_text(encoding="utf-8"))
    assert written["model"]["learning_rate"] == written["optimizer"]["init_args"]["lr"] == 0.01


def test_a_scheduler_alone_gets_plain_sgd(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--lr_scheduler=StepLR", "--lr_scheduler.step_size=1", "--model.learning_rate=0.02"]
    assert run(capsys, "fit", *words, "--trainer.max_epochs=2").code == 0
    written = yaml.safe_load(Path("logs/fit/version_0/config.yaml").read_text(encoding="utf-8"))
    assert written["optimizer"]["class_path"] == "torch.optim.SGD"
    assert written["optimizer"]["init_args"]["lr"] == 0.02


@pytest.mark.parametrize(
    "option", ["limit_train_batches", "limit_val_batches", "limit_test_batches", "limit_predict_batches"]
)
def test_one_is_one_batch_whatever_typing_has_cached(option: str) -> None:
    hint = get_type_hints(BatchTrainer.__init__)[option]
    assert get_args(hint)[:2] == (int, float)
    parser = LightningArgumentParser()
    parser.add_lightning_class_args(BatchTrainer, "trainer")
    for typed, meant in (("1", int), ("0.5", float), ("1.0", float)):
        found = parser.parse_args([f"--trainer.{option}={typed}"]).trainer[option]
        assert (found, type(found)) == (float(typed), meant)
    assert type(parser.parse_args(["--trainer.val_check_interval=1"]).trainer.val_check_interval) is int

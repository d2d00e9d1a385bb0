"""Files from elsewhere: no code that nobody typed, bounded memory, one sentence for what has another structure."""

import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml  # type: ignore[import-untyped]  # it ships no types
from running import Ended, refused, run

from thermofit_pl.cli.trust import read_configuration, refuse_foreign_code
from thermofit_pl.errors import InputError

FOREIGN = """
from pathlib import Path
from lightning.pytorch import Callback
from torch.optim import SGD
Path(__file__).with_name("ran").touch()
class Evil(Callback): pass
class EvilSGD(SGD): pass
"""
NAMED: dict[str, Callable[[dict[str, Any]], None]] = {
    "a callback": lambda config: config["trainer"].update(callbacks=[{"class_path": "foreign.Evil"}]),
    "a callback by name": lambda config: config["trainer"].update(callbacks="foreign.Evil"),
    "an optimiser": lambda config: config.update(optimizer={"class_path": "foreign.EvilSGD"}),
    "a class' own": lambda config: config["trainer"].update(
        logger={"class_path": "CSVLogger", "init_args": {"save_dir": {"class_path": "foreign.Evil"}}}
    ),
    "another file": lambda config: config["trainer"].update(callbacks="more.yaml"),
    "a whole section": lambda config: config.update(trainer="more.yaml"),
}


@pytest.fixture(autouse=True)
def _somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "foreign", raising=False)
    Path("foreign.py").write_text(FOREIGN)
    Path("more.yaml").write_text("class_path: foreign.Evil\n")


def from_elsewhere(capsys: pytest.CaptureFixture[str], change: Callable[[dict[str, Any]], None]) -> None:
    """Leaves a run's folder, ``got``, whose configuration was changed."""
    assert run(capsys, "fit", "--trainer.max_epochs=1").code == 0
    shutil.move("logs/fit/version_0", "got")
    shutil.rmtree("logs")
    config = yaml.safe_load(Path("got/config.yaml").read_text(encoding="utf-8"))
    change(config)
    Path("got/config.yaml").write_text(yaml.safe_dump(config))


def go_on(capsys: pytest.CaptureFixture[str], *words: str) -> Ended:
    return run(capsys, "fit", "--ckpt_path=got/checkpoints/last.ckpt", "--trainer.max_epochs=2", *words)


@pytest.mark.parametrize("name", NAMED)
def test_code_that_nobody_typed_is_not_imported(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    from_elsewhere(capsys, NAMED[name])
    refused(go_on(capsys), "--ckpt_path: expected ", "got/config.yaml")
    assert not Path("ran").exists()


def test_code_that_was_typed_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    from_elsewhere(capsys, NAMED["a callback"])
    assert go_on(capsys, "--config=got/config.yaml").code == 0
    assert Path("ran").exists()
    assert go_on(capsys, "--trainer.callbacks=foreign.Evil").code == 0


def test_classes_of_torch_and_lightning_are_taken(capsys: pytest.CaptureFixture[str]) -> None:
    summary = {"class_path": "lightning.pytorch.callbacks.ModelSummary"}
    from_elsewhere(capsys, lambda config: config["trainer"].update(callbacks=[summary], default_root_dir="logs.old"))
    assert go_on(capsys).code == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "it is empty"),
        ("5", "but got 5"),
        ("model: 5", "expected options below model"),
        ("trainer: [1]", "expected options below trainer"),
        ("trainer: {callbacks: {5: 6}}", ""),
        ("trainer: {callbacks: [[[5]]]}", ""),
        ("optimizer: {class_path: [5]}", ""),
        ("optimizer: {class_path: SGD, init_args: 5}", ""),
        ("a: &a [*a]", "its aliases written out"),
        ("[" * 5000, ""),
        ("? {a: 1}\n: 2", ""),
        ("model: !!python/object/apply:os.mkdir [ran]", "could not determine a constructor"),
    ],
)
@pytest.mark.parametrize("how", ["typed", "a run's own"])
def test_another_structure_is_one_sentence(
    how: str, content: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("got/checkpoints").mkdir(parents=True)
    Path("got/config.yaml").write_text(content)
    state = {"w": torch.ones(1), "b": torch.ones(1)}
    torch.save({"state_dict": state}, "got/checkpoints/last.ckpt")
    refused(run(capsys, "fit", "--config=got/config.yaml") if how == "typed" else go_on(capsys), said)
    assert not Path("ran").exists()


BOMB = "a: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"b{k}: &a{k + 1} [{', '.join([f'*a{k}'] * 9)}]\n" for k in range(12)
)


def test_a_bomb_of_aliases_costs_no_memory() -> None:
    Path("bomb.yaml").write_text(BOMB)
    with pytest.raises(InputError, match="larger than 1 MiB, its aliases written out"):
        read_configuration(Path("bomb.yaml"), "--config")
    Path("few.yaml").write_text("a: &a {lr: 1}\nb: *a\n")
    assert read_configuration(Path("few.yaml"), "--config") == {"a": {"lr": 1}, "b": {"lr": 1}}


@pytest.mark.slow
def test_a_bomb_under_a_limit_of_memory() -> None:
    Path("bomb.yaml").write_text(BOMB)
    done = subprocess.run(
        [sys.executable, "-m", "thermofit_pl", "fit", "--config", "bomb.yaml"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30)),  # torch alone maps two
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done
    assert not Path("logs").exists()


def changed(checkpoint: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        checkpoint = checkpoint[parent]
    checkpoint[last] = value


@pytest.mark.parametrize("value", [5, [], {}, "x", None], ids=repr)
@pytest.mark.parametrize(
    "key", ["loops", "loops.fit_loop", "optimizer_states", "hyper_parameters", "callbacks", "lr_schedulers", "epoch"]
)
def test_a_checkpoint_of_another_structure(key: str, value: Any, capsys: pytest.CaptureFixture[str]) -> None:
    from_elsewhere(capsys, lambda config: None)
    checkpoint = torch.load("got/checkpoints/last.ckpt", weights_only=True)
    changed(checkpoint, key, value)
    torch.save(checkpoint, "got/checkpoints/last.ckpt")
    ended = go_on(capsys)
    if ended.code:  # some of it nobody looks at
        refused(ended, "--ckpt_path: ")


def test_what_looks_like_a_class_but_is_no_module_is_taken(tmp_path: Path) -> None:
    Path("c.yaml").write_text("trainer: {logger: {class_path: CSVLogger, init_args: {name: some.run}}}\n")
    refuse_foreign_code(Path("c.yaml"), [])

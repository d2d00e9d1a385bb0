"""Files and options that were made, or changed at random, to do harm: one sentence, no traceback, nothing runs."""

import contextlib
import io
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made import NOTEBOOK, calibration
from running import refused, run, table

from thermofit_pl.__main__ import main
from thermofit_pl.callbacks.checkpoints import load_checkpoint
from thermofit_pl.errors import InputError
from thermofit_pl.training.datamodule import ReadingsDataModule

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
TEXT = "shown,ref\n" + "".join(f"{17 + 0.54 * k:.2f},{k}\n" for k in range(20))
INSERTS = [
    "",
    ",",
    ";",
    '"',
    "\n",
    "\r",
    "\0",
    "\x1b[2J",
    "\xff",
    "é",
    "NaN",
    "1e999",
    "-",
    " ",
    "9" * 400,
    "{",
    "[",
    "null",
]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


class Payload:
    """Makes a folder when a careless loader unpickles it."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(Path("ran").absolute()),)


def saved() -> None:
    torch.save({"state_dict": {"w": torch.ones(1), "b": torch.ones(1)}, "extra": Payload()}, "c.ckpt")


@pytest.mark.parametrize("command", ["fit", "validate", "test", "predict"])
def test_a_checkpoint_that_carries_code_does_not_run(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    saved()
    torch.load("c.ckpt", weights_only=False)  # the payload works
    Path("ran").rmdir()
    refused(run(capsys, command, *table(), "--ckpt_path=c.ckpt"), "could not load c.ckpt (it carries code)")
    assert not Path("ran").exists()


@pytest.mark.parametrize("option", ["--weights_only=false", "--weights_only", "--fit.weights_only=false"])
def test_no_option_lifts_the_guard(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    saved()
    ended = run(capsys, "fit", *table(), "--ckpt_path=c.ckpt", option)
    assert ended.code == 2, ended
    assert not Path("ran").exists()


def test_no_variable_lifts_the_guard(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    saved()
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    refused(run(capsys, "validate", *table(), "--ckpt_path=c.ckpt"), "expected it unset")
    assert not Path("ran").exists()


def test_an_address_is_not_visited(capsys: pytest.CaptureFixture[str]) -> None:
    refused(run(capsys, "fit", *table(), "--ckpt_path=http://127.0.0.1:9/c.ckpt"), "expected a file on this computer")


def test_a_million_columns_are_read_or_refused(capsys: pytest.CaptureFixture[str]) -> None:
    Path("wide.csv").write_text(",".join(f"c{k}" for k in range(10**6)) + "\n")
    refused(run(capsys, "fit", "--data.path=wide.csv", "--data.indication=x", "--data.reference=y"), "wide.csv")


def test_no_control_character_reaches_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "a\x1b]0;title\x07\x9b2J\x00b"
    Path("t.csv").write_text(f"{evil},ref\n1,{evil}\n", encoding="utf-8")
    for words in (
        ["fit", "--data.path=t.csv", "--data.indication=x", "--data.reference=ref"],
        ["fit", "--data.path=t.csv", f"--data.indication={evil}", "--data.reference=ref"],
        ["fit", f"--data.path={evil}"],
        ["fit", f"--model.w={evil}"],
        ["fit", f"--{evil}"],
        ["show", evil],
        [evil],
    ):
        ended = run(capsys, *words)
        assert ended.code == 2, (words, ended)
        assert not CONTROL.search(ended.err.replace("\n", "")), ended.err


@pytest.fixture
def mutations(request: pytest.FixtureRequest) -> int:
    """How many inputs of each kind are tried."""
    count: int = request.config.getoption("--mutations")
    return count


def mutate(data: st.DataObject, content: str) -> str:
    """Replaces pieces of a text by others."""
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        end = min(len(content), start + data.draw(st.integers(0, 12)))
        new = data.draw(st.one_of(st.sampled_from(INSERTS), st.text(max_size=5)))
        content = content[:start] + new + content[end:]
    return content


def ended(words: list[str]) -> tuple[int, str]:
    """Runs a command in this process."""
    out, err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    assert not CONTROL.search(err.getvalue().replace("\n", "")), err.getvalue()
    return code, err.getvalue()


def often(times: int) -> settings:
    return settings(
        max_examples=times, deadline=None, database=None, suppress_health_check=list(HealthCheck), print_blob=True
    )


def harmless(words: list[str]) -> None:
    """Asserts that a command ends with 0 and no complaint, or with 2 and one sentence."""
    code, err = ended(words)
    assert (code, err.count("error: ")) == (0, 0) or (code, err.count("\n")) == (2, 1), (code, err)
    assert "Traceback" not in err


def test_tables_changed_at_random(mutations: int) -> None:
    @often(mutations)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        Path("t.csv").write_text(mutate(data, TEXT), encoding="utf-8", errors="surrogatepass", newline="")
        missing = data.draw(st.sampled_from(["error", "drop"]))
        readings = ReadingsDataModule("t.csv", "shown", "ref", missing=missing)  # type: ignore[arg-type]
        with contextlib.suppress(InputError):
            readings.setup("fit")
            assert bool(readings.line.w.isfinite().all())

    check()


def test_calibrations_changed_at_random(mutations: int) -> None:
    calibration(*NOTEBOOK).save("good.json")
    good = Path("good.json").read_text()
    Path("new.csv").write_text("t_u\n35.7\n55.9\n")

    @often(mutations)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        Path("c.json").write_text(mutate(data, good), encoding="utf-8", errors="surrogatepass", newline="")
        harmless(
            data.draw(st.sampled_from([["show", "c.json"], ["apply", "c.json", "new.csv", "--output", "out.csv"]]))
        )

    check()


def test_checkpoints_changed_at_random(mutations: int) -> None:
    torch.save({"state_dict": {"w": torch.ones(1), "b": torch.ones(1)}, "text": "x" * 99}, "good.ckpt")
    good = Path("good.ckpt").read_bytes()
    chance = random.Random(5)
    for _ in range(mutations):
        content = bytearray(good)
        for _ in range(chance.randint(1, 6)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        Path("c.ckpt").write_bytes(content[: chance.choice([len(content), chance.randrange(len(content))])])
        with contextlib.suppress(InputError):
            assert load_checkpoint(Path("c.ckpt"))["state_dict"].keys() == {"w", "b"}


OPTIONS = [
    "--data.batch_size=4",
    "--data.normalization=standard",
    "--data.val_fraction=0.2",
    "--data.seed=3",
    "--model.w=2",
    "--model.learning_rate=0.01",
    "--model.steps_per_epoch=50",
    "--model.dtype=float32",
    "--model.snap=celsius",
    "--model.tolerance=0.1",
    "--trainer.max_steps=10",
    "--trainer.precision=64-true",
    "--trainer.devices=1",
    "--trainer.accelerator=cpu",
    "--trainer.strategy=auto",
    "--trainer.gradient_clip_val=1",
    "--optimizer=Adam",
    "--lr_scheduler=StepLR",
    "--seed_everything=1",
    "--figures=false",
]


def test_options_changed_at_random(mutations: int, monkeypatch: pytest.MonkeyPatch) -> None:
    table("t.csv")

    @often(max(8, mutations // 20))
    @given(st.data())
    def check(data: st.DataObject) -> None:
        chosen = data.draw(st.lists(st.sampled_from(OPTIONS), min_size=1, max_size=3, unique=True))
        changed = [mutate(data, option) for option in chosen]
        words = ["fit", "--trainer.logger=false", "--trainer.max_epochs=1", "--figures=false", *table("t.csv")]
        if any("devices" in word or "strategy" in word or "num_nodes" in word for word in changed):
            return  # that would start processes
        if not any(word in ("-h", "--help") or "config" in word for word in changed):
            harmless([*words, *changed])

    check()


@pytest.mark.slow
def test_a_dozen_changed_at_random_through_the_command_line() -> None:
    chance = random.Random(11)
    calibration(*NOTEBOOK).save("good.json")
    good = Path("good.json").read_text()
    commands = [["show", "c.json"]] * 6 + [["fit", "--figures=false", "--trainer.max_epochs=1", *table("t.csv")]] * 6
    for words in commands:
        for name, content in (("c.json", good), ("t.csv", TEXT)):
            at = chance.randrange(len(content))
            changed = content[:at] + chance.choice(INSERTS) + content[at + chance.randrange(9) :]
            Path(name).write_text(changed, encoding="utf-8", newline="")
        command = [sys.executable, "-m", "thermofit_pl", *words]
        done = subprocess.run(command, text=True, capture_output=True, check=False)
        assert (done.returncode, done.stderr.count("\n")) in ((0, 0), (2, 1)), done

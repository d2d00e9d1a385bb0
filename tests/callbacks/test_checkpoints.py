import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from running import checkpoint, files, parameters, run, start, table

from thermofit_pl.callbacks.checkpoints import LIFTED, EpochCheckpoint, LocalCheckpointIO, load_checkpoint
from thermofit_pl.errors import InputError


@pytest.fixture(autouse=True)
def _somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


class Payload:
    """Runs code when it is unpickled by a careless loader."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, ("ran",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"state_dict": {"w": Payload(), "b": torch.ones(1)}}, r"could not load c\.ckpt \(it carries code\)"),
        ({"state_dict": {"w": torch.ones(1)}}, r"could not load c\.ckpt \(KeyError\)"),
        (
            {"state_dict": {"w": torch.ones(2), "b": torch.ones(1)}},
            r"w and b of as many instruments in c\.ckpt, but got \(2,\)",
        ),
        ([1, 2], r"could not load c\.ckpt \(TypeError\)"),
    ],
)
def test_what_is_no_checkpoint_is_refused(content: object, said: str) -> None:
    torch.save(content, "c.ckpt")
    with pytest.raises(InputError, match=said):
        load_checkpoint(Path("c.ckpt"))
    assert not Path("ran").exists()


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04" + bytes(50)])
def test_damaged_files_are_refused(content: bytes) -> None:
    Path("c.ckpt").write_bytes(content)
    with pytest.raises(InputError, match=r"could not load c\.ckpt"):
        load_checkpoint(Path("c.ckpt"))


@pytest.mark.parametrize("place", ["http://x.org/a.ckpt", "s3://x/a.ckpt", "hf://a", "registry:a"])
def test_addresses_are_refused(place: str) -> None:
    with pytest.raises(InputError, match="expected a file on this computer"):
        load_checkpoint(Path(place))


def test_the_variable_that_lifts_the_guard_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"state_dict": {"w": torch.ones(1), "b": torch.ones(1)}}, "c.ckpt")
    monkeypatch.setenv(LIFTED, "1")
    with pytest.raises(InputError, match="expected it unset, since it lets a checkpoint run code"):
        load_checkpoint(Path("c.ckpt"))


def test_writes_are_forced_to_the_disk_and_leave_nothing_half(monkeypatch: pytest.MonkeyPatch) -> None:
    forced: list[str] = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        forced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    content = {"state_dict": {"w": torch.ones(1), "b": torch.zeros(1)}}
    LocalCheckpointIO().save_checkpoint(content, "folder/c.ckpt")
    assert forced[0].endswith(".part.ckpt")
    assert forced[1] == "folder"
    assert files() == {"folder/c.ckpt"}
    assert LocalCheckpointIO().load_checkpoint("folder/c.ckpt", weights_only=False) == content

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    before = Path("folder/c.ckpt").read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"Expected to write folder/c\.ckpt, but got No space left on device"):
        LocalCheckpointIO().save_checkpoint(content, "folder/c.ckpt")
    assert files() == {"folder/c.ckpt"}
    assert Path("folder/c.ckpt").read_bytes() == before


def test_a_line_that_is_no_longer_one_is_never_written() -> None:
    for w in (float("nan"), float("inf")):
        content = {"state_dict": {"w": torch.tensor([1.0, w]), "b": torch.zeros(2)}}
        with pytest.raises(InputError, match=r"w and b were infinite before c\.ckpt was saved; lower it"):
            LocalCheckpointIO().save_checkpoint(content, "c.ckpt")
    assert files() == set()


def test_ends_of_epochs_are_saved_about_once_a_second_and_the_last_always(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now, saved = [0.0], []
    monkeypatch.setattr("thermofit_pl.callbacks.checkpoints.time.monotonic", lambda: now[0])
    save = Trainer.save_checkpoint

    def note(trainer: Trainer, path: Path) -> None:
        saved.append(trainer.current_epoch)
        save(trainer, path)

    def later(checkpoint: EpochCheckpoint, *_: object) -> None:
        now[0] += 0.3

    monkeypatch.setattr(Trainer, "save_checkpoint", note)
    monkeypatch.setattr(EpochCheckpoint, "on_train_epoch_start", later)
    assert run(capsys, "fit", "--trainer.max_epochs=10").code == 0
    assert saved == [3, 7, 10]  # at 1.2 and 2.4 s, and when all is done


def interrupting(monkeypatch: pytest.MonkeyPatch, number: signal.Signals, batches: int) -> None:
    """Sends this process a signal while it makes the step of a batch."""
    seen = [0]

    def on_train_batch_start(*_: object) -> None:
        seen[0] += 1
        if seen[0] == batches:
            signal.raise_signal(number)

    monkeypatch.setattr(EpochCheckpoint, "on_train_batch_start", on_train_batch_start)


CASES = {
    "full batch": (["--trainer.max_epochs=6"], 3),
    "Adam": (["--trainer.max_epochs=6", "--optimizer=Adam", "--model.steps_per_epoch=20"], 4),
    "scheduler": (["--trainer.max_epochs=6", "--lr_scheduler=ExponentialLR", "--lr_scheduler.gamma=0.9"], 2),
    "full batch, steps": (["--trainer.max_steps=2700"], 3),
    "mini-batches": (["--trainer.max_epochs=6", "--data.batch_size=6"], 10),
    "mini-batches, end of an epoch": (["--trainer.max_epochs=6", "--data.batch_size=6"], 8),
    "mini-batches, steps": (["--trainer.max_steps=21", "--data.batch_size=6"], 10),
    "mini-batches, steps, end of an epoch": (["--trainer.max_steps=21", "--data.batch_size=6"], 8),
    "mini-batches, accumulated": (
        ["--trainer.max_epochs=6", "--data.batch_size=3", "--trainer.accumulate_grad_batches=2"],
        17,
    ),
    "mini-batches, some, steps": (
        ["--trainer.max_steps=13", "--data.batch_size=6", "--trainer.limit_train_batches=3"],
        6,
    ),
    "mini-batches, some": (["--trainer.max_epochs=6", "--data.batch_size=6", "--trainer.limit_train_batches=3"], 8),
}


@pytest.mark.parametrize("case", CASES)
def test_a_stopped_fit_goes_on_to_the_last_bit(
    case: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words, batches = CASES[case]
    number = signal.SIGINT if "mini" in case else signal.SIGTERM
    assert run(capsys, "fit", *table(), *words).code == 0
    with monkeypatch.context() as patch:
        interrupting(patch, number, batches)
        ended = run(capsys, "fit", *table(), *words)
    assert ended.code == 128 + number
    assert ended.err == (
        f"thermofit_pl: stopped by {number.name} and saved; fit --ckpt_path "
        "logs/fit/version_1/checkpoints/last.ckpt goes on from there\n"
    )
    done = parameters("logs/fit/version_0")
    assert 0 < parameters("logs/fit/version_1")[2] < done[2]
    assert not Path("logs/fit/version_1/calibration.json").exists()
    assert run(capsys, "fit", "--ckpt_path=last").code == 0
    assert parameters("logs/fit/version_2") == done
    assert Path("logs/fit/version_2/calibration.json").exists()


def test_a_signal_in_the_last_epoch_lets_the_fit_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupting(monkeypatch, signal.SIGTERM, 2)
    ended = run(capsys, "fit", "--trainer.max_epochs=2")
    assert (ended.code, ended.err) == (143, "")
    assert Path("logs/fit/version_0/calibration.json").exists()


def test_a_fit_can_be_stopped_twice(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    words = [*table(), "--data.batch_size=6", "--trainer.max_epochs=6"]
    assert run(capsys, "fit", *words).code == 0
    with monkeypatch.context() as patch:
        interrupting(patch, signal.SIGTERM, 6)
        assert run(capsys, "fit", *words).code == 143
    with monkeypatch.context() as patch:
        interrupting(patch, signal.SIGTERM, 7)
        assert run(capsys, "fit", "--ckpt_path=last").code == 143
    assert run(capsys, "fit", "--ckpt_path=last").code == 0
    assert parameters("logs/fit/version_3") == parameters("logs/fit/version_0")


def test_without_checkpoints_a_signal_ends_at_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = "thermofit_pl.callbacks.progress.StepBar.on_train_batch_end"
    monkeypatch.setattr(stop, lambda *_: signal.raise_signal(signal.SIGTERM))
    ended = run(capsys, "fit", "--trainer.enable_checkpointing=false")
    assert (ended.code, ended.err) == (143, "thermofit_pl: stopped by SIGTERM\n")
    assert not list(Path("logs").rglob("*.ckpt"))


def test_a_checkpoint_carries_no_path_of_the_user(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "fit", *table("secret-name.csv"), "--trainer.max_epochs=1").code == 0
    assert b"secret-name" not in Path("logs/fit/version_0/checkpoints/last.ckpt").read_bytes()
    assert set(checkpoint()["ReadingsDataModule"]) == {"data_sha256", "unit"}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("words", [[], ["--data.batch_size=2"]])
def test_a_process_of_its_own_stops_within_seconds(number: signal.Signals, words: list[str]) -> None:
    process = start("fit", *table(), *words, "--trainer.max_epochs=100000000")
    while not Path("logs/fit/version_0/checkpoints/last.ckpt").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert err.startswith(f"thermofit_pl: stopped by {number.name} and saved")
    assert err.count("\n") == 1

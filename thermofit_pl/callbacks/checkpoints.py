"""Checkpoints: found, loaded without running anything, written whole, and good for going on."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from thermofit_pl.distributed.signals import Signals, Stopped
from thermofit_pl.errors import InputError, Setting
from thermofit_pl.files import atomic_write, is_unfinished
from thermofit_pl.formatting import printable

ADDRESSES = ("http:", "https:", "s3:", "gs:", "hf:", "registry")
# what Lightning raises at a checkpoint of another structure
BROKEN = (KeyError, TypeError, AttributeError, IndexError, ValueError, RuntimeError, AssertionError)
LIFTED = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"


def newest_checkpoint(root: Path) -> Path:
    """Returns the newest checkpoint of all runs under a folder."""
    finished = (path for path in root.glob("*/*/checkpoints/*.ckpt") if not is_unfinished(path))
    found = [(path.stat().st_mtime_ns, path) for path in finished]
    if not found:
        raise InputError(
            Setting("ckpt_path", "last"), f": expected a checkpoint of an earlier fit under {root}/, but there is none"
        )
    return max(found)[1]


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Loads a local checkpoint without running any code that it may carry.

    Args:
        path: The file.

    Raises:
        InputError: If it can't be loaded so, or is none of a fit.
    """
    name = printable(path)
    if os.environ.get(LIFTED, "").lower() in ("1", "y", "yes", "true"):
        raise InputError(f"{LIFTED}: expected it unset, since it lets a checkpoint run code; unset it")
    if "://" in str(path) or str(path).startswith(ADDRESSES):
        raise InputError(Setting("ckpt_path"), f": expected a file on this computer, but got {name}; download it first")
    if not path.is_file():
        raise InputError(
            Setting("ckpt_path"), f": expected a checkpoint, but there is no file {name}; last is the newest run's"
        )
    try:
        checkpoint: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        w, b = checkpoint["state_dict"]["w"], checkpoint["state_dict"]["b"]
        same = w.shape[:1] == b.shape and w.ndim in (1, 2)  # before curves, a line had a number an instrument
    except Exception as error:  # a damaged or hostile file fails in many ways
        what = "it carries code" if "Weights only" in str(error) else type(error).__name__
        raise InputError(
            Setting("ckpt_path"), f": expected a checkpoint of a fit, but could not load {name} ({what})"
        ) from error
    if not same:
        raise InputError(
            Setting("ckpt_path"),
            f": expected w and b of as many instruments in {name}, but got {tuple(w.shape)} and {tuple(b.shape)}",
        )
    return checkpoint


def broken(error: BaseException) -> InputError:
    """Says that a checkpoint could be loaded, but is not what a fit saved."""
    return InputError(
        Setting("ckpt_path"),
        f": expected a checkpoint of such a fit, but it holds something else ({type(error).__name__}: {error}); "
        "take it from its run again",
    )


class LocalCheckpointIO(TorchCheckpointIO):
    """Reads and writes checkpoints on the local disk: whole or absent, also after a power cut, and never as code."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Writes a checkpoint.

        Raises:
            InputError: If its line is no longer one.
        """
        place, state = Path(path), checkpoint["state_dict"]
        if not all(bool(state[name].isfinite().all()) for name in ("w", "b")):
            raise InputError(
                Setting("learning_rate"),
                ": expected one with which the optimiser converges, but w and b were infinite before "
                f"{place.name} was saved; lower it",
            )
        place.parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()  # in memory first: torch tells a full disk by a RuntimeError
        torch.save(checkpoint, content)
        with atomic_write(place) as temporary:
            temporary.write_bytes(content.getbuffer())

    def load_checkpoint(self, path: str | Path, map_location: Any = None, weights_only: bool | None = True) -> Any:
        """Reads a checkpoint; what it holds beside numbers, text and tensors is refused, whatever was asked for."""
        return load_checkpoint(Path(path))


class EpochCheckpoint(Checkpoint):
    """Saves ``last.ckpt``, from which a fit goes on: at ends of epochs, at its end, and where a signal stops it.

    Args:
        folder: Where to.
        signals: Those that ask the fit to stop.
        seconds: Least time before an end of an epoch is saved, from the start or the one saved last: all of them would
            halve the speed of short ones.
    """

    def __init__(self, folder: Path, signals: Signals, seconds: float = 1.0) -> None:
        self.path = folder / "last.ckpt"
        self._signals = signals
        self._seconds = seconds
        self._last = 0.0
        self._saved_step = -1

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Takes the folder of the first process, which has claimed it."""
        self.path = trainer.strategy.broadcast(self.path)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Waits for signals from now on, instead of ending at once."""
        self._signals.keep(True)
        self._last = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stops between mini-batches if a signal asks for it; the last of an epoch leaves that to the epoch's end."""
        accumulated = (batch_idx + 1) % trainer.accumulate_grad_batches == 0  # else a gradient would be lost
        if accumulated and not trainer.is_last_batch and (number := self._asked(trainer)):
            self._stop(trainer, number)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves, if it is time on the first process, and stops if a signal asks for it and more was to come."""
        if (number := self._asked(trainer)) and not trainer.fit_loop.done:
            self._stop(trainer, number)
        due = time.monotonic() - self._last >= self._seconds
        if trainer.strategy.broadcast(due) if trainer.world_size > 1 else due:
            self._save(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves the end of the fit."""
        if trainer.global_step != self._saved_step:
            self._save(trainer)
        self._signals.keep(False)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Lets signals end the command at once again."""
        self._signals.keep(False)

    def _asked(self, trainer: Trainer) -> int:
        """Returns the signal that has reached this process, or any other; 0 for none."""
        mine = self._signals.received or 0
        if trainer.world_size == 1:
            return mine
        everywhere = torch.tensor(mine, device=trainer.strategy.root_device)
        return int(trainer.strategy.reduce(everywhere, reduce_op="max"))

    def _stop(self, trainer: Trainer, number: int) -> None:
        self._save(trainer)
        where = f" and saved; fit --ckpt_path {self.path} goes on from there"
        raise Stopped(number, where)

    def _save(self, trainer: Trainer) -> None:
        trainer.save_checkpoint(self.path)
        self._last, self._saved_step = time.monotonic(), trainer.global_step

"""Around the building of a Trainer: what it is given, what it says of that, and where its files go."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.profilers import PassThroughProfiler

Share = int | float | None


class BatchTrainer(Trainer):
    """Lightning's Trainer, of which a whole number of batches is one: 1 is one batch, and 1.0 all of them.

    Lightning annotates these options by ``Union[int, float]``, for which Python's typing gives ``Union[float, int]``
    where another package has named that first; jsonargparse would then read 1 as 1.0.

    Args:
        limit_train_batches: How many mini-batches of an epoch are trained on: a number of them, or a share such as 0.5.
        limit_val_batches: How many batches are scored in a validation: a number of them, or a share.
        limit_test_batches: How many batches are scored in a test: a number of them, or a share.
        limit_predict_batches: How many batches are predicted: a number of them, or a share.
        val_check_interval: After how many mini-batches, or which share of an epoch, readings are scored.
    """

    def __init__(
        self,
        *args: Any,
        limit_train_batches: Share = None,
        limit_val_batches: Share = None,
        limit_test_batches: Share = None,
        limit_predict_batches: Share = None,
        val_check_interval: int | float | str | dict[str, int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            *args,
            limit_train_batches=limit_train_batches,
            limit_val_batches=limit_val_batches,
            limit_test_batches=limit_test_batches,
            limit_predict_batches=limit_predict_batches,
            val_check_interval=val_check_interval,
            **kwargs,
        )


def listed(value: Any) -> list[Any]:
    """Returns one value, several or none as a list."""
    return [] if value is None else list(value) if isinstance(value, list | tuple) else [value]


def about_trainer(message: str, config: Mapping[str, Any]) -> str:
    """Names the option that a complaint of the Trainer is about, as far as it tells."""
    typed = {name: str(value).lower() for name, value in config.items() if value not in (None, False, True, "auto")}
    text = message.lower()
    marks = {name: 2 * (value in text) + (name in text) for name, value in typed.items() if len(value) < 40}
    best = max(marks, key=lambda name: marks[name])
    return f"--trainer{f'.{best}' if marks[best] else ''}: {message}"


def optimizer_of(configured: Any) -> torch.optim.Optimizer:
    """Returns the optimiser out of what ``configure_optimizers`` returned."""
    if isinstance(configured, dict):
        configured = configured["optimizer"]
    elif isinstance(configured, tuple):
        configured = configured[0][0]
    assert isinstance(configured, torch.optim.Optimizer)
    return configured


def place_files(trainer: Trainer, folder: Path) -> None:
    """Puts into the run's folder what has no other place of its own.

    Args:
        trainer: As built.
        folder: The run's.
    """
    for callback in trainer.callbacks:  # type: ignore[attr-defined]  # set by the connector, not in the class
        if isinstance(callback, ModelCheckpoint) and callback.dirpath is None:
            callback.dirpath = str(folder / "checkpoints")
    profiler = trainer.profiler  # type: ignore[attr-defined]  # likewise
    if not isinstance(profiler, PassThroughProfiler):
        profiler.dirpath = profiler.dirpath or folder
        profiler.filename = profiler.filename or "profile"

"""Around the building of a Trainer: what it is given, what it says of that, and where its files go."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.profilers import PassThroughProfiler


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

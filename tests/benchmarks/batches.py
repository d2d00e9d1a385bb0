"""Mini-batches through ``Trainer.fit`` beside a hand-written loop and what Lightning itself costs a step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from thermofit_pl import CalibrationModule, ReadingsDataModule

from .data import readings, write
from .measuring import Row, Sizes, in_turns, median, seconds
from .steps import hushed

SIZE = 1024  # readings in a batch


class EmptyModule(LightningModule):
    """Lightning alone: one step's hooks around next to nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.number = nn.Parameter(torch.zeros(()))

    def training_step(self, batch: int, batch_idx: int) -> Tensor:
        return self.number

    def configure_optimizers(self) -> Optimizer:
        return SGD(self.parameters(), lr=0.0)


def loop(x: Tensor, y: Tensor) -> None:
    """One pass over shuffled readings, by hand."""
    w, b = (torch.zeros(1, dtype=x.dtype, requires_grad=True) for _ in range(2))
    optimizer = SGD([w, b], lr=1e-2)
    order = torch.randperm(len(x))
    x, y = x[order], y[order]
    for start in range(0, len(x), SIZE):
        optimizer.zero_grad()
        loss = (w * x[start : start + SIZE] + b - y[start : start + SIZE]).square().mean()
        loss.backward()  # type: ignore[no-untyped-call]  # torch ships no type for it
        optimizer.step()


def trainer() -> Trainer:
    """Returns a Trainer of one epoch with nothing beside."""
    return Trainer(
        max_epochs=1,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def rows(sizes: Sizes, folder: Path) -> Iterator[Row]:
    """Measures an epoch of mini-batches; the table is read beforehand."""
    path = folder / "batches.parquet"
    write(sizes.readings, path)
    data = ReadingsDataModule(str(path), "indication", "reference", batch_size=SIZE)
    data.setup("fit")
    columns = (torch.from_numpy(column) for column in readings(sizes.readings))
    x, y = next(columns) / 20 - 2.75, next(columns)
    steps = -(-sizes.readings // SIZE)
    empty: Any = range(steps)

    def ours() -> float:
        with hushed():
            return seconds(lambda: trainer().fit(CalibrationModule(), data))

    def nothing() -> float:
        with hushed():
            return seconds(lambda: trainer().fit(EmptyModule(), empty))

    found = in_turns(sizes.repeats, {"ours": ours, "loop": lambda: seconds(lambda: loop(x, y)), "nothing": nothing})
    ratios = [(a + b) / c for a, b, c in zip(found["loop"], found["nothing"], found["ours"], strict=True)]
    each = {name: f"{median(taken) / steps * 1e6:.0f}" for name, taken in found.items()}
    yield Row(
        f"{sizes.readings} readings by {SIZE}, steps/s: Trainer.fit / (loop by hand + Lightning's own)",
        ratios,
        f"{each['ours']} and {each['loop']} + {each['nothing']} µs a step",
        ("≥", 0.8),
    )

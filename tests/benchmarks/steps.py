"""Steps a second: full-batch SGD through ``Trainer.fit`` beside the notebook's loop and a plain Lightning module."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor
from torch.optim import SGD, Adam, Optimizer
from torch.utils.data import DataLoader, TensorDataset
from tqdm import tqdm

from thermofit_pl import CalibrationModule, ReadingsDataModule
from thermofit_pl.callbacks.checkpoints import EpochCheckpoint
from thermofit_pl.callbacks.progress import StepBar
from thermofit_pl.callbacks.tensorboard import Curves
from thermofit_pl.distributed.signals import Signals

from .data import NOTEBOOK, readings, write
from .measuring import Row, Sizes, divided, in_turns, median


class AdamModule(CalibrationModule):
    """Ours, with Adam."""

    def configure_optimizers(self) -> Optimizer:
        return Adam([self.w, self.b], lr=1e-2)


class PlainModule(LightningModule):
    """What one writes after Lightning's tutorial."""

    def __init__(self) -> None:
        super().__init__()
        self.line = torch.nn.Linear(1, 1)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        x, y = batch
        loss = torch.nn.functional.mse_loss(self.line(x), y)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> Optimizer:
        return SGD(self.parameters(), lr=1e-2)


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Lets nothing reach the terminal; what is printed is made all the same."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def notebook(
    steps: int, indication: Tensor, reference: Tensor, optimizer: Callable[..., Optimizer] | None = None
) -> float:
    """The notebook's loop: returns its steps a second."""
    params = torch.tensor([1.0, 0.0], requires_grad=True)
    chosen = optimizer([params], lr=1e-2) if optimizer else None
    start = time.perf_counter()
    with hushed():
        for step in tqdm(range(1, steps + 1)):
            if params.grad is not None:
                params.grad.zero_()
            w, b = params
            loss = ((w * indication + b - reference) ** 2).mean()
            loss.backward()
            if chosen is None:
                with torch.no_grad():
                    assert params.grad is not None
                    params -= 1e-2 * params.grad
            else:
                chosen.step()
            if step % 500 == 0:
                print(f"Epoch {step}, Loss {float(loss):f}")
    return steps / (time.perf_counter() - start)


def ours(
    steps: int,
    folder: Path,
    module: CalibrationModule | None = None,
    *,
    path: Path | None = None,
    defaults: bool = False,
) -> float:
    """Returns the steps a second of ``Trainer.fit``, from before the table is read until the result is written.

    Args:
        steps: How many.
        folder: Where the run goes.
        module: What to train.
        path: The table; None for the notebook's readings.
        defaults: Whether the checkpoints and the bar are Lightning's own, a checkpoint every epoch, in the place of the
            command's.
    """
    module = module or CalibrationModule()
    data = ReadingsDataModule() if path is None else ReadingsDataModule(str(path), "indication", "reference")
    with Signals() as signals:
        callbacks: list[Callback] = [Curves(folder, draw=False)]
        callbacks += [] if defaults else [StepBar(), EpochCheckpoint(folder / "checkpoints", signals)]
        trainer = trainer_for(folder, max(1, steps // module.steps_per_epoch), callbacks)
        start = time.perf_counter()
        with hushed():
            trainer.fit(module, data)
        return steps / (time.perf_counter() - start)


def plain(steps: int, folder: Path, *, steps_per_epoch: int = 1) -> float:
    """Returns the steps a second of a plain Lightning module, with Lightning's own logging, bar and checkpoints."""
    x, y = (torch.tensor(column)[:, None] for column in NOTEBOOK)
    copies = TensorDataset(*(column.repeat(steps_per_epoch, 1) for column in (0.1 * x, y)))
    trainer = trainer_for(folder, max(1, steps // steps_per_epoch), [], log_every_n_steps=50)
    start = time.perf_counter()
    with hushed():
        trainer.fit(PlainModule(), DataLoader(copies, batch_size=len(x)))
    return steps / (time.perf_counter() - start)


def trainer_for(
    folder: Path, epochs: int, callbacks: list[Callback], **options: Any
) -> Trainer:  # options are Trainer's
    """Returns a Trainer on the CPU with TensorBoard logging."""
    return Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        devices=1,
        logger=TensorBoardLogger(folder),
        callbacks=callbacks,
        enable_progress_bar=True,
        enable_model_summary=False,
        default_root_dir=folder,
        **options,
    )


def rows(sizes: Sizes, folder: Path) -> Iterator[Row]:
    """Measures steps a second."""
    x, y = torch.tensor(NOTEBOOK[0]) * 0.1, torch.tensor(NOTEBOOK[1])
    few, many, slow = sizes.steps, sizes.many_steps, sizes.slow_steps
    found = in_turns(
        sizes.repeats,
        {
            "notebook": lambda: notebook(few, x, y),
            "few": lambda: ours(few, folder),
            "many": lambda: ours(many, folder),
            "defaults": lambda: ours(many, folder, defaults=True),
            "plain": lambda: plain(slow, folder),
            "epochs": lambda: plain(10 * slow, folder, steps_per_epoch=slow),
            "adam": lambda: ours(few, folder, AdamModule()),
            "torch adam": lambda: notebook(few, x, y, Adam),
        },
    )
    yield row(f"{few} steps of SGD, Trainer.fit / notebook's loop", found, "few", "notebook", 2)
    yield row(f"{many} steps of SGD, Trainer.fit / notebook's loop", found, "many", "notebook", 10)
    yield row(f"{many} steps, Lightning's bar and a checkpoint a lap / notebook's", found, "defaults", "notebook")
    yield row(f"{few} steps of SGD, Trainer.fit / plain Lightning, a step an epoch", found, "few", "plain")
    yield row(f"{few} steps of SGD, Trainer.fit / plain Lightning, {slow} steps an epoch", found, "few", "epochs")
    yield row(f"{few} steps of Adam, Trainer.fit / the same in the notebook's loop", found, "adam", "torch adam")
    path = folder / "readings.parquet"
    write(sizes.readings, path)
    large_x, large_y = (torch.from_numpy(column).float() for column in readings(sizes.readings))
    found = in_turns(
        sizes.repeats,
        {
            "large": lambda: ours(few, folder, CalibrationModule(learning_rate=0.1), path=path),
            "notebook": lambda: notebook(slow, (large_x - 55) / 20, large_y),
        },
    )
    what = f"{few} steps of SGD on {sizes.readings} readings, Trainer.fit / notebook's loop"
    yield row(what, found, "large", "notebook", 100)


def row(what: str, found: dict[str, list[float]], first: str, second: str, least: float | None = None) -> Row:
    """Returns the row of two of the rates."""
    figures = f"{median(found[first]):,.0f} and {median(found[second]):,.0f} steps/s".replace(",", " ")
    return Row(what, divided(found[first], found[second]), figures, None if least is None else ("≥", least))

"""What a fit shows while it goes on: a bar over the bytes of its table, one over its steps, and lines with the loss."""

from __future__ import annotations

import sys
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from tqdm.auto import tqdm

from thermofit_pl.training.module import CalibrationModule, calibration_module

LINES = 20  # of losses that a run prints, at the most
SECONDS = 1.0  # that a table is read for before a bar tells how far it is


class ReadingBar:
    """A bar over the bytes of a table that takes long to read, where somebody can see it; for a data module."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None

    def __call__(self, done: int, total: int) -> None:
        """Moves the bar.

        Args:
            done: Bytes read so far.
            total: Bytes of the table.
        """
        if self._bar is None:
            look: dict[str, Any] = {"desc": "reading", "unit": "B", "unit_scale": True, "leave": False}
            self._bar = tqdm(total=total, disable=not sys.stderr.isatty(), delay=SECONDS, **look)
        self._bar.update(done - self._bar.n)
        if done >= total:
            self._bar.close()
            self._bar = None


class StepBar(ProgressBar):
    """One bar over all steps of a fit, and a line with the loss at the end of an epoch."""

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True
        self._bar: tqdm[Any] | None = None
        self._printed = -1

    def disable(self) -> None:
        """Shows nothing, as on all processes but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Shows the bar and the lines."""
        self._enabled = True

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the bar, where somebody can see it, once the module knows how many steps there will be."""
        if self._enabled and self._bar is None:
            module = calibration_module(pl_module)
            hidden = not sys.stderr.isatty()
            self._bar = tqdm(
                total=module.layout.total, initial=module.steps, unit=" steps", disable=hidden, leave=False
            )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Moves the bar."""
        if self._bar is not None:
            self._bar.update(calibration_module(pl_module).steps - self._bar.n)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prints the loss, at the end of every epoch where there are few, as the notebook does every 500 steps."""
        if self._enabled:
            module, epoch = calibration_module(pl_module), trainer.current_epoch + 1
            due = is_printed(epoch, self._epochs(trainer, module)) or trainer.fit_loop.done
            if due and module.steps > self._printed:
                self._printed = module.steps
                if sys.stdout is not None:  # else tqdm would fail, where print does nothing
                    loss = module.last_loss()
                    text = f"{loss:.6f}" if loss >= 1e-3 else f"{loss:.4g}"
                    tqdm.write(f"step {module.steps:>7}   loss {text}", file=sys.stdout)

    @staticmethod
    def _epochs(trainer: Trainer, module: CalibrationModule) -> int | None:
        """How many epochs the fit will have, where an end is set."""
        lap = module.steps_per_epoch if module.lap is not None else max(1, int(trainer.num_training_batches))
        return None if module.layout.total is None else -(-module.layout.total // lap)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Ends the bar."""
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Ends the bar, so that what is said next stands on a line of its own."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def is_printed(epoch: int, epochs: int | None) -> bool:
    """Whether an epoch's loss is printed: at most ``LINES`` of a fit, and where no end is set, ever fewer.

    Args:
        epoch: Counted from 1.
        epochs: How many the fit will have.
    """
    return epoch & (epoch - 1) == 0 if epochs is None else epoch % max(1, -(-epochs // LINES)) == 0

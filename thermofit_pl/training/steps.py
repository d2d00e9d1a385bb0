"""How many steps a run makes, and which of them its curves show."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, cast

from lightning.pytorch.callbacks import Callback

from thermofit_pl.training.loaders import FullBatch

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer

    from thermofit_pl.training.module import CalibrationModule

POINTS = 190  # of a curve, before the ends of laps: TensorBoard draws at most 1,000 and a person sees fewer
PRINTED = range(500, 5001, 500)  # the steps whose losses the notebook prints
ENDLESS = 1000  # epochs after which the points of a curve thin out where no end is set


class StepLayout(Callback):
    """Counts a run in steps of the optimiser, of which a lap makes many in one of Lightning's batches.

    It takes Trainer's ``max_steps`` over, which Trainer would compare with the number of laps, and gives it back.

    Attributes:
        max_steps: After how many steps the run ends; -1 where Trainer sets no such end.
        total: How many steps the run will make; None where no end is set.
        shown: The steps that a curve shows, counted from 1, in order.
    """

    def __init__(self) -> None:
        self.max_steps = -1
        self.total: int | None = None
        self.shown: list[int] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Takes over ``max_steps``, before Trainer goes on from an epoch's end as if from within that epoch."""
        if stage == "fit":
            limits = trainer.fit_loop.epoch_loop
            self.max_steps, limits.max_steps = limits.max_steps, -1

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Gives ``max_steps`` back."""
        if stage == "fit":
            trainer.fit_loop.epoch_loop.max_steps = self.max_steps

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lays the curves out over the run's steps."""
        lap = int(min(trainer.num_training_batches, 1_000_000))
        epochs = trainer.max_epochs if trainer.max_epochs not in (None, -1) else None
        if isinstance(trainer.train_dataloader, FullBatch):
            lap = cast("CalibrationModule", pl_module).steps_per_epoch
        ends = [end for end in (epochs * lap if epochs else -1, self.max_steps) if end != -1]
        self.total = min(ends) if ends else None
        self.shown = endless_steps(lap) if self.total is None else shown_steps(self.total, lap)

    def shows(self, step: int) -> bool:
        """Whether a curve shows a step."""
        index = bisect_left(self.shown, step)
        return index < len(self.shown) and self.shown[index] == step

    def between(self, first: int, last: int) -> list[int]:
        """Returns the steps that a curve shows from the first to the last, both included."""
        return self.shown[bisect_left(self.shown, first) : bisect_right(self.shown, last)]


def shown_steps(total: int, lap: int) -> list[int]:
    """Returns the steps, counted from 1, that a curve of a run shows.

    All of a few. Of many, 100 to 400 at equal ratios, so that the curve is dense where the loss falls fast; the ends of
    laps are among them, thinned evenly where there are more than ``POINTS``, and those that the notebook prints.

    Args:
        total: Steps of the whole run.
        lap: Steps of a lap.
    """
    if total <= 2 * POINTS:
        return list(range(1, total + 1))
    chosen = {round(total ** (k / POINTS)) for k in range(POINTS + 1)} | {1, total}
    chosen |= {step for step in PRINTED if step <= total}
    every = lap * max(1, -(-(total // lap) // POINTS))
    return sorted(chosen | set(range(every, total + 1, every)))


def endless_steps(lap: int) -> list[int]:
    """Returns the steps that a curve shows of a run without an end: from ``ENDLESS`` laps on, ends of laps, 2 % apart.

    There are fewer than 2,500 up to 10^15 laps: an event file of half a megabyte.

    Args:
        lap: Steps of a lap.
    """
    later = {lap * round(ENDLESS * 1.02**k) for k in range(1, 1400)}
    return [*shown_steps(ENDLESS * lap, lap), *sorted(later)]

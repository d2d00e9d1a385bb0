"""The numbers of a fit for every logger, against our own count of steps: a lap makes many in one of Lightning's."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

import torch
from lightning.pytorch.callbacks import Callback

from thermofit_pl.metrics.least_squares import distance
from thermofit_pl.training.datamodule import ReadingsDataModule
from thermofit_pl.training.laps import Points
from thermofit_pl.training.options import is_rehearsal
from thermofit_pl.training.steps import POINTS

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer

    from thermofit_pl.training.module import CalibrationModule

SECONDS = 1.0  # between writes: one at each end of a lap would take as long as the lap
Rows = dict[int, dict[str, float]]  # numbers by their names, by step


class Scalars(Callback):
    """Writes loss, coefficients, distance and scores of a fit to its loggers."""

    def __init__(self) -> None:
        self._new = Points()  # that the loggers don't have yet
        self._last_point = 0
        self._scores: Rows = {}
        self._last_scores = -1
        self._last_write = time.monotonic()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forgets a fit before: a Trainer may train another module."""
        self._last_point, self._last_scores = 0, -1

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keeps the points of a lap, or of a mini-batch's step, and writes them now and then."""
        if not self._writes(trainer):
            return
        module = cast("CalibrationModule", pl_module)
        if module.lap is not None:
            self._keep(module.lap.points)
        elif module.layout.shows(module.steps):
            loss = float(outputs["loss"]) if trainer.world_size == 1 else module.last_loss()  # not of a share alone
            self._keep(point(module, loss))
        if time.monotonic() - self._last_write > SECONDS:
            self._write(trainer, module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keeps the scores of the validation readings; where no fit runs, Lightning logs them."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking and self._writes(trainer):
            self._keep_scores_if_due(trainer, cast("CalibrationModule", pl_module))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keeps the scores of the training readings, where none are held out and no validation runs."""
        if not trainer.enable_validation and self._writes(trainer):
            self._keep_scores_if_due(trainer, cast("CalibrationModule", pl_module))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the end of the curves."""
        if not self._writes(trainer):
            return
        module = cast("CalibrationModule", pl_module)
        if module.steps and module.steps > self._last_point:
            self._keep(point(module, module.last_loss()))
        if module.steps > self._last_scores:
            self._keep_scores(trainer, module.steps)
        self._write(trainer, module)

    def _writes(self, trainer: Trainer) -> bool:
        return trainer.is_global_zero and not is_rehearsal(trainer)

    def _keep(self, points: Points) -> None:
        for name in ("steps", "loss", "w", "b"):
            getattr(self._new, name).extend(getattr(points, name))
        self._last_point = max([self._last_point, *points.steps[-1:]])

    def _keep_scores_if_due(self, trainer: Trainer, module: CalibrationModule) -> None:
        # without an end, the points thin out as the run grows: one at every epoch was 4 GB a day
        due = module.steps - self._last_scores >= (module.layout.total or module.steps) / POINTS
        if due or module.layout.shows(module.steps):
            self._keep_scores(trainer, module.steps)

    def _keep_scores(self, trainer: Trainer, step: int) -> None:
        found = {name: value.item() for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        if found:
            self._scores[step] = found
            self._last_scores = step

    def _write(self, trainer: Trainer, module: CalibrationModule) -> None:
        """Writes the points and scores that the loggers don't have yet."""
        rows = self._rows(trainer, module)
        for step, scores in self._scores.items():
            rows.setdefault(step, {}).update(scores)
        self._log(trainer, rows)
        self._new, self._scores = Points(), {}
        self._last_write = time.monotonic()

    def _rows(self, trainer: Trainer, module: CalibrationModule) -> Rows:
        """Returns the new points in the user's units; of a fleet, the farthest distance."""
        new = self._new
        if not new.steps or not trainer.loggers:
            return {}
        w, b = module.normalization.to_raw(torch.stack(new.w), torch.stack(new.b))
        columns, curve = {"train/loss": new.loss}, module.curve
        if len(module.w) == 1:
            quoted = curve.conventional(torch.cat([b, w[:, 0]], dim=-1).cpu().numpy())
            columns |= {f"line/{name}": quoted[:, j].tolist() for j, name in enumerate(curve.conventional_names)}
        data = getattr(trainer, "datamodule", None)
        if isinstance(data, ReadingsDataModule):
            moments = data.moments["train"]
            away = torch.where(moments.has_curve, distance(moments, w.cpu(), b.cpu()), 0.0)
            columns["line/distance"] = away.amax(dim=1).tolist()
        return {step: {name: column[i] for name, column in columns.items()} for i, step in enumerate(new.steps)}

    def _log(self, trainer: Trainer, rows: Rows) -> None:
        for logger in trainer.loggers:
            for step in sorted(rows):
                logger.log_metrics(rows[step], step)


def point(module: CalibrationModule, loss: float) -> Points:
    """Returns a module's line as it is, as the one point of a curve."""
    return Points([module.steps], [loss], [module.w.detach().cpu().clone()], [module.b.detach().cpu().clone()])

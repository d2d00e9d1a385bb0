"""What a run leaves to look at: its curves, its row among other runs, its figures and its text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from torch import Tensor

from thermofit_pl.calibration.calibration import Calibration
from thermofit_pl.calibration.calibrations import Calibrations
from thermofit_pl.callbacks.hparams import in_words, result_of, settings_of
from thermofit_pl.curves.line import Line
from thermofit_pl.files import atomic_write
from thermofit_pl.functional.units import Units
from thermofit_pl.metrics.modes import root
from thermofit_pl.reports import figures, fleet_figures
from thermofit_pl.reports.candidates import table
from thermofit_pl.reports.descent import Bowl, Descent, worst_determined
from thermofit_pl.reports.drawing import SIZE
from thermofit_pl.reports.summary import summary
from thermofit_pl.reports.tensorboard import Board, as_code, as_list
from thermofit_pl.training.datamodule import ReadingsDataModule
from thermofit_pl.training.laps import PlainSgd, Points, is_plain_sgd
from thermofit_pl.training.module import CalibrationModule, calibration_module
from thermofit_pl.training.scalars import Rows, Scalars

if TYPE_CHECKING:
    pass

Result = Calibration | Calibrations


class Curves(Scalars):
    """Writes what there is to see of a run to its loggers, against the number of steps, and its figures to its folder.

    TensorBoard gets everything, any other logger the numbers. Without a logger the figures are written all the same.

    Args:
        folder: The run's; None writes no figure and no configuration.
        calibration: Gives the result once the training has ended; None where there is none.
        draw: Whether to draw figures.

    Attributes:
        drawn: The figures that were written.
    """

    def __init__(
        self,
        folder: Path | None = None,
        calibration: Callable[[], Result | None] = lambda: None,
        draw: bool = True,
    ) -> None:
        super().__init__()
        self.folder = folder
        self.drawn: list[Path] = []
        self._calibration = calibration
        self._draw = draw
        self._path = Points()  # of the whole run; of a fleet, without its lines
        self._start: tuple[int, Tensor, Tensor] | None = None
        self._boards: dict[int, Board] = {}

    @property
    def started(self) -> bool:
        """Whether a fit has begun to write."""
        return self._start is not None

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the run's settings before its first step, so that a run that fails has a row too."""
        if self._start is not None or not self._writes(trainer):
            return
        module = calibration_module(pl_module)
        self._start = module.steps, module.w.detach().cpu().clone(), module.b.detach().cpu().clone()
        settings = settings_of(trainer, module)
        for board in self._tensorboards(trainer):
            board.layout(module.curve.conventional_names)
            board.start(settings)
            if self.folder is not None and (self.folder / "config.yaml").is_file():
                config = (self.folder / "config.yaml").read_text(encoding="utf-8")
                board.text("fit/settings", as_code(config), module.steps)
            board.flush()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the end of the curves, the result, the summary and the figures."""
        super().on_train_end(trainer, pl_module)
        if not self._writes(trainer):
            return
        module = calibration_module(pl_module)
        calibration = self._calibration()
        if calibration is not None:
            self._write_result(trainer, module, calibration)
            if self._draw and self.folder is not None and figures.is_there():
                self._write_figures(trainer, module, calibration)
        for board in self._tensorboards(trainer):
            board.end(success=True)
            board.flush()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Writes what there is, and into the run's row that it failed."""
        if self._start is None or not self._writes(trainer):
            return
        self._write(trainer, calibration_module(pl_module))
        for board in self._tensorboards(trainer):
            board.end(success=False)
            board.flush()

    def _tensorboards(self, trainer: Trainer) -> list[Board]:
        units = units_of(trainer)
        return [self._board(logger, units) for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]

    def _board(self, logger: TensorBoardLogger, units: Units) -> Board:
        if id(logger) not in self._boards:
            self._boards[id(logger)] = Board(logger.experiment, units)
        return self._boards[id(logger)]

    def _write(self, trainer: Trainer, module: CalibrationModule) -> None:
        """Keeps the points for the figures too."""
        for name in ("steps", "loss", "w", "b") if len(module.w) == 1 else ("steps", "loss"):
            getattr(self._path, name).extend(getattr(self._new, name))
        super()._write(trainer, module)

    def _log(self, trainer: Trainer, rows: Rows) -> None:
        for logger in trainer.loggers:
            log_rows(self._board(logger, units_of(trainer)) if isinstance(logger, TensorBoardLogger) else logger, rows)

    def _write_result(self, trainer: Trainer, module: CalibrationModule, calibration: Result) -> None:
        loss = trainer.datamodule.moments["train"].mse(*(value.cpu() for value in module.raw)).mean().item()  # type: ignore[attr-defined]
        self._log(trainer, {module.steps: result_of(calibration, loss)})
        for board in self._tensorboards(trainer):
            board.text("fit/result", as_list(summary(calibration)), module.steps)
            if isinstance(calibration, Calibration) and calibration.candidates is not None:
                board.text("fit/candidates", table(calibration.candidates, calibration.unit), module.steps)
            if isinstance(calibration, Calibrations):
                columns = calibration.coefficients | {"s": calibration.frame["s"]}
                for name, column in columns.items():
                    values = column.drop_nulls().to_numpy()
                    if len(values):
                        board.histogram(f"fleet/{name}", values, module.steps)

    def _write_figures(self, trainer: Trainer, module: CalibrationModule, calibration: Result) -> None:
        data = getattr(trainer, "datamodule", None)
        if not isinstance(data, ReadingsDataModule) or self.folder is None:
            return
        if isinstance(calibration, Calibrations):
            pictures = fleet_figures.pictures(calibration, data.sample)
        else:
            indication, reference = (data.sample.column(name) for name in ("indication", "reference"))
            shown = figures.choose(indication, reference, calibration, data.seed)
            pictures = figures.pictures(calibration, shown, self._descent(trainer, module, data))
        folder = self.folder / "figures"
        folder.mkdir(parents=True, exist_ok=True)
        for name, draw in pictures:
            png = draw()
            with atomic_write(folder / f"{name}.png") as path:
                path.write_bytes(png)
            self.drawn.append(folder / f"{name}.png")
            for board in self._tensorboards(trainer):
                board.picture(f"fit/{name}", png, SIZE, module.steps)

    def _descent(self, trainer: Trainer, module: CalibrationModule, data: ReadingsDataModule) -> Descent | None:
        """Returns the run's path for a figure."""
        if self._start is None or not self._path.steps or len(module.w) != 1 or data.normalization is None:
            return None
        first, w, b = self._start
        normalization = data.normalization
        moments = data.moments["train"].normalized(normalization.offset, normalization.scale)
        predicted = None
        optimizer = trainer.optimizers[0]
        if is_plain_sgd(optimizer):
            rate = optimizer.param_groups[0].get("initial_lr", optimizer.param_groups[0]["lr"])
            ahead = PlainSgd(moments, float(rate)).after(
                torch.tensor(self._path.steps) - 1 - first, w.double(), b.double()
            )
            losses = moments.mse(*ahead)[:, 0]
            predicted = losses.numpy() if losses.isfinite().all() else None
        w, b = (torch.cat([start, *after]).double() for start, after in ((w, self._path.w), (b, self._path.b)))
        curve, half = moments.curve, root(moments.factor, 1 / moments.total)[0].numpy()
        shown = worst_determined(half, curve.free)
        # not compute(): torchmetrics would wait in it for the processes that draw nothing
        exact = torch.cat([moments.exact[1][:, None], moments.exact[0]], dim=-1)[0].numpy()
        names = ("b", *curve.names)
        least = (moments.sse / moments.total).item()
        return Descent(
            steps=torch.tensor(self._path.steps).numpy(),
            loss=torch.tensor(self._path.loss, dtype=torch.float64).numpy(),
            path=torch.cat([b[:, None], w], dim=-1)[:, shown].numpy(),
            predicted=predicted,
            bowl=Bowl(tuple(names[j] for j in shown), exact[shown], least, half[:, shown]),
            normalization=in_words(data.normalization_rule),
            units=data.units,
            others=len(curve.free) > len(shown),
            of_line=isinstance(curve, Line),
        )


def units_of(trainer: Trainer) -> Units:
    """Returns the units of the readings that a Trainer works on."""
    data = getattr(trainer, "datamodule", None)
    return data.units if isinstance(data, ReadingsDataModule) else Units()


def log_rows(target: Board | Logger, rows: Rows) -> None:
    """Writes numbers to a logger in the order of their steps."""
    for step in sorted(rows):
        if isinstance(target, Board):
            target.scalars(rows[step], step)
        else:
            target.log_metrics(rows[step], step)
    if isinstance(target, Board):
        target.flush()

"""What a training command prints at its end."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from thermofit_pl.callbacks.predictions import WritePredictions
from thermofit_pl.callbacks.result import WriteCalibration
from thermofit_pl.callbacks.tensorboard import Curves
from thermofit_pl.cli.run_folder import ROOT
from thermofit_pl.formatting import count
from thermofit_pl.reports import figures as drawing
from thermofit_pl.reports.summary import summary
from thermofit_pl.tables.split import Part
from thermofit_pl.training.datamodule import ReadingsDataModule
from thermofit_pl.training.module import CalibrationModule, calibration_module
from thermofit_pl.training.options import is_rehearsal

HELD_OUT: dict[Part, str] = {"val": "validation", "test": "the test"}


def line_name(module: CalibrationModule) -> str:
    """Says whose line a module's calibration holds."""
    return "the least-squares line" if module.line.isfinite().all() else "SGD's line"


def report(trainer: Trainer, *, command: str, figures: bool) -> None:
    """Prints what a command came to, on the first process.

    Args:
        trainer: Which has run it.
        command: Its name.
        figures: Whether figures were asked for.
    """
    if not trainer.is_global_zero:
        return
    for sentence in trainer.datamodule.left_out:  # type: ignore[attr-defined]  # set by the connector too
        print(sentence)
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set by the connector, not in the class
    if command in ("validate", "test"):
        print_scores(trainer, command)
        return
    for done in callbacks:
        if isinstance(done, WriteCalibration) and done.calibration is not None:
            drawn = [figure for curves in callbacks if isinstance(curves, Curves) for figure in curves.drawn]
            print_result(trainer, done, drawn, figures=figures)
        elif isinstance(done, WritePredictions):
            print_predictions(trainer, done)


def print_predictions(trainer: Trainer, done: WritePredictions) -> None:
    """Says where the estimates are.

    Args:
        trainer: Whose.
        done: Has written them.
    """
    missing = f", {count(done.missing)} of them empty for want of an indication" if done.missing else ""
    where = "not written: a rehearsal" if is_rehearsal(trainer) else done.path
    line = line_name(calibration_module(trainer.lightning_module))
    print(f"{count(done.count)} rows, with an estimate each by {line}{missing}: {where}")


def print_result(trainer: Trainer, written: WriteCalibration, drawn: list[Path], *, figures: bool) -> None:
    """Prints what a fit came to, and where it is.

    Args:
        trainer: Whose fit has ended.
        written: Holds the calibration.
        drawn: The figures.
        figures: Whether figures were asked for.
    """
    module, data = calibration_module(trainer.lightning_module), trainer.datamodule  # type: ignore[attr-defined]  # set outside the class
    assert isinstance(data, ReadingsDataModule)
    assert written.calibration is not None
    print(summary(written.calibration))
    if data.normalization_rule not in ("none", 1.0) and data.instruments is None:
        (w, b), (raw_w, raw_b) = (module.w.item(), module.b.item()), module.raw
        print(
            f"On normalised indications ({data.normalization_rule}), SGD ended at w {w:.4f}, b {b:.4f}; as they are "
            f"shown, at w {raw_w.item():.5f} °C/unit, b {raw_b.item():.4f} °C."
        )
    for part, purpose in HELD_OUT.items():
        if data.held_out(part):
            n = int(data.moments[part].count.sum())
            print(f"{count(n)} readings were held out for {purpose}: {data.source(part)}.")
    if data.held_out("val"):
        rmse = trainer.callback_metrics.get("val/rmse")
        if rmse is not None:
            print(f"On those for validation, SGD's line has rmse {rmse:.4g} °C.")
    if is_rehearsal(trainer):
        print("A rehearsal: nothing was written.")
        return
    print(f"Written: {written.path}")
    if drawn:
        print(f"Figures: {drawn[0].parent}")
    elif figures and not drawing.is_there():
        print(drawing.MISSING)
    if any(isinstance(logger, TensorBoardLogger) for logger in trainer.loggers):
        root = written.path.parent.parent.parent
        print(f"Look at it: python -m thermofit_pl inspect{'' if str(root) == ROOT else f' {root}'}")


def print_scores(trainer: Trainer, command: str) -> None:
    """Prints the scores of ``validate`` or ``test``, of which line, and on which readings.

    Args:
        trainer: Which has them.
        command: Its name.
    """
    module, data = calibration_module(trainer.lightning_module), trainer.datamodule  # type: ignore[attr-defined]  # set outside the class
    assert isinstance(data, ReadingsDataModule)
    metrics = {name.split("/")[1]: value.item() for name, value in trainer.callback_metrics.items()}
    limit = trainer.limit_val_batches if command == "validate" else trainer.limit_test_batches
    part = "" if isinstance(limit, float) or is_rehearsal(trainer) else f" (no more than {limit} batches of them)"
    print(f"{command}: {line_name(module)} on {data.source('val' if command == 'validate' else 'test')}{part}")
    if not metrics:
        print("No scores: no readings were taken.")
        return
    mean_error = 0.0 if abs(metrics["mean_error"]) < 1e-9 * metrics["rmse"] else metrics["mean_error"]  # rounding
    print(
        f"rmse {metrics['rmse']:.4g} °C   mean error {mean_error:+.4g} °C   "
        f"largest error {metrics['largest_error']:+.4g} °C   R² {metrics['r2']:.6g}"
    )

"""What a training command prints at its end."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from thermofit_pl.callbacks.predictions import WritePredictions
from thermofit_pl.callbacks.result import WriteCalibration
from thermofit_pl.callbacks.scores import WriteScores
from thermofit_pl.callbacks.tensorboard import Curves
from thermofit_pl.cli.option_names import training_option
from thermofit_pl.cli.run_folder import ROOT
from thermofit_pl.errors import Setting
from thermofit_pl.formatting import count, printable
from thermofit_pl.functional.units import other_unit
from thermofit_pl.metrics.scores import InstrumentScores
from thermofit_pl.reports import figures as drawing
from thermofit_pl.reports.summary import summary
from thermofit_pl.tables.split import Part
from thermofit_pl.training.datamodule import ReadingsDataModule
from thermofit_pl.training.module import CalibrationModule, calibration_module
from thermofit_pl.training.options import is_rehearsal

SHOWN = 20  # instruments in a table of scores; all are in the file
HELD_OUT: dict[Part, str] = {"val": "validation", "test": "the test"}


def line_name(module: CalibrationModule) -> str:
    """Says whose line a module's calibration holds, or lines, where it is of several instruments."""
    whose = "SGD's" if module.held.sgd else "the least-squares"
    own = f"{whose} {module.curve.shape}"
    return own if module.instruments is None else f"{own} of its instrument"


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
    for name, unit, argument in trainer.datamodule.other_units:  # type: ignore[attr-defined]
        print(other_unit(name, unit, training_option(Setting(argument))), file=sys.stderr)
    for sentence in trainer.datamodule.uncertain:  # type: ignore[attr-defined]
        print(sentence, file=sys.stderr)
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
    empty = [f"{count(done.missing)} of them empty for want of an indication"] if done.missing else []
    if done.unknown:
        empty.append(f"{count(done.unknown)} of them empty as the instrument is unknown or has no line")
    where = "not written: a rehearsal" if is_rehearsal(trainer) else done.path
    line = line_name(calibration_module(trainer.lightning_module))
    each = f"{count(done.columns)} estimates" if done.columns > 1 else "an estimate"
    print(f"{', '.join([f'{count(done.count)} rows, with {each} each by {line}', *empty])}: {where}")


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
    unit = data.units.reference
    if data.normalization_rule not in ("none", 1.0) and module.w.numel() == 1 and data.instruments is None:
        (w, b), (raw_w, raw_b) = (module.w.item(), module.b.item()), (value.item() for value in module.raw)
        normalised = f"On normalised indications ({data.normalization_rule}), SGD ended at w {_places(w, 4)}"
        shown = f"at w {_places(raw_w, 5)} {data.units.slope}, b {_places(raw_b, 4)} {unit}"
        print(f"{normalised}, b {_places(b, 4)}; as they are shown, {shown}.")
    for part, purpose in HELD_OUT.items():
        if data.held_out(part):
            n = int(data.moments[part].count.sum())
            print(f"{count(n)} readings were held out for {purpose}: {data.source(part)}.")
    if data.held_out("val"):
        rmse = trainer.callback_metrics.get("val/rmse")
        if rmse is not None:
            print(f"On those for validation, SGD's {module.curve.shape} has rmse {rmse:.4g} {unit}.")
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
    unit = data.units.reference
    metrics = {name.split("/")[1]: value.item() for name, value in trainer.callback_metrics.items() if "/" in name}
    limit = trainer.limit_val_batches if command == "validate" else trainer.limit_test_batches
    part = "" if isinstance(limit, float) or is_rehearsal(trainer) else f" (no more than {limit} batches of them)"
    print(f"{command}: {line_name(module)} on {data.source('val' if command == 'validate' else 'test')}{part}")
    each = module.instrument_scores
    if not metrics or math.isnan(metrics["rmse"]):
        why = "no readings were taken" if each is None or not each.left_out else "no reading's instrument has a line"
        print(f"No scores: {why}.")
        return
    mean_error = 0.0 if abs(metrics["mean_error"]) < 1e-9 * metrics["rmse"] else metrics["mean_error"]  # rounding
    print(
        f"rmse {metrics['rmse']:.4g} {unit}   mean error {mean_error:+.4g} {unit}   "
        f"largest error {metrics['largest_error']:+.4g} {unit}   R² {metrics['r2']:.6g}"
    )
    if each is None:
        return
    if each.left_out:
        print(f"{count(each.left_out)} readings were left out: their instrument is unknown or has no line.")
    print_scores_by_instrument(module.instruments or [], each, unit)
    written = next((done for done in trainer.callbacks if isinstance(done, WriteScores)), None)  # type: ignore[attr-defined]
    if written is not None and written.path is not None:
        print(f"Written: {written.path}")


def print_scores_by_instrument(names: Sequence[str], scores: InstrumentScores, unit: str) -> None:
    """Prints a table with a row for each instrument that has scores, those with the largest rmse first.

    Args:
        names: Of the instruments.
        scores: Theirs.
        unit: Of the errors.
    """
    rmse = scores.rmse.nan_to_num(-1.0)
    order = [at for at in rmse.argsort(descending=True, stable=True).tolist() if rmse[at] >= 0]
    columns = (scores.readings, scores.rmse, scores.mean_error, scores.largest_error)
    names_of_scores = (f"{name} [{unit}]" for name in ("rmse", "mean error", "largest error"))
    rows: list[tuple[str, ...]] = [("instrument", "readings", *names_of_scores)]
    for at in order[:SHOWN]:
        n, *numbers = (column[at].item() for column in columns)
        if abs(numbers[1]) < 1e-9 * numbers[0]:
            numbers[1] = 0.0  # rounding
        texts = [f"{number:{'.4g' if column == 0 else '+.4g'}}" for column, number in enumerate(numbers)]
        rows.append((printable(names[at], 40), count(int(n)), *texts))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        print("  ".join(cells))
    if len(order) > SHOWN:
        print(f"… and {count(len(order) - SHOWN)} more, each with a smaller rmse.")


def _places(value: float, places: int) -> str:
    """Writes a number with some decimal places, or with five digits where these would not tell it."""
    return f"{value:.{places}f}" if 0.1 <= abs(value) < 1e6 else f"{value:.5g}"

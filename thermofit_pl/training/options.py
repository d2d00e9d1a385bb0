"""Trainer options that a calibration can't keep, and settings that would silently not hold, are refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.accelerators import MPSAccelerator
from torch.optim import Optimizer

from thermofit_pl.curves.base import Curve
from thermofit_pl.curves.line import Line
from thermofit_pl.errors import InputError, Setting
from thermofit_pl.functional.units import Units
from thermofit_pl.tables.split import PARTS, Part, Split

UNUSED = {
    "log_every_n_steps": "the curves of a run show some hundred steps, spaced for reading, and every end of an epoch",
    "overfit_batches": "a curve has few coefficients and nothing to overfit",
    "model_registry": "a run stays on this computer",
}
NO_FLOAT64 = Setting("accelerator"), ": expected cpu or cuda, but got mps, which has no float64; choose cpu"
POSITIVE = ("max_epochs", "max_steps", "limit_train_batches", "limit_predict_batches", "check_val_every_n_epoch")
KEPT = ("w", "b", "learning_rate", "dtype", "finish", "snap")  # what a fit that goes on can't change in the module
SCHEDULED = ("lr", "initial_lr", "momentum", "betas", "max_lr", "min_lr", "max_momentum", "base_momentum")


def is_rehearsal(trainer: Trainer) -> bool:
    """Whether the run is Trainer's fast_dev_run, which leaves no files."""
    return bool(trainer.fast_dev_run)  # type: ignore[attr-defined]  # set outside the class


def positive(argument: str, value: float) -> float:
    """Returns a number, once it is finite and above 0.

    Raises:
        InputError: If it isn't.
    """
    if not (math.isfinite(value) and value > 0):
        raise InputError(Setting(argument), f": expected a positive number, but got {value}")
    return value


def refuse_start(curve: Curve, w: float, b: float, snap: str | None) -> None:
    """Refuses to start a module from w and b that are not finite, or that its curve holds, and a scale that is no line.

    Raises:
        InputError: For each of them.
    """
    if not (math.isfinite(w) and math.isfinite(b)):
        raise InputError(
            Setting("w"), ", ", Setting("b"), f": expected finite numbers to start from, but got {w} and {b}"
        )
    for j, (name, given, default) in enumerate((("b", b, 0.0), ("w", w, 1.0))):
        if given not in (default, curve.held.get(j, given)):
            raise InputError(
                Setting(name), f": expected {curve.held[j]:g}, at which {curve.noun} holds it, but got {given:g}"
            )
    if snap is not None and curve != Line():
        raise InputError(
            Setting("snap"),
            f": expected a line, since {snap} is a scale, but got {curve.noun}; leave it out, or ",
            Setting("curve"),
        )


def refuse_no_temperature(snap: str, units: Units) -> None:
    """Refuses a named scale for readings of something else than temperature.

    Raises:
        InputError: If they are.
    """
    if not units.is_temperature:
        raise InputError(
            Setting("snap"),
            ": expected a reference in °C, °F or K (",
            Setting("unit"),
            f"), as {snap} is a scale of temperature, but got {units.reference}; leave it out",
        )


def refuse_settings(
    rule: float | str, batch_size: int | None, seed: int, split: Split, paths: Mapping[Part, str | None]
) -> None:
    """Refuses settings of a data module that make no sense.

    Args:
        rule: By which indications are normalised.
        batch_size: Readings in a mini-batch.
        seed: Of the split and of the order of mini-batches.
        split: Shares that are held out.
        paths: Tables of parts that have one of their own.

    Raises:
        InputError: For each of them.
    """
    if not isinstance(rule, str) and not (math.isfinite(rule) and rule > 0):
        raise InputError(
            Setting("normalization"), f": expected a positive factor, 'standard' or 'none', but got {rule}"
        )
    if batch_size is not None and batch_size < 1:
        raise InputError(Setting("batch_size"), f": expected a whole number from 1, or null, but got {batch_size}")
    if seed < 0:
        raise InputError(Setting("seed"), f": expected a whole number from 0, but got {seed}")
    for part in PARTS[1:]:
        fraction = getattr(split, part)
        if not 0 <= fraction < 1:
            raise InputError(
                Setting(f"{part}_fraction"), f": expected a number from 0 to less than 1, but got {fraction}"
            )
        if fraction and paths[part]:
            raise InputError(
                Setting(f"{part}_fraction"),
                " and ",
                Setting(f"{part}_path"),
                ": expected one of them, but got both",
            )
    if split.val + split.test >= 1:
        raise InputError(
            Setting("val_fraction"),
            " and ",
            Setting("test_fraction"),
            f": expected a sum below 1, so that readings are left to train on, but got {split.val + split.test:g}",
        )


def refuse_unused(config: Mapping[str, Any]) -> None:
    """Refuses options that would do nothing, and those that leave nothing to do.

    Args:
        config: The Trainer's, as typed.

    Raises:
        InputError: For each of them.
    """
    for option, why in UNUSED.items():
        if config.get(option) not in (None, 0):
            raise InputError(
                Setting(option), f": expected it to be left out, since {why}, but got {config[option]}; leave it out"
            )
    if config.get("accelerator") == "mps":  # also where there is none, before it is looked for
        raise InputError(*NO_FLOAT64)
    for option in POSITIVE:
        if config.get(option) == 0:
            raise InputError(Setting(option), f": expected more than 0, but got {config[option]}; leave it out")


def refuse_options(trainer: Trainer) -> None:
    """Refuses what would round the numbers that a person will quote.

    Raises:
        InputError: For a precision other than full, and for an accelerator without float64.
    """
    if trainer.precision not in ("32-true", "64-true"):
        refuse_precision(trainer.precision)
    if isinstance(trainer.accelerator, MPSAccelerator):
        raise InputError(*NO_FLOAT64)


def refuse_precision(precision: object, dtype: str = "float64") -> None:
    """Refuses a precision that isn't full, or isn't that of the module.

    Args:
        precision: As asked for; None is Trainer's default.
        dtype: Of w and b.

    Raises:
        InputError: For any other than full, and for double precision where w and b were asked for in single.
    """
    if dtype == "float32" and str(precision).startswith("64"):
        raise InputError(
            Setting("precision"),
            " and ",
            Setting("dtype"),
            f": expected one type of w and b, but got {precision} and {dtype}; leave one out",
        )
    if precision is not None and str(precision) not in ("32", "64", "32-true", "64-true"):
        raise InputError(
            Setting("precision"),
            f": expected 32-true or 64-true, since w and b are float64 whichever it is, but got {precision}, which "
            "would round them",
        )


def refuse_batch_options(trainer: Trainer) -> None:
    """Refuses, with the full batch, options that speak of mini-batches.

    Raises:
        InputError: For each of them.
    """
    kept = {
        "gradient_clip_val": trainer.gradient_clip_val in (None, 0, 0.0),
        "accumulate_grad_batches": trainer.accumulate_grad_batches == 1,
        "limit_train_batches": is_rehearsal(trainer) or trainer.limit_train_batches in (None, 1.0),
        "overfit_batches": trainer.overfit_batches == 0,  # type: ignore[attr-defined]  # set outside the class
        "val_check_interval": trainer.val_check_interval in (None, 1, 1.0),
        "min_steps": trainer.min_steps is None,
    }
    for option, is_kept in kept.items():
        if not is_kept:
            raise InputError(
                Setting(option),
                ": expected it to be left out, since all readings are one batch and an epoch is ",
                Setting("steps_per_epoch"),
                f" steps, but got {getattr(trainer, option)}; leave it out, or use ",
                Setting("min_epochs" if option == "min_steps" else "batch_size"),
            )


def refuse_another_run(
    checkpoint: Mapping[str, Any], settings: Mapping[str, Any], optimizer: Optimizer, max_epochs: int | None
) -> None:
    """Refuses to go on from a checkpoint with other settings than its run's, which would win, or with nothing to do.

    Args:
        checkpoint: What was loaded.
        settings: Of the module.
        optimizer: As configured.
        max_epochs: Of the fit; None or -1 for no such end.

    Raises:
        InputError: For each of them.
    """
    old = checkpoint.get("hyper_parameters", {})
    advice = "; leave it out, or start a new fit without ", Setting("ckpt_path")
    for name in KEPT:
        if name in old and old[name] != settings[name]:
            raise InputError(
                Setting(name),
                f": expected {old[name]}, with which the run of the checkpoint goes on, but got {settings[name]}",
                *advice,
            )
    before, now = checkpoint["optimizer_states"][0]["param_groups"][0], optimizer.param_groups[0]
    names = sorted((before.keys() | now.keys()) - {"params", *(SCHEDULED if checkpoint.get("lr_schedulers") else ())})
    wrong = next((name for name in names if before.get(name) != now.get(name)), None)
    if wrong is not None:
        raise InputError(
            Setting("optimizer"),
            f": expected that of the checkpoint's run, with {wrong} {before.get(wrong)}, but got one with {wrong} "
            f"{now.get(wrong)}",
            *advice,
        )
    done = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
    if max_epochs not in (None, -1) and done >= max_epochs:
        raise InputError(
            Setting("max_epochs"),
            f": expected more than {done}, which the run of the checkpoint has made, but got {max_epochs}; raise it to "
            "go on",
        )

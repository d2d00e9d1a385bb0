"""What the command line calls a setting that a sentence speaks of."""

from __future__ import annotations

import shlex
from inspect import signature
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from thermofit_pl.errors import Setting


def training_option(setting: Setting) -> str:
    """Returns a setting as an option of ``fit`` and its like: ``--data.decimal_comma true``."""
    from lightning.pytorch import Trainer

    from thermofit_pl.training.datamodule import ReadingsDataModule
    from thermofit_pl.training.module import CalibrationModule

    name = setting.argument.partition(".")[0]
    for group, kind in (("data", ReadingsDataModule), ("model", CalibrationModule), ("trainer", Trainer)):
        if name in signature(kind).parameters:
            return _with_value(f"--{group}.{setting.argument}", setting.value)
    return _with_value(f"--{setting.argument}", setting.value)


def light_option(setting: Setting) -> str:
    """Returns a setting as an option of ``apply`` and its like: ``--decimal-comma``."""
    if setting.argument == "path":
        return "TABLE"
    option = "--" + setting.argument.rpartition(".")[2].replace("_", "-")
    return option if setting.value is True else _with_value(option, setting.value)


def _with_value(option: str, value: object) -> str:
    if value is None:
        return option
    return f"{option} {str(value).lower() if isinstance(value, bool) else shlex.quote(str(value))}"

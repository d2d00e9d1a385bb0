"""Calibrates thermometers and other sensors: the line, how far to trust it, and a file that corrects new readings."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thermofit_pl.calibration.calibration import Calibration as Calibration
    from thermofit_pl.calibration.calibrations import Calibrations as Calibrations
    from thermofit_pl.calibration.calibrations import load as load
    from thermofit_pl.errors import InputError as InputError
    from thermofit_pl.metrics.moments import Moments as Moments
    from thermofit_pl.results.fit import fit as fit
    from thermofit_pl.training.datamodule import ReadingsDataModule as ReadingsDataModule
    from thermofit_pl.training.module import CalibrationModule as CalibrationModule

__version__ = "0.1.0"

_HOMES = {
    "Calibration": "calibration.calibration",
    "Calibrations": "calibration.calibrations",
    "CalibrationModule": "training.module",
    "InputError": "errors",
    "Moments": "metrics.moments",
    "ReadingsDataModule": "training.datamodule",
    "fit": "results.fit",
    "load": "calibration.calibrations",
}
__all__ = [
    "Calibration",
    "CalibrationModule",
    "Calibrations",
    "InputError",
    "Moments",
    "ReadingsDataModule",
    "fit",
    "load",
]


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used: torch and Lightning take three seconds."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

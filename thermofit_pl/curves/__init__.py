"""Curves that are linear in their coefficients, one a file; NumPy, Polars and torch by operators alone."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thermofit_pl.curves.base import Curve as Curve
    from thermofit_pl.curves.beta import Beta as Beta
    from thermofit_pl.curves.callendar_van_dusen import CallendarVanDusen as CallendarVanDusen
    from thermofit_pl.curves.line import Line as Line
    from thermofit_pl.curves.offset import Offset as Offset
    from thermofit_pl.curves.polynomial import Polynomial as Polynomial
    from thermofit_pl.curves.proportional import Proportional as Proportional
    from thermofit_pl.curves.steinhart_hart import SteinhartHart as SteinhartHart


def __getattr__(name: str) -> Any:
    """Imports a curve when it is first used."""
    from thermofit_pl.curves.base import SHIPPED

    module = {"Curve": "base", **SHIPPED}.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has Curve, {', '.join(SHIPPED)}")
    return getattr(import_module(f"{__name__}.{module}"), name)

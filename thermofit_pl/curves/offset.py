"""A constant error: what is shown is right but for an offset."""

from __future__ import annotations

from types import MappingProxyType

from thermofit_pl.curves.line import Line


class Offset(Line):
    """An offset alone, b, to be added to each indication: the line with its slope held at 1."""

    noun = "an offset"
    held = MappingProxyType({1: 1.0})

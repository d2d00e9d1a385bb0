"""A gain alone: zero is shown at zero."""

from __future__ import annotations

from types import MappingProxyType

from thermofit_pl.curves.line import Line


class Proportional(Line):
    """A gain alone, w: the line through zero, with its intercept held at 0."""

    noun = "a gain"
    held = MappingProxyType({0: 0.0})

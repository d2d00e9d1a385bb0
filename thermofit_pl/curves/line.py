"""The straight line."""

from __future__ import annotations

from typing import Any

from thermofit_pl.curves.base import Curve


class Line(Curve):
    """The straight line: reference = b + w · indication."""

    noun = "a line"
    shape = "line"

    def features(self, indication: Any) -> list[Any]:
        """Returns the indication itself."""
        return [indication]

    def slopes(self, indication: Any) -> list[Any]:
        """Returns 1."""
        return [indication * 0.0 + 1.0]

"""Uncertainties as people state them: a number, a share of the value, both, or a column; expanded or standard."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thermofit_pl.errors import InputError, Setting

FloatArray = NDArray[np.float64]

RECTANGLE = math.sqrt(12)  # what a step is divided by: JCGM 100:2008, F.2.2.1

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_ONE = re.compile(rf"\s*({_NUMBER})\s*(%?)\s*")
_TWO = re.compile(rf"\s*({_NUMBER})\s*\+\s*({_NUMBER})\s*%\s*")
_FIGURES = re.compile(r"[\s\d.,+%eE-]*|[+-]?(?:nan|inf|infinity)", re.IGNORECASE)


class Stated(NamedTuple):
    """A standard uncertainty as it is stated: √(absolute² + (relative · value)²), or a column that has it by reading.

    Attributes:
        absolute: In the unit of the value.
        relative: As a share of the value, 0.001 for 0.1 %.
        column: The column it stands in; None where it is the same rule for all readings.
        divisor: What a column's entries are divided by: the coverage factor that they are expanded by.
    """

    absolute: float = 0.0
    relative: float = 0.0
    column: str | None = None
    divisor: float = 1.0

    @property
    def is_number(self) -> bool:
        """Whether it is one number, the same for every reading."""
        return self.column is None and not self.relative

    def at(self, value: ArrayLike, column: ArrayLike | None = None) -> FloatArray:
        """Returns the standard uncertainty of each value, of the values' shape.

        Args:
            value: What it is the uncertainty of.
            column: The column's entries, where it has one.
        """
        if column is not None:
            return np.asarray(column, np.float64) / self.divisor
        u: FloatArray = np.hypot(self.absolute, self.relative * np.asarray(value, np.float64))
        return u

    def __str__(self) -> str:
        if self.column is not None:
            return f"column '{self.column}'" + ("" if self.divisor == 1 else f" / {self.divisor:g}")
        parts = [f"{self.absolute:g}"] if self.absolute or not self.relative else []
        return " + ".join([*parts, *([f"{100 * self.relative:g} %"] if self.relative else [])])


def parse(stated: str | float, name: str | Setting, coverage_factor: float = 1.0) -> Stated:
    """Returns what is stated, as a standard uncertainty.

    Args:
        stated: A number, such as 0.05; a share, ``0.1%``; both, ``0.05+0.1%``; or a column's name.
        name: What to call it in a complaint.
        coverage_factor: Which it is expanded by.

    Raises:
        InputError: It is negative, zero or not finite, or looks like figures that can't be read.

    Example:
        >>> parse("0.05+0.1%", "u_reference", coverage_factor=2)
        Stated(absolute=0.025, relative=0.0005, column=None, divisor=1.0)
        >>> parse("U (k=2)", "u_reference", coverage_factor=2)
        Stated(absolute=0.0, relative=0.0, column='U (k=2)', divisor=2.0)
    """
    k = positive(coverage_factor, "coverage_factor")
    text = str(stated)
    if match := _TWO.fullmatch(text):
        absolute, relative = (positive(float(part), name, text) for part in match.groups())
        return Stated(absolute / k, relative / 100 / k)
    if match := _ONE.fullmatch(text):
        value = positive(float(match[1]), name, text)
        return Stated(relative=value / 100 / k) if match[2] else Stated(value / k)
    if _FIGURES.fullmatch(text):
        raise InputError(
            name,
            ": expected a positive number such as 0.05, a share such as 0.1%, both as 0.05+0.1%, or the name of a "
            f"column, but got {text!r}",
        )
    return Stated(column=text, divisor=k)


def positive(value: float, name: str | Setting, text: str | None = None) -> float:
    """Returns a number that is positive and finite.

    Args:
        value: The number.
        name: What to call it in a complaint.
        text: What it stands in, as it was given.

    Raises:
        InputError: It is neither.
    """
    if not 0 < value < math.inf:
        given = f"{value:g}" if text is None else repr(text)
        raise InputError(name, f": expected a positive number, but got {given}")
    return value


def of_resolution(step: float) -> float:
    """Returns the standard uncertainty of a reading that is rounded to a step: step/√12 (JCGM 100:2008, F.2.2.1)."""
    return step / RECTANGLE


def of_mean(scatter: ArrayLike, count: ArrayLike, step: float = 0.0) -> FloatArray:
    """Returns the standard uncertainty of means of several readings, of the arguments' common shape.

    It is scatter/√count, and no less than the resolution's: readings that all show the same step say nothing of
    where within it they lie, however many they are.

    Args:
        scatter: Standard deviation of the single readings of each mean.
        count: How many they are.
        step: Resolution of a reading; 0 where it is unknown.
    """
    own = np.asarray(scatter, np.float64) / np.sqrt(np.asarray(count, np.float64))
    u: FloatArray = np.maximum(own, of_resolution(step))
    return u

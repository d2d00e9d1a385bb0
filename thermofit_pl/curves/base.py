"""What a curve is, and how one is written down and found again."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import Any

from thermofit_pl.errors import InputError

PACKAGE = "thermofit_pl.curves"
SHIPPED = {  # by class name: the module that holds it
    "Line": "line",
    "Offset": "offset",
    "Proportional": "proportional",
    "Polynomial": "polynomial",
}


class Curve:
    """A curve that is linear in its coefficients: reference = b + Σ w_j · φ_j(indication).

    A curve of your own names its coefficients, and gives its features and their slopes as expressions of operators
    alone, which then run over NumPy arrays, Polars expressions and torch tensors. Each argument of ``__init__`` is a
    plain number, text or truth, and kept in an attribute of the same name.

    Attributes:
        names: Of the coefficients w_j, one a feature.
        noun: What a sentence calls the curve.
        held: Coefficients that are not fitted, and their values: 0 is b, j is w_j.

    Example:
        >>> class Root(Curve):
        ...     names = ("w",)
        ...
        ...     def features(self, indication):
        ...         return [indication**0.5]
        ...
        ...     def slopes(self, indication):
        ...         return [0.5 * indication**-0.5]
    """

    names: tuple[str, ...] = ("w",)
    noun = "the curve"
    held: Mapping[int, float] = MappingProxyType({})

    def features(self, indication: Any) -> list[Any]:
        """Returns the features φ_j of indications, one an entry of ``names``, each of the indications' shape."""
        raise NotImplementedError(f"Expected {type(self).__name__} to have a method `features`, but it has none")

    def slopes(self, indication: Any) -> list[Any]:
        """Returns the derivatives dφ_j/d indication, as ``features`` returns the features."""
        raise NotImplementedError(f"Expected {type(self).__name__} to have a method `slopes`, but it has none")

    def estimate(self, level: Any) -> Any:
        """Returns the estimate from b + Σ w_j · φ_j, which it is."""
        return level

    def framed(self, low: float, high: float) -> Curve:
        """Returns the curve with what it takes from the range of the first readings: nothing, unless it has a frame.

        Args:
            low: Smallest indication of the first readings.
            high: Largest.
        """
        del low, high
        return self

    @property
    def conventional_names(self) -> tuple[str, ...]:
        """The names of the coefficients that people quote."""
        return ("b", *self.names)

    def conventional(self, coefficients: Any) -> Any:
        """Returns the coefficients that people quote, which are b and w.

        The map is linear, so that it also takes the columns of a square root of their covariance.

        Args:
            coefficients: NumPy array of b and w along its last axis.
        """
        return coefficients

    @property
    def free(self) -> tuple[int, ...]:
        """The coefficients that are fitted: 0 is b, j is w_j."""
        return tuple(j for j in range(len(self.names) + 1) if j not in self.held)

    def record(self) -> dict[str, Any]:
        """Returns the class's path and the arguments that make this curve: plain values, to be written down."""
        kind = type(self)
        path = f"{kind.__module__}.{kind.__qualname__}"
        if SHIPPED.get(kind.__name__) == kind.__module__.removeprefix(f"{PACKAGE}."):
            path = f"{PACKAGE}.{kind.__name__}"
        arguments = [] if kind.__init__ is object.__init__ else list(inspect.signature(kind).parameters)
        return {"class_path": path, "init_args": {name: getattr(self, name) for name in arguments}}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Curve) and type(self) is type(other) and self.record() == other.record()

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.record()["init_args"].items())
        return f"{type(self).__name__}({arguments})"


def from_record(record: Any, known: Sequence[type[Curve]] = ()) -> Curve:
    """Returns the curve of a record, without importing anything that the record names from elsewhere.

    Args:
        record: As ``Curve.record`` returns it, whoever wrote it.
        known: Classes of your own that it may name too.

    Raises:
        InputError: If it is no such record, or names another class.
    """
    if not (isinstance(record, Mapping) and isinstance(record.get("class_path"), str)):
        raise InputError(f"curve: expected a class_path and its init_args, but got {record!r}")
    path, arguments = record["class_path"], record.get("init_args", {})
    package, _, name = path.rpartition(".")
    kind: type[Curve] | None = next((k for k in known if path == f"{k.__module__}.{k.__qualname__}"), None)
    if kind is None and name in SHIPPED and package in (PACKAGE, f"{PACKAGE}.{SHIPPED[name]}"):
        kind = getattr(import_module(f"{PACKAGE}.{SHIPPED[name]}"), name)
    if kind is None:
        raise InputError(
            f"curve: expected one of {', '.join(SHIPPED)} of {PACKAGE}, but got {path!r}; a class of your own is never "
            "imported because a file names it: name it yourself"
        )
    try:
        return kind(**arguments)
    except TypeError as error:
        raise InputError(f"curve: expected arguments that {path} takes, but got {arguments!r} ({error})") from error

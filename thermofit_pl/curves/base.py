"""What a curve is, and how one is written down and found again."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from thermofit_pl.errors import InputError

if TYPE_CHECKING:
    from thermofit_pl.functional.units import Units

PACKAGE = "thermofit_pl.curves"
SHIPPED = {  # by class name: the module that holds it
    "Line": "line",
    "Offset": "offset",
    "Proportional": "proportional",
    "Polynomial": "polynomial",
    "SteinhartHart": "steinhart_hart",
    "Beta": "beta",
    "CallendarVanDusen": "callendar_van_dusen",
}


class Curve:
    """A curve that is linear in its coefficients: reference = b + Σ w_j · φ_j(indication).

    Some curves of sensors are so only through a link: the estimate is a function of the level b + Σ w_j · φ_j, or what
    is linear is the indication as a function of the reference. They say how by ``estimate``, ``working`` and
    ``evaluate``.

    A curve of your own names its coefficients, and gives its features and their slopes as expressions of operators
    alone, which then run over NumPy arrays, Polars expressions and torch tensors. Each argument of ``__init__`` is a
    plain number, text or truth, and kept in an attribute of the same name.

    Attributes:
        names: Of the coefficients w_j, one a feature.
        noun: What a sentence calls the curve.
        shape: What it calls it in short: the line, or the curve.
        held: Coefficients that are not fitted, and their values: 0 is b, j is w_j.
        sensor: What a sentence calls that of which it is the equation.
        linked: Whether the estimate is another function of the level than itself, so that a pass over the readings is
            linearised about a solution (Gauss and Newton), and may have to be repeated.
        inverted: Whether the indication is the function of the reference, which is then the exact one of the two.

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
    shape = "curve"
    held: Mapping[int, float] = MappingProxyType({})
    linked = False
    inverted = False
    sensor = "sensor"

    def features(self, indication: Any) -> list[Any]:
        """Returns the features φ_j of indications, one an entry of ``names``, each of the indications' shape."""
        raise NotImplementedError(f"Expected {type(self).__name__} to have a method `features`, but it has none")

    def slopes(self, indication: Any) -> list[Any]:
        """Returns the derivatives dφ_j/d indication, as ``features`` returns the features."""
        raise NotImplementedError(f"Expected {type(self).__name__} to have a method `slopes`, but it has none")

    def estimate(self, level: Any) -> Any:
        """Returns the estimate from the level b + Σ w_j · φ_j, which it is."""
        return level

    def estimate_slope(self, level: Any) -> Any:
        """Returns d estimate/d level, which is 1."""
        return level * 0.0 + 1.0

    def features_at(self, indication: Any, about: Sequence[Any] | None) -> list[Any]:
        """Returns the features of indications, by a solution where they depend on it: here they don't.

        Args:
            indication: Indications.
            about: The solution, b and w, each a number or one for each indication; None where none is known.
        """
        del about
        return self.features(indication)

    def working(
        self, indication: Any, reference: Any, about: Sequence[Any] | None = None
    ) -> tuple[list[Any], Any, Any]:
        """Returns the rows of a least-squares pass: features, what is linear in the coefficients, and weights.

        Args:
            indication: Of the readings, shape ``(N,)``.
            reference: Likewise.
            about: The solution that the pass is linearised about, b and w, each a number or one for each reading; None
                for the first pass.

        Returns:
            The features, the target, and a weight beside the reading's own; None where that is 1.
        """
        del about
        return self.features(indication), reference, None

    def evaluate(self, indication: Any, level: Any, w: Sequence[Any], pivot: Sequence[Any]) -> tuple[Any, Any, Any]:
        """Returns the estimate, the features less those at the pivot, and d estimate/d level, at indications.

        Args:
            indication: Indications; with the others NumPy's, Polars' or torch's.
            level: The level at the pivot, b + Σ w_j · pivot_j.
            w: The coefficients.
            pivot: The features there.
        """
        away = [feature - at for feature, at in zip(self.features(indication), pivot, strict=True)]
        for j in range(len(away)):
            level = level + w[j] * away[j]
        return self.estimate(level), away, self.estimate_slope(level) if self.linked else 1.0

    def framed(self, low: float, high: float, reference: float | None = None) -> Curve:
        """Returns the curve with what it takes from the range of the first readings: nothing, unless it has a frame.

        Args:
            low: Smallest indication of the first readings.
            high: Largest.
            reference: The mean of their references.
        """
        del low, high, reference
        return self

    def over(self, low: Any, high: Any, share: Any) -> Any:
        """Returns indications over a range, at shares of it from 0 to 1."""
        return low * (1 - share) + high * share

    def in_units(self, units: Units) -> Curve:
        """Returns the curve for references and indications in some units: the same, unless its equation has units.

        Raises:
            InputError: If it can't be of them.
        """
        del units
        return self

    def fault(self, indication: Any, reference: Any) -> tuple[int, str] | None:
        """Finds a reading that the curve can't be of: here there is none.

        Args:
            indication: NumPy array, shape ``(N,)``.
            reference: Likewise.

        Returns:
            Which one, and what is wrong with it; None where all will do.
        """
        del indication, reference
        return None

    def unfit(self, coefficients: Any, low: Any, high: Any, units: Units) -> list[tuple[Any, str]]:
        """Finds fitted curves that can't be of such sensors: here none.

        Args:
            coefficients: NumPy array of b and w, shape ``(instruments, coefficients)``.
            low: Smallest indications, shape ``(instruments,)``.
            high: Largest.
            units: Of the readings.

        Returns:
            Which instruments are at fault, shape ``(instruments,)``, and how: "expected …, but …; …".
        """
        del coefficients, low, high, units
        return []

    def remarks(self, coefficients: Any) -> list[str]:
        """Returns what a person must know of a fitted curve: here nothing.

        Args:
            coefficients: NumPy array of b and w.
        """
        del coefficients
        return []

    def indication(self, reference: Any, coefficients: Any) -> Any:
        """Returns the indications whose estimates are the references, in closed form; None where there is no such.

        Args:
            reference: NumPy array.
            coefficients: NumPy array of b and w along its last axis.
        """
        del reference, coefficients
        return None

    @property
    def conventional_units(self) -> tuple[str, ...]:
        """Their units, where these are the equation's own; "" for others."""
        return ("",) * len(self.conventional_names)

    @property
    def conventional_names(self) -> tuple[str, ...]:
        """The names of the coefficients that people quote."""
        return ("b", *self.names)

    def conventional(self, coefficients: Any) -> Any:
        """Returns the coefficients that people quote, which are b and w.

        Args:
            coefficients: NumPy array of b and w along its last axis.
        """
        return coefficients

    def conventional_spread(self, coefficients: Any, spread: Any) -> Any:
        """Returns changes of the coefficients that people quote, to first order, from changes of b and w.

        From the columns of a square root of the covariance of b and w, it makes those of theirs.

        Args:
            coefficients: b and w along the last axis, as ``conventional`` takes them.
            spread: Their changes, along the last axis too.
        """
        del coefficients  # the map is linear
        return self.conventional(spread)

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

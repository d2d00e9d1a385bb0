"""The fields of a calibration, from its dataclass: files, their checks and the columns of many follow from them."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterator
from functools import cached_property, lru_cache
from typing import Any, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

from thermofit_pl.calibration import version_1
from thermofit_pl.calibration.calibration import Calibration
from thermofit_pl.curves.base import Curve
from thermofit_pl.curves.line import Line

VERSION = 2
INTERVAL = tuple[float, float]
SINGLE = tuple(field.name for field in dataclasses.fields(Calibration) if "single" in field.metadata)
COMMON = tuple(field.name for field in dataclasses.fields(Calibration) if "common" in field.metadata)

type_hints = lru_cache(get_type_hints)


class Schema:
    """Which fields a calibration of a curve has, and the type of each.

    Args:
        curve: The curve.
        version: The version of the file's format.

    Attributes:
        curve: The same.
        version: The same.
    """

    def __init__(self, curve: Curve, version: int = VERSION) -> None:
        self.curve = curve
        self.version = version
        self._kind = "line" if isinstance(curve, Line) else "other"
        self._of: dict[type, dict[str, Any]] = {}

    def of(self, kind: Any) -> dict[str, Any]:
        """The fields of a record, and the type of each."""
        if kind not in self._of:
            hints = type_hints(kind)
            self._of[kind] = {
                field.name: self._hint(field, hints[field.name])
                for field in dataclasses.fields(kind)
                if self._has(field)
            }
        return self._of[kind]

    def _has(self, field: dataclasses.Field[Any]) -> bool:
        there = bool(field.metadata.get("since", 1) <= self.version)
        return there and bool(field.metadata.get("of", self._kind) == self._kind)

    def _hint(self, field: dataclasses.Field[Any], hint: Any) -> Any:
        hint = field.metadata.get("type", hint)
        if self.version == 1:
            hint = version_1.RECORDS.get(hint, hint)
        return hint(self.curve) if isinstance(hint, types.FunctionType) else hint

    @cached_property
    def own(self) -> dict[str, Any]:
        """The fields that each instrument of a fit has for itself."""
        return {name: hint for name, hint in self.of(Calibration).items() if name not in ("format", *COMMON, *SINGLE)}

    @cached_property
    def numbers(self) -> tuple[str, ...]:
        """Those that are one number."""
        return tuple(name for name, hint in self.own.items() if required(hint) is float)

    @cached_property
    def counts(self) -> tuple[str, ...]:
        """Those that are whole numbers."""
        return tuple(name for name, hint in self.own.items() if hint is int)

    @cached_property
    def intervals(self) -> tuple[str, ...]:
        """Those that are two ends."""
        return tuple(name for name in self.own if required(type_hints(Calibration)[name]) == INTERVAL)

    @cached_property
    def vectors(self) -> tuple[str, ...]:
        """Those that are p numbers, or rows of them."""
        lists = [name for name, hint in self.own.items() if get_origin(required(hint)) is tuple]
        return tuple(name for name in lists if name not in self.intervals)


def required(hint: Any) -> Any:
    """A type without its "or None"."""
    return get_args(hint)[0] if is_optional(hint) else hint


def is_optional(hint: Any) -> bool:
    """Whether a type is "something or None"."""
    return get_origin(hint) in (Union, types.UnionType)


N = TypeVar("N", bound="Node")


class Node(Protocol):
    """A value, or a column of values, on the walk over a schema; what is wrong with it is refused."""

    def known(self: N) -> N | None:
        """Returns what is there of something that may be missing; None if nothing is."""

    def record(self: N, hints: dict[str, Any], key: str) -> dict[str, N]:
        """Returns the fields of a record."""

    def items(self: N, hint: Any, key: str) -> Iterator[tuple[str, N]]:
        """Yields the items of a list, each with its key."""

    def scalar(self, hint: Any, key: str) -> Any:
        """Returns a number, a text or a truth."""


def walk(schema: Schema, hint: Any, node: Node, key: str = "") -> Any:
    """Returns the value that a node has of a type, with its records and lists made; refuses another kind of value.

    It is the one walk over the fields: over JSON, over rows of a table, and over whole columns, which it only checks.

    Args:
        schema: Gives the fields of records.
        hint: The type.
        node: The value.
        key: What a sentence calls it.
    """
    if is_optional(hint):
        there = node.known()
        return None if there is None else walk(schema, required(hint), there, key)
    if hint is Curve:
        return schema.curve
    if dataclasses.is_dataclass(hint):
        kind: Any = hint
        hints = schema.of(kind)
        parts = node.record(hints, key)
        return kind(
            **{name: walk(schema, hints[name], part, f"{key}.{name}" if key else name) for name, part in parts.items()}
        )
    if get_origin(hint) is tuple:
        inner = get_args(hint)[0]
        return tuple(walk(schema, inner, item, at) for at, item in node.items(hint, key))
    return node.scalar(hint, key)

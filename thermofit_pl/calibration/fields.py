"""The fields of a calibration, from its dataclass: files, their checks and the columns of many follow from them."""

from __future__ import annotations

import dataclasses
import types
from functools import lru_cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from thermofit_pl.calibration.calibration import Calibration


@lru_cache
def hints_of(kind: type) -> dict[str, Any]:
    """The type of each field of a record."""
    return get_type_hints(kind)


def required(hint: Any) -> Any:
    """A type without its "or None"."""
    return get_args(hint)[0] if is_optional(hint) else hint


def is_optional(hint: Any) -> bool:
    """Whether a type is "something or None"."""
    return get_origin(hint) in (Union, types.UnionType)


def restored(hint: Any, value: Any) -> Any:
    """Returns nested dictionaries and lists as the record that a type says."""
    hint = required(hint)
    if value is None:
        return None
    if dataclasses.is_dataclass(hint):
        record: Any = hint
        return record(**{name: restored(inner, value[name]) for name, inner in hints_of(record).items()})
    return tuple(value) if get_origin(hint) is tuple else value


COMMON = tuple(field.name for field in dataclasses.fields(Calibration) if "common" in field.metadata)
OWN = {name: hint for name, hint in hints_of(Calibration).items() if name not in ("format", *COMMON)}
NUMBERS = tuple(name for name, hint in OWN.items() if required(hint) is float)
COUNTS = tuple(name for name, hint in OWN.items() if hint is int)
INTERVALS = tuple(name for name, hint in OWN.items() if required(hint) == tuple[float, float])

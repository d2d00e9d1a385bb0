"""The calibration's file: JSON that a person can read, refused with a sentence when it isn't what was written."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

from thermofit_pl.calibration.fields import hints_of, is_optional, required
from thermofit_pl.calibration.rules import (
    CONTROL,
    KINDS,
    LATER,
    RefusedError,
    columns_of_one,
    counting,
    number_faults,
    provenance_faults,
    refuse_first,
    shown,
)
from thermofit_pl.errors import InputError
from thermofit_pl.formatting import printable
from thermofit_pl.functional.scales import SCALES

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from thermofit_pl.calibration.calibration import Calibration

_MOST_BYTES = 1 << 20  # a calibration has 4 kB
_WIDTH = 120


def checksum(calibration: Calibration) -> str:
    """Gives the SHA-256 of a calibration's values, whatever the file's spaces and order."""
    plain = json.dumps(counting(_plain(calibration)), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(plain.encode()).hexdigest()


def to_text(calibration: Calibration) -> bytes:
    """Writes a calibration as the bytes of its file.

    Args:
        calibration: A calibration whose values are finite and consistent.

    Returns:
        JSON in UTF-8, one key a line.

    Raises:
        InputError: It isn't.
    """
    try:
        checked = _typed(type(calibration), _plain(calibration), "")
        _check(checked)
    except RefusedError as refused:
        raise InputError(f"Expected a calibration that can be saved, but {refused}.") from None
    text = _pretty(_plain(checked) | {"checksum": checksum(checked)}, "") + "\n"
    return text.encode("utf-8", "backslashreplace")  # half a character, from a file's name, becomes its JSON escape


def read(kind: type[Calibration], path: str | os.PathLike[str]) -> Calibration:
    """Reads a calibration's file.

    Args:
        kind: The class.
        path: The file, or a folder with ``calibration.json`` in it.

    Returns:
        The calibration.

    Raises:
        InputError: It can't be read, or isn't what ``to_text`` wrote.
    """
    place = Path(path)
    if place.is_dir():
        place = place / "calibration.json"
    try:
        with place.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # the latter for a name with a null character
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(
            f"Expected the calibration file {printable(place)}, but got {reason}; name a run's folder."
        ) from None
    try:
        return _parse(kind, content)
    except RefusedError as refused:
        raise InputError(
            f"Expected a calibration in {printable(place)}, but {refused}; take it from its run again, or fit again."
        ) from None


def _parse(kind: type[Calibration], content: bytes) -> Calibration:
    if len(content) > _MOST_BYTES:
        raise RefusedError("it is larger than 1 MiB")
    try:
        found = json.loads(
            content.decode("utf-8-sig"), object_pairs_hook=_object, parse_int=_whole, parse_constant=_constant
        )
    except UnicodeDecodeError:
        raise RefusedError("it isn't UTF-8 text") from None
    except RecursionError:
        raise RefusedError("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise RefusedError(f"it isn't JSON (line {error.lineno}, column {error.colno})") from None
    if not isinstance(found, dict) or "format" not in found:
        raise RefusedError("it is other JSON, without the key format")
    known = kind.__dataclass_fields__["format"].default
    if found["format"] != known:
        raise RefusedError(f"its format is {shown(found['format'])}, where this version knows '{known}'")
    kept = found.pop("checksum", None)
    calibration: Calibration = _typed(kind, LATER | found, "")
    if kept != checksum(calibration):
        raise RefusedError("its values don't match its checksum: it was altered after it was written")
    _check(calibration)
    return calibration


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise RefusedError(f"the key {shown(next(key for key in keys if keys.count(key) > 1))} stands there twice")
    return found


def _whole(digits: str) -> int:
    if len(digits) > 20:
        raise RefusedError(f"it holds a whole number of {len(digits)} digits")
    return int(digits)


def _constant(name: str) -> float:
    raise RefusedError(f"it holds {name}")


def _typed(hint: Any, value: Any, key: str) -> Any:
    """Turns plain JSON into what a type hint says, or refuses it."""
    if is_optional(hint):
        return None if value is None else _typed(required(hint), value, key)
    if get_origin(hint) is tuple:
        return _items(hint, value, key)
    if dataclasses.is_dataclass(hint):
        return _record(hint, value, key)
    # True is an int to Python, and no number to a person
    if isinstance(value, bool) is not (hint is bool) or not isinstance(value, (int, float) if hint is float else hint):
        raise RefusedError(f"{key} is {shown(value)}, not {KINDS[hint]}")
    if hint is float and not math.isfinite(value):
        raise RefusedError(f"{key} is {value}, not a finite number")
    if hint is str and CONTROL.search(str(value)):
        raise RefusedError(f"{key} holds control characters: {shown(value)}")
    return float(value) if hint is float else value


def _items(hint: Any, value: Any, key: str) -> tuple[Any, ...]:
    inner = get_args(hint)
    if not isinstance(value, list) or (inner[-1] is not Ellipsis and len(value) != len(inner)):
        raise RefusedError(f"{key} is {shown(value)}, not a list{'' if inner[-1] is Ellipsis else f' of {len(inner)}'}")
    return tuple(_typed(inner[0], item, f"{key}[{i}]") for i, item in enumerate(value))


def _record(kind: Any, value: Any, key: str) -> Any:
    if not isinstance(value, dict):
        raise RefusedError(f"{key} is {shown(value)}, not an object with keys")
    prefix = f"{key}." if key else ""
    hints = hints_of(kind)
    if missing := [name for name in hints if name not in value]:
        raise RefusedError(f"the key {prefix}{missing[0]} is missing")
    if unknown := [name for name in value if name not in hints]:
        raise RefusedError(f"the key {printable(prefix + unknown[0], 60)} is unknown")
    record: Any = kind(**{name: _typed(hint, value[name], prefix + name) for name, hint in hints.items()})
    return record


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return [_plain(item) for item in value] if isinstance(value, (tuple, list)) else value


def _pretty(value: Any, indent: str) -> str:
    """JSON with a line for each key, but what fits on one line on one: a person looks for numbers, not for brackets."""
    short = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if not isinstance(value, (dict, list)) or (indent and len(indent) + len(short) < _WIDTH):
        return short
    inner = indent + "  "
    if isinstance(value, dict):
        lines = [f"{inner}{json.dumps(key, ensure_ascii=False)}: {_pretty(item, inner)}" for key, item in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    return "[\n" + ",\n".join(inner + _pretty(item, inner) for item in value) + f"\n{indent}]"


def _check(calibration: Calibration) -> None:
    """Refuses values that no fit gives, though each alone is of the right kind."""
    c = calibration
    refuse_first(provenance_faults(vars(c)))
    refuse_first(_scale_faults(c))
    for wrong, sentence in number_faults(columns_of_one(c), c.finish):
        if wrong[0]:
            raise RefusedError(sentence(0))


def _scale_faults(c: Calibration) -> Iterator[tuple[bool, str]]:
    yield (c.finish == "snap") != (c.snap is not None), f"finish is {c.finish!r}, which doesn't go with snap"
    yield c.snap is not None and c.snap.scale not in SCALES, "snap.scale is no scale that this version knows"
    if c.scale is not None:
        yield {fit.name for fit in c.scale.scales} != set(SCALES), "scale.scales isn't the eight scales"
        yield c.scale.nearest != c.scale.scales[0].name, "scale.nearest isn't the first of scale.scales"
        yield not set(c.scale.agreeing) <= set(SCALES), "scale.agreeing names a scale that is unknown"

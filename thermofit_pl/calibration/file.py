"""The calibration's file: JSON that a person can read, refused with a sentence when it isn't what was written."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from thermofit_pl.calibration import version_1
from thermofit_pl.calibration.calibration import FORMAT, Calibration
from thermofit_pl.calibration.fields import Schema, walk
from thermofit_pl.calibration.rules import (
    CONTROL,
    KINDS,
    LATER,
    RefusedError,
    columns_of_one,
    counting,
    curve_of,
    number_faults,
    provenance_faults,
    refuse_first,
    shown,
)
from thermofit_pl.curves.base import Curve
from thermofit_pl.curves.line import Line
from thermofit_pl.errors import InputError
from thermofit_pl.formatting import printable
from thermofit_pl.functional.scales import SCALES

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

_MOST_BYTES = 1 << 20  # a calibration has 4 kB
_WIDTH = 120
VERSIONS = {version_1.FORMAT: 1, FORMAT: 2}


def checksum(calibration: Calibration) -> str:
    """Gives the SHA-256 of a calibration's values, whatever the file's spaces and order."""
    values = counting(_plain(calibration, _schema(calibration)))
    plain = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
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
    schema = _schema(calibration)
    try:
        checked: Calibration = walk(schema, Calibration, Json(_plain(calibration, schema)))
        _check(checked, schema)
    except RefusedError as refused:
        raise InputError(f"Expected a calibration that can be saved, but {refused}.") from None
    text = _pretty(_plain(checked, schema) | {"checksum": checksum(checked)}, "") + "\n"
    return text.encode("utf-8", "backslashreplace")  # half a character, from a file's name, becomes its JSON escape


def read(path: str | os.PathLike[str], curves: Sequence[type[Curve]] = ()) -> Calibration:
    """Reads a calibration's file.

    Args:
        path: The file, or a folder with ``calibration.json`` in it.
        curves: Classes of the user's own that its curve may be of.

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
        return _parse(content, curves)
    except RefusedError as refused:
        raise InputError(
            f"Expected a calibration in {printable(place)}, but {refused}; take it from its run again, or fit again."
        ) from None


def _parse(content: bytes, curves: Sequence[type[Curve]]) -> Calibration:
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
    version = VERSIONS.get(found["format"]) if isinstance(found["format"], str) else None
    if version is None:
        raise RefusedError(f"its format is {shown(found['format'])}, where this version knows '{FORMAT}'")
    if version > 1 and "curve" not in found:
        raise RefusedError("the key curve is missing")
    schema = Schema(Line() if version == 1 else curve_of(found["curve"], curves), version)
    kept = found.pop("checksum", None)
    calibration: Calibration = walk(schema, Calibration, Json(LATER | found))
    if kept != checksum(calibration):
        raise RefusedError("its values don't match its checksum: it was altered after it was written")
    _check(calibration, schema)
    return version_1.upgraded(calibration, FORMAT) if version == 1 else calibration


def _schema(calibration: Calibration) -> Schema:
    return Schema(calibration.curve, VERSIONS.get(calibration.format, 2))


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


@dataclasses.dataclass(frozen=True)
class Json:
    """A plain value on the walk over the fields: as JSON has it, or a row of a table."""

    value: Any

    def known(self) -> Json | None:
        """Returns the value, if it isn't null."""
        return None if self.value is None else self

    def record(self, hints: dict[str, Any], key: str) -> dict[str, Json]:
        """Returns an object's values, if they are those of the record."""
        if not isinstance(self.value, dict):
            raise RefusedError(f"{key} is {shown(self.value)}, not an object with keys")
        prefix = f"{key}." if key else ""
        if missing := [name for name in hints if name not in self.value]:
            raise RefusedError(f"the key {prefix}{missing[0]} is missing")
        if unknown := [name for name in self.value if name not in hints]:
            raise RefusedError(f"the key {printable(prefix + unknown[0], 60)} is unknown")
        return {name: Json(self.value[name]) for name in hints}

    def items(self, hint: Any, key: str) -> Iterator[tuple[str, Json]]:
        """Yields a list's items."""
        inner = get_args(hint)
        if not isinstance(self.value, list) or (inner[-1] is not Ellipsis and len(self.value) != len(inner)):
            length = "" if inner[-1] is Ellipsis else f" of {len(inner)}"
            raise RefusedError(f"{key} is {shown(self.value)}, not a list{length}")
        return ((f"{key}[{i}]", Json(item)) for i, item in enumerate(self.value))

    def scalar(self, hint: Any, key: str) -> Any:
        """Returns a number, a text or a truth."""
        value = self.value
        # True is an int to Python, and no number to a person
        if isinstance(value, bool) is not (hint is bool) or not isinstance(
            value, (int, float) if hint is float else hint
        ):
            raise RefusedError(f"{key} is {shown(value)}, not {KINDS[hint]}")
        if hint is float and not math.isfinite(value):
            raise RefusedError(f"{key} is {value}, not a finite number")
        if hint is str and CONTROL.search(str(value)):
            raise RefusedError(f"{key} holds control characters: {shown(value)}")
        return float(value) if hint is float else value


def _plain(value: Any, schema: Schema) -> Any:
    if isinstance(value, Curve):
        return value.record()
    if dataclasses.is_dataclass(value):
        return {name: _plain(getattr(value, name), schema) for name in schema.of(type(value))}
    return [_plain(item, schema) for item in value] if isinstance(value, (tuple, list)) else value


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


def _check(calibration: Calibration, schema: Schema) -> None:
    """Refuses values that no fit gives, though each alone is of the right kind."""
    c = calibration
    refuse_first(provenance_faults(vars(c)))
    refuse_first(_scale_faults(c))
    for wrong, sentence in number_faults(columns_of_one(c, schema), c.finish, c.curve):
        if wrong[0]:
            raise RefusedError(sentence(0))


def _scale_faults(c: Calibration) -> Iterator[tuple[bool, str]]:
    yield (c.finish == "snap") != (c.snap is not None), f"finish is {c.finish!r}, which doesn't go with snap"
    yield c.snap is not None and c.snap.scale not in SCALES, "snap.scale is no scale that this version knows"
    if c.scale is not None:
        yield {fit.name for fit in c.scale.scales} != set(SCALES), "scale.scales isn't the eight scales"
        yield c.scale.nearest != c.scale.scales[0].name, "scale.nearest isn't the first of scale.scales"
        yield not set(c.scale.agreeing) <= set(SCALES), "scale.agreeing names a scale that is unknown"

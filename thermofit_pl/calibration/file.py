"""The calibration's file: JSON that a person can read, refused with a sentence when it isn't what was written."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
import types
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

from thermofit_pl.errors import InputError
from thermofit_pl.formatting import printable
from thermofit_pl.functional.scales import SCALES

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from thermofit_pl.calibration.calibration import Calibration

_MOST_BYTES = 1 << 20  # a calibration has 4 kB
_WIDTH = 120
_ROUNDING = (
    1e-6  # between u_b, cov_wb and u_pivot, u_w: both ways of computing them lose digits when the mean is far from zero
)
_CONTROL = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"
)  # a column may be named over two lines, none rings the bell
_KINDS = {float: "a number", int: "a whole number", bool: "true or false", str: "a text"}


class _RefusedError(Exception):
    """What is wrong with a file, as the end of "Expected a calibration, but …"."""


def checksum(calibration: Calibration) -> str:
    """Gives the SHA-256 of a calibration's values, whatever the file's spaces and order."""
    plain = json.dumps(_plain(calibration), sort_keys=True, separators=(",", ":"), allow_nan=False)
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
    except _RefusedError as refused:
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
    except _RefusedError as refused:
        raise InputError(
            f"Expected a calibration in {printable(place)}, but {refused}; take it from its run again, or fit again."
        ) from None


def _parse(kind: type[Calibration], content: bytes) -> Calibration:
    if len(content) > _MOST_BYTES:
        raise _RefusedError("it is larger than 1 MiB")
    try:
        found = json.loads(
            content.decode("utf-8-sig"), object_pairs_hook=_object, parse_int=_whole, parse_constant=_constant
        )
    except UnicodeDecodeError:
        raise _RefusedError("it isn't UTF-8 text") from None
    except RecursionError:
        raise _RefusedError("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise _RefusedError(f"it isn't JSON (line {error.lineno}, column {error.colno})") from None
    if not isinstance(found, dict) or "format" not in found:
        raise _RefusedError("it is other JSON, without the key format")
    known = kind.__dataclass_fields__["format"].default
    if found["format"] != known:
        raise _RefusedError(f"its format is {_shown(found['format'])}, where this version knows '{known}'")
    kept = found.pop("checksum", None)
    calibration: Calibration = _typed(kind, found, "")
    if kept != checksum(calibration):
        raise _RefusedError("its values don't match its checksum: it was altered after it was written")
    _check(calibration)
    return calibration


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _RefusedError(f"the key {_shown(next(key for key in keys if keys.count(key) > 1))} stands there twice")
    return found


def _whole(digits: str) -> int:
    if len(digits) > 20:
        raise _RefusedError(f"it holds a whole number of {len(digits)} digits")
    return int(digits)


def _constant(name: str) -> float:
    raise _RefusedError(f"it holds {name}")


def _shown(value: object) -> str:
    return printable(repr(value), 60)


@lru_cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _typed(hint: Any, value: Any, key: str) -> Any:
    """Turns plain JSON into what a type hint says, or refuses it."""
    if get_origin(hint) in (Union, types.UnionType):
        return None if value is None else _typed(get_args(hint)[0], value, key)
    if get_origin(hint) is tuple:
        return _items(hint, value, key)
    if dataclasses.is_dataclass(hint):
        return _record(hint, value, key)
    # True is an int to Python, and no number to a person
    if isinstance(value, bool) is not (hint is bool) or not isinstance(value, (int, float) if hint is float else hint):
        raise _RefusedError(f"{key} is {_shown(value)}, not {_KINDS[hint]}")
    if hint is float and not math.isfinite(value):
        raise _RefusedError(f"{key} is {value}, not a finite number")
    if hint is str and _CONTROL.search(str(value)):
        raise _RefusedError(f"{key} holds control characters: {_shown(value)}")
    return float(value) if hint is float else value


def _items(hint: Any, value: Any, key: str) -> tuple[Any, ...]:
    inner = get_args(hint)
    if not isinstance(value, list) or (inner[-1] is not Ellipsis and len(value) != len(inner)):
        raise _RefusedError(
            f"{key} is {_shown(value)}, not a list{'' if inner[-1] is Ellipsis else f' of {len(inner)}'}"
        )
    return tuple(_typed(inner[0], item, f"{key}[{i}]") for i, item in enumerate(value))


def _record(kind: Any, value: Any, key: str) -> Any:
    if not isinstance(value, dict):
        raise _RefusedError(f"{key} is {_shown(value)}, not an object with keys")
    prefix = f"{key}." if key else ""
    hints = _hints(kind)
    if missing := [name for name in hints if name not in value]:
        raise _RefusedError(f"the key {prefix}{missing[0]} is missing")
    if unknown := [name for name in value if name not in hints]:
        raise _RefusedError(f"the key {printable(prefix + unknown[0], 60)} is unknown")
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
    for true, sentence in _conditions(calibration):
        if not true:
            raise _RefusedError(sentence)


def _conditions(c: Calibration) -> Iterator[tuple[bool, str]]:
    low, high = c.indication_range
    slack = 1e-9 * max(abs(low), abs(high))
    yield c.n >= 2, f"n is {c.n}, fewer than two readings"
    yield c.dropped >= 0, f"dropped is {c.dropped}, below zero"
    yield c.finish in ("least_squares", "sgd", "snap"), f"finish is {_shown(c.finish)}, which no fit writes"
    yield (c.finish == "snap") == (c.snap is not None), f"finish is {c.finish!r}, which doesn't go with snap"
    yield c.snap is None or c.snap.scale in SCALES, "snap.scale is no scale that this version knows"
    yield c.scale is None or {fit.name for fit in c.scale.scales} == set(SCALES), "scale.scales isn't the eight scales"
    yield c.scale is None or c.scale.nearest == c.scale.scales[0].name, "scale.nearest isn't the first of scale.scales"
    yield c.scale is None or set(c.scale.agreeing) <= set(SCALES), "scale.agreeing names a scale that is unknown"
    yield c.dof == (c.n if c.finish == "snap" else c.n - 2), f"dof is {c.dof}, which doesn't go with n = {c.n}"
    yield low <= high, f"indication_range is reversed, {low} to {high}"
    yield low - slack <= c.indication_mean <= high + slack, f"indication_mean is {c.indication_mean}, outside the range"
    yield 0 < c.coverage_probability < 1, f"coverage_probability is {c.coverage_probability}, not between 0 and 1"
    for name in ("u_w", "u_b", "u_pivot", "s", "rmse", "coverage_factor"):
        value = getattr(c, name)
        yield value is None or value >= 0, f"{name} is {value}, below zero"
    yield c.r_squared is None or c.r_squared <= 1, f"r_squared is {c.r_squared}, above 1"
    known = [u is not None for u in (c.u_w, c.u_b, c.cov_wb, c.u_pivot)]
    yield all(known) or not any(known), "some of u_w, u_b, cov_wb and u_pivot are null and some aren't"
    yield (
        not any(known) or (c.s is not None and c.coverage_factor is not None),
        "s or coverage_factor is missing beside u_w",
    )
    if c.u_w is not None and c.u_b is not None and c.cov_wb is not None and c.u_pivot is not None:
        u_b = math.hypot(c.u_pivot, c.indication_mean * c.u_w)
        yield math.isclose(u_b, c.u_b, rel_tol=_ROUNDING), "u_b doesn't go with u_pivot, u_w and indication_mean"
        cov, least = -c.indication_mean * c.u_w * c.u_w, _ROUNDING * c.u_w * c.u_b
        yield (
            math.isclose(cov, c.cov_wb, rel_tol=_ROUNDING, abs_tol=least),
            "cov_wb doesn't go with u_w and indication_mean",
        )
    for name, value, interval in (("w", c.w, c.w_interval), ("b", c.b, c.b_interval)):
        yield interval is None or interval[0] <= value <= interval[1], f"{name} isn't inside {name}_interval"
    yield (
        bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)", c.created)),
        "created is no time in UTC",
    )
    yield c.data_sha256 is None or bool(re.fullmatch("[0-9a-f]{64}", c.data_sha256)), "data_sha256 is no SHA-256"

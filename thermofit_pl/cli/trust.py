"""Configurations: read in bounded memory, and never obeyed, unless somebody typed so, where they name foreign code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # it ships no types

from thermofit_pl.errors import InputError
from thermofit_pl.formatting import printable

MOST = 1 << 20  # characters of a configuration, also once its aliases are written out; ours have 4 kB
TRUSTED = ("torch", "lightning", "pytorch_lightning", "thermofit_pl")
SECTIONS = ("trainer", "model", "data")
BUILT = ("trainer", "optimizer", "lr_scheduler")  # what names classes, as strings too
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
CLASS = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")


def read_configuration(path: Path, option: str) -> dict[str, Any]:
    """Returns what a configuration says, in the types of YAML.

    Args:
        path: The file.
        option: Which one named it, for complaints.

    Raises:
        InputError: It can't be read, is larger than ``MOST``, or no mapping of options.
    """
    name = f"{option}: expected YAML such as 'model: {{w: 1}}' in {printable(path)}, but"
    try:
        with path.open("rb") as file:
            content = file.read(MOST + 1)
        text = content.decode("utf-8-sig")
        if len(content) > MOST or _written_out(text) > MOST:
            raise InputError(f"{name} it is larger than 1 MiB, its aliases written out; shorten it")
        found = yaml.load(text, Loader=LOADER)  # a safe one
    except OSError as error:
        raise InputError(f"{option}: there is no file {printable(path)} ({error.strerror}); check the name") from error
    except UnicodeError as error:
        raise InputError(f"{name} it is not in UTF-8; save it so") from error
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name} got {_first_line(error)}; correct it") from error
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        what = "it is empty" if found is None else f"got {printable(str(found)[:200], 60)}"
        raise InputError(f"{name} {what}; write an option a line")
    for section in SECTIONS:
        if not isinstance(found.get(section, {}), dict | str):
            got = printable(str(found[section])[:200], 60)
            raise InputError(f"{option}: expected options below {section} in {printable(path)}, but got {got}")
    return found


def refuse_foreign_code(path: Path, typed: Sequence[str]) -> None:
    """Refuses a run's own configuration if it names code that nobody typed.

    Classes of torch, Lightning and this package are taken; any other would be imported, and so run.

    Args:
        path: The configuration, which may have come from elsewhere.
        typed: The words of the command.

    Raises:
        InputError: It names another class, or another file.
    """
    found = read_configuration(path, "--ckpt_path")
    words = {part for word in typed for part in re.split(r"[=\s,\[\]{}'\"]+", word)}
    for section in SECTIONS:
        if isinstance(found.get(section), str):
            raise InputError(f"--ckpt_path: expected options below {section} in {printable(path)}, but got a file")
    for key, value in _strings(found, ""):
        if (
            value in words
            or key == "trainer.default_root_dir"
            or not (key.split(".")[0] in BUILT or key.endswith("class_path"))
        ):
            continue
        root = value.split(".")[0]
        if CLASS.fullmatch(value) and root not in TRUSTED and _is_module(root):
            what = f"the class {printable(value, 80)}"
        elif _is_file(path.parent, value):
            what = f"the file {printable(value, 80)}"
        else:
            continue
        raise InputError(
            f"--ckpt_path: expected {printable(path)} to name classes of torch, Lightning and thermofit_pl alone, but "
            f"{printable(key, 80)} is {what}, which would run; if you trust it, add --config {printable(path)}"
        )


def misshapen(command: str, error: BaseException) -> InputError:
    """Says that a configuration is YAML, but of a structure that its parser did not expect."""
    return InputError(
        f"--config: expected options as {command} --help lists them, but got another structure "
        f"({printable(str(error), 100)}); correct it"
    )


def _strings(value: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _strings(name, key)  # Trainer's options hold mappings by class nowhere, a class' own may
            yield from _strings(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list | tuple | set):
        for inner in value:
            yield from _strings(inner, key)


def _is_module(name: str) -> bool:
    """Whether a top-level name could be imported; it is not."""
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return True


def _is_file(folder: Path, name: str) -> bool:
    try:
        return any(place.is_file() for place in (Path(name), folder / name))
    except (OSError, ValueError):
        return False


def _written_out(text: str) -> int:
    """How many characters and values a document would have without aliases, without building any of it."""
    sizes: dict[str, int] = {}
    waiting: list[tuple[str | None, int]] = []  # the anchors and sizes of what is not closed yet
    total = 0
    for event in yaml.parse(text, Loader=LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            waiting.append((event.anchor, 1))
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, size = waiting.pop()
        elif isinstance(event, yaml.ScalarEvent):
            anchor, size = event.anchor, 1 + len(event.value)
        elif isinstance(event, yaml.AliasEvent):
            anchor, size = None, sizes.get(event.anchor, MOST + 1)  # unknown yet: within itself
        else:
            continue
        if anchor is not None:
            sizes[anchor] = size
        if waiting:
            outer, so_far = waiting[-1]
            waiting[-1] = (outer, so_far + size)
        else:
            total += size
        if size > MOST:
            return size
    return total


def _first_line(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "too many levels"
    return printable(next(iter(str(error).splitlines()), "") or type(error).__name__, 100)

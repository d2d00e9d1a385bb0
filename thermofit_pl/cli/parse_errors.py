"""What jsonargparse says of an option that it can't take, as one sentence that names the option."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from importlib import import_module

from thermofit_pl.formatting import printable

FEW = 16  # classes that a sentence can list
NAMES = {
    "float": "a number",
    "int": "a whole number",
    "bool": "true or false",
    "str": "text",
    "NoneType": "null",
    "list": "a list",
    "dict": "a mapping",
}


def sentence(message: str, options: Iterable[str], commands: Iterable[str]) -> str:
    """Returns one sentence: the option, what was expected, what came, and what to do next.

    Args:
        message: jsonargparse's.
        options: All that the command has, as ``--model.w``.
        commands: Those that there are.
    """
    text = " ".join(message.split())
    if found := re.match(r"argument (\S+): expected (?:one|at least one) argument", text):
        return f"{found[1].split('/')[-1]}: expected a value, but got none"
    if found := re.match(r"[Uu]nrecognized arguments: (.*)", text):
        return _unknown(found[1].split()[0] if found[1] else "", options)
    if found := re.match(r"Subcommand '(\w+)' does not accept option '(.*)'", text):
        return _unknown_key(found[1], found[2], options, commands)
    if found := re.match(r"(?:Problems parsing|Unexpected) config: (.*)", text):
        what = found[1].replace('"<unicode string>", ', "")
        return f"--config: expected YAML such as 'model: {{w: 1}}', but got {printable(what)}"
    if found := re.match(r'Parser key "([\w.]+)": (.*)', text):
        return _wrong_value(found[1], found[2])
    return printable(text, 400)


def _unknown(word: str, options: Iterable[str]) -> str:
    if not word.startswith("-") or word == "--":
        return f"expected an option, but got {printable(word)!r}; --help lists them all"
    name = word.split("=")[0]
    near = get_close_matches(name, list(options), n=1, cutoff=0.7)
    return f"there is no option {printable(name)}; " + (f"did you mean {near[0]}?" if near else "--help lists them all")


def _unknown_key(command: str, key: str, options: Iterable[str], commands: Iterable[str]) -> str:
    if key.split(".")[0] in commands:
        return (
            f"--config: expected the options of {command} at the file's top level, but got a level "
            f"'{key.split('.')[0]}:'; take it out"
        )
    near = get_close_matches(f"--{key}", list(options), n=1, cutoff=0.7)
    hint = f"did you mean {near[0][2:]}?" if near else f"{command} --help lists all options"
    return f"--config: there is no option {printable(key)}; {hint}"


def _wrong_value(key: str, text: str) -> str:
    """Says of which kind a value should have been."""
    if found := re.match(r"File does not exist: '?(.*?)'?$", text):
        return f"--{key}: there is no file {printable(found[1])}"
    if found := re.match(r"Unable to load config '(.*?)'", text):
        return f"--{key}: expected a configuration file, but could not read {printable(found[1])}"
    if found := re.search(r"Problem with given class_path '([\w.]+)': (.*)", text):
        return _wrong_argument(key, found[1].split(".")[-1], found[2])
    given = re.search(r"(?:Given|Got) value: (.*?)(?: - Expected.*)?$", text) or re.search(r"string: (\S+)", text)
    value = printable(given[1] if given else text, 100)
    bases = re.findall(r"<class '([\w.]+\.\w+)'>", text)
    plain = re.search(r"Expected a <class '(float|int|str)'>", text)
    if not plain and ("dot import path" in text or "does not correspond to a subclass" in text):
        return _unknown_class(key, value, bases)
    expected = []
    for kind in re.findall(r"Expected an? (<class '[\w.]+'>|typing\.Literal\[.*?\])", text):
        literal = re.match(r"typing\.Literal\[(.*)\]", kind)
        if literal:
            expected += [part.strip(" '") for part in literal[1].split(",")]
        else:
            name = kind[8:-2].split(".")[-1]
            expected.append(NAMES.get(name, f"a {name}"))
    if not expected:
        return f"--{key}: {printable(text, 400)}"
    words = list(dict.fromkeys(expected))
    listed = ", ".join(words[:-1]) + (" or " if words[1:] else "") + words[-1]
    return f"--{key}: expected {listed}, but got {value}"


def _wrong_argument(key: str, name: str, detail: str) -> str:
    """Says what is wrong with an argument of a class that was named."""
    if found := re.match(r"the following arguments are required: ([\w, ]+?)(?: - | Given value|$)", detail):
        first = found[1].split(",")[0]
        return f"--{key}.{first}: expected a value, since {name} needs one, but got none"
    if found := re.match(r"Option '(.*?)' is not accepted", detail):
        return f"--{key}: {name} has no option {printable(found[1])}; --{key}.help {name} lists those that it has"
    if found := re.match(r'Parser key "([\w.]+)": (.*?)(?: - Expected a <class \'NoneType\'> Given .*)?$', detail):
        return _wrong_value(key if key.endswith(f".{found[1]}") else f"{key}.{found[1]}", found[2])
    return f"--{key}: {name}: {printable(detail, 200)}"


def _unknown_class(key: str, value: str, bases: list[str]) -> str:
    """Says which classes there are, and the nearest."""
    base = next((base for base in bases if not base.startswith("builtins")), "")
    known: dict[str, str] = {}
    if base:
        module, _, name = base.rpartition(".")
        waiting = [getattr(import_module(module), name, object)]
        while waiting:
            kinds = waiting.pop().__subclasses__()
            known |= {kind.__name__.lower(): kind.__name__ for kind in kinds}
            waiting += kinds if len(known) < 500 else []
    near = get_close_matches(value.lower(), known, n=1)
    hint = f"did you mean {known[near[0]]}?" if near else "--help lists those that are known"
    if len(known) < FEW:
        hint = f"{f'{hint} There' if near else 'there'} are {', '.join(sorted(known.values()))}"
    return f"--{key}: expected the name of a class of {base.rpartition('.')[2] or 'its kind'}, but got {value}; {hint}"

"""What was typed, in the order in which it means what it says, upon the settings of the checkpoint that it names."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import dict_to_namespace
from lightning.pytorch.cli import LightningArgumentParser

from thermofit_pl.callbacks.checkpoints import load_checkpoint, newest_checkpoint
from thermofit_pl.cli.about import TRAINING
from thermofit_pl.cli.parse_errors import sentence
from thermofit_pl.cli.private import explain, options_of
from thermofit_pl.cli.run_folder import ROOT
from thermofit_pl.cli.trust import read_configuration, refuse_foreign_code
from thermofit_pl.curves.base import from_record
from thermofit_pl.errors import InputError
from thermofit_pl.formatting import printable

SPANS = ("--data.pair.shift", "--data.pair.tolerance")
FIRST = ("--config", "-c", "--trainer", "--model", "--data", "--optimizer", "--lr_scheduler", "--trainer.logger")
HELP = {
    "config": "YAML file with options of this command, which those that are typed win over. It is code: a class that "
    "it names is imported and run, so take none from somebody you don't trust.",
    "seed_everything": "Seed of Python's, NumPy's and torch's random numbers, for optimisers and callbacks of your "
    "own; a split and the order of mini-batches have --data.seed.",
    "ckpt_path": "Checkpoint to start from, a local file; last is the newest of the runs under logs/. "
    "Settings that are not typed are those of its run; classes among them that are not of torch, Lightning or this "
    "package must be typed again, or --config must name its config.yaml.",
    "trainer.max_epochs": "Ends the fit after so many epochs, 10 if no other end is set; -1 sets none. With the full "
    "batch, an epoch is --model.steps_per_epoch steps.",
    "trainer.max_steps": "Ends the fit after so many steps of the optimiser; -1 sets no such end.",
    "trainer.logger": "Logger, or list of loggers: true for TensorBoard (the default), false for none, or a class such "
    "as CSVLogger with its own options.",
    "trainer.default_root_dir": "Folder of all runs, in the place of logs/: each has FOLDER/<command>/version_N.",
    "trainer.log_every_n_steps": "To be left out: curves show some hundred steps of a run, spaced for reading.",
    "trainer.overfit_batches": "To be left out: a line has nothing to overfit.",
    "trainer.model_registry": "To be left out: a run stays on this computer.",
}


class Parser(LightningArgumentParser):
    """Takes options in full only, and complains in one sentence."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # argparse's own, handed on
        super().__init__(*args, **(kwargs | {"allow_abbrev": False}))
        self.known: list[str] = []

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raises what went wrong as one sentence, with the nearest option to one that does not exist."""
        if not self.exit_on_error:  # one of jsonargparse's own, for a class: the outer one knows the option
            super().error(message, ex)
        raise InputError(sentence(message, self.known or options_of(self), TRAINING)) from ex

    def explain(self) -> list[str]:
        """Puts our own words where Lightning's don't hold, and returns all options."""
        explain(self, HELP, _place_in_help)
        return options_of(self)


def _place_in_help(title: str | None, names: list[str]) -> int:
    """Where a group of options stands in --help: the data's and the module's before Lightning's 400 lines."""
    for place, kind in enumerate(("data", "model")):
        if any(name.split(".")[0] == kind for name in names):
            return place + 1
    return 0 if title in ("positional arguments", "options") else 3


def arrange(argv: list[str]) -> list[str]:
    """Puts the arguments into the order in which they mean what they say.

    What names a configuration or a class stands before single options, which then win over it, wherever it was typed;
    the settings of a checkpoint's own run stand before that.

    Args:
        argv: As typed.

    Raises:
        InputError: If options stand before the command, or the checkpoint can't be used.
    """
    at = next(i for i, word in enumerate(argv) if word in TRAINING)
    command, before, after = argv[at], argv[:at], _with_negative_spans(argv[at + 1 :])
    first, rest = split_off(before, FIRST[:2])
    if rest:
        raise InputError(f"expected options after the command {command}, but got {rest[0]} before it")
    more, rest = split_off(after, FIRST)
    first = sorted(first + more, key=lambda pair: pair[0] not in FIRST[:2])  # files of all options, then of some
    checkpoints, rest = split_off(rest, ("--ckpt_path",))
    roots, _ = split_off(rest, ("--trainer.default_root_dir",))
    typed = [word for pair in first for word in pair] + rest
    if not checkpoints:
        return [command, *typed]
    path = Path(checkpoints[-1][1])
    if str(path) == "last":
        path = newest_checkpoint(Path(roots[-1][1] if roots else ROOT))
    return [command, *_own_settings(command, path, typed), *typed, "--ckpt_path", str(path)]


def _with_negative_spans(words: list[str]) -> list[str]:
    """Joins an option and a value such as -1h, which argparse would take for another option."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1] in SPANS and re.match(r"-[\d.]", word):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _own_settings(command: str, checkpoint: Path, typed: list[str]) -> list[str]:
    """Returns the settings of a checkpoint's run, as arguments: all for going on, those of the readings for scoring."""
    own = checkpoint.parent.parent / "config.yaml"
    if command == "fit":
        if not own.is_file():
            return _hyper_parameters(checkpoint, typed)
        if not any(Path(value).resolve() == own.resolve() for _, value in split_off(typed, FIRST[:2])[0]):
            refuse_foreign_code(own, typed)
        return ["--config", str(own)]
    if not own.is_file():
        return []
    data = read_configuration(own, "--ckpt_path").get("data")
    if not isinstance(data, dict) or not all(isinstance(name, str) for name in data):
        raise InputError(f"--ckpt_path: expected the settings of its run in {printable(own)}, but it has none of data")
    other = any(word.split("=")[0] == "--data.path" for word in typed)
    if other:  # another table has no parts that were held out, and need not be a log
        data |= {"val_fraction": 0.0, "test_fraction": 0.0, "val_path": None, "test_path": None}
    pair = data.get("pair") or {}
    paired = bool(data.get("entity") or pair.get("path") or pair.get("time")) and command != "predict"
    if (other or command == "predict") and not paired:
        data["time"] = None
    return [f"--data.{name}={_word(value)}" for name, value in _flat(data)]


def _flat(settings: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Gives the settings of a group with its name before theirs, as options have it."""
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _hyper_parameters(checkpoint: Path, typed: list[str]) -> list[str]:
    """Returns what a checkpoint that stands alone says of its module."""
    loaded = load_checkpoint(checkpoint)
    settings = loaded.get("hyper_parameters", {})
    if not isinstance(settings, dict) or not all(isinstance(name, str) for name in settings):
        settings = {"": ()}
    settings = {name: value for name, value in settings.items() if name[:1] != "_" and name != "curve"}
    if not all(value is None or isinstance(value, bool | int | float | str) for value in settings.values()):
        raise InputError(
            f"--ckpt_path: expected plain settings of a module in {printable(checkpoint)}, but got others; "
            "take the checkpoint from its run again"
        )
    words = [f"--model.{name}={_word(value)}" for name, value in settings.items()]
    if loaded.get("curve") is not None and not any(word.startswith("--model.curve") for word in typed):
        words.append(f"--model.curve={json.dumps(from_record(loaded['curve']).record())}")
    return words


def _word(value: object) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def settle_learning_rate(config: Any, parse_typed: Callable[[], Any]) -> None:
    """Gives the optimiser --model.learning_rate unless --optimizer.lr was given, and a scheduler its optimiser.

    Args:
        config: All settings of the command, which are changed.
        parse_typed: Returns those that are no defaults; it takes a moment.

    Raises:
        InputError: If both rates were given, and differ.
    """
    if config.get("optimizer") is None:
        if config.get("lr_scheduler") is not None:
            init_args = {"lr": config.model.learning_rate}
            config.optimizer = dict_to_namespace({"class_path": "torch.optim.SGD", "init_args": init_args})
        return
    init = config.optimizer.init_args
    if "lr" not in init:
        return
    typed = parse_typed()
    if typed.get("optimizer.init_args.lr") is None:
        init.lr = config.model.learning_rate
    elif typed.get("model.learning_rate") in (None, init.lr):
        config.model.learning_rate = init.lr
    else:
        raise InputError(
            "--optimizer.lr and --model.learning_rate: expected one of them, or the same number, but got "
            f"{init.lr:g} and {config.model.learning_rate:g}"
        )


def parser_kwargs(command: str) -> dict[str, Any]:
    """Returns how the parsers call themselves: their usage would be 80 lines."""
    program = "python -m thermofit_pl"
    does = TRAINING[command]
    own = {"usage": f"{program} {command} [options]", "description": f"{does[0].upper()}{does[1:]}."}
    return {"prog": program, "usage": f"{program} COMMAND [options]", command: own}


def split_off(words: list[str], options: tuple[str, ...]) -> tuple[list[tuple[str, str]], list[str]]:
    """Returns some options with their values, and the words that are left."""
    taken: list[tuple[str, str]] = []
    rest: list[str] = []
    position = 0
    while position < len(words):
        name, equals, value = words[position].partition("=")
        if name in options and (equals or position + 1 < len(words)):
            if not equals:
                position += 1
                value = words[position]
            taken.append((name, value))
        else:
            rest.append(words[position])
        position += 1
    return taken, rest

"""All that this package uses of others although they don't publish it.

``tests/cli/test_private.py`` fails where it changes.

Each function says why there is no public way.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

from jsonargparse import ArgumentParser
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

FileLogger = CSVLogger | TensorBoardLogger


class TypedCLI(LightningCLI):
    """LightningCLI in which what was typed wins, and what isn't the user's to choose is no option.

    It parses, builds and runs within ``__init__``; its hooks between these are its own, without a public name.
    """

    fixed: dict[str, Any]  # arguments of the Trainer's method that are not the user's

    def _parse_ckpt_path(self) -> None:
        """Leaves the settings as typed: Lightning lets those of the checkpoint win over them (its issue 20801)."""

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        """Adds what is fixed."""
        return super()._prepare_subcommand_kwargs(subcommand) | self.fixed

    def parser_of(self, command: str) -> ArgumentParser:
        """Returns a command's own parser, which alone can write its options down."""
        found: ArgumentParser = self._subcommand_parsers[command]
        return found


def options_of(parser: ArgumentParser) -> list[str]:
    """Returns the options of a parser, for the nearest to one that there isn't; argparse lists them to nobody."""
    return list(parser._option_string_actions)


def explain(parser: ArgumentParser, words: dict[str, str], place: Callable[[str | None, list[str]], int]) -> None:
    """Puts other words in the place of a parser's help, and its groups of options into another order.

    The options are Lightning's and argparse gives none of them out once they are added.

    Args:
        parser: Its help is changed.
        words: By the name of an option, without dashes.
        place: Says where a group stands, by its title and the names of its options.
    """
    for action in parser._actions:
        action.help = words.get(action.dest, action.help)
    parser._action_groups = sorted(
        parser._action_groups, key=lambda group: place(group.title, [action.dest for action in group._group_actions])
    )


def name_run(logger: FileLogger, name: str) -> None:
    """Gives a logger the name of its runs, which it takes when it is made: before the command is known."""
    logger._name = name


def next_version(logger: FileLogger) -> None:
    """Gives a logger the next version that is free, though one that is taken was asked for when it was made."""
    logger._version = None
    logger._version = logger._get_next_version()


def interpreter_flags() -> list[str]:
    """Returns the flags that this interpreter was started with, for another one: as multiprocessing finds them."""
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    return flags

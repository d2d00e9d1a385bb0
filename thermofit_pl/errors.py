"""The one error that is the user's to mend, and the settings that it speaks of."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Setting(NamedTuple):
    """Something that a user can set, as a sentence speaks of it: an argument in Python, an option on the command line.

    Attributes:
        argument: Its name in Python, such as ``learning_rate``.
        value: What to set it to, where the sentence proposes that.
    """

    argument: str
    value: object = None

    def __str__(self) -> str:
        return self.argument if self.value is None else f"{self.argument}={self.value!r}"


class InputError(ValueError):
    """What a user gave cannot be used.

    The message is one sentence for that person: what was expected, what came, where, and what to do next. As text it
    names arguments, as a Python user writes them; the command line prints its own options in their place, and ends
    with exit code 2.

    Args:
        parts: The sentence in pieces: texts, and the settings that it speaks of.

    Example:
        >>> error = InputError(Setting("learning_rate"), ": expected a positive number, but got -1")
        >>> str(error)
        'learning_rate: expected a positive number, but got -1'
        >>> error.sentence(lambda setting: f"--model.{setting.argument}")
        '--model.learning_rate: expected a positive number, but got -1'
    """

    def __init__(self, *parts: str | Setting) -> None:
        super().__init__(*parts)

    def __str__(self) -> str:
        return self.sentence(str)

    def sentence(self, name: Callable[[Setting], str]) -> str:
        """Returns the sentence.

        Args:
            name: Names a setting.
        """
        return "".join(name(part) if isinstance(part, Setting) else str(part) for part in self.args)

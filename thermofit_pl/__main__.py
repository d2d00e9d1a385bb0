"""``python -m thermofit_pl``: chooses the command, and turns errors into a sentence and an exit code."""

from __future__ import annotations

import os
import sys
from difflib import get_close_matches

from thermofit_pl import __version__
from thermofit_pl.errors import InputError

TRAINING = ("fit", "validate", "test", "predict")
LIGHT = ("apply", "show")
HELP = """usage: thermofit_pl COMMAND [options]

Calibrates thermometers and other sensors: reference = w · indication + b.

  fit       fits the line to readings beside a reference; without options, to the eleven that the package brings
  validate  scores a checkpoint's line on readings held out for validation
  test      scores a checkpoint's line on readings held out for the test
  predict   writes a table with the estimate of each row, by a checkpoint
  apply     corrects a table of new readings, by a calibration
  show      prints a calibration

COMMAND --help lists a command's options; --version prints the version.
"""


def main(argv: list[str] | None = None) -> int:
    """Runs a command.

    Args:
        argv: The arguments; the command line's by default.

    Returns:
        The exit code: 0, 2 for input that can't be used, 1 for anything else that went wrong.
    """
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help"):
        print(HELP, end="")
        return 0
    if argv[0] == "--version":
        print(f"thermofit_pl {__version__}")
        return 0
    try:
        return _run(argv)
    except InputError as error:
        return _say(str(error), 2)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115  # the interpreter flushes it at exit
        return _say("standard output was closed before all was written", 1)
    except OSError as error:
        return _say(f"{error.strerror or error}: {error.filename}" if error.filename else str(error), 1)


def _run(argv: list[str]) -> int:
    command = next((word for word in argv if word in TRAINING), None)
    if argv[0] in LIGHT:
        from thermofit_pl.commands import main as light

        return light(argv)
    if command is None:
        near = get_close_matches(argv[0], (*TRAINING, *LIGHT), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InputError(f"expected a command, one of {', '.join((*TRAINING, *LIGHT))}, but got {argv[0]!r}{hint}")
    from thermofit_pl.cli import main as training

    return training(argv)


def _say(sentence: str, code: int) -> int:
    """Prints the sentence, on the first process alone, and returns the exit code."""
    if os.environ.get("LOCAL_RANK", "0") == "0":
        print(f"thermofit_pl: error: {' '.join(sentence.split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())

"""``python -m thermofit_pl``: chooses the command, and turns errors into a sentence and an exit code."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches

from thermofit_pl import __version__
from thermofit_pl.cli.about import LIGHT, TRAINING
from thermofit_pl.cli.option_names import light_option, training_option
from thermofit_pl.cli.terminal import settle_streams
from thermofit_pl.distributed.environment import forget_stray_marks
from thermofit_pl.distributed.exit_reason import ExitReason, prints
from thermofit_pl.distributed.signals import Signals, Stopped
from thermofit_pl.errors import InputError, Setting
from thermofit_pl.formatting import printable

HELP = f"""usage: thermofit_pl COMMAND [options]

Calibrates thermometers and other sensors: reference = w · indication + b.

{chr(10).join(f"  {command:8}  {does}" for command, does in (TRAINING | LIGHT).items())}

COMMAND --help lists a command's options; --version prints the version. The exit code is 0, 2 for input that can't be
used, 1 for anything else that went wrong; THERMOFIT_DEBUG=1 in the environment then shows where.
"""


def main(argv: list[str] | None = None) -> int:
    """Runs a command.

    Args:
        argv: The arguments; the command line's by default.

    Returns:
        The exit code: 0, 2 for input that can't be used, 128 + a signal's number, 1 for anything else that went wrong.
    """
    argv = sys.argv[1:] if argv is None else argv
    forget_stray_marks()
    with Signals() as signals:
        try:
            try:
                code = _run(argv, signals)
            except SystemExit as ended:  # argparse's, after --help
                if isinstance(ended, Stopped):
                    raise
                code = int(ended.code or 0)
            _flush()
        except Stopped as stopped:
            return _say(ExitReason.of(stopped))
        except (Exception, KeyboardInterrupt) as error:
            if signals.received is None and os.environ.get("THERMOFIT_DEBUG"):
                raise
            return _complain(error, signals, light_option if argv[:1] and argv[0] in LIGHT else training_option)
        return code if signals.received is None else 128 + signals.received


def _run(argv: list[str], signals: Signals) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(HELP, end="")
        return 0
    if argv[0] == "--version":
        print(f"thermofit_pl {__version__}")
        return 0
    if argv[0] == "inspect":
        from thermofit_pl.cli.inspection import main as inspect

        return inspect(argv)
    if argv[0] in LIGHT:
        from thermofit_pl.cli.commands import main as light

        return light(argv)
    named = next((word for word in argv if word in TRAINING), None)
    if named is None or not (argv[0] in TRAINING or argv[0].startswith("-")):
        known = (*TRAINING, *LIGHT)
        near = get_close_matches(argv[0], known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InputError(f"expected a command, one of {', '.join(known)}, but got {printable(argv[0])!r}{hint}")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # where a process is lost, gloo writes pages
    with _no_collection():
        from thermofit_pl.cli.training import main as training

    return training(argv, signals)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Imports without the garbage collector, and hides from it what they made, in a process that has just started.

    It would go through the million objects of torch's and Lightning's modules again and again, to find nothing: 1.2 of
    the 4.3 s of a fit.
    """
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _complain(error: BaseException, signals: Signals, option: Callable[[Setting], str]) -> int:
    """Says in one line what went wrong, with the command's options, and returns the exit code."""
    if isinstance(error, BrokenPipeError):
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115  # the interpreter flushes it at exit
    stopped = None if signals.received is None else Stopped(signals.received)  # whatever it was interrupted in
    return _say(ExitReason.of(stopped or error, option))


def _flush() -> None:
    """Writes what was printed, while a complaint about it can still be made."""
    if sys.stdout is None:  # closed before the start: Python then prints into nothing
        raise BrokenPipeError
    sys.stdout.flush()


def _say(reason: ExitReason) -> int:
    """Prints why the command ends, in the one process of a run that does, and returns the exit code."""
    if prints(reason) and sys.stderr is not None:
        kind = "" if reason.code > 128 else "error: "
        print(f"thermofit_pl: {kind}{printable(' '.join(reason.sentence.split()), 2000)}", file=sys.stderr)
    return reason.code


def command() -> int:
    """Runs the command line's command in a process of its own, which ends with it; returns the exit code."""
    settle_streams()
    codes: list[int] = []
    atexit.register(_leave, codes)  # the first that is registered runs last, when all threads have ended
    codes.append(main())
    return codes[0]


def _leave(codes: list[int]) -> None:
    """Ends the process, once a command has ended, without taking its memory apart piece by piece.

    The operating system frees it at once; Python would take 0.15 s for the modules of torch and Lightning.
    """
    if codes:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        os._exit(codes[0])


if __name__ == "__main__":
    sys.exit(command())

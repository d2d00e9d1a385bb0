"""The command ``inspect``: TensorBoard on the runs, for this computer alone."""

from __future__ import annotations

import argparse
import io
import logging
import os
import signal
import threading
from contextlib import redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from thermofit_pl.errors import InputError
from thermofit_pl.formatting import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

HOST = "127.0.0.1"
SAMPLES = "scalars=10000,images=100,text=100"  # by default TensorBoard leaves out points beyond 1,000, images beyond 10


def main(argv: Sequence[str]) -> int:
    """Runs ``inspect`` until it is interrupted.

    Args:
        argv: The command and its arguments.

    Returns:
        The exit code.

    Raises:
        InputError: There is nothing to look at, or the port is taken.
    """
    arguments = _parser().parse_args(argv)
    folder = _folder(arguments.run)
    url = serve(folder, arguments.port)
    print(f"TensorBoard on {printable(folder)}: {url}  (Ctrl-C ends it)", flush=True)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # here, Ctrl-C is no failure
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        print()
    finally:
        signal.signal(signal.SIGINT, before)
    return 0


def serve(folder: Path, port: int | None = None) -> str:
    """Starts TensorBoard in a thread of this process.

    Args:
        folder: With event files in it, or in folders below it.
        port: Of 127.0.0.1; 0 takes any that is free, None takes 6006 or the next that is free.

    Returns:
        Its address.

    Raises:
        InputError: The port is taken.
    """
    from tensorboard import default, program

    for name in ("tensorboard", "werkzeug"):
        logging.getLogger(name).setLevel(logging.ERROR)
    board = program.TensorBoard(default.get_plugins())
    options = ["--logdir", os.fspath(folder), "--host", HOST, "--samples_per_plugin", SAMPLES]
    board.configure([None, *options, *([] if port is None else ["--port", str(port)])])
    try:
        with redirect_stderr(io.StringIO()):  # a note on how it loads data, to which nobody can do anything
            return str(board.launch())
    except program.TensorBoardServerException as error:
        raise InputError(
            f"Expected a free port of {HOST}, but got {' '.join(error.msg.split())}; name another with --port."
        ) from error


def _folder(run: str | None) -> Path:
    root = Path(run or "logs")
    if run == "last" and not root.exists():
        runs = sorted(Path("logs").glob("*/*"), key=lambda found: found.stat().st_mtime)
        root = runs[-1] if runs else Path("logs")
    if not any(root.rglob("events.out.tfevents.*")):
        raise InputError(f"Expected a folder with runs of a fit, but found none in {printable(root)}; fit first.")
    return root


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{printable(message, 400)}; {self.prog} --help says what it takes.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m thermofit_pl inspect",
        description="Shows runs in the browser: starts TensorBoard, for this computer alone, and prints its address.",
        allow_abbrev=False,
    )
    parser.add_argument("command", choices=["inspect"], help=argparse.SUPPRESS)
    parser.add_argument(
        "run", metavar="RUN", nargs="?", help="a run's folder, a folder of runs, or last; default: all runs under logs/"
    )
    parser.add_argument("--port", type=int, help="default: 6006, or the next that is free; 0: any that is free")
    return parser

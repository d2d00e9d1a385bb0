"""The command ``inspect`` in a process of its own, for tests that ask it and that look at its page."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NAMES = ("readings", "errors", "errors_in_order", "loss", "learning_curve")


@contextmanager
def inspecting(folder: Path, *arguments: str) -> Iterator[str]:
    """Runs the command in a folder with ``logs``; gives the address; ends it by Ctrl-C."""
    command = [sys.executable, "-m", "thermofit_pl", "inspect", *arguments, "--port", "0"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            address = re.search(r"http://127\.0\.0\.1:\d+/", line)
            assert address, line + (process.stderr.read() if process.stderr else "")
            yield address[0]
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
            assert process.stderr is not None
            assert process.stderr.read() == ""
        finally:
            process.kill()

"""A few bytes of a binary table that are changed cost one sentence, and no memory beyond a bound."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import damaging
import pytest

from thermofit_pl.tables.damage import PanicLines


def ended(command: str, times: int, seed: int, folder: Path) -> Counter[str]:
    """Runs a command on damaged files, and counts its exit codes."""
    call = [sys.executable, damaging.__file__, command, str(times), str(seed)]
    done = subprocess.run(call, cwd=folder, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "panicked" not in done.stderr, done.stderr[:3000]
    return Counter(done.stdout.split()[-times:])


@pytest.mark.parametrize(("command", "times"), [("apply", 15), ("fit", 8), ("show", 20)])
def test_damaged_files(command: str, times: int, tmp_path: Path) -> None:
    codes = ended(command, times, 4, tmp_path)
    assert codes["2"] > times / 3
    assert codes["0"] + codes["2"] == times


@pytest.mark.slow
@pytest.mark.parametrize(("command", "times"), [("apply", 150), ("fit", 60), ("show", 150)])
def test_many_damaged_files(command: str, times: int, tmp_path: Path) -> None:
    assert ended(command, times, 100, tmp_path)["2"] > times / 4


def test_a_panic_prints_nothing_and_what_else_is_written_stays(capfd: pytest.CaptureFixture[str]) -> None:
    with closing(PanicLines()) as lines:
        with lines:
            os.write(2, b"\nthread '<unnamed>' (7) panicked at crates/polars-core/src/x.rs:1:2:\nstack backtrace:\n")
        assert capfd.readouterr().err == ""
        with lines:
            os.write(2, b"another's words\n")
        assert capfd.readouterr().err == "another's words\n"
        with lines, lines:  # as another thread would
            pass
        os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"

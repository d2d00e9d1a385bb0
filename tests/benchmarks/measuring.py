"""How things are measured: in turns, as ratios with their spread; processes as the operating system sees them."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

Measured = TypeVar("Measured")
ROOT = Path(__file__).parents[2]
# Starts a process from a small one: Linux counts the memory of what starts a process as that process's own.
LAUNCHER = """
import json, os, subprocess, sys, time
start = time.perf_counter()
child = subprocess.Popen(sys.argv[2:])
_, status, usage = os.wait4(child.pid, 0)
took = time.perf_counter() - start
child.returncode = os.waitstatus_to_exitcode(status)
with open(sys.argv[1], "w") as report:
    json.dump([took, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, child.returncode], report)
"""


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        repeats: Turns of each side.
        steps: Steps of a short fit, as in the notebook.
        many_steps: Steps of a long fit.
        slow_steps: Steps of what is too slow for more.
        readings: Readings in memory.
        rows: Readings of a table on disk.
        peers: Readings for which the peers' estimators are compared.
        instruments: Instruments of a fleet, whose table has ``rows`` readings.
        many_instruments: Those of a large fleet, with ten readings each, of which only the memory is measured.
        card: Readings on a CUDA card.
    """

    repeats: int = 5
    steps: int = 5_000
    many_steps: int = 100_000
    slow_steps: int = 200
    readings: int = 1_000_000
    rows: int = 10_000_000
    peers: tuple[int, ...] = (11, 1_000, 100_000, 10_000_000)
    instruments: int = 100_000
    many_instruments: int = 1_000_000
    card: int = 100_000_000


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: What is compared.
        ratios: One for each turn.
        figures: What the ratio is made of, in words.
        target: What the ratio must be at least or at most, if anything.
    """

    what: str
    ratios: Sequence[float]
    figures: str
    target: tuple[Literal["≥", "≤"], float] | None = None

    @property
    def ratio(self) -> float:
        """The median of the turns."""
        return statistics.median(self.ratios)

    @property
    def met(self) -> bool | None:
        """Whether the median meets the target."""
        if self.target is None:
            return None
        sign, bound = self.target
        return self.ratio >= bound if sign == "≥" else self.ratio <= bound


def in_turns(repeats: int, sides: Mapping[str, Callable[[], Measured]]) -> dict[str, list[Measured]]:
    """Measures several sides in turns, so that what else the machine does meets all of them."""
    found: dict[str, list[Measured]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, side in sides.items():
            found[name].append(side())
    return found


def divided(first: Sequence[float], second: Sequence[float]) -> list[float]:
    """Returns the ratio of each turn."""
    return [a / b for a, b in zip(first, second, strict=True)]


def less(first: Sequence[float], second: Sequence[float]) -> list[float]:
    """Returns what is left of each measurement when the other's median is taken off; at least a millisecond."""
    base = statistics.median(second)
    return [max(each - base, 1e-3) for each in first]


def seconds(call: Callable[[], object]) -> float:
    """Returns how long a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


@dataclass(frozen=True)
class Process:
    """What a process took.

    Attributes:
        seconds: From its start to its end, on the clock.
        busy: Processor time, which other jobs on the machine disturb less.
        megabytes: Its largest resident memory.
    """

    seconds: float
    busy: float
    megabytes: float


def process(*arguments: str, folder: Path) -> Process:
    """Runs Python with some arguments, in a folder.

    Raises:
        RuntimeError: If it fails.
    """
    report = folder / "report.json"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-S", "-c", LAUNCHER, str(report), sys.executable, *arguments]
    ended = subprocess.run(words, cwd=folder, capture_output=True, text=True, env=environment, check=False)
    took, busy, peak, code = json.loads(report.read_text(encoding="utf-8"))
    if code:
        raise RuntimeError(f"{arguments} ended with {code}: {ended.stderr[-2000:]}")
    return Process(took, busy, peak * (1 if sys.platform == "darwin" else 1024) / 1e6)


def median(values: Sequence[float]) -> float:
    """Returns the median."""
    return statistics.median(values)

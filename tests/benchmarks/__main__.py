"""``python -m tests.benchmarks``: measures everything, and prints a table."""

from __future__ import annotations

import argparse
import logging
import os
import platform
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import torch

from .measuring import Row, Sizes

QUICK = Sizes(
    repeats=3,
    slow_steps=50,
    readings=200_000,
    rows=1_000_000,
    peers=(11, 10_000, 1_000_000),
    instruments=10_000,
    many_instruments=100_000,
    card=10_000_000,
)
PARTS = ("steps", "tables", "fleets", "correcting", "startup", "batches", "peers", "card")


def main(argv: list[str] | None = None) -> int:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller tables, fewer turns: three minutes")
    parser.add_argument("--rows", type=int, help="readings of the tables on disk, such as 50000000")
    parser.add_argument("--repeats", type=int, help="turns of each side")
    parser.add_argument("--only", choices=PARTS, action="append", help="measure this part; may be repeated")
    parser.add_argument("--markdown", type=Path, help="write the table as Markdown to this file too")
    options = parser.parse_args(argv)
    asked = {name: value for name in ("rows", "repeats") if (value := getattr(options, name))}
    sizes = replace(QUICK if options.quick else Sizes(), **asked)
    quiet()
    print(machine())
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for row in rows(options.only or PARTS, sizes, Path(folder)):
            found.append(row)
            print(line(row), flush=True)
    if options.markdown:
        options.markdown.write_text(markdown(found), encoding="utf-8")
    return 0


def rows(parts: tuple[str, ...] | list[str], sizes: Sizes, folder: Path) -> Iterator[Row]:
    """Measures some parts, in their order."""
    for part in PARTS:
        if part in parts:
            measure: Callable[[Sizes, Path], Iterator[Row]] = import_module(f".{part}", __package__).rows
            own = folder / part  # for runs are numbered, and a later part names its first
            own.mkdir()
            yield from measure(sizes, own)


def line(row: Row) -> str:
    """Returns a row as a line of text."""
    return f"{row.what:82} {ratio(row):24} {target(row):14} {row.figures}"


def markdown(found: list[Row]) -> str:
    """Returns the table as Markdown, with the machine that it comes from."""
    head = "| What is compared | Ratio: median (least to most) | Target | Made of |\n| --- | --- | --- | --- |\n"
    body = "".join(f"| {row.what} | {ratio(row)} | {target(row)} | {row.figures} |\n" for row in found)
    return f"{machine()}\n\n{head}{body}"


def ratio(row: Row) -> str:
    """Returns a row's ratio with its spread."""
    return f"{number(row.ratio)} ({number(min(row.ratios))} to {number(max(row.ratios))})"


def target(row: Row) -> str:
    """Returns a row's target, and whether it was met."""
    if row.target is None:
        return ""
    sign, bound = row.target
    return f"{sign} {bound:g}: {'met' if row.met else 'missed'}"


def number(value: float) -> str:
    """Returns a ratio in three figures."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def machine() -> str:
    """Names the machine and the versions that the figures hold for."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "lightning", "polars"))
    card = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores ({processor()}), {memory:.0f} GiB{card}; {system}, {packages}"


def processor() -> str:
    """Names the processor, where the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [text.split(":")[1].strip() for text in lines if text.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def quiet() -> None:
    """Silences what Lightning says of devices and loaders."""
    warnings.simplefilter("ignore")
    import lightning.pytorch  # noqa: F401  # its import sets the levels

    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)


if __name__ == "__main__":
    sys.exit(main())

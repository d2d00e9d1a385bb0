"""Many instruments in one table: reading and ``fit`` beside DuckDB's ``GROUP BY``, and beside loops over them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from .data import write_fleet
from .measuring import ROOT, Process, Row, Sizes, divided, in_turns, less, median
from .tables import IMPORTS, fit, script

DUCKDB = """
import duckdb
lines = "select instrument, regr_slope(reference, indication), regr_intercept(reference, indication)"
duckdb.sql(lines + " from '{path}' group by instrument").fetchnumpy()
"""
# The same query, and the reading into moments that stands for it, each without its imports: seconds on the clock, and
# of the processor.
TIMED = """
import time
{imports}
start = time.perf_counter(), time.process_time()
{work}
print(time.perf_counter() - start[0], time.process_time() - start[1])
"""
GROUP_BY = "import duckdb", DUCKDB.split("\n", 2)[2]
MOMENTS = (
    """
import polars
from thermofit_pl.curves.line import Line
from thermofit_pl.curves.polynomial import Polynomial
from thermofit_pl.metrics.accumulator import Accumulator, one_thread
from thermofit_pl.tables.table import Table
""",
    """
with one_thread():
    table = Table("{path}", "indication", "reference", instrument="instrument")
    accumulator = Accumulator(fleet=True, curve={curve})
    for block in table.blocks():
        accumulator.add("train", block)
    accumulator.flush()
    table.sha256()
    accumulator.reindex(table.instruments())
""",
)
# Loops over the first instruments alone, for over all they would take minutes or hours; the time of one is printed.
GROUPED = """
import time, polars as pl
{imports}
table = pl.read_parquet("{path}")
first = table["instrument"].unique(maintain_order=True).head({some})
groups = list(table.filter(pl.col("instrument").is_in(first.implode())).group_by("instrument"))
start = time.perf_counter()
for _, own in groups:
    x, y = own["indication"].to_numpy(), own["reference"].to_numpy()
    {call}
print((time.perf_counter() - start) / {some})
"""
PICKED = """
import time, polars as pl
{imports}
table = pl.read_parquet("{path}")
first = table["instrument"].unique(maintain_order=True).head({some})
start = time.perf_counter()
for name in first:
    own = table.filter(pl.col("instrument") == name)
    x, y = own["indication"].to_numpy(), own["reference"].to_numpy()
    {call}
print((time.perf_counter() - start) / {some})
"""
LINREGRESS = {"call": "linregress(x, y)", "imports": "from scipy.stats import linregress"}
OLS = {"call": "sm.OLS(y, sm.add_constant(x)).fit().bse", "imports": "import statsmodels.api as sm"}
LOOPS = {
    "a loop over statsmodels' OLS that picks rows": (PICKED, OLS, 100),
    "a loop over scipy's linregress that picks rows": (PICKED, LINREGRESS, 100),
    "a loop over statsmodels' OLS, its groups given": (GROUPED, OLS, 2000),
    "a loop over scipy's linregress, its groups given": (GROUPED, LINREGRESS, 2000),
}


def rows(sizes: Sizes, folder: Path) -> Iterator[Row]:
    """Measures a fleet, and the memory of a large one."""
    path = folder / "fleet.parquet"
    write_fleet(sizes.rows, sizes.instruments, path, named=False)
    yield from reading(sizes, folder, path, "whole numbers")
    write_fleet(sizes.rows, sizes.instruments, path)
    yield from reading(sizes, folder, path, "names")
    yield from fleet(sizes, folder, path)
    write_fleet(10 * sizes.many_instruments, sizes.many_instruments, path)
    peaks = [fit(path, folder, "--data.instrument", "instrument").megabytes]
    what = f"fit, {sizes.many_instruments} instruments: peak memory / 3 GB"
    yield Row(what, [peak / 3000 for peak in peaks], f"{max(peaks):.0f} MB", ("≤", 1.0))
    path.unlink()


def reading(sizes: Sizes, folder: Path, path: Path, called: str) -> Iterator[Row]:
    """Measures a fleet's reading into moments, of a line and of a cubic, beside DuckDB's lines."""

    def timed(parts: tuple[str, str], curve: str = "") -> list[float]:
        imports, work = parts
        return printed(TIMED.format(imports=imports, work=work.format(path=path, curve=curve)), folder)

    found = in_turns(
        sizes.repeats,
        {
            "line": lambda: timed(MOMENTS, "Line()"),
            "cubic": lambda: timed(MOMENTS, "Polynomial(3)"),
            "DuckDB": lambda: timed(GROUP_BY),
        },
    )
    for curve, bound in (("line", 1.4), ("cubic", 2.5)):
        what = f"moments of a {curve}, {sizes.rows} readings of {sizes.instruments} instruments by {called}"
        for place, unit in enumerate(("s", "s of processor time")):
            ours, theirs = ([run[place] for run in found[side]] for side in (curve, "DuckDB"))
            figures = f"{median(ours):.2f} and {median(theirs):.2f} {unit}"
            yield Row(f"{what} / DuckDB's lines", divided(ours, theirs), figures, ("≤", bound) if not place else None)


def fleet(sizes: Sizes, folder: Path, path: Path) -> Iterator[Row]:
    """Measures one fleet."""
    by = ("--data.instrument", "instrument")
    sides: dict[str, Callable[[], Process]] = {
        "fit": lambda: fit(path, folder, *by),
        "one step": lambda: fit(path, folder, *by, "--trainer.max_steps", "1"),
        "imports": lambda: script(IMPORTS, folder),
        "DuckDB": lambda: script(DUCKDB, folder, path),
        "imports of DuckDB": lambda: script("import duckdb", folder),
    }
    found = in_turns(sizes.repeats, sides)
    what = f"fit, {sizes.rows} readings of {sizes.instruments} instruments"
    for name, unit in (("seconds", "s"), ("busy", "s of processor time")):
        taken = {side: [getattr(run, name) for run in runs] for side, runs in found.items()}
        ours, theirs = less(taken["fit"], taken["imports"]), less(taken["DuckDB"], taken["imports of DuckDB"])
        figures = f"{median(ours):.2f} and {median(theirs):.2f} {unit}"
        yield Row(f"{what} / DuckDB's GROUP BY", divided(ours, theirs), figures, ("≤", 1.8) if unit == "s" else None)
    taken = {side: [run.seconds for run in runs] for side, runs in found.items()}
    ours, one = less(taken["fit"], taken["imports"]), less(taken["one step"], taken["imports"])
    for peer, (text, words, most) in LOOPS.items():
        some = min(most, sizes.instruments // 2)
        each = [loop(text.format(path=path, some=some, **words), folder) for _ in range(sizes.repeats)]
        figures = f"{median(ours):.2f} s and {median(each) * 1e3:.3f} ms an instrument, measured on {some}"
        yield Row(f"{what} / {peer}", divided(ours, [sizes.instruments * time for time in each]), figures, ("≤", 0.01))
    steps = [max(whole - median(one), 1e-3) for whole in ours]
    figures = f"{median(steps):.2f} and {median(one):.2f} s"
    yield Row(f"{what}: {sizes.steps} SGD steps / all else", divided(steps, one), figures, ("≤", 1.0))


def loop(text: str, folder: Path) -> float:
    """Runs a loop, and returns what it took for an instrument [s]."""
    return printed(text, folder)[0]


def printed(text: str, folder: Path) -> list[float]:
    """Runs a script, and returns the numbers that it prints."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, "-c", text], cwd=folder, capture_output=True, text=True, check=True, env=environment
    )
    return [float(word) for word in ended.stdout.split()]

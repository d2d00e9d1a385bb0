"""Many instruments in one table: a whole ``fit`` beside DuckDB's ``GROUP BY``, and beside a loop over instruments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from .data import write_fleet
from .measuring import Process, Row, Sizes, divided, in_turns, less, median
from .tables import IMPORTS, fit, script

DUCKDB = """
import duckdb
lines = "select instrument, regr_slope(reference, indication), regr_intercept(reference, indication)"
duckdb.sql(lines + " from '{path}' group by instrument").fetchnumpy()
"""
# The first instruments alone: a loop over all would take hours.
LOOP = """
import polars as pl
table = pl.read_parquet("{path}")
some = table.filter(table["instrument"].is_in(table["instrument"].unique(maintain_order=True).head({some}).implode()))
for _, own in some.group_by("instrument"):
    x, y = own["indication"].to_numpy(), own["reference"].to_numpy()
    {call}
"""
SOME = 2_000  # instruments that a loop is measured on
LOOPS = {
    "a loop over scipy's linregress": ("linregress(x, y)", "from scipy.stats import linregress"),
    "a loop over statsmodels' OLS": ("sm.OLS(y, sm.add_constant(x)).fit().bse", "import statsmodels.api as sm"),
}


def rows(sizes: Sizes, folder: Path) -> Iterator[Row]:
    """Measures a fleet, and the memory of a large one."""
    path = folder / "fleet.parquet"
    write_fleet(sizes.rows, sizes.instruments, path)
    yield from fleet(sizes, folder, path)
    write_fleet(10 * sizes.many_instruments, sizes.many_instruments, path)
    peaks = [fit(path, folder, "--data.instrument", "instrument").megabytes]
    what = f"fit, {sizes.many_instruments} instruments: peak memory / 4 GB"
    yield Row(what, [peak / 4000 for peak in peaks], f"{max(peaks):.0f} MB", ("≤", 1.0))
    path.unlink()


def fleet(sizes: Sizes, folder: Path, path: Path) -> Iterator[Row]:
    """Measures one fleet."""
    by = ("--data.instrument", "instrument")
    some = min(SOME, sizes.instruments // 2)
    sides: dict[str, Callable[[], Process]] = {
        "fit": lambda: fit(path, folder, *by),
        "one step": lambda: fit(path, folder, *by, "--trainer.max_steps", "1"),
        "imports": lambda: script(IMPORTS, folder),
        "DuckDB": lambda: script(DUCKDB, folder, path),
        "imports of DuckDB": lambda: script("import duckdb", folder),
    }
    for peer, (call, imports) in LOOPS.items():
        text = f"{imports}\n{LOOP}"
        sides[peer] = lambda text=text, call=call: _loop(text, some, call, folder, path)  # type: ignore[misc]  # bound now
        sides[f"start of {peer}"] = lambda text=text: _loop(text, some, "pass", folder, path)  # type: ignore[misc]
    found = in_turns(sizes.repeats, sides)
    what = f"fit, {sizes.rows} readings of {sizes.instruments} instruments"
    for name, unit in (("seconds", "s"), ("busy", "s of processor time")):
        taken = {side: [getattr(run, name) for run in runs] for side, runs in found.items()}
        ours, theirs = less(taken["fit"], taken["imports"]), less(taken["DuckDB"], taken["imports of DuckDB"])
        figures = f"{median(ours):.2f} and {median(theirs):.2f} {unit}"
        yield Row(f"{what} / DuckDB's GROUP BY", divided(ours, theirs), figures, ("≤", 2.0) if unit == "s" else None)
    taken = {side: [run.seconds for run in runs] for side, runs in found.items()}
    ours, one = less(taken["fit"], taken["imports"]), less(taken["one step"], taken["imports"])
    for peer in LOOPS:
        each = [time / some for time in less(taken[peer], taken[f"start of {peer}"])]
        figures = f"{median(ours):.2f} s and {median(each) * 1e3:.3f} ms an instrument (measured on {some})"
        theirs = [time * sizes.instruments for time in each]
        yield Row(f"{what} / {peer}", divided(ours, theirs), figures, ("≤", 0.01))
    steps = [max(whole - median(one), 1e-3) for whole in ours]
    figures = f"{median(steps):.2f} and {median(one):.2f} s"
    yield Row(f"{what}: {sizes.steps} SGD steps / all else", divided(steps, one), figures, ("≤", 1.0))


def _loop(text: str, some: int, call: str, folder: Path, path: Path) -> Process:
    return script(text.replace("{some}", str(some)).replace("{call}", call), folder, path)

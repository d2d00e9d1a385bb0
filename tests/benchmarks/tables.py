"""Large tables: a whole ``fit`` beside Polars' plain sums and other ways to a line, less the imports of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from .data import write
from .measuring import Process, Row, Sizes, divided, in_turns, less, median, process

# The same imports as the command's, and by the same means: without the garbage collector, and with the same end.
IMPORTS = """
import gc, os

gc.disable()
import lightning, polars, torch, thermofit_pl.cli.training
from torch.utils.tensorboard import SummaryWriter
gc.freeze()
gc.enable()
os._exit(0)
"""
POLARS = """
import polars as pl
x, y = pl.col("indication"), pl.col("reference")
sums = [pl.len(), x.sum().alias("x"), y.sum().alias("y"), (x * x).sum().alias("xx"), (x * y).sum().alias("xy")]
pl.scan_{kind}("{path}").select(*sums, (y * y).sum().alias("yy")).collect()
"""
DUCKDB = """
import duckdb
duckdb.sql("select regr_slope(reference, indication), regr_intercept(reference, indication) from '{path}'").fetchall()
"""
SKLEARN = """
import polars as pl
from sklearn.linear_model import LinearRegression
table = pl.read_{kind}("{path}")
LinearRegression().fit(table["indication"].to_numpy()[:, None], table["reference"].to_numpy())
"""
POLYFIT = """
import numpy as np, polars as pl
table = pl.read_{kind}("{path}")
np.polyfit(table["indication"].to_numpy(), table["reference"].to_numpy(), 1)
"""
PEERS = {
    "Polars' plain sums": (POLARS, "import polars"),
    "DuckDB's regr_slope": (DUCKDB, "import duckdb"),
    "scikit-learn's LinearRegression": (SKLEARN, "import polars; from sklearn.linear_model import LinearRegression"),
    "numpy.polyfit": (POLYFIT, "import numpy, polars"),
}


def fit(path: Path, folder: Path, *more: str) -> Process:
    """Runs the command ``fit`` on a table, without figures."""
    options = ("--data.path", str(path), "--data.indication", "indication", "--data.reference", "reference", *more)
    return process("-m", "thermofit_pl", "fit", *options, "--figures", "false", folder=folder)


def script(text: str, folder: Path, path: Path | None = None) -> Process:
    """Runs a script, with the name and kind of a table in it."""
    if path is not None:
        text = text.format(path=path, kind=path.suffix[1:])
    return process("-c", text, folder=folder)


def rows(sizes: Sizes, folder: Path) -> Iterator[Row]:
    """Measures a table in Parquet and the same in CSV."""
    for suffix, target in ((".parquet", 2.0), (".csv", 1.5)):
        path = folder / f"table{suffix}"
        write(sizes.rows, path)
        yield from table(sizes, folder, path, target)
        path.unlink()


def table(sizes: Sizes, folder: Path, path: Path, target: float) -> Iterator[Row]:
    """Measures one table."""
    sides: dict[str, Callable[[], Process]] = {
        "fit": lambda: fit(path, folder),
        "imports": lambda: script(IMPORTS, folder),
    }
    for peer, (text, imports) in PEERS.items():
        sides[peer] = lambda text=text: script(text, folder, path)  # type: ignore[misc]  # bound now
        sides[f"imports of {peer}"] = lambda imports=imports: script(imports, folder)  # type: ignore[misc]
    found = in_turns(sizes.repeats, sides)
    what = f"fit, {sizes.rows} readings in {path.suffix[1:]}"
    for number, peer in enumerate(PEERS):
        for name, unit in (("seconds", "s"), ("busy", "s of processor time")):
            taken = {side: [getattr(run, name) for run in runs] for side, runs in found.items()}
            net = less(taken["fit"], taken["imports"])
            theirs = less(taken[peer], taken[f"imports of {peer}"])
            figures = f"{median(net):.2f} and {median(theirs):.2f} {unit}"
            bound: tuple[Literal["≤"], float] = ("≤", 1.0 if number else target)
            yield Row(f"{what} / {peer}", divided(net, theirs), figures, bound if name == "seconds" else None)
    peaks = [run.megabytes for run in found["fit"]]
    yield Row(f"{what}: peak memory / 1 GB", [peak / 1000 for peak in peaks], f"{max(peaks):.0f} MB", ("≤", 1.0))

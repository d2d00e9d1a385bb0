"""``apply`` beside Polars' own reading, the same arithmetic and writing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from thermofit_pl import fit

from .data import NOTEBOOK, write
from .measuring import Process, Row, Sizes, divided, in_turns, median, process
from .tables import script

POLARS = """
import json, polars as pl
c = json.load(open("calibration.json"))
x = pl.col("indication")
variance = (c["u_w"] * (x - c["indication_mean"])) ** 2 + c["u_pivot"] ** 2
low, high = c["indication_range"]
frame = pl.scan_{read}("{path}").with_columns(
    estimate=c["w"] * x + c["b"],
    u_line=variance.sqrt(),
    u_single=(variance + c["s"] ** 2).sqrt(),
    extrapolated=(x < low) | (x > high),
)
frame.sink_{read}("{path}.polars")
"""


def rows(sizes: Sizes, folder: Path) -> Iterator[Row]:
    """Measures tables in each format: whole processes, their starts included."""
    fit(*NOTEBOOK).save(folder / "calibration.json")
    for suffix in ("parquet", "csv", "arrow"):
        path = folder / f"new.{suffix}"
        write(sizes.rows, path)
        text = POLARS.replace("{read}", "ipc" if suffix == "arrow" else suffix)
        sides: dict[str, Callable[[], Process]] = {
            "apply": lambda path=path: apply(path, folder),  # type: ignore[misc]  # bound now
            "Polars": lambda path=path, text=text: script(text, folder, path),  # type: ignore[misc]
            "between": lambda path=path: clear(path),  # type: ignore[misc]
        }
        found = in_turns(sizes.repeats, sides)
        taken = {side: [run.seconds for run in runs] for side, runs in found.items()}
        figures = f"{median(taken['apply']):.2f} and {median(taken['Polars']):.2f} s"
        what = f"apply, {sizes.rows} rows in {suffix} / Polars' own"
        yield Row(what, divided(taken["apply"], taken["Polars"]), figures, ("≤", 1.3))
        peaks = [run.megabytes for run in found["apply"]]
        yield Row(f"{what}: peak memory / 1 GB", [peak / 1000 for peak in peaks], f"{max(peaks):.0f} MB", ("≤", 1.0))


def clear(path: Path) -> Process:
    """Removes what was written, for to write over it takes longer."""
    for output in path.parent.glob(f"*{path.suffix}*"):
        if output != path:
            output.unlink()
    return Process(0, 0, 0)


def apply(path: Path, folder: Path) -> Process:
    """Runs the command ``apply`` on a table."""
    output = path.with_name(f"corrected{path.suffix}")
    words = ("calibration.json", str(path), "--indication", "indication", "--output", str(output))
    return process("-m", "thermofit_pl", "apply", *words, folder=folder)

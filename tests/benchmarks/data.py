"""Readings to measure with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

NOTEBOOK = (
    [35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4],
    [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0],
)


def readings(n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the indications of a Fahrenheit thermometer that shows hundredths, and references [°C] to 0.1 mK."""
    random = np.random.default_rng(0)
    x = np.round(random.uniform(20, 90, n), 2)
    return x, np.round(0.5556 * x - 17.78 + random.normal(0, 0.5, n), 4)


def write_fleet(n: int, instruments: int, path: Path, *, named: bool = True) -> None:
    """Writes a table of a fleet's readings, in any order, with unequal counts and a line for each, as Parquet.

    Args:
        n: Number of readings.
        instruments: Number of instruments.
        path: Where to.
        named: Whether instruments are named by text; else by whole numbers.
    """
    import polars as pl

    random = np.random.default_rng(0)
    code = (instruments * random.beta(1, 1.5, n)).astype(np.int64)
    w, b = random.normal(0.55, 0.02, instruments)[code], random.normal(-17, 1, instruments)[code]
    x = np.round(random.uniform(20, 90, n), 2)
    names = pl.Series("instrument", code)
    y = np.round(w * x + b + random.normal(0, 0.1, n), 4)
    names = "sensor-" + names.cast(pl.String) if named else names
    pl.DataFrame({"instrument": names, "indication": x, "reference": y}).write_parquet(path)


def write(n: int, path: Path) -> None:
    """Writes a table of them, as Parquet, Arrow or CSV."""
    import polars as pl

    x, y = readings(n)
    frame = pl.DataFrame({"indication": x, "reference": y})
    if path.suffix == ".parquet":
        frame.write_parquet(path)
    elif path.suffix == ".arrow":
        frame.write_ipc(path)
    else:
        frame.write_csv(path)

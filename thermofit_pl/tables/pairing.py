"""The readings of two logs that belong together, and how times are written that say so."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl


def paired(shown: pl.DataFrame, standard: pl.DataFrame, tolerance: float, how: str) -> pl.DataFrame:
    """Pairs each reading of the reference with one indication of each instrument, in time order."""
    import polars as pl

    if how == "nearest":
        shown = shown.filter(pl.col("value").is_not_nan())
    found = [
        standard.select("time", reference="value").join_asof(
            mine.with_columns(shown_at="time"),
            on="time",
            strategy="nearest" if how == "nearest" else "backward",
        )
        for mine in shown.partition_by("instrument", maintain_order=True)
    ]
    if not found:
        return shown.with_columns(reference="value").clear()
    near = (pl.col("time") - pl.col("shown_at")).abs() <= tolerance * (1 + 1e-9) + 1e-6  # float64 of today: 0.2 µs
    return (
        pl.concat(found)
        .filter(near & pl.col("value").is_not_nan())
        .sort("time", maintain_order=True)
        .select("time", "value", "reference", "file", "row", "instrument")
    )


def median_interval(log: pl.DataFrame) -> float:
    """The median time between readings of one instrument [s]; 0 where there is one moment."""
    import polars as pl

    gaps = log.sort("time", maintain_order=True).select(gap=pl.col("time").diff().over("instrument"))["gap"]
    positive = gaps.filter(gaps > 0).median()
    return float(positive) if isinstance(positive, float) else 0.0


def span(length: float) -> str:
    """Writes a span of time [s]: ``30 s``, ``−1 h``, ``2.5 min``."""
    sign = "−" if length < 0 else ""
    size = abs(length)
    for unit, of in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if size >= of and size / of * 4 == round(size / of * 4):
            return f"{sign}{size / of:g} {unit}"
    return f"{sign}{size:g} s"


def moment(time: float, form: str) -> str:
    """Writes a time [s] as its log has it."""
    if form == "number":
        return f"{time:.10g}"
    text = datetime.fromtimestamp(time, timezone.utc).isoformat(sep=" ", timespec="seconds")
    return text.removesuffix("+00:00") + ("Z" if form == "zone" else "")

"""Which columns of a table a calibration corrects, and by which line: one, each row's own, or one a column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from thermofit_pl.calibration.correction import Corrected, needed, of_columns
from thermofit_pl.errors import InputError, Setting
from thermofit_pl.formatting import count, printable

if TYPE_CHECKING:
    import polars as pl

    from thermofit_pl.calibration.calibration import Calibration
    from thermofit_pl.calibration.calibrations import Calibrations

RESULTS = Corrected._fields
LOOKUP = "of thermofit_pl: "  # before the name of a column that a row's own line is looked up in


@dataclass(frozen=True)
class Correction:
    """How one column of indications is corrected.

    Attributes:
        column: The column of the indications.
        instrument: The column that names each row's instrument; None where one line serves all rows.
        results: The names of the columns that are added.
        indication_range: The calibrated range; None where each row has its own.
        add: Adds the results to a table, given the name of the column that holds the indications as numbers.
    """

    column: str
    instrument: str | None
    results: tuple[str, ...]
    indication_range: tuple[float, float] | None
    add: Callable[[pl.LazyFrame, str], pl.LazyFrame]


def corrections(
    calibration: Calibration | Calibrations,
    columns: Sequence[str],
    *,
    indication: str | None = None,
    instrument: str | None = None,
) -> list[Correction]:
    """Returns how a table is to be corrected.

    Args:
        calibration: The calibration, or those of a fleet.
        columns: The table's.
        indication: The column of the indications; None: the one that the calibration was made from.
        instrument: The column of the instruments of a fleet; None: likewise.

    Raises:
        InputError: A column that is needed has no name, or is none of the table's.
    """
    from thermofit_pl.calibration.calibration import Calibration

    if isinstance(calibration, Calibration):
        if instrument is not None:
            raise InputError("Expected no ", Setting("instrument"), ", as the calibration is of one; leave it out.")
        column = _needed(indication or calibration.indication_column, "indication")
        return [_single(calibration, column, "")]
    source = calibration.provenance
    by_column = instrument or source["instrument_column"]
    if by_column is None and source["indication_column"] is not None and indication is None:
        lined = [name for name in calibration if calibration.has_line(name)]
        probes = [name for name in lined if name in columns]
        if not probes:
            such = f", such as {printable(lined[0])}" if lined else ""
            raise InputError(
                f"Expected a column for each of the {count(len(lined))} instruments that have a line{such}, but the "
                "table has none of them."
            )
        return [_single(calibration[name], name, f"{name}.") for name in probes]
    column = _needed(indication or source["indication_column"], "indication")
    by = _needed(by_column, "instrument")
    if by not in columns:
        raise InputError(
            f"Expected a column {printable(by)!r} (", Setting("instrument"), "), but the table has none of that name."
        )
    return [Correction(column, by, RESULTS, None, lambda frame, view: _by_row(calibration, frame, view, by))]


def _needed(column: str | None, role: str) -> str:
    if column is None:
        what = "to correct" if role == "indication" else "with the name of each row's instrument"
        raise InputError(
            "Expected ",
            Setting(role),
            f", the column {what}, but got none, and the calibration was made from arrays; add it.",
        )
    return column


def _single(calibration: Calibration, column: str, prefix: str) -> Correction:
    def add(frame: pl.LazyFrame, view: str) -> pl.LazyFrame:
        expressions = calibration.polars_expressions(view).items()
        return frame.with_columns(expression.alias(f"{prefix}{name}") for name, expression in expressions)

    names = tuple(f"{prefix}{name}" for name in RESULTS)
    return Correction(column, None, names, calibration.indication_range, add)


def _by_row(fleet: Calibrations, frame: pl.LazyFrame, view: str, by: str) -> pl.LazyFrame:
    """Corrects each row by its own instrument's curve; without one, the results are null."""
    import polars as pl

    columns = {LOOKUP + name: value for name, value in needed(fleet.curve).items()}
    curves = (
        fleet.frame.lazy()
        .filter(pl.col("w").is_not_null())
        .select(pl.col("instrument").alias(LOOKUP), *(value.alias(name) for name, value in columns.items()))
    )
    correction = of_columns(fleet.curve, lambda name: pl.col(LOOKUP + name))
    name = pl.col(by).cast(pl.String).str.strip_chars()
    return (
        frame.join(curves, left_on=name, right_on=LOOKUP, how="left", maintain_order="left")
        .with_columns(**correction.at(pl.col(view))._asdict())
        .drop(LOOKUP, *columns)
    )

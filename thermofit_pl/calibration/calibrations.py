"""``Calibrations``: the lines of many instruments, one row each, with the verbs of a single calibration."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thermofit_pl.calibration import display
from thermofit_pl.calibration.calibration import Calibration
from thermofit_pl.calibration.correction import Corrected, Expected, Extrapolate, Line, numbers
from thermofit_pl.calibration.fields import COMMON, OWN, restored
from thermofit_pl.calibration.rules import LATER
from thermofit_pl.errors import InputError
from thermofit_pl.files import atomic_write
from thermofit_pl.formatting import count, printable
from thermofit_pl.functional.scales import compare
from thermofit_pl.functional.units import Units

if TYPE_CHECKING:
    import os

    import numpy as np
    import polars as pl
    from numpy.typing import ArrayLike, NDArray


class Calibrations:
    """The calibrations of many instruments.

    Args:
        frame: One row an instrument: ``instrument``, ``status``, and the keys of a calibration's file.
        provenance: The keys that all instruments share (``fields.COMMON``), and ``instrument_column``: the column that
            named them, None where each instrument had a column of its own.

    Example:
        >>> from thermofit_pl import fit
        >>> fleet = fit([0, 1, 2, 0, 1], [0.0, 1.0, 2.1, 5.0, 7.0], ["a", "a", "a", "b", "b"])
        >>> round(fleet["a"].w, 2), float(fleet.correct(3.0, "b", extrapolate="ignore").estimate)
        (1.05, 11.0)
    """

    def __init__(self, frame: pl.DataFrame, provenance: Mapping[str, Any]) -> None:
        self.frame = frame
        self.provenance = {**LATER, **provenance}

    __str__ = display.text
    __repr__ = display.one_line
    _repr_html_ = display.html
    plot = display.plot
    apply = display.apply
    export = display.export
    report = display.report

    def __len__(self) -> int:
        return self.frame.height

    def __iter__(self) -> Iterator[str]:
        return iter(self.instruments)

    def __contains__(self, instrument: object) -> bool:
        return str(instrument) in self._places

    @property
    def units(self) -> Units:
        """How their units read."""
        return Units(self.provenance["unit"], self.provenance["indication_unit"])

    @property
    def instruments(self) -> list[str]:
        """Their names, in the order of the rows."""
        names: list[str] = self.frame["instrument"].to_list()
        return names

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.instruments)}

    def has_line(self, instrument: str | int) -> bool:
        """Whether an instrument is known and could be calibrated."""
        place = self._places.get(str(instrument))
        return place is not None and self.frame["w"][place] is not None

    def __getitem__(self, instrument: str | int) -> Calibration:
        """Returns the calibration of one instrument.

        Raises:
            InputError: There is no such instrument, or it could not be calibrated.
        """
        place = self._places.get(str(instrument))
        if place is None:
            raise InputError(
                f"Expected one of {count(len(self))} instruments, but got {printable(str(instrument))}, which is none."
            )
        if self.frame["w"][place] is None:
            status = printable(str(self.frame["status"][place]), 100)  # from elsewhere it may hold anything
            raise InputError(f"Expected a calibrated instrument, but {printable(str(instrument))} has {status}.")
        return self.row(place)

    def row(self, place: int) -> Calibration:
        """Returns the calibration of one row, whose instrument has a line."""
        row = self.frame.row(place, named=True)
        differences = compare(
            row["w"],
            row["b"],
            row["indication_range"],
            u_w=row["u_w"],
            u_pivot=row["u_pivot"],
            pivot=row["indication_mean"],
            dof=row["n"] - 2,
            below_rounding=row["below_rounding"],
            unit=self.units.reference,
        )
        values = {name: restored(hint, row[name]) for name, hint in OWN.items() if name != "scale"}
        scale = differences.verdict() if self.units.is_temperature else None
        return Calibration(**values, scale=scale, **{name: self.provenance[name] for name in COMMON})

    def correct(self, indication: ArrayLike, instrument: Any, extrapolate: Extrapolate = "warn") -> Corrected:
        """Turns indications into the reference's unit, each by its own instrument's line.

        Args:
            indication: What the instruments show, a number or shape ``(N,)`` [indicated unit].
            instrument: The name of each one's instrument, one for all or shape ``(N,)``.
            extrapolate: What to do outside an instrument's calibrated range: ``warn``, ``error`` or ``ignore``.

        Returns:
            Estimates, uncertainties and which are extrapolated; NaN for an instrument that is unknown or without a
            line.

        Raises:
            InputError: An indication is no number, or outside the range with ``extrapolate="error"``.
        """
        x, place = self._matched(indication, "indication", instrument)
        return self._line(place).correct(x, extrapolate)

    def invert(self, reference: ArrayLike, instrument: Any) -> Expected:
        """Gives the indication of each instrument to expect at a reference, with Fieller's sets.

        Args:
            reference: A number, or shape ``(N,)`` [the reference's unit].
            instrument: The name of each one's instrument, one for all or shape ``(N,)``.

        Returns:
            As ``Calibration.invert``, in arrays of shape ``(N,)``.

        Raises:
            InputError: A reference is no number, or an instrument is unknown or has no line.
        """
        import numpy as np

        y, place = self._matched(np.atleast_1d(numbers(reference, "reference")), "reference", instrument)
        line = self._line(place)
        if (lacking := np.isnan(line.w)).any():
            self[str(np.broadcast_to(np.asarray(instrument), y.shape)[lacking][0])]  # says which, and why
        return line.invert(y, self._columns["coverage_factor"][place])

    def _matched(self, values: ArrayLike, what: str, instrument: Any) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Values as numbers, and the row of each one's instrument: one past the last for one that is unknown."""
        import numpy as np

        x, names = numbers(values, what), np.asarray(instrument)
        unknown = len(self)
        found = [self._places.get(str(name), unknown) for name in names.ravel().tolist()]
        try:
            matched = np.broadcast_arrays(x, np.array(found, np.int64).reshape(names.shape))
        except ValueError:
            raise InputError(
                f"Expected one instrument, or one for each {what}, but got shape {names.shape} for {x.shape}"
            ) from None
        return matched[0], matched[1]

    def _line(self, place: NDArray[np.int64]) -> Line:
        return Line(*(self._columns[name][place] for name in Line._fields))

    @cached_property
    def _columns(self) -> dict[str, NDArray[np.float64]]:
        """What correcting needs, NaN where it is unknown, and in a last row for an instrument that is."""
        import numpy as np
        import polars as pl

        ends = (pl.col("indication_range").arr.get(k).alias(end) for k, end in enumerate(("low", "high")))
        names = [*Line._fields, "coverage_factor"]
        table = self.frame.with_columns(ends).select(pl.when(pl.col("w").is_not_null()).then(pl.col(names)))
        return {name: np.append(table[name].fill_null(math.nan).to_numpy(), math.nan) for name in names}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the calibrations as Parquet, or as CSV by the suffix; the file is whole or absent.

        CSV, for people and spreadsheets, can't be loaded again.

        Args:
            path: Where to; a file that is there is replaced.

        Raises:
            InputError: The calibrations hold what ``load`` refuses, or the file can't be written.
        """
        from thermofit_pl.calibration.parquet_file import metadata

        with atomic_write(path) as temporary:
            if Path(path).suffix.lower() == ".csv":
                flat(self.frame).write_csv(temporary)
            else:
                self.frame.write_parquet(temporary, metadata=metadata(self.frame, self.provenance))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Calibrations:
        """Reads what ``save`` wrote as Parquet.

        Args:
            path: The file, or a run's folder with ``calibrations.parquet`` in it.

        Raises:
            InputError: The file isn't one that this version knows, was altered, or can't be read.
        """
        from thermofit_pl.calibration.parquet_file import read

        place = Path(path)
        return cls(*read(place / "calibrations.parquet" if place.is_dir() else place))


def flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Returns a frame without nested columns: ``sgd.w``, ``indication_range.low``."""
    import polars as pl

    while nested := [name for name, kind in frame.schema.items() if isinstance(kind, pl.Struct)]:
        frame = frame.with_columns(
            pl.col(name).name.prefix_fields(f"{name}.") for name in nested
        ).unnest(nested)  # fmt: skip
    pairs = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Array)]
    lists = [name for name, kind in frame.schema.items() if isinstance(kind, pl.List)]
    ends = [pl.col(name).arr.get(k).alias(f"{name}.{end}") for name in pairs for k, end in enumerate(("low", "high"))]
    return frame.with_columns(
        *ends, *(pl.col(name).list.eval(pl.element().cast(pl.String)).list.join(" ") for name in lists)
    ).drop(pairs)


def load(path: str | os.PathLike[str]) -> Calibration | Calibrations:
    """Reads a calibration, or those of a fleet.

    Args:
        path: ``calibration.json``, ``calibrations.parquet``, or a run's folder with one of them.

    Raises:
        InputError: It isn't one that this version knows, or can't be read.
    """
    place = Path(path)
    if place.is_dir() and (place / "calibrations.parquet").is_file():
        return Calibrations.load(place)
    try:
        with place.open("rb") as file:
            magic = file.read(4)
    except (OSError, ValueError):
        magic = b""  # Calibration.load says what is wrong
    return Calibrations.load(place) if magic == b"PAR1" else Calibration.load(place)

"""``Calibrations``: the curves of many instruments, one row each, with the verbs of a single calibration."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thermofit_pl.calibration import display
from thermofit_pl.calibration.calibration import Calibration
from thermofit_pl.calibration.correction import (
    Corrected,
    Correction,
    Expected,
    Extrapolate,
    factors,
    needed,
    numbers,
    of_columns,
)
from thermofit_pl.calibration.fields import COMMON, Schema, walk
from thermofit_pl.calibration.file import Json
from thermofit_pl.calibration.rules import LATER
from thermofit_pl.curves.line import Line
from thermofit_pl.errors import InputError
from thermofit_pl.files import atomic_write
from thermofit_pl.formatting import count, printable
from thermofit_pl.functional.fieller import FiellerSet
from thermofit_pl.functional.scales import AGREES, AGREES_LOG, LONG, compare
from thermofit_pl.functional.uncertainty import AR1, BLOCKS
from thermofit_pl.functional.units import Units

if TYPE_CHECKING:
    import os

    import numpy as np
    import polars as pl
    from numpy.typing import ArrayLike, NDArray

    from thermofit_pl.curves.base import Curve


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
        self.provenance = {**LATER, "curve": Line(), **provenance}

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
    def curve(self) -> Curve:
        """The curve of all of them."""
        curve: Curve = self.provenance["curve"]
        return curve

    @cached_property
    def _schema(self) -> Schema:
        return Schema(self.curve)

    @property
    def instruments(self) -> list[str]:
        """Their names, in the order of the rows."""
        names: list[str] = self.frame["instrument"].to_list()
        return names

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.instruments)}

    @property
    def coefficients(self) -> dict[str, pl.Series]:
        """The coefficients that people quote, by name: w and b of a line; null where an instrument has no curve."""
        if isinstance(self.curve, Line):
            return {name: self.frame[name] for name in ("w", "b")}
        if self.frame["w"].null_count() == len(self):
            return {}
        values = self.frame["conventional"].struct.field("values").arr
        return {name: values.get(j) for j, name in enumerate(self.curve.conventional_names)}

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
        """Returns the calibration of one row, whose instrument has a curve."""
        row = self.frame.row(place, named=True)
        own = {name: hint for name, hint in self._schema.own.items() if name != "scale"}
        values = {name: walk(self._schema, hint, Json(row[name]), name) for name, hint in own.items()}
        scale = None
        # too short a log tells too little of how alike its errors are
        short = row["diagnostics"]["autocorrelation"] is not None and (row["n"] < LONG or row["lower_bound"])
        if self.units.is_temperature and isinstance(self.curve, Line):
            scale = compare(
                row["w"],
                row["b"],
                row["indication_range"],
                u_w=row["u_w"],
                u_pivot=row["u_pivot"],
                pivot=row["pivot"],
                dof=0.0 if short else row["u_dof"] or 0.0,
                estimated=row["source"] in (AR1, BLOCKS),
                below_rounding=row["below_rounding"],
                unit=self.units.reference,
            ).verdict(agrees=AGREES if row["diagnostics"]["autocorrelation"] is None else AGREES_LOG)
        return Calibration(**values, scale=scale, **{name: self.provenance[name] for name in COMMON})

    def correct(
        self, indication: ArrayLike, instrument: Any, extrapolate: Extrapolate = "warn", *, u: ArrayLike | None = None
    ) -> Corrected:
        """Turns indications into the reference's unit, each by its own instrument's curve.

        Args:
            indication: What the instruments show, a number or shape ``(N,)`` [indicated unit].
            instrument: The name of each one's instrument, one for all or shape ``(N,)``.
            extrapolate: What to do outside an instrument's calibrated range: ``warn``, ``error`` or ``ignore``.
            u: Standard uncertainty of the indications themselves, one for all or shape ``(N,)`` [indicated unit]:
                ``u_single`` has it in the place of the scatter.

        Returns:
            Estimates, uncertainties and which are extrapolated; NaN for an instrument that is unknown or without a
            curve.

        Raises:
            InputError: An indication is no number, or outside the range with ``extrapolate="error"``.
        """
        x, place = self._matched(indication, "indication", instrument)
        correction = self.correction(place)
        return (correction if u is None else correction.of_uncertain(x, u)).correct(x, extrapolate)

    def invert(self, reference: ArrayLike, instrument: Any) -> Expected:
        """Gives the indication of each instrument to expect at a reference, with its sets.

        Args:
            reference: A number, or shape ``(N,)`` [the reference's unit].
            instrument: The name of each one's instrument, one for all or shape ``(N,)``.

        Returns:
            As ``Calibration.invert``, in arrays of shape ``(N,)``.

        Raises:
            InputError: A reference is no number, an instrument is unknown or has no curve, or a curve turns inside its
                calibrated range.
        """
        import numpy as np

        y, place = self._matched(np.atleast_1d(numbers(reference, "reference")), "reference", instrument)
        if (lacking := np.isnan(self._columns["low"][place])).any():
            self[str(np.broadcast_to(np.asarray(instrument), y.shape)[lacking][0])]  # says which, and why
        if isinstance(self.curve, Line):
            return self.correction(place).invert(y, *(k[place] for k in self._factors))
        found = [np.empty(y.shape), *(np.empty(y.shape, kind) for kind in ("<U10", float, float) * 2)]
        for one in np.unique(place):
            here = place == one
            each = self.correction(one).invert(y[here], *(float(k[one]) for k in self._factors))
            for part, value in zip(found, (each.indication, *each.line, *each.single), strict=True):
                part[here] = value
        return Expected(found[0], FiellerSet(*found[1:4]), FiellerSet(*found[4:]))

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

    def correction(self, place: Any = slice(-1)) -> Correction:
        """Returns what correcting needs of the instruments of some rows; of all by default.

        Args:
            place: Their rows, an index or several; one past the last stands for an instrument that is unknown.
        """
        columns = {name: column[place] for name, column in self._columns.items()}
        return of_columns(self.curve, columns.__getitem__)

    @cached_property
    def _factors(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The coverage factors of each row's curve and of a single reading."""
        names = ("coverage_factor", "u_pivot", "u_dof", "u_reading", "reading_dof")
        return factors(*(self._columns[name] for name in names), probability=self.provenance["coverage_probability"])

    @cached_property
    def _columns(self) -> dict[str, NDArray[np.float64]]:
        """What correcting needs, NaN where it is unknown, and in a last row for an instrument that is."""
        import numpy as np
        import polars as pl

        names = ["coverage_factor", "u_dof", "reading_dof"]
        table = self.frame.select(
            pl.when(pl.col("w").is_not_null()).then(value).alias(name)
            for name, value in {**needed(self.curve), **{name: pl.col(name) for name in names}}.items()
        )
        return {name: np.append(table[name].fill_null(math.nan).to_numpy(), math.nan) for name in table.columns}

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
                flat(self.frame, self.curve).write_csv(temporary)
            else:
                self.frame.write_parquet(temporary, metadata=metadata(self.frame, self.provenance))

    @classmethod
    def load(cls, path: str | os.PathLike[str], curves: Sequence[type[Curve]] = ()) -> Calibrations:
        """Reads what ``save`` wrote as Parquet.

        Args:
            path: The file, or a run's folder with ``calibrations.parquet`` in it.
            curves: Classes of your own that its curve may be of; none is imported because a file names it.

        Raises:
            InputError: The file isn't one that this version knows, was altered, or can't be read.
        """
        from thermofit_pl.calibration.parquet_file import read

        place = Path(path)
        return cls(*read(place / "calibrations.parquet" if place.is_dir() else place, curves))


def flat(frame: pl.DataFrame, curve: Curve) -> pl.DataFrame:
    """Returns a frame without nested columns: ``sgd.w``, ``indication_range.low``; those of a curve by their names.

    Args:
        frame: The calibrations.
        curve: Theirs.
    """
    import polars as pl

    if "conventional" in frame.columns:
        quoted = pl.col("conventional").struct
        parts = {"": "values", "u_": "u"}
        names = enumerate(curve.conventional_names)
        numbers = [
            quoted.field(part).arr.get(j).alias(f"{prefix}{name}")
            for j, name in names
            for prefix, part in parts.items()
        ]
        frame = frame.with_columns(numbers).drop("conventional", "U")
    while nested := [name for name, kind in frame.schema.items() if isinstance(kind, pl.Struct)]:
        frame = frame.with_columns(
            pl.col(name).name.prefix_fields(f"{name}.") for name in nested
        ).unnest(nested)  # fmt: skip
    arrays = {name: kind.shape[0] for name, kind in frame.schema.items() if isinstance(kind, pl.Array)}
    lists = [name for name, kind in frame.schema.items() if isinstance(kind, pl.List)]
    items = [
        pl.col(name).arr.get(k).alias(f"{name}.{of}")
        for name, size in arrays.items()
        for k, of in enumerate(("low", "high") if name.endswith("range") or "interval" in name else range(1, size + 1))
    ]
    texts = (pl.col(name).list.eval(pl.element().cast(pl.String)).list.join(" ") for name in lists)
    return frame.with_columns(*items, *texts).drop(arrays)


def load(path: str | os.PathLike[str], curves: Sequence[type[Curve]] = ()) -> Calibration | Calibrations:
    """Reads a calibration, or those of a fleet.

    Args:
        path: ``calibration.json``, ``calibrations.parquet``, or a run's folder with one of them.
        curves: Classes of your own that the curve may be of; none is imported because a file names it.

    Raises:
        InputError: It isn't one that this version knows, or can't be read.
    """
    place = Path(path)
    if place.suffix == ".ckpt":
        raise InputError(
            f"{printable(place)}: expected a calibration, but this is a checkpoint of a fit; load the folder of its "
            "run, where calibration.json or calibrations.parquet is, or take it with "
            "CalibrationModule.load_from_checkpoint"
        )
    if place.is_dir() and (place / "calibrations.parquet").is_file():
        return Calibrations.load(place, curves)
    try:
        with place.open("rb") as file:
            magic = file.read(4)
    except (OSError, ValueError):
        magic = b""  # Calibration.load says what is wrong
    return Calibrations.load(place, curves) if magic == b"PAR1" else Calibration.load(place, curves)

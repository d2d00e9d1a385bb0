"""Two logs become pairs: each reading of the reference with the indication that was shown then."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from thermofit_pl.errors import InputError, Setting
from thermofit_pl.formatting import count, printable, quoted
from thermofit_pl.functional.units import CELSIUS
from thermofit_pl.tables.cells import Part
from thermofit_pl.tables.hashing import FileHash
from thermofit_pl.tables.options import PairOptions, TableOptions, seconds
from thermofit_pl.tables.shifts import suggested_shift
from thermofit_pl.tables.table import SORTABLE, Block, Table
from thermofit_pl.tables.text_tables import BLOCK

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from thermofit_pl.tables.cells import Columns, Rows
    from thermofit_pl.tables.formats import TableFile

EPOCH = 1e8  # seconds; numbers from here on can be moments since 1970, beside dates with a zone


class _Log(Table):
    """One of the two logs. A row in which all of its cells are empty is none of its readings.

    With ``missing="drop"`` readings without a value stay, as NaN: a value before them no longer holds.
    """

    n_rows: int = 0
    form: Literal["number", "zone", "no zone"] = "number"

    def _check(self, table: TableFile, part: Part, reference: str | None) -> tuple[Columns, Rows]:
        filled = np.logical_or.reduce([~np.isnan(column) for column in part.values.values()])
        if not filled.all():
            values = {name: column[filled] for name, column in part.values.items()}
            part = Part(values, np.asarray(part.rows)[filled], part.done)
        self.n_rows += len(part.rows)
        if self._missing != "drop" or not len(part.rows):
            return super()._check(table, part, reference)
        measured = [name for role, name in self._roles.items() if role in ("indication", "reference")]
        gaps = {name: ~np.isfinite(part.values[name]) for name in {*measured, *self.probes} & {*part.values}}
        whole = Part(
            {
                name: np.where(gaps[name], 0.0, column) if name in gaps else column
                for name, column in part.values.items()
            },
            part.rows,
            part.done,
        )
        values, rows = super()._check(table, whole, reference)
        kept = np.isin(np.asarray(part.rows), np.asarray(rows))
        return {
            name: np.where(gaps[name][kept], np.nan, column) if name in gaps else column
            for name, column in values.items()
        }, rows

    def read(self, progress: Callable[[int], None] | None) -> pl.DataFrame:
        """Reads all of it, in time order: time [s], value, file, row, instrument."""
        import polars as pl

        pieces, n, self.n_rows = [], 0, 0
        for block in self._checked((0, 1), progress):
            assert block.time is not None
            n += len(block.rows)
            if n > SORTABLE:
                raise InputError(
                    f"{printable(block.file)}: expected no more than {count(SORTABLE)} readings to pair, but got more; "
                    "pair the table in parts."
                )
            columns = {
                "time": block.time,
                "value": block.indication,
                "file": np.full(len(block.rows), self.files.index(block.file)),
                "row": np.asarray(block.rows),
                "instrument": block.codes(),
            }
            pieces.append(pl.DataFrame(columns))
        kinds = self._wanted.times.zoned | self._zones_of_types()
        self.form = "number" if not kinds else "zone" if kinds == {True} else "no zone"
        if not pieces:
            raise InputError(f"{printable(self.files[0])}: expected readings of a log, but found none.")
        return pl.concat(pieces).with_columns(_in_seconds(self.form)).sort("time", maintain_order=True)

    def _zones_of_types(self) -> set[bool]:
        """Whether times that Parquet and Arrow hold as such have a zone."""
        found = set()
        for table in self._tables:
            for name, kind in zip(table.columns, table.types, strict=bool(table.types)):
                if name in self._wanted.time and kind.is_temporal():
                    found.add(getattr(kind, "time_zone", None) is not None)
        return found


def _in_seconds(form: str) -> pl.Expr:
    """Times in seconds: numbers too large for that count thousandths since 1970, or less."""
    import polars as pl

    time = pl.col("time")
    if form != "number":
        return time
    return (
        pl.when(time.max() > 1e17)
        .then(time / 1e9)
        .when(time.max() > 1e14)
        .then(time / 1e6)
        .when(time.max() > 1e11)
        .then(time / 1e3)
        .otherwise(time)
        .alias("time")
    )


class PairedTable(Table):
    """Pairs of two logs, as a table of readings: each reading of the reference with one indication.

    Args:
        path: The table with the log of the indication.
        indication: The column with what the instrument showed, or a pattern of such; in a long table, the entity.
        reference: The column with the standard's values; in a long table, the entity.
        time: The column with the times of the indication.
        pair: Where the reference's log is, and how its readings are paired.
        decimal_comma: Whether text tables write 35,7 for 35.7.
        missing: What to do about readings with a missing, NaN or infinite value.
        instrument: The column with the name of each indication's instrument; each is paired with the one reference.
        options: How the tables are written.
        entity: Of a long table, the column that says what a row is of.
        value: Of a long table, the column of the values.
    """

    def __init__(  # no super().__init__: it has two tables in the place of one
        self,
        path: str | Path,
        indication: str,
        reference: str,
        *,
        time: str | Sequence[str] | None,
        pair: PairOptions,
        decimal_comma: bool = False,
        missing: Literal["error", "drop"] = "error",
        instrument: str | None = None,
        options: TableOptions | None = None,
        entity: str | None = None,
        value: str | None = None,
        unit: str = CELSIUS,
    ) -> None:
        if not time:
            raise InputError(
                Setting("time"),
                ": expected the column with the times of the indication, by which pairs are found; add it.",
            )
        if (entity is None) != (value is None):
            raise InputError(
                Setting("entity"),
                " and ",
                Setting("value"),
                ": expected both or none of them, but got one; add the other.",
            )
        reference_time = pair.time if pair.time is not None else time
        shown, standard = (indication, reference) if value is None else (value, value)
        only = [None if entity is None else (entity, name) for name in (indication, reference)]
        settings = {"decimal_comma": decimal_comma, "missing": missing, "options": options, "unit": unit}
        self._shown = _Log(path, shown, time=time, instrument=instrument, only=only[0], **settings)  # type: ignore[arg-type]
        self._standard = _Log(
            path if pair.path is None else pair.path,
            standard,
            standard,
            time=reference_time,
            only=only[1],
            roles={"indication": "reference", "time": "time" if pair.time is None else "pair.time"},
            **settings,  # type: ignore[arg-type]
        )
        self._pair, self._names = pair, (indication, reference)
        self._tables = self._shown._tables
        self._hash: FileHash | None = None
        self._pairs: pl.DataFrame | None = None
        self.files = tuple(dict.fromkeys([*self._shown.files, *self._standard.files]))
        self.columns, self.probes = self._shown.columns, self._shown.probes
        self.n_bytes = 0  # each process reads them whole
        self.dropped = 0
        self._remarks = list(dict.fromkeys(filter(None, [self._shown.left_out, self._standard.left_out])))

    @property
    def left_out(self) -> str:  # type: ignore[override]  # an attribute of others
        """Sentences on what was left out, and how pairs were made."""
        self._made()
        return " ".join(self._remarks)

    def blocks(
        self, *, share: tuple[int, int] = (0, 1), progress: Callable[[int], None] | None = None
    ) -> Iterator[Block]:
        """Gives the pairs, in time order."""
        pairs = self._made(progress)
        low, high = (pairs.height * rank // share[1] for rank in (share[0], share[0] + 1))
        for frame in pairs[low:high].iter_slices(BLOCK):
            file = frame["file"].to_numpy()
            for piece in np.split(np.arange(frame.height), np.flatnonzero(np.diff(file)) + 1):
                some = frame[piece]
                codes = some["instrument"].to_numpy() if self.instruments() is not None else None
                yield Block(
                    some["value"].to_numpy(),
                    some["reference"].to_numpy(),
                    some["time"].to_numpy(),
                    self._shown.files[int(some["file"][0])],
                    some["row"].to_numpy(),
                    codes,
                )

    def instruments(self) -> list[str] | None:
        """Returns the names of the instruments; None for one."""
        return self._shown.instruments()

    def counts(self) -> NDArray[np.int64]:
        """Returns how many pairs each instrument has, shape (instruments,)."""
        names = self.instruments()
        return np.bincount(self._made()["instrument"].to_numpy(), minlength=len(names or [""])).astype(np.int64)

    def sha256(self) -> str:
        """SHA-256 of the bytes of both logs' files, one after the other."""
        self._hash = self._hash or FileHash(tuple({table.path: table for table in self._both()}.values()))
        return self._hash.result()

    def _both(self) -> tuple[TableFile, ...]:
        return (*self._shown._tables, *self._standard._tables)

    def _made(self, progress: Callable[[int], None] | None = None) -> pl.DataFrame:
        if self._pairs is None:
            self._pairs = self._make(progress)
        return self._pairs

    def _make(self, progress: Callable[[int], None] | None) -> pl.DataFrame:
        import polars as pl

        shown, standard = self._shown.read(progress), self._standard.read(None)
        self._refuse_other_clocks(shown, standard)
        interval = max(_median_interval(shown), _median_interval(standard))
        told = self._pair.tolerance
        tolerance = interval / 2 if told is None else seconds(told, "pair.tolerance")
        if not tolerance and told is None:
            raise InputError(Setting("pair.tolerance"), ": expected a time such as 30s, as the logs have no interval.")
        shift = seconds(self._pair.shift, "pair.shift")
        moved = standard.with_columns(pl.col("time") + shift).filter(pl.col("value").is_not_nan())
        pairs = _paired(shown, moved, tolerance, self._pair.how)
        self._say(shown, standard, pairs, tolerance, shift)
        self.dropped = (
            self._shown.n_rows
            + self._standard.n_rows
            - sum(int(log["value"].is_not_nan().sum()) for log in (shown, standard))
        )
        if not pairs.height:
            raise self._no_pairs(shown, moved, tolerance)
        return pairs

    def _refuse_other_clocks(self, shown: pl.DataFrame, standard: pl.DataFrame) -> None:
        forms = self._shown.form, self._standard.form
        epochs = [
            form == "number" and float(log["time"].to_numpy().min()) >= EPOCH
            for form, log in zip(forms, (shown, standard), strict=True)
        ]
        if forms[0] == forms[1] or ("zone" in forms and any(epochs)):
            return
        words = {"number": "are numbers", "zone": "name their zone", "no zone": "name no zone"}
        raise InputError(
            f"Expected times of both logs with a zone, or of both without, but those of {self._what(self._shown, 0)} "
            f"{words[forms[0]]} and those of {self._what(self._standard, 1)} {words[forms[1]]}; write them alike."
        )

    def _what(self, log: _Log, which: int) -> str:
        return f"{quoted(self._names[which])} in {printable(log.files[0].name)}"

    def _say(
        self, shown: pl.DataFrame, standard: pl.DataFrame, pairs: pl.DataFrame, tolerance: float, shift: float
    ) -> None:
        which = "the nearest indication" if self._pair.how == "nearest" else "the last indication up to then"
        whence = ", half the median interval of the slower log" if self._pair.tolerance is None else ""
        moved = f", the reference's times shifted by {_span(shift)}" if shift else ""
        instruments = (
            f" of {count(len(self.instruments() or []))} instruments" if self.instruments() is not None else ""
        )
        self._remarks.append(
            f"{count(pairs.height)} pairs{instruments} of {count(shown.height)} rows of {self._what(self._shown, 0)} "
            f"and {count(standard.height)} rows of {self._what(self._standard, 1)}: each reading of the reference with "
            f"{which}, no more than {_span(tolerance)} apart{whence}{moved}."
        )
        if self.instruments() is None and pairs.height:
            better = suggested_shift(shown, standard, tolerance, shift, self._pair.how)
            if better is not None:
                self._remarks.append(
                    f"With the reference's times shifted by {_span(better.shift)} (pair.shift), the errors would be "
                    f"{better.ratio:.2g} times smaller: its clock may be wrong."
                )

    def _no_pairs(self, shown: pl.DataFrame, moved: pl.DataFrame, tolerance: float) -> InputError:
        spans = [
            " to ".join(_moment(float(end), self._shown.form) for end in (log["time"].min(), log["time"].max()))  # type: ignore[arg-type]
            for log in (shown, moved)
        ]
        return InputError(
            f"Expected readings of {self._what(self._standard, 1)} no more than {_span(tolerance)} apart from one of "
            f"{self._what(self._shown, 0)}, but found none: the indications are from {spans[0]}, the references from "
            f"{spans[1]}; move the reference's clock with ",
            Setting("pair.shift"),
            ", or allow more with ",
            Setting("pair.tolerance"),
            ".",
        )


def _paired(shown: pl.DataFrame, standard: pl.DataFrame, tolerance: float, how: str) -> pl.DataFrame:
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


def _median_interval(log: pl.DataFrame) -> float:
    """The median time between readings of one instrument [s]; 0 where there is one moment."""
    import polars as pl

    gaps = log.sort("time", maintain_order=True).select(gap=pl.col("time").diff().over("instrument"))["gap"]
    positive = gaps.filter(gaps > 0).median()
    return float(positive) if isinstance(positive, float) else 0.0


def _span(length: float) -> str:
    """Writes a span of time [s]: ``30 s``, ``−1 h``, ``2.5 min``."""
    sign = "−" if length < 0 else ""
    size = abs(length)
    for unit, of in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if size >= of and size / of * 4 == round(size / of * 4):
            return f"{sign}{size / of:g} {unit}"
    return f"{sign}{size:g} s"


def _moment(time: float, form: str) -> str:
    """Writes a time [s] as its log has it."""
    if form == "number":
        return f"{time:.10g}"
    text = datetime.fromtimestamp(time, timezone.utc).isoformat(sep=" ", timespec="seconds")
    return text.removesuffix("+00:00") + ("Z" if form == "zone" else "")

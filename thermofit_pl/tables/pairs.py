"""Two logs become pairs: each reading of the reference with the indication that was shown then."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from thermofit_pl.errors import InputError, Setting
from thermofit_pl.formatting import count, printable, quoted
from thermofit_pl.functional.units import CELSIUS
from thermofit_pl.tables.block import Block
from thermofit_pl.tables.hashing import FileHash
from thermofit_pl.tables.logs import Log
from thermofit_pl.tables.options import PairOptions, TableOptions, seconds
from thermofit_pl.tables.pairing import median_interval, moment, paired, span
from thermofit_pl.tables.shifts import suggested_shift
from thermofit_pl.tables.table import Table
from thermofit_pl.tables.text_tables import BLOCK

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from thermofit_pl.tables.formats import TableFile
    from thermofit_pl.tables.frames import Frame

EPOCH = 1e8  # seconds; numbers from here on can be moments since 1970, beside dates with a zone


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
        path: str | Path | Frame,
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
        self._shown = Log(path, shown, time=time, instrument=instrument, only=only[0], **settings)  # type: ignore[arg-type]
        self._standard = Log(
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

    def groups(self) -> list[str] | None:
        """Returns no set points: pairs have no column of them."""
        return None

    def counts(self, before: tuple[int, int] = (1, 1)) -> NDArray[np.int64]:
        """Returns how many pairs each instrument has, or has in the shares before one, shape (instruments,)."""
        names, pairs = self.instruments(), self._made()
        pairs = pairs[: pairs.height * before[0] // before[1]]
        return np.bincount(pairs["instrument"].to_numpy(), minlength=len(names or [""])).astype(np.int64)

    def is_in_order(self) -> bool:
        """Whether the pairs are in the order of time: they are."""
        return True

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
        interval = max(median_interval(shown), median_interval(standard))
        told = self._pair.tolerance
        tolerance = interval / 2 if told is None else seconds(told, "pair.tolerance")
        if not tolerance and told is None:
            raise InputError(Setting("pair.tolerance"), ": expected a time such as 30s, as the logs have no interval.")
        shift = seconds(self._pair.shift, "pair.shift")
        moved = standard.with_columns(pl.col("time") + shift).filter(pl.col("value").is_not_nan())
        pairs = paired(shown, moved, tolerance, self._pair.how)
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

    def _what(self, log: Log, which: int) -> str:
        return f"{quoted(self._names[which])} in {printable(log.files[0].name or log.files[0])}"

    def _say(
        self, shown: pl.DataFrame, standard: pl.DataFrame, pairs: pl.DataFrame, tolerance: float, shift: float
    ) -> None:
        which = "the nearest indication" if self._pair.how == "nearest" else "the last indication up to then"
        whence = ", half the median interval of the slower log" if self._pair.tolerance is None else ""
        moved = f", the reference's times shifted by {span(shift)}" if shift else ""
        instruments = (
            f" of {count(len(self.instruments() or []))} instruments" if self.instruments() is not None else ""
        )
        self._remarks.append(
            f"{count(pairs.height)} pairs{instruments} of {count(shown.height)} rows of {self._what(self._shown, 0)} "
            f"and {count(standard.height)} rows of {self._what(self._standard, 1)}: each reading of the reference with "
            f"{which}, no more than {span(tolerance)} apart{whence}{moved}."
        )
        if self.instruments() is None and pairs.height:
            better = suggested_shift(shown, standard, tolerance, shift, self._pair.how)
            if better is not None:
                self._remarks.append(
                    f"With the reference's times shifted by {span(better.shift)} (pair.shift), the errors would be "
                    f"{better.ratio:.2g} times smaller: its clock may be wrong."
                )

    def _no_pairs(self, shown: pl.DataFrame, moved: pl.DataFrame, tolerance: float) -> InputError:
        spans = [
            " to ".join(moment(float(end), self._shown.form) for end in (log["time"].min(), log["time"].max()))  # type: ignore[arg-type]
            for log in (shown, moved)
        ]
        return InputError(
            f"Expected readings of {self._what(self._standard, 1)} no more than {span(tolerance)} apart from one of "
            f"{self._what(self._shown, 0)}, but found none: the indications are from {spans[0]}, the references from "
            f"{spans[1]}; move the reference's clock with ",
            Setting("pair.shift"),
            ", or allow more with ",
            Setting("pair.tolerance"),
            ".",
        )

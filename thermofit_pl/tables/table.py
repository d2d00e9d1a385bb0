"""A table becomes checked readings, a block at a time however large it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from thermofit_pl.errors import InputError, Setting
from thermofit_pl.formatting import printable, quoted
from thermofit_pl.functional.units import CELSIUS
from thermofit_pl.tables.block import Block as Block
from thermofit_pl.tables.cells import NumberFormat, Part, Wanted, joined_name
from thermofit_pl.tables.checks import LARGEST as LARGEST
from thermofit_pl.tables.checks import check
from thermofit_pl.tables.copies import Copy
from thermofit_pl.tables.finding import matching, open_tables
from thermofit_pl.tables.formats import TableFile
from thermofit_pl.tables.hashing import FileHash
from thermofit_pl.tables.headers import is_pattern
from thermofit_pl.tables.options import TableOptions
from thermofit_pl.tables.parts import count_rows, parts
from thermofit_pl.tables.stated import BOUNDS, UncertaintyOptions
from thermofit_pl.tables.time_order import look_through, sort_by_time
from thermofit_pl.tables.times import Times

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from thermofit_pl.tables.cells import Columns, Rows
    from thermofit_pl.tables.frames import Frame


class Table:
    """One table of readings, in one file or several.

    Args:
        path: A file, a glob (its files are taken in the order of their names), or a folder of tables. Local; what each
            is shows in its content: CSV or TSV (also gzipped), Parquet, Arrow. Of a glob and a folder, hidden files,
            results of this package, and further names of the same file are left out; `left_out` says so. Or a table in
            memory: of pandas, Polars or Arrow, or a dict of arrays.
        indication: The column with what the thermometer showed; or a pattern such as `probe_*`, each of whose columns
            is an instrument of its own.
        reference: The column with the standard's values, if there is one.
        time: The column that says when each reading was taken; readings then come in its order. Two columns are the
            date and the time of day.
        decimal_comma: Whether text tables write 35,7 for 35.7.
        missing: What to do about readings with a missing, NaN or infinite value.
        instrument: The column with the name of each reading's instrument, if there are several.
        options: How the table is written, where it can't be seen in it.
        only: A column, and the text in it of the rows that are wanted.
        roles: What sentences call the roles that are others than usual.
        unit: The reference's, in which absolute zero is looked for.
        stated: What is known of the readings' uncertainties.
        group: The column with the set point of each reading, if there is one.
    """

    def __init__(
        self,
        path: str | Path | Frame,
        indication: str,
        reference: str | None = None,
        *,
        time: str | Sequence[str] | None = None,
        decimal_comma: bool = False,
        missing: Literal["error", "drop"] = "error",
        instrument: str | None = None,
        options: TableOptions | None = None,
        only: tuple[str, str] | None = None,
        roles: Mapping[str, str] | None = None,
        unit: str = CELSIUS,
        stated: UncertaintyOptions = UncertaintyOptions(),  # noqa: B008  # frozen
        group: str | None = None,
    ) -> None:
        options = options or TableOptions()
        self._stated, self._uncertain = stated, {f"u.{of}": column for of, column in stated.columns.items()}
        times = (time,) if isinstance(time, str) else tuple(time or ())
        given = [("indication", indication), ("reference", reference), *(("time", column) for column in times)]
        given += self._uncertain.items()
        given_names = [("instrument", instrument), ("group", group)]
        if group is not None and group in [column for _, column in [*given, ("", instrument)]]:
            raise InputError(Setting("group"), f": expected a column of its own, but got {quoted(group)}.")
        named = [(role, column) for role, column in [*given, *given_names] if column is not None]
        self._roles = dict(named) | ({"time": joined_name(times)} if times else {})
        asked = [*named, *([("entity", only[0])] if only else [])]
        called = [((roles or {}).get(role, role), column) for role, column in asked]
        found = open_tables(path, called, decimal_comma=decimal_comma, options=options)
        self._tables, self.left_out = found.tables, found.left_out
        self.probes: list[str] = []
        if is_pattern(indication):
            del self._roles["indication"]
            if instrument is not None:
                raise InputError(
                    Setting("indication"),
                    ": expected one column beside ",
                    Setting("instrument"),
                    f", but got the pattern {quoted(indication)}; use one of the two ways to name instruments.",
                )
            self.probes = matching(self._tables, indication, set(self._roles.values()))
        columns = tuple(dict.fromkeys([*self.probes, *self._roles.values()]))
        form = NumberFormat(decimal_comma, options.missing_words)
        self._wanted = Wanted(columns, times, form, instrument, only, times=Times(options.time_format), group=group)
        self._missing = missing
        self._unit = unit
        self._in_order: bool | None = None  # once the times have been looked through: whether they never decrease
        self._times: int = 0  # and how many there are
        self._hash: FileHash | None = None
        self.files: tuple[Path, ...] = tuple(table.path for table in self._tables)
        self.columns: list[str] = list(self._tables[0].columns)
        self.n_bytes: int = sum(table.size for table in self._tables)
        self.dropped: int = 0

    def blocks(
        self, *, share: tuple[int, int] = (0, 1), progress: Callable[[int], None] | None = None
    ) -> Iterator[Block]:
        """Reads the table once, in its order (in time order where there is a time).

        Args:
            share: `(rank, world)`: only this process's share, one of `world` contiguous and disjoint ones; it may be
                empty.
            progress: Called after each block with the bytes of the table read so far, out of `n_bytes`.
        """
        self.dropped = 0
        if share[0] == 0:  # the process that writes the result needs it
            self._hash = self._hash or FileHash(self._tables)
        if self.is_in_order():
            yield from self._checked(share, progress)
        else:
            most = self._times * (len(self.probes) or 1)
            yield from sort_by_time(self._checked((0, 1), progress), most, self.files, share)

    def instruments(self) -> list[str] | None:
        """Returns the names of the instruments that were met so far, in the order of their indices; None for one."""
        if self.probes:
            return list(self.probes)
        return None if self._wanted.instrument is None else self._wanted.labels.names()

    @property
    def format(self) -> TableFile:
        """What the first file is, for a copy of the table in the same format."""
        return self._tables[0]

    def groups(self) -> list[str] | None:
        """Returns the set points that were met so far, in the order of their indices; None where none are named."""
        return None if self._wanted.group is None else self._wanted.groups.names()

    def counts(self, before: tuple[int, int] = (1, 1)) -> NDArray[np.int64]:
        """Returns how many readings `blocks` gives of each instrument, by its index, shape (instruments,).

        Only what is needed for that is read: of Parquet and Arrow often no more than what the file says about itself.

        Args:
            before: `(rank, world)`: only those of the shares before this one, of a table in the order of time; without
                it, all.
        """
        name, (rank, world) = self._roles.get("instrument"), before
        shares, least = [(k, world) for k in range(rank)], len(self.probes) or 1
        if self._missing == "drop":
            dropped = self.dropped
            counts = _counted((block.codes() for share in shares for block in self._checked(share, None)), least)
            self.dropped = dropped
            return counts
        if name is None and rank == world:
            return np.full(least, sum(count_rows(table, self._wanted) for table in self._tables))
        narrow = replace(self._wanted, columns=(name or self._wanted.columns[0],))
        parts = (part for share in shares for _, part, _ in self._parts(narrow, share))
        if name is None:
            return np.full(least, sum(len(part.rows) for part in parts))
        codes = (part.values[name] for part in parts)  # NaN for an empty cell, of which `blocks` complains
        return _counted((some[~np.isnan(some)].astype(np.int64) for some in codes), 0)

    def indications(self) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64] | None]]:
        """Reads the indications alone, of every row in the table's own order, a piece at a time.

        With `missing="drop"` no row is left out, but NaN stands where there is no finite indication, or no name.

        Yields:
            Indications, shape (N,), or where instruments have a column each, (N, instruments) [indicated unit]; and the
            instrument of each, an index into `instruments()`, shape (N,) or (instruments,); None where there is one.
        """
        name, whose = self._wanted.instrument, np.arange(float(len(self.probes)))
        shown = tuple(self.probes) or (self._roles["indication"],)
        columns = shown if name is None else tuple(dict.fromkeys((*shown, name)))
        for table, part, _ in self._parts(replace(self._wanted, columns=columns, time=()), (0, 1)):
            values = part.values
            apart = [columns] if self._missing == "error" else [(column,) for column in columns]
            for some in apart:  # complains, also of a value that is too large, beside which another cell is empty
                self._check(table, Part({column: values[column] for column in some}, part.rows, part.done), None)
            if self._missing == "drop":
                values = {column: np.where(np.isfinite(cells), cells, np.nan) for column, cells in values.items()}
            if self.probes:
                yield np.stack([values[probe] for probe in shown], axis=-1), whose
            else:
                yield values[shown[0]], None if name is None else values[name]

    def sha256(self) -> str:
        """SHA-256 of the files' bytes, one after the other; computed beside the reading where `blocks` runs."""
        self._hash = self._hash or FileHash(self._tables)
        return self._hash.result()

    def frames(self) -> pl.LazyFrame:
        """The whole table for a copy of it: every column as the file has it.

        Text stays text, to the letter (but for the spaces around column names); the types of Parquet and Arrow stay.
        Where tables differ in their columns, null stands for what one has not. Rows are those of `indications`, in the
        same order. Cells are not checked: run through `indications` first. Collecting it, or writing it with a sink,
        takes bounded memory, and raises `InputError` for a text table that can't be read.
        """
        import polars as pl

        copies = [Copy(table).frame() for table in self._tables]
        return pl.concat(copies, how="diagonal") if len(copies) > 1 else copies[0]

    def _parts(self, wanted: Wanted, share: tuple[int, int]) -> Iterator[tuple[TableFile, Part, int]]:
        """The parts of this share, with their file and how far they reach into all files [bytes]."""
        rank, world = share
        if not 0 <= rank < world:
            raise ValueError(f"Expected a rank from 0 to {world - 1}, but got {rank}.")
        low = self.n_bytes * rank // world if rank else float("-inf")
        high = self.n_bytes * (rank + 1) // world if rank + 1 < world else float("inf")
        before = 0
        for table in self._tables:
            if low <= before + table.size and before < high:
                for part in parts(table, wanted, low - before, high - before):
                    yield table, part, before + part.done
            before += table.size

    def _checked(self, share: tuple[int, int], progress: Callable[[int], None] | None) -> Iterator[Block]:
        for table, part, done in self._parts(self._wanted, share):
            for index, narrow in self._instruments_of(part):
                values, rows = self._check(table, narrow, self._roles.get("reference"))
                self.dropped += len(part.rows) - len(rows)
                if len(rows):
                    yield self._block(table.path, values, rows, index)
            if progress:
                progress(done)

    def _instruments_of(self, part: Part) -> Iterator[tuple[int, Part]]:
        """A part for each instrument's own column, so that a cell that one lacks costs the others nothing."""
        if not self.probes:
            yield -1, part
        for index, probe in enumerate(self.probes):
            columns = (probe, *self._roles.values())
            yield index, Part({name: part.values[name] for name in columns}, part.rows, part.done)

    def _block(self, path: Path, values: Columns, rows: Rows, index: int) -> Block:
        picked = {role: values[column] for role, column in self._roles.items()}
        instrument = picked["instrument"].astype(np.int64) if "instrument" in picked else None
        if index >= 0:
            picked["indication"] = values[self.probes[index]]
            instrument = np.full(len(rows), index)
        group = picked["group"].astype(np.int64) if "group" in picked else None
        block = Block(
            picked["indication"], picked.get("reference"), picked.get("time"), path, rows, instrument, group=group
        )
        return self._with_uncertainties(block, picked) if self._stated.by_reading else block

    def _with_uncertainties(self, block: Block, picked: Columns) -> Block:
        """The readings with what is stated of their uncertainties."""
        assert block.reference is not None
        columns = {role.removeprefix("u."): picked[role] for role in self._uncertain}
        found = self._stated.of_readings(block.indication, block.reference, columns)
        for axis, u in (("reference", found.u_reference), ("indication", found.u_indication)):
            if u is not None and not u.min(initial=1.0) > 0:  # a share of zero, or a scatter of none
                row = int(np.asarray(block.rows)[u.argmin()])
                raise InputError(
                    f"{printable(block.file)}, row {row}: expected a positive uncertainty of the {axis}, but what is "
                    "stated comes to 0 there; add an absolute part, as 0.01+0.1%, or the resolution (",
                    Setting(f"u.{axis}_resolution"),
                    ").",
                )
        return replace(block, **found._asdict())

    def _check(self, table: TableFile, part: Part, reference: str | None) -> tuple[Columns, Rows]:
        try:
            return check(
                table.path,
                part,
                reference,
                drop=self._missing == "drop",
                unit=self._unit,
                bounds={column: BOUNDS[role.removeprefix("u.")] for role, column in self._uncertain.items()},
            )
        except InputError:
            table.check_unchanged()  # then that is what went wrong
            raise

    def is_in_order(self) -> bool:
        """Whether the times, if there are any, never decrease; the first time, they are looked through."""
        if (name := self._wanted.time_name) is not None and self._in_order is None:
            wanted = replace(self._wanted, columns=(name,), instrument=None)
            times = (part.values[name] for _, part, _ in self._parts(wanted, (0, 1)))
            self._in_order, self._times = look_through(times, self.files[0], name, len(self.probes) or 1)
        return self._in_order is not False


def _counted(codes: Iterator[NDArray[np.int64]], least: int) -> NDArray[np.int64]:
    """Counts how often each code comes, shape (codes,), for so many codes at least."""
    counts = np.zeros(least, np.int64)
    for some in codes:
        if some.size and (most := int(some.max()) + 1) > len(counts):
            counts = np.concatenate([counts, np.zeros(max(most, 2 * len(counts)) - len(counts), np.int64)])
        np.add.at(counts, some, 1)
    return counts

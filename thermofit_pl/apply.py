"""``apply``: a table of any size is corrected in one pass, by Polars alone."""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thermofit_pl.errors import InputError
from thermofit_pl.files import atomic_write, standard_output
from thermofit_pl.wording import count, printable, signed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import polars as pl

    from thermofit_pl.calibration import Calibration
    from thermofit_pl.formats import TableFile

RESULTS = ("estimate", "u_line", "u_single", "extrapolated")
SUFFIXES = {
    ".csv": "csv",
    ".txt": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}
_WRITING = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)  # what reading never fails with


def apply(
    calibration: Calibration,
    table: str,
    *,
    output: str | None = None,
    indication: str | None = None,
    decimal_comma: bool = False,
) -> None:
    """Adds ``estimate``, ``u_line``, ``u_single`` and ``extrapolated`` to a table of any size, in bounded memory.

    What there is to say (rows without an indication or outside the calibrated range, the file written) goes to standard
    error.

    Args:
        calibration: The calibration.
        table: The table's file (CSV, gzipped or not, Parquet, Arrow), or ``-`` for standard input.
        output: Where to, the format by its suffix; ``-`` is standard output, as CSV. None: next to nothing, in the
            current folder, as ``NAME.corrected.SUFFIX``; and standard output for standard input.
        indication: The column of the indications; None: the one that the calibration was made from.
        decimal_comma: Whether text has 35,7 for 35.7; the result then has it too, with ``;`` between cells.

    Raises:
        InputError: The table can't be used, holds a cell that is no number, or the result can't be written.
    """
    column = indication or calibration.indication_column
    if column is None:
        raise InputError(
            "Expected --indication NAME, the column to correct, but got none, and the calibration was made from "
            "arrays; add it."
        )
    with ExitStack() as stack:
        path = stack.enter_context(_spooled_input()) if table == "-" else table
        stack.enter_context(_own_words(path, table))
        tables = _open(path, column, decimal_comma)
        place = output or ("-" if table == "-" else _default_output(Path(table), len(tables)))
        kind = _kind(place)
        if place != "-" and any(Path(place).resolve() == source.path.resolve() for source in tables):
            raise InputError(f"Expected another --output than the table itself, but got {printable(place)}.")
        target = stack.enter_context(standard_output() if place == "-" else atomic_write(place))
        reading = _Reading(column, decimal_comma, calibration.indication_range)
        _write(calibration, tables, reading, target, kind)
        if reading.wrong:
            _complain(path, column, decimal_comma)
    _report(calibration, reading.totals(), place)


def _open(path: str, column: str, decimal_comma: bool) -> list[TableFile]:
    """Opens the table's files; no cell is read yet."""
    from thermofit_pl.formats import find_files, open_table

    tables = []
    for file in find_files(path):
        table = open_table(file, {"indication": column}, decimal_comma=decimal_comma)
        if taken := [name for name in RESULTS if name in table.columns]:
            raise InputError(
                f"Expected a table without a column {taken[0]!r}, but {printable(file)} has one, which the result "
                "would overwrite; rename it."
            )
        tables.append(table)
    return tables


def _complain(path: str, column: str, decimal_comma: bool) -> None:
    """Names the first cell that is no number, with its row."""
    from thermofit_pl.readings import Table

    for _ in Table(path, column, decimal_comma=decimal_comma, missing="drop").blocks():
        pass


def _write(
    calibration: Calibration, tables: Sequence[TableFile], reading: _Reading, target: Any, kind: tuple[str, bool]
) -> None:
    """Reads, corrects and writes, in bounded memory."""
    import polars as pl
    from polars.exceptions import PolarsError

    from thermofit_pl.formats import readable

    view = _free_name([name for table in tables for name in table.columns])
    copies = [reading.frame(table, view) for table in tables]
    frame = pl.concat(copies, how="diagonal") if len(copies) > 1 else copies[0]
    corrected = frame.with_columns(**calibration.polars_expressions(view)).drop(view)
    failure = 0
    with readable(tables[0].path):
        try:
            _sink(corrected, target, kind, reading.decimal_comma)
        except (OSError, PolarsError) as error:
            found = re.search(r"os error (\d+)", str(error))
            failure = int(found[1]) if found else getattr(error, "errno", None) or 0
            if failure not in _WRITING:
                raise
    if failure:
        raise OSError(failure, os.strerror(failure))


class _Reading:
    """Turns cells into numbers, and counts them.

    Args:
        column: The column of the indications.
        decimal_comma: Whether text has 35,7 for 35.7.
        indication_range: The calibrated range.
    """

    def __init__(self, column: str, decimal_comma: bool, indication_range: tuple[float, float]) -> None:
        self.column = column
        self.decimal_comma = decimal_comma
        self._range = indication_range
        self._batches: list[tuple[int, int, int, bool]] = []  # list.append is safe between Polars' threads

    def frame(self, table: TableFile, view: str) -> pl.LazyFrame:
        """Gives a table with the indication beside as Float64, under the name ``view``, null where there is none."""
        import polars as pl

        from thermofit_pl.formats import readable
        from thermofit_pl.parts import frames

        frame, number = frames(table), pl.col(self.column)
        with readable(table.path):
            if not frame.collect_schema()[self.column].is_numeric():
                # counted on the way: to count text in a second query would be to parse it again
                number = number.map_batches(self._numbers, return_dtype=pl.Float64, is_elementwise=True)
                return frame.with_columns(number.alias(view))
            number = number.cast(pl.Float64)
            number = pl.when(number.is_finite()).then(number)
            # one column by itself is read at once, while Polars takes a thread for each batch that Python sees
            counts = frame.select(pl.len(), number.count().alias("known"), number.is_between(*self._range).sum())
            rows, known, inside = counts.collect(engine="streaming").row(0)
        self._batches.append((rows, rows - known, known - inside, False))
        return frame.with_columns(number.alias(view))

    def _numbers(self, cells: pl.Series) -> pl.Series:
        found, wrong = self._cast(cells)
        if not found.is_finite().all():
            found = found.set(~found.is_finite(), None)
        missing = found.null_count()
        outside = len(found) - missing - int(found.is_between(*self._range).sum())
        self._batches.append((len(found), missing, outside, wrong))
        return found

    def _cast(self, cells: pl.Series) -> tuple[pl.Series, bool]:
        """The cells as Float64, and whether one of them is neither a number nor missing."""
        import polars as pl

        from thermofit_pl.cells import numbers

        if not self.decimal_comma:
            found = cells.cast(pl.Float64, strict=False)
            if found.null_count() == cells.null_count():
                return found, False
        # spaces, commas and words for a missing value: with more care, at twice the time
        values, wrong = numbers(cells, decimal_comma=self.decimal_comma, time=False)
        if wrong is not None:
            return pl.repeat(None, len(cells), dtype=pl.Float64, eager=True), True
        return pl.Series(values), False

    @property
    def wrong(self) -> bool:
        """Whether a cell was neither a number nor missing."""
        return any(batch[3] for batch in self._batches)

    def totals(self) -> tuple[int, int, int]:
        """Gives the numbers of all rows, of those without an indication, and of those outside the range."""
        rows, missing, outside = (sum(batch[k] for batch in self._batches) for k in range(3))
        return rows, missing, outside


def _sink(frame: pl.LazyFrame, target: Any, kind: tuple[str, bool], decimal_comma: bool) -> None:
    name, gz = kind
    if name == "parquet":
        frame.sink_parquet(target)
    elif name == "arrow":
        frame.sink_ipc(target)
    else:
        frame.sink_csv(
            target,
            separator="\t" if name == "tsv" else ";" if decimal_comma else ",",
            decimal_comma=decimal_comma,
            compression="gzip" if gz else "uncompressed",
            check_extension=False,
        )


def _kind(place: str) -> tuple[str, bool]:
    """The format that a name asks for, and whether it is to be compressed."""
    if place == "-" or (Path(place).exists() and not Path(place).is_file()):
        return "csv", False
    suffixes = [suffix.lower() for suffix in Path(place).suffixes]
    gz = suffixes[-1:] == [".gz"]
    name = SUFFIXES.get(suffixes[-2 if gz else -1]) if len(suffixes) > gz else None
    if name is None or (gz and name not in ("csv", "tsv")):
        raise InputError(
            f"Expected --output to end in {', '.join(SUFFIXES)} or .csv.gz, but got {printable(place)}; name it so."
        )
    return name, gz


def _default_output(table: Path, files: int) -> str:
    suffixes = "".join(table.suffixes[-2 if table.name.lower().endswith(".gz") else -1 :])
    place = f"{table.name.removesuffix(suffixes)}.corrected{suffixes or '.csv'}"
    if files > 1 or Path(place).exists():
        why = "the table is several files" if files > 1 else f"{printable(place)} is there already"
        raise InputError(f"Expected --output FILE, since {why}, but got none; say where the result is to go.")
    return place


def _free_name(columns: Sequence[str]) -> str:
    name = "indication as a number"
    while name in columns:
        name += "_"
    return name


def _report(calibration: Calibration, counts: tuple[int, int, int], place: str) -> None:
    rows, missing, outside = counts
    lines = []
    if missing:
        lines.append(f"{count(missing)} of {count(rows)} rows have no indication; their results are empty.")
    if outside:
        low, high = (signed(f"{end:.6g}") for end in calibration.indication_range)
        lines.append(
            f"{count(outside)} of {count(rows)} rows lie outside the calibrated range, {low} to {high}: no reading "
            "supports the line there."
        )
    if place != "-":
        lines.append(f"Corrected {count(rows)} rows into {printable(place)}.")
    if sys.stderr is not None:
        print("\n".join(lines), file=sys.stderr, end="\n" if lines else "")


@contextmanager
def _own_words(path: str, table: str) -> Iterator[None]:
    """Lets complaints about a table name what was typed: ``apply`` has other options than ``fit``."""
    try:
        yield
    except InputError as error:
        text = str(error).replace(" (--data.path)", "").replace("--data.decimal_comma true", "--decimal-comma")
        text = text.replace("--data.decimal_comma", "--decimal-comma").replace("--data.", "--")
        raise InputError(text.replace(printable(path), "standard input") if table == "-" else text) from None


@contextmanager
def _spooled_input() -> Iterator[str]:
    """Standard input as a file: formats are found by content, and Parquet and Arrow are read from their ends."""
    if sys.stdin is None:
        raise InputError("Expected a table on standard input, but it is closed; give a file.")
    with tempfile.NamedTemporaryFile(prefix="thermofit_pl.") as file:
        try:
            shutil.copyfileobj(sys.stdin.buffer, file, 1 << 20)
            file.flush()
        except OSError as error:
            raise InputError(
                f"Expected to keep standard input in {tempfile.gettempdir()}, but got {error.strerror}; free space, or "
                "set TMPDIR to a folder that has it."
            ) from None
        yield file.name

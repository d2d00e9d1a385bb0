"""``apply``: a table of any size is corrected in one pass, by Polars alone."""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
import tempfile
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from thermofit_pl.errors import InputError, Setting
from thermofit_pl.files import atomic_write, is_stream, standard_output, stream_output, sweep
from thermofit_pl.formatting import count, printable, signed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import polars as pl

    from thermofit_pl.apply.corrections import Correction
    from thermofit_pl.apply.counting import Indications, Tally
    from thermofit_pl.calibration.calibration import Calibration
    from thermofit_pl.calibration.calibrations import Calibrations
    from thermofit_pl.tables.finding import Found
    from thermofit_pl.tables.formats import TableFile
    from thermofit_pl.tables.options import TableOptions

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
LONGEST = 255  # bytes of a file's name on Linux and macOS
STANDARD_OUTPUT = ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
_WRITING = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)  # what reading never fails with


def apply(
    calibration: Calibration | Calibrations,
    table: str,
    *,
    output: str | None = None,
    indication: str | None = None,
    instrument: str | None = None,
    decimal_comma: bool = False,
    options: TableOptions | None = None,
) -> None:
    """Adds ``estimate``, ``u_line``, ``u_single`` and ``extrapolated`` to a table of any size, in bounded memory.

    Where each instrument of a fleet has a column of its own, the names of its results begin with that of its column.
    What there is to say (rows without an indication or outside the calibrated range, rows of an instrument that is
    unknown, the file written) goes to standard error.

    Args:
        calibration: The calibration, or those of a fleet.
        table: The table's file (CSV, gzipped or not, Parquet, Arrow), or ``-`` for standard input.
        output: Where to, the format by its suffix; ``-`` is standard output, as CSV. None: next to nothing, in the
            current folder, as ``NAME.corrected.SUFFIX``; and standard output for standard input.
        indication: The column of the indications; None: the one that the calibration was made from.
        instrument: The column that names each row's instrument, for a fleet; None: likewise.
        decimal_comma: Whether text has 35,7 for 35.7; the result then has it too, with ``;`` between cells.
        options: How the table is written, where it can't be seen in it.

    Raises:
        InputError: The table can't be used, holds a cell that is no number, or the result can't be written.
    """
    from thermofit_pl.apply.counting import Indications
    from thermofit_pl.tables.cells import NumberFormat
    from thermofit_pl.tables.options import TableOptions

    options = options or TableOptions()
    form = NumberFormat(decimal_comma, options.missing_words)
    with ExitStack() as stack:
        path = stack.enter_context(_spooled_input()) if table == "-" else table
        todo, found = _open(calibration, path, options, decimal_comma, indication=indication, instrument=instrument)
        tables = found.tables
        place = output or ("-" if table == "-" else _default_output(Path(table), len(tables)))
        place = "-" if place in STANDARD_OUTPUT else place
        kind = _kind(place)
        if place != "-" and any(Path(place).resolve() == source.path.resolve() for source in tables):
            raise InputError(
                "Expected another ", Setting("output"), f" than the table itself, but got {printable(place)}."
            )
        target = stack.enter_context(_opened(place))
        indications = [Indications(each.column, form) for each in todo]
        tallies = _write(todo, tables, indications, target, kind)
        for each in indications:
            if each.wrong:
                _complain(path, each.column, decimal_comma, options)
    _report(todo, tallies, place, found.left_out)


def _opened(place: str) -> AbstractContextManager[Any]:
    """What to write to, as an open file: Polars would wait for a pipe deaf to signals."""
    if place == "-":
        return standard_output()
    if is_stream(place):
        return stream_output(place)
    sweep(Path(place).parent)
    return _file(place)


@contextmanager
def _file(place: str) -> Iterator[IO[bytes]]:
    """A file to write to; by its name, Polars may make it again, once a query has failed and it has been removed."""
    with atomic_write(place, durable=False) as path, path.open("r+b", buffering=0) as file:
        yield file


def _open(
    calibration: Calibration | Calibrations,
    path: str | Path,
    options: TableOptions,
    decimal_comma: bool,
    **columns: str | None,
) -> tuple[list[Correction], Found]:
    """Opens the table's files, and finds the columns to correct; no cell is read yet."""
    from thermofit_pl.apply.corrections import corrections
    from thermofit_pl.tables.finding import open_tables
    from thermofit_pl.tables.formats import check_column

    source = getattr(calibration, "provenance", None) or vars(calibration)
    wide = "instrument_column" in source and not (columns["instrument"] or source["instrument_column"])
    name = columns["indication"] or (None if wide else source["indication_column"])  # of wide tables, a pattern
    named = [] if name is None else [("indication", name)]
    found = open_tables(path, named, decimal_comma=decimal_comma, options=options)
    todo = corrections(calibration, found.tables[0].columns, **columns)
    for table in found.tables:
        for each in todo:
            check_column(table, "indication", each.column)
            if taken := [name for name in each.results if name in table.columns]:
                raise InputError(
                    f"Expected a table without a column {taken[0]!r}, but {printable(table.path)} has one, which the "
                    "result would overwrite; rename it."
                )
    return todo, found


def _complain(path: str | Path, column: str, decimal_comma: bool, options: TableOptions) -> None:
    """Names the first cell that is no number, with its row."""
    from thermofit_pl.tables.table import Table

    for _ in Table(path, column, decimal_comma=decimal_comma, missing="drop", options=options).blocks():
        pass


def _write(
    todo: Sequence[Correction],
    tables: Sequence[TableFile],
    indications: Sequence[Indications],
    target: Any,
    kind: tuple[str, bool],
) -> list[Tally]:
    """Reads, corrects, counts and writes, in one pass and in bounded memory."""
    import polars as pl
    from polars.exceptions import PolarsError

    from thermofit_pl.apply.counting import counted
    from thermofit_pl.tables.batches import write_out
    from thermofit_pl.tables.copies import Copy
    from thermofit_pl.tables.formats import readable

    free = _free_name([name for table in tables for name in table.columns])
    views = [f"{free} {number}" for number in range(len(todo))]
    failure = 0
    with readable(tables[0].path):
        copies = [Copy(table) for table in tables]
        frames = [
            frame.with_columns(each.number(frame).alias(view) for each, view in zip(indications, views, strict=True))
            for frame in map(Copy.frame, copies)
        ]
        corrected = pl.concat(frames, how="diagonal") if len(frames) > 1 else frames[0]
        for each, view in zip(todo, views, strict=True):
            corrected = each.add(corrected, view)
        names = [(view, each.results[0], each.results[-1]) for each, view in zip(todo, views, strict=True)]
        corrected, tallies = counted(corrected, names, copies)
        try:
            write_out(lambda: _sink(corrected, target, kind, indications[0].form.decimal_comma))
        except (OSError, PolarsError) as error:
            found = re.search(r"os error (\d+)", str(error))
            failure = int(found[1]) if found else getattr(error, "errno", None) or 0
            if failure not in _WRITING:
                raise
    if failure:
        raise OSError(failure, os.strerror(failure))
    return tallies


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
    if place == "-" or is_stream(place):
        return "csv", False
    suffixes = [suffix.lower() for suffix in Path(place).suffixes]
    gz = suffixes[-1:] == [".gz"]
    name = SUFFIXES.get(suffixes[-2 if gz else -1]) if len(suffixes) > gz else None
    if name is None or (gz and name not in ("csv", "tsv")):
        raise InputError(
            "Expected ",
            Setting("output"),
            f" to end in {', '.join(SUFFIXES)} or .csv.gz, but got {printable(place)}; name it so.",
        )
    return name, gz


def _default_output(table: Path, files: int) -> str:
    suffixes = "".join(table.suffixes[-2 if table.name.lower().endswith(".gz") else -1 :])
    kept = suffixes if suffixes and suffixes.lower() != ".xlsx" else ".csv"
    place = f"{table.name.removesuffix(suffixes)}.corrected{kept}"
    too_long = len(os.fsencode(place)) > LONGEST
    if files > 1 or too_long or Path(place).exists():
        why = f"{printable(place, 60)} is too long a name" if too_long else f"{printable(place)} is there already"
        why = "the table is several files" if files > 1 else why
        raise InputError("Expected ", Setting("output"), f", since {why}, but got none; say where the result is to go.")
    return place


def _free_name(columns: Sequence[str]) -> str:
    name = "indication as a number"
    while name in columns:
        name += "_"
    return name


def _report(todo: Sequence[Correction], tallies: Sequence[Tally], place: str, left_out: str) -> None:
    lines = [left_out] if left_out else []
    for each, tally in zip(todo, tallies, strict=True):
        of = f"of {count(tally.rows)} rows"
        where = f" in column {printable(each.column)}" if len(todo) > 1 else ""
        if tally.missing:
            lines.append(f"{count(tally.missing)} {of} have no indication{where}; their results are empty.")
        if tally.outside:
            lines.append(
                f"{count(tally.outside)} {of} lie outside the calibrated range{where}{_span(each)}: no reading "
                "supports the line there."
            )
        if tally.unknown:
            lines.append(
                f"{count(tally.unknown)} {of} are of an instrument that is unknown or has no line{where}; their "
                "results are empty."
            )
    if place != "-":
        lines.append(f"Corrected {count(tallies[0].rows)} rows into {printable(place)}.")
    if sys.stderr is not None:
        print("\n".join(lines), file=sys.stderr, end="\n" if lines else "")


def _span(correction: Correction) -> str:
    """The calibrated range in words; where each row has its own, whose it is."""
    if correction.indication_range is None:
        return " of their instrument"
    low, high = (signed(f"{end:.6g}") for end in correction.indication_range)
    return f", {low} to {high}"


class _SpooledPath(type(Path())):  # type: ignore[misc]  # before Python 3.12, only the platform's own class can be made
    """The file that keeps standard input, by what it is called in sentences."""

    label = "standard input"


@contextmanager
def _spooled_input() -> Iterator[Path]:
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
        yield _SpooledPath(file.name)

"""The light commands, which start without torch: ``apply`` corrects a table, ``show`` says what a calibration is."""

from __future__ import annotations

import argparse
import errno
import os
import re
import shutil
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from thermofit_pl.calibration import Calibration
from thermofit_pl.errors import InputError
from thermofit_pl.files import atomic_write
from thermofit_pl.summary import summary
from thermofit_pl.wording import count, printable, signed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import polars as pl

    from thermofit_pl.readings import Table

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


def main(argv: Sequence[str]) -> int:
    """Runs ``apply`` or ``show``.

    Args:
        argv: The command and its arguments.

    Returns:
        The exit code.

    Raises:
        InputError: The arguments, or a file, can't be used.
    """
    arguments = _parser().parse_args(argv)
    calibration = Calibration.load(arguments.calibration)
    if arguments.command == "show":
        with _standard_output():
            print(summary(calibration), flush=True)  # noqa: T201
        return 0
    apply(
        calibration,
        arguments.table,
        output=arguments.output,
        indication=arguments.indication,
        decimal_comma=arguments.decimal_comma,
    )
    return 0


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
    from thermofit_pl.readings import Table

    column = indication or calibration.indication_column
    if column is None:
        raise InputError(
            "Expected --indication NAME, the column to correct, but got none, and the calibration was made from arrays; "
            "add it."
        )
    with ExitStack() as stack:
        stack.enter_context(_own_options())
        path = stack.enter_context(_spooled_input()) if table == "-" else table
        source = Table(path, column, decimal_comma=decimal_comma, missing="drop")
        if taken := [name for name in RESULTS if name in source.columns]:
            raise InputError(
                f"Expected a table without a column {taken[0]!r} but {printable(table)} has one, which the result "
                "would overwrite; rename it."
            )
        place = output or ("-" if table == "-" else _default_output(source))
        if place != "-" and any(Path(place).resolve() == file.resolve() for file in source.files):
            raise InputError(f"Expected another --output than the table itself but got {printable(place)}.")
        kind = _kind(place)
        target = stack.enter_context(_standard_output() if place == "-" else atomic_write(place))
        counts = _write(calibration, source, column, target, kind, decimal_comma)
    _report(calibration, counts, place)


def _write(
    calibration: Calibration, source: Table, column: str, target: Any, kind: tuple[str, bool], decimal_comma: bool
) -> _Counts:
    """Reads, corrects and writes in one pass."""
    import polars as pl

    from thermofit_pl.formats import readable

    view, counts, failure = _free_name(source.columns), _Counts(calibration.indication_range), None
    counted = pl.struct(pl.col(view).alias("number"), pl.col(column).alias("cell"))
    counted = counted.map_batches(counts.look, return_dtype=pl.Float64, is_elementwise=True)
    frame = source.frames(view).with_columns(counted.alias(view))
    corrected = frame.with_columns(**calibration.polars_expressions(view)).drop(view)
    with readable(source.files[0]):
        try:
            _sink(corrected, target, kind, decimal_comma)
        except OSError as error:
            found = re.search(r"os error (\d+)", str(error))
            failure = error.errno or (int(found[1]) if found else 0)
            if failure not in _WRITING:
                raise
    if failure:
        raise OSError(failure, os.strerror(failure))
    if counts.wrong:
        for _ in source.blocks():  # complains about the first such cell, with its row
            pass
    return counts


class _Counts:
    """Counts rows on their way through Polars, which a second query would read the table again for.

    Args:
        indication_range: The calibrated range.
    """

    def __init__(self, indication_range: tuple[float, float]) -> None:
        self._range = indication_range
        self._batches: list[tuple[int, int, int, bool]] = []  # list.append is safe between Polars' threads

    def look(self, batch: pl.Series) -> pl.Series:
        """Counts a batch and hands its numbers on."""
        import polars as pl

        from thermofit_pl.cells import MISSING

        number = batch.struct.field("number")
        missing, wrong = number.null_count(), False
        if missing:
            cells = batch.struct.field("cell").filter(number.is_null()).cast(pl.String)
            wrong = not (cells.is_null() | cells.str.strip_chars().str.to_lowercase().is_in(MISSING)).all()
        low, high = self._range
        outside = int(((number < low) | (number > high)).sum())
        self._batches.append((len(number), missing, outside, wrong))
        return number

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
            f"Expected --output to end in {', '.join(SUFFIXES)} or .csv.gz but got {printable(place)}; name it so."
        )
    return name, gz


def _default_output(source: Table) -> str:
    name = source.files[0].name
    suffixes = "".join(Path(name).suffixes[-2 if name.lower().endswith(".gz") else -1 :])
    place = f"{name.removesuffix(suffixes)}.corrected{suffixes or '.csv'}"
    if len(source.files) > 1 or Path(place).exists():
        why = "the table is several files" if len(source.files) > 1 else f"{printable(place)} is there already"
        raise InputError(f"Expected --output FILE, since {why}, but got none; say where the result is to go.")
    return place


def _free_name(columns: Sequence[str]) -> str:
    name = "indication as a number"
    while name in columns:
        name += "_"
    return name


def _report(calibration: Calibration, counts: _Counts, place: str) -> None:
    rows, missing, outside = counts.totals()
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
        print("\n".join(lines), file=sys.stderr, end="\n" if lines else "")  # noqa: T201


@contextmanager
def _own_options() -> Iterator[None]:
    """Lets complaints about a table name the options of ``apply``, where ``fit`` has others."""
    try:
        yield
    except InputError as error:
        text = str(error).replace(" (--data.path)", "").replace("--data.decimal_comma true", "--decimal-comma")
        raise InputError(text.replace("--data.decimal_comma", "--decimal-comma").replace("--data.", "--")) from None


@contextmanager
def _spooled_input() -> Iterator[str]:
    """Standard input as a file: formats are found by content, and Parquet and Arrow are read from their ends."""
    if sys.stdin is None:
        raise InputError("Expected a table on standard input but it is closed; give a file.")
    with tempfile.NamedTemporaryFile(prefix="thermofit_pl.") as file:
        try:
            shutil.copyfileobj(sys.stdin.buffer, file, 1 << 20)
            file.flush()
        except OSError as error:
            raise InputError(
                f"Expected to keep standard input in {tempfile.gettempdir()} but got {error.strerror}; free space, or "
                "set TMPDIR to a folder that has it."
            ) from None
        yield file.name


@contextmanager
def _standard_output() -> Iterator[Any]:
    """Standard output as a binary file; what happens when nobody reads on is one sentence."""
    if sys.stdout is None:
        raise InputError("Expected an open standard output but it is closed; use --output FILE.")
    try:
        sys.stdout.flush()
        yield sys.stdout.buffer
        sys.stdout.flush()
    except OSError as error:
        # Python flushes once more at exit, and would complain again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise InputError(
            f"Expected to write all to standard output but got {error.strerror}; the rest is lost."
        ) from None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{printable(message, 400)}; {self.prog} --help says what it takes.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m thermofit_pl", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    show = commands.add_parser("show", help="say what a calibration is", allow_abbrev=False)
    apply_ = commands.add_parser("apply", help="correct a table of new indications", allow_abbrev=False)
    for command in (show, apply_):
        command.add_argument("calibration", metavar="CALIBRATION", help="a calibration.json, or a run's folder")
    apply_.add_argument("table", metavar="TABLE", help="CSV, gzipped or not, Parquet or Arrow; - for standard input")
    apply_.add_argument("--output", metavar="FILE", help="CSV, Parquet or Arrow by its suffix; - for standard output")
    apply_.add_argument("--indication", metavar="NAME", help="the column to correct; default: the one it was fitted on")
    apply_.add_argument("--decimal-comma", action="store_true", help="the table has 35,7 for 35.7")
    return parser

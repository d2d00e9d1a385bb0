"""What a file is: found by its content, never by its name alone."""

from __future__ import annotations

import difflib
import gzip
import stat
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from thermofit_pl.errors import InputError, Setting
from thermofit_pl.formatting import is_plain, printable, quoted
from thermofit_pl.tables.arrow_file import ArrowFile, check
from thermofit_pl.tables.arrow_views import has_empty_buffers, repaired_batches
from thermofit_pl.tables.batches import as_query
from thermofit_pl.tables.damage import DamagedError, PanicLines
from thermofit_pl.tables.frames import MemoryPath, as_polars, names_of
from thermofit_pl.tables.headers import HEADER_BYTES, Header, find_header, holds
from thermofit_pl.tables.options import TableOptions
from thermofit_pl.tables.parquet_footer import Chunk, check_pages, chunks_of
from thermofit_pl.tables.text_source import UTF16, TextSource
from thermofit_pl.tables.workbooks import is_workbook, read_sheets

if TYPE_CHECKING:
    import polars as pl

OTHERS = {
    b"PK\x03\x04": "a zip archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\x28\xb5\x2f\xfd": "a file compressed with zstd",
    b"BZh": "a file compressed with bzip2",
    b"\xfd7zXZ": "a file compressed with xz",
    b"\xff\xff\xff\xff": "an Arrow stream",
}


@dataclass(frozen=True)
class TableFile:
    """One table as it was found.

    Attributes:
        path: Where it is.
        kind: What it holds.
        size: Its bytes, on disk or in memory.
        changed: When it was last changed [ns since 1970].
        columns: The names in its header.
        types: Of all but text: the type of each column.
        n_rows: Of all but text: the number of rows.
        repair: Arrow: whether Polars reads it only once it is repaired.
        chunks: Parquet: where its pages are.
        frame: In memory: the columns that were asked for.
        separator: Text: what stands between cells.
        encoding: Text: how bytes mean characters.
        data_start: Text: the byte (of what `source` gives) at which the first reading's line starts.
        data_row: Text: the number of that line, as an editor counts.
        source: Text: where its bytes come from.
        remark: A sentence on lines that are left out; empty if there are none.
    """

    path: Path
    kind: Literal["text", "parquet", "arrow", "memory"]
    size: int
    changed: int
    columns: tuple[str, ...]
    types: tuple[pl.DataType, ...] = ()
    n_rows: int = 0
    separator: str = ","
    encoding: str = "utf-8"
    data_start: int = 0
    data_row: int = 2
    repair: bool = False
    chunks: Sequence[Chunk] = field(default=(), repr=False)
    frame: pl.DataFrame | None = field(default=None, repr=False)
    source: TextSource = field(default_factory=lambda: TextSource(Path()))
    remark: str = ""

    @property
    def gz(self) -> bool:
        """Whether it is text compressed by gzip."""
        return self.source.gz

    def scan(self, columns: Collection[str] | None = None) -> pl.LazyFrame:
        """All but text: the whole table, as Polars reads it.

        Args:
            columns: Those that will be read; None: all.

        Raises:
            DamagedError: A page of theirs can't be read.
        """
        import polars as pl

        if self.frame is not None:
            return self.frame.lazy()
        if self.kind == "parquet":
            check_pages(self.path, [chunk for chunk in self.chunks if columns is None or chunk.column in columns])
            return pl.scan_parquet(self.path, glob=False, hive_partitioning=False)
        if self.repair:
            return as_query(lambda: repaired_batches(self.path), dict(zip(self.columns, self.types, strict=True)))
        # as an address, without ..: from a path Polars maps the file into memory, and one that is cut ends the process
        return pl.scan_ipc(self.path.resolve().as_uri(), glob=False, hive_partitioning=False)

    def check_unchanged(self) -> None:
        """Complains when the file is no longer the one that was opened."""
        if self.frame is not None:
            return
        with readable(self.path):
            now = self.path.stat()
        if (now.st_size, now.st_mtime_ns) != (self.size, self.changed):
            raise InputError(
                f"{printable(self.path)} changed while it was read; start again when nothing writes to it."
            )


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turns what goes wrong while a file is read into one sentence."""
    from polars.exceptions import PanicException, PolarsError

    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{printable(path)} is not there; check the name (", Setting("path"), ").") from None
    except PermissionError:
        raise InputError(
            f"{printable(path)} may not be read by this user; change its permissions or copy it."
        ) from None
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise InputError(
            f"{printable(path)} is a gzip file that is cut or damaged; copy or download it again."
        ) from None
    except DamagedError as error:
        raise InputError(f"{printable(path)} is cut or damaged ({error}); copy or download it again.") from None
    except (OSError, MemoryError, UnicodeError) as error:
        raise InputError(f"{printable(path)} could not be read: {_one_line(error)}.") from None
    except (PolarsError, PanicException) as error:
        raise InputError(f"{printable(path)} is damaged or no table that Polars reads: {_one_line(error)}.") from None


def _one_line(error: BaseException) -> str:
    line = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    return printable(line[:200]).rstrip(".")


def open_table(
    path: Path, columns: Sequence[str], *, decimal_comma: bool = False, options: TableOptions | None = None
) -> TableFile:
    """Finds out what a file is, before a cell is read.

    Args:
        path: The file, or a table in memory.
        columns: Those asked for; they tell where a header is, and how a line is cut.
        decimal_comma: Whether the comma is the decimal sign, so that it cannot separate cells.
        options: How the table is written.
    """
    options = options or TableOptions()
    if isinstance(path, MemoryPath):
        return _open_memory(path, columns)
    with readable(path):
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise InputError(
                f"Expected {printable(path)} to be a file, but it is a folder, a pipe or a device; save it to a file."
            )
        if status.st_size == 0:
            raise InputError(f"{printable(path)} is empty; expected a header line and readings.")
        with path.open("rb") as stream:
            magic = stream.read(8)
        size, changed = status.st_size, status.st_mtime_ns
        if magic.startswith((b"PAR1", b"ARROW1")):
            kind: Literal["parquet", "arrow"] = "parquet" if magic.startswith(b"PAR1") else "arrow"
            return _open_columnar(path, kind, size, changed)
        if magic.startswith(b"PK\x03\x04") and is_workbook(path):
            source, header = _sheet(path, columns, options, decimal_comma=decimal_comma)
        else:
            source, header = _text(path, columns, options, decimal_comma=decimal_comma)
        return TableFile(
            path,
            "text",
            size,
            changed,
            header.columns,
            separator=header.separator,
            encoding=header.encoding,
            data_start=header.end,
            data_row=header.row,
            source=source,
            remark=header.remark,
        )


def _open_columnar(path: Path, kind: Literal["parquet", "arrow"], size: int, changed: int) -> TableFile:
    import polars as pl

    repair, chunks = False, list[Chunk]()
    if kind == "parquet":
        chunks = chunks_of(path)
    else:
        with path.open("rb") as stream:
            check(file := ArrowFile(stream))
            repair = has_empty_buffers(file)
    with closing(PanicLines()) as lines, lines:
        frame = TableFile(path, kind, size, changed, ()).scan()
        schema = frame.collect_schema()
        n_rows = int(frame.select(pl.len()).collect().item())  # from the file's metadata
    if not n_rows:
        raise InputError(f"{printable(path)} has columns but no readings; expected a row for each reading.")
    columns, types = tuple(schema.names()), tuple(schema.dtypes())
    return TableFile(path, kind, size, changed, columns, types, n_rows, repair=repair, chunks=chunks)


def _open_memory(path: MemoryPath, columns: Sequence[str]) -> TableFile:
    import polars as pl

    names = names_of(path.frame)
    frame = as_polars(path.frame, [name for name in names if any(holds([name], one) for one in columns)])
    types = tuple(frame.schema.get(name, pl.Null()) for name in names)
    if frame.width and not frame.height:
        raise InputError("The table has columns but no readings; expected a row for each reading.")
    return TableFile(
        path, "memory", max(1, int(frame.estimated_size())), 0, tuple(names), types, frame.height, frame=frame
    )


def _text(
    path: Path, columns: Sequence[str], options: TableOptions, *, decimal_comma: bool
) -> tuple[TextSource, Header]:
    source = TextSource(path)
    beginning = _read(source, 4)
    if beginning.startswith(b"\x1f\x8b"):
        source = TextSource(path, gz=True)
        beginning = _read(source, 4)
    if beginning.startswith(UTF16):
        source = TextSource(path, source.gz, utf16=True)
    sample = _read(source, HEADER_BYTES)
    kind = next((words for magic, words in OTHERS.items() if sample.startswith(magic)), "")
    if kind or b"\0" in sample[:65536] or sample.startswith((b"PAR1", b"ARROW1", b"\x1f\x8b")):
        raise InputError(
            f"Expected {printable(path)} to be a table (CSV, TSV, gzipped or not, a workbook, Parquet or Arrow), but "
            f"it is {kind or 'another binary file'}; save it as CSV in UTF-8."
        )
    header = find_header(path, sample, columns, decimal_comma=decimal_comma, options=options)
    if not (sample[header.end :].strip() or len(sample) == HEADER_BYTES):
        raise InputError(f"{printable(path)} has a header but no readings; expected a line for each reading below it.")
    return source, header


def _sheet(
    path: Path, columns: Sequence[str], options: TableOptions, *, decimal_comma: bool
) -> tuple[TextSource, Header]:
    """The sheet that was named, or the only one that has what was asked for."""
    if decimal_comma:
        raise InputError(
            Setting("decimal_comma"),
            f": expected it to be left out, since the numbers of a workbook such as {printable(path)} have no decimal "
            "sign; leave it out.",
        )
    found: dict[str, tuple[TextSource, Header]] = {}
    refused: list[InputError] = []
    for name, text in read_sheets(path, options.sheet).items():
        try:
            header = find_header(path, text, columns, decimal_comma=False, options=options)
        except InputError as error:
            refused.append(error)
            continue
        found[name] = TextSource(path, sheet=text), header
    if not found:
        raise refused[0]
    having = [name for name, (_, header) in found.items() if all(holds(header.columns, one) for one in columns)]
    if len(having) > 1:
        raise InputError(
            f"{printable(path)}: expected one sheet with the columns asked for, but {', '.join(map(quoted, having))} "
            "have them; name one with ",
            Setting("table.sheet"),
            ".",
        )
    return found[(having or list(found))[0]]


def _read(source: TextSource, size: int) -> bytes:
    """The first bytes of a text, as many as there are up to a size."""
    sample = b""
    with source.open() as (stream, _):
        while len(sample) < size and (piece := stream.read(size - len(sample))):
            sample += piece
    return sample


def check_column(table: TableFile, role: str, column: str) -> None:
    """Refuses a column that is not there, or whose type can't be used."""
    path = printable(table.path)
    if column not in table.columns:
        names = ", ".join(map(quoted, table.columns[:20])) + (
            f" and {len(table.columns) - 20} more" if len(table.columns) > 20 else ""
        )
        lowered = {name.lower(): name for name in reversed(table.columns[:1000])}
        near = difflib.get_close_matches(column.strip().lower()[:200], lowered, n=1)
        advice: tuple[str | Setting, ...] = ("; choose one of them with ", Setting(role), ".")
        if near:
            advice = (f"; did you mean {quoted(lowered[near[0]])}?",)
        raise InputError(
            f"{path}: expected a column {quoted(column)} (", Setting(role), f"), but its columns are {names}", *advice
        )
    if not is_plain(column):
        raise InputError(
            f"{path}: expected a column without control characters in its name, but got {quoted(column)}, which no "
            "calibration could name; rename it."
        )
    if table.columns.count(column) > 1:
        raise InputError(
            f"{path}: expected one column {quoted(column)} (",
            Setting(role),
            "), but the header names it more than once.",
        )
    if table.types:
        kind = table.types[table.columns.index(column)]
        # Datetime begins as Date does
        welcome = ("String", "Null", "Categorical", "Enum", *(("Date", "Time") if role == "time" else ()))
        if not (kind.is_numeric() or str(kind).startswith(welcome)):
            raise InputError(
                f"{path}: expected numbers in column {quoted(column)} (",
                Setting(role),
                f"), but its type is {printable(str(kind), 60)}; choose another column.",
            )

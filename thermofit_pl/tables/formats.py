"""What a file is: found by its content, never by its name alone."""

from __future__ import annotations

import difflib
import gzip
import stat
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from thermofit_pl.errors import InputError
from thermofit_pl.formatting import is_plain, printable, quoted
from thermofit_pl.tables.arrow_views import has_empty_buffers, repaired_batches
from thermofit_pl.tables.batches import as_query
from thermofit_pl.tables.headers import HEADER_BYTES, find_header

if TYPE_CHECKING:
    import polars as pl

OTHERS = {
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\x28\xb5\x2f\xfd": "a file compressed with zstd",
    b"BZh": "a file compressed with bzip2",
    b"\xfd7zXZ": "a file compressed with xz",
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
    b"\xff\xff\xff\xff": "an Arrow stream",
}


@dataclass(frozen=True)
class TableFile:
    """One table as it was found.

    Attributes:
        path: Where it is.
        kind: What it holds.
        gz: Whether it is text compressed by gzip.
        size: Its bytes on disk.
        changed: When it was last changed [ns since 1970].
        columns: The names in its header.
        types: Parquet and Arrow: the type of each column.
        n_rows: Parquet and Arrow: the number of rows.
        repair: Arrow: whether Polars reads it only once it is repaired.
        separator: Text: what stands between cells.
        encoding: Text: how bytes mean characters.
        data_start: Text: the byte (once decompressed) at which the line after the header starts.
        data_row: Text: the number of that line, as an editor counts.
    """

    path: Path
    kind: Literal["text", "parquet", "arrow"]
    gz: bool
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

    def scan(self) -> pl.LazyFrame:
        """Parquet and Arrow: the whole table, as Polars reads it."""
        import polars as pl

        if self.kind == "parquet":
            return pl.scan_parquet(self.path, glob=False, hive_partitioning=False)
        if self.repair:
            return as_query(lambda: repaired_batches(self.path), dict(zip(self.columns, self.types, strict=True)))
        # as an address, without ..: from a path Polars maps the file into memory, and one that is cut ends the process
        return pl.scan_ipc(self.path.resolve().as_uri(), glob=False, hive_partitioning=False)

    def check_unchanged(self) -> None:
        """Complains when the file is no longer the one that was opened."""
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
        raise InputError(f"{printable(path)} is not there; check the name (--data.path).") from None
    except PermissionError:
        raise InputError(
            f"{printable(path)} may not be read by this user; change its permissions or copy it."
        ) from None
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise InputError(
            f"{printable(path)} is a gzip file that is cut or damaged; copy or download it again."
        ) from None
    except (OSError, MemoryError, UnicodeError) as error:
        raise InputError(f"{printable(path)} could not be read: {_one_line(error)}.") from None
    except (PolarsError, PanicException) as error:
        raise InputError(f"{printable(path)} is damaged or no table that Polars reads: {_one_line(error)}.") from None


def _one_line(error: BaseException) -> str:
    line = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    return printable(line[:200]).rstrip(".")


def open_table(path: Path, roles: Mapping[str, str], *, decimal_comma: bool) -> TableFile:
    """Finds out what a file is, before a cell is read.

    Args:
        path: The file.
        roles: The columns asked for, by option, such as `{"indication": "shown"}`; they tell how a line is cut.
        decimal_comma: Whether the comma is the decimal sign, so that it cannot separate cells.
    """
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
        gz = magic.startswith(b"\x1f\x8b")
        if magic.startswith((b"PAR1", b"ARROW1")):
            kind: Literal["parquet", "arrow"] = "parquet" if magic.startswith(b"PAR1") else "arrow"
            return _open_columnar(path, kind, status.st_size, status.st_mtime_ns)
        return _open_text(path, gz, status.st_size, status.st_mtime_ns, roles, decimal_comma)


def open_bytes(path: Path, *, gz: bool) -> tuple[BinaryIO | gzip.GzipFile, BinaryIO]:
    """The stream of a text table's bytes, and the raw one whose position tells how far the file is read."""
    raw = path.open("rb")
    return (gzip.GzipFile(fileobj=raw), raw) if gz else (raw, raw)


def _open_columnar(path: Path, kind: Literal["parquet", "arrow"], size: int, changed: int) -> TableFile:
    import polars as pl

    frame = TableFile(path, kind, False, size, changed, ()).scan()
    schema = frame.collect_schema()
    n_rows = int(frame.select(pl.len()).collect().item())  # from the file's metadata
    if not n_rows:
        raise InputError(f"{printable(path)} has columns but no readings; expected a row for each reading.")
    repair = kind == "arrow" and has_empty_buffers(path)
    columns, types = tuple(schema.names()), tuple(schema.dtypes())
    return TableFile(path, kind, False, size, changed, columns, types, n_rows, repair=repair)


def _open_text(
    path: Path, gz: bool, size: int, changed: int, roles: Mapping[str, str], decimal_comma: bool
) -> TableFile:
    stream, raw = open_bytes(path, gz=gz)
    with raw, stream:
        sample = b""
        while len(sample) < HEADER_BYTES and (piece := stream.read(HEADER_BYTES - len(sample))):
            sample += piece
    kind = next((words for magic, words in OTHERS.items() if sample.startswith(magic)), "")
    if kind or b"\0" in sample[:65536] or sample.startswith((b"PAR1", b"ARROW1", b"\x1f\x8b")):
        raise InputError(
            f"Expected {printable(path)} to be a table (CSV, TSV, gzipped or not, Parquet or Arrow), but it is "
            f"{kind or 'another binary file'}; save it as CSV in UTF-8."
        )
    header = find_header(path, sample, tuple(roles.values()), decimal_comma=decimal_comma)
    if not sample[header.end :].strip():
        raise InputError(f"{printable(path)} has a header but no readings; expected a line for each reading below it.")
    return TableFile(
        path,
        "text",
        gz,
        size,
        changed,
        header.columns,
        (),
        0,
        header.separator,
        header.encoding,
        header.end,
        header.row,
    )


def check_column(table: TableFile, option: str, column: str) -> None:
    """Refuses a column that is not there, or whose type can't be used."""
    path = printable(table.path)
    if column not in table.columns:
        names = ", ".join(map(quoted, table.columns[:20])) + (
            f" and {len(table.columns) - 20} more" if len(table.columns) > 20 else ""
        )
        lowered = {name.lower(): name for name in reversed(table.columns[:1000])}
        near = difflib.get_close_matches(column.strip().lower()[:200], lowered, n=1)
        advice = (
            f"; did you mean {quoted(lowered[near[0]])}?" if near else f"; choose one of them with --data.{option}."
        )
        raise InputError(
            f"{path}: expected a column {quoted(column)} (--data.{option}), but its columns are {names}{advice}"
        )
    if not is_plain(column):
        raise InputError(
            f"{path}: expected a column without control characters in its name, but got {quoted(column)}, which no "
            "calibration could name; rename it."
        )
    if table.columns.count(column) > 1:
        raise InputError(
            f"{path}: expected one column {quoted(column)} (--data.{option}), but the header names it more than once."
        )
    if table.types:
        kind = table.types[table.columns.index(column)]
        welcome = ("String", "Null", "Categorical", "Enum", *(("Date",) if option == "time" else ()))  # Datetime too
        if not (kind.is_numeric() or str(kind).startswith(welcome)):
            raise InputError(
                f"{path}: expected numbers in column {quoted(column)} (--data.{option}), but its type is "
                f"{printable(str(kind), 60)}; choose another column."
            )

"""A query's rows in pieces, as many as there must be."""

from __future__ import annotations

import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from thermofit_pl.errors import InputError
from thermofit_pl.formatting import count, printable
from thermofit_pl.tables.damage import PanicLines, restore_standard_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import polars as pl


def batches(frame: pl.LazyFrame, path: Path, n_rows: Callable[[], int]) -> Iterator[pl.DataFrame]:
    """Collects a query in pieces, in order.

    Polars 2.1 ends early, as if all were well, where one of its threads panics: at a damaged file, or at cells that it
    can't read. So the rows are counted.

    Args:
        frame: The query.
        path: The file that is read.
        n_rows: How many rows must come; asked at the end.

    Raises:
        InputError: Others came.
    """
    came = 0
    for batch in _quietly(frame):
        came += batch.height
        yield batch
    if came != (expected := n_rows()):
        raise _unreadable(path, f"expected {count(expected)} rows, but {count(came)} could be read")


def _quietly(frame: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """The batches, without the lines that a panic would print."""
    with closing(PanicLines()) as lines:
        with lines:
            found = iter(frame.collect_batches(maintain_order=True))
        while True:
            with lines:
                batch = next(found, None)
            if batch is None:
                return
            yield batch


def as_query(
    read: Callable[[], Iterator[pl.DataFrame]], schema: Mapping[str, type[pl.DataType] | pl.DataType]
) -> pl.LazyFrame:
    """Makes a query of what reads a table in pieces.

    Args:
        read: Gives them; it is left before its end where the query needs no more rows.
        schema: The columns, and their types.
    """
    from polars.io.plugins import register_io_source

    def source(
        columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, _batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        left = n_rows
        for frame in read():
            frame = frame if left is None else frame.head(left)
            left = None if left is None else left - frame.height
            frame = frame if columns is None else frame.select(columns)
            yield frame if predicate is None else frame.filter(predicate)
            if left == 0:
                return

    return register_io_source(source, schema=dict(schema))


def write_out(write: Callable[[], object]) -> None:
    """Runs a query that writes; signals end it at once, also while it waits for the disk or a pipe's reader.

    Python heeds signals in its main thread alone, and not while that is within Polars. So the query has a thread of its
    own, which is left behind in the end.

    Args:
        write: The query.
    """
    failed: list[BaseException] = []

    def run() -> None:
        try:
            write()
        except BaseException as error:  # a panic is no Exception
            failed.append(error)

    thread = threading.Thread(target=run, name="write_out", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(0.1)  # Windows heeds no signal within
    except BaseException:
        restore_standard_error()  # the thread may be keeping it
        raise
    if failed:
        raise failed[0]


@contextmanager
def no_panic(path: Path) -> Iterator[None]:
    """Turns a panic of Polars, while a query runs that reads a file, into one sentence."""
    from polars.exceptions import PanicException

    try:
        yield
    except PanicException:
        raise _unreadable(path, "expected to read all rows, but could not") from None


def _unreadable(path: Path, what: str) -> InputError:
    return InputError(
        f"{printable(path)}: {what}; the file is damaged, or has cells that Polars can't read: copy it again, or save "
        "it as CSV or Parquet."
    )

"""The SHA-256 of a table, computed beside its reading."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    from thermofit_pl.tables.formats import TableFile

PIECE = 1 << 24  # large, for between two the thread waits until another gives up the interpreter, 5 ms


class FileHash:
    """SHA-256 of files or tables in memory, one after the other, in a thread: hashlib lets others run meanwhile.

    Args:
        tables: What was found in the files.
    """

    def __init__(self, tables: tuple[TableFile, ...]) -> None:
        self._tables = tables
        self._digest = hashlib.sha256()
        self._failed: tuple[Path, OSError] | None = None
        self._thread = threading.Thread(target=self._run, name="sha256", daemon=True)
        self._thread.start()

    def result(self) -> str:
        """Waits for it, and returns its hexadecimal digits.

        Raises:
            InputError: If one could not be read, or is no longer the one that was opened.
        """
        from thermofit_pl.tables.formats import readable

        self._thread.join()
        if self._failed:
            path, error = self._failed
            with readable(path):
                raise error
        for table in self._tables:
            table.check_unchanged()
        return self._digest.hexdigest()

    def _run(self) -> None:
        buffer = memoryview(bytearray(PIECE))
        try:
            for table in self._tables:
                path = table.path
                if table.frame is not None:
                    self._add(table.frame)
                    continue
                with path.open("rb", buffering=0) as stream:
                    while count := stream.readinto(buffer):
                        self._digest.update(buffer[:count])
        except OSError as error:
            self._failed = (path, error)

    def _add(self, frame: pl.DataFrame) -> None:
        """Adds the columns of a table in memory: numbers as float64, NaN for null, and others as text."""
        import polars as pl

        for series in frame:
            self._digest.update(f"{series.name}\0".encode())
            for start in range(0, len(series), PIECE >> 3):
                piece = series.slice(start, PIECE >> 3)
                if piece.dtype.is_numeric():
                    self._digest.update(
                        piece.cast(pl.Float64).fill_null(float("nan")).to_numpy().astype("<f8").tobytes()
                    )
                else:
                    self._digest.update(piece.cast(pl.String).fill_null("\0").str.join("\0").item().encode())

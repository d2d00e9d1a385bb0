"""The SHA-256 of a table, computed beside its reading, or from before it."""

from __future__ import annotations

import hashlib
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from thermofit_pl.tables.formats import TableFile

PIECE = 1 << 24  # large, for between two the thread waits until another gives up the interpreter, 5 ms

_begun: dict[Path, tuple[tuple[int, int], FileHash]] = {}  # with the size and the time of change before it


class FileHash:
    """SHA-256 of files, one after the other, computed in a thread: hashlib lets others run meanwhile.

    Args:
        paths: The files.
    """

    def __init__(self, paths: tuple[Path, ...]) -> None:
        self._paths = paths
        self._digest = hashlib.sha256()
        self._failed: tuple[Path, OSError] | None = None
        self._thread = threading.Thread(target=self._run, name="sha256", daemon=True)
        self._thread.start()

    def result(self, tables: tuple[TableFile, ...]) -> str:
        """Waits for it, and returns its hexadecimal digits.

        Args:
            tables: What was found in the files.

        Raises:
            InputError: If one could not be read, or is no longer the one that was opened.
        """
        from thermofit_pl.tables.formats import readable

        self._thread.join()
        if self._failed:
            path, error = self._failed
            with readable(path):
                raise error
        for table in tables:
            table.check_unchanged()
        return self._digest.hexdigest()

    def _run(self) -> None:
        buffer = memoryview(bytearray(PIECE))
        try:
            for path in self._paths:
                with path.open("rb", buffering=0) as stream:
                    while count := stream.readinto(buffer):
                        self._digest.update(buffer[:count])
        except OSError as error:
            self._failed = (path, error)


def begin_hash(path: Path) -> None:
    """Begins with the hash of a file that will be read if it is a table."""
    with suppress(OSError, ValueError):  # whoever opens it will say so
        if path.is_file():
            before = path.stat()
            _begun[path] = ((before.st_size, before.st_mtime_ns), FileHash((path,)))


def hash_of(tables: tuple[TableFile, ...]) -> FileHash:
    """Returns the hash of tables: the one that was begun, if they are still the same, or a new one."""
    if len(tables) == 1:
        before, begun = _begun.pop(tables[0].path, (None, None))
        if begun and before == (tables[0].size, tables[0].changed):
            return begun
    return FileHash(tuple(table.path for table in tables))

"""The SHA-256 of a table, computed beside its reading."""

from __future__ import annotations

import hashlib
import threading

from thermofit_pl.errors import InputError
from thermofit_pl.tables.formats import TableFile, readable


class FileHash:
    """SHA-256 of files, computed in a thread: hashlib lets others run meanwhile."""

    def __init__(self, tables: tuple[TableFile, ...]) -> None:
        self._tables = tables
        self._digest = ""
        self._error: InputError | None = None
        self._thread = threading.Thread(target=self._run, name="sha256", daemon=True)
        self._thread.start()

    def result(self) -> str:
        """Waits for it, and returns its hexadecimal digits."""
        self._thread.join()
        if self._error:
            raise self._error
        return self._digest

    def _run(self) -> None:
        digest, buffer = hashlib.sha256(), memoryview(bytearray(1 << 20))
        try:
            for table in self._tables:
                with readable(table.path), table.path.open("rb", buffering=0) as stream:
                    while count := stream.readinto(buffer):
                        digest.update(buffer[:count])
                table.check_unchanged()
        except InputError as error:
            self._error = error
        self._digest = digest.hexdigest()

"""Damaged files: one error for all of them, and no lines of Rust's beside it."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any

STDERR = 2
PANIC = b"panicked at"  # in what Rust writes
_MISLEADING = (IndexError, KeyError, TypeError, AttributeError, ValueError, StopIteration, RecursionError)
_redirecting = threading.Lock()
_owner: list[PanicLines] = []  # that redirects just now


class DamagedError(ValueError):
    """What a file says about itself can't be true."""


@contextmanager
def damaged(what: str) -> Iterator[None]:
    """Turns what goes wrong where numbers of a file mislead into an error.

    Args:
        what: What is damaged then.

    Raises:
        DamagedError: The error.
    """
    try:
        yield
    except DamagedError:
        raise
    except _MISLEADING:
        raise DamagedError(what) from None


class PanicLines:
    """Keeps off standard error what Rust writes there, by itself, when Polars panics at a damaged file.

    The exception says it too, and then one sentence to the user. Used as a context, repeatedly, by one thread at a
    time; for another that comes meanwhile it does nothing. What else is written comes once the context is left.
    """

    def __init__(self) -> None:
        self._file: Any = None  # open between contexts: to make one takes 0.1 ms
        with suppress(OSError):  # there is no folder for it
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
        self._standard: int | None = None

    def __enter__(self) -> None:
        if self._file is None or not _redirecting.acquire(blocking=False):
            return
        try:
            self._standard = os.dup(STDERR)
            os.dup2(self._file.fileno(), STDERR)
            _owner.append(self)
        except OSError:  # it is closed
            _redirecting.release()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        standard, self._standard = self._standard, None
        if standard is None:
            return
        os.dup2(standard, STDERR)
        os.close(standard)
        _owner.clear()
        if self._file.tell():
            self._file.seek(0)
            written = self._file.read()
            self._file.seek(0)
            self._file.truncate()
            if PANIC not in written:
                os.write(STDERR, written)
        _redirecting.release()

    def close(self) -> None:
        """Removes the file that the lines go to."""
        if self._file is not None:
            self._file.close()


def restore_standard_error() -> None:
    """Ends what a thread that is given up keeps off standard error."""
    for lines in _owner:
        lines.__exit__(None, None, None)

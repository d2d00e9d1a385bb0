"""Files that are whole or absent: written beside their place, forced to the disk, then renamed."""

from __future__ import annotations

import errno
import os
import re
import secrets
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from thermofit_pl.errors import InputError
from thermofit_pl.formatting import printable

try:
    import fcntl
except ImportError:  # Windows, where a file that is open can't be removed, which serves as well as a lock
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator

_UNFINISHED = re.compile(r"\.[0-9a-f]{16}\.part(\..*)?")


def is_unfinished(path: Path) -> bool:
    """Whether a file's name is that of one that ``atomic_write`` has not finished."""
    return _UNFINISHED.fullmatch(path.name) is not None


def sweep(folder: Path) -> None:
    """Removes what killed processes left unfinished in a folder, and nothing that is being written.

    Args:
        folder: The folder; what can't be read or removed in it stays.
    """
    with suppress(OSError):
        for path in filter(is_unfinished, folder.iterdir()):
            with suppress(OSError):
                if fcntl is None:
                    path.unlink()
                    continue
                descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
                try:
                    if _locked(descriptor):
                        path.unlink()
                finally:
                    os.close(descriptor)


@contextmanager
def atomic_write(path: str | os.PathLike[str], *, durable: bool = True) -> Iterator[Path]:
    """Gives a new file's path to write to; on success it becomes ``path``, on failure nothing is left behind.

    The file is forced to the disk before it is renamed, and its folder after, so that ``path`` is at every moment, also
    after a power cut, what it was before or the whole new file. Something that is no regular file (``/dev/stdout``, a
    named pipe) is written to as it is.

    Args:
        path: Where the file is to be. A file that is there is replaced, through a symbolic link too.
        durable: Whether to wait for the disk. Of what can be made again, and is large, the system may write the last
            part a moment later; a power cut in that moment can then leave less than the whole.

    Yields:
        The path to write to: an empty file in the same folder, with the permissions of any new file and the suffix of
        ``path``.

    Raises:
        InputError: The file can't be written: no such folder, no permission, no space left.
    """
    temporary, descriptor = None, -1
    try:
        if "\0" in os.fspath(path):
            raise OSError(errno.EINVAL, "a null character in the name")
        place = Path(os.path.realpath(path))
        if place.is_dir():
            raise InputError(f"Expected a file to write, but got the folder {printable(path)}; give a file name in it.")
        if is_stream(path):
            yield Path(path)
            return
        temporary = place.with_name(f".{secrets.token_hex(8)}.part{place.suffix[:20]}")
        descriptor = _new(temporary)
        yield temporary
        if durable:
            _force_to_disk(temporary)
        if fcntl is None:  # Windows renames no file that is open
            os.close(descriptor)
            descriptor = -1
        temporary.replace(place)
        if durable:
            _force_to_disk(place.parent)
    except OSError as error:
        raise InputError(
            f"Expected to write {printable(path)}, but got {error.strerror or error}; free space or name another place."
        ) from error
    finally:
        if descriptor >= 0:
            os.close(descriptor)
        if temporary is not None:
            with suppress(OSError):  # gone already, or its folder is
                temporary.unlink()


def _new(path: Path) -> int:
    """Makes an empty file, and returns its descriptor: while that is open, ``sweep`` leaves the file alone."""
    while True:
        # mkstemp would give 0600, which the user's colleagues could not read
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        if not _locked(descriptor, wait=True) or os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)  # swept away before it was locked


def _locked(descriptor: int, *, wait: bool = False) -> bool:
    """Locks a file until its descriptor is closed, also by the end of its process; False where that can't be had."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:  # another process writes to it, or the file system knows no locks
        return False
    return True


def is_stream(path: str | os.PathLike[str]) -> bool:
    """Whether a place is no file on the disk: a pipe, a socket, a terminal, also by a name such as ``/dev/stdout``."""
    place = Path(path)  # not what it resolves to: a pipe of another process has a name, but none that opens
    return place.exists() and not (place.is_file() or place.is_dir())


@contextmanager
def stream_output(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A pipe or a device as a binary file, which signals can stop while it waits for a reader."""
    try:
        with os.fdopen(_with_reader(Path(path)), "wb", buffering=0) as stream:
            yield stream
    except OSError as error:
        raise InputError(f"Expected to write {printable(path)}, but got {error.strerror}; the rest is lost.") from None


def _with_reader(path: Path) -> int:
    """Opens a pipe once somebody reads it; asked repeatedly, for Polars' handler of SIGINT restarts system calls."""
    while (descriptor := _if_read(path)) is None:
        time.sleep(0.05)
    os.set_blocking(descriptor, True)
    return descriptor


def _if_read(path: Path) -> int | None:
    try:
        return os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        if error.errno == errno.ENXIO:  # nobody reads
            return None
        raise


@contextmanager
def standard_output() -> Iterator[IO[bytes]]:
    """Standard output as a binary file; what happens when nobody reads on is one sentence."""
    if sys.stdout is None:
        raise InputError("Expected an open standard output, but it is closed; use --output FILE.")
    try:
        sys.stdout.flush()
        yield sys.stdout.buffer
        sys.stdout.flush()
    except OSError as error:
        # Python flushes once more at exit, and would complain again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise InputError(
            f"Expected to write all to standard output, but got {error.strerror}; the rest is lost."
        ) from None


def _force_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

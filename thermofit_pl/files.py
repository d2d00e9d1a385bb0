"""Files that are whole or absent: written beside their place, forced to the disk, then renamed."""

from __future__ import annotations

import errno
import os
import secrets
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from thermofit_pl.errors import InputError
from thermofit_pl.wording import printable

if TYPE_CHECKING:
    from collections.abc import Iterator


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
    temporary = None
    try:
        if "\0" in os.fspath(path):
            raise OSError(errno.EINVAL, "a null character in the name")
        place = Path(os.path.realpath(path))
        if place.is_dir():
            raise InputError(f"Expected a file to write, but got the folder {printable(path)}; give a file name in it.")
        if place.exists() and not place.is_file():
            yield place
            return
        temporary = place.with_name(f".{secrets.token_hex(8)}.part{place.suffix[:20]}")
        # mkstemp would give 0600, which the user's colleagues could not read
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield temporary
        if durable:
            _force_to_disk(temporary)
        temporary.replace(place)
        if durable:
            _force_to_disk(place.parent)
    except OSError as error:
        raise InputError(
            f"Expected to write {printable(path)}, but got {error.strerror or error}; free space or name another place."
        ) from error
    finally:
        if temporary is not None:
            with suppress(OSError):  # gone already, or its folder is
                temporary.unlink()


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

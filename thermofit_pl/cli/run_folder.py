"""The folder of a run: ``logs/<command>/version_N``, claimed before a file is written, removed if nothing was kept."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from thermofit_pl.cli.private import name_run, next_version
from thermofit_pl.distributed.environment import is_first
from thermofit_pl.errors import InputError
from thermofit_pl.files import is_unfinished, sweep
from thermofit_pl.formatting import is_plain, printable

ROOT = "logs"
UNNAMED = "lightning_logs"  # what Lightning's loggers call a run that has no name


class RunFolder:
    """A folder of its own for each run, also for those that start at the same moment.

    Args:
        root: Where runs go.
        command: What runs.
        loggers: Those that were asked for; the first that keeps files names the folder.

    Attributes:
        path: The folder.
    """

    def __init__(self, root: Path, command: str, loggers: list[Logger]) -> None:
        self._loggers = [logger for logger in loggers if isinstance(logger, TensorBoardLogger | CSVLogger)]
        self._parent = root / command
        self._made: list[Path] = []
        for logger in self._loggers:
            if logger.name == UNNAMED:
                name_run(logger, command)
        self.path = self._place()

    @property
    def version(self) -> int:
        """The number in the folder's name."""
        return int(self.path.name.removeprefix("version_"))

    def claim(self) -> None:
        """Makes the folder, or the next that is free if another run was faster; sweeps what killed runs left.

        Raises:
            InputError: If it can't be made.
        """
        if not is_first():
            return
        if not is_plain(self.path):
            raise InputError(
                "--trainer.default_root_dir: expected a folder with a name in UTF-8, without control characters, but "
                f"got {printable(self.path)}; name another"
            )
        while True:
            missing = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.path.mkdir()
            except FileExistsError:
                if self.path.parent.is_dir():
                    self.path = self._place()
                    continue
                taken = next(place for place in self.path.parents if os.path.lexists(place) and not place.is_dir())
                what = "a link to nothing" if taken.is_symlink() else "a file"
                raise InputError(
                    f"Expected a folder {printable(taken)}, but it is {what}; move it, or name another place with "
                    "--trainer.default_root_dir."
                ) from None
            except OSError as error:
                raise InputError(
                    f"Expected to make the run's folder {printable(self.path)}, but got {error.strerror}; name another "
                    "place with --trainer.default_root_dir."
                ) from None
            self._made = missing
            self._sweep()
            return

    def remove(self) -> None:
        """Removes what was claimed, with the folders above it that were made for it and are empty."""
        if not self._made or not all(map(is_unfinished, self.path.rglob("*.ckpt"))):
            return
        shutil.rmtree(self.path, ignore_errors=True)
        with suppress(OSError):  # another run's folder is in it by now
            for folder in self._made[1:]:
                folder.rmdir()

    def _sweep(self) -> None:
        """Removes the files that killed runs, of any command under the same root, were writing."""
        for run in self.path.parent.parent.glob("*/version_*"):
            for folder in (run, *run.glob("*/")):
                sweep(folder)

    def _place(self) -> Path:
        """Returns a folder that isn't there yet; gives loggers whose own is there already another version."""
        for logger in self._loggers:
            if Path(logger.log_dir).exists():
                next_version(logger)
        if self._loggers:
            return Path(self._loggers[0].log_dir)
        versions = [entry.name[8:] for entry in self._parent.glob("version_*")]
        number = max((int(version) for version in versions if version.isdecimal()), default=-1) + 1
        return self._parent / f"version_{number}"

"""Which files a path means: one, a pattern's, or a folder's; each once, and none that this package wrote."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from thermofit_pl.errors import InputError, Setting
from thermofit_pl.formatting import count, is_plain, printable, quoted
from thermofit_pl.tables.formats import TableFile, check_column, open_table, readable
from thermofit_pl.tables.frames import Frame, as_path
from thermofit_pl.tables.headers import holds, is_pattern
from thermofit_pl.tables.options import TableOptions

SUFFIXES = (
    ".csv",
    ".tsv",
    ".txt",
    *(".csv.gz", ".tsv.gz", ".txt.gz"),
    ".xlsx",
    ".parquet",
    ".arrow",
    ".feather",
    ".ipc",
)
# the last columns of what apply and predict write; with an instrument's name and a point before, if it has its own
WRITTEN = (("estimate", "u_line", "u_single", "extrapolated"), ("estimate",))
FLEET = ("instrument", "status", "w", "b")  # the first columns of calibrations.parquet


@dataclass(frozen=True)
class Found:
    """The tables that a path means.

    Attributes:
        tables: They, by the names of their files.
        left_out: A sentence on what else is there, and why it is left out; empty if there is nothing to say.
    """

    tables: tuple[TableFile, ...]
    left_out: str = ""


def open_tables(
    path: str | Path | Frame,
    roles: Sequence[tuple[str, str]],
    *,
    decimal_comma: bool = False,
    options: TableOptions | None = None,
) -> Found:
    """Opens the tables that a path means, before a cell is read.

    Args:
        path: One file, a pattern, or a folder; a `Path` is one file; or a table in memory. Of a pattern and a folder,
            hidden files, what this package wrote, and further names of the same file are left out.
        roles: The columns asked for, each after its role, such as `("indication", "shown")`; a pattern such as
            `probe_*` is several.
        decimal_comma: Whether the comma is the decimal sign, so that it cannot separate cells.
        options: How the table is written.
    """
    path = path if isinstance(path, Path) else as_path(path)
    files, alone = _find_files(path)
    for file in files:
        if not is_plain(file):
            raise InputError(
                f"Expected the name of a table in UTF-8, without control characters, but got {quoted(file, 80)}, which "
                "no calibration could name; rename it."
            )
    once, again = _once(files)
    columns = [column for _, column in roles]
    tables = [open_table(file, columns, decimal_comma=decimal_comma, options=options) for file in once]
    ours = [] if alone else [table for table in tables if is_written_by_us(table.columns)]
    if ours and len(ours) == len(tables):
        raise InputError(
            f"{printable(path)} holds only tables that thermofit_pl wrote, such as {printable(ours[0].path.name)}; "
            "name the file itself to take it (",
            Setting("path"),
            ").",
        )
    tables = [table for table in tables if table not in ours]
    for table in tables:
        for role, column in roles:
            if not (is_pattern(column) and holds(table.columns, column)):
                check_column(table, role, column)
    return Found(tuple(tables), " ".join([*_left_out([table.path for table in ours], again), *_remarks(tables)]))


def matching(tables: Sequence[TableFile], pattern: str, taken: Collection[str]) -> list[str]:
    """Returns the columns that a pattern names, which every table must have.

    Args:
        tables: They.
        pattern: Such as ``probe_*``.
        taken: Columns that are something else.

    Raises:
        InputError: There is none, or a table lacks one.
    """
    columns = tables[0].columns
    names = [name for name in columns if fnmatch.fnmatchcase(name, pattern) and name not in taken]
    if not names:
        raise InputError(
            f"{printable(tables[0].path)}: expected columns like {quoted(pattern)} (",
            Setting("indication"),
            f"), but its columns are {', '.join(map(quoted, columns[:20]))}.",
        )
    for table in tables:
        for name in names:
            check_column(table, "indication", name)
    return names


def is_written_by_us(columns: Sequence[str]) -> bool:
    """Whether a table is a result of this package: by its last columns, or, of a fleet's lines, its first."""
    last = tuple(name.rpartition(".")[2] for name in columns)
    return tuple(columns[: len(FLEET)]) == FLEET or any(last[-len(names) :] == names for names in WRITTEN)


def _find_files(path: str | Path) -> tuple[list[Path], bool]:
    """The files, sorted by name; and whether one was named itself."""
    if isinstance(path, Path):
        return [path], True
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", path):
        raise InputError(
            f"Expected a local file, but got the address {quoted(path, 80)}; download it first (", Setting("path"), ")."
        )
    if not path or "\0" in path:
        raise InputError(
            f"Expected the name of a table, but got {quoted(path)}; give a file, a glob or a folder (",
            Setting("path"),
            ").",
        )
    place = Path(path)
    with readable(place):
        if place.is_dir():
            found = [entry for entry in place.iterdir() if _is_table(entry.name) and entry.is_file()]
            if not found:
                raise InputError(
                    f"The folder {printable(path)} holds no table; expected files ending in {', '.join(SUFFIXES)}."
                )
        elif not place.exists() and any(sign in path for sign in "*?["):
            found = [entry for entry in set(_matches(place)) if entry.is_file()]
            if not found:
                raise InputError(f"No file matches {printable(path)}; check the pattern (", Setting("path"), ").")
        else:
            return [place], True
    return sorted(found), False


def _is_table(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def _matches(pattern: Path) -> Iterator[Path]:
    """What a pattern matches; `**` stands for any number of folders, each entered once, however links lead to it."""
    places = [Path(pattern.anchor)]
    for part in pattern.parts[1:] if pattern.anchor else pattern.parts:
        if part == "**":
            places = [folder for place in places for folder in _folders(place, set())]
        elif any(sign in part for sign in "*?["):
            places = [place / name for place in places for name in fnmatch.filter(_names(place), part)]
        else:
            places = [place / part for place in places if (place / part).exists()]
    if pattern.parts[-1] == "**":
        places = [place / name for place in places for name in _names(place)]
    yield from places


def _folders(place: Path, entered: set[tuple[int, int]]) -> Iterator[Path]:
    """A folder, and all below it, links' too; the real ones first, so that files keep their own names."""
    status = place.stat()
    if (status.st_dev, status.st_ino) not in entered:
        entered.add((status.st_dev, status.st_ino))
        yield place
        inner = [place / name for name in _names(place) if (place / name).is_dir()]
        for folder in sorted(inner, key=lambda folder: (folder.is_symlink(), folder)):
            yield from _folders(folder, entered)


def _names(place: Path) -> list[str]:
    """What a folder holds, but for what is hidden; unfinished outputs are."""
    return [entry.name for entry in place.iterdir() if not entry.name.startswith(".")] if place.is_dir() else []


def _once(files: Sequence[Path]) -> tuple[list[Path], list[tuple[Path, Path]]]:
    """Each file under one of its names, no link's if there is another; and its further names with that one."""
    first: dict[tuple[int, int], Path] = {}
    again = []
    if len(files) == 1:  # it may be in memory
        return list(files), []
    for file in sorted(files, key=lambda file: file.is_symlink()):
        with readable(file):
            status = file.stat()
        known = first.setdefault((status.st_dev, status.st_ino), file)
        if known is not file:
            again.append((file, known))
    return sorted(first.values()), again


def _left_out(ours: Sequence[Path], again: Sequence[tuple[Path, Path]]) -> Iterator[str]:
    if ours:
        what = (
            printable(ours[0].name) if len(ours) == 1 else f"{count(len(ours))} files such as {printable(ours[0].name)}"
        )
        yield f"Left out {what}: thermofit_pl wrote {'it' if len(ours) == 1 else 'them'}; to take one, name it alone."
    if again:
        link, file = (printable(path) for path in again[0])
        more = f", and {count(len(again) - 1)} more such names" if len(again) > 1 else ""
        yield f"Left out {link}: it is {file} under another name{more}."


def _remarks(tables: Sequence[TableFile]) -> Iterator[str]:
    """What there is to say of lines that are left out: of the first file, and of how many more."""
    told = [table.remark for table in tables if table.remark]
    if told:
        yield told[0]
    if len(told) > 1:
        yield f"Such rows were left out of {count(len(told) - 1)} more file{'s' if len(told) > 2 else ''} too."

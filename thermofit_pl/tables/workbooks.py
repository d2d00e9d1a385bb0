"""A sheet of an Excel workbook becomes text, so that one path reads both."""

from __future__ import annotations

import zipfile
from contextlib import suppress
from typing import TYPE_CHECKING

from thermofit_pl.errors import InputError, Setting
from thermofit_pl.formatting import printable, quoted

if TYPE_CHECKING:
    from pathlib import Path


def is_workbook(path: Path) -> bool:
    """Whether a zip archive is a workbook."""
    with suppress(zipfile.BadZipFile, OSError), zipfile.ZipFile(path) as archive:
        return any(name.startswith("xl/workbook.") for name in archive.namelist())
    return False


def read_sheets(path: Path, sheet: str | None) -> dict[str, bytes]:
    """Reads the sheets of a workbook that hold anything, as CSV; a row of a sheet is a line.

    Args:
        path: The workbook.
        sheet: The sheet to read, by its name or number; None: all.

    Raises:
        InputError: There is no such sheet, none holds anything, or fastexcel is not installed.
    """
    import polars as pl

    try:
        import fastexcel
    except ImportError:
        raise InputError(
            f"{printable(path)} is an Excel workbook, which needs fastexcel; install it (pip install "
            "'thermofit_pl[excel]'), or save the sheet as CSV in UTF-8."
        ) from None
    try:
        names = fastexcel.read_excel(path).sheet_names
    except fastexcel.FastExcelError as error:
        raise InputError(
            f"{printable(path)} is damaged or no workbook that can be read: {printable(_first_line(error))}; save the "
            "sheet as CSV in UTF-8."
        ) from None
    found = {}
    for name in names if sheet is None else [_named(path, names, sheet)]:
        frame = pl.read_excel(
            path,
            sheet_name=name,
            engine="calamine",
            has_header=False,
            drop_empty_rows=False,  # a row is to keep its number
            drop_empty_cols=False,
            raise_if_empty=False,
            infer_schema_length=0,
            read_options={"dtypes": "string", "skip_rows": 0},
        )
        if frame.width:
            lines = frame.with_columns(pl.all().str.replace_all(r"\s*[\r\n]+\s*", " "))
            found[name] = lines.write_csv(include_header=False).encode()
    if not found:
        raise InputError(f"{printable(path)} has no sheet with anything in it; expected a header line and readings.")
    return found


def _named(path: Path, names: list[str], sheet: str) -> str:
    if sheet in names:
        return sheet
    if sheet.isdecimal() and 1 <= int(sheet) <= len(names):
        return names[int(sheet) - 1]
    raise InputError(
        f"{printable(path)}: expected a sheet {quoted(sheet)} (",
        Setting("table.sheet"),
        f"), but its sheets are {', '.join(map(quoted, names[:20]))}.",
    )


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]

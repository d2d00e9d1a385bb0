"""The light commands, which start without torch: ``apply`` corrects a table, ``show`` says what a calibration is."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from thermofit_pl.apply.apply import apply
from thermofit_pl.calibration.calibrations import load
from thermofit_pl.errors import InputError
from thermofit_pl.files import standard_output
from thermofit_pl.formatting import printable
from thermofit_pl.reports.summary import summary

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    """Runs ``apply`` or ``show``.

    Args:
        argv: The command and its arguments.

    Returns:
        The exit code.

    Raises:
        InputError: The arguments, or a file, can't be used.
    """
    arguments = _parser().parse_args(argv)
    calibration = load(_named(arguments.calibration))
    if arguments.command == "show":
        with standard_output() as stream:
            stream.write(f"{summary(calibration)}\n".encode())
        return 0
    apply(
        calibration,
        arguments.table,
        output=arguments.output,
        indication=arguments.indication,
        instrument=arguments.instrument,
        decimal_comma=arguments.decimal_comma,
    )
    return 0


def _named(calibration: str) -> Path:
    """The file or folder that a name means: ``last`` is the newest run's."""
    path = Path(calibration)
    if calibration != "last" or path.exists():
        return path
    runs = [*Path("logs").glob("*/*/calibration.json"), *Path("logs").glob("*/*/calibrations.parquet")]
    if not runs:
        raise InputError("Expected a run with a calibration under logs/ for 'last', but found none; fit first.")
    return max(runs, key=lambda found: found.stat().st_mtime)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{printable(message, 400)}; {self.prog} --help says what it takes.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m thermofit_pl", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    show = commands.add_parser("show", help="say what a calibration is", allow_abbrev=False)
    apply_ = commands.add_parser("apply", help="correct a table of new indications", allow_abbrev=False)
    for command in (show, apply_):
        command.add_argument(
            "calibration",
            metavar="CALIBRATION",
            help="a calibration.json, calibrations.parquet, a run's folder, or last",
        )
    apply_.add_argument("table", metavar="TABLE", help="CSV, gzipped or not, Parquet or Arrow; - for standard input")
    apply_.add_argument("--output", metavar="FILE", help="CSV, Parquet or Arrow by its suffix; - for standard output")
    apply_.add_argument("--indication", metavar="NAME", help="the column to correct; default: the one it was fitted on")
    apply_.add_argument("--instrument", metavar="NAME", help="the column that names each row's instrument, for a fleet")
    apply_.add_argument("--decimal-comma", action="store_true", help="the table has 35,7 for 35.7")
    return parser

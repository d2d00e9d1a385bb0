"""The light commands, which start without torch: they use a calibration, and make none."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from thermofit_pl.apply.apply import apply
from thermofit_pl.calibration.calibrations import Calibrations, load
from thermofit_pl.errors import InputError
from thermofit_pl.export.export import TARGETS
from thermofit_pl.files import atomic_write, standard_output
from thermofit_pl.formatting import count, printable
from thermofit_pl.reports.summary import summary
from thermofit_pl.tables.options import TableOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from thermofit_pl.calibration.calibration import Calibration


def main(argv: Sequence[str]) -> int:
    """Runs a light command.

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
        with standard_output():
            print(summary(calibration))  # as the terminal can take it
    elif arguments.command == "compare":
        _compare(calibration, load(_named(arguments.new)), arguments.json)
    elif arguments.command == "report":
        from thermofit_pl.reports.html import report

        _write(report(calibration), arguments.output)
        _tell(f"Written: {printable(arguments.output)}")
    elif arguments.command == "export":
        _export(calibration, arguments.to, arguments.instrument, arguments.output)
    else:
        apply(
            calibration,
            arguments.table,
            output=arguments.output,
            indication=arguments.indication,
            instrument=arguments.instrument,
            decimal_comma=arguments.decimal_comma,
            options=TableOptions(
                header_line=arguments.header_line,
                first_line=arguments.first_line,
                sheet=arguments.sheet,
                missing_values=list(arguments.missing_values),
            ),
        )
    return 0


def _compare(old: Calibration | Calibrations, new: Calibration | Calibrations, as_json: bool) -> None:
    """Prints what drifted between two calibrations of an instrument, or of a fleet."""
    from thermofit_pl.calibration.compare import compare, compare_fleets, comparison_text, comparisons_text

    if isinstance(old, Calibrations) and isinstance(new, Calibrations):
        fleets = compare_fleets(old, new)
        text, found = comparisons_text(fleets), asdict(fleets)
    elif isinstance(old, Calibrations) or isinstance(new, Calibrations):
        raise InputError("Expected two calibrations of one instrument, or two of fleets, but got one of each.")
    else:
        one = compare(old, new)
        text, found = comparison_text(one), asdict(one)
    with standard_output():
        print(json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False) if as_json else text)


def _export(calibration: Calibration | Calibrations, to: str, instrument: str | None, output: str | None) -> None:
    """Writes a calibration, or each of a fleet, as text for another program."""
    from thermofit_pl.export.export import export
    from thermofit_pl.export.fleet import coefficients, told, write_folder
    from thermofit_pl.export.view import view

    if not isinstance(calibration, Calibrations):
        if instrument is not None:
            raise InputError("Expected no --instrument, as the calibration is of one; leave it out.")
        return _write(export(view(calibration), to), output)
    if instrument is not None:
        return _write(export(view(calibration[instrument], instrument), to), output)
    if output is None or output.lower().endswith(".csv"):
        text, refused = coefficients(calibration, to)
        _write(text, output)
    else:
        number, refused = write_folder(calibration, to, Path(output))
        _tell(f"Written: {count(number)} texts in {printable(output)}.")
    if refused:
        _tell(told(refused))
    return None


def _write(text: str, output: str | None) -> None:
    """Writes a text to a file, or to standard output."""
    if output is not None:
        with atomic_write(output) as temporary:
            temporary.write_text(text, encoding="utf-8")
    else:
        with standard_output() as stream:
            stream.write(text.encode())


def _tell(sentence: str) -> None:
    if sys.stderr is not None:
        print(sentence, file=sys.stderr)


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
    export = commands.add_parser("export", help="write a calibration as text for another program", allow_abbrev=False)
    report = commands.add_parser("report", help="write a calibration as a page of HTML", allow_abbrev=False)
    compare = commands.add_parser("compare", help="tell what drifted between two calibrations", allow_abbrev=False)
    for command in (show, apply_, export, report, compare):
        command.add_argument(
            "calibration",
            metavar="OLD" if command is compare else "CALIBRATION",
            help="a calibration.json, calibrations.parquet, a run's folder, or last",
        )
    apply_.add_argument("table", metavar="TABLE", help="CSV, .xlsx, Parquet or Arrow; - for standard input")
    apply_.add_argument("--output", metavar="FILE", help="CSV, Parquet or Arrow by its suffix; - for standard output")
    apply_.add_argument("--indication", metavar="NAME", help="the column to correct; default: the one it was fitted on")
    apply_.add_argument("--instrument", metavar="NAME", help="the column that names each row's instrument, for a fleet")
    apply_.add_argument("--decimal-comma", action="store_true", help="the table has 35,7 for 35.7")
    about = "the line with the names of the columns; 0: there is none, they are numbered from 1"
    apply_.add_argument("--header-line", metavar="N", type=int, help=about)
    apply_.add_argument("--first-line", metavar="N", type=int, help="the line of the first indication")
    apply_.add_argument("--sheet", metavar="NAME", help="the sheet of a workbook, by name or number")
    about = "a number or word that stands for a missing value; may be given again"
    apply_.add_argument("--missing-values", metavar="VALUE", action="append", default=[], help=about)
    report.add_argument("--output", metavar="FILE", default="report.html", help="default: report.html")
    compare.add_argument("new", metavar="NEW", help="likewise, of the same instrument or fleet")
    compare.add_argument("--json", action="store_true", help="print it as JSON")
    export.add_argument("--to", metavar="TARGET", required=True, help=", ".join(TARGETS))
    export.add_argument("--instrument", metavar="NAME", help="one of a fleet; default: all of them")
    export.add_argument(
        "--output",
        metavar="FILE",
        help="default: standard output; of a fleet: a folder for a text each, or FILE.csv for all coefficients",
    )
    return parser

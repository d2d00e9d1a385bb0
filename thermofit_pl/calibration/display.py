"""What calibrations do in Python through the layers above: show themselves, and what the light commands do.

It is the one place that imports upwards, so that ``calibration.plot()`` and its like are methods.
"""

from __future__ import annotations

import os
import warnings
from html import escape
from typing import TYPE_CHECKING

from thermofit_pl.errors import InputError
from thermofit_pl.formatting import count, printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from thermofit_pl.calibration.calibration import Calibration
    from thermofit_pl.calibration.calibrations import Calibrations


def text(calibration: Calibration | Calibrations) -> str:
    """Returns what ``show`` prints."""
    from thermofit_pl.reports.summary import summary

    return summary(calibration)


def one_line(calibration: Calibration | Calibrations) -> str:
    """Returns what a console shows of a calibration, or of those of a fleet: one line."""
    from thermofit_pl.calibration.calibrations import Calibrations  # it imports this file

    if isinstance(calibration, Calibrations):
        without = calibration.frame["w"].null_count()
        lacking = f", {count(without)} of them without a line" if without else ""
        return f"<Calibrations of {count(len(calibration))} instruments{lacking}>"
    c = calibration
    low, high = c.indication_range
    name = f" of {printable(c.indication_column, 40)}" if c.indication_column else ""
    return f"<Calibration{name}: {c.quantities}, {count(c.n)} readings from {low:.6g} to {high:.6g}>"


def html(calibration: Calibration | Calibrations) -> str:
    """Returns what a notebook shows: what ``show`` prints, and the figure where matplotlib is installed."""
    from base64 import b64encode

    from thermofit_pl.reports.figures import is_there
    from thermofit_pl.reports.overview import overview

    said = f"<pre>{escape(text(calibration))}</pre>"
    if not is_there():
        return said
    picture = overview(calibration)
    if picture is None:
        return said
    png = b64encode(picture[1]).decode()
    return f'{said}<img alt="{escape(one_line(calibration))}" src="data:image/png;base64,{png}">'


def plot(calibration: Calibration | Calibrations) -> Figure:
    """Returns matplotlib's figure: the curve with its bands, or how the instruments of a fleet spread.

    Raises:
        InputError: matplotlib is not installed, or no instrument of the fleet has a line.
    """
    from thermofit_pl.reports.figures import MISSING, is_there
    from thermofit_pl.reports.overview import overview

    if not is_there():
        raise InputError(MISSING)
    picture = overview(calibration)
    if picture is None:
        raise InputError("Expected an instrument with a line to draw, but the fleet has none.")
    return picture[0]


def apply(
    calibration: Calibration | Calibrations,
    table: str | os.PathLike[str],
    *,
    output: str | os.PathLike[str] | None = None,
    indication: str | None = None,
    instrument: str | None = None,
    decimal_comma: bool = False,
) -> None:
    """Corrects a table on the disk, of any size, as the command ``apply`` does: see ``thermofit_pl.apply.apply``."""
    from thermofit_pl.apply.apply import apply as apply_to

    apply_to(
        calibration,
        os.fspath(table),
        output=None if output is None else os.fspath(output),
        indication=indication,
        instrument=instrument,
        decimal_comma=decimal_comma,
    )


def export(calibration: Calibration | Calibrations, to: str, instrument: str | None = None) -> str:
    """Returns text for another program, as the command ``export`` prints it.

    Args:
        calibration: The calibration, or those of a fleet.
        to: The target, such as ``esphome``.
        instrument: One of a fleet; None: the coefficients of all as CSV, with a warning of those that the target can't
            hold.

    Raises:
        InputError: There is no such target, or it can't hold this calibration.
    """
    from thermofit_pl.calibration.calibrations import Calibrations
    from thermofit_pl.export.export import export as text_for
    from thermofit_pl.export.fleet import coefficients, told
    from thermofit_pl.export.view import view

    if not isinstance(calibration, Calibrations):
        if instrument is not None:
            raise InputError("Expected no instrument, as the calibration is of one; leave it out.")
        return text_for(view(calibration), to)
    if instrument is not None:
        return text_for(view(calibration[instrument], instrument), to)
    csv, refused = coefficients(calibration, to)
    if refused:
        warnings.warn(told(refused), stacklevel=2)
    return csv


def report(calibration: Calibration | Calibrations, output: str | os.PathLike[str] | None = None) -> str:
    """Returns the page of HTML that the command ``report`` writes.

    Args:
        calibration: The calibration, or those of a fleet.
        output: Where to write it too; a file that is there is replaced.

    Raises:
        InputError: The file can't be written.
    """
    from thermofit_pl.files import atomic_write
    from thermofit_pl.reports.html import report as page_of

    page = page_of(calibration)
    if output is not None:
        with atomic_write(output) as temporary:
            temporary.write_text(page, encoding="utf-8")
    return page

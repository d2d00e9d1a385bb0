"""A calibration as one page of HTML: self-contained, printable on A4, and not a certificate."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from thermofit_pl.calibration.file import to_text
from thermofit_pl.curves.line import Line
from thermofit_pl.formatting import count, printable, signed, two_digits
from thermofit_pl.reports.fleet_summary import WORST, good_to
from thermofit_pl.reports.summary import summary
from thermofit_pl.reports.svg import band_figure, histogram

if TYPE_CHECKING:
    from collections.abc import Mapping

    from thermofit_pl.calibration.calibration import Calibration
    from thermofit_pl.calibration.calibrations import Calibrations

POINTS = 11
BLANKS = (  # ISO/IEC 17025:2017, 7.8.2.1 and 7.8.4.1
    "Laboratory, with its address",
    "Place of the calibration, where it is another",
    "Number of this report",
    "Customer, with an address",
    "Instrument: maker, type, serial number",
    "Condition of the instrument; date of receipt",
    "Date, or dates, of the calibration",
    "Date of issue",
    "Reference standard, and its traceability to the SI",
    "Uncertainty of the reference standard",
    "Environmental conditions",
    "Procedure; deviations from it",
    "Results before and after an adjustment",
    "The results relate only to the instrument calibrated",
    "Authorised by (name, signature)",
)


def report(calibration: Calibration | Calibrations) -> str:
    """Writes a calibration, or those of a fleet, as a page.

    Args:
        calibration: The calibration, or those of a fleet.

    Returns:
        HTML that asks nothing of any network.
    """
    from thermofit_pl.calibration.calibration import Calibration

    if isinstance(calibration, Calibration):
        return _rendered("calibration.html", _single(calibration))
    return _rendered("fleet.html", _fleet(calibration))


def _rendered(template: str, values: Mapping[str, Any]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("thermofit_pl.reports", "templates")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.get_template(template).render(blanks=BLANKS, **values) + "\n"


def _single(c: Calibration) -> dict[str, Any]:
    unit, lines = c.unit, summary(c).splitlines()
    low, high = (_number(end) for end in c.indication_range)
    name = printable(c.indication_column or "instrument", 80)
    return {
        "title": f"Calibration report: {name}",
        "unit": unit,
        "equation": lines[0],
        "coefficients": lines[1],
        "validity": f"Valid for indications from {low} to {high}, the range of the readings. {_good_to(c, unit)}",
        "points": _points(c),
        "about_points": (
            f"U = k · u of one corrected reading, its scatter included, for {100 * c.coverage_probability:.4g} %. The "
            "error of the indication is indication − estimate, where both are in one unit."
        ),
        "figure": band_figure(c, unit),
        "budget": _budget(c),
        "method": _method(c),
        "findings": lines[2:],
        "origin": _origin(c, c.checksum, count(c.n)),
        "json": _in_script(to_text(c).decode()),
    }


def _number(value: float) -> str:
    return signed(f"{value:.6g}")


def _good_to(c: Calibration, unit: str) -> str:
    expanded = [
        k * c.correct(x, "ignore").u_single for k in [c.coverage_factor or math.nan] for x in c.indication_range
    ]
    if not all(map(math.isfinite, expanded)):
        return "The calibration has no uncertainty: nothing says how far to trust it."
    return f"A corrected reading is good to ±{two_digits(max(expanded))} {unit} (U, k = {c.coverage_factor:.4g})."


def _points(c: Calibration) -> list[dict[str, str]]:
    ends = c.indication_range
    x = [float(f"{value:.6g}") for value in np.linspace(*ends, POINTS if ends[1] > ends[0] else 1)]
    found = c.correct(x, "ignore")
    same = _same_unit(c)
    rows = []
    for at, estimate, u in zip(x, found.estimate.tolist(), found.u_single.tolist(), strict=True):
        expanded = u * (c.coverage_factor or math.nan)
        known = math.isfinite(expanded) and expanded > 0
        rows.append(
            {
                "indication": _number(at),
                "estimate": _to_place(estimate, expanded),
                "error": _to_place(at - estimate, expanded) if same else "–",
                "expanded": two_digits(expanded) if known else "0" if expanded == 0 else "–",
                "k": f"{c.coverage_factor:.2f}" if c.coverage_factor else "–",
            }
        )
    return rows


def _same_unit(c: Calibration) -> bool:
    """Whether the indication is in the reference's unit, by what was said, or else by the scale that it shows."""
    if c.indication_unit is not None:
        return c.indication_unit == c.unit
    own = {"°C": "celsius", "°F": "fahrenheit", "K": "kelvin"}.get(c.unit)
    return c.scale is not None and c.scale.near and c.scale.nearest == own


def _to_place(value: float, expanded: float) -> str:
    """Rounds a value to the second digit of its U; without one, to six digits."""
    if not (math.isfinite(expanded) and expanded > 0):
        return _number(value)
    place = Decimal(f"{expanded:.1e}").adjusted() - 1
    rounded = float(Decimal(value).quantize(Decimal(1).scaleb(place)))
    return signed(f"{rounded:.{max(-place, 0)}f}")


def _budget(c: Calibration) -> list[dict[str, str]]:
    if c.u_pivot is None or c.u_reading is None or c.coverage_factor is None:
        return []
    low, high = c.indication_range
    u_line = {x: c.correct(x, "ignore").u_line for x in (low, high)}
    at = (low + (high - low) / 2, max(u_line, key=u_line.__getitem__))
    away = [math.sqrt(max(c.correct(x, "ignore").u_line ** 2 - c.u_pivot**2, 0.0)) for x in at]
    slope = "slope of the curve, away from the mean" if isinstance(c.curve, Line) else "shape of the curve"
    rows = [
        ("level of the curve (u at the mean indication)", [c.u_pivot, c.u_pivot]),
        (slope, away),
        ("scatter of one reading (s)", [c.u_reading, c.u_reading]),
    ]
    u = [c.correct(x, "ignore").u_single for x in at]
    rows += [("combined: u of a corrected reading", u)]
    rows += [(f"expanded: U = {c.coverage_factor:.4g} · u", [c.coverage_factor * one for one in u])]
    return [
        {
            "source": source,
            "type": "A" if k < 3 else "",
            "dof": count(c.dof),
            "middle": two_digits(a),
            "end": two_digits(b),
        }
        for k, (source, (a, b)) in enumerate(rows)
    ]


def _method(c: Calibration) -> str:
    of_line = isinstance(c.curve, Line)
    noun, shape = ("line", "slope") if of_line else ("curve", "shape")
    how = {
        "least_squares": f"The {noun} is the ordinary least-squares regression of the reference on the indication, "
        "which is taken as exact.",
        "sgd": f"The {noun} is where stochastic gradient descent ended; its uncertainties are those of least squares.",
        "snap": "The line is the exact conversion of a named temperature scale, chosen by the user.",
    }
    return (
        f"{how.get(c.finish, '')} The level at the mean indication and the {shape} are uncorrelated; their "
        f"uncertainties come from the scatter of the readings about the {noun} (type A), and add in squares with that "
        "of one reading. "
        f"k is Student's t for {count(c.dof)} degrees of freedom and {100 * c.coverage_probability:.4g} % "
        "(JCGM 100:2008, G.3)."
    )


def _origin(source: Any, checksum: str | None, readings: str) -> list[tuple[str, str]]:
    def said(key: str) -> str | None:
        value = source.get(key) if isinstance(source, dict) else getattr(source, key)
        return None if value is None else printable(str(value))

    rows = [
        ("readings", readings),
        ("rows dropped", said("dropped")),
        ("data", said("data_name")),
        ("data's SHA-256", said("data_sha256")),
        ("indication", said("indication_column")),
        ("reference", said("reference_column")),
        ("unit of the reference", said("unit")),
        ("unit of the indication", said("indication_unit")),
        ("calibrated", said("created")),
        ("thermofit_pl", said("version")),
        ("torch", said("torch")),
        ("lightning", said("lightning")),
        ("calibration's checksum", checksum),
        ("this page", datetime.now(timezone.utc).isoformat(timespec="seconds")),
    ]
    return [(name, value) for name, value in rows if value is not None]


def _in_script(text: str) -> Any:
    """JSON that no text in it can end: in a script, HTML's own escapes don't count, JSON's do."""
    from markupsafe import Markup

    return Markup("".join(f"\\u{ord(c):04x}" if c in "<>&\u2028\u2029" else c for c in text))


def _fleet(fleet: Calibrations) -> dict[str, Any]:
    import polars as pl

    unit = fleet.units.reference
    known = fleet.frame.drop_nulls(["u_pivot", "coverage_factor"])
    expanded = good_to(known, fleet.curve, fleet.provenance["coverage_probability"])
    order = np.argsort(-expanded, kind="stable")[:WORST].tolist()
    worst = [
        {
            "instrument": printable(row["instrument"], 60),
            "n": count(row["n"]),
            "range": " to ".join(_number(end) for end in row["indication_range"]),
            "coefficients": fleet[row["instrument"]].quantities,
            "s": two_digits(row["s"]),
            "expanded": two_digits(float(size)),
        }
        for row, size in zip(known[order].iter_rows(named=True), expanded[order].tolist(), strict=True)
    ]
    fine = fleet.frame.filter(pl.col("status") == "ok").height
    return {
        "title": f"Calibration report: {count(len(fleet))} instruments",
        "unit": unit,
        "validity": f"{count(fine)} of {count(len(fleet))} instruments are fine. Each correction is valid for the "
        "range of its own readings.",
        "figure": histogram(expanded, f"U of a corrected reading ({unit})", "instruments"),
        "worst": worst,
        "findings": summary(fleet).splitlines(),
        "origin": _origin(fleet.provenance, None, count(int(fleet.frame["n"].sum()))),
    }

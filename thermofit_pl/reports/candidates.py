"""Other curves for the same readings: a sentence where a line is not enough, or too much, and a table of all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from thermofit_pl.formatting import p_text, signed, two_digits

if TYPE_CHECKING:
    from thermofit_pl.calibration.calibration import Calibration
    from thermofit_pl.calibration.records import Candidates

PATTERN = 0.01  # p-value below which set points or neighbours explain what a curve would follow
WORDS = {
    "Polynomial(2)": ("A quadratic", "Polynomial --model.curve.degree 2"),
    "Polynomial(3)": ("A cubic", "Polynomial --model.curve.degree 3"),
}
SIMPLER = {"Offset": ("An offset", "w may be 1"), "Proportional": ("A gain", "b may be 0")}


def better(c: Calibration) -> Iterator[str]:
    """Yields one sentence where another curve is better than a line, and nothing simpler explains that.

    Args:
        c: The calibration.
    """
    found, told = c.candidates, c.diagnostics
    if found is None or found.better is None or found.p is None or told.error_codes or told.stuck:
        return
    if any(each is not None and each.p is not None and each.p < PATTERN for each in (told.set_points, told.neighbours)):
        return
    by_name = {one.name: one for one in found.curves}
    before, after = (two_digits(by_name[name].left_out) for name in ("Line", found.better))
    if found.better in SIMPLER:
        what, may_be = SIMPLER[found.better]
        yield (
            f"{what} alone fits as well as the line: {may_be} ({p_text(found.p)}), and the error on readings left out "
            f"is {after} {c.unit}, the line's {before} {c.unit}: --model.curve {found.better} "
            f"(in Python curve={found.better}())."
        )
        return
    what, option = WORDS[found.better]
    yield (
        f"{what} lowers the error on readings left out from {before} to {after} {c.unit} ({p_text(found.p)}): "
        f"--model.curve {option}."
    )


def table(found: Candidates, unit: str) -> str:
    """Returns the curves as a table in Markdown.

    Args:
        found: The curves.
        unit: The reference's.
    """
    head = f"| curve | coefficients | s ({unit}) | error on readings left out ({unit}) | AICc |"
    rows = [
        f"| {one.name} | {one.coefficients} | {two_digits(one.s)} | {two_digits(one.left_out)} | "
        f"{signed(f'{one.aicc:.1f}')} |"
        for one in found.curves
    ]
    return "\n".join([head, "| --- | --- | --- | --- | --- |", *rows])

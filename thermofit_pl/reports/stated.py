"""What a summary says of stated uncertainties: which fit they made, whether the readings bear them out, the budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thermofit_pl.formatting import p_text, printable, signed, two_digits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from thermofit_pl.calibration.calibration import Calibration
    from thermofit_pl.calibration.records import Budget, Stated

LEVEL = 0.01  # p-value of χ² below which stated uncertainties are said not to explain the errors
NAMES = {
    "scatter": "scatter",
    "reference": "the reference's stated",
    "indication": "the indication's stated",
    "resolution": "resolution",
    "common": "common to all references",
}
FITS = {
    "least squares": "least squares, all readings alike",
    "weighted least squares": "least squares, weighed by 1/u²",
    "Deming": "Deming's line, as both axes are uncertain",
    "York": "York's curve, as both axes are uncertain",
}


def stated(c: Calibration) -> Iterator[str]:
    """Yields sentences, of a calibration beside whose readings uncertainties were stated.

    Args:
        c: The calibration.
    """
    found = c.stated
    if found is None:
        return
    yield fit_sentence(found.method, found.uncertainties, found.reference, found.indication, found.common, c.unit)
    if found.alike and found.reference is not None:
        yield (
            "The reference's uncertainty is one number throughout, and counts as independent from reading to reading; "
            "what all readings share, such as a certificate's, belongs in --data.u.common."
        )
    if found.chi_squared is not None and found.chi_squared_dof and found.chi_squared_p is not None:
        yield _chi_squared(found, found.chi_squared, found.chi_squared_dof, found.chi_squared_p)
    if found.budget is not None:
        yield from _budget(found.budget, c.unit)


def fit_sentence(
    method: str, kind: str, reference: str | None, indication: str | None, common: str | None, unit: str
) -> str:
    """Says what was stated, and which fit followed.

    Args:
        method: The fit's.
        kind: ``absolute`` or ``relative``.
        reference: What is stated of each reference.
        indication: Of each indication.
        common: Of what all references share.
        unit: The references'.
    """
    named = ("of the reference", reference), ("of the indication", indication), ("common to all references", common)
    parts = [f"{what} {printable(text)}" for what, text in named if text is not None]
    taken = "only their ratios count" if kind == "relative" else "taken as they are"
    scale = f", {taken}" if reference is not None or indication is not None else ""
    known = f"Standard uncertainties stated: {', '.join(parts)}{scale} [{unit}]: " if parts else "The fit: "
    return f"{known}{FITS[method]}."


def _chi_squared(found: Stated, chi_squared: float, dof: float, p: float) -> str:
    ratio = two_digits((chi_squared / dof) ** 0.5)
    text = f"χ² = {chi_squared:.4g} of {dof:.4g} degrees of freedom"
    if found.uncertainties == "relative":
        return f"The errors scatter {ratio} times as much as stated ({text}): all uncertainties are multiplied by that."
    if p < LEVEL:
        return (
            f"The errors scatter {ratio} times as much as the stated uncertainties explain ({p_text(p)}; {text}); "
            "nothing is rescaled: some uncertainty is too small or missing, or the curve is another."
        )
    if 1 - p < LEVEL:
        return (
            f"The errors scatter only {ratio} times as much as the stated uncertainties allow ({p_text(1 - p)}; "
            f"{text}); nothing is rescaled: these are perhaps expanded ones (--data.u.coverage_factor), or shared by "
            "readings (--data.u.common)."
        )
    return f"The errors are as large as the stated uncertainties explain ({text}, {p_text(p)})."


def _budget(budget: Budget, unit: str) -> Iterator[str]:
    at = ", ".join(signed(f"{x:.6g}") for x in budget.indications)
    u = ", ".join(two_digits(value) for value in budget.u_single)
    yield f"Of a corrected reading at {at}, u_single is {u} {unit}, made of (shares of u²):"
    for name, called in NAMES.items():
        part = getattr(budget, name)
        if part is not None:
            shares = ", ".join(f"{100 * share:.0f} %" for share in part.share)
            sizes = ", ".join(two_digits(value) for value in part.u)
            yield f"  {called}: {sizes} {unit} ({shares})"

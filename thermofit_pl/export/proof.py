"""An export is proven before it is printed: its own numbers, in the target's arithmetic, against the calibration."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from thermofit_pl.errors import InputError
from thermofit_pl.export.formula import FloatArray
from thermofit_pl.export.numbers import ascii_text
from thermofit_pl.export.view import View
from thermofit_pl.formatting import printable, two_digits


@dataclass(frozen=True)
class Draft:
    """A text for a target, as yet unproven.

    Attributes:
        text: Without comments, ending with a newline.
        arithmetic: How the target computes, for a comment: ``in float32``.
        evaluate: What the target makes of indications by the numbers that stand in the text, shape ``(N,)``.
        remarks: What the user must know or fill in, for comments.
    """

    text: str
    arithmetic: str
    evaluate: Callable[[FloatArray], FloatArray]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Proof:
    """How far a draft is from the calibration over its range.

    Attributes:
        largest: The largest difference [the reference's unit].
        at: The indication where it exceeds what is allowed most, or comes nearest to it.
        there: The difference there.
        allowed: What is allowed there: a tenth of u.
    """

    largest: float
    at: float
    there: float
    allowed: float

    @property
    def holds(self) -> bool:
        """Whether it is within a tenth of u everywhere."""
        return self.there <= self.allowed


def prove(view: View, draft: Draft) -> Proof:
    """Evaluates a draft over the calibrated range.

    Args:
        view: The calibration.
        draft: The text and its arithmetic.
    """
    x = view.grid()
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a fit that is badly conditioned: the difference tells
        difference = np.abs(draft.evaluate(x) - view.estimate(x))
        difference = np.where(np.isfinite(difference), difference, np.inf)
        allowed = view.tolerance(x)
        worst = int((difference / allowed).argmax())
    return Proof(float(difference.max()), float(x[worst]), float(difference[worst]), float(allowed[worst]))


def proven(view: View, target: str, drafts: Iterable[Draft]) -> tuple[Draft, Proof]:
    """Returns the first draft that is within a tenth of u.

    Args:
        view: The calibration.
        target: Its name.
        drafts: The preferred one first.

    Raises:
        InputError: None is.
    """
    best: Proof | None = None
    for draft in drafts:
        proof = prove(view, draft)
        if proof.holds:
            return draft, proof
        if best is None or proof.there / proof.allowed < best.there / best.allowed:
            best = proof
    assert best is not None, "a target has a draft, or says why not"
    other = "table" if target != "table" else "python"
    raise InputError(
        f"Expected numbers for {target} within a tenth of u of {printable(view.name, 60)}'s calibration, but its "
        f"arithmetic is {best.there:.2g} {view.unit} off at indication {best.at:.6g}, where a tenth of u is "
        f"{best.allowed:.2g} {view.unit}; use --to {other}."
    )


def comments(view: View, draft: Draft, proof: Proof) -> list[str]:
    """Returns what stands above a text: what it is, where it holds, how well, and how far it may be trusted."""
    unit = view.indication_unit or "indicated unit"
    ends = np.array([view.low, (view.low + view.high) / 2, view.high])
    u = np.asarray(view.correct(ends).u_single, np.float64)
    trust = "u of a corrected reading: unknown"
    if np.isfinite(u).all():
        low, middle, high = (two_digits(float(value)) for value in u)
        trust = f"u of a corrected reading: {low} at {view.low:.6g}, {middle} in the middle, {high} at {view.high:.6g}"
    lines = [
        f"thermofit_pl {view.version}, calibration {view.checksum}",
        f"instrument {ascii_text(view.name, 60)!r}: reference [{view.unit}] from indication [{unit}], "
        f"calibrated from {view.low:.9g} to {view.high:.9g}",
        f"{trust} [{view.unit}, standard uncertainty]",
        f"these numbers, {draft.arithmetic}, differ from the calibration by {proof.largest:.2g} {view.unit} at most",
        *draft.remarks,
    ]
    return [ascii_text(line) for line in lines]

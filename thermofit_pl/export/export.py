"""Exports: the list of targets, and a calibration, or a fleet's, as text for one of them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from thermofit_pl.errors import InputError
from thermofit_pl.export.formula import CannotHoldError
from thermofit_pl.export.proof import Draft, Proof, comments, proven
from thermofit_pl.formatting import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from thermofit_pl.export.view import View

# a new target is a file beside this one, with COMMENT, SUFFIX and drafts(), and its line here
TARGETS = {
    "esphome": "esphome",
    "home-assistant": "home_assistant",
    "tasmota": "tasmota",
    "zigbee2mqtt": "zigbee2mqtt",
    "klipper": "klipper",
    "marlin": "marlin",
    "c": "c",
    "python": "python",
    "excel": "excel",
    "table": "table",
}


class Target(Protocol):
    """What a target's file has: what begins a comment, a file's suffix, and texts, the preferred one first."""

    COMMENT: str
    SUFFIX: str

    def drafts(self, view: View) -> Iterator[Draft]:
        """Yields texts, or raises ``CannotHoldError``."""


def target_of(name: str) -> Target:
    """Returns a target by its name.

    Raises:
        InputError: There is no such target.
    """
    if name not in TARGETS:
        raise InputError(f"Expected --to {', '.join(TARGETS)}, but got {printable(name, 60)!r}.")
    return cast(Target, import_module(f"thermofit_pl.export.{TARGETS[name]}"))


def export(view: View, to: str) -> str:
    """Returns a calibration as text, proven over the calibrated range.

    Args:
        view: The calibration.
        to: The target, a key of ``TARGETS``.

    Raises:
        InputError: The target can't hold the curve, or not within a tenth of u.
    """
    draft, proof = _proven(view, to)
    mark = target_of(to).COMMENT
    return "".join(f"{mark}{line}\n" for line in comments(view, draft, proof)) + draft.text


def proof_of(view: View, to: str) -> Proof:
    """Returns how far a target's numbers are from a calibration; raises as ``export``."""
    return _proven(view, to)[1]


def _proven(view: View, to: str) -> tuple[Draft, Proof]:
    try:
        return proven(view, to, target_of(to).drafts(view))
    except CannotHoldError as error:
        reason = str(error)
        raise InputError(
            f"Expected a curve that {to} holds, but {reason}{'' if reason.endswith(' or') else ';'} use --to table, "
            "which holds any curve."
        ) from None

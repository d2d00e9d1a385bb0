"""Exports of a fleet: a text each into a folder, or a table of coefficients."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from thermofit_pl.errors import InputError
from thermofit_pl.export.export import export, proof_of, target_of
from thermofit_pl.export.formula import Powers
from thermofit_pl.export.numbers import slug
from thermofit_pl.export.view import View, view
from thermofit_pl.files import atomic_write
from thermofit_pl.formatting import count, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from thermofit_pl.calibration.calibrations import Calibrations

Refused = dict[str, str]  # why an instrument has no export, by its name


def write_folder(fleet: Calibrations, to: str, folder: Path) -> tuple[int, Refused]:
    """Writes a text for each instrument, once all are made.

    Args:
        fleet: The calibrations.
        to: The target.
        folder: Where to; made if need be.

    Returns:
        How many were written, and why some weren't.

    Raises:
        InputError: No instrument has an export, or the folder can't be written.
    """
    target_of(to)
    found, refused = _each(fleet, lambda one: export(one, to))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"Expected a folder to write to, but {printable(folder)} can't be made ({error.strerror}); name another."
        ) from None
    for name, text in found.items():
        with atomic_write(folder / f"{name}{target_of(to).SUFFIX}") as temporary:
            temporary.write_text(text, encoding="utf-8")
    return len(found), refused


def coefficients(fleet: Calibrations, to: str) -> tuple[str, Refused]:
    """Returns a CSV of each instrument's numbers that a target has been proven to hold.

    Args:
        fleet: The calibrations.
        to: The target.

    Raises:
        InputError: There is no such target, or no instrument has an export.
    """
    target_of(to)
    rows, refused = _each(fleet, lambda one: _row(one, to))
    file = io.StringIO()
    names = list(dict.fromkeys(key for row in rows.values() for key in row))
    writer = csv.DictWriter(file, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows.values())
    return file.getvalue(), refused


def _each(fleet: Calibrations, make: Callable[[View], Any]) -> tuple[dict[str, Any], Refused]:
    """What is made of each instrument, by its identifier, and why some have none."""
    made: dict[str, Any] = {}
    refused: Refused = {}
    for name in fleet:
        try:
            identifier = _free(slug(name), made)
            made[identifier] = make(view(fleet[name], name, identifier))
        except InputError as error:  # noqa: PERF203  # each instrument has its own reason
            refused[name] = str(error)
    if not made:
        raise InputError(next(iter(refused.values()), "Expected instruments to export, but the fleet has none."))
    return made, refused


def _row(one: View, to: str) -> dict[str, Any]:
    proof = proof_of(one, to)
    formula = one.formula
    numbers: dict[str, float] = {"b": formula.about(0.0).coefficients[0]} if isinstance(formula, Powers) else {}
    if isinstance(formula, Powers):
        powers = formula.about(0.0).coefficients[1:]
        numbers |= {"w" if len(powers) == 1 else f"w{k}": value for k, value in enumerate(powers, start=1)}
    elif formula is not None:
        numbers |= {name: getattr(formula, name) for name in formula.__dataclass_fields__}
    u = np.asarray(one.correct(np.array([one.low, one.high])).u_single, np.float64).tolist()
    return {
        "instrument": one.name,
        **numbers,
        "low": one.low,
        "high": one.high,
        "u_low": u[0] if np.isfinite(u[0]) else None,
        "u_high": u[1] if np.isfinite(u[1]) else None,
        "unit": one.unit,
        "largest_difference": proof.largest,
        "checksum": one.checksum,
    }


def _free(name: str, taken: Collection[str]) -> str:
    """An identifier that no other instrument has: names that differ may make the same."""
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    return found


def told(refused: Refused) -> str:
    """Says how many instruments have no export, and why the first hasn't."""
    name, reason = next(iter(refused.items()))
    what = "instrument has" if len(refused) == 1 else "instruments have"
    return f"{count(len(refused))} {what} no export; {printable(name, 40)}: {reason}"

"""What a module's checkpoint says beside its tensors; those of lines from before curves are made like today's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from thermofit_pl.curves.base import SHIPPED, Curve, from_record
from thermofit_pl.curves.line import Line
from thermofit_pl.errors import InputError, Setting
from thermofit_pl.formatting import count


def as_curve(given: object) -> Curve:
    """Returns the curve that a module is given, as an object or as the record of one; None is the straight line.

    Raises:
        InputError: If it is none.
    """
    if given is None or isinstance(given, Curve):
        return Line() if given is None else given
    if isinstance(given, Mapping):
        return from_record(given)
    raise InputError(
        Setting("curve"),
        f": expected a curve such as {', '.join(SHIPPED)} of thermofit_pl.curves, or an instance of a class of your "
        f"own, but got {given!r}",
    )


def curve_in(checkpoint: Mapping[str, Any], here: Curve) -> Curve:
    """Returns the curve of a checkpoint, as its run's readings have framed it; one from before curves has a line.

    Args:
        checkpoint: What was loaded. A class of your own that it names is never imported: it must be that of ``here``.
        here: The module's.
    """
    record = checkpoint.get("curve")
    return Line() if record is None else from_record(record, [type(here)])


def names_text(names: Sequence[str] | None) -> str | None:
    """Returns the names of instruments as a checkpoint holds them, in one JSON text; None for one without a name.

    ``torch.load`` takes 0.3 s for a list of 100 000, and 7 ms for their text, which it takes a quarter to save as well.
    """
    return None if names is None else json.dumps(list(names), ensure_ascii=False)


def names_in(checkpoint: dict[str, Any]) -> list[str] | None:
    """Returns the names of a checkpoint's instruments, in the order of w and b; None where there is one without a name.

    Args:
        checkpoint: What was loaded; an earlier version's has a list.

    Raises:
        InputError: If it has several instruments, but not the name of each.
    """
    names, instruments = checkpoint.get("instruments"), len(checkpoint["state_dict"]["w"])
    if isinstance(names, str):
        with suppress(ValueError, RecursionError):  # what isn't JSON is refused below
            names = json.loads(names)
    if names is None and instruments == 1:
        return None
    if isinstance(names, list) and len(names) == len({str(name) for name in names}) == instruments:
        return [str(name) for name in names]
    came = "none, as from an earlier version" if names is None else "others"
    raise InputError(
        Setting("ckpt_path"),
        f": expected a checkpoint with the names of its {count(instruments)} instruments, but got {came}; fit again",
    )


def reshape_states(optimizers: Sequence[Optimizer]) -> None:
    """Gives what optimisers remember of each parameter, such as a momentum of before curves, the parameter's shape."""
    for optimizer in optimizers:
        for parameter, state in optimizer.state.items():
            for name, value in state.items():
                if isinstance(value, Tensor) and value.ndim and value.numel() == parameter.numel():
                    state[name] = value.reshape(parameter.shape)


def refuse_another_fit(names: Sequence[str] | None, here: Sequence[str] | None, *, same_normalization: bool) -> None:
    """Refuses to go on from a checkpoint with readings of other instruments, or seen through another normalisation.

    Args:
        names: Of the checkpoint's instruments.
        here: Of the readings' instruments.
        same_normalization: Whether both are normalised alike.

    Raises:
        InputError: For each of them.
    """
    if names is not None and names != here:
        raise InputError(
            Setting("instrument"),
            ": expected those of the checkpoint's run, but these readings are of others; "
            "name the column and the table that it had, or start a new fit",
        )
    if not same_normalization:
        raise InputError(
            Setting("normalization"),
            ": expected that of the checkpoint's run, but these readings are normalised "
            "differently; leave it out, with the split and the missing values as they were, or start a new fit",
        )


def refuse_another_curve(before: Curve, here: Curve) -> None:
    """Refuses to go on from a checkpoint with another curve.

    Args:
        before: The checkpoint's.
        here: The module's.

    Raises:
        InputError: If they differ.
    """
    if before != here:
        raise InputError(
            Setting("curve"),
            f": expected that of the checkpoint's run, {before!r}, but got {here!r}; leave it out, or start a new fit",
        )

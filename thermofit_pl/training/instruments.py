"""Which instrument a reading is of, where there are several: what a checkpoint, a table and a batch say of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from thermofit_pl.errors import InputError, Setting
from thermofit_pl.formatting import count
from thermofit_pl.tables.labels import UNKNOWN, index_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thermofit_pl.tables.table import Table

Lookup = Callable[["NDArray[np.int64] | NDArray[np.float64]"], Tensor]


def names_in(checkpoint: dict[str, Any]) -> list[str] | None:
    """Returns the names of a checkpoint's instruments, in the order of w and b; None where there is one without a name.

    Args:
        checkpoint: What was loaded.

    Raises:
        InputError: If it has several instruments, but not the name of each.
    """
    names, instruments = checkpoint.get("instruments"), len(checkpoint["state_dict"]["w"])
    if names is None and instruments == 1:
        return None
    if isinstance(names, list) and len(names) == len({str(name) for name in names}) == instruments:
        return [str(name) for name in names]
    came = "none, as from an earlier version" if names is None else "others"
    raise InputError(
        Setting("ckpt_path"),
        f": expected a checkpoint with the names of its {count(instruments)} instruments, but got {came}; fit again",
    )


def lookup(table: Table, known: Sequence[str] | None) -> Lookup | None:
    """Returns what turns a table's own indices of instruments into those of a module; None where both have one.

    Args:
        table: Gives the indices.
        known: The names of the module's instruments, in their order; None for one without a name.

    Raises:
        InputError: If one of the two has names of instruments, and the other none.
    """
    if known is None and table.instruments() is None:
        return None
    if known is None:
        raise InputError(
            Setting("instrument"),
            ", ",
            Setting("indication"),
            ": expected one column of indications and no instruments, since the "
            "checkpoint is of one that has no name, but got several; name one column, and as ",
            Setting("instrument"),
            " null",
        )
    if table.instruments() is None:
        raise InputError(
            Setting("instrument"),
            f": expected the column with the name of each reading's instrument, since the checkpoint "
            f"is of {count(len(known))}, but got none; name it, or a column for each, as in ",
            Setting("indication", "probe_*"),
        )
    places = np.full(1, UNKNOWN)  # the last is that of a reading without a name

    def look_up(codes: NDArray[np.int64] | NDArray[np.float64]) -> Tensor:
        nonlocal places
        met = table.instruments() or []
        if len(met) >= len(places):
            places = np.concatenate([places[:-1], index_of(met[len(places) - 1 :], known), places[-1:]])
        return torch.from_numpy(places[np.nan_to_num(codes, nan=UNKNOWN).astype(np.int64)])

    return look_up


def checked(instrument: Tensor | None, indication: Tensor, instruments: int) -> Tensor:
    """Returns the instruments of some readings, once they are what they must be.

    Args:
        instrument: Index of each reading's, from 0, or ``UNKNOWN``.
        indication: The indications.
        instruments: How many there are.

    Raises:
        InputError: There is no index, or not a whole number from ``UNKNOWN`` for each indication.
    """
    wanted = f"expected indications and the index of each one's instrument, of {count(instruments)}"
    advice = "give a tensor of whole numbers of the indications' shape, as CalibrationModule.index makes it of names"
    if instrument is None:
        raise InputError(f"{wanted}, but got indications alone; {advice}")
    if instrument.dtype not in (torch.int64, torch.int32, torch.int16, torch.int8):
        raise InputError(f"{wanted}, but got {instrument.dtype}; {advice}")
    if instrument.shape != indication.shape:
        shapes = f"{tuple(instrument.shape)} for {tuple(indication.shape)}"
        raise InputError(f"{wanted}, but got an index of shape {shapes}; {advice}")
    if instrument.numel():
        low, high = instrument.aminmax()
        if low < UNKNOWN or high >= instruments:
            raise InputError(f"{wanted}, but got one from {int(low)} to {int(high)}; {UNKNOWN} stands for none of them")
    return instrument.long()

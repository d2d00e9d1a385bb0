"""Whose readings they are, where there are several instruments: what a table and a batch say of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from thermofit_pl.errors import InputError, Setting
from thermofit_pl.formatting import count
from thermofit_pl.metrics.moments import trained
from thermofit_pl.tables.labels import UNKNOWN, index_of
from thermofit_pl.training.loaders import Batch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thermofit_pl.curves.base import Curve
    from thermofit_pl.tables.table import Table
    from thermofit_pl.training.normalization import Normalization

Lookup = Callable[["NDArray[np.int64] | NDArray[np.float64]"], Tensor]


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


def readings_of(batch: Sequence[Tensor], instruments: Sequence[str] | None) -> tuple[Tensor, ...]:
    """Returns raw readings out of a loader's batch, with the index of each one's instrument where there are several.

    Args:
        batch: Indications and references of one shape, and that index.
        instruments: The names of the instruments; None for one without a name.

    Raises:
        InputError: The shapes differ, for they would broadcast to readings that nobody took, or the index is wrong.
    """
    indication, reference, *more = batch
    if indication.shape != reference.shape:
        raise InputError(
            f"Expected indications and references of one shape, but got {tuple(indication.shape)} beside "
            f"{tuple(reference.shape)}; make both (N,)"
        )
    if instruments is None:
        return indication, reference
    return indication, reference, checked(more[0] if more else None, indication, len(instruments))


def mini_batch(
    batch: Sequence[Tensor], instruments: Sequence[str] | None, curve: Curve, normalization: Normalization
) -> Batch:
    """Returns a loader's batch of raw readings, normalised; of several instruments, so that each is its own mean.

    Args:
        batch: As ``readings_of`` takes it.
        instruments: Likewise.
        curve: Whose features are normalised.
        normalization: How.

    Raises:
        InputError: As ``readings_of``, and for readings of unknown instruments.
    """
    indication, reference, *index = readings_of(batch, instruments)
    features, reference = trained(curve, indication, reference)
    link = curve if curve.linked else None
    if not index:
        return Batch(normalization.of_features(features), reference, curve=link)
    if (index[0] < 0).any():
        raise InputError("Expected readings of known instruments to train on, but got the index −1; leave such out.")
    weight = 1 / torch.bincount(index[0]).to(reference)[index[0]]
    return Batch(normalization.of_features(features, index[0]), reference, index[0], weight, link)

"""The factor of readings, by modified Gram–Schmidt: of one instrument's by dot products, of a fleet's by sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FloatArray = NDArray[np.float64]

# Readings that are formed at once on a CPU: columns of this length stay in a core's second-level cache, and BLAS takes
# one thread for up to 10,000 numbers, while threads of its own would fight with those that read the table.
CHUNK = 9_984
FAR = 1_000  # ranges of a feature from zero, beyond which its own digits are saved by an origin
FEW = 1_000  # readings, of which the mean reference is taken twice, to the last bit: normalised, it is b


def origin_of(features: Sequence[Any]) -> tuple[float, ...]:
    """Returns what is to be taken off each feature before it is added up: 0 unless it is far from zero.

    Args:
        features: Of the first readings, each of shape ``(N,)``, NumPy arrays or tensors.
    """
    means = [(float(each.mean()), float(each.max()) - float(each.min())) for each in features]
    return tuple(mean if abs(mean) > FAR * spread else 0.0 for mean, spread in means)


def form(
    columns: Sequence[Any],
    weight: Any,
    count: Any,
    total: Callable[[Any, Any], Any],
    spread: Callable[[Any], Any],
    room: Sequence[Any],
    library: ModuleType,
) -> list[Any]:
    """Returns the packed factor by modified Gram–Schmidt: numbers, or arrays of one number an instrument.

    Args:
        columns: 1, the features and the reference, each of shape ``(N,)``.
        weight: Of each reading, shape ``(N,)``; None weighs all alike.
        count: Number of readings, where they weigh alike, and it is known.
        total: Sums the products of two columns over each instrument's readings.
        spread: Returns, of one number an instrument, that of each reading's instrument.
        room: As many columns as there are, and two more, to work in.
        library: NumPy, or torch.
    """
    q, packed = len(columns), []
    weighted, product = room[q], room[q + 1]
    for k in range(q):
        column = room[k] if k else columns[0]
        by_weight = column if weight is None else library.multiply(weight, column, out=weighted)
        d = count if k == 0 and count is not None else total(by_weight, column)
        packed.append(d)
        safe = (d or 1.0) if isinstance(d, float) else library.where(d > 0, d, 1.0)
        for j in range(k + 1, q):
            r = total(by_weight, room[j] if k else columns[j]) / safe
            if k:
                library.subtract(room[j], library.multiply(column, spread(r), out=product), out=room[j])
            else:  # the mean first, while that is exact or nearly so
                library.subtract(columns[j], spread(r), out=room[j])
                if j == q - 1 and len(column) <= FEW:
                    r = r + total(by_weight, room[j]) / safe
                    library.subtract(columns[j], spread(r), out=room[j])
            packed.append(r)
    return packed


def of_columns(columns: Sequence[FloatArray], weight: FloatArray | None = None) -> list[list[float]]:
    """Returns what is kept of one instrument's readings on a CPU: a list a chunk of at most ``CHUNK`` readings.

    Each list has the packed factor, then the number of readings, the sum of their weights and that of the squares.

    Args:
        columns: The features and the reference, each of shape ``(N,)``.
        weight: Of each reading, shape ``(N,)``; None weighs all alike.
    """
    q, n = len(columns) + 1, len(columns[-1])
    length = min(n, CHUNK if q == 3 else max(1024, 4 * CHUNK // (q + 2) // 64 * 64))
    room, ones, parts = list(np.empty((q + 2, length))), np.ones(length), []

    def dot(a: FloatArray, b: FloatArray) -> float:
        return float(a.dot(b))

    for first in range(0, n, length):
        cut = [column[first : first + length] for column in columns]
        count = len(cut[-1])
        own = None if weight is None else weight[first : first + length]
        alike = float(count) if own is None else None
        if count < length:
            room, ones = [each[:count] for each in room], ones[:count]
        packed = form([ones, *cut], own, alike, dot, _as_it_is, room, np)
        sums = [float(count)] * 2 if own is None else [float(own.sum()), dot(own, own)]
        parts.append([*packed, float(count), *sums])
    return parts


class Workspace:
    """Columns to work in, which stay for the next readings: fresh memory costs as much as the sums that it is for."""

    def __init__(self) -> None:
        self._columns = np.empty((0, 0))

    def columns(self, count: int, length: int) -> list[FloatArray]:
        """Returns so many columns, of undefined content and shape ``(length,)``."""
        if count > self._columns.shape[0] or length > self._columns.shape[1]:
            self._columns = np.empty((count, length))
        return list(self._columns[:count, :length])


def of_instruments(
    columns: Sequence[Tensor],
    weight: Tensor | None,
    instrument: Tensor | None,
    instruments: int,
    workspace: Workspace | None = None,
) -> Tensor:
    """Returns what is kept of readings of several instruments, or on a card, shape ``(instruments, k + 3)``.

    Args:
        columns: The features and the reference, each of shape ``(N,)``, float64.
        weight: Of each reading, shape ``(N,)``; None weighs all alike.
        instrument: Index of each reading's instrument, shape ``(N,)``; None where there is one.
        instruments: How many there are.
        workspace: To work in, on a CPU; None takes one for the time.
    """
    on_card = columns[-1].device.type != "cpu"
    library: ModuleType = torch if on_card else np
    codes = None if instrument is None else instrument if on_card else instrument.numpy()
    sources = [column if on_card else column.numpy() for column in columns]
    own = None if weight is None else weight if on_card else weight.numpy()
    ones = library.ones_like(sources[-1])
    size = len(sources) + 5
    room = (
        [library.empty_like(ones) for _ in range(size)]
        if on_card
        else (workspace or Workspace()).columns(size, len(ones))
    )

    def total(a: Any, b: Any) -> Any:
        if codes is None:
            return a.dot(b)[None]
        product = b if a is ones else a if b is ones else library.multiply(a, b, out=room[-1])
        if on_card:
            return product.new_zeros(instruments).index_add_(0, codes, product)
        return np.bincount(codes, product, instruments)

    def spread(r: Any) -> Any:
        if codes is None:
            return r
        # of codes that are in range, "clip" changes nothing; NumPy would take a copy of `out` without it
        return r.index_select(0, codes) if on_card else r.take(codes, out=room[-2], mode="clip")

    packed = form([ones, *sources], own, None, total, spread, room, library)
    count = packed[0] if own is None else total(ones, ones)
    sums = [count, count] if own is None else [total(own, ones), total(own, own)]
    return torch.stack([torch.as_tensor(each) for each in (*packed, count, *sums)], dim=-1)


def ends_of(indication: Tensor, instrument: Tensor | None, instruments: int) -> tuple[Tensor, Tensor]:
    """Returns each instrument's smallest and largest indication, shape ``(instruments,)``.

    Args:
        indication: Shape ``(N,)``.
        instrument: Index of each reading's instrument, shape ``(N,)``; None where there is one.
        instruments: How many there are.
    """
    if instrument is None:
        low, high = indication.aminmax()
        return low[None], high[None]
    low, high = (indication.new_full((instruments,), end) for end in (torch.inf, -torch.inf))
    if indication.device.type == "cpu":  # NumPy takes half of torch's time
        np.minimum.at(low.numpy(), instrument.numpy(), indication.numpy())
        np.maximum.at(high.numpy(), instrument.numpy(), indication.numpy())
    else:
        low.scatter_reduce_(0, instrument, indication, "amin")
        high.scatter_reduce_(0, instrument, indication, "amax")
    return low, high


def _as_it_is(r: Any) -> Any:
    return r

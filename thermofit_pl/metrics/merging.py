"""Factors of two sets of readings become that of both, by root-free Givens rotations: all terms are positive."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thermofit_pl.metrics.packing import size_of, starts_of

# Instruments that are merged at once on a CPU: what is worked in stays in the cache, half the time for 1e5 of them.
STRIP = 8_192


def include(packed: list[Any], row: list[Any], weight: Any, library: ModuleType, first: int = 0) -> None:
    """Adds one weighted row to a factor by a root-free Givens rotation, in place.

    Args:
        packed: The factor's numbers, each of any shape.
        row: As many entries as the factor has columns.
        weight: Of the row.
        library: NumPy, or torch.
        first: The row's first entry that isn't zero.
    """
    q = len(row)
    starts = starts_of(q)
    for k in range(first, q):
        x, before, origin = row[k], packed[starts[k]], starts[k] - k
        by_weight = weight * x
        d = packed[starts[k]] = before + by_weight * x
        if k == q - 1:
            return
        known = d > 0
        safe = library.where(known, d, 1.0)
        gain = by_weight / safe
        weight = library.where(known, weight * (before / safe), weight)
        for j in range(k + 1, q):
            row[j] = row[j] - x * packed[origin + j]
            packed[origin + j] = packed[origin + j] + gain * row[j]  # keep·R + gain·row would lose a digit


def merge(first: Any, second: Any) -> Any:
    """Returns what is kept of two sets of readings together: the factors merged, and the sums added.

    Args:
        first: Shape ``(..., k + 3)``, NumPy arrays or tensors.
        second: Likewise.
    """
    numbers = first.shape[-1]
    if isinstance(first, np.ndarray) and first.size > STRIP * numbers:
        whole = np.empty(first.shape)
        rows = [each.reshape(-1, numbers) for each in (whole, first, second)]
        for start in range(0, len(rows[0]), STRIP):
            into, *parts = (each[start : start + STRIP] for each in rows)
            into[:] = merge(*parts)
        return whole
    q = size_of(numbers - 3)
    starts, library = starts_of(q), np if isinstance(first, np.ndarray) else torch
    packed, rows = ([each[..., i] for i in range(numbers)] for each in (first, second))
    sums = [packed[i] + rows[i] for i in (-3, -2, -1)]
    for i in range(q):
        row = [0.0] * i + [1.0] + [rows[starts[i] + j] for j in range(1, q - i)]
        include(packed, row, rows[starts[i]], library, i)
    return library.stack([*packed[:-3], *sums], -1)


def merge_all(parts: Tensor, before: Tensor | None = None) -> Tensor:
    """Returns what is kept of all parts together, shape ``(instruments, k + 3)``.

    Args:
        parts: What is kept of each, shape ``(parts, instruments, k + 3)``.
        before: What is kept of further readings, shape ``(instruments, k + 3)``.
    """
    on_cpu = parts.device.type == "cpu"
    left: Any = parts.numpy() if on_cpu else parts  # a third of torch's time where there are few instruments
    join = np.concatenate if on_cpu else torch.cat
    while len(left) > 1:
        odd = left[-1:] if len(left) % 2 else left[:0]
        even = len(left) - len(odd)
        left = join([merge(left[0:even:2], left[1:even:2]), odd])
    merged = left[0]
    if before is not None:
        merged = merge(before.numpy() if on_cpu else before, merged)
    return torch.as_tensor(merged)

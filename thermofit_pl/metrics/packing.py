"""How a factor's numbers lie: row by row, with D in the place of R's ones."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

TINY = torch.finfo(torch.float64).tiny


def size_of(packed: int) -> int:
    """Returns q, the number of columns, of a factor of so many numbers."""
    return (math.isqrt(8 * packed + 1) - 1) // 2


def numbers_of(features: int) -> int:
    """Returns how many numbers the factor of so many features has."""
    return (features + 2) * (features + 3) // 2


@cache
def starts_of(q: int) -> list[int]:
    """Returns where each of q rows starts among the packed numbers."""
    return [i * q - i * (i - 1) // 2 for i in range(q)]


def entry(packed: Tensor, i: int, j: int) -> Tensor:
    """Returns one number of each factor, shape ``(...)``: R's in row i and column j ≥ i, and D's where they are one."""
    return packed[..., starts_of(size_of(packed.shape[-1]))[i] + j - i]


def unpack(packed: Tensor) -> tuple[Tensor, Tensor]:
    """Returns D, shape ``(..., q)``, and R, shape ``(..., q, q)``."""
    q = size_of(packed.shape[-1])
    rows, columns = torch.triu_indices(q, q, device=packed.device)
    r = packed.new_zeros(*packed.shape[:-1], q, q)
    r[..., rows, columns] = packed
    d = r.diagonal(dim1=-2, dim2=-1).clone()
    r.diagonal(dim1=-2, dim2=-1).fill_(1.0)
    return d, r


def pack(d: Tensor, r: Tensor) -> Tensor:
    """Returns the packed factor of D and R."""
    q = d.shape[-1]
    rows, columns = torch.triu_indices(q, q, device=d.device)
    whole = r.clone()
    whole.diagonal(dim1=-2, dim2=-1).copy_(d)
    return whole[..., rows, columns]


def eye(like: Tensor) -> Tensor:
    """Returns as many unit matrices as there are matrices."""
    return torch.eye(like.shape[-1], dtype=like.dtype, device=like.device).expand(like.shape)

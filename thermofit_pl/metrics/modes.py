"""How fast SGD goes in each direction: the eigenvalues and eigenvectors of the loss's Hessian."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from thermofit_pl.metrics.packing import TINY, eye, unpack

SWEEPS = 30  # of Jacobi's rotations: twelve columns took nine at most


def root(packed: Tensor, factor: Tensor) -> Tensor:
    """Returns √(factor · D) R of the columns 1 and φ, a square root of the Hessian where the factor is 2/Σω.

    Args:
        packed: Shape ``(instruments, k)``.
        factor: Shape ``(instruments,)``.

    Returns:
        Upper triangular, shape ``(instruments, p + 1, p + 1)``.
    """
    d, r = unpack(packed)
    return r[..., :-1, :-1] * (factor[..., None] * d[..., :-1]).sqrt()[..., None]


def modes(packed: Tensor, total: Tensor, free: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Returns the eigenvalues of the loss's Hessian in the free coefficients, largest first, and its eigenvectors.

    The Hessian is AᵀA with A = √(2 D/Σω) R. Jacobi's rotations of A's columns keep the digits of a small eigenvalue,
    which an eigendecomposition of AᵀA loses (Demmel and Veselić 1992).

    Args:
        packed: Shape ``(instruments, k)``.
        total: Sum of the weights, shape ``(instruments,)``.
        free: The coefficients that are fitted.

    Returns:
        Shapes ``(instruments, f)`` and ``(instruments, f, f)``, an eigenvector a column.
    """
    scaled = root(packed, 2 / total.clamp(min=TINY))
    # instruments last, where sums over a column's few entries run along whole arrays
    columns = [scaled[..., j].movedim(-1, 0).contiguous() for j in free]
    vectors = list(eye(scaled.new_empty(len(total), len(columns), len(columns))).permute(2, 1, 0).contiguous())
    for _ in range(SWEEPS):
        largest = 0.0
        for i in range(len(columns)):
            for j in range(i + 1, len(columns)):
                largest = max(largest, _rotate(columns, vectors, i, j))
        if largest <= 4 * torch.finfo(torch.float64).eps:
            break
    values = torch.stack([column.square().sum(dim=0) for column in columns], dim=-1)
    order = values.argsort(dim=-1, descending=True, stable=True)
    places = order[..., None, :].expand(*order.shape[:-1], len(columns), -1)
    return values.gather(-1, order), torch.stack(vectors).permute(2, 1, 0).gather(-1, places)


def _rotate(columns: list[Tensor], vectors: list[Tensor], i: int, j: int) -> float:
    """Makes two columns orthogonal by a rotation; returns the largest cosine of the angle that was between them."""
    a, b = columns[i], columns[j]
    aa, bb, ab = a.square().sum(dim=0), b.square().sum(dim=0), (a * b).sum(dim=0)
    half = (bb - aa) / 2
    signed = torch.where(half < 0, -ab, ab)
    t = torch.where(ab == 0, 0.0, signed / (half.abs() + torch.hypot(half, ab)).clamp(min=TINY))
    c = 1 / torch.sqrt(1 + t * t)
    s = c * t
    columns[i], columns[j] = c * a - s * b, s * a + c * b
    a, b = vectors[i], vectors[j]
    vectors[i], vectors[j] = c * a - s * b, s * a + c * b
    return float((ab.abs() / (aa * bb).sqrt().clamp(min=TINY)).max()) if len(ab) else 0.0

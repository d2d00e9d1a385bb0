"""The factor of some readings: how it is formed and merged, and what follows from it.

It is the root-free triangular factor of the weighted columns (1, φ_1 … φ_p, reference): Σ ω z zᵀ = Rᵀ diag(D) R for
z = (1, φ, reference), with R unit upper triangular, packed row by row with D on the diagonal: q(q + 1)/2 numbers for
q = p + 2. For a line these are the count, mean indication, mean reference, centred sum of squares of the indication,
least-squares slope, and the sum of squared errors that it leaves. The factor is a data set of q weighted rows that
gives the same least squares as all readings; it merges by terms that are all positive (Gentleman 1974, AS 75), in any
order and in batches of any size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from thermofit_pl.metrics.merging import include
from thermofit_pl.metrics.packing import TINY as TINY
from thermofit_pl.metrics.packing import entry, eye, pack, size_of, unpack

# A column counts as one that the others explain where its square root of D is below this many ε of the column as it
# came: equal numbers have a mean that is off by rounding, measured up to 22 ε; columns of use have 1e7 ε and more.
SOUND = 256 * torch.finfo(torch.float64).eps


def sound(packed: Tensor) -> Tensor:
    """Returns which of the columns 1, φ_1 … φ_p the ones before it don't explain, shape ``(..., p + 1)``."""
    q = size_of(packed.shape[-1])
    found = []
    for j in range(q - 1):
        own = as_it_came = entry(packed, j, j)
        for i in range(j):
            as_it_came = as_it_came + entry(packed, i, i) * entry(packed, i, j).square()
        found.append(own > SOUND**2 * as_it_came)
    return torch.stack(found, dim=-1)


def solve(packed: Tensor) -> Tensor:
    """Returns the coefficients b, w_1 … w_p, shape ``(..., p + 1)``; whether they mean anything, ``sound`` says."""
    q = size_of(packed.shape[-1])
    found: list[Tensor] = []
    for i in reversed(range(q - 1)):  # by hand: a batched solver's rounding costs the intercept half a digit
        last = entry(packed, i, q - 1)
        known = sum((entry(packed, i, i + 1 + j) * w for j, w in enumerate(found)), start=torch.zeros_like(last))
        found.insert(0, last - known)
    return torch.stack(found, dim=-1)


def coefficients(packed: Tensor, known: Tensor, held: Mapping[int, Any], otherwise: Tensor) -> tuple[Tensor, Tensor]:
    """Returns all of w, shape ``(instruments, features)``, and b, shape ``(instruments,)``.

    Args:
        packed: In the coefficients that are fitted, shape ``(instruments, k)``.
        known: Whether the readings tell them, shape ``(instruments,)``; where not, w is 0.
        held: The others, by their number.
        otherwise: What b is where the readings don't tell it, shape ``(instruments,)``.
    """
    found = list(solve(packed).unbind(dim=-1))
    for j in sorted(held):
        found.insert(j, torch.full_like(otherwise, held[j]))
    w = torch.stack(found[1:], dim=-1)
    return torch.where(known[:, None], w, 0.0), torch.where(known, found[0], otherwise)


def spread_of(packed: Tensor, intercept: bool = True) -> Tensor:
    """Returns the upper triangular U with which U Uᵀ is the covariance of w for errors of variance 1.

    Args:
        packed: Shape ``(..., k)``.
        intercept: Whether the factor's first column is that of an intercept, which is left out.
    """
    d, r = unpack(packed)
    first = 1 if intercept else 0
    inner = r[..., first:-1, first:-1]
    inverse: Tensor = torch.linalg.solve_triangular(inner, eye(inner), upper=True, unitriangular=True)
    return inverse / d[..., None, first:-1].sqrt()


def hold(packed: Tensor, values: Mapping[int, Any]) -> Tensor:
    """Returns the factor of the same readings with some coefficients held: their columns leave.

    The rows that are left are triangulated again, as if they were the data; this is exact.

    Args:
        packed: Shape ``(..., k)``.
        values: By coefficient (0 is b, j is w_j) its value, a number or of shape ``(...)``.
    """
    d, r = unpack(packed)
    q = d.shape[-1]
    target = r[..., -1]
    for index, value in values.items():
        target = target - torch.as_tensor(value, dtype=r.dtype, device=r.device)[..., None] * r[..., index]
    kept = [j for j in range(q - 1) if j not in values]
    size = len(kept) + 1
    out: list[Any] = [torch.zeros_like(d[..., 0]) for _ in range(size * (size + 1) // 2)]
    for i in reversed(range(q)):
        include(out, [*(r[..., i, j] for j in kept), target[..., i]], d[..., i], torch)
    return torch.stack(out, dim=-1)


def lower_degrees(packed: Tensor) -> Tensor:
    """Returns the sums of squared errors that b and the first 0, 1 … p features leave, shape ``(..., p + 1)``."""
    q = size_of(packed.shape[-1])
    left = [packed[..., -1]]
    for i in reversed(range(1, q - 1)):
        left.insert(0, left[0] + entry(packed, i, i) * entry(packed, i, q - 1).square())
    return torch.stack(left, dim=-1)


def transform(packed: Tensor, offset: Tensor, scale: Tensor) -> Tensor:
    """Returns the factor of the same readings with the features φ replaced by (φ − offset) · scale.

    Args:
        packed: Shape ``(..., k)``.
        offset: Shape ``(..., p)``.
        scale: Upper triangular, with a diagonal that isn't zero, shape ``(..., p, p)``.
    """
    d, r = unpack(packed)
    features = r[..., :-1, 1:-1].clone()
    features[..., 0, :] -= offset  # first, while that is exact or nearly so
    r[..., :-1, 1:-1] = features @ scale
    own = r.diagonal(dim1=-2, dim2=-1).clone()
    return pack(d * own.square(), r / own[..., None])


def whitening(packed: Tensor, total: Tensor, means: Tensor, free: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Returns the offset and the scale with which the fitted features have mean 0, variance 1 and no correlation.

    A feature whose coefficient is held stays as it is, and so do all where the readings don't tell the coefficients.
    Where the intercept is held, features are scaled about zero.

    Args:
        packed: In the coefficients that are fitted, shape ``(instruments, k)``.
        total: Sum of the weights, shape ``(instruments,)``.
        means: Mean of each feature, shape ``(instruments, features)``.
        free: The coefficients that are fitted.

    Returns:
        Shapes ``(instruments, features)`` and ``(instruments, features, features)``, upper triangular.
    """
    offset = torch.zeros_like(means)
    scale = torch.diag_embed(torch.ones_like(means))
    columns = torch.tensor([j - 1 for j in free if j > 0], device=means.device)
    if len(columns):
        intercept = 0 in free
        if intercept:
            offset[:, columns] = means[:, columns]
        known = sound(packed).all(dim=-1)[:, None, None]
        safe = torch.where(known[:, 0], packed, torch.ones_like(packed))
        of = spread_of(safe, intercept) * total.sqrt()[:, None, None]
        scale[:, columns[:, None], columns] = torch.where(known, of, scale[:, columns[:, None], columns])
    return offset, scale

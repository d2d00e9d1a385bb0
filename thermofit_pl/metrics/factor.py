"""The factor of some readings: how it is formed and merged, and what follows from it.

It is the root-free triangular factor of the weighted columns (1, φ_1 … φ_p, reference): Σ ω z zᵀ = Rᵀ diag(D) R for
z = (1, φ, reference), with R unit upper triangular, packed row by row with D on the diagonal: q(q + 1)/2 numbers for
q = p + 2. For a line these are the count, mean indication, mean reference, centred sum of squares of the indication,
least-squares slope, and the sum of squared errors that it leaves. The factor is a data set of q weighted rows that
gives the same least squares as all readings; it merges by terms that are all positive (Gentleman 1974, AS 75), in any
order and in batches of any size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
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
# A column counts as one that the others explain where its square root of D is below this many ε of the column as it
# came: equal numbers have a mean that is off by rounding, measured up to 22 ε; columns of use have 1e7 ε and more.
SOUND = 256 * torch.finfo(torch.float64).eps
TINY = torch.finfo(torch.float64).tiny
FEW = 1_000  # readings, of which the mean reference is taken twice, to the last bit: normalised, it is b
SWEEPS = 30  # of Jacobi's rotations: twelve columns took nine at most


def size_of(packed: int) -> int:
    """Returns q, the number of columns, of a factor of so many numbers."""
    return (math.isqrt(8 * packed + 1) - 1) // 2


def numbers_of(features: int) -> int:
    """Returns how many numbers the factor of so many features has."""
    return (features + 2) * (features + 3) // 2


@cache
def _starts(q: int) -> list[int]:
    """Where each row starts among the packed numbers."""
    return [i * q - i * (i - 1) // 2 for i in range(q)]


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


def of_instruments(
    columns: Sequence[Tensor], weight: Tensor | None, instrument: Tensor | None, instruments: int
) -> Tensor:
    """Returns what is kept of readings of several instruments, or on a card, shape ``(instruments, k + 3)``.

    Args:
        columns: The features and the reference, each of shape ``(N,)``, float64.
        weight: Of each reading, shape ``(N,)``; None weighs all alike.
        instrument: Index of each reading's instrument, shape ``(N,)``; None where there is one.
        instruments: How many there are.
    """
    on_card = columns[-1].device.type != "cpu"
    library: ModuleType = torch if on_card else np
    codes = None if instrument is None else instrument if on_card else instrument.numpy()
    sources = [column if on_card else column.numpy() for column in columns]
    own = None if weight is None else weight if on_card else weight.numpy()
    ones = library.ones_like(sources[-1])
    room = [library.empty_like(ones) for _ in range(len(sources) + 3)]

    def total(a: Any, b: Any) -> Any:
        if codes is None:
            return a.dot(b)[None]
        product = b if a is ones else a if b is ones else library.multiply(a, b, out=room[-1])
        if on_card:
            return product.new_zeros(instruments).index_add_(0, codes, product)
        return np.bincount(codes, product, instruments)

    def spread(r: Any) -> Any:
        return r if codes is None else r.index_select(0, codes) if on_card else r.take(codes)

    packed = form([ones, *sources], own, None, total, spread, room, library)
    count = packed[0] if own is None else total(ones, ones)
    sums = [count, count] if own is None else [total(own, ones), total(own, own)]
    return torch.stack([torch.as_tensor(each) for each in (*packed, count, *sums)], dim=-1)


def _as_it_is(r: Any) -> Any:
    return r


def _include(packed: list[Any], row: list[Any], weight: Any, library: ModuleType, first: int = 0) -> None:
    """Adds one weighted row to a factor by a root-free Givens rotation, in place.

    Args:
        packed: The factor's numbers, each of any shape.
        row: As many entries as the factor has columns.
        weight: Of the row.
        library: NumPy, or torch.
        first: The row's first entry that isn't zero.
    """
    q = len(row)
    starts = _starts(q)
    for k in range(first, q):
        x, before, origin = row[k], packed[starts[k]], starts[k] - k
        by_weight = weight * x
        d = packed[starts[k]] = before + by_weight * x
        known = d > 0
        safe = library.where(known, d, 1.0)
        gain = by_weight / safe
        if k < q - 1:
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
    q = size_of(first.shape[-1] - 3)
    starts, library = _starts(q), np if isinstance(first, np.ndarray) else torch
    packed, rows = ([each[..., i] for i in range(each.shape[-1])] for each in (first, second))
    sums = [packed[i] + rows[i] for i in (-3, -2, -1)]
    for i in range(q):
        row = [0.0] * i + [library.ones_like(rows[0])] + [rows[starts[i] + j] for j in range(1, q - i)]
        _include(packed, row, rows[starts[i]], library, i)
    return library.stack([*packed[:-3], *sums], -1)


def merge_all(parts: Tensor) -> Tensor:
    """Returns what is kept of all parts together, shape ``(instruments, k + 3)``.

    Args:
        parts: What is kept of each, shape ``(parts, instruments, k + 3)``.
    """
    on_cpu = parts.device.type == "cpu"
    left: Any = parts.numpy() if on_cpu else parts  # a third of torch's time where there are few instruments
    join = np.concatenate if on_cpu else torch.cat
    while len(left) > 1:
        odd = left[-1:] if len(left) % 2 else left[:0]
        even = len(left) - len(odd)
        left = join([merge(left[0:even:2], left[1:even:2]), odd])
    return torch.as_tensor(left[0])


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


def sound(packed: Tensor) -> Tensor:
    """Returns which of the columns 1, φ_1 … φ_p the ones before it don't explain, shape ``(..., p + 1)``."""
    d, r = unpack(packed)
    as_they_came = (d[..., :, None] * r * r).sum(dim=-2)
    return (d > SOUND**2 * as_they_came)[..., :-1]


def solve(packed: Tensor) -> Tensor:
    """Returns the coefficients b, w_1 … w_p, shape ``(..., p + 1)``; whether they mean anything, ``sound`` says."""
    _, r = unpack(packed)
    found: list[Tensor] = []
    for i in reversed(range(r.shape[-1] - 1)):  # by hand: a batched solver's rounding costs the intercept half a digit
        known = sum((r[..., i, i + 1 + j] * w for j, w in enumerate(found)), start=torch.zeros_like(r[..., i, -1]))
        found.insert(0, r[..., i, -1] - known)
    return torch.stack(found, dim=-1)


def spread_of(packed: Tensor, intercept: bool = True) -> Tensor:
    """Returns the upper triangular U with which U Uᵀ is the covariance of w for errors of variance 1.

    Args:
        packed: Shape ``(..., k)``.
        intercept: Whether the factor's first column is that of an intercept, which is left out.
    """
    d, r = unpack(packed)
    first = 1 if intercept else 0
    inner = r[..., first:-1, first:-1]
    inverse: Tensor = torch.linalg.solve_triangular(inner, _eye(inner), upper=True, unitriangular=True)
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
        _include(out, [*(r[..., i, j] for j in kept), target[..., i]], d[..., i], torch)
    return torch.stack(out, dim=-1)


def lower_degrees(packed: Tensor) -> Tensor:
    """Returns the sums of squared errors that b and the first 0, 1 … p features leave, shape ``(..., p + 1)``."""
    d, r = unpack(packed)
    gains = d[..., 1:-1] * r[..., 1:-1, -1].square()  # of each feature
    left = torch.cat([d[..., -1:], gains.flip(-1)], dim=-1)
    return left.cumsum(dim=-1).flip(-1)


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


def whitening(packed: Tensor, total: Tensor, intercept: bool = True) -> tuple[Tensor, Tensor]:
    """Returns the scale with which features have variance 1 and no correlation, about their means if b is fitted.

    Args:
        packed: Shape ``(instruments, k)``.
        total: Sum of the weights, shape ``(instruments,)``.
        intercept: Whether the factor's first column is that of an intercept.

    Returns:
        Whether the readings tell it, shape ``(instruments,)``, and the scale, upper triangular.
    """
    known = sound(packed).all(dim=-1)
    safe = torch.where(known[:, None], packed, torch.ones_like(packed))
    return known, spread_of(safe, intercept) * total.sqrt()[:, None, None]


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
    d, r = unpack(packed)
    scaled = r[..., :-1, :-1] * (2 * d[..., :-1] / total.clamp(min=TINY)[..., None]).sqrt()[..., None]
    # instruments last, where sums over a column's few entries run along whole arrays
    columns = [scaled[..., j].movedim(-1, 0).contiguous() for j in free]
    vectors = list(_eye(scaled.new_empty(len(total), len(columns), len(columns))).permute(2, 1, 0).contiguous())
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


def _eye(like: Tensor) -> Tensor:
    return torch.eye(like.shape[-1], dtype=like.dtype, device=like.device).expand(like.shape)

"""The mean squared error of any curve, and its mean error, from the factor."""

from __future__ import annotations

from torch import Tensor

from thermofit_pl.metrics.packing import TINY


def mean_error(factor: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """Returns the (weighted) mean of estimate − reference under a curve, shape ``(..., instruments)`` [°C].

    Args:
        factor: Packed, shape ``(instruments, k)``.
        w: Shape ``(..., instruments, features)``.
        b: Shape ``(..., instruments)`` [°C].
    """
    features = w.shape[-1]
    return (w.double() * factor[:, 1 : features + 1]).sum(dim=-1) + b.double() - factor[:, features + 1]


def mse(factor: Tensor, total: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """Returns the (weighted) mean squared error [°C²] of a curve, shape ``(..., instruments)``.

    It is the least there can be, plus what each row of the factor adds: positive terms. Autograd differentiates it.

    Args:
        factor: Packed, shape ``(instruments, k)``.
        total: Sum of the weights, shape ``(instruments,)``; an instrument without readings has 0, and the error 0.
        w: Shape ``(..., instruments, features)``.
        b: Shape ``(..., instruments)`` [°C].
    """
    features = w.shape[-1]
    squares, start = factor[:, -1], features + 2
    for i in range(features):
        behind = features - i - 1
        error = w[..., i] - factor[:, start + behind + 1]
        if behind:
            error = error + (w[..., i + 1 :] * factor[:, start + 1 : start + 1 + behind]).sum(dim=-1)
        squares = squares + error.square() * factor[:, start]
        start += behind + 2
    total = total.clamp(min=TINY)
    squares = squares / total + mean_error(factor, w, b).square() * (factor[:, 0] / total)
    return squares.to(w.dtype)

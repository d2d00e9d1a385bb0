"""Passes over the readings: one for most curves, a few for those that are linearised about a solution."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from thermofit_pl.curves.base import Curve
from thermofit_pl.errors import InputError
from thermofit_pl.metrics.least_squares import step
from thermofit_pl.metrics.moments import Moments

STEP = 1e-3  # of a standard uncertainty: a pass that moves the solution by more is followed by another
MOST = 20  # passes; with errors of 5 K, a thermistor takes 3


def needs_another(moments: Moments) -> bool:
    """Whether the solution of a pass is further than ``STEP`` from the one that it was linearised about."""
    return moments.curve.linked and bool((step(moments) > STEP).any())


def solution(moments: Moments) -> Tensor:
    """Returns b and w, shape ``(instruments, coefficients)``, for the next pass to be linearised about."""
    w, b = moments.exact
    return torch.cat([b[:, None], w], dim=-1)


def repeated(make: Callable[[Tensor | None], Moments], name: str = "The readings") -> Moments:
    """Returns the moments of the last pass: for most curves there is one.

    Args:
        make: Forms the moments of all readings, linearised about a solution; of the first pass about none.
        name: What to call the readings.

    Raises:
        InputError: If the passes of one instrument's readings don't settle.
    """
    moments = make(None)
    for _ in range(MOST):
        if not needs_another(moments):
            return moments
        moments = make(solution(moments))
    if len(moments.moments) == 1 and needs_another(moments):
        raise InputError(
            f"{name}: expected readings to which {moments.curve.noun} can be fitted, but after {MOST} passes it still "
            "moves; look at the columns' roles and units, or take another curve"
        )
    return moments


def of_block(curve: Curve, indication: Tensor, reference: Tensor) -> Tensor | None:
    """Returns the solution of one instrument's first readings, to linearise a pass about; None if they have none.

    Args:
        curve: The curve, with its frame.
        indication: Shape ``(N,)``.
        reference: Shape ``(N,)`` [°C].
    """

    def make(about: Tensor | None) -> Moments:
        moments = Moments(1, curve, about)
        moments.update(indication, reference)
        return moments

    try:
        moments = repeated(make)
    except InputError:
        return None
    return solution(moments) if bool(moments.has_curve) else None

"""Passes over the readings: one for most curves, a few for those that are linearised about a solution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from thermofit_pl.curves.base import Curve
from thermofit_pl.errors import InputError
from thermofit_pl.metrics.least_squares import Fit, step
from thermofit_pl.metrics.moments import Moments

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from thermofit_pl.functional.units import Units

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
    refuse_unsettled(moments, name)
    return moments


def refuse_unsettled(moments: Moments, name: str) -> None:
    """Refuses the readings of one instrument whose solution still moves; of a fleet, the others have theirs.

    Raises:
        InputError: If it does.
    """
    if len(moments.moments) == 1 and needs_another(moments):
        raise InputError(
            f"{name}: expected readings to which {moments.curve.noun} can be fitted, but after {MOST} passes it still "
            "moves; look at the columns' roles and units, or take another curve"
        )


def unfit(moments: Moments, units: Units) -> list[tuple[NDArray[np.bool_], str]]:
    """Returns which instruments have a curve that no such sensor has, shape ``(instruments,)``, and how.

    Args:
        moments: Of raw readings, after the last pass.
        units: Of the readings.
    """
    known = moments.has_curve.numpy()
    ends = moments.lowest.numpy(), moments.highest.numpy()
    return [(which & known, how) for which, how in moments.curve.unfit(solution(moments).numpy(), *ends, units)]


def fitted(moments: Moments, fit: Fit, units: Units, name: str = "The readings") -> Fit:
    """Returns a fit without the curves that no such sensor has; of one instrument it refuses that.

    Args:
        moments: Of raw readings, after the last pass.
        fit: Their least-squares curves.
        units: Of the readings.
        name: What to call them.

    Raises:
        InputError: If the one instrument's is such a curve.
    """
    found = unfit(moments, units)
    wrong = torch.zeros_like(moments.has_curve)
    for which, how in found:
        if len(which) == 1 and which[0]:
            raise InputError(f"{name}: {how}")
        wrong = wrong | torch.from_numpy(which)
    if not wrong.any():
        return fit
    w, b = torch.where(wrong[:, None], torch.nan, fit.w), torch.where(wrong, torch.nan, fit.b)
    return replace(fit, w=w, b=b)


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

"""From the moments: the exact curve, its standard uncertainties, and what SGD can do on them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from thermofit_pl.errors import InputError
from thermofit_pl.metrics.factor import TINY, spread_of
from thermofit_pl.metrics.moments import Moments, by_feature
from thermofit_pl.metrics.packing import unpack

COVERAGE_PROBABILITY = 0.95
NUMERALS = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}


@dataclass(frozen=True)
class Fit:
    """The least-squares curve of the reference on the indication, which is taken as exact.

    Each attribute has the shape ``(instruments,)``, unless another is named. Where there are too few readings for a
    number, it is NaN: the coefficients where the readings don't tell them all, the uncertainties with no more readings
    than coefficients. A coefficient that the curve holds has its value, and no uncertainty.

    The standard uncertainty of the curve at features φ is √(u_pivot² + |(φ − pivot) U|²): in this form it keeps the
    digits that the covariance matrix loses on a narrow range.

    Attributes:
        w: Coefficients of the features, shape ``(instruments, features)``; of a line the slope [°C per unit].
        b: Intercept [°C].
        pivot: Mean of each feature, where the curve's level and its w are uncorrelated, shape ``(instruments,
            features)``; 0 where the intercept is held.
        s: Standard deviation of the errors, √(sse/dof) [°C], of weighted ones that of an error of mean weight; 0 where
            they are the rounding of float64.
        u_pivot: Standard uncertainty of the curve at the pivot [°C]; 0 where the intercept is held.
        U: Upper triangular, shape ``(instruments, features, features)``: U Uᵀ is the covariance of w.
        u_w: Standard uncertainty of each w, shape ``(instruments, features)``.
        u_b: Standard uncertainty of the intercept.
        cov_wb: Covariance of each w with b, shape ``(instruments, features)``.
        rmse: Root of the (weighted) mean squared error [°C].
        r_squared: Share of the references' variance that the curve explains.
        n: Number of readings.
        dof: Degrees of freedom, n less the number of coefficients that are fitted.
        below_rounding: Whether the errors are the rounding of float64 alone.
        sound: Whether the readings tell each coefficient that is fitted, b first, shape ``(instruments,
            coefficients)``.
    """

    w: Tensor
    b: Tensor
    pivot: Tensor
    s: Tensor
    u_pivot: Tensor
    U: Tensor
    u_w: Tensor
    u_b: Tensor
    cov_wb: Tensor
    rmse: Tensor
    r_squared: Tensor
    n: Tensor
    dof: Tensor
    below_rounding: Tensor
    sound: Tensor


def least_squares(moments: Moments, absolute: bool = False) -> Fit:
    """Returns the least-squares curve with its standard uncertainties (JCGM 100:2008, Annex H.3).

    Readings are taken as independent; where they are not, ``results.uncertainties`` has what holds.

    Args:
        moments: Of the readings.
        absolute: Whether the weights are 1/u² of stated uncertainties, which are taken as they are: their scale is not
            estimated from the errors.
    """
    curve, n, sse, known = moments.curve, moments.count, moments.sse, moments.has_curve
    intercept = 0 in curve.free
    straight = not (curve.linked or curve.inverted)  # of others, the variation is not that of the references
    nan = torch.full_like(n, torch.nan)
    w, b = moments.exact
    dof = n - len(curve.free)
    below = _below_rounding(moments)
    left = torch.where(below, 0.0, sse)
    told = known & (dof > 0) & ~(below & (dof == 1))  # a single reading on the curve of the others may be chance
    unit = torch.where(told, (left / dof.clamp(min=1)).sqrt(), nan)
    s = unit * (n / moments.total.clamp(min=TINY)).sqrt()
    scale = unit * 0.0 + 1.0 if absolute else unit  # standard deviation of an error of weight 1
    pivot = moments.feature_means.clone() if intercept else torch.zeros_like(w)
    u_pivot = scale / moments.fitted[:, 0].sqrt() if intercept else scale * 0.0
    upper = torch.zeros_like(w)[..., None] * w[:, None, :] + scale[:, None, None] * 0.0
    columns = torch.tensor([j - 1 for j in curve.free if j > 0], dtype=torch.int64)
    if len(columns):
        upper[:, columns[:, None], columns] = spread_of(moments.fitted, intercept) * scale[:, None, None]
    return Fit(
        w=torch.where(known[:, None], w, torch.nan),
        b=torch.where(known, b, nan),
        s=s,
        **covariances(pivot, u_pivot, upper, intercept),
        rmse=torch.where(known, (left / moments.total).sqrt(), nan),
        r_squared=torch.where(known & (moments.variation > 0) & straight, 1 - sse / moments.variation, nan),
        n=n,
        dof=dof.clamp(min=0),
        below_rounding=below,
        sound=moments.sound,
    )


def covariances(pivot: Tensor, u_pivot: Tensor, upper: Tensor, intercept: bool) -> dict[str, Tensor]:
    """Returns what ``Fit`` says of a covariance, by its attributes.

    Args:
        pivot: Shape ``(instruments, features)``.
        u_pivot: Shape ``(instruments,)`` [°C].
        upper: U, shape ``(instruments, features, features)``.
        intercept: Whether b is fitted.
    """
    at_zero = (pivot[:, None, :] @ upper)[:, 0]  # the curve's part at φ = 0, less the level's
    return {
        "pivot": pivot,
        "u_pivot": u_pivot,
        "U": upper,
        "u_w": upper.square().sum(dim=-1).sqrt(),
        "u_b": (u_pivot.square() + at_zero.square().sum(dim=-1)).sqrt() if intercept else u_pivot * 0.0,
        "cov_wb": -(upper @ at_zero[..., None])[..., 0] if intercept else pivot * 0.0 + u_pivot[:, None] * 0.0,
    }


def _below_rounding(moments: Moments) -> Tensor:
    """Whether the errors are within what float64 keeps of numbers of this size."""
    return (moments.sse / moments.total.clamp(min=TINY)).sqrt() <= rounding(moments, *moments.exact)


def rounding(moments: Moments, w: Tensor, b: Tensor) -> Tensor:
    """Returns the rmse up to which the errors of a curve can be rounding, shape ``(instruments,)`` [°C].

    It is four units in the last place of the numbers themselves; or √n of them of what is added up, by which a mean
    drifts that is updated reading by reading.
    """
    w, features = by_feature(w, b), over_range(moments)
    parts, eps = w * features, torch.finfo(torch.float64).eps
    largest = torch.maximum(parts.abs().amax(dim=-1), (parts.sum(dim=-1) + b).abs()).amax(dim=0)
    added = (w * (features - features.new_tensor(moments.origin or 0.0))).abs().amax(dim=(0, -1))
    return eps * torch.maximum(4 * largest, moments.count.sqrt() * added)


def refuse_no_curve(moments: Moments, name: str, column: str = "indication") -> None:
    """Refuses readings that don't tell a curve.

    Args:
        moments: Of the readings of one instrument.
        name: What to call them.
        column: Where the indications stand.

    Raises:
        InputError: If there are fewer than the curve has coefficients, or they don't tell one of them.
    """
    n, curve = int(moments.count), moments.curve
    if n < len(curve.free):
        least = NUMERALS.get(len(curve.free), str(len(curve.free)))
        readings = "reading" if len(curve.free) == 1 else "readings"
        raise InputError(f"{name}: expected at least {least} {readings}, as {curve.noun} needs, but got {n}")
    if bool(moments.has_curve):
        return
    low, high = moments.lowest.item(), moments.highest.item()
    if low == high and len(curve.free) == 2:
        raise InputError(
            f"{name}: expected indications that differ, but all {n} in column '{column}' are "
            f"{low:g}, and no line can be told; take readings at two temperatures at least"
        )
    untold = ("b", *curve.names)[curve.free[int(moments.sound[0].int().argmin())]]
    raise InputError(
        f"{name}: expected readings that tell all {len(curve.free)} coefficients of {curve.noun}, but those in column "
        f"'{column}', from {low:g} to {high:g}, can't tell {untold}; take readings at more temperatures, or choose a "
        "simpler curve"
    )


def stability_limit(moments: Moments) -> Tensor:
    """Returns 2/λmax, shape ``(instruments,)``: the learning rate that plain full-batch SGD must stay below."""
    return 2 / moments.modes()[0][:, 0]


def distance(moments: Moments, w: Tensor, b: Tensor) -> Tensor:
    """Returns the largest distance of a curve from the least-squares curve over the range of the indications.

    Its shape is that of b, ``(..., instruments)``, its unit °C. The curve is given in the features of the moments, as
    SGD sees them if they are normalised.
    """
    exact, level = moments.exact
    change, at_pivot = by_feature(w, b).double() - exact, moments.mean_error(w, b) - moments.mean_error(exact, level)
    away = over_range(moments) - moments.feature_means
    away = away.reshape(len(away), *[1] * (at_pivot.ndim - 1), *away.shape[1:])
    apart = (change * away).sum(dim=-1) + at_pivot
    slope = moments.slopes_of_estimate(_over_range(moments))
    if slope is not None:  # of the levels that is, and to first order of the estimates
        apart = apart * slope.reshape(len(slope), *[1] * (at_pivot.ndim - 1), *slope.shape[1:])
    return apart.abs().amax(dim=0)


def step(moments: Moments) -> Tensor:
    """Returns how far the solution of a pass is from the one that it was linearised about, shape ``(instruments,)``.

    It is in standard uncertainties, of that combination of the coefficients in which it is largest; inf for a first
    pass, and 0 where the readings tell no curve, or where the step is no more than rounding.
    """
    if moments.about is None:
        return torch.where(moments.has_curve, torch.inf, 0.0)
    d, r = unpack(moments.fitted)
    off = (r[..., :-1, :-1] @ moments.about[:, list(moments.curve.free), None])[..., 0] - r[..., :-1, -1]
    further = (d[..., :-1] * off.square()).sum(dim=-1)
    s2 = moments.sse / (moments.count - len(moments.curve.free)).clamp(min=1)
    steps = (further / s2.clamp(min=TINY)).sqrt()
    settled = (further / moments.total.clamp(min=TINY)).sqrt() <= rounding(moments, *moments.exact)
    return torch.where(moments.has_curve & ~settled, steps.nan_to_num(torch.inf), 0.0)


def over_range(moments: Moments) -> Tensor:
    """Returns the features at indications over each instrument's range, shape ``(points, instruments, features)``."""
    return moments.features(_over_range(moments))


def _over_range(moments: Moments) -> Tensor:
    # one feature is furthest at an end; of more, 33 points miss less than a percent between two of them at degree 10
    points = 2 if len(moments.curve.names) == 1 and not moments.curve.linked else 33
    share = torch.linspace(0, 1, points, dtype=torch.float64, device=moments.lowest.device)[:, None]
    indications: Tensor = moments.curve.over(moments.lowest, moments.highest, share)
    return indications


def steps_needed(moments: Moments, distance: Tensor, tolerance: Tensor, learning_rate: float) -> Tensor:
    """Returns how many steps of plain full-batch SGD bring the distance down to the tolerance.

    The forecast is that of the slowest mode, which alone is left after a while: each step multiplies the distance by
    max |1 − lr · λ|. Its shape is ``(instruments,)``; inf where no number of steps will do.

    Args:
        moments: Of the readings as SGD sees them (normalised).
        distance: From the least-squares line now, shape ``(instruments,)`` [°C].
        tolerance: Shape ``(instruments,)`` [°C].
        learning_rate: The optimiser's.
    """
    rate = log_factor(learning_rate * moments.modes()[0]).amax(dim=-1)
    steps = (torch.log(tolerance / distance) / rate).ceil().clamp(min=1)
    return torch.where(distance <= tolerance, 0.0, torch.where((rate < 0) & (tolerance > 0), steps, torch.inf))


def log_factor(rate: Tensor) -> Tensor:
    """Returns log |1 − rate| for 0 ≤ rate, keeping the digits of a small rate."""
    return torch.where(rate < 1, torch.log1p(-rate.clamp(max=1)), torch.log((rate - 1).clamp(min=0)))

"""How well curves do on readings, over all and by instrument: by moments, and by the largest error, with its sign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from thermofit_pl.curves.base import Curve
from thermofit_pl.curves.line import Line
from thermofit_pl.metrics.moments import Moments, by_feature
from thermofit_pl.tables.labels import UNKNOWN


class LargestError(Metric):
    """The estimate − reference that is farthest from zero, with its sign, of each instrument [°C].

    Args:
        instruments: Number of instruments.

    Example:
        >>> LargestError()(torch.tensor([1.0, 4.0, 0.0]), torch.tensor([2.0, 2.0, 3.0]))
        tensor([-3.], dtype=torch.float64)
    """

    full_state_update = False
    higher_is_better = None
    is_differentiable = False
    lowest: Tensor
    highest: Tensor

    def __init__(self, instruments: int = 1, **kwargs: Any) -> None:  # kwargs are torchmetrics' own
        super().__init__(**kwargs)
        infinite = torch.full((instruments,), torch.inf, dtype=torch.float64)
        self.add_state("lowest", infinite, dist_reduce_fx="min")
        self.add_state("highest", -infinite, dist_reduce_fx="max")

    def update(self, preds: Tensor, target: Tensor, instrument: Tensor | None = None) -> None:
        """Adds readings; one without an estimate counts for nothing.

        Args:
            preds: Estimates, shape ``(N,)`` [°C]; NaN where there is none.
            target: Their references, shape ``(N,)`` [°C].
            instrument: Index of each one's instrument, shape ``(N,)``; None where there is one.
        """
        error = preds.detach().double() - target.double()
        index = torch.zeros_like(error, dtype=torch.long) if instrument is None else instrument
        known, index = error[~error.isnan()], index[~error.isnan()]
        self.lowest = self.lowest.scatter_reduce(0, index, known, "amin")
        self.highest = self.highest.scatter_reduce(0, index, known, "amax")

    def compute(self) -> Tensor:
        """Returns the largest error of each instrument, shape ``(instruments,)`` [°C]; NaN without readings."""
        return farther(self.lowest, self.highest)


@dataclass(frozen=True)
class InstrumentScores:
    """How well each instrument's curve does on its own readings; tensors of shape ``(instruments,)``.

    Attributes:
        readings: How many there are.
        rmse: [°C]; this and the following are NaN without readings, or without a curve.
        mean_error: [°C].
        largest_error: With its sign [°C].
        r2: Share of the references' variation that the curve explains.
        left_out: How many readings are of an instrument that is unknown, or has no curve: in no score.
    """

    readings: Tensor
    rmse: Tensor
    mean_error: Tensor
    largest_error: Tensor
    r2: Tensor
    left_out: int


class Scores(nn.Module):
    """The scores of a curve on readings that come in batches, or as the moments of all.

    Args:
        instruments: Number of instruments; None where there is one, which no batch names.
        curve: The curve; None is the straight line.
    """

    def __init__(self, instruments: int | None = None, curve: Curve | None = None) -> None:
        super().__init__()
        self.curve = Line() if curve is None else curve
        self._one = instruments is None
        rows = 1 if instruments is None else instruments + 1  # the last for readings of unknown instruments
        # of a curve that isn't linear in its coefficients, the references beside the estimates, along the line w = 1
        self._beside = self.curve.linked or self.curve.inverted
        self.moments = Moments(rows, Line() if self._beside else self.curve)
        self.largest_error = LargestError(rows)
        self._whole: dict[str, Tensor] | None = None  # where every process has all readings, by their moments

    def update(self, batch: Moments | tuple[Tensor, ...], w: Tensor, b: Tensor) -> None:
        """Adds readings.

        Args:
            batch: Raw indications and references, and of several instruments the index of each reading's (``UNKNOWN``
                for none of them), each of shape ``(N,)``; or the moments of all.
            w: Coefficients of the curve, shape ``(instruments, features)``; NaN for an instrument without one.
            b: Intercept of the curve, shape ``(instruments,)`` [°C].
        """
        if isinstance(batch, Moments):
            self._whole = scores_of(batch, w, b)
            return
        indication, reference, *more = batch
        estimate = estimates(self.curve, indication, w, b, *more)
        shown = estimate.nan_to_num(0.0) if self._beside else indication
        if self._one:
            self.moments.update(shown, reference)
            self.largest_error.update(estimate, reference)
            return
        row = torch.where(more[0] == UNKNOWN, len(w), more[0])
        self.moments.update(shown, reference, row)
        self.largest_error.update(estimate, reference, row)

    def compute(self, w: Tensor, b: Tensor) -> tuple[dict[str, Tensor], InstrumentScores | None]:
        """Returns the scores over all processes, each of shape ``()``, and of several instruments those of each.

        Of readings that came as their moments, there are neither the largest error nor each instrument's scores.
        """
        if self._whole is not None:
            return self._whole, None
        moments, largest = self.moments.synced(), None
        if self._beside:
            known = w.isfinite().all(dim=-1) & b.isfinite()
            w, b = torch.where(known, 1.0, torch.nan)[:, None].to(b), torch.where(known, 0.0, torch.nan).to(b)
        if not self._one:
            w, b = (torch.cat([value, value.new_full((1, *value.shape[1:]), torch.nan)]) for value in (w, b))
        scores = scores_of(moments, w, b)
        if self.largest_error.update_called:
            largest = self.largest_error.compute()
            ends = largest.nan_to_num(torch.inf).amin(), largest.nan_to_num(-torch.inf).amax()
            scores["largest_error"] = farther(*ends)
        if self._one or largest is None:
            return scores, None
        return scores, scores_by_instrument(moments, w, b, largest)

    def reset(self) -> None:
        """Forgets all readings."""
        self.moments.reset()
        self.largest_error.reset()
        self._whole = None


def estimates(curve: Curve, indication: Tensor, w: Tensor, b: Tensor, instrument: Tensor | None = None) -> Tensor:
    """Returns a curve's estimates of raw indications, of their shape [°C].

    Args:
        curve: The curve.
        indication: Any shape [indicated unit].
        w: Its coefficients, shape ``(instruments, features)``.
        b: Its intercept, shape ``(instruments,)`` [°C].
        instrument: Index of each one's instrument, as ``rows_of`` takes it; None where there is one.
    """
    w, b = (w[0], b[0]) if instrument is None else (rows_of(w, instrument), rows_of(b, instrument))
    x = indication.to(torch.promote_types(indication.dtype, w.dtype))  # a number alone doesn't widen a float32
    found: Tensor = curve.evaluate(x, b, w.unbind(dim=-1), [0.0] * w.shape[-1])[0]
    return found


def rows_of(parameters: Tensor, instrument: Tensor) -> Tensor:
    """Returns the parameters of each reading's instrument, shape ``instrument.shape + parameters.shape[1:]``.

    Args:
        parameters: One row an instrument, shape ``(instruments, …)``.
        instrument: Index of each reading's instrument, any shape; NaN is what ``UNKNOWN``, the last row, has.
    """
    return torch.cat([parameters, parameters.new_full((1, *parameters.shape[1:]), torch.nan)])[instrument]


def farther(lowest: Tensor, highest: Tensor) -> Tensor:
    """Returns which of the lowest and the highest error is farther from zero [°C]; NaN where there is none."""
    largest = torch.where(-lowest > highest, lowest, highest)
    return torch.where(highest < lowest, torch.nan, largest)


def scores_of(moments: Moments, w: Tensor, b: Tensor) -> dict[str, Tensor]:
    """Returns what the moments of raw readings say of a curve: rmse and mean error [°C], and R², each of shape ``()``.

    Args:
        moments: Of the readings.
        w: Coefficients of the curve, shape ``(instruments, features)``; for one feature the last axis may be missing.
            Readings of an instrument with NaN count for nothing.
        b: Intercept of the curve, shape ``(instruments,)`` [°C].
    """
    known, count, w, b = _with_curve(moments, w, b)
    n = count.sum()
    mse = (moments.mse(w, b) * count).sum() / n
    variation = torch.where(known, moments.variation, 0.0).sum()
    return {
        "rmse": mse.sqrt(),
        "mean_error": (moments.mean_error(w, b) * count).sum() / n,
        "r2": torch.where(variation > 0, 1 - mse * n / variation, torch.nan),
    }


def scores_by_instrument(moments: Moments, w: Tensor, b: Tensor, largest_error: Tensor) -> InstrumentScores:
    """Returns what the moments of raw readings say of each instrument's curve.

    Args:
        moments: Of the readings; those of unknown instruments stand in the last row.
        w: Coefficients of each curve, shape ``(rows, features)``; NaN for an instrument without one.
        b: Intercept of each curve, shape ``(rows,)`` [°C].
        largest_error: Shape ``(rows,)`` [°C].
    """
    known, count, w, b = _with_curve(moments, w, b)
    scored, mse, variation = count > 0, moments.mse(w, b), moments.variation
    columns = {
        "rmse": torch.where(scored, mse.sqrt(), torch.nan),
        "mean_error": torch.where(scored, moments.mean_error(w, b), torch.nan),
        "largest_error": largest_error,
        "r2": torch.where(scored & (variation > 0), 1 - mse * count / variation, torch.nan),
    }
    left_out = int(torch.where(known, 0.0, moments.count).sum())
    own = {name: column[:-1].cpu() for name, column in columns.items()}
    return InstrumentScores(readings=moments.count[:-1].long().cpu(), **own, left_out=left_out)


def _with_curve(moments: Moments, w: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Which instruments have a curve, how many readings each of these has, and the curves, 0 where there is none."""
    w, b = (value.to(moments.moments.device) for value in (by_feature(w, b), b))
    known = w.isfinite().all(dim=-1) & b.isfinite()
    count, b = (torch.where(known, value, 0.0) for value in (moments.count, b))
    return known, count, torch.where(known[:, None], w, 0.0), b

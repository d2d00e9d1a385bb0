"""How well a line does on readings: by their moments, and by the largest error, with its sign."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from thermofit_pl.metrics.moments import Moments


class LargestError(Metric):
    """The estimate − reference that is farthest from zero, with its sign [°C].

    Example:
        >>> LargestError()(torch.tensor([1.0, 4.0, 0.0]), torch.tensor([2.0, 2.0, 3.0]))
        tensor(-3., dtype=torch.float64)
    """

    full_state_update = False
    higher_is_better = None
    is_differentiable = False
    lowest: Tensor
    highest: Tensor

    def __init__(self, **kwargs: Any) -> None:  # kwargs are torchmetrics' own
        super().__init__(**kwargs)
        self.add_state("lowest", torch.tensor(torch.inf, dtype=torch.float64), dist_reduce_fx="min")
        self.add_state("highest", torch.tensor(-torch.inf, dtype=torch.float64), dist_reduce_fx="max")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds estimates and their references, both of shape ``(N,)`` [°C]."""
        if target.numel():
            low, high = (preds.double() - target.double()).aminmax()
            self.lowest = torch.minimum(self.lowest, low)
            self.highest = torch.maximum(self.highest, high)

    def compute(self) -> Tensor:
        """Returns the largest error, shape ``()`` [°C]; NaN without readings."""
        largest = torch.where(-self.lowest > self.highest, self.lowest, self.highest)
        return torch.where(self.highest < self.lowest, torch.nan, largest)


class Scores(nn.Module):
    """The scores of a line on readings that come in batches, or as the moments of all.

    Args:
        instruments: Number of instruments.
    """

    def __init__(self, instruments: int = 1) -> None:
        super().__init__()
        self.moments = Moments(instruments)
        self.largest_error = LargestError()
        self._whole = False  # whether every process has all readings, by their moments

    def update(self, batch: Moments | tuple[Tensor, Tensor], w: Tensor, b: Tensor) -> None:
        """Adds readings.

        Args:
            batch: Raw indications and references, each of shape ``(N,)``; or the moments of all.
            w: Slope of the line, shape ``(instruments,)`` [°C per indicated unit].
            b: Intercept of the line, shape ``(instruments,)`` [°C].
        """
        if isinstance(batch, Moments):
            self.moments.merge_state(batch)
            self._whole = True
            return
        indication, reference = batch
        self.moments.update(indication, reference)
        self.largest_error.update(w * indication + b, reference)

    def compute(self, w: Tensor, b: Tensor) -> dict[str, Tensor]:
        """Returns the line's scores over all processes, each of shape ``()``.

        The largest error is among them where the readings themselves were seen.
        """
        scores = scores_of(self.moments if self._whole else self.moments.synced(), w, b)
        if not self._whole and self.largest_error.update_called:
            scores["largest_error"] = self.largest_error.compute()
        return scores

    def reset(self) -> None:
        """Forgets all readings."""
        self.moments.reset()
        self.largest_error.reset()
        self._whole = False


def scores_of(moments: Moments, w: Tensor, b: Tensor) -> dict[str, Tensor]:
    """Returns what the moments of raw readings say of a line: rmse and mean error [°C], and R², each of shape ``()``.

    Args:
        moments: Of the readings.
        w: Slope of the line, shape ``(instruments,)`` [°C per indicated unit].
        b: Intercept of the line, shape ``(instruments,)`` [°C].
    """
    w, b = (value.to(moments.moments.device) for value in (w, b))
    n = moments.count.sum()
    mse = (moments.mse(w, b) * moments.count).sum() / n
    variation = (moments.sse + moments.slope.square() * moments.sxx).sum()
    return {
        "rmse": mse.sqrt(),
        "mean_error": (moments.mean_error(w, b) * moments.count).sum() / n,
        "r2": torch.where(variation > 0, 1 - mse * n / variation, torch.nan),
    }

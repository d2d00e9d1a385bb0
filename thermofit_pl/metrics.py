"""What torchmetrics lacks: the largest error, with its sign."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


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

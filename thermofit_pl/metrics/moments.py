"""Six numbers an instrument, from which the line, its uncertainty, the loss and every step of SGD follow."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric

from thermofit_pl.metrics.factor import as_parts, merge, merge_all, of_columns, of_instruments, of_readings


class Readings(NamedTuple):
    """Some readings, with the indication normalised: a mini-batch.

    Attributes:
        indication: Normalised indications, shape ``(N,)``.
        reference: References, shape ``(N,)`` [°C].
        instrument: Index of each reading's instrument, shape ``(N,)``, or None where there is one instrument.
        weight: Number of processes over the number of readings in the whole batch, for a fleet of each reading's
            instrument, shape ``(N,)``: what makes the mean of the processes' gradients that of the batch, however
            unevenly it is split. None for one process and one instrument.
    """

    indication: Tensor
    reference: Tensor
    instrument: Tensor | None = None
    weight: float | Tensor | None = None

    def mse(self, w: Tensor, b: Tensor) -> Tensor:
        """Returns the mean squared error [°C²] of the line, for a fleet the sum over its instruments', shape ``()``.

        Args:
            w: Slope, shape ``(instruments,)`` [°C per normalised unit].
            b: Intercept, shape ``(instruments,)`` [°C].
        """
        if self.instrument is not None:
            w, b = w[self.instrument], b[self.instrument]
        squared = (w * self.indication + b - self.reference).square()
        return squared.mean() if self.weight is None else (squared * self.weight).sum()


class Moments(Metric):
    """The six numbers of each instrument's readings.

    Update it with batches of any size in any order; merge it with ``merge_state``, or over processes with ``synced``.

    Args:
        instruments: Number of instruments.

    Attributes:
        moments: Shape ``(instruments, 6)``, float64: count, mean indication, mean reference [°C], centred sum of
            squares of the indication, least-squares slope (0 where the indications are equal), sum of squared errors
            about the least-squares line [°C²].
        lowest: Smallest indication, shape ``(instruments,)``; inf without readings.
        highest: Largest indication, shape ``(instruments,)``; -inf without readings.

    Example:
        >>> moments = Moments()
        >>> moments.update(torch.tensor([0.0, 1.0, 2.0]), torch.tensor([1.0, 3.0, 5.0]))
        >>> w, b, mse = moments.compute()
        >>> w.item(), b.item(), mse.item()
        (2.0, 1.0, 0.0)
    """

    full_state_update = False
    higher_is_better = None
    is_differentiable = True
    moments: Tensor
    lowest: Tensor
    highest: Tensor

    def __init__(self, instruments: int = 1, **kwargs: Any) -> None:  # kwargs are torchmetrics' own
        super().__init__(**kwargs)
        infinite = torch.full((instruments,), torch.inf, dtype=torch.float64)
        self.add_state("moments", torch.zeros(instruments, 6, dtype=torch.float64), dist_reduce_fx=merge_all)
        self.add_state("lowest", infinite, dist_reduce_fx="min")
        self.add_state("highest", -infinite, dist_reduce_fx="max")

    def update(self, indication: Tensor, reference: Tensor, instrument: Tensor | None = None) -> None:
        """Adds readings.

        Args:
            indication: Indicated values, shape ``(N,)`` [indicated unit].
            reference: References, shape ``(N,)`` [°C].
            instrument: Index of each reading's instrument, int64, shape ``(N,)``; None where there is one instrument.

        Raises:
            ValueError: If the shapes differ, or ``instrument`` is missing where there are several.
        """
        if indication.shape != reference.shape or indication.ndim != 1:
            raise ValueError(
                f"Expected `indication` and `reference` of one shape (N,), but got {tuple(indication.shape)} and "
                f"{tuple(reference.shape)}"
            )
        if instrument is None and len(self.moments) != 1:
            raise ValueError(f"Expected `instrument` for the readings of {len(self.moments)} instruments, but got None")
        if indication.numel() == 0:
            return
        x, y = indication.detach().to(self.moments), reference.detach().to(self.moments)
        if len(self.moments) > 1:
            assert instrument is not None
            parts = of_instruments(x, y, instrument, len(self.moments))
        elif x.device.type == "cpu":
            _, mean_x, mean_y, _, slope, _ = self.moments[0].tolist()
            parts = as_parts([of_columns(x.numpy(), y.numpy(), (mean_x, mean_y, slope))])
        else:
            parts = of_readings(x, y)
        self.absorb(*parts)

    def absorb(self, moments: Tensor, lowest: Tensor, highest: Tensor) -> None:
        """Adds readings by what was formed of them.

        Args:
            moments: Six numbers of each part, shape ``(parts, instruments, 6)``.
            lowest: Smallest indication, shape ``(parts, instruments)``.
            highest: Largest indication, shape ``(parts, instruments)``.
        """
        self.moments = merge(self.moments, merge_all(moments))
        self.lowest = torch.minimum(self.lowest, lowest.amin(dim=0))
        self.highest = torch.maximum(self.highest, highest.amax(dim=0))
        self._computed, self._update_count = None, max(self._update_count, 1)  # as torchmetrics' update does

    def compute(self) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the least-squares slope, intercept and mean squared error, each of shape ``(instruments,)``."""
        return self.slope, self.intercept, self.sse / self.count.clamp(min=1)

    @property
    def count(self) -> Tensor:
        """Number of readings, shape ``(instruments,)``, float64."""
        return self.moments[:, 0]

    @property
    def mean_indication(self) -> Tensor:
        """Mean indication, shape ``(instruments,)`` [indicated unit]."""
        return self.moments[:, 1]

    @property
    def mean_reference(self) -> Tensor:
        """Mean reference, shape ``(instruments,)`` [°C]."""
        return self.moments[:, 2]

    @property
    def sxx(self) -> Tensor:
        """Sum of squared deviations of the indication from its mean, shape ``(instruments,)``."""
        return self.moments[:, 3]

    @property
    def slope(self) -> Tensor:
        """Least-squares slope, shape ``(instruments,)`` [°C per unit]; 0 where all indications are equal."""
        return self.moments[:, 4]

    @property
    def sse(self) -> Tensor:
        """Sum of squared errors about the least-squares line, shape ``(instruments,)`` [°C²]."""
        return self.moments[:, 5]

    @property
    def intercept(self) -> Tensor:
        """Least-squares intercept, shape ``(instruments,)`` [°C]."""
        return self.mean_reference - self.slope * self.mean_indication

    def mean_error(self, w: Tensor, b: Tensor) -> Tensor:
        """Returns the mean of estimate − reference under a line, shape ``(instruments,)`` [°C]."""
        return w.double() * self.mean_indication + b.double() - self.mean_reference

    def mse(self, w: Tensor, b: Tensor) -> Tensor:
        """Returns the mean squared error [°C²] of a line, shape ``(instruments,)``.

        It is the least there can be, plus what the slope and the mean error add: three positive terms. Autograd
        differentiates it. An instrument without readings has 0.

        Args:
            w: Slope, shape ``(instruments,)`` [°C per unit], in the unit of the indications that were added.
            b: Intercept, shape ``(instruments,)`` [°C].
        """
        n = self.count.clamp(min=1)
        squares = (self.sse + (w - self.slope).square() * self.sxx) / n + self.mean_error(w, b).square()
        return (squares * self.count.clamp(max=1)).to(w.dtype)

    def gradient(self, w: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the derivatives of the mean squared error by ``w`` and by ``b``, each of shape ``(instruments,)``."""
        by_b = 2 * self.mean_error(w, b) * self.count.clamp(max=1)
        return 2 * (w - self.slope) * self.sxx / self.count.clamp(min=1) + by_b * self.mean_indication, by_b

    def normalized(self, offset: Tensor, scale: Tensor) -> Moments:
        """Returns the moments of the same readings with the indication x replaced by (x − offset) · scale.

        Args:
            offset: Shape ``(instruments,)`` [indicated unit].
            scale: Shape ``(instruments,)``, positive.
        """
        n, x, y, sxx, slope, sse = self.moments.unbind(-1)
        of_scaled = torch.stack([n, (x - offset) * scale, y, sxx * scale.square(), slope / scale, sse], dim=-1)
        return self._like(of_scaled, (self.lowest - offset) * scale, (self.highest - offset) * scale)

    def synced(self) -> Moments:
        """Returns the moments over all processes; themselves where there is one process. Every process must call it."""
        with self.sync_context():
            return self._like(self.moments.clone(), self.lowest.clone(), self.highest.clone())

    def eigen(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Returns the eigenvalues of the loss's Hessian, larger first, and the first eigenvector's cosine and sine.

        The Hessian of the mean squared error is 2 [[sxx/n + x̄², x̄], [x̄, 1]]. Its determinant is 4 sxx/n, so the
        smaller eigenvalue comes without cancellation, however far the indications are from zero. Each result has the
        shape ``(instruments,)``.
        """
        x, variance = self.mean_indication, self.sxx / self.count.clamp(min=1)
        difference = variance + x.square() - 1
        largest = variance + x.square() + 1 + torch.hypot(difference, 2 * x)
        angle = torch.atan2(2 * x, difference) / 2
        return largest, 4 * variance / largest, angle.cos(), angle.sin()

    def _like(self, moments: Tensor, lowest: Tensor, highest: Tensor) -> Moments:
        other = Moments(len(moments))
        other.moments, other.lowest, other.highest = moments, lowest, highest
        other._update_count = self._update_count  # torchmetrics warns of a compute before any update
        return other


def as_tensor(column: NDArray[np.float64]) -> Tensor:
    """Returns a column of readings as a tensor; a copy, where what it belongs to must not be written to."""
    return torch.from_numpy(column if column.flags.writeable else column.copy())

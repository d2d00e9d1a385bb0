"""What features are put through before SGD sees them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from thermofit_pl.metrics.moments import Moments

SAME = 1e-12  # within which two normalisations differ by rounding


@dataclass(frozen=True)
class Normalization:
    """What features are put through before SGD sees them: (features − offset) · scale.

    Attributes:
        offset: Shape ``(instruments, features)``; for a line [indicated unit].
        scale: Upper triangular, shape ``(instruments, features, features)``; for a line [1/indicated unit].
    """

    offset: Tensor
    scale: Tensor

    @classmethod
    def of(cls, rule: float | str, moments: Moments) -> Normalization:
        """Returns the normalisation by a rule, for the training readings.

        Args:
            rule: A factor, ``standard`` (each instrument's features with mean 0, variance 1 and no correlation), or
                ``none``.
            moments: Of the readings.
        """
        if rule == "standard":
            return cls(*moments.whitening())
        offset = torch.zeros_like(moments.feature_means)
        factor = torch.full_like(offset, 1.0 if rule == "none" else float(rule))
        factor[:, [j - 1 for j in moments.curve.held if j > 0]] = 1.0  # a coefficient that is held stays what it is
        return cls(offset, torch.diag_embed(factor))

    def of_features(self, features: Tensor, instrument: Tensor | None = None) -> Tensor:
        """Returns normalised features, of the same shape.

        Args:
            features: Shape ``(N, features)``.
            instrument: Index of each reading's instrument, shape ``(N,)``; None where there is one.
        """
        if instrument is None:
            return (features - self.offset[0]) @ self.scale[0]
        return ((features - self.offset[instrument])[..., None, :] @ self.scale[instrument])[..., 0, :]

    def to_raw(self, w: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the coefficients of features as they are from those of normalised ones.

        Args:
            w: Shape ``(..., instruments, features)`` [°C per normalised feature].
            b: Shape ``(..., instruments)`` [°C].

        Returns:
            Of the same shapes, float64.
        """
        raw = (self.scale.to(w.device) * w.detach().double()[..., None, :]).sum(dim=-1)
        return raw, b.detach().double() - (raw * self.offset.to(w.device)).sum(dim=-1)

    def agrees(self, other: Normalization) -> bool:
        """Whether both are the same but for rounding: to 1e-12 of a feature's value or spread."""
        if self.scale.shape != other.scale.shape:
            return False
        offset, scale = self.offset.cpu(), self.scale.cpu()
        largest = torch.maximum(offset.abs(), 1 / scale.diagonal(dim1=-2, dim2=-1).abs())
        moved, turned = (offset - other.offset.cpu()).abs(), (scale - other.scale.cpu()).abs()
        return bool((moved <= SAME * largest).all() and (turned <= SAME * scale.abs().amax(dim=-2, keepdim=True)).all())

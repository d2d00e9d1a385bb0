"""What readings are seen through when their factor is formed: a curve, an origin, and what a pass is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thermofit_pl.curves.base import Curve
from thermofit_pl.metrics.forming import Workspace, ends_of, of_columns, of_instruments

FloatArray = NDArray[np.float64]

# Of one instrument's block: what is kept of each chunk of it, its smallest and its largest indication.
Formed = tuple[list[list[float]], float, float]


@dataclass(frozen=True)
class View:
    """A curve's features, as they are added up.

    Attributes:
        curve: With its frame.
        origin: What is taken off each feature.
        about: The solution that a pass over the readings is linearised about, shape ``(instruments, coefficients)``;
            None for none.
    """

    curve: Curve
    origin: tuple[float, ...]
    about: Tensor | None = None

    def block(self, x: FloatArray, y: FloatArray, weight: FloatArray | None = None) -> Formed:
        """Returns what is kept of a block of one instrument's readings, on a CPU.

        Args:
            x: Indications, shape ``(N,)``, at least one [indicated unit].
            y: References, shape ``(N,)`` [°C].
            weight: Weights, shape ``(N,)``; None weighs all alike.
        """
        columns, weights = self.rows(x, y, weight)
        chunks = of_columns(columns, weights)
        if weights is not weight:  # the sums are of the readings' own weights
            for k, chunk in enumerate(chunks):
                own = [chunk[-3]] * 2 if weight is None else [float(weight.sum()), float(weight.dot(weight))]
                chunk[-2:] = own if weight is None or k == 0 else [0.0, 0.0]
        return chunks, float(x.min()), float(x.max())

    def parts(
        self,
        x: Tensor,
        y: Tensor,
        weight: Tensor | None,
        instrument: Tensor | None,
        instruments: int,
        workspace: Workspace | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the same of several instruments' readings, or of readings on a card, as one part.

        Args:
            x: Indications, shape ``(N,)`` [indicated unit].
            y: References, shape ``(N,)`` [°C].
            weight: Weights, shape ``(N,)``; None weighs all alike.
            instrument: Index of each reading's instrument, shape ``(N,)``; None where there is one.
            instruments: How many there are.
            workspace: To work in, for readings that come in many blocks.

        Returns:
            Shapes ``(1, instruments, k + 3)``, and twice ``(1, instruments)``.
        """
        columns, weights = self.rows(x, y, weight, instrument)
        kept = of_instruments(columns, weights, instrument, instruments, workspace)
        if self.curve.linked:  # the sums are of the readings' own weights
            kept[:, -2:] = kept[:, -3:-2]
            if weight is not None:
                at = torch.zeros_like(weight, dtype=torch.int64) if instrument is None else instrument
                for k, each in ((-2, weight), (-1, weight.square())):
                    kept[:, k] = kept.new_zeros(len(kept)).index_add_(0, at, each)
        low, high = ends_of(x, instrument, instruments)
        return kept[None], low[None], high[None]

    def rows(self, x: Any, y: Any, weight: Any, instrument: Tensor | None = None) -> tuple[list[Any], Any]:
        """Returns the columns that the factor is formed of, but 1, and their weights, as ``parts`` takes them.

        They are the features less their origin, and what these are fitted to: the reference, for most curves.
        """
        if not (self.curve.linked or self.curve.inverted):
            return [*self.columns(self.curve.features(x)), y], weight
        about: list[Any] | None = None
        if self.about is not None and self.curve.linked:
            about = self.about[0].tolist() if instrument is None else [each[instrument] for each in self.about.T]
        features, target, own = self.curve.working(x, y, about)
        weights = own if weight is None else weight if own is None else weight * own
        return [*self.columns(features), target], weights

    def columns(self, features: list[Any]) -> list[Any]:
        """Returns features less their origin."""
        pairs = zip(features, self.origin, strict=True)
        return [feature - origin if origin else feature for feature, origin in pairs]

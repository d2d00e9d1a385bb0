"""The autocorrelation of a log, from the differences between neighbours in time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from thermofit_pl.functional.groups import Groups
from thermofit_pl.metrics.factor import hold
from thermofit_pl.metrics.forming import of_instruments
from thermofit_pl.metrics.merging import merge
from thermofit_pl.metrics.packing import numbers_of, unpack

FloatArray = NDArray[np.float64]

EQUAL = -(10**6)  # class of a step of no time
NEAR = 2  # classes, quarters of an octave, that a step may be longer than the usual: up to 1.4 to 1.7 times


@dataclass(frozen=True)
class Autocorrelation:
    """Neighbours in the time order of logs, each attribute of shape ``(instruments,)``.

    Attributes:
        errors: Lag-1 autocorrelation of the errors about the least-squares curve; 0 where it can't be told.
        indications: That of the indications, or of the curve's first feature.
        pairs: Number of pairs of neighbours that it was taken from.
        gaps: How many steps in time are longer than usual: 1.7 times the usual step, or more.
        equal_times: How many readings have the same time as the one before, so that their order is not known.
    """

    errors: FloatArray
    indications: FloatArray
    pairs: NDArray[np.int64]
    gaps: NDArray[np.int64]
    equal_times: NDArray[np.int64]


def step_class(steps: FloatArray) -> NDArray[np.int64]:
    """Returns the length of steps in time as whole quarters of an octave, shape as ``steps``."""
    with np.errstate(divide="ignore"):
        quarters = np.floor(4 * np.log2(steps))
    return np.where(steps > 0, np.maximum(quarters, EQUAL + 1), EQUAL).astype(np.int64)


class Neighbours:
    """Differences between each reading of a log and the next, by the length of the step in time.

    Of a curve's errors they tell by how much these change from reading to reading, which for errors of variance σ² and
    autocorrelation ρ has a mean square of 2 σ² (1 − ρ) (von Neumann 1941). In a factor's form they keep their digits,
    and merge. Which steps are gaps is known at the end, so each length has a factor of its own; a regular log has one.

    Args:
        features: How many the curve has.

    Attributes:
        factors: By the class of the step: the packed factor of the differences of (1, features, reference), and three
            times the number of pairs, shape ``(instruments, k + 3)``.
    """

    def __init__(self, features: int) -> None:
        self.factors: dict[int, FloatArray] = {}
        self._numbers = numbers_of(features) + 3
        # of each instrument: row and time of its first and of its last reading; NaN without
        self._ends = np.full((2, 0, features + 3), np.nan)

    def add(self, rows: FloatArray, time: FloatArray, groups: Groups) -> None:
        """Adds readings that follow those before.

        Args:
            rows: (1, features, reference), times the root of the weight, shape ``(N, features + 2)``, sorted by
                instrument and within one by time.
            time: Shape ``(N,)`` [s].
            groups: The instruments.
        """
        rows = np.column_stack([rows, time])
        self._widen(len(groups.counts))
        owner = groups.each(np.arange(len(groups.counts)))
        present = np.flatnonzero(groups.counts)
        starts = (np.cumsum(groups.counts) - groups.counts)[present]
        ends = starts + groups.counts[present] - 1
        change = np.diff(rows, axis=0, prepend=rows[:1])
        change[starts] = rows[starts] - self._ends[1, present]  # NaN for an instrument's first
        self._add(change, owner)
        new = np.isnan(self._ends[0, present, -1])
        self._ends[0, present[new]] = rows[starts[new]]
        self._ends[1, present] = rows[ends]

    def _widen(self, instruments: int) -> None:
        more = instruments - self._ends.shape[1]
        if more > 0:
            self._ends = np.concatenate([self._ends, np.full((2, more, self._ends.shape[-1]), np.nan)], axis=1)
            self.factors = {
                step: np.concatenate([each, np.zeros((more, self._numbers))]) for step, each in self.factors.items()
            }

    def _add(self, change: FloatArray, owner: NDArray[np.int64]) -> None:
        """Adds differences, of which those with NaN are none."""
        known = ~np.isnan(change[:, -1])
        classes = step_class(np.where(known, change[:, -1], 0.0))
        for step in np.unique(classes[known]).tolist():
            at = np.flatnonzero(known & (classes == step))
            columns = [torch.from_numpy(column) for column in np.ascontiguousarray(change[at, :-1].T)]
            count = self._ends.shape[1]
            about_mean = of_instruments(columns, None, torch.from_numpy(owner[at]), count)
            formed = torch.cat([hold(about_mean[:, :-3], {0: 0.0}), about_mean[:, -3:]], dim=1).numpy()  # about 0
            self.factors[step] = merge(self.factors[step], formed) if step in self.factors else formed

    def append(self, later: Neighbours) -> None:
        """Adds the differences of a later share, and those across the border."""
        count = max(self._ends.shape[1], later._ends.shape[1])
        self._widen(count)
        later._widen(count)
        for step, factor in later.factors.items():
            self.factors[step] = merge(self.factors[step], factor) if step in self.factors else factor
        self._add(later._ends[0] - self._ends[1], np.arange(count))
        known = ~np.isnan(later._ends[:, :, -1])
        self._ends[0] = np.where(np.isnan(self._ends[0]), later._ends[0], self._ends[0])
        self._ends[1, known[1]] = later._ends[1, known[1]]

    def placed(self, where: NDArray[np.int64], instruments: int) -> None:
        """Puts each instrument at a new place."""
        old, self._ends = self._ends, np.full((2, instruments, self._ends.shape[-1]), np.nan)
        self._ends[:, where[: old.shape[1]]] = old
        for step, factor in self.factors.items():
            moved = np.zeros((instruments, self._numbers))
            moved[where[: len(factor)]] = factor
            self.factors[step] = moved

    def moved(self, shift: FloatArray) -> None:
        """Adds a number to each feature."""
        self._ends[..., 1 : len(shift) + 1] += shift * self._ends[..., :1]

    def longest(self) -> NDArray[np.int64]:
        """Returns the class of the longest step between neighbours of each instrument; longer ones are gaps."""
        steps = sorted(step for step in self.factors if step != EQUAL)
        if not steps:
            return np.zeros(self._ends.shape[1], np.int64)
        counts = np.cumsum([self.factors[step][:, -1] for step in steps], axis=0)
        usual: NDArray[np.int64] = np.array(steps)[(counts * 2 < counts[-1]).sum(axis=0)]
        return usual + NEAR

    def autocorrelation(self, coefficients: FloatArray, mse: FloatArray, variance: FloatArray) -> Autocorrelation:
        """Returns the lag-1 autocorrelations of the errors about a curve and of the indications.

        That of the errors is corrected for the bias of an estimate about a fitted mean, (1 + 3ρ)/n (Marriott and Pope
        1954).

        Args:
            coefficients: b and w, of the features as they were added, shape ``(instruments, features + 1)``.
            mse: Mean squared errors, over n [°C²].
            variance: Of the first feature, over n.
        """
        count, longest = len(coefficients), self.longest()
        total, gaps = np.zeros((count, self._numbers)), np.zeros(count)
        for step, factor in self.factors.items():
            near = step <= longest
            total = merge(total, np.where(near[:, None], factor, 0.0))
            gaps += np.where(near, 0.0, factor[:, -1])
        d, r = (each.numpy() for each in unpack(torch.from_numpy(total[:, :-3])))
        away = (r[:, :-1, :-1] @ coefficients[..., None])[..., 0] - r[:, :-1, -1]
        change = d[:, -1] + (d[:, :-1] * away**2).sum(axis=-1)
        pairs = total[:, -1]
        with np.errstate(invalid="ignore", divide="ignore"):
            rho = 1 - change / (2 * pairs * mse)
            rho = rho + (1 + 3 * rho) / pairs
            rho_x = 1 - (d[:, 0] * r[:, 0, 1] ** 2 + d[:, 1]) / (2 * pairs * variance)
        told = (pairs >= 2) & (mse > 0) & (variance > 0)
        equal = self.factors[EQUAL][:, -1] if EQUAL in self.factors else np.zeros(count)
        return Autocorrelation(
            errors=np.where(told, np.clip(rho, -0.9999, 0.9999), 0.0),
            indications=np.where(told, np.clip(rho_x, -0.9999, 0.9999), 0.0),
            pairs=pairs.astype(np.int64),
            gaps=gaps.astype(np.int64),
            equal_times=equal.astype(np.int64),
        )

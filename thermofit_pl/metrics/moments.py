"""One factor an instrument, from which the curve, its uncertainty, the loss and every step of SGD follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric

from thermofit_pl.curves.base import Curve
from thermofit_pl.curves.line import Line
from thermofit_pl.distributed.collectives import all_gather
from thermofit_pl.metrics.factor import TINY, coefficients, hold, lower_degrees, sound, transform, whitening
from thermofit_pl.metrics.forming import origin_of
from thermofit_pl.metrics.loss import mean_error, mse
from thermofit_pl.metrics.merging import merge_all
from thermofit_pl.metrics.modes import modes
from thermofit_pl.metrics.packing import numbers_of
from thermofit_pl.metrics.view import Formed, View

FloatArray = NDArray[np.float64]
Value = TypeVar("Value")


class Moments(Metric):
    """The factor of each instrument's readings: all that least squares and SGD on the mean squared error need of them.

    Update it with batches of any size in any order; merge it with ``merge_state``, or over processes with ``synced``.

    Args:
        instruments: Number of instruments.
        curve: Whose features the readings are seen through; None is the straight line.
        about: The solution that a pass is linearised about.

    Attributes:
        curve: The same; with its frame, once the first readings have set it.
        about: Of a curve whose passes are linearised, the solution that this one is linearised about, b and w, shape
            ``(instruments, coefficients)``; None for the first pass, and for other curves.
        origin: What is taken off each feature before it is added up, p numbers, as the first readings set it; None
            before. It is 0 but for features such as counts about a million, whose spread is a few hundred.
        moments: Shape ``(instruments, k + 3)``, float64: the packed factor of (1, features − origin, reference), then
            the number of readings, the sum of their weights and that of the weights' squares. For a line the factor is
            count, mean indication, mean reference [°C], centred sum of squares of the indication, least-squares slope,
            and sum of squared errors about the least-squares line [°C²].
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

    def __init__(
        self, instruments: int = 1, curve: Curve | None = None, about: Tensor | None = None, **kwargs: Any
    ) -> None:  # torchmetrics' own
        super().__init__(**kwargs)
        self.curve = Line() if curve is None else curve
        self.about = about
        self.origin: tuple[float, ...] | None = None
        self._normalization: tuple[Tensor, Tensor] | None = None
        self._known: dict[str, tuple[Tensor, Any]] = {}  # what has been computed, and of which numbers
        numbers = numbers_of(len(self.curve.names)) + 3
        infinite = torch.full((instruments,), torch.inf, dtype=torch.float64)
        self.add_state("moments", torch.zeros(instruments, numbers, dtype=torch.float64), dist_reduce_fx=merge_all)
        self.add_state("lowest", infinite, dist_reduce_fx="min")
        self.add_state("highest", -infinite, dist_reduce_fx="max")

    def update(
        self, indication: Tensor, reference: Tensor, instrument: Tensor | None = None, weight: Tensor | None = None
    ) -> None:
        """Adds readings.

        Args:
            indication: Indicated values, shape ``(N,)`` [indicated unit].
            reference: References, shape ``(N,)`` [°C].
            instrument: Index of each reading's instrument, int64, shape ``(N,)``; None where there is one instrument.
            weight: Weight of each reading, positive, shape ``(N,)``; None weighs all alike.

        Raises:
            ValueError: If the shapes differ, or ``instrument`` is missing where there are several.
        """
        if indication.shape != reference.shape or indication.ndim != 1:
            raise ValueError(
                f"Expected `indication` and `reference` of one shape (N,), but got {tuple(indication.shape)} and "
                f"{tuple(reference.shape)}"
            )
        if weight is not None and weight.shape != indication.shape:
            raise ValueError(f"Expected `weight` of shape {tuple(indication.shape)}, but got {tuple(weight.shape)}")
        if instrument is None and len(self.moments) != 1:
            raise ValueError(f"Expected `instrument` for the readings of {len(self.moments)} instruments, but got None")
        if indication.numel() == 0:
            return
        x, y = indication.detach().to(self.moments), reference.detach().to(self.moments)
        omega = None if weight is None else weight.detach().to(self.moments)
        self.frame(x, y)
        if len(self.moments) == 1 and x.device.type == "cpu":
            formed = self.view.block(x.numpy(), y.numpy(), None if omega is None else omega.numpy())
            self.absorb(*as_parts([formed]))
        else:
            own = None if len(self.moments) == 1 else instrument
            self.absorb(*self.view.parts(x, y, omega, own, len(self.moments)))

    def frame(self, indication: Tensor | FloatArray, reference: Tensor | FloatArray | None = None) -> None:
        """Takes from the first readings what is fixed from then on: the curve's frame, and the features' origin.

        Args:
            indication: Their indications, shape ``(N,)``.
            reference: Their references, shape ``(N,)`` [°C].
        """
        if self.origin is not None:
            return
        mean = None if reference is None else float(reference.mean())
        self.curve = self.curve.framed(float(indication.min()), float(indication.max()), mean)
        features = self.curve.features(indication)
        # a curve through zero has no origin but zero
        self.origin = (0.0,) * len(features) if self.curve.held else origin_of(features)

    @property
    def view(self) -> View:
        """What further readings are seen through; the first readings must have set its frame."""
        assert self.origin is not None
        return View(self.curve, self.origin, self.about)

    def absorb(self, moments: Tensor, lowest: Tensor, highest: Tensor) -> None:
        """Adds readings by what was formed of them.

        Args:
            moments: What is kept of each part, shape ``(parts, instruments, k + 3)``.
            lowest: Smallest indication, shape ``(parts, instruments)``.
            highest: Largest indication, shape ``(parts, instruments)``.
        """
        self.moments = merge_all(moments, self.moments)
        self.lowest = torch.minimum(self.lowest, lowest.amin(dim=0))
        self.highest = torch.maximum(self.highest, highest.amax(dim=0))
        self._computed, self._update_count = None, max(self._update_count, 1)  # as torchmetrics' update does

    def merge_state(self, incoming_state: dict[str, Any] | Metric) -> None:
        """Adds the readings of other moments.

        Raises:
            ValueError: If they are of another curve, or seen through another frame.
        """
        if isinstance(incoming_state, Moments):
            other = incoming_state
            if other.origin is None:  # no readings
                return
            if self.origin is None:
                alike = type(self.curve) is type(other.curve) and len(self.curve.names) == len(other.curve.names)
                self.origin, self.curve = other.origin, other.curve if alike else self.curve
            if self.curve != other.curve:
                raise ValueError(f"Expected moments of the same curve, {self.curve}, but got {other.curve}")
            if self.curve.linked and not _same(self.about, other.about):
                raise ValueError("Expected moments that are linearised about one solution, but got two")
            incoming_state = other.at(self.origin)
        super().merge_state(incoming_state)

    def at(self, origin: tuple[float, ...]) -> Moments:
        """Returns the same moments, with another origin of the features."""
        if self.origin in (origin, None):
            return self
        assert self.origin is not None
        moved = self.moments.clone()
        shift = [before - after for before, after in zip(self.origin, origin, strict=True)]
        moved[:, 1 : len(shift) + 1] += moved.new_tensor(shift) * self.count.clamp(max=1)[:, None]
        other = self._like(moved, self.lowest, self.highest)
        other.origin = origin
        return other

    def reset(self) -> None:
        """Forgets all readings; the curve keeps its frame."""
        super().reset()
        self.origin = None

    def compute(self) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the least-squares w, shape ``(instruments, features)``, b and least mean squared error."""
        w, b = self.exact
        return w, b, self.sse / self.total.clamp(min=TINY)

    @property
    def count(self) -> Tensor:
        """Number of readings, shape ``(instruments,)``, float64."""
        return self.moments[:, -3]

    @property
    def total(self) -> Tensor:
        """Sum of the weights, shape ``(instruments,)``; the number of readings where they weigh alike."""
        return self.moments[:, -2]

    @property
    def effective_count(self) -> Tensor:
        """Number of readings of one weight that would tell as much, (Σω)²/Σω², shape ``(instruments,)``."""
        return self.total.square() / self.moments[:, -1].clamp(min=TINY)

    @property
    def factor(self) -> Tensor:
        """The packed factor of (1, features, reference), shape ``(instruments, k)``."""
        if not self.origin or not any(self.origin):
            return self.moments[:, :-3]
        factor = self.moments[:, :-3].clone()
        factor[:, 1 : len(self.origin) + 1] += factor.new_tensor(self.origin) * self.count.clamp(max=1)[:, None]
        return factor

    @property
    def feature_means(self) -> Tensor:
        """Mean of each feature, shape ``(instruments, features)``."""
        return self.factor[:, 1 : len(self.curve.names) + 1]

    @property
    def mean_reference(self) -> Tensor:
        """Mean reference, shape ``(instruments,)`` [°C]."""
        return self.moments[:, len(self.curve.names) + 1]

    @property
    def fitted(self) -> Tensor:
        """The packed factor in the coefficients that are fitted: that of the readings, unless the curve holds some."""
        return self._once("fitted", lambda: hold(self.factor, self.curve.held) if self.curve.held else self.factor)

    @property
    def sound(self) -> Tensor:
        """Whether the readings tell each coefficient that is fitted, b first, shape ``(instruments, coefficients)``."""
        return self._once("sound", lambda: sound(self.fitted))

    @property
    def has_curve(self) -> Tensor:
        """Whether the readings tell all coefficients, shape ``(instruments,)``."""
        return self._once("has_curve", lambda: self.sound.all(dim=-1))

    @property
    def exact(self) -> tuple[Tensor, Tensor]:
        """The least-squares w, shape ``(instruments, features)``, and b, shape ``(instruments,)``.

        Where the readings don't tell them, w is 0 and b the mean reference.
        """
        held, otherwise = self.curve.held, self.mean_reference
        return self._once("exact", lambda: coefficients(self.fitted, self.has_curve, held, otherwise))

    @property
    def sse(self) -> Tensor:
        """Sum of (weighted) squared errors about the least-squares curve, shape ``(instruments,)`` [°C²].

        Where the readings tell none, about their mean.
        """
        return torch.where(self.has_curve, self.fitted[:, -1], self.variation)

    @property
    def variation(self) -> Tensor:
        """Sum of (weighted) squared deviations of the reference from its mean, shape ``(instruments,)`` [°C²]."""
        return lower_degrees(self.moments[:, :-3])[:, 0]

    def mean_error(self, w: Tensor, b: Tensor) -> Tensor:
        """Returns the mean of estimate − reference under a curve, shape ``(..., instruments)`` [°C].

        Args:
            w: Shape ``(..., instruments, features)``; for one feature, the last axis may be missing.
            b: Shape ``(..., instruments)`` [°C].
        """
        return mean_error(self.factor, by_feature(w, b), b)

    def mse(self, w: Tensor, b: Tensor) -> Tensor:
        """Returns the (weighted) mean squared error [°C²] of a curve, shape ``(..., instruments)``.

        Autograd differentiates it, by the coefficients that the curve does not hold. An instrument without readings
        has 0.

        Args:
            w: Shape ``(..., instruments, features)``, of the features that were added; for one feature, the last axis
                may be missing.
            b: Shape ``(..., instruments)`` [°C].
        """
        w = by_feature(w, b)
        if self.curve.held:
            free = torch.tensor([j in self.curve.free for j in range(w.shape[-1] + 1)], device=w.device)
            w, b = torch.where(free[1:], w, w.detach()), torch.where(free[0], b, b.detach())  # a gradient of 0
        return mse(self.factor, self.total, w, b)

    def normalized(self, offset: Tensor, scale: Tensor) -> Moments:
        """Returns the moments of the same readings with the features φ replaced by (φ − offset) · scale.

        Args:
            offset: Shape ``(instruments, features)``; for one feature, the last axis may be missing.
            scale: Upper triangular, shape ``(instruments, features, features)``; for one feature, the last axes may be
                missing.
        """
        features = len(self.curve.names)
        offset, scale = offset.reshape(-1, features), scale.reshape(-1, features, features)
        origin = self.moments.new_tensor(self.origin or [0.0] * features)
        factor = transform(self.moments[:, :-3], (offset - origin) * self.count.clamp(max=1)[:, None], scale)
        other = self._like(torch.cat([factor, self.moments[:, -3:]], dim=-1), self.lowest, self.highest)
        other.origin, other._normalization = (0.0,) * features, (offset, scale)
        return other

    def whitening(self) -> tuple[Tensor, Tensor]:
        """Returns the offset and the scale with which the fitted features have mean 0, variance 1 and no correlation.

        The loss's Hessian is then twice the identity. A feature whose coefficient is held stays as it is, and where
        the intercept is held, features are scaled about zero.

        Returns:
            Shapes ``(instruments, features)`` and ``(instruments, features, features)``.
        """
        return whitening(self.fitted, self.total, self.feature_means, self.curve.free)

    def features(self, indication: Tensor) -> Tensor:
        """Returns the features of indications, as they are added up: shape ``(..., instruments, features)``.

        Args:
            indication: Raw, shape ``(..., instruments)``.
        """
        features = features_of(self.curve, indication, self.about)
        if self._normalization is None:
            return features
        offset, scale = (each.to(features) for each in self._normalization)
        return ((features - offset)[..., None, :] @ scale)[..., 0, :]

    def slopes_of_estimate(self, indication: Tensor) -> Tensor | None:
        """Returns d estimate/d level at indications, by the solution that is known; None where it is 1 throughout.

        Args:
            indication: Raw, shape ``(..., instruments)``.
        """
        if self.about is None or not (self.curve.linked or self.curve.inverted):
            return None
        level, *w = self.about.T
        slope: Tensor = self.curve.evaluate(indication, level, w, [torch.zeros_like(level)] * len(w))[2]
        return slope

    def modes(self) -> tuple[Tensor, Tensor]:
        """Returns the eigenvalues of the loss's Hessian in the fitted coefficients, and its eigenvectors.

        Returns:
            Shapes ``(instruments, coefficients)``, largest first, and ``(instruments, coefficients, coefficients)``, an
            eigenvector a column.
        """
        return self._once("modes", lambda: modes(self.factor, self.total, self.curve.free))

    def synced(self) -> Moments:
        """Returns the moments over all processes; themselves where there is one process. Every process must call it.

        Raises:
            ValueError: If the processes' moments are of different curves or frames.
        """
        frames = [frame for frame in all_gather((self.curve, self.origin)) if frame[1] is not None]
        ours = self
        if frames:
            if any(curve != frames[0][0] for curve, _ in frames):
                raise ValueError(f"Expected moments of one curve, but got {', '.join(str(c) for c, _ in frames)}")
            ours = self.at(frames[0][1])
        with ours.sync_context():
            other = ours._like(ours.moments.clone(), ours.lowest.clone(), ours.highest.clone())
        if frames:
            other.curve, other.origin = frames[0]
        return other

    def placed(self, index: Tensor | None, instruments: int) -> Moments:
        """Returns the moments with room for more instruments, and each at a new place.

        Args:
            index: The new place of each instrument, at least as long as they are many; None leaves each where it is.
            instruments: How many there are now.
        """
        old = len(self.moments)
        if index is None and old == instruments:
            return self
        where = slice(old) if index is None else index[:old]
        larger = Moments(instruments, self.curve)
        if self.about is not None:
            larger.about = self.about.new_full((instruments, self.about.shape[1]), torch.nan)
            larger.about[where] = self.about
        larger.moments[where], larger.lowest[where], larger.highest[where] = self.moments, self.lowest, self.highest
        larger.origin, larger._update_count = self.origin, self._update_count
        return larger

    def pooled(self, which: Tensor) -> Moments:
        """Returns the moments of some instruments' readings together, as of one instrument.

        Args:
            which: Truths, or indices, of the instruments.
        """
        kept, low, high = self.moments[which], self.lowest[which], self.highest[which]
        other = self._like(merge_all(kept[:, None]), low.amin(dim=0, keepdim=True), high.amax(dim=0, keepdim=True))
        other.about = None if self.about is None else self.about[which].nanmean(dim=0, keepdim=True)
        return other

    def _once(self, name: str, compute: Callable[[], Value]) -> Value:
        """Returns what is computed of the numbers as they are, which stays until they are others."""
        if self._known.get(name, (None,))[0] is not self.moments:
            self._known[name] = self.moments, compute()
        found: Value = self._known[name][1]
        return found

    def _like(self, moments: Tensor, lowest: Tensor, highest: Tensor) -> Moments:
        other = Moments(len(moments), self.curve)
        other.about = self.about
        other.moments, other.lowest, other.highest = moments, lowest, highest
        other.origin, other._normalization = self.origin, self._normalization
        other._update_count = self._update_count  # torchmetrics warns of a compute before any update
        return other


def as_parts(formed: Sequence[Formed]) -> tuple[Tensor, Tensor, Tensor]:
    """Returns what was formed of some blocks of one instrument's readings, as ``Moments.absorb`` takes it."""
    chunks = [chunk for chunks, _, _ in formed for chunk in chunks]
    ends = torch.tensor([each[1:] for each in formed], dtype=torch.float64)
    # through NumPy, which reads a list in half of torch's time
    return torch.from_numpy(np.array(chunks))[:, None], ends[:, :1], ends[:, 1:]


def by_feature(w: Tensor, b: Tensor) -> Tensor:
    """Returns w with its last axis, that of the features, which may be missing for one."""
    return w[..., None] if w.ndim == b.ndim else w


def features_of(curve: Curve, indication: Tensor, about: Tensor | None = None) -> Tensor:
    """Returns a curve's features along a new last axis.

    Args:
        curve: The curve.
        indication: Shape ``(...)``; with ``about`` of several instruments, ``(..., instruments)``.
        about: A solution by which the features are taken, if they depend on it, shape ``(instruments, coefficients)``.
    """
    features = curve.features_at(indication, None if about is None else list(about.T))
    return torch.stack([torch.as_tensor(each).expand(indication.shape) for each in features], dim=-1)


def trained(curve: Curve, indication: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """Returns what SGD on mini-batches is given of readings: features, shape ``(N, p)``, and what they estimate.

    Args:
        curve: The curve.
        indication: Shape ``(N,)``.
        reference: Shape ``(N,)`` [°C].
    """
    if not curve.inverted:
        return features_of(curve, indication), reference
    features, target, _ = curve.working(indication, reference)
    return torch.stack(features, dim=-1), target


def _same(one: Tensor | None, other: Tensor | None) -> bool:
    return one is other or (one is not None and other is not None and torch.equal(one, other))


def as_tensor(column: NDArray[np.float64]) -> Tensor:
    """Returns a column of readings as a tensor; a copy, where what it belongs to must not be written to."""
    return torch.from_numpy(column if column.flags.writeable else column.copy())

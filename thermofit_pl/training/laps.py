"""Many full-batch steps of an optimiser in one Lightning epoch: a lap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from thermofit_pl.curves.base import Curve
from thermofit_pl.metrics.least_squares import log_factor
from thermofit_pl.metrics.moments import Moments, by_feature

POINTS_BUDGET = 100_000  # points times instruments of one lap: as many cost a tenth of a second


@dataclass
class Points:
    """Some steps of a run, as a curve shows them.

    Attributes:
        steps: Numbers of the steps, counted from 1.
        loss: Mean squared error before each of them, the mean over instruments, as long as ``steps`` [°C²].
        w: Coefficients after each of them, shape ``(steps, instruments, features)`` [°C per normalised unit].
        b: Intercepts after each of them, shape ``(steps, instruments)`` [°C].
    """

    steps: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    w: list[Tensor] = field(default_factory=list)
    b: list[Tensor] = field(default_factory=list)


def without_held(curve: Curve, w: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Returns w and b, of which those that the curve holds have no gradient."""
    if not curve.held:
        return w, b
    free = torch.tensor([j in curve.free for j in range(w.shape[-1] + 1)], device=w.device)
    return torch.where(free[1:], w, w.detach()), torch.where(free[0], b, b.detach())


def hold(curve: Curve, w: nn.Parameter, b: nn.Parameter) -> None:
    """Puts the coefficients that the curve holds at their values, which a weight decay would have changed."""
    for j, value in curve.held.items():
        (w.data[:, j - 1] if j else b.data).fill_(value)


def is_plain_sgd(optimizer: Optimizer) -> bool:
    """Whether an optimiser's step is w ← w − learning rate · gradient, the same for w and b, and nothing else."""
    extras = ("momentum", "weight_decay", "dampening", "nesterov", "maximize")
    if type(optimizer) is not SGD or len({float(group["lr"]) for group in optimizer.param_groups}) != 1:
        return False
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    return (
        len(parameters) == 2
        and all(p.dtype == torch.float64 and p.requires_grad for p in parameters)
        and not any(group[extra] for group in optimizer.param_groups for extra in extras)
    )


class PlainSgd:
    """Plain full-batch SGD as a map of w and b.

    A step is an affine map with the least-squares curve as its fixed point: along an eigenvector of the Hessian, a
    step multiplies the distance to that point by 1 − learning_rate · eigenvalue. A coefficient that the curve holds
    stays, and so does an instrument whose readings tell no curve.

    Args:
        moments: Of all normalised readings.
        learning_rate: The optimiser's.
    """

    def __init__(self, moments: Moments, learning_rate: float) -> None:
        values, self._vectors = moments.modes()
        self._turns, self._log = learning_rate * values > 1, log_factor(learning_rate * values)
        w, b = moments.exact
        self._free = list(moments.curve.free)
        self._exact, self._known = torch.cat([b[:, None], w], dim=-1)[:, self._free], moments.has_curve

    def after(self, steps: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Returns ``w`` and ``b`` after so many steps.

        Args:
            steps: Numbers of steps, shape ``(K,)``.
            w: Coefficients before them, shape ``(instruments, features)``; for one feature the last axis may be
                missing.
            b: Intercept before them, shape ``(instruments,)``.

        Returns:
            Shapes ``(K, *w.shape)`` and ``(K, instruments)``.
        """
        start = torch.cat([b[:, None], by_feature(w, b)], dim=-1).double()
        along = torch.einsum("icm,ic->im", self._vectors, start[:, self._free] - self._exact)
        powers = self._powers(steps.to(along)[:, None, None])
        moved = self._exact + torch.einsum("icm,kim->kic", self._vectors, powers * along)
        found = start.repeat(len(steps), 1, 1)
        found[..., self._free] = torch.where(self._known[:, None], moved, found[..., self._free])
        return found[..., 1:].reshape(len(steps), *w.shape).to(w.dtype), found[..., 0].to(b.dtype)

    def _powers(self, steps: Tensor) -> Tensor:
        """Returns (1 − rate) ** steps of each mode, shape ``(K, instruments, modes)``."""
        sign = torch.where(self._turns & (steps % 2 == 1), -1.0, 1.0)
        return torch.where(steps == 0, 1.0, sign * torch.exp(steps * self._log))


class Lap:
    """The steps of one lap, from the parameters as they are when it is made.

    Args:
        moments: Of all normalised readings.
        w: Coefficients, a parameter of shape ``(instruments, features)``.
        b: Intercept, a parameter of shape ``(instruments,)``.
        first: Number of the lap's first step, from 1.
        count: Number of its steps.
        shown: The steps whose points are kept.
    """

    def __init__(
        self, moments: Moments, w: nn.Parameter, b: nn.Parameter, first: int, count: int, shown: Sequence[int] = ()
    ) -> None:
        self.moments = moments
        self.first = first
        self.count = count
        # a point of a large fleet costs as much as a lap; of many, evenly chosen ones are kept, and always the last
        thin = max(1, len(shown) * len(w) // POINTS_BUDGET)
        self.points = Points(steps=list(shown)[::-1][::thin][::-1])
        self._w, self._b = w, b
        self._start = (w.detach().clone(), b.detach().clone())
        self._losses: list[Tensor] = []
        self._sgd: PlainSgd | None = None

    def finish(self, optimizer: Optimizer) -> None:
        """Makes the rest of the lap's steps, of which Lightning has made the first.

        Plain SGD's are an affine map's power; any other optimiser makes them one by one, with the moments' loss.
        """
        if is_plain_sgd(optimizer):
            self._sgd = PlainSgd(self.moments, float(optimizer.param_groups[0]["lr"]))
            last = torch.tensor([self.count - 1], device=self._w.device)
            w, b = self._sgd.after(last, self._w.detach(), self._b.detach())
            with torch.no_grad():
                self._w.copy_(w[0])
                self._b.copy_(b[0])
            self._keep_points(self._sgd)
        else:
            self._one_by_one(optimizer)

    def losses(self, steps: Sequence[int]) -> Tensor:
        """Returns the losses before some of the lap's steps, shape ``(len(steps),)``: means over instruments [°C²]."""
        index = torch.tensor([step - self.first for step in steps], device=self._w.device)
        if self._sgd is None:
            return torch.stack(self._losses)[index]
        w, b = self._sgd.after(index, *self._start)
        return self.moments.mse(w, b).mean(dim=-1)

    def last_loss(self) -> float:
        """Returns the loss before the lap's last step, the mean over instruments [°C²]."""
        last = self.first + self.count - 1
        return self.points.loss[-1] if self.points.steps[-1:] == [last] else self.losses([last])[0].item()

    def _keep_points(self, sgd: PlainSgd) -> None:
        if not self.points.steps:
            return
        n = len(self.points.steps)
        before = torch.tensor([step - self.first for step in self.points.steps], device=self._w.device)
        w, b = sgd.after(torch.cat([before, before + 1]), *self._start)
        self.points.loss = self.moments.mse(w[:n], b[:n]).mean(dim=-1).tolist()
        self.points.w, self.points.b = list(w[n:].cpu()), list(b[n:].cpu())

    def _one_by_one(self, optimizer: Optimizer) -> None:
        with torch.no_grad():
            self._losses = [self.moments.mse(*self._start).mean()]
        wanted = set(self.points.steps)

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = self.moments.mse(self._w, self._b).sum()
            loss.backward()  # type: ignore[no-untyped-call]  # torch ships no type for it
            return loss

        instruments = len(self._start[0])
        for step in range(self.first, self.first + self.count):
            if step > self.first:
                loss = optimizer.step(closure)  # type: ignore[arg-type]  # torch's closure is typed to return a float
                hold(self.moments.curve, self._w, self._b)
                self._losses.append(torch.as_tensor(loss).detach() / instruments)
            if step in wanted:
                self.points.w.append(self._w.detach().cpu().clone())
                self.points.b.append(self._b.detach().cpu().clone())
        self.points.loss = self.losses(self.points.steps).tolist() if wanted else []

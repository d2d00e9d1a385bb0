"""The curve that a calibration holds, as tensors that a checkpoint keeps beside SGD's."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from thermofit_pl.calibration.correction import Correction
from thermofit_pl.curves.base import Curve
from thermofit_pl.functional.scales import scales_in
from thermofit_pl.functional.units import Units
from thermofit_pl.metrics.least_squares import Fit
from thermofit_pl.metrics.moments import Moments
from thermofit_pl.metrics.scores import rows_of
from thermofit_pl.results.build import Result
from thermofit_pl.training.options import refuse_no_temperature


class HeldCurve(nn.Module):
    """The curve of a calibration about its pivot, with its uncertainty and its range; NaN where something is unknown.

    Attributes:
        sgd: Whether it is SGD's, wherever that is now, shape ``()``: then w and level are not these.
        w: Coefficients of the features, shape ``(instruments, features)``.
        level: The curve at its pivot, shape ``(instruments,)`` [°C].
        pivot: The features there, shape ``(instruments, features)``.
        u_pivot: Standard uncertainty of the level, shape ``(instruments,)`` [°C].
        U: Upper triangular, shape ``(instruments, features, features)``: U Uᵀ is the covariance of w.
        u_reading: Standard deviation of the error of one new reading, shape ``(instruments,)`` [°C].
        low: Smallest calibrated indication, shape ``(instruments,)``.
        high: Largest.
    """

    sgd: Tensor
    w: Tensor
    level: Tensor
    pivot: Tensor
    u_pivot: Tensor
    U: Tensor
    u_reading: Tensor
    low: Tensor
    high: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("sgd", torch.tensor(True))
        for name, value in _unknown(0, 1).items():
            self.register_buffer(name, value)

    def resize(self, instruments: int, features: int) -> None:
        """Forgets what is held, with room for so many instruments."""
        self.sgd.fill_(True)
        for name, value in _unknown(instruments, features).items():
            setattr(self, name, value.to(self.level.device))

    def take(self, fit: Fit, moments: Moments, *, sgd: bool) -> None:
        """Takes an exact curve, unless the curve is SGD's, and its pivot and range.

        Args:
            fit: The exact curve.
            moments: Of its readings.
            sgd: Whether the curve is SGD's.
        """
        level = fit.b + (fit.w * fit.pivot).sum(dim=-1)
        known = {name: getattr(fit, name) for name in ("w", "pivot", "u_pivot", "U")}
        known |= {"level": level, "u_reading": fit.s, "low": moments.lowest, "high": moments.highest}
        if sgd:
            known = {name: known[name] for name in ("pivot", "low", "high")}
        self.resize(*fit.w.shape)
        self._set(known, sgd=sgd)

    def take_result(self, result: Result) -> None:
        """Takes what a fit came to, as its calibration has it."""
        numbers = result.numbers
        names = ("w", "level", "pivot", "u_pivot", "U", "u_reading", "low", "high")
        known = {name: torch.as_tensor(numbers[name].reshape(getattr(self, name).shape)) for name in names}
        self._set(known, sgd=result.finish == "sgd")

    def take_scale(self, name: str, units: Units) -> None:
        """Takes the exact conversion of a named scale, the same for all instruments.

        Raises:
            InputError: If the references are no temperatures.
        """
        refuse_no_temperature(name, units)
        scale = scales_in(units.reference)[name]
        known = {"w": scale.w, "level": scale.b} | dict.fromkeys(("pivot", "u_pivot", "U"), 0.0)
        self._set({key: torch.full_like(getattr(self, key), value) for key, value in known.items()}, sgd=False)

    def _set(self, values: dict[str, Tensor], *, sgd: bool) -> None:
        for name, value in values.items():
            setattr(self, name, value.clone().to(self.level))
        self.sgd.fill_(sgd)

    def coefficients(self, w: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Returns w and b of raw indications; NaN where there is no curve.

        Args:
            w: SGD's, which are returned if the curve is SGD's.
            b: Likewise.
        """
        if self.sgd:
            return w, b
        return self.w, self.level - (self.w * self.pivot).sum(dim=-1)

    def correction(self, curve: Curve, w: Tensor, b: Tensor, instrument: Tensor | None = None) -> Correction:
        """Returns what correcting needs.

        Args:
            curve: The curve, whose coefficients these are.
            w: SGD's, shape ``(instruments, features)``.
            b: Likewise, shape ``(instruments,)``.
            instrument: Index of each indication's instrument, any shape; None where there is one.
        """
        pivot = self.pivot.nan_to_num(0.0)
        level = torch.where(self.sgd, b + (w * pivot).sum(dim=-1), self.level)
        w = torch.where(self.sgd, w, self.w)
        columns = (level, w, pivot, self.u_pivot, self.U, self.u_reading, self.low, self.high)
        level, w, pivot, u_pivot, upper, u_reading, low, high = (
            each[0] if instrument is None else rows_of(each, instrument) for each in columns
        )
        rows = [row.unbind(dim=-1) for row in upper.unbind(dim=-2)]
        return Correction(curve, level, w.unbind(dim=-1), pivot.unbind(dim=-1), u_pivot, rows, u_reading, low, high)


def upgrade(state: dict[str, Tensor]) -> None:
    """Gives the tensors of a checkpoint of lines from before curves today's names and shapes, in place.

    Args:
        state: ``w``, ``b``, ``offset`` and ``scale`` of shape ``(instruments,)``, and ``line``, w above b, of shape
            ``(2, instruments)``: NaN while it was SGD's, inf where an instrument had none.
    """
    if "line" not in state:
        return
    line = state.pop("line").double()
    w, b = torch.where(line.isinf(), torch.nan, line)
    for name in ("w", "offset", "scale"):
        state[name] = state[name][:, None]
    state["scale"] = state["scale"][..., None]
    held = _unknown(len(w), 1) | {"w": w[:, None], "level": b, "pivot": torch.zeros_like(w)[:, None]}
    state |= {f"held.{name}": value for name, value in held.items()} | {"held.sgd": line.isnan().all()}


def _unknown(instruments: int, features: int) -> dict[str, Tensor]:
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("w", "pivot"), (instruments, features))
    shapes |= {"U": (instruments, features, features)}
    shapes |= dict.fromkeys(("level", "u_pivot", "u_reading", "low", "high"), (instruments,))
    return {name: torch.full(shape, torch.nan, dtype=torch.float64) for name, shape in shapes.items()}

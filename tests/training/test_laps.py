"""Laps against plain loops: NumPy's for SGD, torch's on the readings for other optimisers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from made import NOTEBOOK
from numpy.typing import NDArray
from torch import nn
from torch.optim import LBFGS, SGD, Adam, Optimizer

from thermofit_pl.metrics.least_squares import stability_limit
from thermofit_pl.metrics.moments import Moments
from thermofit_pl.training.laps import Lap, is_plain_sgd
from thermofit_pl.training.steps import POINTS, shown_steps

FloatArray = NDArray[np.float64]
T_U, T_C = np.array(NOTEBOOK[0]) * 0.1, np.array(NOTEBOOK[1])
MakeOptimizer = Callable[[list[nn.Parameter]], Optimizer]


def fleet(readings: int = 11, instruments: int = 3) -> tuple[FloatArray, FloatArray]:
    """The notebook's readings, and other instruments', each of shape (instruments, readings)."""
    random = np.random.default_rng(1)
    x = np.stack([T_U, *(k + random.standard_normal(readings) for k in range(1, instruments))])
    y = np.stack([T_C, *(3 * x[k] - k + random.standard_normal(readings) for k in range(1, instruments))])
    return x, y


def moments_of(x: FloatArray, y: FloatArray) -> Moments:
    moments = Moments(len(x))
    instrument = torch.arange(len(x)).repeat_interleave(x.shape[1])
    moments.update(torch.from_numpy(x.ravel()), torch.from_numpy(y.ravel()), instrument)
    return moments


def run(
    moments: Moments,
    make: MakeOptimizer,
    steps: int,
    *,
    start: tuple[float, float] = (1.0, 0.0),
    lap: int | None = None,
    shown: Any = (),
    dtype: torch.dtype = torch.float64,
) -> tuple[nn.Parameter, nn.Parameter, list[Lap]]:
    """Steps in laps, the first step of each made as Lightning makes it."""
    w, b = (nn.Parameter(torch.full((len(moments.moments),), value, dtype=dtype)) for value in start)
    optimizer, laps = make([w, b]), []

    def closure() -> torch.Tensor:
        loss = moments.mse(w, b).sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    lap = lap or steps
    for first in range(1, steps + 1, lap):
        last = min(first + lap - 1, steps)
        laps.append(Lap(moments, w, b, first, last - first + 1, [k for k in shown if first <= k <= last]))
        optimizer.step(closure)  # type: ignore[arg-type]
        laps[-1].finish(optimizer)
    return w, b, laps


def loop(x: FloatArray, y: FloatArray, rate: float, steps: int, start: tuple[float, float]) -> FloatArray:
    """Plain SGD on the readings: w, b and the loss before the step, shape (steps, 3, instruments)."""
    w, b = (np.full(len(x), value) for value in start)
    n, found = x.shape[1], np.empty((steps, 3, len(x)))
    for step in range(steps):
        error = w[:, None] * x + b[:, None] - y
        found[step, 2] = (error * error).sum(axis=1) / n
        w = w - rate * 2 * (error * x).sum(axis=1) / n
        b = b - rate * 2 * error.sum(axis=1) / n
        found[step, :2] = w, b
    return found


def sgd(rate: float) -> MakeOptimizer:
    return lambda parameters: SGD(parameters, lr=rate)


@pytest.mark.parametrize("start", [(1.0, 0.0), (-40.0, 300.0)])
@pytest.mark.parametrize(
    "rate", ["1e-2", "1e-4", "0.6 of the limit", "0.98 of the limit"]
)  # the last two beyond 1/λmax
@pytest.mark.parametrize("instruments", [1, 3])
def test_every_iterate_and_loss_is_that_of_a_plain_loop(
    instruments: int, rate: str, start: tuple[float, float]
) -> None:
    x, y = fleet(instruments=instruments)
    moments = moments_of(x, y)
    share, _, of_limit = rate.partition(" ")
    lr = float(share) * (stability_limit(moments).min().item() if of_limit else 1)
    expected = loop(x, y, lr, 1500, start)
    w, b, laps = run(moments, sgd(lr), 1500, start=start, lap=500, shown=range(1, 1501))
    for i, values in enumerate(("w", "b")):
        found = np.concatenate([torch.stack(getattr(lap.points, values)).numpy() for lap in laps])
        np.testing.assert_allclose(found, expected[:, i], rtol=1e-12, atol=1e-12 * max(abs(start[0]), abs(start[1])))
    losses = np.concatenate([lap.points.loss for lap in laps])
    np.testing.assert_allclose(losses, expected[:, 2].mean(axis=1), rtol=1e-11)
    np.testing.assert_array_equal(laps[1].losses(range(501, 1001)), losses[500:1000])
    assert w.detach().numpy() == pytest.approx(expected[-1, 0], rel=1e-12, abs=0)
    assert b.detach().numpy() == pytest.approx(expected[-1, 1], rel=1e-12, abs=0)


@pytest.mark.parametrize("steps", [5000, pytest.param(100_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("lap", [500, 7, 100_000])
def test_thousands_of_steps_end_where_the_loop_ends(steps: int, lap: int) -> None:
    x, y = fleet()
    rate = 1e-2 if steps == 5000 else 1e-3
    w, b, _ = run(moments_of(x, y), sgd(rate), steps, lap=max(lap, steps // 1000))
    expected = loop(x, y, rate, steps, (1.0, 0.0))[-1]
    np.testing.assert_allclose(w.detach().numpy(), expected[0], rtol=1e-12)
    np.testing.assert_allclose(b.detach().numpy(), expected[1], rtol=1e-12)


def test_the_notebooks_ten_losses() -> None:
    shown = range(500, 5001, 500)
    w, b, laps = run(moments_of(T_U[None], T_C[None]), sgd(1e-2), 5000, lap=500, shown=shown)
    # Deep Learning with PyTorch, chapter 5: printed from one float32 vector, hence 1e-5
    printed = [7.860115, 3.828538, 3.092191, 2.957698, 2.933134, 2.928648, 2.927830, 2.927679, 2.927652, 2.927647]
    found = [lap.points.loss[0] for lap in laps]
    np.testing.assert_allclose(found, printed, rtol=1e-5)
    float64 = [7.860124, 3.828542, 3.092191, 2.957699, 2.933135, 2.928649, 2.927829, 2.927679, 2.927652, 2.927647]
    np.testing.assert_allclose(found, float64, rtol=4e-7)
    np.testing.assert_allclose(found, loop(T_U[None], T_C[None], 1e-2, 5000, (1.0, 0.0))[499::500, 2, 0], rtol=1e-12)
    assert (round(w.item(), 4), round(b.item(), 4)) == (5.3671, -17.3012)


def test_float32_is_stepped_in_float32() -> None:
    moments = moments_of(T_U[None], T_C[None])
    w, _, laps = run(moments, sgd(1e-2), 1500, shown=[500, 1500], dtype=torch.float32)
    assert w.dtype == torch.float32
    np.testing.assert_allclose(laps[0].points.loss, [7.860115, 3.092191], rtol=1e-5)
    exact = loop(T_U[None], T_C[None], 1e-2, 1500, (1.0, 0.0))[-1]
    assert 0 < abs(w.item() / exact[0, 0] - 1) < 1e-5  # rounded at every step


OTHERS: dict[str, MakeOptimizer] = {
    "momentum": lambda p: SGD(p, lr=1e-2, momentum=0.9),
    "nesterov": lambda p: SGD(p, lr=1e-2, momentum=0.5, nesterov=True),
    "weight decay": lambda p: SGD(p, lr=1e-2, weight_decay=0.1),
    "two rates": lambda p: SGD([{"params": p[:1], "lr": 1e-2}, {"params": p[1:], "lr": 1e-1}]),
    "slope alone": lambda p: SGD(p[:1], lr=1e-2),
    "Adam": lambda p: Adam(p, lr=0.1),
    "LBFGS": lambda p: LBFGS(p, lr=0.5, max_iter=2),
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("instruments", [1, 2])
def test_other_optimizers_step_as_on_the_readings(name: str, instruments: int) -> None:
    x, y = fleet(instruments=instruments)
    steps = 12 if name == "LBFGS" else 120
    w, b, laps = run(moments_of(x, y), OTHERS[name], steps, lap=steps // 3, shown=range(1, steps + 1))
    tx, ty = torch.from_numpy(x), torch.from_numpy(y)
    v, c = (nn.Parameter(torch.full((instruments,), value, dtype=torch.float64)) for value in (1.0, 0.0))
    optimizer = OTHERS[name]([v, c])

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = (v[:, None] * tx + c[:, None] - ty).square().mean(dim=1).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    losses, slopes = [], []
    for _ in range(steps):
        losses.append(torch.as_tensor(optimizer.step(closure)).item() / instruments)  # type: ignore[arg-type]
        slopes.append(v.detach().clone())
    torch.testing.assert_close((w, b), (v, c), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(np.concatenate([lap.points.loss for lap in laps]), losses, rtol=1e-9)
    torch.testing.assert_close(torch.stack([w for lap in laps for w in lap.points.w]), torch.stack(slopes))
    assert not is_plain_sgd(optimizer)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_a_stale_gradient_never_leaks_into_a_step(name: str) -> None:
    moments = moments_of(*fleet(instruments=1))
    make = sgd(1e-2) if name == "SGD" else OTHERS["Adam"]

    def soiled(parameters: list[nn.Parameter]) -> Optimizer:
        for parameter in parameters:
            parameter.grad = torch.full_like(parameter, 1e6)
        return make(parameters)

    clean, dirty = run(moments, make, 30, lap=10)[:2], run(moments, soiled, 30, lap=10)[:2]
    assert [v.item() for v in clean] == [v.item() for v in dirty]


def test_a_frozen_parameter_stays() -> None:
    moments = moments_of(*fleet(instruments=1))

    def frozen(parameters: list[nn.Parameter]) -> Optimizer:
        parameters[1].requires_grad_(False)
        return SGD(parameters, lr=1e-2)

    w, b, _ = run(moments, frozen, 2000)
    assert b.item() == 0
    assert w.item() == pytest.approx((T_U @ T_C) / (T_U @ T_U), rel=1e-12, abs=0)  # the line through the origin


@pytest.mark.parametrize("rate", [1e-2, 1e-1])
def test_a_rate_at_which_a_mode_is_done_in_one_step(rate: float) -> None:
    x = np.array([[-1.0, 1.0]]) * (0.5 / rate) ** 0.5  # λ = 1/rate in w
    w, _, _ = run(moments_of(x, 3 * x), sgd(rate), 3, start=(1.0, 0.0))
    assert w.item() == pytest.approx(3, rel=1e-14, abs=0)


def test_beyond_the_limit_it_diverges_as_the_loop_does() -> None:
    x, y = fleet(instruments=1)
    rate = 1.01 * stability_limit(moments_of(x, y)).item()
    w, _, _ = run(moments_of(x, y), sgd(rate), 400)
    assert w.item() == pytest.approx(loop(x, y, rate, 400, (1.0, 0.0))[-1, 0, 0], rel=1e-10, abs=0)
    assert abs(w.item()) > 1e3


@pytest.mark.parametrize(("total", "lap"), [(1, 500), (3, 1), (380, 50), (5000, 500), (105_000, 500), (10**6, 1)])
def test_a_curve_shows_its_ends_and_not_too_many_points(total: int, lap: int) -> None:
    steps = shown_steps(total, lap)
    assert steps == sorted(set(steps))
    assert (steps[0], steps[-1]) == (1, total)
    assert len(steps) <= 2 * POINTS + 20
    if total == 5000:
        assert set(range(500, 5001, 500)) <= set(steps)

"""The module under a plain Trainer, against plain loops on the readings."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from made import NOTEBOOK
from torch import nn
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import ExponentialLR
from torch.utils.data import DataLoader, TensorDataset

from thermofit_pl.errors import InputError
from thermofit_pl.training.datamodule import ReadingsDataModule
from thermofit_pl.training.loaders import Batches
from thermofit_pl.training.module import CalibrationModule

T_U, T_C = (torch.tensor(column, dtype=torch.float64) for column in NOTEBOOK)
EXACT = (0.5367719209075441, -17.304785503010784)  # the least-squares line, in float64
MakeTrainer = Callable[..., Trainer]


@pytest.fixture
def quiet(tmp_path: Path) -> MakeTrainer:
    """Makes a Trainer that writes and shows nothing."""

    def make(**options: Any) -> Trainer:
        plain: dict[str, Any] = {
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "accelerator": "cpu",
        }
        return Trainer(**plain | {"enable_model_summary": False, "default_root_dir": tmp_path} | options)

    return make


def loop(steps: int, rate: float | Callable[[int], float] = 1e-2) -> tuple[float, float]:
    """Plain SGD on the notebook's normalised readings."""
    x, y = T_U.numpy() * 0.1, T_C.numpy()
    w, b = 1.0, 0.0
    for step in range(steps):
        lr = rate(step) if callable(rate) else rate
        error = w * x + b - y
        w, b = w - lr * 2 * float(np.mean(error * x)), b - lr * 2 * float(np.mean(error))
    return w, b


def ends(module: CalibrationModule) -> tuple[float, float]:
    return module.w.item(), module.b.item()


def test_five_lines_fit_the_notebook(quiet: MakeTrainer) -> None:
    module, data, trainer = CalibrationModule(), ReadingsDataModule(), quiet(max_epochs=10)
    trainer.fit(module, data)
    assert ends(module) == pytest.approx(loop(5000), rel=1e-12, abs=0)
    assert [round(value, 4) for value in ends(module)] == [5.3671, -17.3012]
    assert int(module.steps_done) == 5000
    assert trainer.global_step == 10  # Lightning counts laps
    assert module.last_loss() == pytest.approx(2.927647, rel=1e-6)
    assert [value.item() for value in module.raw] == pytest.approx([5.36708 / 10, -17.30122], rel=1e-5)
    assert [value.item() for value in module.calibrated] == pytest.approx(EXACT, rel=1e-13, abs=0)


@pytest.mark.filterwarnings("ignore:You are trying to `self.log")  # no Trainer here
def test_the_gradient_at_the_start_on_raw_indications() -> None:
    module = CalibrationModule()
    for parameter in (module.w, module.b):
        parameter.grad = None
    module.training_step((T_U, T_C), 0).backward()  # type: ignore[no-untyped-call]
    assert module.w.grad is not None
    assert module.b.grad is not None
    # Deep Learning with PyTorch, chapter 5, printed in float32
    assert [module.w.grad.item(), module.b.grad.item()] == pytest.approx([4517.2969, 82.6000], rel=1e-6)
    data = ReadingsDataModule(normalization="none")
    data.setup("fit")
    other = CalibrationModule()
    other.training_step(next(iter(data.train_dataloader())), 0).backward()  # type: ignore[arg-type, no-untyped-call]
    torch.testing.assert_close((other.w.grad, other.b.grad), (module.w.grad, module.b.grad), rtol=1e-13, atol=0)


def test_metrics_are_float64_and_numpys(quiet: MakeTrainer) -> None:
    module, trainer = CalibrationModule(), quiet(max_epochs=2)
    trainer.fit(module, ReadingsDataModule())
    metrics, (w, b) = trainer.callback_metrics, loop(1000)
    error = w * T_U.numpy() * 0.1 + b - T_C.numpy()
    assert metrics["val/rmse"].dtype == metrics["train/loss"].dtype == torch.float64
    assert metrics["val/rmse"].item() == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-13, abs=0)
    assert metrics["val/mean_error"].item() == pytest.approx(error.mean(), rel=1e-10, abs=0)
    variance = np.var(T_C.numpy())
    assert metrics["val/r2"].item() == pytest.approx(1 - np.mean(error**2) / variance, rel=1e-12, abs=0)


def test_validate_and_test_score_the_exact_line(quiet: MakeTrainer) -> None:
    module, trainer, data = CalibrationModule(), quiet(max_epochs=1), ReadingsDataModule()
    trainer.fit(module, data)
    error = EXACT[0] * T_U.numpy() + EXACT[1] - T_C.numpy()
    for stage, run in (("val", trainer.validate), ("test", trainer.test)):
        run(module, data, verbose=False)
        scores = {name: value.item() for name, value in trainer.callback_metrics.items()}
        assert scores[f"{stage}/rmse"] == pytest.approx(2.9276455708956366**0.5, rel=1e-7, abs=0)
        assert scores[f"{stage}/largest_error"] == pytest.approx(error[np.abs(error).argmax()], rel=1e-7, abs=0)
        assert scores[f"{stage}/mean_error"] == pytest.approx(0, abs=1e-12)
        assert scores[f"{stage}/r2"] == pytest.approx(0.9620458441015297, rel=1e-7, abs=0)


def test_a_loader_of_ones_own_trains_in_mini_batches(quiet: MakeTrainer) -> None:
    loader = DataLoader(TensorDataset(0.1 * T_U, T_C), batch_size=4)
    module, trainer = CalibrationModule(), quiet(max_epochs=40)
    with pytest.warns(UserWarning, match=r"not normalised \(from 3.57 to 8.19\), so that SGD needs 515 times"):
        trainer.fit(module, loader, DataLoader(TensorDataset(0.1 * T_U, T_C), batch_size=5))
    w, b = torch.ones(1).double().requires_grad_(), torch.zeros(1).double().requires_grad_()
    optimizer = SGD([w, b], lr=1e-2)
    for _ in range(40):
        for x, y in loader:
            optimizer.zero_grad()
            nn.functional.mse_loss(w * x + b, y).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    assert ends(module) == pytest.approx((w.item(), b.item()), rel=1e-12, abs=0)
    assert int(module.steps_done) == 120 == trainer.global_step
    error = (w * 0.1 * T_U + b - T_C).detach()
    assert trainer.callback_metrics["val/rmse"].item() == pytest.approx(error.square().mean().sqrt().item(), rel=1e-12)


def test_mini_batches_of_the_data_module_are_shuffled_anew_each_epoch(quiet: MakeTrainer) -> None:
    module, data = CalibrationModule(), ReadingsDataModule(batch_size=4, seed=5)
    quiet(max_epochs=30).fit(module, data)
    loader = data.train_dataloader()
    assert isinstance(loader, Batches)
    w, b = 1.0, 0.0
    for epoch in range(30):
        loader.set_epoch(epoch)
        for batch in loader:
            x, y = batch.features[:, 0].numpy(), batch.reference.numpy()
            error = w * x + b - y
            w, b = w - 0.02 * float(np.mean(error * x)), b - 0.02 * float(np.mean(error))
    assert ends(module) == pytest.approx((w, b), rel=1e-12, abs=0)
    assert int(module.steps_done) == 90


@pytest.mark.parametrize("normalization", [0.1, "standard", "none"])
def test_a_checkpoint_alone_turns_raw_indications_into_degrees(
    normalization: Any, quiet: MakeTrainer, tmp_path: Path
) -> None:
    rate = 1e-4 if normalization == "none" else 1e-2
    module = CalibrationModule(finish="none", learning_rate=rate)
    trainer = quiet(max_epochs=4)
    trainer.fit(module, ReadingsDataModule(normalization=normalization))
    trainer.save_checkpoint(tmp_path / "c.ckpt")
    loaded = CalibrationModule.load_from_checkpoint(tmp_path / "c.ckpt", weights_only=True)
    x = T_U.numpy()
    scaled = {0.1: x * 0.1, "standard": (x - x.mean()) / x.std(), "none": x}[normalization]
    expected = module.w.item() * scaled + module.b.item()  # the normalisation applied once
    np.testing.assert_allclose(loaded(T_U).detach().numpy(), expected, rtol=1e-12)
    predicted = quiet().predict(loaded, DataLoader(TensorDataset(T_U), batch_size=11))
    assert predicted is not None
    np.testing.assert_allclose(predicted[0].estimate.numpy(), expected, rtol=1e-12)  # type: ignore[union-attr]
    again = quiet(max_epochs=1)
    again.fit(loaded, ReadingsDataModule(normalization=normalization))  # a second setup normalises nothing twice
    torch.testing.assert_close((loaded.offset, loaded.scale), (module.offset, module.scale), rtol=0, atol=0)


def test_the_exact_line_is_kept_beside_sgds(quiet: MakeTrainer, tmp_path: Path) -> None:
    module, trainer = CalibrationModule(), quiet(max_epochs=1)
    trainer.fit(module, ReadingsDataModule())
    trainer.save_checkpoint(tmp_path / "c.ckpt")
    loaded = CalibrationModule.load_from_checkpoint(tmp_path / "c.ckpt")
    assert ends(loaded) == pytest.approx(loop(500), rel=1e-12, abs=0)
    np.testing.assert_allclose(loaded(T_U).numpy(), EXACT[0] * T_U.numpy() + EXACT[1], rtol=1e-13)


def test_snapping_holds_the_scales_conversion(quiet: MakeTrainer) -> None:
    module = CalibrationModule(snap="fahrenheit")
    quiet(max_epochs=1).fit(module, ReadingsDataModule())
    assert module(torch.tensor([32.0, 212.0])).tolist() == pytest.approx([0, 100], abs=1e-12)


@pytest.mark.parametrize("snap", [None, "fahrenheit"])
def test_a_fleets_checkpoint_loads_with_a_line_for_each_instrument(
    snap: Any, quiet: MakeTrainer, tmp_path: Path
) -> None:
    names = ["a", "b", "c"]
    rows = [f"{name},{x},{(x - 32) / 1.8 + k + 0.1 * (x % 3)}" for k, name in enumerate(names) for x in range(20, 90)]
    (tmp_path / "fleet.csv").write_text("\n".join(["name,shows,true", *rows]))
    module, trainer = CalibrationModule(snap=snap), quiet(max_epochs=1)
    trainer.fit(module, ReadingsDataModule(str(tmp_path / "fleet.csv"), "shows", "true", instrument="name"))
    trainer.save_checkpoint(tmp_path / "c.ckpt")
    loaded = CalibrationModule.load_from_checkpoint(tmp_path / "c.ckpt", weights_only=True)
    torch.testing.assert_close(loaded.calibrated, module.calibrated, rtol=0, atol=0)
    for k, (w, b) in enumerate(torch.cat([loaded.calibrated[0], loaded.calibrated[1][:, None]], dim=1).tolist()):
        x = np.arange(20, 90)
        line = np.polyfit(x, (x - 32) / 1.8 + k + 0.1 * (x % 3), 1)
        expected = (5 / 9, -160 / 9) if snap else tuple(line)
        assert (w, b) == pytest.approx(expected, rel=1e-9, abs=0)


class Scheduled(CalibrationModule):
    """With a learning rate that falls from epoch to epoch."""

    def configure_optimizers(self) -> Any:
        optimizer = SGD([self.w, self.b], lr=1e-2)
        return {"optimizer": optimizer, "lr_scheduler": ExponentialLR(optimizer, 0.5)}


class WithAdam(CalibrationModule):
    def configure_optimizers(self) -> Any:
        return Adam([self.w, self.b], lr=1e-2)


def test_a_schedule_steps_once_an_epoch(quiet: MakeTrainer) -> None:
    module = Scheduled(steps_per_epoch=50)
    quiet(max_epochs=4).fit(module, ReadingsDataModule())
    assert ends(module) == pytest.approx(loop(200, lambda step: 1e-2 * 0.5 ** (step // 50)), rel=1e-12, abs=0)


@pytest.mark.parametrize("kind", [CalibrationModule, Scheduled, WithAdam])
@pytest.mark.parametrize("batch_size", [None, 4])
def test_a_resumed_run_is_the_same_to_the_bit(
    kind: type[CalibrationModule], batch_size: int | None, quiet: MakeTrainer, tmp_path: Path
) -> None:
    whole, first, second = kind(steps_per_epoch=20), kind(steps_per_epoch=20), kind(steps_per_epoch=20)

    def data() -> ReadingsDataModule:
        return ReadingsDataModule(batch_size=batch_size, seed=3)

    quiet(max_epochs=6).fit(whole, data())
    trainer = quiet(max_epochs=2)
    trainer.fit(first, data())
    trainer.save_checkpoint(tmp_path / "c.ckpt")
    quiet(max_epochs=6).fit(second, data(), ckpt_path=tmp_path / "c.ckpt", weights_only=True)
    assert ends(second) == ends(whole) != ends(first)
    assert int(second.steps_done) == int(whole.steps_done)


@pytest.mark.parametrize("steps", [1, 499, 500, 1234])
def test_max_steps_counts_steps_of_sgd(steps: int, quiet: MakeTrainer) -> None:
    module = CalibrationModule()
    quiet(max_steps=steps, max_epochs=-1).fit(module, ReadingsDataModule())
    assert int(module.steps_done) == steps
    assert ends(module) == pytest.approx(loop(steps), rel=1e-12, abs=0)


def test_it_stops_when_converged(quiet: MakeTrainer) -> None:
    module = CalibrationModule(stop_when_converged=True, steps_per_epoch=50)
    quiet(max_epochs=1000).fit(module, ReadingsDataModule())
    s = 1.8916219166469581

    def away(steps: int) -> float:
        w, b = loop(steps)
        return max(abs((w / 10 - EXACT[0]) * end + b - EXACT[1]) for end in (21.8, 81.9))

    taken = int(module.steps_done)
    assert away(taken) <= s / 11**0.5 / 10 < away(taken - 50)
    fixed = CalibrationModule(stop_when_converged=True, steps_per_epoch=50, tolerance=1.0)
    quiet(max_epochs=1000).fit(fixed, ReadingsDataModule())
    taken = int(fixed.steps_done)
    assert away(taken) <= 1 < away(taken - 50)


def test_early_stopping_and_the_best_checkpoint_watch_val_rmse(quiet: MakeTrainer, tmp_path: Path) -> None:
    best = ModelCheckpoint(tmp_path / "best", monitor="val/rmse", filename="best")
    stop = EarlyStopping(monitor="val/rmse", min_delta=1e-4, patience=1)
    trainer = quiet(max_epochs=100, enable_checkpointing=True, callbacks=[best, stop])
    module = CalibrationModule()
    trainer.fit(module, ReadingsDataModule())
    assert 3 < trainer.current_epoch < 15
    assert best.best_model_score is not None
    assert best.best_model_score.item() == pytest.approx(2.9276455708956366**0.5, rel=1e-3)
    assert ends(CalibrationModule.load_from_checkpoint(best.best_model_path)) == ends(module)


class Soil(Callback):
    """Leaves gradients behind."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        for parameter in (pl_module.w, pl_module.b):
            parameter.grad = torch.full_like(parameter, 1e6)


@pytest.mark.parametrize("batch_size", [None, 4])
def test_stale_gradients_never_leak(batch_size: int | None, quiet: MakeTrainer) -> None:
    clean, soiled = CalibrationModule(), CalibrationModule()
    quiet(max_epochs=3).fit(clean, ReadingsDataModule(batch_size=batch_size))
    quiet(max_epochs=3, callbacks=[Soil()]).fit(soiled, ReadingsDataModule(batch_size=batch_size))
    assert ends(clean) == ends(soiled)


@pytest.mark.parametrize(
    ("dtype", "precision"), [("float64", "32-true"), ("float64", "64-true"), ("float32", "32-true")]
)
def test_w_and_b_have_the_dtype_that_was_asked_for(dtype: Any, precision: Any, quiet: MakeTrainer) -> None:
    module = CalibrationModule(dtype=dtype)
    quiet(max_epochs=1, precision=precision).fit(module, ReadingsDataModule())
    assert module.w.dtype == module.b.dtype == getattr(torch, dtype)
    assert ends(module) == pytest.approx(loop(500), rel=1e-12 if dtype == "float64" else 1e-5, abs=0)


def test_divergence_is_refused_before_it_starts(quiet: MakeTrainer) -> None:
    with pytest.raises(InputError, match=r"learning_rate: expected less than 0.0003\d+, .* but got 0.01"):
        quiet(max_epochs=1).fit(CalibrationModule(), ReadingsDataModule(normalization="none"))


def test_other_divergence_stops_with_a_sentence(quiet: MakeTrainer) -> None:
    module = CalibrationModule(learning_rate=5.0)
    with pytest.raises(InputError, match=r"with 5 (the loss is|w and b were infinite).* by step \d+; lower it"):
        quiet(max_epochs=1000).fit(module, ReadingsDataModule(batch_size=4))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 0.0}, "learning_rate: expected a positive number, but got 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate: expected a positive number, but got nan"),
        ({"steps_per_epoch": 0}, "steps_per_epoch: expected a positive number, but got 0"),
        ({"tolerance": -1.0}, "tolerance: expected a positive number, but got -1.0"),
        ({"w": float("inf")}, "expected finite numbers to start from, but got inf and 0.0"),
    ],
)
def test_options_without_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        CalibrationModule(**options)


@pytest.mark.parametrize("method", ["fit", "validate", "test"])
def test_shapes_that_would_broadcast_are_refused(method: str, quiet: MakeTrainer) -> None:
    x = torch.tensor([-1.5, -0.5, 0.5, 1.5], dtype=torch.float64)
    loader = DataLoader(TensorDataset(x[:, None], 7 * x + 11), batch_size=4)
    trainer = quiet(max_epochs=1, num_sanity_val_steps=0)
    with pytest.raises(InputError, match=r"one shape, but got \(4, 1\) beside \(4,\); make both"):
        getattr(trainer, method)(CalibrationModule(), *([loader, loader] if method == "fit" else [loader]))

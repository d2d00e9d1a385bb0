"""Curves under a plain Trainer, against plain loops on the features of the readings."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from numpy.typing import NDArray
from torch.optim import SGD, Adam, AdamW
from torch.utils.data import DataLoader, TensorDataset

from thermofit_pl.curves import Curve, Line, Offset, Polynomial, Proportional
from thermofit_pl.errors import InputError
from thermofit_pl.training.datamodule import ReadingsDataModule
from thermofit_pl.training.module import CalibrationModule

FloatArray = NDArray[np.float64]
MakeTrainer = Callable[..., Trainer]
CURVES = [Line(), Offset(), Proportional(), Polynomial(2), Polynomial(5)]
N = 60


@pytest.fixture
def quiet(tmp_path: Path) -> MakeTrainer:
    """Makes a Trainer that writes and shows nothing."""

    def make(**options: Any) -> Trainer:
        plain: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        return Trainer(
            **plain | {"accelerator": "cpu", "enable_model_summary": False, "default_root_dir": tmp_path} | options
        )

    return make


def readings() -> tuple[FloatArray, FloatArray]:
    random = np.random.default_rng(7)
    x = random.uniform(10, 90, N)
    return x, 0.9 * x - 3 + 0.004 * (x - 50) ** 2 + random.normal(0, 0.2, N)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "readings.csv"
    path.write_text("shown,ref\n" + "".join(f"{float(x)!r},{float(y)!r}\n" for x, y in zip(*readings(), strict=True)))
    return path


def columns(curve: Curve, x: FloatArray) -> FloatArray:
    """The features as SGD sees them with standard normalisation: each made orthogonal to those before, variance 1."""
    phi = np.stack([np.broadcast_to(each, x.shape) for each in curve.features(x)], axis=1).astype(float)
    if 1 in curve.held:
        return phi
    if 0 in curve.held:
        return np.asarray(phi / np.sqrt((phi**2).mean(axis=0)))
    q, _ = np.linalg.qr(np.column_stack([np.ones(len(x)), phi]))
    q = q[:, 1:] * np.sqrt(len(x))
    return np.asarray(q * np.sign((q * phi).sum(axis=0)))


def loop(curve: Curve, x: FloatArray, y: FloatArray, steps: int, rate: float = 1e-2) -> tuple[FloatArray, float]:
    """Plain SGD on the mean squared error, in NumPy."""
    phi = columns(curve, x)
    w, b = np.zeros(phi.shape[1]), 0.0
    w[0] = 1.0
    for _ in range(steps):
        error = phi @ w + b - y
        if 1 not in curve.held:
            w = w - rate * 2 * (phi.T @ error) / len(y)
        if 0 not in curve.held:
            b = b - rate * 2 * float(error.mean())
    return w, b


@pytest.mark.parametrize("curve", CURVES, ids=repr)
def test_laps_are_plain_sgd_on_the_whitened_features(curve: Curve, table: Path, quiet: MakeTrainer) -> None:
    module, data = CalibrationModule(curve=curve), ReadingsDataModule(str(table), "shown", "ref")
    quiet(max_epochs=4).fit(module, data)
    x, y = readings()
    framed = curve.framed(x.min(), x.max())
    assert module.curve == framed
    w, b = loop(framed, x, y, 2000)
    # 2,000 steps in NumPy keep 13 digits; the features themselves are whitened to 12 at degree 5
    tolerance = 1e-13 if len(curve.names) < 3 else 1e-11
    np.testing.assert_allclose(module.w.detach()[0], w, rtol=tolerance, atol=tolerance * np.abs(w).max())
    assert module.b.item() == pytest.approx(b, rel=tolerance, abs=0)


@pytest.mark.parametrize("curve", CURVES, ids=repr)
def test_every_curve_converges_in_the_lines_number_of_steps(curve: Curve, table: Path, quiet: MakeTrainer) -> None:
    taken = []
    for each in (Line(), curve):
        module = CalibrationModule(curve=each, steps_per_epoch=20, stop_when_converged=True, tolerance=1e-6)
        quiet(max_epochs=200).fit(module, ReadingsDataModule(str(table), "shown", "ref"))
        taken.append(int(module.steps_done))
    assert taken[1] <= taken[0] + 20  # within one check


@pytest.mark.parametrize("curve", [Offset(), Proportional(), Polynomial(3)], ids=repr)
def test_the_calibration_is_the_exact_curve(curve: Curve, table: Path, quiet: MakeTrainer, tmp_path: Path) -> None:
    module, data = CalibrationModule(curve=curve), ReadingsDataModule(str(table), "shown", "ref")
    trainer = quiet(max_epochs=1)
    trainer.fit(module, data)
    x, y = readings()
    exact: Any = {
        "Offset": lambda at: at + (y - x).mean(),
        "Proportional": lambda at: at * (x @ y) / (x @ x),
        "Polynomial": np.polynomial.Polynomial.fit(x, y, 3),
    }[type(curve).__name__]
    np.testing.assert_allclose(module(torch.from_numpy(x)).numpy(), exact(x), rtol=1e-12)
    error = exact(x) - y
    for stage, run in (("val", trainer.validate), ("test", trainer.test)):
        scores = run(module, data, verbose=False)[0]
        assert scores[f"{stage}/rmse"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-6)
        assert scores[f"{stage}/largest_error"] == pytest.approx(error[np.abs(error).argmax()], rel=1e-6)
    trainer.save_checkpoint(tmp_path / "c.ckpt")
    loaded = CalibrationModule.load_from_checkpoint(tmp_path / "c.ckpt", weights_only=True)
    assert loaded.curve == module.curve
    torch.testing.assert_close(loaded(torch.from_numpy(x)), module(torch.from_numpy(x)), rtol=0, atol=0)


@pytest.mark.parametrize("curve", [Offset(), Proportional(), Polynomial(2)], ids=repr)
@pytest.mark.parametrize("kind", [SGD, Adam, AdamW])
def test_mini_batches_and_other_optimisers_hold_what_the_curve_holds(
    curve: Curve, kind: Any, table: Path, quiet: MakeTrainer
) -> None:
    class Module(CalibrationModule):
        def configure_optimizers(self) -> Any:
            decay = {"weight_decay": 0.1} if kind is not Adam else {"lr": 0.02}
            return kind([self.w, self.b], **{"lr": 0.02} | decay)

    for batch_size in (None, 16):
        module = Module(curve=curve, steps_per_epoch=50)
        data = ReadingsDataModule(str(table), "shown", "ref", batch_size=batch_size)
        quiet(max_epochs=3).fit(module, data)
        for j, value in curve.held.items():
            assert (module.b if j == 0 else module.w[:, j - 1]).item() == value
        assert not torch.equal(module.b if 0 not in curve.held else module.w, torch.zeros(1).double())


@pytest.mark.parametrize("batch_size", [None, 16])
@pytest.mark.parametrize("kind", [SGD, Adam])
def test_a_resumed_polynomial_is_the_same_to_the_bit(
    batch_size: int | None, kind: Any, table: Path, quiet: MakeTrainer, tmp_path: Path
) -> None:
    class Module(CalibrationModule):
        def configure_optimizers(self) -> Any:
            return kind([self.w, self.b], lr=0.02)

    def fitted(epochs: int, **options: Any) -> CalibrationModule:
        module = Module(curve=Polynomial(3), steps_per_epoch=20)
        data = ReadingsDataModule(str(table), "shown", "ref", batch_size=batch_size)
        trainer = quiet(max_epochs=epochs)
        trainer.fit(module, data, **options)
        trainer.save_checkpoint(tmp_path / f"{epochs}.ckpt")
        return module

    first, whole = fitted(2), fitted(6)
    second = fitted(6, ckpt_path=tmp_path / "2.ckpt", weights_only=True)
    assert torch.equal(second.w, whole.w)
    assert torch.equal(second.b, whole.b)
    assert not torch.equal(first.w, whole.w)


def test_a_fleet_of_polynomials(tmp_path: Path, quiet: MakeTrainer) -> None:
    random = np.random.default_rng(3)
    rows, own = [], {}
    for k, name in enumerate("abc"):
        x = random.uniform(10 * k, 10 * k + 50, 30)
        y = k + 0.5 * x + 0.01 * x**2 + random.normal(0, 0.1, 30)
        own[name] = x, np.polynomial.Polynomial.fit(x, y, 2)
        rows += [f"{name},{float(a)!r},{float(b)!r}\n" for a, b in zip(x, y, strict=True)]
    rows += ["stuck,20.0,1.0\n", "stuck,30.0,2.0\n"]
    (tmp_path / "fleet.csv").write_text("name,shown,ref\n" + "".join(rows))
    data = ReadingsDataModule(str(tmp_path / "fleet.csv"), "shown", "ref", instrument="name")
    module, trainer = CalibrationModule(curve=Polynomial(2)), quiet(max_epochs=2)
    trainer.fit(module, data)
    assert module.w.shape == (4, 2)
    for name, (x, exact) in own.items():
        found = module(torch.from_numpy(x), module.index([name] * len(x)))
        np.testing.assert_allclose(found.numpy(), exact(x), rtol=1e-11)
    assert module(torch.tensor([25.0]), module.index(["stuck"])).isnan().all()  # two readings tell no parabola
    trainer.save_checkpoint(tmp_path / "c.ckpt")
    loaded = CalibrationModule.load_from_checkpoint(tmp_path / "c.ckpt", weights_only=True)
    torch.testing.assert_close(loaded.calibrated, module.calibrated, rtol=0, atol=0, equal_nan=True)


def test_a_loader_of_ones_own_frames_a_polynomial_by_its_first_batch(quiet: MakeTrainer) -> None:
    x, y = (torch.from_numpy(each) for each in readings())
    module = CalibrationModule(curve=Polynomial(2), learning_rate=0.1)
    loader = DataLoader(TensorDataset(x, y), batch_size=N)
    quiet(max_epochs=600).fit(module, loader, loader)
    assert module.curve == Polynomial(2).framed(x.min().item(), x.max().item())
    exact = np.polynomial.Polynomial.fit(x.numpy(), y.numpy(), 2)
    sgd = np.stack(module.curve.features(x.numpy()), axis=1) @ module.w.detach().numpy()[0] + module.b.item()
    np.testing.assert_allclose(sgd, exact(x.numpy()), atol=1e-3)
    np.testing.assert_allclose(module(x).numpy(), exact(x.numpy()), rtol=1e-12)  # of the first epoch's readings


def test_another_module_of_the_same_readings_reads_them_through_its_own_curve(table: Path, quiet: MakeTrainer) -> None:
    data = ReadingsDataModule(str(table), "shown", "ref")
    for curve in (Line(), Polynomial(2), Polynomial(2)):
        module = CalibrationModule(curve=curve)
        quiet(max_epochs=1).fit(module, data)
        assert data.moments["train"].curve == module.curve
        assert module.w.shape == (1, len(curve.names))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"curve": "Polynomial"}, "curve: expected a curve such as Line, .* but got 'Polynomial'"),
        ({"curve": {"class_path": "os.system"}}, "expected one of Line, .* but got 'os.system'"),
        ({"curve": Offset(), "w": 2.0}, "w: expected 1, at which an offset holds it, but got 2"),
        ({"curve": Proportional(), "b": 2.0}, "b: expected 0, at which a gain holds it, but got 2"),
        ({"curve": Polynomial(2), "snap": "fahrenheit"}, "snap: expected a line, since fahrenheit is a scale"),
    ],
)
def test_what_does_not_go_with_a_curve_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        CalibrationModule(**options)


def test_readings_that_do_not_tell_a_curve_are_refused(tmp_path: Path, quiet: MakeTrainer) -> None:
    for rows, message in (
        ("1,1\n2,2\n3,4\n", "expected at least four readings, as a polynomial of degree 3 needs, but got 3"),
        ("1,1\n2,2\n3,4\n1,2\n", "tell all 4 coefficients of a polynomial of degree 3, .* can't tell w3"),
    ):
        (tmp_path / "few.csv").write_text("shown,ref\n" + rows)
        with pytest.raises(InputError, match=message):
            quiet(max_epochs=1).fit(
                CalibrationModule(curve=Polynomial(3)), ReadingsDataModule(str(tmp_path / "few.csv"), "shown", "ref")
            )

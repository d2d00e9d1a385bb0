"""What a checkpoint holds of its curve, which classes it may name, and checkpoints from before there were curves."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch.optim import SGD, Adam

from thermofit_pl.curves import Curve, Line, Polynomial
from thermofit_pl.errors import InputError
from thermofit_pl.training.datamodule import ReadingsDataModule
from thermofit_pl.training.module import CalibrationModule
from thermofit_pl.training.normalization import Normalization

BEFORE = Path(__file__).parent / "before_curves"  # saved by the package of 26 November 2026, after 2 laps of 20 steps
MakeTrainer = Callable[..., Trainer]


class Momentum(CalibrationModule):
    def configure_optimizers(self) -> Any:
        return SGD([self.w, self.b], lr=1e-2, momentum=0.9)


class WithAdam(CalibrationModule):
    def configure_optimizers(self) -> Any:
        return Adam([self.w, self.b], lr=1e-2)


class Root(Curve):
    """A curve of a user's own."""

    def __init__(self, power: float = 0.5) -> None:
        self.power = power

    def features(self, indication: Any) -> list[Any]:
        return [indication**self.power]

    def slopes(self, indication: Any) -> list[Any]:
        return [self.power * indication ** (self.power - 1)]


@pytest.fixture
def quiet(tmp_path: Path) -> MakeTrainer:
    """Makes a Trainer that writes and shows nothing."""

    def make(**options: Any) -> Trainer:
        plain: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        return Trainer(
            **plain | {"accelerator": "cpu", "enable_model_summary": False, "default_root_dir": tmp_path} | options
        )

    return make


def readings(fleet: bool, folder: Path) -> ReadingsDataModule:
    """Those that the checkpoints from before curves were made of."""
    if not fleet:
        return ReadingsDataModule()
    rows = [f"{n},{x},{(k + 2) * x - 3 * k + (x % 3) * 0.1}\n" for k, n in enumerate("abc") for x in range(10)]
    (folder / "fleet.csv").write_text("name,shows,true\n" + "".join(rows))
    return ReadingsDataModule(str(folder / "fleet.csv"), "shows", "true", instrument="name")


# where the package of then ended after three more laps, w and then b
ENDS: dict[str, tuple[type[CalibrationModule], bool, str]] = {
    "line": (CalibrationModule, False, "1.60acd9f42bc92p+1 -1.42133447984fcp+1"),
    "momentum": (Momentum, False, "1.37fc733262a04p+2 -1.d16daed45cfd2p+3"),
    "adam": (
        WithAdam,
        True,
        "1.f64685413335cp+0 1.fa163e2006e1cp+0 1.fbc0bbf62ee56p+0 "
        "1.f6260547581d3p-1 1.f795af6b5b656p-1 1.f8a7d2744ae3dp-1",
    ),
    "fleet": (
        CalibrationModule,
        True,
        "1.47abf5beea913p+2 1.e71e69af3e9dcp+2 1.43486ecfc9553p+3 "
        "1.f89b748cd03ffp+2 1.25f0193985fb0p+3 1.4f92782ca3d60p+3",
    ),
}
EXACT = {
    False: [float.fromhex(text) for text in ("0x1.12d3c4eb6b023p-1", "-0x1.14e066c37b9ebp+4")],
    True: [2.001818181818182, 3.001818181818182, 4.001818181818182, 0.0818181818, -2.9181818182, -5.9181818182],
}


@pytest.mark.parametrize("name", ENDS)
def test_checkpoints_from_before_curves_load_and_go_on(name: str, quiet: MakeTrainer, tmp_path: Path) -> None:
    kind, fleet, ends = ENDS[name]
    loaded = kind.load_from_checkpoint(BEFORE / f"{name}.ckpt", weights_only=True)
    assert loaded.curve == Line()
    assert torch.cat([loaded.calibrated[0][:, 0], loaded.calibrated[1]]).tolist() == pytest.approx(
        EXACT[fleet], rel=1e-9
    )
    module = kind(steps_per_epoch=20)
    quiet(max_epochs=5).fit(module, readings(fleet, tmp_path), ckpt_path=BEFORE / f"{name}.ckpt", weights_only=True)
    assert int(module.steps_done) == 100
    found = torch.cat([module.w.detach()[:, 0], module.b.detach()]).tolist()
    # to the digits that the old and the new order of additions share
    assert found == pytest.approx([float.fromhex(end) for end in ends.split()], rel=1e-13, abs=0)


def test_the_normalization_of_a_checkpoint_is_taken_over_where_it_differs_by_rounding(
    quiet: MakeTrainer, tmp_path: Path
) -> None:
    checkpoint = torch.load(BEFORE / "fleet.ckpt", weights_only=True)
    for factor, same in ((1 + 1e-14, True), (1 + 1e-10, False)):
        checkpoint["state_dict"]["scale"] = checkpoint["state_dict"]["scale"] * factor
        torch.save(checkpoint, tmp_path / "c.ckpt")
        module, data = CalibrationModule(steps_per_epoch=20), readings(True, tmp_path)
        if same:
            quiet(max_epochs=3).fit(module, data, ckpt_path=tmp_path / "c.ckpt", weights_only=True)
            assert torch.equal(module.scale[:, 0, 0], checkpoint["state_dict"]["scale"])
            assert torch.equal(data.normalization.scale, module.scale)
        else:
            with pytest.raises(InputError, match="normalization: expected that of the checkpoint's run"):
                quiet(max_epochs=3).fit(module, data, ckpt_path=tmp_path / "c.ckpt", weights_only=True)


def test_rounding_is_told_by_the_size_of_the_feature() -> None:
    one = Normalization(torch.tensor([[1e-17, 5.0]]).double(), torch.tensor([[[2.0, 1e-18], [0.0, 3.0]]]).double())
    other = Normalization(torch.tensor([[-1e-17, 5.0]]).double(), torch.tensor([[[2.0, -1e-18], [0.0, 3.0]]]).double())
    assert one.agrees(other)
    assert not one.agrees(Normalization(one.offset + 1e-9, one.scale))
    assert not one.agrees(Normalization(one.offset, one.scale * (1 + 1e-9)))
    assert not one.agrees(Normalization(one.offset.repeat(2, 1), one.scale.repeat(2, 1, 1)))


def test_a_checkpoint_holds_the_curve_as_a_plain_record(quiet: MakeTrainer, tmp_path: Path) -> None:
    module, trainer = CalibrationModule(curve=Polynomial(2)), quiet(max_epochs=1)
    trainer.fit(module, ReadingsDataModule())
    trainer.save_checkpoint(tmp_path / "c.ckpt")
    held = torch.load(tmp_path / "c.ckpt", weights_only=True)
    assert held["curve"] == module.curve.record()
    assert held["curve"]["init_args"]["degree"] == 2
    assert held["curve"]["init_args"]["centre"] == pytest.approx((21.8 + 81.9) / 2)
    assert held["hyper_parameters"]["curve"] == Polynomial(2).record()
    assert "_instantiator" not in held["hyper_parameters"]


def test_a_fit_goes_on_with_its_own_curve_only(quiet: MakeTrainer, tmp_path: Path) -> None:
    trainer = quiet(max_epochs=1)
    trainer.fit(CalibrationModule(curve=Polynomial(2)), ReadingsDataModule())
    trainer.save_checkpoint(tmp_path / "c.ckpt")
    for curve, message in ((None, r"Polynomial\(degree=2, .*but got Line\(\)"), (Polynomial(3), "degree=3")):
        with pytest.raises(InputError, match=f"curve: expected that of the checkpoint's run, .*{message}"):
            quiet(max_epochs=2).fit(
                CalibrationModule(curve=curve), ReadingsDataModule(), ckpt_path=tmp_path / "c.ckpt", weights_only=True
            )


def test_a_class_of_ones_own_is_given_and_never_imported(
    quiet: MakeTrainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, trainer = CalibrationModule(curve=Root(0.7)), quiet(max_epochs=1)
    trainer.fit(module, ReadingsDataModule())
    trainer.save_checkpoint(tmp_path / "own.ckpt")
    loaded = CalibrationModule.load_from_checkpoint(tmp_path / "own.ckpt", curve=Root())
    assert loaded.curve == Root(0.7)  # its arguments are those of the run
    with pytest.raises(InputError, match=r"test_checkpoint\.Root'; a class of your own is never imported because"):
        CalibrationModule.load_from_checkpoint(tmp_path / "own.ckpt")
    (tmp_path / "evilmod.py").write_text("raise SystemExit('evilmod was run')\n")
    monkeypatch.syspath_prepend(tmp_path)
    held: dict[str, Any] = torch.load(tmp_path / "own.ckpt", weights_only=True)
    evil = {"class_path": "evilmod.E", "init_args": {}}
    hyper = held["hyper_parameters"]
    for at, changed in enumerate(
        [
            held | {"curve": evil},
            held | {"hyper_parameters": hyper | {"curve": evil}},
            held
            | {
                "hyper_parameters": hyper | {"curve": evil, "_instantiator": "lightning.pytorch.cli.instantiate_module"}
            },
            held | {"hparams": {"curve": evil, "_instantiator": "lightning.pytorch.cli.instantiate_module"}},
        ]
    ):
        torch.save(changed, tmp_path / f"{at}.ckpt")
        with pytest.raises(InputError, match=r"expected one of Line, .* but got '(evilmod\.E|.*Root)'"):
            CalibrationModule.load_from_checkpoint(tmp_path / f"{at}.ckpt", weights_only=True)
        for run in ("fit", "validate"):
            with pytest.raises(InputError, match=r"curve: expected (one of Line|that of the checkpoint)"):
                getattr(quiet(max_epochs=2), run)(
                    CalibrationModule(), datamodule=ReadingsDataModule(), ckpt_path=tmp_path / f"{at}.ckpt"
                )
    assert "evilmod" not in sys.modules

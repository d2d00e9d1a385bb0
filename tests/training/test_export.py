"""The module as a graph for other programs: the same estimates, of any number of indications."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer

from thermofit_pl.curves import Curve, Line, Offset, Polynomial, Proportional
from thermofit_pl.training.datamodule import ReadingsDataModule
from thermofit_pl.training.module import CalibrationModule

CURVES = [Line(), Offset(), Proportional(), Polynomial(2), Polynomial(10)]
N = torch.export.Dim("n")


def fitted(curve: Curve, folder: Path) -> CalibrationModule:
    module = CalibrationModule(curve=curve)
    (folder / "readings.csv").write_text(
        "shown,ref\n" + "".join(f"{x},{x * 0.5 + x**2 / 1e3}\n" for x in range(20, 83, 2))
    )
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    trainer.fit(module, ReadingsDataModule(str(folder / "readings.csv"), "shown", "ref"))
    return module.eval()


@pytest.mark.parametrize("curve", CURVES, ids=repr)
def test_an_exported_program_takes_any_number_of_indications(curve: Curve, tmp_path: Path) -> None:
    module = fitted(curve, tmp_path)
    assert isinstance(module.example_input_array, torch.Tensor)
    program = torch.export.export(module, (module.example_input_array,), dynamic_shapes=({0: N},)).module()
    for count in (1, 2, 7):
        x = torch.linspace(20, 80, count, dtype=torch.float64)
        torch.testing.assert_close(program(x), module(x), rtol=0, atol=0)


@pytest.mark.filterwarnings("ignore")  # torch's and onnx's own, of each export
@pytest.mark.parametrize("curve", [Line(), Polynomial(2)], ids=repr)
def test_onnx_takes_any_number_of_indications(curve: Curve, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    module = fitted(curve, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module.to_onnx(tmp_path / "m.onnx", dynamo=True, dynamic_shapes=({0: N},), external_data=False)
    session = runtime.InferenceSession(str(tmp_path / "m.onnx"))
    for count in (1, 2, 7):
        x = np.linspace(20, 80, count)
        (found,) = session.run(None, {session.get_inputs()[0].name: x})
        assert found.dtype == np.float64
        # torch.onnx writes a curve's own constants, such as its centre, in float32
        np.testing.assert_allclose(found, module(torch.from_numpy(x)).numpy(), rtol=1e-14 if curve == Line() else 1e-6)

"""On a card the answer is the CPU's; where there is none, what stands in its way is said."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.accelerators import MPSAccelerator
from lightning.pytorch.strategies import ModelParallelStrategy
from running import refused, run

from thermofit_pl.cli.processes import refuse_strategy
from thermofit_pl.errors import InputError

CARD = pytest.mark.gpu
WITHOUT = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@CARD
@WITHOUT
@pytest.mark.parametrize("words", [[], ["--data.batch_size=4"], ["--data.normalization=standard"]])
def test_a_card_gives_the_answer_of_the_cpu(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    lines = []
    for version, accelerator in enumerate(("cpu", "gpu", "auto")):
        ended = run(capsys, "fit", f"--trainer.accelerator={accelerator}", "--trainer.devices=1", *words)
        assert (ended.code, ended.err) == (0, "")
        lines.append(json.loads(Path(f"logs/fit/version_{version}/calibration.json").read_text()))
    for line in lines[1:]:
        for name in ("w", "b", "u_w", "u_b", "s", "rmse"):
            assert line[name] == pytest.approx(lines[0][name], rel=1e-12, abs=0)
        for name in ("w", "b", "loss"):
            assert line["sgd"][name] == pytest.approx(lines[0]["sgd"][name], rel=1e-12, abs=0)


@CARD
@WITHOUT
def test_scores_on_a_card_are_those_of_the_cpu(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "fit", "--trainer.accelerator=cpu").code == 0
    said = [run(capsys, "validate", "--ckpt_path=last", f"--trainer.accelerator={on}").out for on in ("cpu", "gpu")]
    assert said[0] == said[1] != ""


@CARD
@WITHOUT
def test_one_card_under_ddp_gives_the_same_answer(capsys: pytest.CaptureFixture[str]) -> None:
    """The way over NCCL, as far as one card goes."""
    assert run(capsys, "fit", "--trainer.accelerator=cpu").code == 0
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=1"]
    words = ["-m", "thermofit_pl", "fit", "--trainer.accelerator=gpu", "--trainer.devices=1", "--trainer.strategy=ddp"]
    subprocess.run([*torchrun, *words], check=True)
    lines = [json.loads(Path(f"logs/fit/version_{n}/calibration.json").read_text()) for n in (0, 1)]
    assert lines[1]["sgd"]["w"] == pytest.approx(lines[0]["sgd"]["w"], rel=1e-12, abs=0)


@pytest.mark.parametrize("precision", ["16-mixed", "bf16-mixed", "16-true", "bf16-true", "16", "bf16"])
def test_precision_that_would_round_the_line_is_refused(precision: str, capsys: pytest.CaptureFixture[str]) -> None:
    refused(run(capsys, "fit", f"--trainer.precision={precision}"), "--trainer.precision", precision)


def test_mps_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    refused(run(capsys, "fit", "--trainer.accelerator=mps"), "which has no float64", "choose cpu")


def test_auto_is_the_cpu_where_mps_is_all_there_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MPSAccelerator, "is_available", staticmethod(lambda: True))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert run(capsys, "fit", "--trainer.max_epochs=1").code == 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a computer without a card")
def test_a_card_that_is_not_there_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    refused(run(capsys, "fit", "--trainer.accelerator=gpu"), "--trainer.accelerator")


def test_strategies_that_cut_parameters_are_refused() -> None:
    trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    refuse_strategy(trainer)
    trainer._accelerator_connector.strategy = ModelParallelStrategy()
    with pytest.raises(InputError, match=r"--trainer\.strategy: expected ddp, .* but got ModelParallelStrategy"):
        refuse_strategy(trainer)

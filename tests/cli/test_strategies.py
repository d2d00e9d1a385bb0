from typing import Any

import pytest
import torch
from lightning.pytorch.accelerators import CPUAccelerator, CUDAAccelerator
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from running import refused, run

from thermofit_pl.cli.processes import choose_strategy, process_count
from thermofit_pl.distributed.environment import MARKS, TORCHRUN
from thermofit_pl.errors import InputError


@pytest.fixture(autouse=True)
def _without_a_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in MARKS:
        monkeypatch.delenv(name, raising=False)


def options(**changed: Any) -> dict[str, Any]:
    return {"accelerator": "cpu", "devices": "auto", "strategy": "auto", "num_nodes": 1} | changed


@pytest.mark.parametrize("accelerator", ["cpu", CPUAccelerator()])
@pytest.mark.parametrize(("devices", "count"), [("auto", 1), (1, 1), (2, 2), ("3", 3), (0, 1), (-1, 1), ("x", 1)])
def test_devices_of_the_cpu_are_counted_as_lightning_does(accelerator: Any, devices: Any, count: int) -> None:
    assert process_count(options(accelerator=accelerator, devices=devices)) == count


@pytest.mark.parametrize("accelerator", ["gpu", "cuda", "auto"])
@pytest.mark.parametrize(
    ("devices", "count"),
    [("auto", 4), (-1, 4), ("-1", 4), (2, 2), ("2", 2), ("0,1", 2), ([1, 3], 2), ("3,", 1), (9, 1)],
)
def test_cards_are_counted_however_they_are_written(
    accelerator: str, devices: Any, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("lightning.fabric.accelerators.cuda.num_cuda_devices", lambda: 4)
    monkeypatch.setattr("lightning.pytorch.accelerators.cuda.num_cuda_devices", lambda: 4)
    assert CUDAAccelerator.auto_device_count() == 4
    assert process_count(options(accelerator=accelerator, devices=devices)) == count


@pytest.mark.parametrize("accelerator", ["tpu", "mps", "nothing"])
def test_what_starts_no_processes_counts_as_one(accelerator: str) -> None:
    assert process_count(options(accelerator=accelerator, devices=2)) == 1


@pytest.mark.parametrize("strategy", ["auto", "ddp", "ddp_find_unused_parameters_true"])
def test_several_processes_share_by_ddp(strategy: str) -> None:
    assert isinstance(choose_strategy(options(strategy=strategy), 2), DDPStrategy)


def test_one_process_needs_no_ddp_unless_a_launcher_started_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_strategy(options(strategy="ddp"), 1) == "auto"
    for name in TORCHRUN:
        monkeypatch.setenv(name, "1")
    assert isinstance(choose_strategy(options(strategy="ddp"), 1), DDPStrategy)


def test_other_strategies_stay_as_they_are() -> None:
    given = SingleDeviceStrategy("cpu")
    assert choose_strategy(options(strategy=given), 1) is given
    assert choose_strategy(options(strategy="fsdp"), 2) == "fsdp"


@pytest.mark.parametrize("name", ["ddp_spawn", "ddp_fork", "ddp_notebook", "ddp_fork_find_unused_parameters_true"])
def test_processes_within_python_are_refused(
    name: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = run(capsys, "fit", "--trainer.accelerator=cpu", "--trainer.devices=2", f"--trainer.strategy={name}")
    refused(ended, "--trainer.strategy: expected ddp, ", f"but got {name}")


def test_nodes_that_nobody_starts_are_refused() -> None:
    with pytest.raises(InputError, match=r"num_nodes: expected 1, or a command that torchrun or srun starts .* got 2"):
        choose_strategy(options(num_nodes=2), 1)

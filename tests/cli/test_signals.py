"""A signal to one process stops all at one step, a lost one ends the run, and it goes on as if never stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

pytestmark = pytest.mark.slow

WAYS = {  # each long enough to be stopped, and far from converged at its end
    "full batch": ["--trainer.max_epochs", "600", "--model.learning_rate", "1e-6"],
    "mini-batches": ["--trainer.max_epochs", "6", "--data.batch_size", "16", "--model.learning_rate", "1e-5"],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(3)
    x = random.uniform(20, 90, 5000)
    rows = [
        f"{a!r},{0.5 * a - 17 + e!r}" for a, e in zip(x.tolist(), random.standard_normal(5000).tolist(), strict=True)
    ]
    (tmp_path / "readings.csv").write_text("\n".join(["shows,true", *rows]))
    return tmp_path


def command(way: str, root: str, processes: int, strategy: str = "ddp_fork", *more: str) -> list[str]:
    words = [
        sys.executable,
        "-m",
        "thermofit_pl",
        "fit",
        "--trainer.accelerator",
        "cpu",
        "--figures",
        "false",
        *WAYS[way],
    ]
    words += ["--data.path", "readings.csv", "--data.indication", "shows", "--data.reference", "true"]
    words += ["--trainer.default_root_dir", root, *more]
    return [*words, "--trainer.devices", str(processes), *(["--trainer.strategy", strategy] if processes > 1 else [])]


def start(words: list[str], folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def saved(process: "subprocess.Popen[str]", root: Path) -> list[int]:
    """Waits for the first checkpoint; returns the other processes of the run."""
    until = time.monotonic() + 60
    while not list(root.rglob("last.ckpt")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process.pid)], text=True, capture_output=True, check=True
    )
    return [int(pid) for pid in listed.stdout.split()]


def end(root: Path) -> tuple[float, float, int]:
    """Where the newest run of a folder ended."""
    newest = max(root.glob("fit/*/checkpoints/last.ckpt"), key=lambda path: path.stat().st_mtime_ns)
    state = torch.load(newest, weights_only=True)["state_dict"]
    return state["w"].item(), state["b"].item(), int(state["steps_done"])


@pytest.mark.parametrize(
    ("way", "strategy", "number"),
    [("full batch", "ddp", signal.SIGTERM), ("mini-batches", "ddp_fork", signal.SIGINT)],
)
def test_a_run_that_one_process_was_asked_to_stop_goes_on_to_the_last_bit(
    way: str, strategy: str, number: signal.Signals, folder: Path
) -> None:
    process = start(command(way, "logs", 2, strategy), folder)
    others = saved(process, folder / "logs")
    os.kill(others[-1], number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number, err
    assert err.startswith(f"thermofit_pl: stopped by {number.name} and saved; fit --ckpt_path logs/fit/version_0")
    assert err.count("\n") == 1
    *_, stopped_at = end(folder / "logs")
    for processes, root in ((2, "again"), (1, "alone")):  # from copies of the folder, so that each goes on from there
        subprocess.run(["cp", "-r", "logs", root], cwd=folder, check=True)
        done = start(command(way, root, processes, "ddp_fork", "--ckpt_path", "last"), folder)
        assert done.communicate(timeout=90)[1] == ""
        assert done.returncode == 0
    whole = start(command(way, "whole", 2), folder)
    assert whole.communicate(timeout=90)[1] == ""
    w, b, steps = end(folder / "whole")
    assert 0 < stopped_at < steps
    assert end(folder / "again") == (w, b, steps)  # to the last bit
    assert end(folder / "alone") == pytest.approx((w, b, steps), rel=1e-12, abs=0)
    results = [
        json.loads((folder / root / "fit/version_1/calibration.json").read_text()) for root in ("again", "alone")
    ]
    assert results[0]["sgd"]["w"] == pytest.approx(results[1]["sgd"]["w"], rel=1e-12)


@pytest.mark.parametrize(("strategy", "first"), [("ddp", False), ("ddp_fork", False), ("ddp", True)])
def test_a_lost_process_ends_the_run(strategy: str, first: bool, folder: Path) -> None:
    endless = ["--trainer.max_epochs", "100000000"]
    process = start(command("full batch", "logs", 2, strategy, *endless), folder)
    others = saved(process, folder / "logs")
    os.kill(process.pid if first else others[-1], signal.SIGKILL)
    _, err = process.communicate(timeout=60)  # until no process holds the pipe any more
    assert process.returncode == (-9 if first else 1)
    assert err.startswith(
        "thermofit_pl: error: expected all processes of the run to last to its end, but one ended before"
    )
    assert ("the first process was killed" if first else "by SIGKILL") in err
    assert err.count("\n") == 1
    assert [path.name for path in (folder / "logs/fit").iterdir()] == ["version_0"]

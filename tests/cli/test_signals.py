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


def command(way: str, root: str, processes: int, *more: str) -> list[str]:
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
    return [*words, "--trainer.devices", str(processes)]


def start(words: list[str], folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def saved(process: "subprocess.Popen[str]", root: Path) -> list[int]:
    """Waits for the first checkpoint; returns the other processes of the run."""
    until = time.monotonic() + 60
    while not list(root.rglob("last.ckpt")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)
    return children(process)


def children(process: "subprocess.Popen[str]") -> list[int]:
    """The processes that one has started."""
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process.pid)], text=True, capture_output=True, check=False
    )
    return [int(pid) for pid in listed.stdout.split()]


def end(root: Path) -> tuple[float, float, int]:
    """Where the newest run of a folder ended."""
    newest = max(root.glob("fit/*/checkpoints/last.ckpt"), key=lambda path: path.stat().st_mtime_ns)
    state = torch.load(newest, weights_only=True)["state_dict"]
    return state["w"].item(), state["b"].item(), int(state["steps_done"])


@pytest.mark.parametrize(
    ("way", "agent", "number"),
    [
        ("full batch", False, signal.SIGTERM),
        ("mini-batches", True, signal.SIGINT),
        ("full batch", True, signal.SIGHUP),
    ],
)
def test_a_run_that_was_asked_to_stop_goes_on_to_the_last_bit(
    way: str, agent: bool, number: signal.Signals, folder: Path
) -> None:
    process = start(command(way, "logs", 2), folder)
    others = saved(process, folder / "logs")
    os.kill(process.pid if agent else others[-1], number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number, err
    assert err.startswith(f"thermofit_pl: stopped by {number.name} and saved; fit --ckpt_path logs/fit/version_0")
    assert err.count("\n") == 1
    *_, stopped_at = end(folder / "logs")
    for processes, root in ((2, "again"), (1, "alone")):  # from copies of the folder, so that each goes on from there
        subprocess.run(["cp", "-r", "logs", root], cwd=folder, check=True)
        done = start(command(way, root, processes, "--ckpt_path", "last"), folder)
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


ENDLESS = ["--trainer.max_epochs", "100000000"]
LOST = "thermofit_pl: error: expected all processes of the run to last to its end, but one ended before: "


@pytest.mark.parametrize("who", ["agent", "first", "last"])
def test_a_lost_process_ends_the_run(who: str, folder: Path) -> None:
    process = start(command("full batch", "logs", 2, *ENDLESS), folder)
    others = saved(process, folder / "logs")
    os.kill({"agent": process.pid, "first": others[0], "last": others[-1]}[who], signal.SIGKILL)
    _, err = process.communicate(timeout=60)  # until no process holds the pipe any more
    assert process.returncode == (-9 if who == "agent" else 1)
    how = {"agent": "the process that started the others was killed", "first": "process 0, by SIGKILL"}
    assert err.startswith(LOST + how.get(who, "process 1, by SIGKILL"))
    assert err.count("\n") == 1
    assert [path.name for path in (folder / "logs/fit").iterdir()] == ["version_0"]


@pytest.mark.parametrize("after", [0.05, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0])
def test_ctrl_c_while_processes_start_is_one_line(after: float, folder: Path) -> None:
    process = start(command("full batch", "logs", 2, *ENDLESS), folder)
    time.sleep(after)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    if after > 0.1:  # before, Python itself is starting
        assert process.returncode == 130, err
        assert err.startswith("thermofit_pl: stopped by SIGINT")
        assert (out.count("Traceback"), err.count("\n")) == (0, 1)


def test_nohup_keeps_a_run_from_the_hangup(folder: Path) -> None:
    process = start(["nohup", *command("full batch", "logs", 2)], folder)
    saved(process, folder / "logs")
    process.send_signal(signal.SIGHUP)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err


@pytest.mark.parametrize("early", [False, True])
def test_a_process_that_stands_still_ends_the_run(early: bool, folder: Path) -> None:
    process = start(command("full batch", "logs", 2, *ENDLESS), folder)
    if early:  # before it has met the other, that is while it reads or imports
        while len(others := children(process)) < 2:
            time.sleep(0.05)
        time.sleep(2.0)
    else:
        others = saved(process, folder / "logs")
    os.kill(others[-1], signal.SIGSTOP)
    _, err = process.communicate(timeout=150)
    assert process.returncode == 1
    assert err.startswith(LOST + "process 1 stood still for 90 s")
    assert err.count("\n") == 1


def test_a_run_that_is_suspended_as_a_whole_goes_on(folder: Path) -> None:
    process = start(command("full batch", "logs", 2, *ENDLESS), folder)
    everybody = [process.pid, *saved(process, folder / "logs")]
    for number in (signal.SIGSTOP, signal.SIGCONT):
        for each in everybody:
            os.kill(each, number)
        time.sleep(110 if number == signal.SIGSTOP else 5)
    process.send_signal(signal.SIGTSTP)  # as Ctrl-Z does
    time.sleep(2)
    states = [Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()[0] for each in everybody]
    assert states == ["T", "T", "T"]
    process.send_signal(signal.SIGCONT)
    time.sleep(2)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    assert "stopped by SIGTERM and saved" in err

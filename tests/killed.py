"""Kills fits at random moments and looks at what they left: python killed.py FOLDER KILLS SEED; prints a JSON list.

Every fit is forked off this process, which has imported everything but never let Polars read: it starts in no time.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # it ships no types

from thermofit_pl.__main__ import main
from thermofit_pl.callbacks.checkpoints import load_checkpoint
from thermofit_pl.cli import training as cli

assert cli
ENDLESS = ["--trainer.max_epochs", "100000000", "--model.learning_rate", "1e-7"]
KINDS = {
    "full batch": [*ENDLESS, "--trainer.logger", "false"],
    "mini-batches": [*ENDLESS, "--data.batch_size", "4"],
    "a short one": ["--trainer.max_epochs", "150"],  # which may be writing its result
}


def forked(folder: Path, words: list[str]) -> int:
    """Starts a fit and returns its process."""
    process = os.fork()
    if process == 0:
        os.chdir(folder)
        log = os.open("said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for descriptor in (1, 2):
            os.dup2(log, descriptor)
        os._exit(main(["fit", "--trainer.accelerator", "cpu", "--figures", "false", *words]))
    return process


def torn(run: Path) -> list[str]:
    """Names the files of a run that are not whole."""
    found = []
    for path in run.rglob("*"):
        if path.is_dir() or ".part" in path.name or path.name.startswith("events"):
            continue  # what was being written; and a log, which is only added to
        try:
            if path.suffix == ".json":
                assert json.loads(path.read_text())["n"] == 11
            elif path.suffix == ".yaml":
                assert yaml.safe_load(path.read_text())
            elif path.suffix == ".ckpt":
                assert load_checkpoint(path)["state_dict"]["w"].isfinite().all()
        except Exception as error:
            found.append(f"{path.name}: {error!r}")
    return found


def killed(folder: Path, kind: str, after: float, *, early: bool) -> dict[str, Any]:
    """Kills a fit some seconds after its first checkpoint, or its start, and goes on from what it left."""
    folder.mkdir(parents=True)
    process = forked(folder, KINDS[kind])
    until = time.monotonic() + 60
    while not early and not list(folder.rglob("last.ckpt")) and time.monotonic() < until:
        time.sleep(0.001)
    time.sleep(after)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    found: dict[str, Any] = {"kind": kind, "after": after, "early": early, "resumed": None}
    found["torn"] = [name for run in folder.glob("logs/fit/*") for name in torn(run)]
    checkpoints = list(folder.rglob("*.ckpt"))
    found["saved"] = len([path for path in checkpoints if ".part" not in path.name]) == 1
    if found["saved"]:
        (newest,) = [path for path in checkpoints if ".part" not in path.name]
        done = load_checkpoint(newest)["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
        again = forked(folder, ["--ckpt_path", "last", "--trainer.max_epochs", str(done + 2)])
        found["resumed"] = os.waitstatus_to_exitcode(os.waitpid(again, 0)[1])
        found["said"] = (folder / "said").read_text()[-500:]
        found["torn"] += torn(folder / "logs/fit/version_1")
        found["torn"] += [path.name for path in folder.rglob(".*.part*")]  # the run after the kill sweeps them away
        found["whole"] = (folder / "logs/fit/version_1/calibration.json").exists()
    return found


if __name__ == "__main__":
    place, kills, chance = Path(sys.argv[1]), int(sys.argv[2]), random.Random(int(sys.argv[3]))
    kinds, results = list(KINDS), []
    for i in range(kills):
        early = i % 4 == 3
        after = chance.uniform(0.0, 0.8 if early else 1.3)
        results.append(killed(place / str(i), kinds[i % 3], after, early=early))
    print(json.dumps(results))

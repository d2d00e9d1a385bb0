"""The command line as a person meets it, in this process or in one of its own."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from thermofit_pl.__main__ import main

TABLE = "".join(f"{17 + 0.54 * k + 0.3 * (-1) ** k:.2f},{k}\n" for k in range(20))


@dataclass
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


def run(capsys: pytest.CaptureFixture[str], *words: object) -> Ended:
    """Runs a command in this process; without figures, which cost half a second."""
    argv = [str(word) for word in words]
    if argv[0] == "fit":
        argv.insert(1, "--figures=false")
    code = main(argv)
    out, err = capsys.readouterr()
    return Ended(code, out, err)


def start(*words: object, **environment: str) -> "subprocess.Popen[str]":
    """Starts a command in a process of its own."""
    command = [sys.executable, "-W", "default", "-m", "thermofit_pl", *map(str, words)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env={**os.environ, **environment})


def refused(ended: Ended, *parts: str) -> None:
    """Asserts that a command was refused in one sentence with these parts, and left nothing behind."""
    assert ended.code == 2, ended
    assert ended.err.startswith("thermofit_pl: error: "), ended.err
    assert ended.err.count("\n") == 1, ended.err
    for part in parts:
        assert part in ended.err
    assert ended.out == ""
    assert not Path("logs").exists(), sorted(Path("logs").rglob("*"))


def table(name: str = "readings.csv", content: str = TABLE, header: str = "shown,ref\n") -> list[str]:
    """Writes a table and returns the options that name it."""
    Path(name).write_text(header + content, encoding="utf-8")
    return ["--data.path", name, "--data.indication", "shown", "--data.reference", "ref"]


def files(root: str = ".") -> set[str]:
    """The files under a folder, but for the tables of the tests; an event file by the start of its name."""
    found = (path for path in Path(root).rglob("*") if path.is_file() and path.suffix not in (".csv", ".gz"))
    return {str(path.relative_to(root)).split(".out.")[0] for path in found}


def checkpoint(run_folder: str = "logs/fit/version_0") -> dict[str, Any]:
    """The last checkpoint of a run."""
    loaded: dict[str, Any] = torch.load(Path(run_folder) / "checkpoints" / "last.ckpt", weights_only=True)
    return loaded


def parameters(run_folder: str = "logs/fit/version_0") -> tuple[str, str, int]:
    """The parameters of a run's last checkpoint, to the last bit, and its steps."""
    state = checkpoint(run_folder)["state_dict"]
    return state["w"].item().hex(), state["b"].item().hex(), int(state["steps_done"])

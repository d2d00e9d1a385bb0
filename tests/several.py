"""Runs commands one after the other, and keeps the metrics of each: python several.py < commands.json.

The input is a list of objects with ``arguments``, ``processes``, ``shared`` (bytes of a table from which processes read
shares) and ``folder``, where to run; beside what the command writes there come ``metrics.json`` and ``code``. Processes
are forked off this one, with torchrun's variables: they start in a tenth of the time that an interpreter needs to
import everything; Polars must not have run before.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from torch.distributed import TCPStore  # type: ignore[attr-defined]  # exported, but not by name

from thermofit_pl.__main__ import main
from thermofit_pl.cli import training as cli
from thermofit_pl.training import reading

after = cli.CLI.after_fit


def keep(self: Any) -> None:
    """Writes the metrics, beside what the command does after a fit."""
    after(self)
    if self.trainer.is_global_zero:
        metrics = {name: float(value) for name, value in self.trainer.callback_metrics.items()}
        Path("metrics.json").write_text(json.dumps(metrics))


cli.CLI.after_fit = cli.CLI.after_validate = cli.CLI.after_test = keep  # type: ignore[method-assign]
reading.SHARED = int(os.environ.get("SHARED", reading.SHARED))


def forked(command: dict[str, Any], store: TCPStore, rank: int) -> int:
    """Starts one process of a command, and returns its process id."""
    process = os.fork()
    if process == 0:
        world = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": command["processes"]}
        world |= {"LOCAL_WORLD_SIZE": command["processes"], "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": store.port}
        world |= {"TORCHELASTIC_RUN_ID": command["folder"], "TORCHELASTIC_USE_AGENT_STORE": "True"}
        if command["processes"] > 1:
            os.environ.update({name: str(value) for name, value in world.items()})
        code = main(command["arguments"])
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)
    return process


if __name__ == "__main__":
    if len(sys.argv) > 1:  # one command, under torchrun
        sys.exit(main(sys.argv[1:]))
    for command in json.load(sys.stdin):
        Path(command["folder"]).mkdir(parents=True, exist_ok=True)
        os.chdir(command["folder"])
        reading.SHARED = command["shared"]
        store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        started = [forked(command, store, rank) for rank in range(command["processes"])]
        codes = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in started]
        Path("code").write_text(str(max(codes, key=abs)))

"""Runs commands one after the other in one process, and keeps the metrics of each: python several.py < commands.json.

The input is a list of objects with ``arguments``, ``shared`` (bytes of a table from which processes read shares) and
``folder``, where to run; beside what the command writes there comes ``metrics.json``. Workers that are forked off start
in a tenth of the time that an interpreter needs to import everything; Polars must not have run before.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from thermofit_pl.__main__ import main
from thermofit_pl.cli import training as cli
from thermofit_pl.training import datamodule

after = cli.CLI.after_fit


def keep(self: Any) -> None:
    """Writes the metrics, beside what the command does after a fit."""
    after(self)
    if self.trainer.is_global_zero:
        metrics = {name: float(value) for name, value in self.trainer.callback_metrics.items()}
        Path("metrics.json").write_text(json.dumps(metrics))


cli.CLI.after_fit = cli.CLI.after_validate = cli.CLI.after_test = keep  # type: ignore[method-assign]
datamodule.SHARED = int(os.environ.get("SHARED", datamodule.SHARED))

if __name__ == "__main__":
    if len(sys.argv) > 1:  # one command, under torchrun
        sys.exit(main(sys.argv[1:]))
    for command in json.load(sys.stdin):
        Path(command["folder"]).mkdir(parents=True, exist_ok=True)
        os.chdir(command["folder"])
        datamodule.SHARED = command["shared"]
        code = main(command["arguments"])
        Path("code").write_text(str(code))

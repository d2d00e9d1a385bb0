"""Start-up: whole processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from .data import NOTEBOOK, write
from .measuring import Row, Sizes, divided, in_turns, median, process

IMPORTS = """
import torch, lightning
from lightning.pytorch.cli import LightningCLI
from torch.utils.tensorboard import SummaryWriter
"""
LOOP = f"""
x, y = 0.1 * torch.tensor({NOTEBOOK[0]}), torch.tensor({NOTEBOOK[1]})
params = torch.tensor([1.0, 0.0], requires_grad=True)
for step in range(1, 5001):
    if params.grad is not None:
        params.grad.zero_()
    w, b = params
    loss = ((w * x + b - y) ** 2).mean()
    loss.backward()
    with torch.no_grad():
        params -= 1e-2 * params.grad
    if step % 500 == 0:
        print(f"Epoch {{step}}, Loss {{float(loss):f}}")
"""
COPY = """
import polars as pl
pl.scan_csv("{path}").with_columns(estimate=pl.col("indication") * 0.5556 - 17.78).sink_csv("{out}")
"""


def rows(sizes: Sizes, folder: Path) -> Iterator[Row]:
    """Measures the commands' start, and ``apply`` on a table."""

    def command(*arguments: str) -> Callable[[], float]:
        return lambda: process("-m", "thermofit_pl", *arguments, folder=folder).seconds

    def apply(path: Path) -> float:
        out.unlink(missing_ok=True)  # it is never overwritten
        return process(
            "-m", "thermofit_pl", "apply", calibration, str(path), "--output", str(out), folder=folder
        ).seconds

    def script(text: str) -> Callable[[], float]:
        return lambda: process("-c", text, folder=folder).seconds

    calibration = "logs/fit/version_0/calibration.json"
    process("-m", "thermofit_pl", "fit", folder=folder)
    table, out = folder / "new.csv", folder / "corrected.csv"
    write(sizes.readings, table)
    few = folder / "few.csv"
    write(11, few)
    found = in_turns(
        sizes.repeats,
        {
            "fit": command("fit", "--figures", "false"),
            "loop": script(IMPORTS + LOOP),
            "imports": script(IMPORTS),
            "figures": command("fit"),
            "help": command("--help"),
            "version": command("--version"),
            "show": command("show", calibration),
            "apply 11": lambda: apply(few),
            "apply": lambda: apply(table),
            "polars": script(COPY.format(path=table, out=out)),
        },
    )

    def against(what: str, first: str, second: str, target: float | None = None) -> Row:
        figures = f"{median(found[first]):.2f} and {median(found[second]):.2f} s"
        return Row(what, divided(found[first], found[second]), figures, None if target is None else ("≤", target))

    yield against("fit, whole / the imports and the notebook's loop", "fit", "loop", 1.15)
    yield against("fit, whole / the imports alone", "fit", "imports")
    figures = [a - b for a, b in zip(found["figures"], found["fit"], strict=True)]
    yield Row("what figures add / 1.5 s", [each / 1.5 for each in figures], f"{median(figures):.2f} s", ("≤", 1.0))
    for name in ("help", "version"):
        half = [each / 0.5 for each in found[name]]
        yield Row(f"--{name} / 0.5 s", half, f"{median(found[name]):.3f} s", ("≤", 1.0))
    yield Row("show / 1 s", found["show"], f"{median(found['show']):.2f} s")
    yield Row("apply on 11 rows / 1 s", found["apply 11"], f"{median(found['apply 11']):.2f} s")
    yield against(f"apply on {sizes.readings} rows of CSV / Polars' plain copy", "apply", "polars")

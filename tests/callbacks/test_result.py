import fcntl
import io
import itertools
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer
from running import run, table

from thermofit_pl.callbacks.config import SaveConfig
from thermofit_pl.callbacks.progress import LINES, StepBar, is_printed
from thermofit_pl.callbacks.result import WriteCalibration
from thermofit_pl.training.datamodule import ReadingsDataModule
from thermofit_pl.training.module import CalibrationModule

OPTIONS = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}


@pytest.fixture(autouse=True)
def _somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("epochs", [1, 7, 20, 21, 1000, 12345])
def test_a_fit_prints_few_losses_at_equal_distances(epochs: int) -> None:
    printed = [epoch for epoch in range(1, epochs + 1) if is_printed(epoch, epochs)]
    assert min(epochs, LINES // 2) <= len(printed) <= LINES
    assert len({late - early for early, late in itertools.pairwise(printed)}) <= 1


def test_a_fit_without_an_end_prints_ever_fewer() -> None:
    assert [epoch for epoch in range(1, 100) if is_printed(epoch, None)] == [1, 2, 4, 8, 16, 32, 64]


def test_the_losses_of_the_notebook(capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "fit").out
    # Deep Learning with PyTorch, chapter 5, after 500, 1000 … 5000 epochs
    known = [7.860120, 3.828538, 3.092191, 2.957698, 2.933134, 2.928648, 2.927830, 2.927679, 2.927652, 2.927647]
    shown = re.findall(r"^step +(\d+)   loss (\S+)$", out, flags=re.MULTILINE)
    assert [int(step) for step, _ in shown] == list(range(500, 5001, 500))
    assert [float(loss) for _, loss in shown] == pytest.approx(known, rel=1e-5)


def test_the_bar_runs_where_somebody_sees_it(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    trainer = Trainer(max_epochs=3, callbacks=[StepBar()], **OPTIONS)  # type: ignore[arg-type]  # mixed values
    trainer.fit(CalibrationModule(), ReadingsDataModule())
    assert "/1500 [" in terminal.getvalue()
    assert terminal.getvalue().rstrip(" \r").count("\n") == 0  # cleared at the end


def test_no_bar_and_no_line_where_nothing_is_to_be_shown(capsys: pytest.CaptureFixture[str]) -> None:
    bar = StepBar()
    trainer = Trainer(max_epochs=1, callbacks=[bar], **OPTIONS)  # type: ignore[arg-type]  # mixed values
    bar.disable()
    trainer.fit(CalibrationModule(), ReadingsDataModule())
    assert capsys.readouterr().out == ""
    bar.enable()
    trainer.fit_loop.max_epochs = 2
    trainer.fit(CalibrationModule(), ReadingsDataModule())
    captured = capsys.readouterr()
    assert captured.out.startswith("step ")
    assert captured.err == ""  # no terminal


def test_the_calibration_of_a_plain_trainer(tmp_path: Path) -> None:
    written = WriteCalibration(tmp_path / "run")
    trainer = Trainer(
        max_epochs=10,
        callbacks=[written, SaveConfig(tmp_path, "a: 1\n")],
        enable_progress_bar=False,
        **OPTIONS,  # type: ignore[arg-type]  # mixed values
    )
    trainer.fit(CalibrationModule(), ReadingsDataModule())
    saved = json.loads((tmp_path / "run" / "calibration.json").read_text(encoding="utf-8"))
    assert saved["w"] == pytest.approx(0.536772, rel=1e-5)  # numpy.polyfit
    assert saved["sgd"]["steps"] == 5000
    assert saved["sgd"]["converged"]
    assert (tmp_path / "config.yaml").read_text(encoding="utf-8") == "a: 1\n"


def test_advice_where_it_has_not_converged(capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "fit", "--trainer.max_epochs=1").out
    found = re.search(r"it needs about ([\d ]+) more; --trainer\.max_epochs (\d+),", out)
    assert found
    assert run(capsys, "fit", f"--trainer.max_epochs={found[2]}").out.count("it has converged") == 1
    assert run(capsys, "fit", f"--trainer.max_epochs={int(found[2]) - 1}").out.count("it has converged") == 0


def test_mini_batches_print_the_loss_of_the_last(capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "fit", *table(), "--data.batch_size=6", "--trainer.max_epochs=2").out
    assert re.match(r"step       4   loss \d+\.\d{6}\nstep       8   loss \d+\.\d{6}\n", out)
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.slow
def test_the_bar_on_a_terminal() -> None:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 24, 100, 0, 0))  # a new one has no columns, and no bar
    command = [
        sys.executable,
        "-m",
        "thermofit_pl",
        "fit",
        "--figures=false",
        "--optimizer=Adam",
        "--trainer.max_epochs=30",
    ]
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, close_fds=True)
    os.close(slave)
    seen, until = b"", time.monotonic() + 120
    while time.monotonic() < until:
        if select.select([master], [], [], 0.1)[0]:
            try:
                piece = os.read(master, 65536)
            except OSError:  # Linux says so when the other side is closed
                break
            seen += piece
        elif process.poll() is not None:
            break
    os.close(master)
    assert process.wait(timeout=60) == 0
    text = seen.decode()
    assert "/15000 [" in text
    assert "steps/s]" in text
    assert "reference = " in text
    assert "\rstep" in text or "\nstep" in text

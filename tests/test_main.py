import logging
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from running import run, start

import thermofit_pl
from thermofit_pl.__main__ import main
from thermofit_pl.cli.about import LIGHT, TRAINING


@pytest.fixture(autouse=True)
def _somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def raising(error: BaseException) -> Callable[..., int]:
    def raise_it(*_: object) -> int:
        raise error

    return raise_it


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"]])
def test_help_names_every_command(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 0
    out = capsys.readouterr().out
    for command in (*TRAINING, *LIGHT):
        assert f"\n  {command} " in out
    assert "THERMOFIT_DEBUG" in out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"thermofit_pl {thermofit_pl.__version__}\n"


@pytest.mark.parametrize(
    ("argv", "hint"), [(["fitt"], "did you mean fit?"), (["aply", "fit"], "did you mean apply?"), (["--data.path"], "")]
)
def test_unknown_command(argv: list[str], hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    ended = run(capsys, *argv)
    assert ended.code == 2
    assert f"expected a command, one of {', '.join(TRAINING | LIGHT)}, but got" in ended.err
    assert hint in ended.err
    assert ended.err.count("\n") == 1


def test_unexpected_error_is_one_line_with_its_type(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thermofit_pl.cli.training.main", raising(ZeroDivisionError("two\nlines")))
    ended = run(capsys, "validate")
    assert ended.code == 1
    assert ended.err == (
        "thermofit_pl: error: ZeroDivisionError: two lines (THERMOFIT_DEBUG=1 in the environment shows where)\n"
    )
    monkeypatch.setenv("THERMOFIT_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main(["validate"])


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (OSError(28, "No space left on device", "x.ckpt"), 1, "No space left on device: x.ckpt"),
        (KeyboardInterrupt(), 130, "thermofit_pl: interrupted"),
        (SystemExit(0), 0, ""),
    ],
)
def test_other_ends(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thermofit_pl.cli.training.main", raising(error))
    ended = run(capsys, "test")
    assert ended.code == code
    assert said in ended.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_the_first_step_ends_at_once(
    number: signal.Signals, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> int:
        signal.raise_signal(number)
        return 0

    monkeypatch.setattr("thermofit_pl.cli.training.main", interrupted)
    ended = run(capsys, "fit")
    assert ended.code == 128 + number
    assert ended.err == f"thermofit_pl: stopped by {number.name}\n"


def test_nothing_of_the_process_is_left_changed(capsys: pytest.CaptureFixture[str]) -> None:
    def state() -> tuple[object, ...]:
        handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
        levels = [logging.getLogger(f"lightning.{name}").level for name in ("pytorch", "fabric")]
        return list(sys.argv), handlers, levels, list(warnings.filters)

    run(capsys, "fit", "--trainer.fast_dev_run=true")  # what importing torch changes, it has changed by now
    before = state()
    assert run(capsys, "fit", "--trainer.max_epochs=1").code == 0
    assert run(capsys, "fit", "--trainer.max_epochs=x").code == 2
    assert state() == before


@pytest.mark.slow
def test_a_process_of_its_own_says_nothing_but_the_result() -> None:
    process = start("fit", "--trainer.max_epochs=1", PYTHONWARNINGS="default")
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert out.startswith("step     500   loss 7.860124\n")


@pytest.mark.slow
def test_a_process_of_its_own_refuses_in_one_line() -> None:
    process = start("fit", "--trainer.max_epoch=3")
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (2, "")
    assert err == "thermofit_pl: error: there is no option --trainer.max_epoch; did you mean --trainer.max_epochs?\n"


@pytest.mark.slow
def test_closed_standard_output_is_a_sentence() -> None:
    command = (
        f"{sys.executable} -m thermofit_pl fit --figures=false --trainer.max_epochs=1 | true; exit ${{PIPESTATUS[0]}}"
    )
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert done.stderr == "thermofit_pl: error: standard output was closed before all was written\n"


ENDS = """
import atexit, sys, threading, time
import thermofit_pl.__main__ as package

class TakenApart:
    def __del__(self):
        print("taken apart", flush=True)

kept = TakenApart()

def main():
    atexit.register(print, "cleaned up")
    threading.Thread(target=lambda: (time.sleep(0.2), print("written"))).start()
    print("said")
    return 3

package.main = main
sys.exit(package.command())
"""


def test_the_process_ends_at_once_but_after_threads_and_clean_up() -> None:
    ended = subprocess.run([sys.executable, "-c", ENDS], capture_output=True, text=True, timeout=60)
    assert ended.stdout.splitlines() == ["said", "written", "cleaned up"]
    assert (ended.returncode, ended.stderr) == (3, "")

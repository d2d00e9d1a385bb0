"""Any terminal: signs that it lacks are printed in plain words, and closed streams and pipes do no harm."""

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from made import NOTEBOOK, calibration

C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
TERMINALS = [
    *({"PYTHONIOENCODING": encoding} for encoding in ("ascii", "latin-1", "cp1252", "cp437", "cp932")),
    C_LOCALE,
]


@pytest.fixture(autouse=True)
def _somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    calibration(*NOTEBOOK).save("c.json")
    Path("new.csv").write_text("indication\n35.7\n55.9\n")


def shell(words: str, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    """Runs a command by bash, as ``T``."""
    script = f'T() {{ {sys.executable} -m thermofit_pl "$@"; }}; {words}; exit ${{PIPESTATUS[0]}}'
    return subprocess.run(
        ["bash", "-c", script], capture_output=True, timeout=120, check=False, env={**os.environ, **environment}
    )


@pytest.mark.parametrize("terminal", TERMINALS, ids=str)
def test_any_terminal_is_told_all_there_is_to_say(terminal: dict[str, str]) -> None:
    encoding = terminal.get("PYTHONIOENCODING", "ascii")
    for words, said in (("T show c.json", ("reference = 0.", "95 %")), ("T --help", ("COMMAND --help",))):
        done = shell(words, **terminal)
        assert (done.returncode, done.stderr) == (0, b"")
        text = done.stdout.decode(encoding)
        assert all(part in text for part in said), text
        assert "\\" not in text  # of an escape, which stands for what has no plain word


def test_what_a_terminal_lacks_has_plain_words() -> None:
    done = shell("T show c.json", PYTHONIOENCODING="ascii")
    first, second = done.stdout.decode("ascii").splitlines()[:2]
    assert first.startswith("reference = 0.")
    assert " * indication - " in first
    assert first.endswith(" deg C")
    assert second.startswith("w = 0.")


def test_a_name_that_the_terminal_lacks_keeps_its_escape() -> None:
    done = shell("T show Kälte→室.json", PYTHONIOENCODING="ascii")
    assert done.returncode == 2
    assert b"Expected the calibration file Kalte->\\u5ba4.json" in done.stderr


def test_files_stay_utf8_whatever_the_terminal() -> None:
    Path("new.csv").write_text("room,indication\nKüche 21 °C,35.7\n", encoding="utf-8")
    done = shell("T apply c.json new.csv --indication indication --output out.csv", **C_LOCALE)
    assert done.returncode == 0, done.stderr
    assert "Küche 21 °C" in Path("out.csv").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("terminal", [{"PYTHONIOENCODING": "cp1252"}, C_LOCALE], ids=str)
def test_a_fit_and_its_help_on_any_terminal(terminal: dict[str, str]) -> None:
    Path("t.csv").write_text("t_°C,ref\n1,1\n2,2.1\n3,2.9\n", encoding="utf-8")
    Path("c.yaml").write_text("data: {path: t.csv, indication: t_°C, reference: ref}\n", encoding="utf-8")
    done = shell("T fit --config c.yaml --trainer.max_epochs 1", **terminal)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"Written: logs/fit/version_0/calibration.json" in done.stdout
    assert "indication: t_°C" in Path("logs/fit/version_0/config.yaml").read_text(encoding="utf-8")
    told = shell("T fit --help", **terminal)
    assert (told.returncode, told.stderr) == (0, b"")
    assert b"--data.missing" in told.stdout


@pytest.mark.slow
def test_a_fit_without_standard_error() -> None:
    done = shell("T fit --trainer.max_epochs 1 --figures false 2>&-")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == b"Look at it: python -m thermofit_pl inspect"
    assert shell("T nothing 2>&-").returncode == 2


def test_no_file_takes_the_number_of_a_closed_stream() -> None:
    code = "import os; from thermofit_pl.cli.terminal import settle_streams; settle_streams(); print(os.open('f', 65))"
    done = subprocess.run(["bash", "-c", f'{sys.executable} -c "{code}" 2>&- <&-'], capture_output=True, check=False)
    assert int(done.stdout) >= 3, done


@pytest.mark.parametrize("place", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "-", ">(cat)"])
@pytest.mark.parametrize("target", ["| cat", "> out.csv; cat out.csv"])
def test_standard_output_by_any_name(place: str, target: str) -> None:
    done = shell(f"T apply c.json new.csv --indication indication --output {place} {target}; wait")
    if ">(" not in place:
        assert done.stderr == b""
    elif ">" in target:  # what bash started may end after it was looked for
        return
    assert done.stdout.startswith(b"indication,estimate,u_line,u_single,extrapolated\n35.7,"), done


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_wait_for_a_reader(number: signal.Signals) -> None:
    os.mkfifo("pipe")
    words = [sys.executable, "-m", "thermofit_pl", "apply", "c.json", "new.csv", "--indication=indication"]
    process = subprocess.Popen([*words, "--output=pipe"], stderr=subprocess.PIPE, text=True)
    try:
        time.sleep(1.5)  # it is at the pipe after half of that
        assert process.poll() is None
        process.send_signal(number)
        _, err = process.communicate(timeout=10)
    finally:
        process.kill()
    assert (process.returncode, err) == (128 + number, f"thermofit_pl: stopped by {number.name}\n")


@pytest.mark.parametrize("output", ["pipe", "-"])
def test_a_signal_ends_the_wait_for_a_reader_that_does_not_read(output: str) -> None:
    Path("long.csv").write_text("indication\n" + "50\n" * 100_000, encoding="utf-8")  # more than a pipe holds
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open("pipe", os.O_WRONLY)
    words = [sys.executable, "-m", "thermofit_pl", "apply", "c.json", "long.csv", "--indication=indication"]
    process = subprocess.Popen([*words, "--output", output], stdout=writer, stderr=subprocess.PIPE, text=True)
    try:
        while not select.select([reader], [], [], 0.1)[0]:  # it writes
            assert process.poll() is None
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=10)
    finally:
        process.kill()
        os.close(writer)
        os.close(reader)
    assert (process.returncode, err) == (128 + signal.SIGTERM, "thermofit_pl: stopped by SIGTERM\n")

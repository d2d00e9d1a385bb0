"""A fit that is killed, or finds the disk full or its folder gone, leaves files that are whole, and can go on."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import files, run, table

from thermofit_pl.callbacks.checkpoints import load_checkpoint

HERE = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
def test_whenever_a_fit_is_killed_its_files_are_whole_and_it_goes_on(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    kills = request.config.getoption("--kills")
    command = [sys.executable, str(HERE / "killed.py"), str(tmp_path), str(kills), str(time.time_ns() % 10**6)]
    done = subprocess.run(
        command, text=True, capture_output=True, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    results = json.loads(done.stdout)
    assert len(results) == kills
    saved = [each for each in results if each["saved"]]
    assert [each for each in results if each["torn"]] == []
    assert [each for each in saved if each["resumed"] != 0 or not each["whole"]] == []
    assert len(saved) >= kills * 2 // 3


WITHIN_A_WRITE = """
import os, pathlib, signal, sys
from thermofit_pl.__main__ import main

write, writes = pathlib.Path.write_bytes, []

def half(path, content):
    if path.suffix == sys.argv[1]:
        writes.append(path)
        if len(writes) == int(sys.argv[2]):
            write(path, bytes(content)[: len(content) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
    return write(path, content)

pathlib.Path.write_bytes = half
main(sys.argv[3:])
"""


def killed_within_a_write(suffix: str, number: int, *words: str) -> list[Path]:
    """Kills a command halfway through its n-th write of a kind of file; returns what it left unfinished."""
    command = [sys.executable, "-c", WITHIN_A_WRITE, suffix, str(number), *words]
    assert subprocess.run(command, capture_output=True, check=False).returncode == -signal.SIGKILL
    return list(Path().rglob(".*.part*"))


@pytest.mark.slow
def test_a_fit_killed_within_a_write_goes_on_and_leaves_nothing_unfinished(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--figures=false", "--trainer.max_epochs=100000000", "--model.learning_rate=1e-7"]
    (left,) = killed_within_a_write(".ckpt", 2, "fit", *words)
    saved = Path("logs/fit/version_0/checkpoints/last.ckpt")
    os.utime(left, (saved.stat().st_mtime + 1,) * 2)  # the newest, whatever the clock's resolution
    done = load_checkpoint(saved)["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
    ended = run(capsys, "fit", "--ckpt_path=last", f"--trainer.max_epochs={done + 2}")
    assert (ended.code, ended.err) == (0, "")
    assert Path("logs/fit/version_1/calibration.json").exists()
    assert list(Path().rglob(".*.part*")) == []


@pytest.mark.slow
def test_the_first_write_of_a_checkpoint_leaves_none_to_go_on_from(capsys: pytest.CaptureFixture[str]) -> None:
    killed_within_a_write(".ckpt", 1, "fit", "--figures=false", "--trainer.max_epochs=2")
    ended = run(capsys, "fit", "--ckpt_path=last")
    assert ended.code == 2
    assert "expected a checkpoint of an earlier fit under logs/, but there is none" in ended.err


def test_a_result_killed_within_its_write_is_swept_away_by_the_next_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(killed_within_a_write(".json", 1, "fit", "--figures=false", "--trainer.max_epochs=2")) == 1
    assert run(capsys, "fit", "--trainer.max_epochs=2").code == 0
    assert list(Path().rglob(".*.part*")) == []


def test_apply_sweeps_away_what_it_left_when_it_was_killed(capsys: pytest.CaptureFixture[str]) -> None:
    table("new.csv", "50\n", "shown\n")
    assert run(capsys, "fit", *table()).code == 0
    Path(".0123456789abcdef.part.csv").write_text("half")
    assert run(capsys, "apply", "last", "new.csv").code == 0
    assert list(Path().rglob(".*.part*")) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 80 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=80k", "tmpfs", str(place)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting needs root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_is_one_sentence_and_damages_nothing(small_disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = f"--trainer.default_root_dir={small_disk / 'logs'}"
    assert run(capsys, "fit", "--trainer.max_epochs=2", "--trainer.logger=false", root).code == 0
    before = {path: path.read_bytes() for path in small_disk.rglob("*") if path.is_file()}
    (small_disk / "ballast").write_bytes(b"0" * (os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize))
    ended = run(capsys, "fit", "--trainer.max_epochs=2", "--trainer.logger=false", root)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.count("\n") == 1
    assert "No space left on device" in ended.err
    assert {path: path.read_bytes() for path in before} == before
    assert {path.name for path in small_disk.iterdir()} == {"logs", "ballast"}
    (small_disk / "ballast").unlink()
    assert run(capsys, "fit", "--ckpt_path=last", "--trainer.max_epochs=3", root).code == 0


def test_a_disk_that_fills_up_leaves_the_checkpoint_whole(small_disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = small_disk / "logs/fit/version_0/checkpoints/last.ckpt"

    def fill() -> None:
        while not saved.exists():
            time.sleep(0.001)
        with open(small_disk / "ballast", "wb", buffering=0) as ballast:  # noqa: PTH123
            try:
                while True:
                    ballast.write(b"0" * 4096)
            except OSError:
                pass

    thread = threading.Thread(target=fill)
    thread.start()
    root = f"--trainer.default_root_dir={small_disk / 'logs'}"
    ended = run(capsys, "fit", "--trainer.max_epochs=100000", "--model.learning_rate=1e-7", root)
    thread.join()
    assert ended.code in (1, 2)
    assert ended.err.count("\n") == 1
    assert "No space left on device" in ended.err
    assert load_checkpoint(saved)["state_dict"]["w"].isfinite().all()


def test_a_read_only_disk_is_one_sentence(small_disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    ended = run(capsys, "fit", f"--trainer.default_root_dir={small_disk / 'logs'}")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.count("\n") == 1
    assert "Read-only file system" in ended.err


def test_a_folder_that_vanishes_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    saved = Path("logs/fit/version_0/checkpoints/last.ckpt").absolute()

    def take_away() -> None:
        while not saved.exists():
            time.sleep(0.001)
        shutil.rmtree(saved.parents[3], ignore_errors=True)

    thread = threading.Thread(target=take_away)
    thread.start()
    ended = run(capsys, "fit", "--trainer.max_epochs=2000", "--model.learning_rate=1e-7")
    thread.join()
    assert ended.err.count("\n") <= 1
    assert (ended.code == 0) == Path("logs/fit/version_0/calibration.json").exists()
    assert "Traceback" not in ended.err


@pytest.mark.slow
@pytest.mark.parametrize("output", ["/dev/full", "closed", "unread"])
def test_an_output_that_takes_nothing_is_one_sentence(output: str, tmp_path: Path) -> None:
    table()
    shell = {"/dev/full": ">/dev/full", "closed": ">&-", "unread": "| sh -c 'exec <&-; sleep 9'"}[output]
    command = (
        f"{sys.executable} -m thermofit_pl fit --trainer.max_epochs 2 --figures false {shell}; exit ${{PIPESTATUS[0]}}"
    )
    done = subprocess.run(["bash", "-c", command], text=True, capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("thermofit_pl: error: ")
    assert done.stderr.count("\n") == 1
    assert not [name for name in files() if ".part" in name]

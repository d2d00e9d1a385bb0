import os
import subprocess
import sys
from pathlib import Path

import pytest
from running import run

from thermofit_pl.distributed.environment import MARKS, SLURM, TORCHRUN, forget_stray_marks, is_first, launched


@pytest.fixture(autouse=True)
def _without_a_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in MARKS:
        monkeypatch.delenv(name, raising=False)


def test_torchruns_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(TORCHRUN, ("none", "5", "8", "1", "host", "29500"), strict=True):
        assert launched() is None
        monkeypatch.setenv(name, value)
    assert launched() == (5, 8, 1, None)
    assert not is_first()
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "thermofit_pl-4711")
    assert launched() == (5, 8, 1, 4711)


def test_slurms_variables_are_read_unless_the_job_is_interactive(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(SLURM, ("8", "0", "0", "0"), strict=True):
        assert launched() is None
        monkeypatch.setenv(name, value)
    assert launched() == (0, 8, 0, None)
    assert is_first()
    monkeypatch.setenv("SLURM_JOB_NAME", "bash")
    assert launched() is None


def test_only_stray_marks_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    forget_stray_marks()
    assert "RANK" not in os.environ
    for name in TORCHRUN:
        monkeypatch.setenv(name, "1")
    forget_stray_marks()
    assert os.environ["RANK"] == "1"


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "SLURM_PROCID", "TORCHELASTIC_RUN_ID", "SLURM_NTASKS"])
def test_a_stray_mark_silences_no_light_command(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, "1")
    ended = run(capsys, "apply", "nothing.json", "nothing.csv")
    assert ended.code == 2
    assert "nothing.json" in ended.err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "SLURM_PROCID", "TORCHELASTIC_RUN_ID", "SLURM_NTASKS"])
def test_a_stray_mark_leaves_a_fit_as_it_is(name: str, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "thermofit_pl", "fit", "--figures=false", "--trainer.accelerator=cpu"]
    done = subprocess.run(
        words, cwd=tmp_path, env=os.environ | {name: "1"}, text=True, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Written: logs/fit/version_0/calibration.json" in done.stdout
    names = sorted(path.name.split(".")[0] for path in tmp_path.rglob("*") if path.is_file())
    assert names == ["calibration", "config", "events", "hparams", "last"]

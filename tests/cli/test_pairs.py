"""Two logs on the command line: pairs, and the line through them."""

from pathlib import Path

import pytest
from running import run

# every ten seconds what the probe shows, every minute the standard
SHOWN = [15.33, 15.42, 15.52, 15.62, 15.70, 15.80, 15.90, 16.02, 16.10, 16.21, 16.33, 16.38, 16.48]
STANDARD = [15.00, 15.60, 16.20]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_two_blocks_of_one_table_become_pairs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    times = [f"2025-05-04T10:{52 + k // 6}:{k % 6}2" for k in range(len(SHOWN))]
    lines = [
        f"{at},{shown},{f'2025-05-04T10:{52 + k}:02' if k < 3 else ''},{STANDARD[k] if k < 3 else ''}"
        for k, (at, shown) in enumerate(zip(times, SHOWN, strict=True))
    ]
    (folder / "blocks.csv").write_text("\n".join(["time_a,shown,time_b,ref", *lines]) + "\n")
    words = ["--data.indication=shown", "--data.reference=ref", "--data.time=time_a", "--data.pair.time=time_b"]
    ended = run(capsys, "fit", "--data.path=blocks.csv", *words)
    assert ended.code == 0, ended.err
    assert "3 readings of blocks.csv, indications from 15.33 to 16.48" in ended.out


def test_another_file_with_the_standards_log(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "shown.csv").write_text("\n".join(["t,shown", *(f"{10 * k},{x}" for k, x in enumerate(SHOWN))]) + "\n")
    (folder / "ref.csv").write_text("\n".join(["t,ref", *(f"{60 * k},{y}" for k, y in enumerate(STANDARD))]) + "\n")
    words = ["--data.indication=shown", "--data.reference=ref", "--data.time=t", "--data.pair.path=ref.csv"]
    ended = run(capsys, "fit", "--data.path=shown.csv", *words)
    assert ended.code == 0, ended.err
    assert "3 readings of " in ended.out

"""What the README shows is what happens: its commands are run in one folder, and their output is compared."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from thermofit_pl.__main__ import main

README = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8")
SHOWN = re.compile(r"```console\n(.*?)```", re.DOTALL)
COMMAND = re.compile(r"^\$ (.*)\n", re.MULTILINE)


NUMBER = re.compile(r"-?\d+\.\d{6,}")  # numbers in full: their last digits depend on the machine


def assert_same(came: str, shown: str) -> None:
    assert NUMBER.sub("#", came) == NUMBER.sub("#", shown)
    numbers = [[float(number) for number in NUMBER.findall(text)] for text in (came, shown)]
    assert numbers[0] == pytest.approx(numbers[1], rel=1e-12, abs=0)


def test_readme_is_short() -> None:
    assert len(README.splitlines()) < 200


@pytest.mark.filterwarnings("ignore:.*outside the calibrated range.*")
def test_commands_print_what_the_readme_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = SHOWN.findall(README)
    assert len(blocks) >= 3
    for block in blocks:
        parts = COMMAND.split(block)[1:]
        for command, expected in zip(parts[::2], parts[1::2], strict=True):
            words = shlex.split(command)
            if words[0] == "cat":  # shows a file that later commands read
                path = Path(words[1])
                if not path.exists():
                    path.write_text(expected, encoding="utf-8")
                assert_same(path.read_text(encoding="utf-8"), expected)
                continue
            assert words[:3] == ["python", "-m", "thermofit_pl"]
            assert main(words[3:]) == 0, command
            assert_same(capsys.readouterr().out, expected)


def test_python_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    for line, printed in zip(re.findall(r"#> (.*)", code), capsys.readouterr().out.splitlines(), strict=True):
        assert printed == line

"""Each file once, and none that this package wrote."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl
import pytest
from made import NOTEBOOK, calibration

from thermofit_pl.apply.apply import apply
from thermofit_pl.errors import InputError
from thermofit_pl.tables.table import Table

CALIBRATION = calibration(*NOTEBOOK)
TEXT = "t_u,t_c\n" + "".join(f"{row},{row / 2}\n" for row in range(40))
ROLES = ("t_u", "t_c")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with one table."""
    monkeypatch.chdir(tmp_path)
    Path("monday.csv").write_text(TEXT)
    return tmp_path


def names(path: str) -> list[str]:
    return [str(file) for file in Table(path, *ROLES).files]


@pytest.mark.parametrize("path", [".", "*.csv", "**/*.csv", "{}", "{}/*.csv"])
def test_what_apply_wrote_is_left_out(folder: Path, path: str) -> None:
    path = path.format(folder)
    apply(CALIBRATION, "monday.csv")
    apply(CALIBRATION, "monday.csv", output="other name.parquet")
    table = Table(path, *ROLES)
    assert [file.name for file in table.files] == ["monday.csv"]
    assert sum(len(block.rows) for block in table.blocks()) == 40
    what = "monday.corrected.csv" if "*" in path else "2 files such as monday.corrected.csv"
    assert table.left_out.startswith(f"Left out {what}: thermofit_pl wrote ")
    assert Table("monday.corrected.csv", *ROLES).left_out == ""  # named itself, it is taken


def test_what_predict_wrote_and_the_lines_of_a_fleet(capsys: pytest.CaptureFixture[str]) -> None:
    pl.DataFrame({"t_u": [1], "t_c": [2], "estimate": [3]}).write_csv("predictions.csv")
    pl.DataFrame({"probe": [1], "probe.estimate": [3]}).write_csv("wide.csv")
    pl.DataFrame({"instrument": ["a"], "status": ["ok"], "w": [1.0], "b": [0.0]}).write_parquet("calibrations.parquet")
    pl.DataFrame({"t_u": [1], "estimate": [3], "t_c": [2]}).write_csv("somebody's.csv")
    table = Table(".", *ROLES)
    assert [file.name for file in table.files] == ["monday.csv", "somebody's.csv"]
    assert "3 files such as calibrations.parquet: thermofit_pl wrote them; to take one, name it alone" in table.left_out
    apply(CALIBRATION, "[mp]*.csv", output="out.csv")
    assert "Left out predictions.csv: thermofit_pl wrote it" in capsys.readouterr().err


def test_only_results() -> None:
    apply(CALIBRATION, "monday.csv")
    Path("monday.csv").unlink()
    with pytest.raises(InputError, match=r"'?\.'? holds only tables that thermofit_pl wrote, such as monday.corrected"):
        Table(".", *ROLES)


@pytest.mark.parametrize("path", [".", "*.csv", "**", "**/*", "*"])
def test_hidden_and_unfinished_files(path: str) -> None:
    for name in (".hidden.csv", ".0123456789abcdef.part.csv", "._monday.csv"):
        Path(name).write_text(TEXT)
    Path(".cache").mkdir()
    Path(".cache/a.csv").write_text(TEXT)
    assert names(path) == ["monday.csv"]


def test_a_link_into_itself() -> None:
    Path("sub/deeper").mkdir(parents=True)
    Path("sub/deeper/tuesday.csv").write_text(TEXT)
    for number in range(4):  # with two, glob's `**` finds 2⁴⁰ names
        Path(f"sub/link{number}").symlink_to("..")
        Path(f"a{number}").symlink_to(".")
    assert names("**/*.csv") == ["monday.csv", "sub/deeper/tuesday.csv"]
    assert names("sub/**/*.csv") in (["sub/deeper/tuesday.csv", "sub/link0/monday.csv"],)


def test_a_linked_folder_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "tuesday.csv").write_text(TEXT)
    Path("data").symlink_to(elsewhere)
    assert names("**/*.csv") == ["data/tuesday.csv", "monday.csv"]


@pytest.mark.parametrize("path", [".", "*.csv", "**/*.csv"])
@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_one_file_under_two_names(path: str, link: object) -> None:
    link("monday.csv", "again.csv")  # type: ignore[operator]
    table = Table(path, *ROLES)
    assert len(table.files) == 1
    assert sum(len(block.rows) for block in table.blocks()) == 40
    assert "under another name" in table.left_out


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*/x.csv", ["p/x.csv", "q/x.csv"]),
        ("p/*.csv", ["p/x.csv", "p/y.csv"]),
        ("[pq]/?.csv", ["p/x.csv", "p/y.csv", "q/x.csv"]),
        ("p/../q/*.csv", ["p/../q/x.csv"]),
        ("p/**", ["p/r/z.csv", "p/x.csv", "p/y.csv"]),
        ("**/r/*.csv", ["p/r/z.csv"]),
        ("**/p/**/*.csv", ["p/r/z.csv", "p/x.csv", "p/y.csv"]),
    ],
)
def test_patterns(pattern: str, expected: list[str]) -> None:
    for name in ("p/x.csv", "p/y.csv", "q/x.csv", "p/r/z.csv"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(TEXT)
    assert names(pattern) == expected

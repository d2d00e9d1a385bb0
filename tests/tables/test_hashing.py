"""The hash of a table that was begun with before the table was opened."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from thermofit_pl.__main__ import main
from thermofit_pl.errors import InputError
from thermofit_pl.tables import hashing
from thermofit_pl.tables.formats import TableFile, open_table
from thermofit_pl.tables.hashing import begin_hash, hash_of
from thermofit_pl.tables.table import Table

TEXT = "shown,true\n1,1\n2,2\n3,4\n"
COLUMNS = {"indication": "shown", "reference": "true"}


def opened(path: Path) -> tuple[TableFile]:
    """The table in a file."""
    return (open_table(path, COLUMNS, decimal_comma=False),)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A table, with nothing begun."""
    hashing._begun.clear()
    (path := tmp_path / "t.csv").write_text(TEXT)
    return path


def test_what_was_begun_is_gone_on_with(path: Path) -> None:
    begin_hash(path)
    _, begun = hashing._begun[path]
    tables = opened(path)
    assert hash_of(tables) is begun
    assert begun.result(tables) == hashlib.sha256(TEXT.encode()).hexdigest()
    assert hash_of(tables) is not begun  # it is another's now


@pytest.mark.parametrize("text", [TEXT + "4,4\n", TEXT.replace("4", "5")])
def test_a_file_that_changed_since_is_hashed_anew(text: str, path: Path) -> None:
    begin_hash(path)
    _, begun = hashing._begun[path]
    begun._thread.join()
    path.write_text(text)
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))  # however coarse the clock of the file system
    tables = opened(path)
    assert hash_of(tables).result(tables) == hashlib.sha256(text.encode()).hexdigest()


def test_of_several_files_all_are_hashed(path: Path) -> None:
    begin_hash(path)
    (path.parent / "u.csv").write_text(TEXT)
    assert Table(str(path.parent), "shown", "true").sha256() == hashlib.sha256(TEXT.encode() * 2).hexdigest()


def test_a_file_that_was_gone_for_a_moment_is_a_sentence(path: Path, tmp_path: Path) -> None:
    tables = opened(path)
    path.rename(tmp_path / "away")
    begun = hash_of(tables)
    begun._thread.join()
    (tmp_path / "away").rename(path)
    with pytest.raises(InputError, match=r"t\.csv is not there; check the name"):
        begun.result(tables)


@pytest.mark.parametrize("name", ["none.csv", ".", "nul\0", "x" * 300, "t.csv/u.csv"])
def test_nothing_is_said_of_what_can_t_be_read(name: str, path: Path) -> None:
    begin_hash(path.parent / name)
    assert not hashing._begun


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["fit", "--data.path", "PATH"], ["PATH"]),
        (["fit", "--data.path=PATH", "--data.indication=shown"], ["PATH"]),
        (["fit", "--data.path", "other", "--data.path=PATH"], ["PATH"]),
        (["fit", "--data.path=PATH", "--data.path"], []),
        (["fit"], []),
        (["validate", "--data.path", "PATH"], []),
    ],
)
def test_fit_begins_with_the_table_that_is_named(
    argv: list[str], expected: list[str], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thermofit_pl.cli.training.main", lambda *_: 0)
    assert main([word.replace("PATH", str(path)) for word in argv]) == 0
    assert [str(begun) for begun in hashing._begun] == [word.replace("PATH", str(path)) for word in expected]


def test_another_process_of_the_run_leaves_it_to_the_first(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thermofit_pl.cli.training.main", lambda *_: 0)
    monkeypatch.setenv("RANK", "1")
    main(["fit", "--data.path", str(path)])
    assert not hashing._begun

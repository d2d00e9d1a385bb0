"""The hash of a table: that of its bytes, and a sentence where they could not be read."""

import hashlib
from pathlib import Path

import pytest

from thermofit_pl.errors import InputError
from thermofit_pl.tables.formats import open_table
from thermofit_pl.tables.hashing import FileHash
from thermofit_pl.tables.table import Table

TEXT = "shown,true\n1,1\n2,2\n3,4\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (path := tmp_path / "t.csv").write_text(TEXT)
    return path


def test_of_several_files_all_are_hashed_in_their_order(path: Path) -> None:
    (path.parent / "u.csv").write_text(TEXT)
    assert Table(str(path.parent), "shown", "true").sha256() == hashlib.sha256(TEXT.encode() * 2).hexdigest()


def test_a_file_that_was_gone_for_a_moment_is_a_sentence(path: Path, tmp_path: Path) -> None:
    tables = (open_table(path, ("shown", "true")),)
    path.rename(tmp_path / "away")
    begun = FileHash(tables)
    begun._thread.join()
    (tmp_path / "away").rename(path)
    with pytest.raises(InputError, match=r"t\.csv is not there; check the name"):
        begun.result()

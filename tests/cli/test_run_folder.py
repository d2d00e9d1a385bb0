from pathlib import Path

import pytest
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from thermofit_pl.cli.run_folder import RunFolder
from thermofit_pl.errors import InputError


def test_versions_follow_each_other(tmp_path: Path) -> None:
    (tmp_path / "fit" / "version_7").mkdir(parents=True)
    (tmp_path / "fit" / "version_x").mkdir()
    folder = RunFolder(tmp_path, "fit", [])
    assert folder.path == tmp_path / "fit" / "version_8"
    assert folder.version == 8
    assert not folder.path.exists()


def test_two_that_start_together_get_a_folder_each(tmp_path: Path) -> None:
    first, second = (RunFolder(tmp_path, "fit", []) for _ in range(2))
    first.claim()
    second.claim()
    assert [first.version, second.version] == [0, 1]
    assert second.path.is_dir()


@pytest.mark.parametrize("kind", [TensorBoardLogger, CSVLogger])
def test_a_logger_names_the_folder_and_never_writes_into_an_old_one(
    tmp_path: Path, kind: type[TensorBoardLogger] | type[CSVLogger]
) -> None:
    named = kind(save_dir=tmp_path, name="mine", version=3)
    folder = RunFolder(tmp_path / "elsewhere", "fit", [named])
    assert folder.path == tmp_path / "mine" / "version_3"
    folder.claim()
    again = RunFolder(tmp_path / "elsewhere", "fit", [kind(save_dir=tmp_path, name="mine", version=3)])
    assert again.path == tmp_path / "mine" / "version_4"
    unnamed = RunFolder(tmp_path / "elsewhere", "fit", [kind(save_dir=tmp_path)])
    assert unnamed.path == tmp_path / "fit" / "version_0"


def test_removing_takes_the_folders_that_were_made_for_it(tmp_path: Path) -> None:
    root = tmp_path / "a" / "logs"
    folder = RunFolder(root, "fit", [])
    folder.claim()
    (folder.path / "config.yaml").touch()
    folder.remove()
    assert list(tmp_path.iterdir()) == []


def test_removing_spares_checkpoints_other_runs_and_what_was_not_claimed(tmp_path: Path) -> None:
    folders = [RunFolder(tmp_path, "fit", []) for _ in range(2)]
    for folder in folders:
        folder.claim()
    (folders[0].path / "checkpoints").mkdir()
    (folders[0].path / "checkpoints" / "last.ckpt").touch()
    RunFolder(tmp_path, "test", []).remove()
    for folder in folders:
        folder.remove()
    assert [path.name for path in (tmp_path / "fit").iterdir()] == ["version_0"]


def test_a_place_where_none_can_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "fit").touch()
    with pytest.raises(InputError, match=r"Expected a folder .*fit, but it is a file"):
        RunFolder(tmp_path, "fit", []).claim()
    (tmp_path / "logs").touch()
    with pytest.raises(
        InputError, match=r"run's folder .*, but got Not a directory; name another place with --trainer"
    ):
        RunFolder(tmp_path / "logs", "fit", []).claim()

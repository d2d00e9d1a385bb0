import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from thermofit_pl.errors import InputError
from thermofit_pl.files import atomic_write, is_unfinished, sweep


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "result.csv"


def write(path: Path | str, text: str = "new") -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text)


def test_the_file_appears_when_it_is_whole(path: Path) -> None:
    with atomic_write(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == path.suffix
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_what_was_there(path: Path) -> None:
    def fails() -> None:
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            raise KeyError

    write(path, "old")
    with pytest.raises(KeyError):
        fails()
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("call", ["open", "fsync"])
def test_a_full_disk_is_a_sentence(call: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, "old")

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fails)
        with pytest.raises(InputError, match=r"Expected to write .*result\.csv, but got No space left on device; free"):
            write(path)
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_it_is_forced_to_the_disk_before_it_is_renamed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    real_fsync, real_replace = os.fsync, Path.replace

    def fsync(descriptor: int) -> None:
        calls.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        real_fsync(descriptor)

    def replace(source: Path, target: Path) -> Any:
        calls.append("rename")
        return real_replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    write(path)
    assert calls == ["file", "rename", "folder"]


def test_permissions_are_those_of_any_new_file(path: Path) -> None:
    before = os.umask(0o027)
    try:
        write(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    write(target, "old")
    link.symlink_to(target)
    write(link)
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_a_device_is_written_to_and_stays() -> None:
    write("/dev/null")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_long_name_is_no_obstacle(tmp_path: Path) -> None:
    write(tmp_path / ("n" * 251 + ".csv"))
    assert len(list(tmp_path.iterdir())) == 1


WRONG: list[tuple[Callable[[Path], str], str]] = [
    (str, "Expected a file to write, but got the folder"),
    (lambda folder: f"{folder}/none/a.csv", "but got No such file or directory"),
    (lambda folder: f"{folder}/a\0b\x1b", r"a\\x00b\\x1b, but got a null character"),
    (lambda folder: f"{folder}/{'n' * 300}", "but got File name too long"),
]


@pytest.mark.parametrize(("place", "sentence"), WRONG)
def test_what_cannot_be_written_is_a_sentence(place: Callable[[Path], str], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        write(place(tmp_path))
    assert str(caught.value).isprintable()
    assert not list(tmp_path.iterdir())


def test_what_a_kill_left_is_swept_away_and_what_is_being_written_is_not(path: Path) -> None:
    process = os.fork()
    if process == 0:
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(process, 0)
    (left,) = path.parent.iterdir()
    assert is_unfinished(left)
    others = [path.with_name(name) for name in (".hidden.csv", "a.part.csv", ".0123456789abcdef.parts")]
    for other in others:
        other.touch()
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        sweep(path.parent)
        assert not left.exists()
        assert temporary.exists()
    assert path.read_text() == "new"
    assert set(path.parent.iterdir()) == {path, *others}


def test_a_file_swept_away_before_it_was_locked_is_made_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_open, made = os.open, []

    def opened(name: Path, flags: int, *mode: int) -> int:
        descriptor = real_open(name, flags, *mode)
        if flags & os.O_EXCL:
            made.append(name)
            if len(made) == 1:
                Path(name).unlink()
        return descriptor

    monkeypatch.setattr(os, "open", opened)
    write(path)
    assert len(made) == 2
    assert path.read_text() == "new"


def test_a_folder_that_is_not_there_has_nothing_to_sweep(tmp_path: Path) -> None:
    sweep(tmp_path / "none")
    assert not list(tmp_path.iterdir())

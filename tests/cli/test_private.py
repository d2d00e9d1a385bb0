"""What isn't public of other packages is still there, and does what is asked of it."""

import subprocess
import sys
from pathlib import Path

import pytest
from jsonargparse import ArgumentParser
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from thermofit_pl.cli.private import (
    FileLogger,
    TypedCLI,
    explain,
    interpreter_flags,
    name_run,
    next_version,
    options_of,
)


@pytest.fixture
def parser() -> ArgumentParser:
    found = ArgumentParser(prog="some")
    group = found.add_argument_group("numbers")
    group.add_argument("--one", type=int, help="uno")
    found.add_argument("--two.three", type=int, help="tres")
    return found


def test_the_options_of_a_parser(parser: ArgumentParser) -> None:
    assert {"--one", "--two.three"} <= set(options_of(parser))


def test_help_in_other_words_and_another_order(parser: ArgumentParser) -> None:
    def place(title: str | None, names: list[str]) -> int:
        return 0 if "one" in names else 1 if title == "options" else 2

    explain(parser, {"one": "eins"}, place)
    text = parser.format_help()
    assert "eins" in text
    assert "uno" not in text
    assert text.index("--one") < text.index("--two.three")


@pytest.mark.parametrize("kind", [CSVLogger, TensorBoardLogger])
def test_a_logger_takes_a_name_and_the_next_version(kind: type[FileLogger], tmp_path: Path) -> None:
    logger = kind(tmp_path, version=3)
    name_run(logger, "fit")
    assert logger.name == "fit"
    for version in (3, 7):
        (tmp_path / "fit" / f"version_{version}").mkdir(parents=True)
    next_version(logger)
    assert logger.version == 8
    assert Path(logger.log_dir) == tmp_path / "fit" / "version_8"


def test_lightnings_hooks_are_those_that_are_overridden() -> None:
    for hook in ("_parse_ckpt_path", "_prepare_subcommand_kwargs"):
        assert getattr(LightningCLI, hook) is not getattr(TypedCLI, hook)
    source = Path(sys.modules[LightningCLI.__module__].__file__ or "").read_text(encoding="utf-8")
    for used in ("self._parse_ckpt_path()", "self._prepare_subcommand_kwargs(subcommand)", "self._subcommand_parsers["):
        assert used in source


@pytest.mark.slow
def test_the_flags_of_the_interpreter() -> None:
    code = "from thermofit_pl.cli.private import interpreter_flags; print(interpreter_flags())"
    ended = subprocess.run([sys.executable, "-X", "utf8", "-W", "ignore", "-c", code], capture_output=True, text=True)
    assert "'-Wignore', '-X', 'utf8'" in ended.stdout
    assert isinstance(interpreter_flags(), list)

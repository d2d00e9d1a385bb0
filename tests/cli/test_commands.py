import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from made import NOTEBOOK, calibration

from thermofit_pl.cli import commands
from thermofit_pl.errors import InputError
from thermofit_pl.reports.summary import summary

CALIBRATION = calibration(*NOTEBOOK)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a calibration and a table."""
    monkeypatch.chdir(tmp_path)
    CALIBRATION.save("calibration.json")
    Path("t.csv").write_text("t_u,raw\n50,60\n")
    return tmp_path


def python(code: str, *argv: str, stdout: int = subprocess.PIPE) -> "subprocess.CompletedProcess[str]":
    """Runs Python in a process of its own."""
    command = [sys.executable, "-W", "error", "-c", code, *argv]
    return subprocess.run(
        command, stdout=stdout, stderr=subprocess.PIPE, text=True, encoding="utf-8", timeout=60, check=False
    )


RUN = "import sys; from thermofit_pl.__main__ import main; sys.exit(main(sys.argv[1:]))"


def test_show_prints_the_summary(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    for name in ("calibration.json", "."):
        assert commands.main(["show", name]) == 0
        assert capsysbinary.readouterr().out.decode() == summary(CALIBRATION) + "\n"


def test_last_is_the_newest_run(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    with pytest.raises(InputError, match=r"Expected a run with a calibration under logs/ for 'last', but found none"):
        commands.main(["show", "last"])
    for when, name in enumerate(("b", "c", "a")):
        run = Path("logs", "fit", name)
        run.mkdir(parents=True)
        calibration(*NOTEBOOK, data_name=f"{name}.csv").save(run / "calibration.json")
        os.utime(run / "calibration.json", (when, when))
        commands.main(["show", "last"])
        assert f" of {name}.csv,".encode() in capsysbinary.readouterr().out


def test_apply_takes_its_options() -> None:
    argv = ["apply", "calibration.json", "t.csv", "--output", "out.parquet", "--indication", "raw"]
    assert commands.main(argv) == 0
    found = pl.read_parquet("out.parquet")["estimate"].item()
    assert found == pytest.approx(CALIBRATION.correct(60).estimate, rel=1e-14)
    Path("comma.csv").write_text("t_u;raw\n50,5;1\n")
    assert commands.main(["apply", "calibration.json", "comma.csv", "--decimal-comma"]) == 0
    assert Path("comma.corrected.csv").read_text().startswith("t_u;raw;estimate")


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["apply", "calibration.json"], "the following arguments are required: TABLE; .* --help says what it takes"),
        (["show", "calibration.json", "--all"], "unrecognized arguments: --all; "),
        (["show", "calibration.json", "\x1b[2J"], r"unrecognized arguments: \\x1b\[2J"),
        (["apply", "calibration.json", "t.csv", "--out", "x.csv"], "unrecognized arguments: --out x.csv"),
        (["apply", "calibration.json", "t.csv", "--output"], "argument --output: expected one argument"),
        (["show", "none.json"], "Expected the calibration file none.json, but got No such file or directory"),
        (["show", "t.csv"], r"Expected a calibration in t\.csv, but it isn't JSON"),
    ],
)
def test_what_cannot_be_used_is_a_sentence(argv: list[str], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        commands.main(argv)
    assert str(caught.value).isprintable()


def test_no_command_imports_what_takes_long_to_import() -> None:
    slow = "{'torch', 'lightning', 'torchmetrics', 'scipy', 'matplotlib', 'mpmath'}"
    code = (
        "import sys; from thermofit_pl.cli.commands import main; main(sys.argv[1:]); "
        f"print(sorted({slow} & set(sys.modules)), 'polars' in sys.modules, file=sys.stderr)"
    )
    assert python(code, "show", "calibration.json").stderr == "[] False\n"
    assert python(code, "export", "calibration.json", "--to", "esphome").stderr == "[] False\n"
    assert python(code, "compare", "calibration.json", "calibration.json").stderr == "[] False\n"
    assert "\n[] " in python(code, "report", "calibration.json").stderr
    assert python(code, "apply", "calibration.json", "t.csv", "--output", "-").stderr == "[] True\n"


def test_the_exit_code_and_the_line() -> None:
    good = python(RUN, "show", "calibration.json")
    assert (good.returncode, good.stderr) == (0, "")
    bad = python(RUN, "show", "calibration.json", "--nonsense")
    assert bad.returncode == 2
    assert bad.stdout == ""
    assert len(bad.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "argv", [["show", "calibration.json"], ["apply", "calibration.json", "t.csv", "--output", "-"]]
)
def test_an_output_that_takes_nothing_is_a_sentence(argv: list[str]) -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        found = python(RUN, *argv, stdout=full.fileno())
    assert found.returncode == 2
    assert "Expected to write all to standard output, but got No space left on device" in found.stderr
    assert len(found.stderr.splitlines()) == 1
    reader, writer = os.pipe()
    os.close(reader)
    found = python(RUN, *argv, stdout=writer)
    os.close(writer)
    assert found.returncode == 2
    assert "Expected to write all to standard output, but got Broken pipe" in found.stderr
    assert len(found.stderr.splitlines()) == 1
    closed = python(f"import sys; sys.stdout = None; {RUN}", *argv)
    assert closed.returncode == 2
    assert "Expected an open standard output, but it is closed" in closed.stderr


@pytest.mark.parametrize("suffix", ["csv", "parquet", "arrow"])
def test_a_disk_that_takes_no_more_is_a_sentence(suffix: str, folder: Path) -> None:
    Path("t.csv").write_text("t_u\n" + "\n".join(str(i / 77) for i in range(50_000)))
    before = sorted(folder.iterdir())
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)); "
    found = python(limit + RUN, "apply", "calibration.json", "t.csv", "--output", f"out.{suffix}")
    assert found.returncode == 2
    assert f"Expected to write out.{suffix}, but got File too large; free space" in found.stderr
    assert len(found.stderr.splitlines()) == 1
    assert sorted(folder.iterdir()) == before

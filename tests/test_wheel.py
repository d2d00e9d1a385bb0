"""The wheel holds what the tree holds: every module can be imported from it, every data file read, and ``fit`` runs."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EVERYTHING = """
import importlib, pathlib, pkgutil, sys
import thermofit_pl
home = pathlib.Path(thermofit_pl.__file__).parent
assert home.is_relative_to(sys.argv[1]), home
for module in pkgutil.walk_packages([str(home)], "thermofit_pl."):
    importlib.import_module(module.name)
for path in home.rglob("*"):
    if path.is_file() and path.suffix not in (".py", ".pyc"):
        path.read_bytes()
        print(path.relative_to(home).as_posix())
"""


@pytest.mark.slow
def test_the_wheel_is_the_tree(tmp_path: Path) -> None:
    source = tmp_path / "source"  # what an earlier build left in the tree would be taken into the wheel
    shutil.copytree(ROOT / "thermofit_pl", source / "thermofit_pl", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(source)]
    subprocess.run(build, check=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    place = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:  # as pip would install it, without its dependencies, which are here
        archive.extractall(place)

    def python(*words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-W", "ignore", *words]
        environment = {"PYTHONPATH": str(place), "PATH": ""}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)

    seen = python("-c", EVERYTHING, str(place))
    assert seen.returncode == 0, seen.stderr
    tree = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "thermofit_pl"], capture_output=True, text=True, check=True
    ).stdout.split()
    kept = {name.removeprefix("thermofit_pl/") for name in tree if not name.endswith(".py")}
    assert set(seen.stdout.split()) == kept
    fitted = python("-m", "thermofit_pl", "fit", "--figures=false")
    assert (fitted.returncode, fitted.stderr) == (0, "")
    assert "reference = 0.536772 · indication − 17.3048 °C" in fitted.stdout

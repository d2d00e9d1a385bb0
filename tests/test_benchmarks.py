"""The benchmark runs, at sizes at which its figures mean nothing."""

from importlib import import_module
from pathlib import Path

import pytest
from benchmarks import __main__ as command
from benchmarks.measuring import Row, Sizes, divided, in_turns, less, process

TINY = Sizes(
    repeats=2,
    steps=500,
    many_steps=1000,
    slow_steps=4,
    readings=3000,
    rows=3000,
    peers=(11,),
    instruments=30,
    many_instruments=100,
    card=1000,
)


def test_a_ratio_is_the_median_of_turns_and_meets_its_target() -> None:
    calls: list[str] = []

    def side(name: str, value: float) -> float:
        calls.append(name)
        return value

    found = in_turns(3, {"a": lambda: side("a", 6.0), "b": lambda: side("b", 2.0)})
    assert calls == ["a", "b"] * 3
    row = Row("a / b", divided(found["a"], found["b"]), "", ("≥", 3.0))
    assert row.ratio == 3.0
    assert row.met
    assert not Row("", [1.0, 4.0, 5.0], "", ("≤", 3.9)).met
    assert less([3.0, 4.0], [1.0, 2.0, 9.0]) == [1.0, 2.0]


def test_a_process_is_measured_by_the_system(tmp_path: Path) -> None:
    small, large = (process("-c", f"bytearray({size})", folder=tmp_path) for size in (1, 200_000_000))
    assert 150 < large.megabytes - small.megabytes < 250
    with pytest.raises(RuntimeError, match="ended with 3: no"):
        process("-c", "import sys; sys.stderr.write('no'); sys.exit(3)", folder=tmp_path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("part", ["steps", "batches", "peers"])
def test_each_part_gives_its_rows(part: str, tmp_path: Path) -> None:
    if part == "peers":
        pytest.importorskip("sklearn")
    rows = list(import_module(f"benchmarks.{part}").rows(TINY, tmp_path))
    assert rows
    assert all(len(row.ratios) == 2 and row.ratio > 0 for row in rows)
    lines = command.markdown(rows).splitlines()
    assert len(lines) == len(rows) + 4
    assert len({text.count("|") for text in lines[2:]}) == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("part", ["tables", "startup", "fleets", "correcting"])
def test_each_part_of_whole_processes_gives_its_rows(part: str, tmp_path: Path) -> None:
    if part in ("tables", "fleets"):
        pytest.importorskip("sklearn")
        pytest.importorskip("duckdb")
    rows = list(import_module(f"benchmarks.{part}").rows(TINY, tmp_path))
    assert all(len(row.ratios) == (1 if "instruments: peak" in row.what else 2) for row in rows)

"""Splits are disjoint and complete, the same for the same seed, and contiguous for a log."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from thermofit_pl import splits
from thermofit_pl.readings import Block, Table
from thermofit_pl.splits import PARTS, Split, scrambled


def parts_of(path: Path, split: Split, n: int) -> dict[str, list[int]]:
    pl.DataFrame({"x": np.arange(n), "y": np.arange(n)}).write_parquet(path)
    table = Table(str(path), "x", "y")
    found: dict[str, list[int]] = {part: [] for part in PARTS}
    blocks: Iterator[Block] = table.blocks()
    for part, block in split.cut(table, blocks):
        found[part] += block.indication.astype(int).tolist()
    return found


@pytest.mark.parametrize("small", [10, splits.SMALL])
@pytest.mark.parametrize("n", [11, 200, 3000])
def test_every_reading_is_in_one_part(n: int, small: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splits, "SMALL", small)
    found = parts_of(tmp_path / "t.parquet", Split(0.2, 0.3, seed=3), n)
    assert sorted(chain.from_iterable(found.values())) == list(range(n))
    assert found == parts_of(tmp_path / "t.parquet", Split(0.2, 0.3, seed=3), n)
    assert found != parts_of(tmp_path / "t.parquet", Split(0.2, 0.3, seed=4), n)
    if n <= small:
        assert [len(found[part]) for part in PARTS] == [
            n - round(0.2 * n) - round(0.3 * n),
            round(0.2 * n),
            round(0.3 * n),
        ]
    elif n == 3000:
        assert len(found["val"]) == pytest.approx(600, abs=5 * np.sqrt(3000 * 0.2 * 0.8))


def test_a_log_is_cut_into_blocks(tmp_path: Path) -> None:
    found = parts_of(tmp_path / "t.parquet", Split(0.25, 0.25, in_order=True), 100)
    assert found == {"train": list(range(50)), "val": list(range(50, 75)), "test": list(range(75, 100))}


def test_no_split_trains_on_all(tmp_path: Path) -> None:
    assert parts_of(tmp_path / "t.parquet", Split(), 10)["train"] == list(range(10))


def test_lots_are_uniform_and_differ_by_seed() -> None:
    lots = scrambled(np.arange(100_000), seed=1)
    counts = np.histogram(lots, bins=20, range=(0, 1))[0]
    assert np.abs(counts - 5000).max() < 5 * np.sqrt(5000)
    assert abs(np.corrcoef(lots, scrambled(np.arange(100_000), seed=2))[0, 1]) < 0.02
    assert abs(np.corrcoef(lots[:-1], lots[1:])[0, 1]) < 0.02

"""Splits are disjoint and complete, the same for the same seed, from every instrument, and the end of each log."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from thermofit_pl.tables.split import PARTS, Split, dealt, held_out, mixed, shuffled
from thermofit_pl.tables.table import Block, Table

Found = dict[str, dict[str, list[float]]]  # by part and instrument


def parts_of(table: Table, split: Split) -> Found:
    """The indications of each part and instrument, in the order in which they come."""
    found: Found = {part: {} for part in PARTS}
    blocks: Iterator[Block] = table.blocks()
    for part, block in split.cut(table, blocks):
        for x, code in zip(block.indication.tolist(), block.codes().tolist(), strict=True):
            name = (table.instruments() or [""])[code]
            found[part].setdefault(name, []).append(x)
    return found


def one_of(path: Path, split: Split, n: int) -> dict[str, list[float]]:
    pl.DataFrame({"x": np.arange(n), "y": np.arange(n)}).write_parquet(path)
    return {part: of.get("", []) for part, of in parts_of(Table(str(path), "x", "y"), split).items()}


@pytest.mark.parametrize("n", [11, 200, 3000, 300_000])
def test_every_reading_is_in_one_part(n: int, tmp_path: Path) -> None:
    found = one_of(tmp_path / "t.parquet", Split(0.2, 0.3, seed=3), n)
    assert sorted(chain.from_iterable(found.values())) == list(range(n))
    assert found == one_of(tmp_path / "t.parquet", Split(0.2, 0.3, seed=3), n)
    assert found != one_of(tmp_path / "t.parquet", Split(0.2, 0.3, seed=4), n)
    test, val = round(0.3 * n), round(0.2 * n)
    assert [len(found[part]) for part in PARTS] == [n - val - test, val, test]


def test_a_log_is_cut_into_blocks(tmp_path: Path) -> None:
    found = one_of(tmp_path / "t.parquet", Split(0.25, 0.25, in_order=True), 100)
    assert found == {"train": [*range(50)], "val": [*range(50, 75)], "test": [*range(75, 100)]}


def test_no_split_trains_on_all(tmp_path: Path) -> None:
    assert one_of(tmp_path / "t.parquet", Split(), 10)["train"] == list(range(10))


def long(path: Path, sizes: dict[str, int], *, order: np.ndarray[Any, Any] | None = None) -> Path:
    """A long table: an instrument's k-th reading shows k, and was taken then."""
    frame = pl.DataFrame(
        {
            "name": [name for name, n in sizes.items() for _ in range(n)],
            "x": [float(k) for n in sizes.values() for k in range(n)],
        }
    ).with_columns(y=pl.col("x"), t=pl.col("x"))
    frame = frame if order is None else frame[order]
    frame.write_csv(path) if path.suffix == ".csv" else frame.write_parquet(path)
    return path


SIZES = {"a": 30, "b": 50, "c": 7, "d": 3, "e": 1}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize("missing", ["error", "drop"])
def test_each_instrument_of_a_long_table_gives_its_share(
    suffix: str, timed: bool, missing: Any, tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    order = random.permutation(sum(SIZES.values()))
    for number, rows in enumerate((None, order)):  # one log after the other, and mixed, both not in the order of time
        path = long(tmp_path / f"{number}{suffix}", SIZES, order=rows)
        table = Table(str(path), "x", "y", instrument="name", time="t" if timed else None, missing=missing)
        found = parts_of(table, Split(0.2, 0.1, seed=1, in_order=timed))
        for name, n in SIZES.items():
            val, test = (max(round(n * share), int(n >= 4)) for share in (0.2, 0.1))
            got = [found[part].get(name, []) for part in PARTS]
            assert [len(part) for part in got] == [n - val - test, val, test]
            assert sorted(chain.from_iterable(got)) == list(range(n))
            if timed:  # the end of its own log, in time
                assert list(chain.from_iterable(got)) == list(range(n))
        again = Table(str(path), "x", "y", instrument="name", time="t" if timed else None, missing=missing)
        assert found == parts_of(again, Split(0.2, 0.1, seed=1, in_order=timed))


@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
def test_each_column_of_a_wide_table_gives_its_share(timed: bool, backwards: bool, tmp_path: Path) -> None:
    n = 40
    frame = pl.DataFrame({"t": np.arange(n), "y": np.arange(n)}).with_columns(
        probe_a=pl.col("t") * 1.0,
        probe_b=pl.when(pl.col("t") < 30).then(pl.col("t") * 1.0),  # which ends early
        probe_c=pl.when(pl.col("t") % 2 == 0).then(pl.col("t") * 1.0),
    )
    (frame.reverse() if backwards else frame).write_csv(tmp_path / "wide.csv")
    table = Table(str(tmp_path / "wide.csv"), "probe_*", "y", time="t" if timed else None, missing="drop")
    found = parts_of(table, Split(0.2, in_order=timed))
    for name, shown in (("probe_a", [*range(40)]), ("probe_b", [*range(30)]), ("probe_c", [*range(0, 40, 2)])):
        train, val = found["train"][name], found["val"][name]
        assert len(val) == round(0.2 * len(shown))
        assert sorted(train + val) == shown
        if timed:
            assert train + val == shown
    assert found["test"] == {}
    assert table.dropped == 10 + 20


def test_a_wide_table_without_gaps_gives_its_share(tmp_path: Path) -> None:
    pl.DataFrame({name: np.arange(30.0) for name in ("y", "p_a", "p_b")}).write_parquet(tmp_path / "t.parquet")
    for split in (Split(0.2), Split(0.2, in_order=True)):
        found = parts_of(Table(str(tmp_path / "t.parquet"), "p_*", "y", time="y"), split)
        assert [len(found["val"][name]) for name in ("p_a", "p_b")] == [6, 6]
        assert [len(found["train"][name]) for name in ("p_a", "p_b")] == [24, 24]


def test_instruments_of_one_size_hold_out_other_places(tmp_path: Path) -> None:
    path = long(tmp_path / "t.parquet", {f"sensor {k}": 10 for k in range(300)})
    found = parts_of(Table(str(path), "x", "y", instrument="name"), Split(0.2))
    times = np.bincount(np.concatenate([np.array(x, int) for x in found["val"].values()]), minlength=10)
    # 600 held-out readings fall on ten places by lot: 60 each, with a standard deviation of √(300 · 0.2 · 0.8) = 6.9
    assert np.abs(times - 60).max() < 4.5 * 6.9


def test_the_share_does_not_depend_on_which_index_an_instrument_has(tmp_path: Path) -> None:
    path = long(tmp_path / "t.csv", SIZES)
    tables = [Table(str(path), "x", "y", instrument="name") for _ in range(2)]
    tables[1]._wanted.labels.codes(pl.Series(["e", "d", "c"]))  # met first, as by a faster thread
    assert parts_of(tables[0], Split(0.3)) == parts_of(tables[1], Split(0.3))
    assert tables[0].instruments() != tables[1].instruments()


@given(n=st.integers(1, 3000), seed=st.integers(0, 2**40))
@settings(max_examples=50, deadline=None)
def test_an_order_by_lot_has_each_place_once(n: int, seed: int) -> None:
    found = shuffled(np.arange(n), np.full(n, n), np.broadcast_to(mixed(np.zeros(1, np.int64), seed), n))
    assert sorted(found.tolist()) == list(range(n))


@pytest.mark.parametrize("n", [2, 3, 5, 10, 33])
def test_all_orders_by_lot_are_as_likely(n: int) -> None:
    orders = 20_000
    keys = mixed(np.repeat(np.arange(orders), n), 12)
    found = shuffled(np.tile(np.arange(n), orders), np.full(n * orders, n), keys).reshape(orders, n)
    counts = np.array([np.bincount(found[:, place], minlength=n) for place in range(n)])
    squared = ((counts - orders / n) ** 2 / (orders / n)).sum() * (n - 1) / n  # rows and columns both sum up
    # of a fair draw chi-squared with (n − 1)² degrees of freedom; 10⁻⁹ would be seen once in a billion seeds
    assert stats.chi2.sf(squared, (n - 1) ** 2) > 1e-9
    last = found >= n - 2
    both = last.T.astype(float) @ last / orders
    together = both[~np.eye(n, dtype=bool)]
    expected = 2 / (n * (n - 1))
    assert np.abs(together - expected).max() <= 6 * np.sqrt(expected * (1 - expected) / orders)


def test_one_reading_at_least_is_held_out_of_four_and_none_without_a_share() -> None:
    n = np.array([0, 1, 2, 3, 4, 5, 10, 1000])
    assert held_out(n, 0.01).tolist() == [0, 0, 0, 0, 1, 1, 1, 10]
    assert held_out(n, 0.5).tolist() == [0, 0, 1, 2, 2, 2, 5, 500]
    assert held_out(n, 0.0).tolist() == [0] * 8


def test_processes_that_cut_their_blocks_elsewhere_deal_each_reading_once(tmp_path: Path) -> None:
    n = 1000
    pl.DataFrame({"x": np.arange(n), "y": np.arange(n)}).write_parquet(tmp_path / "t.parquet")
    (whole,) = Table(str(tmp_path / "t.parquet"), "x", "y").blocks()
    dealt_out = []
    for rank, size in enumerate((1000, 77, 1)):
        blocks = (whole.take(np.arange(at, min(at + size, n))) for at in range(0, n, size))
        dealt_out += [x for block in dealt(blocks, rank, 3) for x in block.indication.tolist()]
    assert sorted(dealt_out) == list(range(n))

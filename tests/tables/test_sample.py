"""The bounded sample of a stream of readings."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from thermofit_pl.tables.sample import Sample
from thermofit_pl.tables.table import Block

FloatArray = NDArray[np.float64]


def block(x: FloatArray, y: FloatArray, first: int = 2, file: str = "log.csv") -> Block:
    return Block(x, y, None, Path(file), range(first, first + len(x)))


def filled(size: int, seed: int, readings: int = 40_000, batch: int = 1000) -> Sample:
    sample = Sample(size=size, seed=seed)
    for start in range(0, readings, batch):
        x = np.arange(start, start + batch, dtype=np.float64)
        sample.add(block(x, -x, first=start + 2, file=f"part {start // batch}.csv"))
    return sample


def test_a_sample_keeps_all_of_few_and_a_bounded_part_of_many() -> None:
    assert len(filled(40_000, 0)) == 40_000
    sizes = [len(filled(2000, seed)) for seed in range(10)]
    assert max(sizes) <= 2000
    assert min(sizes) > 800  # halved each time that it is more
    assert Sample().column("indication").shape == (0,)


def test_a_sample_is_the_same_for_a_seed() -> None:
    one, same, other = (filled(2000, seed).column("indication") for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one[: len(other)], other[: len(one)])


def test_every_reading_is_kept_alike() -> None:
    kept = np.concatenate([filled(2000, seed).column("indication") for seed in range(60)])
    counts, _ = np.histogram(kept, bins=20, range=(0, 40_000))
    assert stats.chisquare(counts).pvalue > 1e-3
    assert stats.chisquare(np.bincount(kept.astype(int) % 10)).pvalue > 1e-3
    assert len(np.unique(filled(2000, 5).column("indication"))) == len(filled(2000, 5))


def test_a_kept_reading_knows_its_file_and_row() -> None:
    sample = filled(2000, 3)
    x, y = sample.column("indication"), sample.column("reference")
    np.testing.assert_array_equal(x, -y)
    files, rows = sample.places(np.array([0, 7, len(x) // 2, len(x) - 1]))
    chosen = x[[0, 7, len(x) // 2, len(x) - 1]].astype(int)
    assert files == [f"part {position // 1000}.csv" for position in chosen]
    assert rows.tolist() == [position + 2 for position in chosen]

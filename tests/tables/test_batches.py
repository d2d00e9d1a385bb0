"""All rows come, or a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from made import NOTEBOOK, calibration

from thermofit_pl.apply.apply import apply
from thermofit_pl.errors import InputError
from thermofit_pl.tables.table import Table

N = 300_000  # several pieces


@pytest.fixture
def ends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Polars as it is where one of its threads panics: it ends before the last piece, without an error."""
    collect = pl.LazyFrame.collect_batches

    def early(self: pl.LazyFrame, **options: Any) -> Iterator[pl.DataFrame]:
        yield from list(collect(self, **options))[:-1]

    monkeypatch.setattr(pl.LazyFrame, "collect_batches", early)


@pytest.fixture(params=["csv", "parquet", "arrow"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"a.{request.param}"
    frame = pl.DataFrame({"t_u": pl.int_range(N, eager=True) / 1000, "t_c": 1.0})
    getattr(frame, {"csv": "write_csv", "parquet": "write_parquet", "arrow": "write_ipc"}[request.param])(path)
    return path


@pytest.mark.usefixtures("ends_early")
def test_rows_that_do_not_come_are_missed(table: Path) -> None:
    message = r"expected 300 000 rows, but \d[\d ]* could be read; the file is damaged"
    with pytest.raises(InputError, match=message):
        apply(calibration(*NOTEBOOK), str(table), output=str(table.with_name("out.csv")))
    assert not table.with_name("out.csv").exists()
    if table.suffix != ".csv":  # text is read by Polars a chunk at a time, without batches
        for time in (None, "t_u"):
            with pytest.raises(InputError, match=message):
                list(Table(str(table), "t_u", "t_c", time=time).blocks())


def test_all_rows_come(table: Path) -> None:
    apply(calibration(*NOTEBOOK), str(table), output=str(table.with_name("out.parquet")))
    assert pl.read_parquet(table.with_name("out.parquet")).height == N
    assert sum(len(block.rows) for block in Table(str(table), "t_u", "t_c", time="t_u").blocks()) == N


def test_a_path_that_goes_up(table: Path) -> None:
    (table.parent / "sub").mkdir()
    assert sum(len(block.rows) for block in Table(f"{table.parent}/sub/../{table.name}", "t_u").blocks()) == N

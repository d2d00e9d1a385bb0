"""The data module: splits, normalisation, and what the Trainer iterates over, against NumPy and Polars."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from made import NOTEBOOK
from numpy.typing import NDArray

from thermofit_pl.errors import InputError
from thermofit_pl.metrics.moments import Moments
from thermofit_pl.tables.split import PARTS
from thermofit_pl.training.datamodule import ReadingsDataModule
from thermofit_pl.training.loaders import Batches, Stream

N = 200


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Readings whose indications are all different, in no order, with a time."""
    random = np.random.default_rng(12345)
    x = random.permutation(np.arange(N) + 0.25)
    columns = {"shows": x, "true": 0.5 * x - 3 + random.standard_normal(N), "t": np.arange(N) * 10.0}
    path = tmp_path / "readings.parquet"
    pl.DataFrame(columns).write_parquet(path)
    return path


def prepared(path: Path, **options: Any) -> ReadingsDataModule:
    data = ReadingsDataModule(str(path), "shows", "true", **options)
    data.setup("fit")
    return data


def indications(data: ReadingsDataModule, part: str) -> NDArray[np.float64]:
    """The indications of a part, as validate and test read them."""
    stage = {"val": "validate", "test": "test"}[part]
    data.setup(stage)
    loader = data.val_dataloader() if part == "val" else data.test_dataloader()
    assert isinstance(loader, Stream)
    return np.concatenate([batch[0].numpy() for batch in loader])


def trained_on(data: ReadingsDataModule) -> NDArray[np.float64]:
    """The indications that mini-batches give, raw."""
    loader = data.train_dataloader()
    assert isinstance(loader, Batches)
    normalized = torch.cat([batch.features[:, 0] for batch in loader])
    return (normalized / data.normalization.scale[0, 0] + data.normalization.offset[0]).numpy()


def test_without_a_path_it_gives_the_notebooks_readings() -> None:
    data = ReadingsDataModule()
    data.setup("fit")
    moments: Moments = next(iter(data.train_dataloader()))  # type: ignore[assignment]
    x, y = np.array(NOTEBOOK[0]) * 0.1, np.array(NOTEBOOK[1])
    assert moments.count.item() == 11
    assert moments.feature_means[..., 0].item() == pytest.approx(x.mean(), rel=1e-14, abs=0)
    assert moments.factor[..., 3].item() == pytest.approx(11 * x.var(), rel=1e-13, abs=0)
    assert moments.mean_reference.item() == pytest.approx(y.mean(), rel=1e-14, abs=0)


def test_without_a_split_every_reading_trains_and_scores(table: Path) -> None:
    data = prepared(table, batch_size=7)
    everything = np.sort(pl.read_parquet(table)["shows"].to_numpy())
    np.testing.assert_allclose(np.sort(trained_on(data)), everything, rtol=1e-13)
    for part in PARTS[1:]:
        np.testing.assert_array_equal(np.sort(indications(data, part)), everything)
        assert "all readings" in data.source(part)


@pytest.mark.parametrize("seed", [0, 1])
def test_splits_are_disjoint_complete_and_seeded(table: Path, seed: int) -> None:
    options = {"val_fraction": 0.2, "test_fraction": 0.1, "seed": seed, "batch_size": 16}
    data, same, other = prepared(table, **options), prepared(table, **options), prepared(table, **options | {"seed": 9})
    train, val, test = trained_on(data), indications(data, "val"), indications(data, "test")
    assert (len(train), len(val), len(test)) == (140, 40, 20)
    everything = np.sort(pl.read_parquet(table)["shows"].to_numpy())
    np.testing.assert_allclose(np.sort(np.concatenate([train, val, test])), everything, rtol=1e-13)
    np.testing.assert_array_equal(indications(same, "val"), val)
    assert set(indications(other, "val")) != set(val)
    assert not (np.diff(np.sort(val)) == 1).all()  # no contiguous block
    assert [int(data.moments[part].count) for part in PARTS] == [140, 40, 20]


def test_the_statistics_are_the_training_readings_alone(table: Path) -> None:
    data = prepared(table, val_fraction=0.3, test_fraction=0.3, batch_size=16)
    train = trained_on(data)
    assert data.normalization.offset.item() == pytest.approx(train.mean(), rel=1e-12, abs=0)
    assert data.normalization.scale.item() == pytest.approx(1 / train.std(), rel=1e-12, abs=0)
    everything = pl.read_parquet(table)["shows"].to_numpy()
    assert abs(data.normalization.offset.item() - everything.mean()) > 1e-3
    mine = pl.read_parquet(table).filter(pl.col("shows").round(6).is_in(np.round(train, 6).tolist()))
    line = np.polyfit(mine["shows"].to_numpy(), mine["true"].to_numpy(), 1)
    np.testing.assert_allclose([data.line.w.item(), data.line.b.item()], line, rtol=1e-10)


def test_a_log_is_cut_into_contiguous_blocks_in_time_order(table: Path) -> None:
    data = prepared(table, time="t", val_fraction=0.2, test_fraction=0.1, batch_size=1000)
    in_order = pl.read_parquet(table).sort("t")["shows"].to_numpy()
    np.testing.assert_allclose(np.sort(trained_on(data)), np.sort(in_order[:140]), rtol=1e-13)
    np.testing.assert_array_equal(indications(data, "val"), in_order[140:180])
    np.testing.assert_array_equal(indications(data, "test"), in_order[180:])
    assert data.log is not None
    assert data.log.counts.tolist() == [140]


def test_held_out_tables_are_read_for_their_part(table: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("shows,true\n1.5,2\n2.5,3\n3.5,4\n")
    data = prepared(table, val_path=str(other))
    assert int(data.moments["train"].count) == N
    assert int(data.moments["val"].count) == 3
    assert data.moments["val"].mean_reference.item() == 3
    np.testing.assert_array_equal(indications(data, "val"), [1.5, 2.5, 3.5])
    assert data.source("val") == "the readings of other.csv"


@pytest.mark.parametrize("kind", ["path", "pandas", "polars", "lazy", "arrow", "dict"])
def test_readings_come_from_a_path_or_a_table_in_memory(kind: str, table: Path) -> None:
    frame = pl.read_parquet(table)
    made: dict[str, Any] = {
        "path": table,
        "pandas": pd.DataFrame(frame.to_dict()),
        "polars": frame,
        "lazy": frame.lazy(),
        "arrow": frame.to_arrow(),
        "dict": frame.to_dict(),
    }
    data = ReadingsDataModule(made[kind], "shows", "true", time="t", val_path=made[kind])
    data.setup("fit")
    expected = prepared(table, time="t", val_path=str(table))
    assert torch.equal(data.line.w, expected.line.w)
    assert torch.equal(data.moments["val"].moments, expected.moments["val"].moments)
    np.testing.assert_array_equal(indications(data, "val"), indications(expected, "val"))
    assert data.provenance().data_name == ("readings.parquet" if kind == "path" else None)
    assert len(data.provenance().data_sha256 or "") == 64
    named = "readings.parquet" if kind == "path" else "the table"
    assert data.source("train") == f"all readings of {named}, those that it was trained on too"


@pytest.mark.parametrize("rule", [0.1, "standard", "none"])
def test_normalisation_rules(table: Path, rule: Any) -> None:
    data = prepared(table, normalization=rule, batch_size=64)
    x = pl.read_parquet(table)["shows"].to_numpy()
    expected = {0.1: x * 0.1, "standard": (x - x.mean()) / x.std(), "none": x}[rule]
    loader = data.train_dataloader()
    assert isinstance(loader, Batches)
    found = torch.cat([batch.features[:, 0] for batch in loader]).numpy()
    np.testing.assert_allclose(np.sort(found), np.sort(expected), rtol=1e-11, atol=1e-14)
    data.batch_size = None
    moments: Moments = next(iter(data.train_dataloader()))  # type: ignore[assignment]
    assert moments.factor[..., 3].item() == pytest.approx(N * expected.var(), rel=1e-12, abs=0)
    lowest = moments.features(moments.lowest)
    assert lowest.item() == pytest.approx(expected.min(), rel=1e-12, abs=0)


def batches(**options: Any) -> Batches:
    x = torch.arange(10, dtype=torch.float64)
    return Batches(x[:, None], 2 * x, None, **{"batch_size": 4, "seed": 0} | options)


def order(loader: Batches, epoch: int) -> list[float]:
    loader.set_epoch(epoch)
    return [value for batch in loader for value in batch.features[:, 0].tolist()]


def test_mini_batches_are_shuffled_by_seed_and_epoch() -> None:
    one = order(batches(), 0)
    assert sorted(one) == list(range(10))
    assert one == order(batches(), 0)
    assert one != order(batches(), 1)
    assert one != order(batches(seed=1), 0)
    assert [len(batch.features) for batch in batches()] == [4, 4, 2]
    assert len(batches()) == 3
    assert all(torch.equal(batch.reference, 2 * batch.features[:, 0]) for batch in batches())


@pytest.mark.parametrize("world", [2, 3, 5])
def test_processes_share_every_batch_and_each_reading_counts_once(world: int) -> None:
    w, b = torch.tensor([[0.7]], dtype=torch.float64), torch.tensor([1.0], dtype=torch.float64)
    shares = [list(batches(share=(rank, world))) for rank in range(world)]
    for whole, *parts in zip(batches(), *shares, strict=True):
        assert torch.equal(torch.cat([part.features for part in parts]), whole.features)
        mean = sum(part.mse(w, b).item() for part in parts) / world  # as DDP averages gradients
        assert mean == pytest.approx(whole.mse(w, b).item(), rel=1e-14, abs=0)


def test_a_run_that_resumes_within_an_epoch_goes_on_with_the_next_batch() -> None:
    loader = batches()
    loader.set_epoch(2)
    seen = iter(loader)
    next(seen)
    resumed = batches()
    resumed.load_state_dict(loader.state_dict())
    resumed.set_epoch(2)
    assert [batch.features.tolist() for batch in resumed] == [batch.features.tolist() for batch in seen]
    assert len(list(resumed)) == 3  # once


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"normalization": 0.0}, "normalization: expected a positive factor, 'standard' or 'none', but got 0.0"),
        ({"batch_size": 0}, "batch_size: expected a whole number from 1, or null, but got 0"),
        ({"val_fraction": 1.0}, "val_fraction: expected a number from 0 to less than 1, but got 1.0"),
        ({"test_fraction": -0.1}, "test_fraction: expected a number from 0 to less than 1, but got -0.1"),
        ({"val_fraction": 0.5, "test_fraction": 0.5}, "expected a sum below 1"),
        ({"val_fraction": 0.5, "val_path": "x.csv"}, "expected one of them, but got both"),
        ({"seed": -1}, "seed: expected a whole number from 0, but got -1"),
        ({"path": "x.csv"}, "indication: expected the name of a column"),
    ],
)
def test_options_without_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ReadingsDataModule(**options)


@pytest.mark.parametrize(
    ("rows", "message"),
    [("20,1\n", "expected at least two readings"), ("0.1,1\n0.1,2\n0.1,3\n", "indications that differ, but all 3")],
)
def test_readings_without_a_line_are_refused(rows: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "few.csv"
    path.write_text("shows,true\n" + rows)
    with pytest.raises(InputError, match=message):
        prepared(path)


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("timed", [False, True])
def test_a_held_out_share_of_a_fleet_is_of_every_instrument(wide: bool, timed: bool, tmp_path: Path) -> None:
    n = 30
    frame = pl.DataFrame({"t": np.arange(n) * 60.0, "true": np.arange(n) * 1.0})
    frame = frame.with_columns(p_a=pl.col("true") * 2, p_b=pl.col("true") * 3 + 1)
    if not wide:
        frame = frame.unpivot(on=["p_a", "p_b"], index=["t", "true"], variable_name="name", value_name="shows")
    frame.write_parquet(tmp_path / "fleet.parquet")
    by = {"indication": "p_*"} if wide else {"indication": "shows", "instrument": "name"}
    options = by | {"reference": "true", "val_fraction": 0.2} | ({"time": "t"} if timed else {})
    data = ReadingsDataModule(str(tmp_path / "fleet.parquet"), **options)  # type: ignore[arg-type]
    data.setup("fit")
    assert data.instruments == ["p_a", "p_b"]
    assert [data.moments[part].count.tolist() for part in PARTS] == [[24, 24], [6, 6], [0, 0]]
    if timed:
        assert data.moments["val"].mean_reference.tolist() == [26.5, 26.5]  # of 24 to 29
    data.setup("validate")
    loader = data.val_dataloader()
    assert isinstance(loader, Stream)
    scored = np.sort(np.concatenate([batch[1].numpy() for batch in loader]))
    assert len(scored) == 12
    assert scored.sum() == pytest.approx(6 * data.moments["val"].mean_reference.sum().item(), rel=1e-14)


@pytest.mark.parametrize("wide", [False, True])
def test_a_table_of_held_out_readings_is_of_the_instruments_that_it_names(wide: bool, tmp_path: Path) -> None:
    of = {"c": 3, "a": 1, "z": 6}  # another order, and one without training readings
    train = pl.DataFrame(
        [(n, x, x * k) for n, k in (("a", 1.0), ("b", 2.0), ("c", 3.0)) for x in range(5)], orient="row"
    )
    train.columns = ["name", "shows", "true"]
    val = pl.DataFrame({"name": np.repeat(list(of), 3), "shows": [1.0, 2.0, 3.0] * 3})
    val = val.with_columns(true=pl.col("name").replace_strict(of, return_dtype=pl.Float64))
    if wide:
        train = train.with_columns(true=pl.col("shows") * 1.0).pivot("name", index="true", values="shows")
        val = val.with_columns(true=pl.col("shows")).pivot("name", index="true", values="shows").drop("z")
        train, val = (each.rename({n: f"p_{n}" for n in each.columns if n != "true"}) for each in (train, val))
    train.write_csv(tmp_path / "train.csv")
    val.write_csv(tmp_path / "val.csv")
    by: dict[str, Any] = {"indication": "p_*"} if wide else {"indication": "shows", "instrument": "name"}
    data = ReadingsDataModule(str(tmp_path / "train.csv"), reference="true", val_path=str(tmp_path / "val.csv"), **by)
    data.setup("fit")
    assert data.instruments is not None
    assert [name[-1] for name in data.instruments] == ["a", "b", "c"]
    assert data.moments["val"].count.tolist() == [3, 0, 3]
    if not wide:
        assert data.moments["val"].mean_reference.tolist() == [1, 0, 3]

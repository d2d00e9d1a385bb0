"""The calibrations' file: what was altered, doubled, forged or blown up is refused with a sentence."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import thermofit_pl
from thermofit_pl.__main__ import main
from thermofit_pl.calibration.calibrations import Calibrations, load
from thermofit_pl.calibration.parquet_file import FORMAT, KEY, checksum, plain
from thermofit_pl.errors import InputError
from thermofit_pl.tables.parquet_footer import chunks_of, unpacked_bytes

Frame = pl.DataFrame


@pytest.fixture(scope="module")
def fleet() -> Calibrations:
    random = np.random.default_rng(4)
    x, names = random.uniform(0, 100, 60), np.repeat(["a", "b", "c"], 20)
    y = 0.5 * x - 17 + random.normal(0, 0.2, 60)
    return thermofit_pl.fit(np.append(x, 1.0), np.append(y, 1.0), np.append(names, "one"))


def written(path: Path, frame: Frame, provenance: dict[str, Any], kept: str) -> Path:
    """Writes a frame as somebody else would, with a checksum."""
    text = json.dumps({"format": FORMAT, **plain(provenance), "checksum": kept})
    frame.write_parquet(path, metadata={KEY: text})
    return path


def set_first(name: str, value: Any) -> Any:
    return lambda frame: frame.with_columns(
        pl.when(pl.int_range(frame.height) == 0).then(pl.lit(value, frame.schema[name])).otherwise(name).alias(name)
    )


ALTERED: list[tuple[Any, str]] = [
    (lambda frame: pl.concat([frame, frame]), "'a' has more than one row"),
    (set_first("w", float("nan")), "of 'a' w is nan, not a finite number"),
    (set_first("s", float("inf")), "of 'a' s is inf, not a finite number"),
    (set_first("s", -0.1), "of 'a' s is -0.1, below zero"),
    (set_first("w", 0.7), "of 'a' w isn't inside w_interval"),
    (set_first("u_b", 9.0), "of 'a' u_b doesn't go with u_pivot, u_w and pivot"),
    (set_first("dof", 3), "of 'a' dof is 3, which doesn't go with n = 20"),
    (set_first("rmse", None), "'a' has a w, but no rmse"),
    (set_first("n", None), "of 'a' n is None, not a whole number"),
    (set_first("indication_range", [90.0, 1.0]), "of 'a' indication_range is reversed"),
    (set_first("status", "ok\x1b[2J"), "which holds control characters"),
    (set_first("instrument", None), "instrument is None, not a text"),
    (lambda frame: frame.with_columns(pl.col("w").cast(pl.Float32)), "w is a column of Float32, not a number"),
    (lambda frame: frame.with_columns(pl.lit("x").alias("sgd")), "sgd is a column of String, not what"),
    (
        lambda frame: frame.with_columns(pl.col("scale").struct.with_fields(nearest=pl.lit("plato"))),
        "a scale is 'plato', none that this version knows",
    ),
]


@pytest.mark.parametrize(("alter", "sentence"), ALTERED)
def test_what_no_fit_gives_is_neither_loaded_whatever_the_checksum_nor_saved(
    alter: Any, sentence: str, fleet: Calibrations, tmp_path: Path
) -> None:
    frame, path = alter(fleet.frame), tmp_path / "calibrations.parquet"
    written(path, frame, fleet.provenance, checksum(frame, fleet.provenance))
    with pytest.raises(InputError, match=r"Expected calibrations in .*" + re.escape(sentence)) as caught:
        load(path)
    assert str(caught.value).isprintable()
    path.unlink()
    with pytest.raises(InputError, match="Expected calibrations that can be saved, but .*" + re.escape(sentence)):
        Calibrations(frame, fleet.provenance).save(path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["w", "b", "s", "indication_mean", "indication_range", "coverage_factor", "n"])
def test_a_value_altered_in_its_last_digit_is_found(name: str, fleet: Calibrations, tmp_path: Path) -> None:
    value = pl.col(name).arr.eval(pl.element() * (1 + 1e-15)) if name == "indication_range" else pl.col(name)
    frame = fleet.frame.with_columns(
        value if name == "indication_range" else value + 1 if name == "n" else value * (1 + 1e-15)
    )
    assert not frame.equals(fleet.frame)
    path = written(tmp_path / "c.parquet", frame, fleet.provenance, checksum(fleet.frame, fleet.provenance))
    with pytest.raises(InputError, match="don't match its checksum: it was altered"):
        load(path)


def test_altered_provenance_swapped_names_and_rows_are_found(fleet: Calibrations, tmp_path: Path) -> None:
    kept = checksum(fleet.frame, fleet.provenance)
    swapped = fleet.frame.with_columns(instrument=pl.Series(["b", "a", "c", "one"]))
    for frame, provenance in (
        (fleet.frame, fleet.provenance | {"data_name": "other.csv"}),
        (swapped, fleet.provenance),
        (fleet.frame.reverse(), fleet.provenance),
        (fleet.frame.head(2), fleet.provenance),
    ):
        with pytest.raises(InputError, match="don't match its checksum"):
            load(written(tmp_path / "c.parquet", frame, provenance, kept))
    with pytest.raises(InputError, match="the column note is unknown"):
        load(written(tmp_path / "c.parquet", fleet.frame.with_columns(note=1), fleet.provenance, kept))
    with pytest.raises(InputError, match=r"coverage_probability is 95\.0, not between 0 and 1"):
        Calibrations(fleet.frame, fleet.provenance | {"coverage_probability": 95.0}).save(tmp_path / "d.parquet")


def test_the_checksum_is_of_the_values_however_they_are_encoded(fleet: Calibrations, tmp_path: Path) -> None:
    fleet.save(tmp_path / "c.parquet")
    table = pq.read_table(tmp_path / "c.parquet")
    table = table.replace_schema_metadata({KEY: pl.read_parquet_metadata(tmp_path / "c.parquet")[KEY]})
    pq.write_table(table, tmp_path / "d.parquet", compression="gzip", row_group_size=2)
    found = load(tmp_path / "d.parquet")
    assert isinstance(found, Calibrations)
    assert found.frame.equals(fleet.frame)


def test_a_small_file_that_unpacks_to_gigabytes_is_not_unpacked(
    fleet: Calibrations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c.parquet"
    fleet.save(path)
    table = pq.read_table(path)
    frames = []
    for text in ("x" * 30_000_000, "y" * 30_000_000):
        status = pa.array([text] * table.num_rows, pa.large_string())
        frames.append(table.set_column(1, "status", status))
    blown = pa.concat_tables(frames * 3)
    pq.write_table(blown, path, compression="zstd", use_dictionary=False)
    assert path.stat().st_size < 1_000_000
    assert unpacked_bytes(chunks_of(path)) > 600_000_000
    monkeypatch.setattr(pl, "read_parquet", lambda *_, **__: pytest.fail("it was unpacked"))
    with pytest.raises(InputError, match=r"bytes would take 7.* in memory, which no calibrations do"):
        load(path)


def test_a_footer_says_what_pyarrow_says(fleet: Calibrations, tmp_path: Path) -> None:
    path = tmp_path / "c.parquet"
    fleet.save(path)
    table = pq.read_table(path)
    for size in (1, 3, 100):
        pq.write_table(table, path, row_group_size=size)
        found = pq.read_metadata(path)
        chunks = [found.row_group(g).column(c) for g in range(found.num_row_groups) for c in range(found.num_columns)]
        assert unpacked_bytes(chunks_of(path)) == sum(
            max(each.total_uncompressed_size, 8 * each.num_values) for each in chunks
        )


def test_a_damaged_footer_is_refused(fleet: Calibrations, tmp_path: Path) -> None:
    path, random = tmp_path / "c.parquet", np.random.default_rng(0)
    fleet.save(path)
    whole = path.read_bytes()
    length = int.from_bytes(whole[-8:-4], "little")
    for _ in range(300):
        content = bytearray(whole)
        for at in random.integers(len(whole) - 8 - length, len(whole), 3):
            content[at] = random.integers(256)
        path.write_bytes(content)
        try:
            assert unpacked_bytes(chunks_of(path)) >= 0
        except ValueError as error:
            assert "footer" in str(error)  # noqa: PT017  # some alter what isn't looked at


@pytest.mark.parametrize("keep", [0, 4, 11, 500])
def test_a_file_that_is_cut_is_refused(keep: int, fleet: Calibrations, tmp_path: Path) -> None:
    path = tmp_path / "calibrations.parquet"
    fleet.save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="Expected calibrations in"):
        Calibrations.load(path)


def test_apply_takes_no_doubled_rows(
    fleet: Calibrations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    doubled = pl.concat([fleet.frame, fleet.frame])
    written(Path("c.parquet"), doubled, fleet.provenance, checksum(fleet.frame, fleet.provenance))
    Path("new.csv").write_text("name,x\na,5\nb,6\n")
    options = ["--indication", "x", "--instrument", "name", "--output", "out.csv"]
    assert main(["apply", "c.parquet", "new.csv", *options]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "Expected calibrations in c.parquet" in said
    assert not Path("out.csv").exists()

"""Names become codes: against a dictionary, however many there are and in whatever pieces they come."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermofit_pl.tables import labels
from thermofit_pl.tables.labels import Labels
from thermofit_pl.tables.table import Table


@given(
    st.lists(
        st.lists(st.sampled_from(["a", "b", "", None, "ä", "10", "9", "a ", " \tä", "  "]), max_size=20), max_size=5
    )
)
def test_codes_are_those_of_a_dictionary(pieces: list[list[str | None]]) -> None:
    found, expected = Labels(), dict[str, int]()
    for piece in pieces:
        codes = found.codes(pl.Series(piece, dtype=pl.String))
        names = [name and name.strip() for name in piece]  # blanks around a name are no part of it
        for name in names:
            if name:
                expected.setdefault(name, len(expected))
        wanted = [expected[name] if name else np.nan for name in names]
        np.testing.assert_array_equal(codes, np.array(wanted, dtype=float))
    assert found.names() == list(expected)


def test_whole_numbers_are_names() -> None:
    found = Labels()
    assert found.codes(pl.Series([30, 4, 30])).tolist() == [0, 1, 0]
    assert found.names() == ["30", "4"]


@pytest.mark.parametrize("slots", [1, labels.FIRST_SLOTS])
def test_many_names_keep_their_codes(slots: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "FIRST_SLOTS", slots)  # with few, the levels are made anew again and again
    random, found = np.random.default_rng(0), Labels()
    names = np.array([f"sensor-{index}" for index in range(20_000)])
    for _ in range(8):
        drawn = names[random.integers(0, len(names), 5_000)]
        codes = found.codes(pl.Series(drawn)).astype(int)
        assert (np.array(found.names())[codes] == drawn).all()
    assert len(set(found.names())) == len(found)


def test_names_that_meet_in_every_level_get_more_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "LEVELS", 1)
    found, names = Labels(), pl.Series([f"sensor-{index}" for index in range(300)])
    assert found.codes(names).tolist() == list(range(300))
    assert found.codes(names.reverse()).tolist() == list(range(300))[::-1]


NUMBERS = st.integers(-40, 40) | st.sampled_from([-(1 << 63), (1 << 63) - 1, 10**12, 10**12 + 1]) | st.none()


@given(st.lists(st.tuples(st.booleans(), st.lists(NUMBERS, max_size=20)), max_size=6))
def test_whole_numbers_and_their_text_are_one_name(pieces: list[tuple[bool, list[int | None]]]) -> None:
    found, expected = Labels(), dict[int, int]()
    for as_text, piece in pieces:
        cells = pl.Series(piece, dtype=pl.Int64)
        codes = found.codes(cells.cast(pl.String) if as_text else cells)
        for number in piece:
            if number is not None:
                expected.setdefault(number, len(expected))
        wanted = [np.nan if number is None else expected[number] for number in piece]
        np.testing.assert_array_equal(codes, np.array(wanted, dtype=float))
    assert found.names() == [str(number) for number in expected]


@pytest.mark.parametrize("most", [1 << 6, labels.MOST_WHOLE])
def test_many_whole_numbers_keep_their_codes(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "MOST_WHOLE", most)  # with few, they are looked up as text
    random, found = np.random.default_rng(0), Labels()
    for _ in range(8):
        drawn = random.integers(-10_000, 10_000, 5_000)
        codes = found.codes(pl.Series(drawn)).astype(int)
        assert (np.array(found.names()).astype(int)[codes] == drawn).all()
    assert len(set(found.names())) == len(found)


def test_unsigned_numbers_beyond_int64_are_names() -> None:
    cells = pl.Series([2**64 - 1, 5, 2**64 - 1], dtype=pl.UInt64)
    found = Labels()
    assert found.codes(cells).tolist() == [0, 1, 0]
    assert found.names() == [str(2**64 - 1), "5"]


def test_a_folder_names_an_instrument_by_a_whole_number_and_by_its_text(tmp_path: Path) -> None:
    numbers = pl.DataFrame({"node": [7, None, 12], "x": [1.0, 2.0, 3.0], "y": [1.0, 2.0, 3.0]})
    numbers.with_columns(pl.col("node").cast(pl.UInt16)).write_parquet(tmp_path / "1.parquet")
    numbers.with_columns(node=pl.Series(["12", "north", " 7"])).write_parquet(tmp_path / "2.parquet")
    table = Table(str(tmp_path), "x", "y", instrument="node", missing="drop")
    codes = [block.codes().tolist() for block in table.blocks()]
    assert table.dropped == 1
    assert [[(table.instruments() or [])[code] for code in some] for some in codes] == [
        ["7", "12"],
        ["12", "north", "7"],
    ]

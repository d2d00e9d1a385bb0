"""Names become codes: against a dictionary, however many there are and in whatever pieces they come."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermofit_pl.tables import labels
from thermofit_pl.tables.labels import Labels


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


@pytest.mark.parametrize("slots", [1 << 6, labels.MOST_SLOTS])
def test_many_names_keep_their_codes(slots: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "MOST_SLOTS", slots)  # with few slots, nearly all are looked up the slow way
    random, found = np.random.default_rng(0), Labels()
    names = np.array([f"sensor-{index}" for index in range(20_000)])
    for _ in range(8):
        drawn = names[random.integers(0, len(names), 5_000)]
        codes = found.codes(pl.Series(drawn)).astype(int)
        assert (np.array(found.names())[codes] == drawn).all()
    assert len(set(found.names())) == len(found)

"""Names are what the file says, in whatever bytes it says them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from made import NOTEBOOK, calibration

from thermofit_pl.apply.apply import apply
from thermofit_pl.errors import InputError
from thermofit_pl.tables import headers
from thermofit_pl.tables.table import Table

NAMES = ["Küche", "Käche", "Bad", "€uro “x”", "Küche"]


def read(path: Path) -> list[str]:
    """The instrument of each reading."""
    table = Table(str(path), "shown", "true", instrument="room")
    codes = [code for block in table.blocks() for code in block.instrument.tolist()]  # type: ignore[union-attr]
    names = table.instruments()
    assert names is not None
    return [names[code] for code in codes]


def text_of(names: list[str]) -> str:
    return "room,shown,true\n" + "".join(f"{name},{row},{row}\n" for row, name in enumerate(names))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_names_in_either_encoding(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.csv").write_bytes(text_of(NAMES).encode(encoding))
    assert read(tmp_path / "a.csv") == NAMES


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (text_of(["Bad"] * 30).encode() + "Küche,1,2\n".encode("cp1252"), r"row 32: expected text in UTF-8, as else"),
        (text_of(["Küche"] * 3).encode() + b"K\xe4che,1,2\n", r"row 5: expected text in UTF-8, .* byte 0xE4"),
        (
            text_of(["Küche"] * 30).encode() + b"K\xe4che,1,2\n",
            r"row 32: .* byte 0xE4, .* save the whole table as UTF-8",
        ),
        (text_of(["Küche", "\x81"]).encode("latin-1"), r"row 3: expected text in UTF-8 or Windows-1252, .* 0x81"),
        (b"\x9d,shown,true\na,1,2\n", r"row 1: expected text in UTF-8 or Windows-1252, .* 0x9D"),
    ],
)
def test_text_that_is_in_no_encoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, message: str
) -> None:
    for module in ("headers", "formats"):
        monkeypatch.setattr(f"thermofit_pl.tables.{module}.HEADER_BYTES", 200)  # beyond, the encoding is settled
    assert headers.HEADER_BYTES < 240
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read(path)
    with pytest.raises(InputError, match=message):
        apply(calibration(*NOTEBOOK), str(path), indication="shown", output=str(tmp_path / "out.csv"))


def test_bytes_of_a_column_that_is_not_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"shown,true,note\n" + b"1,2,ok\n" * 200_000 + b"3,4,\xb0\n")
    with pytest.raises(InputError, match=r"row 200002: expected text in UTF-8"):
        list(Table(str(tmp_path / "a.csv"), "shown", "true").blocks())


@pytest.mark.parametrize("kind", ["csv", "parquet", "arrow"])
def test_blanks_around_a_name_are_no_part_of_it(tmp_path: Path, kind: str) -> None:
    names = ["north   ", "south", " north", "   ", "north", "south\t"]
    frame = pl.DataFrame({"room": names, "shown": [1.0] * 6, "true": [2.0] * 6})
    path = tmp_path / f"a.{kind}"
    getattr(frame, {"csv": "write_csv", "parquet": "write_parquet", "arrow": "write_ipc"}[kind])(path)
    table = Table(str(path), "shown", "true", instrument="room", missing="drop")
    codes = [code for block in table.blocks() for code in block.instrument.tolist()]  # type: ignore[union-attr]
    assert (codes, table.instruments()) == ([0, 1, 0, 0, 1], ["north", "south"])

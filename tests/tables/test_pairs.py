"""Two logs become pairs, beside pandas' as-of merge and statsmodels' least squares."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import statsmodels.api as sm

from thermofit_pl.errors import InputError
from thermofit_pl.tables.options import PairOptions, TableOptions, seconds
from thermofit_pl.tables.pairs import PairedTable

Write = Callable[[str, str], str]
BLOCKS = "time_a,shown,time_b,ref\n" + "".join(
    f"2025-05-04T10:{50 + s // 6:02}:{s % 6}2,{15.3 + s / 60 + 0.03 * (-1) ** s:.2f},"
    + (f"2025-05-04T10:{50 + s:02}:02,{15 + s / 10:.2f}\n" if s < 10 else ",\n")
    for s in range(59)
)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file and returns its path."""

    def write_file(name: str, content: str) -> str:
        (tmp_path / name).write_text(content)
        return str(tmp_path / name)

    return write_file


def pairs_of(table: PairedTable, **kwargs: Any) -> list[tuple[float, float, int, int]]:
    found: list[tuple[float, float, int, int]] = []
    for block in table.blocks(**kwargs):
        assert block.reference is not None
        found += list(
            zip(block.indication, block.reference, map(int, block.rows), map(int, block.codes()), strict=True)
        )
    return found


def test_two_blocks_in_one_table(write: Write) -> None:
    path = write("log.csv", BLOCKS)
    made = PairedTable(path, "shown", "ref", time="time_a", pair=PairOptions(time="time_b"))
    frame = pd.read_csv(path, parse_dates=["time_a", "time_b"])
    expected = pd.merge_asof(
        frame[["time_b", "ref"]].dropna(), frame[["time_a", "shown"]], left_on="time_b", right_on="time_a",
        direction="nearest", tolerance=pd.Timedelta("30s"),
    )  # fmt: skip
    found = pairs_of(made)
    assert [(x, y) for x, y, _, _ in found] == list(zip(expected["shown"], expected["ref"], strict=True))
    assert [row for _, _, row, _ in found] == [2 + 6 * k for k in range(10)]
    assert made.counts().tolist() == [10]
    assert made.left_out == (
        "10 pairs of 59 rows of 'shown' in log.csv and 10 rows of 'ref' in log.csv: each reading of the reference with "
        "the nearest indication, no more than 30 s apart, half the median interval of the slower log."
    )
    shares = [pairs_of(made, share=(rank, 3)) for rank in range(3)]
    assert [pair for share in shares for pair in share] == found


@pytest.mark.parametrize("how", ["nearest", "last"])
@pytest.mark.parametrize("shift", [0, 7.5, -3])
def test_pairs_are_those_of_pandas(tmp_path: Path, how: str, shift: float) -> None:
    rng = np.random.default_rng(3)
    a, b = np.sort(rng.uniform(0, 1000, 300)), np.sort(rng.uniform(0, 1000, 90))
    x, y = rng.normal(size=300), rng.normal(size=90)
    pl.DataFrame({"time": a, "shown": x}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"at": b, "ref": y}).sample(fraction=1, shuffle=True, seed=1).write_csv(tmp_path / "b.csv")
    made = PairedTable(
        str(tmp_path / "a.parquet"), "shown", "ref", time="time",
        pair=PairOptions(str(tmp_path / "b.csv"), "at", how, "2s", shift),  # type: ignore[arg-type]
    )  # fmt: skip
    expected = pd.merge_asof(
        pd.DataFrame({"time": b + shift, "ref": y}), pd.DataFrame({"time": a, "shown": x}), on="time",
        direction="nearest" if how == "nearest" else "backward", tolerance=2.0,
    ).dropna()  # fmt: skip
    assert [(x, y) for x, y, _, _ in pairs_of(made)] == list(zip(expected["shown"], expected["ref"], strict=True))


LONG = (
    "entity_id,state,last_changed\n"
    "light.hall,on,2026-03-02T08:00:00.000Z\nsensor.probe,20.5,2026-03-02T08:00:00.500Z\n"
    "sensor.standard,20.0,2026-03-02T08:00:10.000Z\nsensor.probe,unavailable,2026-03-02T08:01:00.000Z\n"
    "sensor.standard,21.0,2026-03-02T08:01:10.000Z\nsensor.probe,22.5,2026-03-02T08:02:00.000Z\n"
    "sensor.standard,22.0,2026-03-02T08:02:10.000Z\nsun.sun,below_horizon,never\n"
)


def test_a_long_table_of_changes(write: Write) -> None:
    def long(**kwargs: Any) -> PairedTable:
        return PairedTable(
            write("history.csv", LONG), "sensor.probe", "sensor.standard", time="last_changed", entity="entity_id",
            value="state", pair=PairOptions(how="last"), **kwargs,
        )  # fmt: skip

    with pytest.raises(InputError, match=r"history.csv, row 5: expected a number in column 'state', but it is missing"):
        pairs_of(long())
    made = long(missing="drop")
    assert pairs_of(made) == [(20.5, 20.0, 3, 0), (22.5, 22.0, 7, 0)]  # at 08:01:10 no value holds any more
    assert made.dropped == 1
    with pytest.raises(InputError, match=r"column 'entitty' \(entity\)"):
        PairedTable(
            write("history.csv", LONG), "sensor.probe", "sensor.standard", time="last_changed", entity="entitty",
            value="state", pair=PairOptions(),
        )  # fmt: skip


def test_many_instruments_pair_with_one_reference(write: Write) -> None:
    rows = "".join(f"{10 * k},{name},{k + add}\n" for k in range(20) for name, add in (("A", 0.5), ("B", 0.25)))
    path = write("probes.csv", f"time,probe,shown\n{rows}")
    other = write("ref.csv", "time,ref\n" + "".join(f"{20 * k + 1},{2 * k}\n" for k in range(10)))
    made = PairedTable(path, "shown", "ref", time="time", instrument="probe", pair=PairOptions(other))
    assert made.counts().tolist() == [10, 10]
    names = made.instruments() or []
    found = {(names[code], x, y) for x, y, _, code in pairs_of(made)}
    assert found == {(name, 2 * k + add, 2.0 * k) for k in range(10) for name, add in (("A", 0.5), ("B", 0.25))}
    wide = write("wide.csv", "time,p1,p2\n" + "".join(f"{10 * k},{k},{k + 1}\n" for k in range(20)))
    made = PairedTable(wide, "p*", "ref", time="time", pair=PairOptions(other))
    assert made.counts().tolist() == [10, 10]
    assert made.instruments() == ["p1", "p2"]


def logs(write: Write, lag: float) -> tuple[str, str]:
    """A probe every 10 s and a reference every minute whose clock is behind by a lag."""
    rng = np.random.default_rng(5)

    def bath(at: Any) -> Any:
        return 20 + 5 * np.sin(at / 900) + 2 * np.sin(at / 377 + 1)

    a, b = np.arange(0, 14400, 10.0), np.arange(3600, 10800, 60.0)
    shown = "".join(f"{t},{v:.3f}\n" for t, v in zip(a, bath(a) * 1.02 + rng.normal(0, 0.02, len(a)), strict=True))
    ref = "".join(f"{t - lag},{v:.3f}\n" for t, v in zip(b, bath(b) + rng.normal(0, 0.02, len(b)), strict=True))
    return write("shown.csv", f"time,shown\n{shown}"), write("ref.csv", f"time,ref\n{ref}")


@pytest.mark.parametrize(("lag", "said"), [(0, None), (3600, "shifted by 1 h "), (-900, "shifted by −15 min ")])
def test_a_shift_that_the_errors_suggest_is_told_and_not_applied(write: Write, lag: float, said: str | None) -> None:
    shown, ref = logs(write, lag)
    made = PairedTable(shown, "shown", "ref", time="time", pair=PairOptions(ref))
    x, y, _, _ = map(np.array, zip(*pairs_of(made), strict=True))
    errors = sm.OLS(y, sm.add_constant(x)).fit().resid
    assert ("times smaller" in made.left_out) == (said is not None)
    if said is None:
        assert errors.std() < 0.05
    else:
        assert said in made.left_out
        assert errors.std() > 0.5
        moved = PairedTable(shown, "shown", "ref", time="time", pair=PairOptions(ref, shift=lag))
        assert "times smaller" not in moved.left_out
        assert f"the reference's times {said.strip()}" in moved.left_out


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (
            "2026-03-02 08:00",
            "2026-03-02T08:00Z",
            r"'shown' in a.csv name no zone and those of 'ref' in b.csv name their",
        ),
        ("1772438400", "2026-03-02 08:00", r"'shown' in a.csv are numbers and those of 'ref' in b.csv name no zone"),
        ("10", "2026-03-02 08:00Z", r"'shown' in a.csv are numbers and those of 'ref' in b.csv name their zone"),
    ],
)
def test_clocks_of_two_kinds(write: Write, first: str, second: str, message: str) -> None:
    a = write("a.csv", f"time,shown\n{first},1\n")
    b = write("b.csv", f"time,ref\n{second},1\n")
    with pytest.raises(InputError, match=message):
        PairedTable(a, "shown", "ref", time="time", pair=PairOptions(b, tolerance=5)).counts()


def test_numbers_since_1970_beside_times_with_a_zone(write: Write) -> None:
    for number in ("1772438400", "1772438400000"):
        made = PairedTable(
            write("a.csv", f"time,shown\n{number},1\n"), "shown", "ref", time="time",
            pair=PairOptions(write("b.csv", "time,ref\n2026-03-02T09:00+01:00,3\n"), tolerance="1s"),
        )  # fmt: skip
        assert pairs_of(made) == [(1.0, 3.0, 2, 0)]


def test_what_cannot_be_paired(write: Write) -> None:
    a = write("a.csv", "time,shown\n2026-03-02 08:00,1\n2026-03-02 08:01,2\n")
    b = write("b.csv", "time,ref\n2026-03-02 09:00,1\n2026-03-02 09:01,-300\n")
    with pytest.raises(InputError, match=r"b.csv, row 3: .*below -273.15 °C"):
        pairs_of(PairedTable(a, "shown", "ref", time="time", pair=PairOptions(b)))
    b = write("b.csv", "time,ref\n2026-03-02 09:00,1\n2026-03-02 09:01,3\n")
    with pytest.raises(
        InputError, match=r"but found none: the indications are from 2026-03-02 08:00:00 to .*pair.shift"
    ):
        pairs_of(PairedTable(a, "shown", "ref", time="time", pair=PairOptions(b)))
    assert len(pairs_of(PairedTable(a, "shown", "ref", time="time", pair=PairOptions(b, shift="-1h")))) == 2
    with pytest.raises(InputError, match="time: expected the column with the times of the indication"):
        PairedTable(a, "shown", "ref", time=None, pair=PairOptions(b))
    with pytest.raises(InputError, match=r"column 'ref' \(reference\)"):
        PairedTable(a, "shown", "ref", time="time", pair=PairOptions(time="time"))
    with pytest.raises(InputError, match=r"column 'when' \(pair.time\)"):
        PairedTable(a, "shown", "ref", time="time", pair=PairOptions(b, time="when"))
    with pytest.raises(InputError, match="entity and value: expected both or none"):
        PairedTable(a, "shown", "ref", time="time", pair=PairOptions(), entity="shown")


def test_a_decimal_comma_in_both(write: Write) -> None:
    path = write("a.csv", "t;shown;u;ref\n08.03.2026 08:00;1,5;08.03.2026 08:01;2,5\n08.03.2026 08:02;2,5;;\n")
    made = PairedTable(
        path,
        "shown",
        "ref",
        time="t",
        pair=PairOptions(time="u", tolerance="1min"),
        decimal_comma=True,
        options=TableOptions(),
    )
    assert len(pairs_of(made)) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30s", 30),
        ("5min", 300),
        ("-1h", -3600),
        ("1h30min", 5400),
        ("500ms", 0.5),
        ("2 d", 172800),
        ("45", 45),
        (1.5, 1.5),
    ],
)
def test_spans_of_time(text: float | str, expected: float) -> None:
    assert seconds(text, "pair.shift") == expected


@pytest.mark.parametrize("text", ["soon", "1 fortnight", "", "1h-3min", "h"])
def test_what_is_no_span_of_time(text: str) -> None:
    with pytest.raises(InputError, match=r"pair.shift: expected a time such as 30s, 5min or -1h, but got"):
        PairOptions(shift=text)

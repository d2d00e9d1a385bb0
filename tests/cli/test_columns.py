"""A table alone is described, and nothing is fitted."""

from pathlib import Path

import pytest
from running import run

HOBO = (
    '\ufeff"Plot Title: Shed"\r\n"#","Date Time","Temp, °F","Ref, °C","Note"\r\n'
    "1,2026-03-02 08:00,39.94,4.52,Logged\r\n2,2026-03-02 08:10,43.05,6.22,\r\n"
)
TABLES = {
    "shed.csv": (
        HOBO,
        ("  Temp, °F   numbers  39.94, 43.05\n", "  Date Time  times    2026-03-02 08:00", "  Note       text "),
        "--data.indication 'Temp, °F' --data.reference 'Ref, °C' --data.time 'Date Time'\n",
    ),
    "bare.csv": (
        "1753424480,nan,60.03,60.2\n1753424540,nan,65.07,65.25\n",
        ("Line 1 of bare.csv looks like readings (1753424480, nan, 60", "  1  times    1753424480, ", "  2  empty"),
        "--data.indication 3 --data.reference 4 --data.time 1 --data.table.header_line 0\n",
    ),
    "german.csv": (
        "Zeit;Referenz;Fühler\n02.03.2026 08:00;21,94;22,4\n02.03.2026 08:10;19,06;19,7\n",
        ("  Zeit      times    02.03.2026 08:00", "  Fühler    numbers  22,4, 19,7"),
        "--data.indication 'Fühler' --data.reference Referenz --data.time Zeit --data.decimal_comma true\n",
    ),
    "logs.csv": (
        "at,shown,then,ref\n2026-03-02 08:00,1,2026-03-02 08:01,2\n2026-03-02 08:02,3,,\n",
        ("  then   times    2026-03-02 08:01\n",),
        "--data.indication shown --data.reference ref --data.time at --data.pair.time then\n",
    ),
    "text.csv": (
        "room,note\nhall,x\n",
        ("  room  text     hall",),
        "--data.indication INDICATION --data.reference REFERENCE\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_a_table_alone_lists_its_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    content, parts, proposal = TABLES[name]
    Path(name).write_text(content, encoding="utf-8")
    ended = run(capsys, "fit", "--data.path", name)
    assert ended.code == 2
    assert "--data.indication: expected the name of a column" in ended.err
    assert ended.err.count("\n") == 1
    for part in parts:
        assert part in ended.out
    assert ended.out.endswith(f"  python -m thermofit_pl fit --data.path {name} {proposal}")
    assert not Path("logs").exists()


def test_what_is_no_table_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_bytes(bytes(range(256)))
    ended = run(capsys, "fit", "--data.path", "a.csv")
    assert (ended.code, ended.out) == (2, "")
    assert "another binary file" in ended.err


def test_help_shows_the_readings_and_the_module_first(capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, "fit", "--help").out
    order = ["--data.path", "--data.table.sheet", "--data.pair.shift", "--model.w ", "--trainer.logger "]
    assert sorted(order, key=text.index) == order

"""What calibrations show of themselves in Python, and the light commands as their methods, against the commands."""

from __future__ import annotations

import base64
import html
import re
from pathlib import Path

import polars as pl
import pytest
from made import NOTEBOOK

from thermofit_pl import Calibration, Calibrations, InputError, fit
from thermofit_pl.cli import commands
from thermofit_pl.reports import figures

X, Y = NOTEBOOK
ONE = fit({"t_u": X, "t_c": Y}, indication="t_u", reference="t_c")
FLEET = fit([*X, *X, 1.0], [*Y, *Y, 2.0], ["a"] * 11 + ["b"] * 11 + ["c"])
BOTH = pytest.mark.parametrize("calibration", [ONE, FLEET], ids=["one", "fleet"])


def saved(calibration: Calibration | Calibrations, folder: Path) -> str:
    path = folder / ("one.json" if isinstance(calibration, Calibration) else "fleet.parquet")
    calibration.save(path)
    return str(path)


@BOTH
def test_print_is_what_show_prints(
    calibration: Calibration | Calibrations, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.main(["show", saved(calibration, tmp_path)])
    assert capsys.readouterr().out == f"{calibration}\n"


def test_repr_is_one_line() -> None:
    assert repr(ONE) == (
        "<Calibration of t_u: w = 0.537(36) °C/unit, b = −17.3(1.9) °C, 11 readings from 21.8 to 81.9>"
    )
    assert repr(FLEET) == "<Calibrations of 3 instruments, 1 of them without a line>"


@BOTH
def test_a_notebook_shows_the_text_and_the_figure(calibration: Calibration | Calibrations) -> None:
    shown = calibration._repr_html_()
    text = re.search("<pre>(.*)</pre>", shown, re.DOTALL)
    picture = re.search('src="data:image/png;base64,([^"]*)"', shown)
    assert text is not None
    assert picture is not None
    assert html.unescape(text[1]) == str(calibration)
    png = base64.b64decode(picture[1])
    assert png.startswith(b"\x89PNG")
    assert len(png) < 100_000


def test_names_from_a_table_are_escaped_in_a_notebook() -> None:
    shown = fit({"<script>": X, "y": Y}, indication="<script>", reference="y")._repr_html_()
    assert "<script>" not in shown


@BOTH
def test_the_figure_is_matplotlibs(calibration: Calibration | Calibrations) -> None:
    from matplotlib.figure import Figure

    figure = calibration.plot()
    assert isinstance(figure, Figure)
    assert figure.axes
    assert sum(len(axes.lines) + len(axes.collections) + len(axes.patches) for axes in figure.axes) > 2


def test_without_matplotlib_there_is_text_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "is_there", lambda: False)
    assert "<img" not in ONE._repr_html_()
    with pytest.raises(InputError, match=r"pip install 'thermofit_pl\[plots\]'"):
        ONE.plot()


def test_a_fleet_without_a_line_has_no_figure() -> None:
    fleet = fit([1.0, 2.0], [3.0, 4.0], ["a", "b"])
    assert "<img" not in fleet._repr_html_()
    with pytest.raises(InputError, match="Expected an instrument with a line to draw"):
        fleet.plot()


def test_apply_is_the_command(tmp_path: Path) -> None:
    table = tmp_path / "new.csv"
    table.write_text("t_u\n40\n50.5\n")
    ONE.apply(table, output=tmp_path / "method.csv")
    commands.main(["apply", saved(ONE, tmp_path), str(table), "--output", str(tmp_path / "command.csv")])
    assert (tmp_path / "method.csv").read_text() == (tmp_path / "command.csv").read_text()
    assert pl.read_csv(tmp_path / "method.csv")["estimate"].to_list() == ONE.correct([40, 50.5]).estimate.tolist()


def test_export_is_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands.main(["export", saved(ONE, tmp_path), "--to", "esphome"])
    assert capsys.readouterr().out == ONE.export("esphome")
    path = saved(FLEET, tmp_path)
    commands.main(["export", path, "--to", "esphome", "--instrument", "b"])
    assert capsys.readouterr().out == FLEET.export("esphome", "b")
    commands.main(["export", path, "--to", "esphome"])
    with pytest.warns(UserWarning, match="1 instrument has no export; c: "):
        assert capsys.readouterr().out == FLEET.export("esphome")
    with pytest.raises(InputError, match="Expected no instrument"):
        ONE.export("esphome", "b")


@BOTH
def test_report_is_the_command(calibration: Calibration | Calibrations, tmp_path: Path) -> None:
    commands.main(["report", saved(calibration, tmp_path), "--output", str(tmp_path / "command.html")])
    page = calibration.report(tmp_path / "method.html")
    assert page == (tmp_path / "method.html").read_text(encoding="utf-8")
    printed = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")  # when: a second may have passed
    command = (tmp_path / "command.html").read_text(encoding="utf-8")
    assert len({printed.sub("", each) for each in (page, command, calibration.report())}) == 1

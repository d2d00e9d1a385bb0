"""The page: what stands in it, that names can't break it, and that it asks nothing of a network."""

import dataclasses
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import NOTEBOOK, calibration

from thermofit_pl import fit
from thermofit_pl.calibration.calibration import Calibration
from thermofit_pl.calibration.calibrations import Calibrations
from thermofit_pl.cli import commands
from thermofit_pl.reports.html import BLANKS, POINTS, report

C = calibration(*NOTEBOOK)
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7 * 7 }}"
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"


class Page(HTMLParser):
    """The cells of tables, the elements, and the JSON of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.json, self.text = "", ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])

    def handle_data(self, data: str) -> None:
        tag = self.elements[-1][0] if self.elements else ""
        if tag == "script":
            self.json += data
        elif tag in ("td", "th") and data.strip():
            self.rows[-1].append(data)
        self.text += data


def test_the_points_are_the_calibrations() -> None:
    page = Page(report(C))
    assert page.rows[0][0] == "indication"
    points = page.rows[1 : 1 + POINTS]
    for cells in points:
        x, estimate, expanded = (float(cells[k].replace("−", "-")) for k in (0, 1, 3))
        found = C.correct(x, "ignore")
        u = (C.coverage_factor or 0) * found.u_single
        assert expanded == float(f"{u:.1e}"), "two significant digits"
        assert abs(estimate - found.estimate) <= 0.5001 * 10.0 ** (np.floor(np.log10(u)) - 1)
        assert cells[2] == "–", "degrees Fahrenheit have no error in °C"
        assert float(cells[4]) == pytest.approx(C.coverage_factor or 0, abs=0.005)
    assert [points[0][0], points[-1][0]] == ["21.8", "81.9"]


def test_an_indication_in_the_references_unit_has_an_error() -> None:
    x = np.linspace(0, 50, 12)
    c = calibration(x, x - 0.5 + 0.01 * (-1.0) ** np.arange(12))
    for cells in Page(report(c)).rows[1 : 1 + POINTS]:
        x_, estimate, error = (float(cell.replace("−", "-")) for cell in cells[:3])
        assert error == pytest.approx(x_ - estimate, abs=0.002)
        assert error == pytest.approx(0.5, abs=0.02)


def test_what_must_stand_in_it() -> None:
    text = report(C)
    page = Page(text)
    for part in (C.checksum, C.data_sha256, "readings.csv", "2025-01-31", "0.1.0", "w = 0.537(36) °C/unit", "k ="):
        assert part is not None
        assert part in page.text
    for blank in BLANKS:
        assert blank in page.text
    assert "certificate" not in text.lower()
    for heading in ("Results", "Errors and uncertainty", "Uncertainty budget", "Method", "Findings", "To be filled in"):
        assert f"<h2>{heading}</h2>" in text
    assert json.loads(page.json)["checksum"] == C.checksum
    budget = next(k for k, row in enumerate(page.rows) if row and row[0] == "source")
    level, slope, scatter, combined = (float(row[-1]) for row in page.rows[budget + 1 : budget + 5])
    assert combined == pytest.approx(np.sqrt(level**2 + slope**2 + scatter**2), rel=0.05)


@pytest.mark.parametrize("field", ["data_name", "indication_column", "reference_column", "version"])
def test_no_name_breaks_the_page(field: str) -> None:
    hostile: dict[str, Any] = {field: HOSTILE}
    page, usual = Page(report(dataclasses.replace(C, **hostile))), Page(report(C))
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in usual.elements]
    assert HOSTILE in page.text
    assert json.loads(page.json)[field] == HOSTILE


def test_it_asks_nothing_of_a_network() -> None:
    for text in (report(C), report(fleet())):
        page = Page(text)
        assert not {name for _, attributes in page.elements for name in attributes} & {"src", "href", "srcset", "data"}
        assert not {tag for tag, _ in page.elements} & {"link", "img", "iframe", "object", "embed"}
        assert not re.search(r"url\(|@import|https?:", text)


def fleet() -> Calibrations:
    random = np.random.default_rng(3)
    x = random.uniform(0, 50, 600)
    names = [f"p{k}" for k in range(28)] + [HOSTILE, "worst"]
    instrument = np.repeat(names, 20)
    noise = random.normal(0, 1, 600) * np.where(instrument == "worst", 3.0, 0.1)
    found = fit(x, 0.5 * x + 1 + noise, instrument)
    assert isinstance(found, Calibrations)
    return found


def test_a_fleet_shows_its_worst_ten() -> None:
    found = fleet()
    page = Page(report(found))
    assert len(page.rows) == 11
    assert page.rows[1][0] == "worst"
    one = found["worst"]
    u = [(one.coverage_factor or 0) * one.correct(x, "ignore").u_single for x in one.indication_range]
    assert float(page.rows[1][-1]) == float(f"{max(u):.1e}")
    assert "30 of 30 instruments are fine" in page.text
    assert ("script", {}) not in page.elements


def without_uncertainty() -> Calibration:
    return dataclasses.replace(
        C, u_w=None, u_b=None, cov_wb=None, u_pivot=None, s=None, coverage_factor=None, w_interval=None, b_interval=None
    )


def test_without_uncertainty_it_says_so() -> None:
    page = Page(report(without_uncertainty()))
    assert "nothing says how far to trust it" in page.text
    assert "None: this calibration has no uncertainty." in page.text


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    C.save("calibration.json")
    fleet().save("calibrations.parquet")
    assert commands.main(["report", "calibration.json"]) == 0
    assert C.checksum in Path("report.html").read_text(encoding="utf-8")
    assert commands.main(["report", "calibrations.parquet", "--output", "fleet.html"]) == 0
    assert "<h1>Calibration report: 30 instruments</h1>" in Path("fleet.html").read_text(encoding="utf-8")
    assert "Written: fleet.html" in capsys.readouterr().err


@pytest.mark.browser
@pytest.mark.parametrize("which", ["single", "fleet"])
def test_a_browser_shows_and_prints_it(which: str, tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    place = tmp_path / "report.html"
    hostile = dataclasses.replace(C, data_name=HOSTILE, indication_column=HOSTILE)
    place.write_text(report(hostile if which == "single" else fleet()), encoding="utf-8")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1000, "height": 1400})
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("dialog", lambda dialog: errors.append(dialog.message))
        page.on("request", lambda asked: None if asked.url.startswith("file:") else errors.append(asked.url))
        page.goto(place.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing stands out of the page"
        box = page.locator("svg").bounding_box()
        assert box["width"] > 300
        assert box["height"] > 100
        page.screenshot(path=tmp_path / "report.png", full_page=True)
        printed = page.pdf(prefer_css_page_size=True)
        browser.close()
    assert not errors
    assert printed.startswith(b"%PDF")
    assert re.search(rb"/MediaBox\s*\[0 0 59[45][.\d]* 84[12]", printed), "A4"
    assert 1 < len(re.findall(rb"/Type\s*/Page\b", printed)) <= 4

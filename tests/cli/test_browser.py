"""TensorBoard in Debian's chromium, after a fit: what a person sees, and that nothing on the page fails.

Screenshots are kept in the folder that THERMOFIT_SCREENSHOTS names, by default one for temporary files; the README's
is made by ``THERMOFIT_SCREENSHOTS=.github python -m pytest -m browser -k readme``.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from inspecting import NAMES, inspecting
from runs import run

from thermofit_pl.reports.tensorboard import SETTINGS, UNITS, results

RESULTS = results(UNITS)

pytestmark = pytest.mark.browser

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"]


@pytest.fixture(scope="module")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    named = os.environ.get("THERMOFIT_SCREENSHOTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """TensorBoard on two fits that differ in the number of steps."""
    home = tmp_path_factory.mktemp("home")
    for version, epochs in enumerate((2, 10)):
        folder = home / "logs" / "fit" / f"version_{version}"
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(f"trainer:\n  max_epochs: {epochs}\n")
        run(folder, epochs=epochs, draw=True)
    with inspecting(home) as found:
        yield found


@pytest.fixture
def page(address: str) -> Iterator[Any]:
    """A page that fails the test on any error of its own, and on anything that it asks of other hosts."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        opened = browser.new_page(viewport={"width": 1500, "height": 1000})
        errors: list[str] = []
        opened.on("pageerror", lambda error: errors.append(str(error)))
        opened.on("request", lambda r: None if r.url.startswith((address, "data:", "blob:")) else errors.append(r.url))
        opened.on("response", lambda r: errors.append(f"{r.status} {r.url}") if r.status >= 400 else None)
        yield opened
        browser.close()
        assert not errors


def shows(page: Any, text: str, seconds: float = 30) -> None:
    page.get_by_text(text, exact=False).first.wait_for(state="visible", timeout=1000 * seconds)


def test_scalars_show_the_curves(page: Any, address: str, screenshots: Path) -> None:
    page.goto(f"{address}#scalars")
    for tag in ("train/loss", "line/w", "line/b", "line/distance"):  # the page opens the first two groups
        shows(page, tag)
    for name in ("val", "verdict", "fit/version_0", "fit/version_1"):
        shows(page, name)
    page.wait_for_timeout(2000)
    page.screenshot(path=screenshots / "scalars.png")


def test_images_show_the_figures(page: Any, address: str, screenshots: Path) -> None:
    page.goto(f"{address}#images")
    for name in NAMES:
        shows(page, f"fit/{name}")
    page.wait_for_timeout(2500)
    page.screenshot(path=screenshots / "images.png")


def test_hparams_show_a_row_a_run(page: Any, address: str, screenshots: Path) -> None:
    page.goto(f"{address}#hparams")
    for name in (*SETTINGS, *RESULTS.values()):
        shows(page, name)
    for run_ in ("fit/version_0", "fit/version_1"):
        shows(page, run_)
    shows(page, "thermometer.csv")
    page.wait_for_timeout(500)
    page.screenshot(path=screenshots / "hparams.png")


def test_text_shows_the_summary_and_the_config(page: Any, address: str, screenshots: Path) -> None:
    page.goto(f"{address}#text")
    shows(page, "w = 0.537(36) °C/unit, b = −17.3(1.9) °C")
    shows(page, "max_epochs: 10")
    page.screenshot(path=screenshots / "text.png")


def test_custom_scalars_show_loss_and_parameters(page: Any, address: str, screenshots: Path) -> None:
    page.goto(f"{address}#custom_scalars")
    for title in ("loss (°C²)", "w (°C per indicated unit)", "distance to the least-squares line (°C)"):
        shows(page, title)
    page.wait_for_timeout(2500)
    page.screenshot(path=screenshots / "custom_scalars.png")


def test_time_series_for_the_readme(page: Any, address: str, screenshots: Path) -> None:
    page.set_viewport_size({"width": 1240, "height": 810})
    page.goto(f"{address}?runFilter=version_1&tagFilter=train/loss|distance|readings|fit/loss&smoothing=0#timeseries")
    for tag in ("train/loss", "line/distance", "fit/readings", "fit/loss"):
        shows(page, tag)
    page.get_by_role("button", name="Settings").click()
    page.wait_for_timeout(4000)
    page.screenshot(path=screenshots / "tensorboard.png")
    assert (screenshots / "tensorboard.png").stat().st_size < 150_000

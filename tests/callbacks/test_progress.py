import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from thermofit_pl.callbacks import progress
from thermofit_pl.callbacks.progress import ReadingBar
from thermofit_pl.training.datamodule import ReadingsDataModule


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_reading_a_table_shows_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, x = tmp_path / "long.csv", np.arange(300_000.0)
    pl.DataFrame({"shown": x, "true": 2 * x}).write_csv(path)
    monkeypatch.setattr(progress, "SECONDS", 0.0)
    monkeypatch.setattr("sys.stderr", screen := Terminal())
    data = ReadingsDataModule(str(path), "shown", "true")
    data.progress = ReadingBar()
    data.setup("fit")
    assert "reading" in screen.getvalue()
    assert f"/{path.stat().st_size / 1e6:.2f}M" in screen.getvalue()
    assert screen.getvalue().endswith("\r")  # the bar is gone


def test_a_table_that_is_soon_read_shows_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", screen := Terminal())
    data = ReadingsDataModule()
    data.progress = ReadingBar()
    data.setup("fit")
    assert "reading" not in screen.getvalue()

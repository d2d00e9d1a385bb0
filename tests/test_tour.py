"""The notebook of the tour runs from top to bottom, and prints what it shows.

Where a sentence of a calibration changes, run it again: ``jupyter execute --inplace .github/tour.ipynb``.
"""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

TOUR = Path(__file__).parents[1] / ".github" / "tour.ipynb"
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/")


def read() -> Any:
    return nbformat.read(TOUR, as_version=4)  # type: ignore[no-untyped-call]


def shown(cell: Any) -> str:
    """What a cell prints, as text; a figure and a page by what they are."""
    texts = ["".join(each.get("text", each.get("data", {}).get("text/plain", ""))) for each in cell.get("outputs", [])]
    return re.sub(r" at 0x[0-9a-f]+", "", "".join(texts))


def test_the_notebook_is_small_and_was_run() -> None:
    assert TOUR.stat().st_size < 100_000
    notebook = read()
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not [each for cell in code for each in cell.outputs if each.get("name") == "stderr"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    notebook = read()
    before = [shown(cell) for cell in notebook.cells]
    client = nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": tmp_path}})
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            client.execute_cell(cell, index)
        page = ADDRESS.search(str(notebook.cells[-1].outputs))
        assert page, notebook.cells[-1].outputs
        with urllib.request.urlopen(page[0], timeout=60) as answer:  # TensorBoard's
            assert b"<title>TensorBoard</title>" in answer.read()
    assert [shown(cell) for cell in notebook.cells] == before
    figures = [
        each for cell in notebook.cells for each in cell.get("outputs", []) if "image/png" in each.get("data", {})
    ]
    assert len(figures) == 1

"""TensorBoard on a fit's folder, asked by its HTTP API, and the command that starts it."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from inspecting import NAMES, inspecting
from runs import default_fit

from thermofit_pl.__main__ import main
from thermofit_pl.calibration.calibration import Calibration
from thermofit_pl.reports.tensorboard import UNITS, results

RESULTS = results(UNITS)


def ask(address: str, what: str, /, *, body: dict[str, Any] | None = None, **query: Any) -> Any:
    """Asks until the answer isn't empty: TensorBoard reads the files meanwhile."""
    url = f"{address}data/{what}?{urllib.parse.urlencode(query)}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    for _ in range(100):
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                found = json.loads(answer.read())
        except urllib.error.HTTPError:
            found = None
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"no answer from {url}")


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Calibration]:
    folder = tmp_path_factory.mktemp("home")
    run = folder / "logs" / "fit" / "version_0"
    run.mkdir(parents=True)
    return folder, default_fit(run)


@pytest.mark.slow
def test_tensorboard_shows_what_the_calibration_holds(logs: tuple[Path, Calibration]) -> None:
    folder, c = logs
    run: dict[str, Any] = {"run": "fit/version_0"}
    with inspecting(folder) as address:
        assert ask(address, "runs") == ["fit/version_0"]
        tags = ask(address, "plugin/scalars/tags")["fit/version_0"]
        assert {"train/loss", "line/w", "line/b", "line/distance", "val/rmse", *RESULTS} <= set(tags)
        assert "°C per indicated unit" in tags["line/w"]["description"]
        ends = {tag: ask(address, "plugin/scalars/scalars", tag=tag, **run)[-1] for tag in tags}
        assert {step for _, step, _ in ends.values()} == {5000}
        assert c.sgd is not None
        expected = {
            "train/loss": c.sgd.loss, "line/w": c.sgd.w, "line/b": c.sgd.b, "line/distance": c.sgd.distance,
            "verdict/loss": c.sgd.loss, "verdict/rmse": c.rmse, "verdict/w": c.w, "verdict/b": c.b,
            "verdict/u_w": c.u_w, "verdict/u_b": c.u_b, "verdict/steps_needed": 0.0, "val/rmse": c.rmse,
        }  # fmt: skip
        assert {tag: ends[tag][2] for tag in expected} == {k: pytest.approx(v, rel=1e-6) for k, v in expected.items()}
        shown = [step for _, step, _ in ask(address, "plugin/scalars/scalars", tag="train/loss", **run)]
        assert {*range(500, 5001, 500)} <= set(shown)  # none is left out
        images = ask(address, "plugin/images/tags")["fit/version_0"]
        assert set(images) == {f"fit/{name}" for name in NAMES}
        for tag in images:
            (image,) = ask(address, "plugin/images/images", tag=tag, sample="0", **run)
            with urllib.request.urlopen(f"{address}data/plugin/images/individualImage?{image['query']}") as answer:
                assert answer.read() == (folder / f"logs/fit/version_0/figures/{tag[4:]}.png").read_bytes()
        (text,) = ask(address, "plugin/text/text", tag="fit/result", **run)
        assert "w = 0.537(36) °C/unit" in text["text"]
        assert "model:" in ask(address, "plugin/text/text", tag="fit/settings", **run)[0]["text"]
        assert [group["title"] for group in ask(address, "plugin/custom_scalars/layout")["category"]] == [
            "fit",
            "errors",
        ]
        (row,) = ask(address, "plugin/hparams/session_groups", body=everything())["sessionGroups"]
        assert row["hparams"]["table_sha256"] == c.data_sha256
        assert row["sessions"][0]["status"] == "STATUS_SUCCESS"
        results = {value["name"]["tag"]: value["value"] for value in row["metricValues"]}
        assert results == {tag: ends[tag][2] for tag in RESULTS}


def everything() -> dict[str, Any]:
    """What the page HPARAMS asks for."""
    statuses = ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"]
    columns = [{"metric": {"tag": tag, "group": ""}} for tag in RESULTS]
    return {"experimentName": "", "startIndex": 0, "sliceSize": 9, "allowedStatuses": statuses, "colParams": columns}


@pytest.mark.slow
def test_a_runs_folder_can_be_named(logs: tuple[Path, Calibration]) -> None:
    with inspecting(logs[0], "logs/fit/version_0") as address:
        assert ask(address, "runs") == ["."]
    with inspecting(logs[0], "last") as address:
        assert ask(address, "runs") == ["."]


@pytest.mark.slow
def test_a_port_that_is_taken_is_complained_of(logs: tuple[Path, Calibration]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "thermofit_pl", "inspect", "--port", port]
        done = subprocess.run(command, cwd=logs[0], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("thermofit_pl: error: Expected a free port of 127.0.0.1")
    assert port in done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Expected a folder with runs of a fit, but found none in logs; fit first."),
        (["nowhere"], "but found none in nowhere"),
        (["--port", "http"], "argument --port: invalid int value: 'http'"),
        (["--prot", "1"], "unrecognized arguments"),
    ],
)
def test_what_cannot_be_inspected_is_one_sentence(
    arguments: list[str],
    sentence: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["inspect", *arguments]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


def test_inspect_starts_without_torch() -> None:
    code = "import sys, thermofit_pl.cli.inspection as i, tensorboard.program; print('torch' in sys.modules)"
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "False\n"

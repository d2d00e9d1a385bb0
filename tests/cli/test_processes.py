"""Several processes give the answer of one, write each file once, and end together, whatever started them."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml  # type: ignore[import-untyped]  # it ships no types

pytestmark = pytest.mark.slow

HERE = Path(__file__).parents[1]
FIT = ["fit", "--trainer.accelerator", "cpu", "--figures", "false"]
COLUMNS = ["--data.indication", "shows", "--data.reference", "true"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]
WORKS = 64 << 20  # bytes of a table from which processes read shares
MILLION = 1_000_000


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables with a million readings, with few, of a fleet, and of a log."""
    folder, random = tmp_path_factory.mktemp("tables"), np.random.default_rng(20)
    x = random.uniform(20, 90, MILLION)
    y = 0.55 * x - 17 + random.standard_normal(MILLION)
    pl.DataFrame({"shows": x, "true": y}).write_parquet(folder / "million.parquet", row_group_size=50_000)
    pl.DataFrame({"shows": x[:50_000], "true": y[:50_000]}).write_csv(folder / "many.csv")
    pl.DataFrame({"shows": x[:1000], "true": y[:1000]}).write_csv(folder / "thousand.csv")
    pl.DataFrame({"shows": x[:3], "true": y[:3]}).write_csv(folder / "three.csv")
    probe = np.sort(random.integers(0, 7, 20_000))  # so that processes meet different ones
    fleet = {"shows": x[:20_000], "true": y[:20_000] + probe, "probe": [f"p{code}" for code in probe]}
    pl.DataFrame(fleet).write_csv(folder / "fleet.csv")
    error = np.convolve(random.standard_normal(20_100), 0.6 ** np.arange(100), "valid")[:20_000]
    log = {"shows": x[:20_000], "true": 0.5 * x[:20_000] - 20 + error, "seconds": np.arange(20_000) * 2.0}
    pl.DataFrame(log).write_csv(folder / "log.csv")
    return folder


MINI = ["--data.batch_size", "64", "--trainer.max_epochs", "2", "--model.learning_rate", "1e-3"]
CASES: dict[str, tuple[str | None, int, list[int], list[str]]] = {  # table, bytes that are shared, processes, options
    "eleven": (None, WORKS, [2, 3, 4], ["--trainer.use_distributed_sampler", "false"]),
    "million": ("million.parquet", 0, [2, 3, 4], []),
    "text": ("many.csv", 0, [3], ["--trainer.use_distributed_sampler", "true"]),
    "few": ("three.csv", WORKS, [4], []),
    "few in shares": ("three.csv", 0, [4], []),
    "fleet": ("fleet.csv", 0, [2, 4], ["--data.instrument", "probe"]),
    "log": ("log.csv", 0, [3], ["--data.time", "seconds"]),
    "split": ("thousand.csv", 0, [2], ["--data.val_fraction", "0.2"]),
    "mini-batches": ("thousand.csv", 0, [2, 3], [*MINI, "--data.val_fraction", "0.2"]),
    "in single": ("thousand.csv", 0, [2], [*MINI, "--model.dtype", "float32"]),
    "fleet in mini-batches": ("fleet.csv", 0, [3], ["--data.instrument", "probe", *MINI, "--data.batch_size", "500"]),
    "few in mini-batches": (None, WORKS, [4], ["--data.batch_size", "3", "--trainer.max_epochs", "2"]),
}


def command(name: str, processes: int, folder: Path, tables: Path) -> dict[str, Any]:
    table, shared, _, options = CASES[name]
    words = [*FIT, "--trainer.logger", "false", *options]
    words += ["--data.path", str(tables / table), *COLUMNS] if table else []
    words += ["--trainer.devices", str(processes)] if processes > 1 else []
    run_folder = str(folder / f"{name} {processes}")
    return {"arguments": words, "processes": processes, "shared": shared, "folder": run_folder}


@pytest.fixture(scope="module")
def ran(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All cases, run one after the other by one process; those on one process at the end."""
    folder = tmp_path_factory.mktemp("runs")
    several = [command(name, n, folder, tables) for name, case in CASES.items() for n in case[2]]
    alone = [command(name, 1, folder, tables) for name in CASES]
    run = [sys.executable, str(HERE / "several.py")]
    done = subprocess.run(run, input=json.dumps(several + alone), text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


def the(folder: Path, pattern: str) -> Path:
    (found,) = folder.rglob(pattern)
    return found


def close(value: Any, expected: Any, rel: float, small: float = 0.0) -> None:
    assert value == (None if expected is None else pytest.approx(expected, rel=rel, abs=small))


@pytest.mark.parametrize(("name", "processes"), [(name, n) for name, case in CASES.items() for n in case[2]])
def test_several_processes_give_the_answer_of_one(name: str, processes: int, ran: Path) -> None:
    several, alone = ran / f"{name} {processes}", ran / f"{name} 1"
    assert [(folder / "code").read_text() for folder in (several, alone)] == ["0", "0"]
    sgd = 1e-6 if name == "in single" else 1e-12
    metrics, expected = (json.loads((folder / "metrics.json").read_text()) for folder in (several, alone))
    assert metrics.keys() == expected.keys()
    assert "train/loss" in metrics
    for key, value in expected.items():
        close(metrics[key], value, sgd, small=1e-12)  # the mean error of a least-squares line is nothing but rounding
    if name.startswith("fleet"):
        here, there = (pl.read_parquet(the(folder, "calibrations.parquet")) for folder in (several, alone))
        assert [*here[:, 0]] == [*there[:, 0]] == [f"p{k}" for k in range(7)]
        for column, digits in {"w": 1e-12, "b": 1e-12, "u_w": 1e-10, "u_b": 1e-10, "s": 1e-10}.items():
            np.testing.assert_allclose(here[column], there[column], rtol=digits)
        return
    here_, there_ = (json.loads(the(folder, "calibration.json").read_text()) for folder in (several, alone))
    for key in ("n", "dof", "dropped", "data_sha256", "indication_range", "below_rounding"):
        assert here_[key] == there_[key]
    for key in ("w", "b"):
        close(here_[key], there_[key], 1e-12)
        close(here_["sgd"][key], there_["sgd"][key], sgd)
    for key in ("u_w", "u_b", "cov_wb", "u_pivot", "s", "rmse", "r_squared"):
        close(here_[key], there_[key], 1e-10)
    correlation = [each["diagnostics"]["autocorrelation"] for each in (here_, there_)]
    assert (correlation[0] is None) == (name != "log")
    if name == "log":
        close(correlation[0], correlation[1], 1e-10)


def run(words: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, cwd=folder, env=os.environ | environment, text=True, capture_output=True, check=False, timeout=120
    )


def left(mark: str) -> list[str]:
    """The processes that have a mark in their arguments."""
    listed = subprocess.run(["ps", "-eo", "pid=,args=", "-ww"], text=True, capture_output=True, check=True).stdout
    return [line for line in listed.splitlines() if mark in line]


TWO = {  # ways to ask for two processes of this computer
    "devices": ["--trainer.devices", "2"],
    "ddp": ["--trainer.devices=2", "--trainer.strategy=ddp"],
    "find": ["--trainer.devices=2", "--trainer.strategy=ddp_find_unused_parameters_false"],
    "file": ["--config", "two.yaml"],
    "torchrun": ["--trainer.devices", "2"],
}


@pytest.mark.parametrize("how", TWO)
def test_each_file_is_written_once_and_nothing_is_left(
    how: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    (tmp_path / "two.yaml").write_text("trainer:\n  devices: 2\n")
    (tmp_path / "tmp").mkdir()
    launcher = [*TORCHRUN, "--standalone", "--nproc-per-node", "2"] if how == "torchrun" else [sys.executable]
    words = [*launcher, "-m", "thermofit_pl", *FIT, "--trainer.max_epochs=3", *TWO[how]]
    words += ["--trainer.default_root_dir", str(tmp_path / "logs")]
    repeats = request.config.getoption("--launches")
    for version in range(repeats if how in ("devices", "ddp") else -(-repeats // 10)):
        done = run(words, tmp_path, OMP_NUM_THREADS="1", TMPDIR=str(tmp_path / "tmp"))
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.count("Written: ") == 1
        assert left(str(tmp_path)) == []
        kept = [path.name for path in (tmp_path / "tmp").iterdir() if "inductor" not in path.name]  # DDP's compiler's
        assert how == "torchrun" or kept == []
        folder = tmp_path / "logs" / "fit" / f"version_{version}"
        assert len(list(folder.parent.iterdir())) == version + 1
        names = sorted(path.name.split(".")[0] for path in folder.rglob("*") if path.is_file())
        assert names == ["calibration", "config", "events", "hparams", "last"]
    line = json.loads((folder / "calibration.json").read_text())
    x, y = np.loadtxt(HERE.parent / "thermofit_pl/tables/thermometer.csv", delimiter=",", skiprows=1, unpack=True)
    assert (line["w"], line["b"]) == pytest.approx(tuple(np.polyfit(x, y, 1)), rel=1e-12)
    assert yaml.safe_load((folder / "config.yaml").read_text())["trainer"]["devices"] in (2, "2")


def test_words_reach_every_process_as_they_were_typed(tmp_path: Path) -> None:
    (tmp_path / "a$$b ${local_rank}.csv").write_text("x,y\n1,2\n2,3\n3,5\n")
    words = ["-W", "default", "-m", "thermofit_pl", *FIT, "--data.path", "a$$b ${local_rank}.csv"]
    words += ["--trainer.devices=2"]
    done = run([sys.executable, *words, "--data.indication", "x", "--data.reference", "y"], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 readings of a$$b ${local_rank}.csv" in done.stdout


def test_what_processes_refuse_is_said_once_and_ends_with_its_code(tmp_path: Path) -> None:
    (tmp_path / "three.csv").write_text("x,y\n1,2\noops,3\n3,5\n")
    words = ["-m", "thermofit_pl", *FIT, "--data.path", "three.csv", "--data.indication=x", "--data.reference=y"]
    done = run([sys.executable, *words, "--trainer.devices=3"], tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "three.csv, row 3: expected a number in column 'x', but got 'oops'" in done.stderr
    assert not (tmp_path / "logs").exists()


PLAIN = """
import sys
from lightning.pytorch import Trainer
from thermofit_pl.training.datamodule import ReadingsDataModule
from thermofit_pl.training.module import CalibrationModule

if __name__ == "__main__":
    trainer = Trainer(max_epochs=10, accelerator="cpu", devices=2, strategy=sys.argv[1], logger=False,
                      enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
    module = CalibrationModule()
    trainer.fit(module, ReadingsDataModule())
    if trainer.is_global_zero:
        print(repr(float(trainer.callback_metrics["train/loss"])), flush=True)
"""


@pytest.mark.parametrize("strategy", ["ddp", "ddp_spawn", "ddp_fork"])
def test_lightnings_own_launchers_work_from_python(strategy: str, tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text(PLAIN)
    done = run([sys.executable, "plain.py", strategy], tmp_path, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.splitlines()[-1]) == pytest.approx(2.927647, abs=1e-5)  # the notebook's after 5,000 steps


def test_two_nodes_make_one_run(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nodes = []
    for rank in range(2):
        words = [*TORCHRUN, "--nnodes", "2", "--node-rank", str(rank), "--nproc-per-node", "1"]
        words += ["--rdzv-backend", "static", "--master-addr", "127.0.0.1", "--master-port", str(port)]
        words += ["-m", "thermofit_pl", *FIT, "--trainer.devices", "1", "--trainer.num_nodes", "2"]
        output = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        nodes.append(subprocess.Popen(words, cwd=tmp_path, **output))  # type: ignore[call-overload]
    said = [node.communicate(timeout=120) for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0]
    assert [stderr for _, stderr in said] == ["", ""]
    assert [stdout.count("Written: ") for stdout, _ in said] == [1, 0]
    assert [path.name for path in tmp_path.glob("logs/fit/*")] == ["version_0"]
    line = json.loads((tmp_path / "logs/fit/version_0/calibration.json").read_text())
    assert line["n"] == 11
    assert line["w"] == pytest.approx(0.5367, abs=1e-4)


def test_what_one_process_finds_is_said_once(tables: Path, tmp_path: Path) -> None:
    lines = (tables / "many.csv").read_text().splitlines()
    lines[40_000] = "oops,1.0"  # in the second half
    (tmp_path / "bad.csv").write_text("\n".join(lines))
    words = [*FIT, "--data.path", "bad.csv", *COLUMNS, "--trainer.devices", "2"]
    command = {"arguments": words, "processes": 2, "shared": 0, "folder": str(tmp_path)}
    several = [sys.executable, str(HERE / "several.py")]
    done = subprocess.run(several, input=json.dumps([command]), text=True, capture_output=True, check=True)
    assert (tmp_path / "code").read_text() == "2"
    assert done.stderr.count("\n") == 1
    assert "bad.csv, row 40001: expected a number in column 'shows', but got 'oops'" in done.stderr
    assert not (tmp_path / "logs").exists()


def test_scores_and_predictions_on_several_processes_are_those_of_one(tables: Path, tmp_path: Path) -> None:
    data = ["--data.path", str(tables / "thousand.csv"), *COLUMNS]
    words = [*FIT, *data, "--data.val_fraction", "0.3"]
    fit = {"arguments": words, "processes": 1, "shared": 0, "folder": str(tmp_path)}
    commands: list[dict[str, Any]] = []
    for processes in (1, 2, 4):
        several = ["--trainer.devices", str(processes)] if processes > 1 else []
        for what in ("validate", "test"):  # held-out readings, and all
            words = [what, "--ckpt_path", "last.ckpt", "--trainer.accelerator", "cpu", *several]
            where = str(tmp_path / f"{what} {processes}")
            commands.append({"arguments": words, "processes": processes, "shared": 0, "folder": where})
    several_py = [sys.executable, str(HERE / "several.py")]
    subprocess.run(several_py, input=json.dumps([fit]), text=True, check=True, capture_output=True)
    for each in commands:
        each["arguments"][2] = str(tmp_path / "logs/fit/version_0/checkpoints/last.ckpt")
    done = subprocess.run(several_py, input=json.dumps(commands), text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for what in ("validate", "test"):
        scores = [json.loads((tmp_path / f"{what} {n}" / "metrics.json").read_text()) for n in (1, 2, 4)]
        assert len({each.pop("step") for each in scores}) == 1  # by which loggers place them
        assert len(scores[0]) == 4
        for score in scores[1:]:
            assert score == pytest.approx(scores[0], rel=1e-12, abs=1e-12)
    words = ["predict", "--ckpt_path", "last", "--trainer.accelerator", "cpu"]
    two = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]
    for version, more in enumerate(([], two)):
        assert run([sys.executable, "-m", "thermofit_pl", *words, *more], tmp_path).stderr == ""
        assert (tmp_path / f"logs/predict/version_{version}/predictions.csv").exists()
    rows = [(tmp_path / f"logs/predict/version_{n}/predictions.csv").read_bytes() for n in (0, 1)]
    assert rows[0] == rows[1]
    assert rows[0].count(b"\n") == 1001

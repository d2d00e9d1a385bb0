"""Several instruments through a checkpoint: each row by its own instrument's line, as ``apply`` and NumPy have it."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lightning.pytorch import Trainer
from polars.testing import assert_frame_equal
from running import checkpoint, run
from torch.utils.data import DataLoader, TensorDataset

from thermofit_pl.apply.apply import apply
from thermofit_pl.calibration.calibrations import Calibrations
from thermofit_pl.callbacks.result import WriteCalibration
from thermofit_pl.errors import InputError
from thermofit_pl.metrics.scores import rows_of
from thermofit_pl.tables.labels import index_of
from thermofit_pl.training.datamodule import ReadingsDataModule
from thermofit_pl.training.module import CalibrationModule

QUIET: dict[str, Any] = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "accelerator": "cpu",
}
NAMES = ("10", "9", "B", "a b", "Küche", "stuck")
ASK = ["--data.instrument=who", "--data.indication=shown", "--data.reference=ref"]
WIDE = ["--data.indication=probe_*", "--data.reference=ref"]


def line_of(name: str) -> tuple[float, float]:
    return 1 + 0.1 * NAMES.index(name), -3.0 * NAMES.index(name)


def readings(names: tuple[str, ...], seed: int = 1) -> pl.DataFrame:
    """Nine readings of each; those of ``stuck`` all show the same, and so have no line."""
    random = np.random.default_rng(seed)
    rows = []
    for name in names:
        w, b = line_of(name)
        shown = np.full(9, 20.0) if name == "stuck" else random.uniform(0, 50, 9)
        rows += [(name, x, w * x + b + random.normal(0, 0.1)) for x in shown]
    return pl.DataFrame(rows, schema=["who", "shown", "ref"], orient="row").sample(fraction=1, shuffle=True, seed=seed)


@dataclass
class Fitted:
    """A fit's folder, with ``c.ckpt`` and ``calibrations.parquet``."""

    names: tuple[str, ...]
    folder: Path

    @property
    def module(self) -> CalibrationModule:
        return CalibrationModule.load_from_checkpoint(self.folder / "c.ckpt", weights_only=True)


FITS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "one": (NAMES[:1], {}),
    "two": (NAMES[:2], {}),
    "SGD's": (NAMES[:3], {"finish": "none"}),
    "a scale's": (NAMES[:4], {"snap": "fahrenheit"}),
    "one without a line": (NAMES, {}),
    "none with a line": (NAMES[-1:], {}),
}


@pytest.fixture(scope="module")
def fits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Fitted]:
    made = {}
    for number, (label, (names, options)) in enumerate(FITS.items()):
        folder = tmp_path_factory.mktemp("fit")
        readings(names, number).write_parquet(folder / "readings.parquet")
        trainer = Trainer(max_epochs=1, callbacks=[WriteCalibration(folder)], default_root_dir=folder, **QUIET)
        data = ReadingsDataModule(str(folder / "readings.parquet"), "shown", "ref", instrument="who")
        trainer.fit(CalibrationModule(steps_per_epoch=5, **options), data)
        trainer.save_checkpoint(folder / "c.ckpt")
        made[label] = Fitted(names, folder)
    return made


def estimates(module: CalibrationModule, path: Path) -> list[float | None]:
    """What a plain Trainer predicts of a table."""
    data = ReadingsDataModule(str(path), "shown", "ref", instrument="who", missing="drop")
    found = Trainer(default_root_dir=path.parent, **QUIET).predict(module, data)
    assert found is not None
    return pl.Series(torch.cat([each.estimate for each in found]).numpy()).fill_nan(None).to_list()  # type: ignore[union-attr]


ASKED = st.sampled_from([*NAMES, " B", "9 ", "nobody", "0"])
SHOWN = st.none() | st.floats(-1e6, 1e6) | st.integers(-50, 50).map(float)


@given(
    label=st.sampled_from(list(FITS)),
    rows=st.lists(st.tuples(ASKED, SHOWN), min_size=1, max_size=8),
    suffix=st.sampled_from(["csv", "parquet"]),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_predict_gives_what_apply_gives_to_the_last_bit(
    label: str, rows: list[tuple[str, float | None]], suffix: str, fits: dict[str, Fitted], tmp_path: Path
) -> None:
    fitted = fits[label]
    table, out = tmp_path / f"new.{suffix}", tmp_path / "out.parquet"
    frame = pl.DataFrame(rows, schema={"who": pl.String, "shown": pl.Float64}, orient="row")
    frame.write_csv(table) if suffix == "csv" else frame.write_parquet(table)
    apply(Calibrations.load(fitted.folder), str(table), output=str(out))
    expected = pl.read_parquet(out)["estimate"].to_list()
    module = fitted.module
    assert estimates(module, table) == expected
    index = module.index([name for name, _ in rows])
    shown = torch.tensor([np.nan if x is None else x for _, x in rows], dtype=torch.float64)
    assert pl.Series(module(shown, index).detach().numpy()).fill_nan(None).to_list() == expected


def test_as_many_rows_as_instruments_are_not_taken_for_one_each(fits: dict[str, Fitted], tmp_path: Path) -> None:
    pl.DataFrame({"who": ["9", "10"], "shown": [40.0, 40.0]}).write_csv(tmp_path / "new.csv")
    expected = [line_of(name)[0] * 40 + line_of(name)[1] for name in ("9", "10")]
    assert estimates(fits["two"].module, tmp_path / "new.csv") == pytest.approx(expected, abs=0.5)  # s is 0.1


def test_the_names_are_in_the_checkpoint_in_order(fits: dict[str, Fitted]) -> None:
    loaded = torch.load(fits["one without a line"].folder / "c.ckpt", weights_only=True)
    names = json.loads(loaded["instruments"])  # one text, since torch loads a list name by name
    assert names == ["9", "10", "B", "Küche", "a b", "stuck"]  # numbers first, by value
    assert names == Calibrations.load(fits["one without a line"].folder).instruments


def test_parameters_of_any_shape_are_looked_up_by_reading() -> None:
    w = torch.arange(6, dtype=torch.float64).reshape(3, 2)
    assert rows_of(w, torch.tensor([2, 0])).tolist() == [[4, 5], [0, 1]]
    assert rows_of(w, torch.tensor([[-1], [1]])).nan_to_num(9).tolist() == [[[9, 9]], [[2, 3]]]


@given(st.lists(st.text(max_size=3), unique_by=str.strip).map(lambda names: [name.strip() for name in names]))
def test_index_of_is_lists_index(known: list[str]) -> None:
    names = [*reversed(known), "none of them", *known]
    expected = [known.index(name) if name in known else -1 for name in names]
    assert index_of(names, known).tolist() == expected


def test_forward_of_several_wants_an_index_for_each_indication(fits: dict[str, Fitted]) -> None:
    module, x = fits["two"].module, torch.tensor([1.0, 2.0], dtype=torch.float64)
    both = r"expected indications and the index of each one's instrument, of 2, but got "
    for call in (lambda: module(x), lambda: module.predict_step(x, 0), lambda: module.predict_step((x,), 0)):
        with pytest.raises(InputError, match=both + "indications alone; give a tensor of whole numbers"):
            call()
    for index, came in (
        (torch.tensor([0]), r"an index of shape \(1,\) for \(2,\)"),
        (torch.tensor([0.0, 1.0]), "torch.float32"),
        (torch.tensor([0, 2]), "one from 0 to 2; -1 stands for none of them"),
        (torch.tensor([-2, 0]), "one from -2 to 0"),
    ):
        with pytest.raises(InputError, match=both + came):
            module(x, index)
    assert module(x[:, None].expand(2, 2), torch.tensor([[0, 1], [1, -1]])).isnan().tolist() == [
        [False] * 2,
        [False, True],
    ]


def test_with_one_instrument_forward_is_as_it_was() -> None:
    module, x = CalibrationModule(w=2.0, b=1.0), torch.tensor([1.0, 2.0], dtype=torch.float64)
    assert (
        module(x).tolist()
        == module.predict_step((x, x), 0).estimate.tolist()
        == module(x, torch.tensor([0, 0])).tolist()
        == [3, 5]
    )
    with pytest.raises(InputError, match="Expected instruments with names, but the module is of one without"):
        module.index(["a"])


def test_checkpoints_without_names(fits: dict[str, Fitted], tmp_path: Path) -> None:
    for label, instruments in (("one", 1), ("two", 2)):
        loaded = torch.load(fits[label].folder / "c.ckpt", weights_only=True)
        del loaded["instruments"]
        torch.save(loaded, tmp_path / f"{instruments}.ckpt")
    old = CalibrationModule.load_from_checkpoint(tmp_path / "1.ckpt", weights_only=True)
    torch.testing.assert_close(old.calibrated, fits["one"].module.calibrated, rtol=0, atol=0)
    with pytest.raises(
        InputError, match="the names of its 2 instruments, but got none, as from an earlier version; fit again"
    ):
        CalibrationModule.load_from_checkpoint(tmp_path / "2.ckpt", weights_only=True)
    for wrong in (["a"], ["a", "a"], "ab", '["a"]', '["a", "a"]', '{"a": 1, "b": 2}', "[" * 100_000, '["a", "b"', "2"):
        torch.save(loaded | {"instruments": wrong}, tmp_path / "wrong.ckpt")
        with pytest.raises(InputError, match="the names of its 2 instruments, but got others"):
            CalibrationModule.load_from_checkpoint(tmp_path / "wrong.ckpt", weights_only=True)


@pytest.mark.filterwarnings("ignore:.*no `val_dataloader`")
@pytest.mark.parametrize("earlier", [False, True], ids=["one text", "an earlier version's list"])
def test_a_fleet_goes_on_whatever_its_names_hold(earlier: bool, tmp_path: Path) -> None:
    names = ['"', "\\", "a\nb", "x, y", "[1]", "{}", "Küche", "温度計", "🌡", "e\u0301", "\x00", "a\u2028b"]
    one = readings(NAMES[:1])
    table = tmp_path / "readings.parquet"
    pl.concat([one.with_columns(who=pl.lit(name)) for name in names]).write_parquet(table)

    def fit_on(epochs: int, path: Path | None = None) -> tuple[CalibrationModule, Trainer]:
        module, trainer = CalibrationModule(steps_per_epoch=5), Trainer(max_epochs=epochs, **QUIET)
        trainer.fit(module, ReadingsDataModule(str(table), "shown", "ref", instrument="who"), ckpt_path=path)
        return module, trainer

    module, trainer = fit_on(1)
    trainer.save_checkpoint(tmp_path / "c.ckpt")
    assert sorted(module.instruments or []) == sorted(names)
    if earlier:
        loaded = torch.load(tmp_path / "c.ckpt", weights_only=True)
        torch.save(loaded | {"instruments": json.loads(loaded["instruments"])}, tmp_path / "c.ckpt")
    there = CalibrationModule.load_from_checkpoint(tmp_path / "c.ckpt", weights_only=True)
    assert there.instruments == module.instruments
    on, whole = fit_on(2, tmp_path / "c.ckpt")[0], fit_on(2)[0]
    assert (on.instruments, on.steps) == (module.instruments, 10)
    torch.testing.assert_close(on.w, whole.w, rtol=0, atol=0)


@pytest.mark.parametrize("what", ["validate", "test"])
def test_readings_are_scored_by_their_own_lines(what: str, fits: dict[str, Fitted], tmp_path: Path) -> None:
    fitted = fits["one without a line"]
    other = pl.concat([readings(NAMES, 7), readings(("B",), 8).with_columns(who=pl.lit("nobody"))])
    other.write_csv(tmp_path / "other.csv")
    module, trainer = fitted.module, Trainer(default_root_dir=tmp_path, **QUIET)
    data = ReadingsDataModule(str(tmp_path / "other.csv"), "shown", "ref", instrument="who")
    getattr(trainer, what)(module, data, verbose=False)
    each, errors = module.instrument_scores, []
    assert each is not None
    assert module.instruments is not None
    assert each.left_out == 18
    lines = Calibrations.load(fitted.folder)
    for at, name in enumerate(module.instruments):
        own = other.filter(who=name)
        assert each.readings[at] == len(own) == 9
        found = [column[at].item() for column in (each.rmse, each.mean_error, each.largest_error, each.r2)]
        if name == "stuck":
            assert np.isnan(found).all()
            continue
        y = own["ref"].to_numpy()
        error = lines[name].w * own["shown"].to_numpy() + lines[name].b - y
        rmse = np.sqrt(np.mean(error**2))
        expected = [rmse, error.mean(), error[np.abs(error).argmax()], 1 - (rmse / y.std()) ** 2]
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)
        errors.append(error)
    error = np.concatenate(errors)
    prefix = "val" if what == "validate" else "test"
    scores = {name: value.item() for name, value in trainer.callback_metrics.items()}
    assert scores[f"{prefix}/rmse"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-9)
    assert scores[f"{prefix}/mean_error"] == pytest.approx(error.mean(), rel=1e-9, abs=1e-12)
    assert scores[f"{prefix}/largest_error"] == pytest.approx(error[np.abs(error).argmax()], rel=1e-9)


@pytest.mark.filterwarnings("ignore:.*no `val_dataloader`")
@pytest.mark.filterwarnings("ignore:The number of training batches")
def test_a_loader_of_ones_own_names_the_instruments(fits: dict[str, Fitted], tmp_path: Path) -> None:
    module, frame = fits["two"].module, readings(NAMES[:2], 9)
    x, y = (torch.tensor(frame[name].to_numpy()) for name in ("shown", "ref"))
    index = module.index(frame["who"].to_list())
    (predicted,) = Trainer(default_root_dir=tmp_path, **QUIET).predict(  # type: ignore[misc]
        module, DataLoader(TensorDataset(x, index), batch_size=100)
    )
    w, b = module.calibrated
    expected = [w[i].item() * at + b[i].item() for at, i in zip(frame["shown"], index, strict=True)]
    assert predicted.estimate.tolist() == pytest.approx(expected, rel=1e-14, abs=1e-13)  # type: ignore[union-attr]
    start = module.w.detach().clone()
    trainer = Trainer(max_epochs=1, default_root_dir=tmp_path, **QUIET)
    trainer.fit(module, DataLoader(TensorDataset(x, y, index), batch_size=100))
    for i in range(2):  # one step of SGD on each one's own mean squared error
        own = (index == i).numpy()
        scaled = ((x.numpy() - module.offset[i].item()) * module.scale[i].item())[own]
        error = start[i].item() * scaled + fits["two"].module.b[i].item() - y.numpy()[own]
        assert module.w[i].item() == pytest.approx(start[i].item() - 0.01 * 2 * np.mean(error * scaled), rel=1e-12)
    with pytest.raises(InputError, match="of 2, but got indications alone"):
        Trainer(max_epochs=1, default_root_dir=tmp_path, **QUIET).fit(
            module, DataLoader(TensorDataset(x, y), batch_size=2)
        )


@pytest.fixture
def _somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def wide(frame: pl.DataFrame) -> pl.DataFrame:
    """Readings of ``readings`` with a column for each instrument and one common reference."""
    ref = np.linspace(-5, 40, 12)
    columns = {f"probe_{name}": (ref - line_of(name)[1]) / line_of(name)[0] for name in frame["who"].unique().sort()}
    return pl.DataFrame({"ref": ref, **columns})


def fit(capsys: pytest.CaptureFixture[str], *words: str) -> None:
    assert run(capsys, "fit", *words, "--trainer.max_epochs=1", "--trainer.logger=false").code == 0


@pytest.mark.usefixtures("_somewhere")
def test_a_long_table_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    readings(NAMES).write_csv("readings.csv")
    fit(capsys, "--data.path=readings.csv", *ASK)
    assert json.loads(checkpoint()["instruments"]) == ["9", "10", "B", "Küche", "a b", "stuck"]
    rows = [("B", "40.1"), ("nobody", "1"), ("9", "40.1"), ("stuck", "20"), ("10", ""), ("9", "3e1")]
    Path("new.csv").write_text("who,shown\n" + "".join(f"{name},{x}\n" for name, x in rows))
    ended = run(capsys, "predict", "--ckpt_path=last", "--data.path=new.csv", "--data.missing=drop")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == (
        "6 rows, with an estimate each by the least-squares line of its instrument, 1 of them empty for want of an "
        "indication, 2 of them empty as the instrument is unknown or has no line: "
        "logs/predict/version_0/predictions.csv\n"
    )
    assert run(capsys, "apply", "last", "new.csv", "--output=applied.csv").code == 0
    found, expected = pl.read_csv("logs/predict/version_0/predictions.csv"), pl.read_csv("applied.csv")
    assert found.columns == ["who", "shown", "estimate"]
    assert found["estimate"].to_list() == expected["estimate"].to_list()
    assert found["estimate"].is_null().to_list() == [False, True, False, True, True, False]


@pytest.mark.usefixtures("_somewhere")
def test_a_wide_table_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    frame = wide(readings(("10", "9", "B")))
    frame.write_csv("readings.csv")
    fit(capsys, "--data.path=readings.csv", *WIDE)
    assert json.loads(checkpoint()["instruments"]) == ["probe_10", "probe_9", "probe_B"]
    new = frame.select("probe_B", pl.lit(1.5).alias("probe_new"), "probe_10")
    new = new.with_row_index("n").with_columns(probe_B=pl.when(pl.col("n") > 0).then("probe_B"))
    new.write_csv("new.csv")
    ended = run(capsys, "predict", "--ckpt_path=last", "--data.path=new.csv", "--data.missing=drop")
    assert (ended.code, ended.err) == (0, "")
    assert "12 rows, with 3 estimates each by the least-squares line of its instrument, 1 of them empty" in ended.out
    assert "12 of them empty as the instrument is unknown" in ended.out
    assert run(capsys, "apply", "last", "new.csv", "--output=applied.csv").code == 0
    found, expected = pl.read_csv("logs/predict/version_0/predictions.csv"), pl.read_csv("applied.csv")
    for name in ("probe_10.estimate", "probe_B.estimate"):
        assert found[name].to_list() == expected[name].to_list()
    assert found["probe_B.estimate"].null_count() == 1
    assert found["probe_new.estimate"].null_count() == 12
    taken = frame.with_columns(pl.lit(1).alias("probe_9.estimate"))
    taken.write_csv("taken.csv")
    ended = run(capsys, "predict", "--ckpt_path=last", "--data.path=taken.csv")
    assert ended.code == 2
    assert "expected a table without a column 'probe_9.estimate', which predict adds; rename it" in ended.err


@pytest.mark.usefixtures("_somewhere")
@pytest.mark.parametrize("words", [ASK, WIDE], ids=["long", "wide"])
@pytest.mark.parametrize("what", ["validate", "test"])
def test_scores_come_with_a_table_by_instrument(
    words: list[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = readings(NAMES[:3])
    (frame if words is ASK else wide(frame)).write_csv("readings.csv")
    fit(capsys, "--data.path=readings.csv", *words)
    out = run(capsys, what, "--ckpt_path=last", "--trainer.logger=false").out.splitlines()
    assert out[0].startswith(f"{what}: the least-squares line of its instrument on all readings of readings.csv")
    assert out[2].split() == [
        "instrument",
        "readings",
        "rmse",
        "[°C]",
        "mean",
        "error",
        "[°C]",
        "largest",
        "error",
        "[°C]",
    ]
    names = {"9", "10", "B"} if words is ASK else {"probe_9", "probe_10", "probe_B"}
    assert {line.split()[0] for line in out[3:6]} == names
    assert out[6:] == [f"Written: logs/{what}/version_0/scores.csv"]
    written = pl.read_csv(f"logs/{what}/version_0/scores.csv")
    assert written.columns == ["instrument", "readings", "rmse", "mean_error", "largest_error", "r2"]
    assert {str(name) for name in written["instrument"]} == names
    assert written["rmse"].max() < 0.2  # type: ignore[operator]  # °C; another instrument's line is degrees off


@pytest.mark.usefixtures("_somewhere")
def test_a_table_and_a_checkpoint_that_differ_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    readings(NAMES[:2]).write_csv("readings.csv")
    fit(capsys, "--data.path=readings.csv", *ASK)
    for command in ("predict", "validate", "test"):
        ended = run(capsys, command, "--ckpt_path=last", "--data.instrument=null")
        assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
        assert (
            "--data.instrument: expected the column with the name of each reading's instrument, since the " in ended.err
        )
        assert "checkpoint is of 2, but got none; name it" in ended.err
        assert not Path(f"logs/{command}").exists()
    fit(capsys, "--data.path=readings.csv", *ASK[1:])
    for command in ("predict", "validate"):
        ended = run(capsys, command, "--ckpt_path=last", "--data.instrument=who")
        assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
        assert "expected one column of indications and no instruments, since the checkpoint is of one" in ended.err
        assert not Path(f"logs/{command}").exists()


@pytest.mark.usefixtures("_somewhere")
def test_a_fit_goes_on_with_its_own_instruments_only(capsys: pytest.CaptureFixture[str]) -> None:
    frame = readings(NAMES[:2])
    frame.with_columns(other=pl.col("who").replace({"9": "8"})).write_csv("readings.csv")
    fit(capsys, "--data.path=readings.csv", *ASK, "--data.normalization=0.01")
    more = ["fit", "--ckpt_path=last", "--trainer.max_epochs=2"]
    ended = run(capsys, *more, "--data.instrument=other")
    assert ended.code == 2
    assert "--data.instrument: expected those of the checkpoint's run, but these readings are of others" in ended.err
    assert run(capsys, *more).code == 0


@pytest.mark.slow
@pytest.mark.usefixtures("_somewhere")
@pytest.mark.parametrize("words", [ASK, WIDE], ids=["long", "wide"])
def test_two_processes_give_the_answer_of_one(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    frame = readings(NAMES[:3])
    (frame if words is ASK else wide(frame)).write_csv("readings.csv")
    fit(capsys, "--data.path=readings.csv", *words)
    for command, written in (("predict", "predictions.csv"), ("validate", "scores.csv")):
        for more in ([], ["--trainer.devices=2", "--trainer.strategy=ddp"]):
            argv = [command, "--ckpt_path=last", "--trainer.accelerator=cpu", "--trainer.logger=false", *more]
            done = subprocess.run(
                [sys.executable, "-m", "thermofit_pl", *argv], text=True, capture_output=True, check=False, timeout=200
            )
            assert (done.returncode, done.stderr) == (0, "")
        one, two = (pl.read_csv(f"logs/{command}/version_{version}/{written}") for version in (0, 1))
        assert_frame_equal(one, two, check_exact=command == "predict", rel_tol=1e-9, abs_tol=1e-12)  # scores merge
    assert run(capsys, "apply", "last", "readings.csv", "--output=applied.csv").code == 0
    applied, found = pl.read_csv("applied.csv"), pl.read_csv("logs/predict/version_1/predictions.csv")
    names = [name for name in found.columns if name.endswith("estimate")]
    assert len(names) == (1 if words is ASK else 3)
    assert found.select(names).equals(applied.select(names))

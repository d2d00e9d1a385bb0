"""What stands beside the curves, read back from event files: rows, text, pictures; and the fleet's."""

import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from runs import QUIET, default_fit, events, hparams, run, scalars

from thermofit_pl.calibration.calibration import Calibration
from thermofit_pl.callbacks.result import WriteCalibration
from thermofit_pl.callbacks.tensorboard import Curves
from thermofit_pl.reports.tensorboard import SETTINGS, UNITS, as_code, as_list, layout, results
from thermofit_pl.training.datamodule import ReadingsDataModule
from thermofit_pl.training.module import CalibrationModule

RESULTS = results(UNITS)


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Calibration]:
    folder = tmp_path_factory.mktemp("run")
    return folder, default_fit(folder)


def test_each_tag_says_what_it_means(notebook: tuple[Path, Calibration]) -> None:
    found = events(notebook[0])
    for tag in found.Tags()["scalars"]:
        assert found.SummaryMetadata(tag).summary_description, tag


def test_the_row_holds_settings_and_results(notebook: tuple[Path, Calibration]) -> None:
    folder, c = notebook
    columns = hparams(folder, "experiment")
    assert [info.name for info in columns.hparam_infos] == list(SETTINGS)
    assert [info.name.tag for info in columns.metric_infos] == list(RESULTS)
    settings = hparams(folder, "session_start_info").hparams
    expected = {"normalization": "× 0.1", "batch_size": "all", "update_rule": "SGD", "data": "thermometer.csv"}
    assert {name: settings[name].string_value for name in expected} == expected
    assert settings["table_sha256"].string_value == c.data_sha256
    assert (settings["learning_rate"].number_value, settings["steps"].number_value) == (1e-2, 5000)
    assert hparams(folder, "session_end_info").status == 1  # success
    curves = scalars(folder)
    assert c.sgd is not None
    results = [c.sgd.loss, c.rmse, c.w, c.b, 0.0, c.u_w, c.u_b]
    assert [curves[tag] for tag in RESULTS] == [{5000: pytest.approx(value, rel=1e-6)} for value in results]


def test_a_run_that_crashed_has_a_row_and_its_curves(tmp_path: Path) -> None:
    class Crash(Callback):
        def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
            if trainer.current_epoch == 3:
                raise RuntimeError("a crash")

    with pytest.raises(RuntimeError, match="a crash"):
        run(tmp_path, also=(Crash(),))
    assert hparams(tmp_path, "session_start_info").hparams["data"].string_value == "thermometer.csv"
    assert hparams(tmp_path, "session_end_info").status == 2  # failure
    curves = scalars(tmp_path)
    assert max(curves["train/loss"]) == 1500
    assert not set(curves) & set(RESULTS)


def test_steps_that_are_still_needed_are_in_the_row(tmp_path: Path) -> None:
    _, c = run(tmp_path, epochs=2)
    assert c is not None
    assert c.sgd is not None
    assert c.sgd.steps_needed
    assert scalars(tmp_path)["verdict/steps_needed"] == {1000: c.sgd.steps_needed}


def test_no_folder_of_the_data_is_told(tmp_path: Path) -> None:
    secret = tmp_path / "patients of Dr Smith"
    secret.mkdir()
    table = Path(str(files("thermofit_pl.tables") / "thermometer.csv"))
    shutil.copy(table, secret / "ward.csv")
    data = {"path": str(secret / "ward.csv"), "indication": "indication", "reference": "reference"}
    run(tmp_path / "run", data, epochs=1)
    (file,) = (tmp_path / "run").glob("events*")
    assert b"ward.csv" in file.read_bytes()
    assert b"Smith" not in file.read_bytes()


def test_the_layout_names_tags_that_are_there(notebook: tuple[Path, Calibration]) -> None:
    found = events(notebook[0])
    assert "custom_scalars__config__" in found.Tags()["tensors"]
    tags = {tag for charts in layout(UNITS).values() for _, chart in charts.items() for tag in chart[1]}
    assert tags - {"test/rmse"} <= set(found.Tags()["scalars"])


def test_text_is_the_summary_and_the_config(notebook: tuple[Path, Calibration]) -> None:
    found = events(notebook[0])
    said = found.Tensors("fit/result")[0].tensor_proto.string_val[0].decode()
    assert "- w = 0\\.537\\(36\\) °C/unit, b = −17\\.3\\(1\\.9\\) °C" in said
    config = found.Tensors("fit/settings")[0].tensor_proto.string_val[0].decode()
    assert config == "````yaml\nmodel:\n  w: 1.0  # ```\n````"


def test_text_shows_every_character_as_it_is() -> None:
    markdown = pytest.importorskip("markdown")
    hard = "1. *a* _b_ `c` [d](e) <script> & &lt; # f | g ~ \\h ! +1 - i"
    html = markdown.markdown(as_list(f"{hard}\nsecond"), extensions=["markdown.extensions.tables"])
    shown = "1. *a* _b_ `c` [d](e) &lt;script&gt; &amp; &amp;lt; # f | g ~ \\h ! +1 - i"
    assert html == f"<ul>\n<li>{shown}</li>\n<li>second</li>\n</ul>"
    assert as_code("x\n```\n````") == "`````yaml\nx\n```\n````\n`````"


def test_figures_are_the_same_in_the_folder_and_in_tensorboard(notebook: tuple[Path, Calibration]) -> None:
    folder, _ = notebook
    found = events(folder)
    names = ["readings", "errors", "errors_in_order", "loss", "learning_curve"]
    assert sorted(path.name for path in (folder / "figures").iterdir()) == sorted(f"{name}.png" for name in names)
    assert found.Tags()["images"] == [f"fit/{name}" for name in names]
    for name in names:
        (image,) = found.Images(f"fit/{name}")
        assert image.encoded_image_string == (folder / "figures" / f"{name}.png").read_bytes()
        assert (image.width, image.height, image.step) == (640, 480, 5000)


def test_a_fleet_has_curves_figures_and_histograms(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    table = tmp_path / "fleet.csv"
    lines = ["sensor,x,y"]
    for k in range(12):
        x = random.uniform(0, 50, 20)
        y = (1.5 if k == 5 else 1.0 + random.normal(0, 0.01)) * x + random.normal(0, 0.1, 20)
        lines += [f"$s{k}$,{a!r},{b!r}" for a, b in zip(x.tolist(), y.tolist(), strict=True)]
    lines += ["lonely,1.0,2.0"]
    table.write_text("\n".join(lines))
    written = WriteCalibration(tmp_path)
    curves = Curves(tmp_path, lambda: written.calibration)
    logger = TensorBoardLogger(tmp_path, "", "", default_hp_metric=False)
    data = ReadingsDataModule(path=str(table), indication="x", reference="y", instrument="sensor")
    Trainer(max_epochs=2, logger=logger, callbacks=[written, curves], **QUIET).fit(CalibrationModule(), data)
    found = events(tmp_path)
    assert found.Tags()["images"] == ["fit/spread", "fit/outliers", "fit/worst"]
    assert found.Tags()["histograms"] == ["fleet/w", "fleet/b", "fleet/s"]
    assert found.Histograms("fleet/w")[0].histogram_value.num == 12  # the lonely one has no line
    assert [path.name for path in curves.drawn] == ["spread.png", "outliers.png", "worst.png"]
    points = scalars(tmp_path)
    assert set(points["train/loss"]) == set(points["line/distance"]) >= {1, 500, 1000}
    assert not {"line/w", "verdict/w"} & set(points)

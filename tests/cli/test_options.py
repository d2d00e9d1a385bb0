"""Every Trainer option does what it says, or is refused with a sentence."""

import json
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import Callback, LightningModule, Trainer
from running import checkpoint, files, parameters, refused, run, table

RUN = "logs/fit/version_0"


@pytest.fixture(autouse=True)
def _somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


class Watch(Callback):
    """Keeps what a Trainer was, for tests to look at."""

    trainer: Trainer
    metrics: dict[str, Any]
    validations = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        type(self).trainer, type(self).validations = trainer, 0

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        type(self).validations += not trainer.sanity_checking

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        type(self).metrics = dict(trainer.callback_metrics)


def calibration() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(Path(RUN, "calibration.json").read_text(encoding="utf-8"))
    return loaded


MINI = "--data.batch_size 6"  # of 20 readings: four batches an epoch, the last of two


@pytest.mark.parametrize(
    ("words", "steps", "epochs"),
    [
        ("", 5000, 10),
        ("--trainer.max_epochs 3", 1500, 3),
        ("--trainer.max_steps 700", 700, 2),
        ("--trainer.max_steps 5600", 5600, 12),
        ("--trainer.max_steps 700 --trainer.max_epochs 1", 500, 1),
        ("--trainer.max_steps 700 --model.steps_per_epoch 100", 700, 7),
        (f"{MINI} --trainer.max_epochs 3", 12, 3),
        (f"{MINI} --trainer.max_steps 50", 50, 13),
        (f"{MINI} --trainer.max_steps 50 --trainer.max_epochs 2", 8, 2),
        (f"{MINI} --trainer.limit_train_batches 3 --trainer.max_epochs 2", 6, 2),
        (f"{MINI} --trainer.limit_train_batches 0.5 --trainer.max_epochs 2", 4, 2),
        (f"{MINI} --trainer.accumulate_grad_batches 3 --trainer.max_epochs 2", 4, 2),
        ("--data.batch_size 100 --trainer.max_epochs 2", 2, 2),
    ],
)
def test_ends(words: str, steps: int, epochs: int, capsys: pytest.CaptureFixture[str]) -> None:
    ended = run(capsys, "fit", *table(), *words.split())
    assert (ended.code, ended.err) == (0, "")
    assert parameters()[2] == steps
    assert calibration()["sgd"]["steps"] == steps
    assert checkpoint()["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"] == epochs


@pytest.mark.parametrize("words", ["", MINI])
def test_least_epochs_and_steps_outlast_early_stopping(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    stopping = ["--trainer.callbacks=EarlyStopping", "--trainer.callbacks.monitor=train/loss"]
    stopping += ["--trainer.callbacks.patience=1", "--trainer.callbacks.min_delta=1e9"]
    assert run(capsys, "fit", *table(), *words.split(), *stopping).code == 0
    assert checkpoint()["epoch"] == 2
    assert run(capsys, "fit", *table(), *words.split(), *stopping, "--trainer.min_epochs=5").code == 0
    assert checkpoint("logs/fit/version_1")["epoch"] == 5
    if words:
        assert run(capsys, "fit", *table(), *words.split(), *stopping, "--trainer.min_steps=17").code == 0
        assert parameters("logs/fit/version_2")[2] in (17, 20)


@pytest.mark.parametrize("words", ["", MINI])
def test_time(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    ended = run(capsys, "fit", *table(), *words.split(), "--trainer.max_time=00:00:00:01", "--model.steps_per_epoch=1")
    assert ended.code == 0
    assert checkpoint()["epoch"] > 10  # more than without an end, and at most a line for each doubling
    assert ended.out.count("\nstep ") < 20


@pytest.mark.parametrize(("value", "steps"), [("true", 1), ("3", 3)])
def test_a_rehearsal_leaves_no_file(value: str, steps: int, capsys: pytest.CaptureFixture[str]) -> None:
    ended = run(capsys, "fit", f"--trainer.fast_dev_run={value}")
    assert (ended.code, ended.err) == (0, "")
    assert f"After {steps} step" in ended.out
    assert "nothing was written" in ended.out
    assert not Path("logs").exists()


@pytest.mark.parametrize(
    "words",
    [
        "--trainer.gradient_clip_val 0.5",
        "--trainer.accumulate_grad_batches 2",
        "--trainer.limit_train_batches 0.5",
        "--trainer.val_check_interval 0.5",
        "--trainer.min_steps 10",
    ],
)
def test_what_speaks_of_mini_batches_is_refused_with_the_full_batch(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    option, value = words.split()
    refused(
        run(capsys, "fit", option, value), f"{option}: expected it to be left out", f"but got {value}; leave it out"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--trainer.precision 16-mixed", "expected 32-true or 64-true, since w and b are float64 whichever it is"),
        ("--trainer.precision bf16-true", "but got bf16-true, which would round them"),
        ("--trainer.precision 64 --model.dtype float32", "expected one type of w and b, but got 64 and float32"),
        ("--trainer.overfit_batches 2", "nothing to overfit"),
        ("--trainer.log_every_n_steps 5", "the curves of a run show some hundred steps"),
        ("--trainer.model_registry x", "a run stays on this computer"),
        ("--trainer.max_epochs 0", "--trainer.max_epochs: expected more than 0"),
        ("--trainer.max_steps 0", "--trainer.max_steps: expected more than 0"),
        ("--trainer.limit_train_batches 0", "--trainer.limit_train_batches: expected more than 0"),
        ("--trainer.check_val_every_n_epoch 0", "--trainer.check_val_every_n_epoch: expected more than 0"),
        ("--trainer.max_epochs -5", "--trainer.max_epochs: "),
        ("--trainer.max_time x", "--trainer.max_time: "),
        ("--trainer.accelerator nope", "--trainer.accelerator: "),
        ("--trainer.accelerator tpu", "--trainer"),
        ("--trainer.devices 0", "--trainer.devices: "),
        ("--trainer.strategy nope", "--trainer.strategy: "),
        ("--trainer.strategy fsdp", "--trainer.strategy: "),
        ("--trainer.profiler nope", "--trainer.profiler: "),
        ("--trainer.barebones true --trainer.profiler simple", "--trainer.profiler: "),
        ("--trainer.logger false --trainer.callbacks LearningRateMonitor", "LearningRateMonitor"),
        ("--trainer.callbacks EarlyStopping --trainer.callbacks.monitor nope", "metric `nope` which is not available"),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_refused(words: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    ended = run(capsys, "fit", *words.split())
    assert "".join(line for line in ended.out.splitlines() if not line.startswith("step")) == ""
    refused(type(ended)(ended.code, "", ended.err), said)


def test_a_card_that_is_not_there_is_a_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lightning.pytorch.accelerators.CUDAAccelerator.is_available", lambda: False)
    monkeypatch.setattr("lightning.pytorch.accelerators.MPSAccelerator.is_available", lambda: False)
    refused(run(capsys, "fit", "--trainer.accelerator=gpu"), "--trainer.accelerator: No supported gpu backend found!")


HARMLESS = [
    "--trainer.num_sanity_val_steps -1",
    "--trainer.limit_val_batches 0",
    "--trainer.deterministic warn",
    "--trainer.benchmark true",
    "--trainer.inference_mode false",
    "--trainer.sync_batchnorm true",
    "--trainer.reload_dataloaders_every_n_epochs 1",
    "--trainer.use_distributed_sampler false",
    "--trainer.enable_autolog_hparams false",
    "--trainer.precision 64-true",
    "--trainer.accelerator cpu --trainer.devices 1",
    "--trainer.plugins TorchCheckpointIO",
    "--seed_everything 3",
    f"--trainer.callbacks {__name__}.Watch",
]


@pytest.mark.parametrize("words", HARMLESS)
def test_what_changes_no_number(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    ended = run(capsys, "fit", "--trainer.max_epochs=1", "--trainer.logger=false", *words.split())
    assert (ended.code, ended.err) == (0, "")
    state = checkpoint()["state_dict"]  # 500 steps of w ← w − 0.02·mean(e·x), b ← b − 0.02·mean(e) in NumPy:
    assert state["w"].item() == pytest.approx(4.044319952944236, rel=1e-12)
    assert state["b"].item() == pytest.approx(-9.81326151848727, rel=1e-12)


def test_what_changes_no_number_of_mini_batches(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*table(), *MINI.split(), "--trainer.max_epochs=2"]
    assert run(capsys, "fit", *words).code == 0
    together = [words for words in HARMLESS if "benchmark" not in words]  # torch ignores it beside deterministic
    ended = run(capsys, "fit", *words, *" ".join(together).split())
    assert (ended.code, ended.err) == (0, "")
    assert parameters("logs/fit/version_1") == parameters()


def test_what_changes_mini_batch_steps_does_so(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*table(), *MINI.split(), "--trainer.max_epochs=2", "--trainer.logger=false"]
    seen: set[str] = set()
    for more in ("", "--trainer.gradient_clip_val=0.5", "--trainer.accumulate_grad_batches=2"):
        assert run(capsys, "fit", *words, *more.split()).code == 0
        seen.add(parameters(f"logs/fit/version_{len(seen)}")[0])
    assert len(seen) == 3


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ("--trainer.max_epochs 4", 4),
        ("--trainer.max_epochs 4 --trainer.check_val_every_n_epoch 2", 2),
        ("--trainer.max_epochs 4 --trainer.limit_val_batches 0", 0),
        (f"{MINI} --trainer.max_epochs 2 --trainer.val_check_interval 0.67", 2),
        (f"{MINI} --trainer.max_epochs 2 --trainer.val_check_interval 1", 6),
        (f"{MINI} --trainer.max_epochs 4 --trainer.val_check_interval 4 --trainer.check_val_every_n_epoch null", 3),
    ],
)
def test_validations(words: str, count: int, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--data.val_fraction=0.2", f"--trainer.callbacks+={__name__}.Watch"]  # leaves three batches an epoch
    assert run(capsys, "fit", *table(), *words.split(), *more).code == 0
    assert Watch.validations == count
    assert ("val/rmse" in Watch.metrics) == (count > 0)
    assert "train/loss" in Watch.metrics


@pytest.mark.parametrize("monitor", ["train/loss", "val/rmse"])
def test_early_stopping(monitor: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--trainer.callbacks=EarlyStopping", f"--trainer.callbacks.monitor={monitor}"]
    assert run(capsys, "fit", *words, "--trainer.callbacks.min_delta=0.1", "--trainer.max_epochs=50").code == 0
    assert 3 < checkpoint()["epoch"] < 20


@pytest.mark.parametrize("logger", ["true", "false", "lightning.pytorch.loggers.logger.DummyLogger"])
def test_a_checkpoint_callback_writes_into_the_run(logger: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "--trainer.callbacks=ModelCheckpoint",
        "--trainer.callbacks.monitor=val/rmse",
        f"--trainer.logger={logger}",
    ]
    assert run(capsys, "fit", *words, "--trainer.callbacks.save_top_k=2", "--trainer.max_epochs=3").code == 0
    assert {name for name in files() if name.endswith("ckpt")} == {
        f"{RUN}/checkpoints/{name}.ckpt" for name in ("last", "epoch=1-step=2", "epoch=2-step=3")
    }
    assert all(name.startswith(RUN) for name in files())


def test_a_monitor_of_the_learning_rate_logs_each_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--trainer.callbacks=LearningRateMonitor", "--trainer.logger=CSVLogger", "--trainer.logger.save_dir=logs"]
    words += ["--lr_scheduler=ExponentialLR", "--lr_scheduler.gamma=0.5", "--trainer.max_epochs=3"]
    assert run(capsys, "fit", *words).code == 0
    rows = Path(RUN, "metrics.csv").read_text(encoding="utf-8").splitlines()
    column = rows[0].split(",").index("lr-SGD")
    assert [row.split(",")[column] for row in rows[1:] if row.split(",")[column]] == ["0.01", "0.005", "0.0025"]


@pytest.mark.parametrize("logger", ["true", "false"])
@pytest.mark.parametrize("profiler", ["simple", "advanced", "SimpleProfiler"])
def test_profiles_are_in_the_run(profiler: str, logger: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [f"--trainer.profiler={profiler}", f"--trainer.logger={logger}", "--trainer.max_epochs=1"]
    assert run(capsys, "fit", *words).code == 0
    assert "run_training_epoch" in Path(RUN, "fit-profile.txt").read_text(encoding="utf-8")
    assert all(name.startswith(RUN) for name in files())


def test_barebones_keeps_the_result_alone(capsys: pytest.CaptureFixture[str]) -> None:
    ended = run(capsys, "fit", "--trainer.barebones=true")
    assert (ended.code, ended.err) == (0, "")
    assert files() == {f"{RUN}/calibration.json", f"{RUN}/config.yaml"}


def test_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    ended = run(capsys, "fit", "--trainer.enable_progress_bar=false", "--trainer.enable_checkpointing=false")
    assert "step " not in ended.out.split("reference =")[0]
    assert not Path(RUN, "checkpoints").exists()
    ended = run(capsys, "fit", "--trainer.enable_progress_bar=true", "--trainer.max_epochs=1")
    assert ended.out.startswith("step     500   loss 7.860124\n")


def test_a_bar_of_the_user_takes_the_place_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    ended = run(capsys, "fit", "--trainer.callbacks=TQDMProgressBar", "--trainer.max_epochs=1")
    assert ended.code == 0
    assert "Epoch 0" in ended.out + ended.err
    assert not ended.out.startswith("step")


def test_anomalies_are_looked_for(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--trainer.detect_anomaly=true", "--trainer.max_epochs=1", f"--trainer.callbacks+={__name__}.Watch"]
    assert run(capsys, "fit", *words).code == 0
    assert Watch.trainer._detect_anomaly


SHORT = ["--model.steps_per_epoch=5"]
DIVERGING = {
    "momentum": ["--optimizer=SGD", "--optimizer.momentum=0.9", "--model.learning_rate=5"],
    "SGD, short laps": ["--optimizer=SGD", "--optimizer.momentum=0.9", "--model.learning_rate=5", *SHORT],
    "Adam": ["--optimizer=Adam", "--model.learning_rate=1e160"],
    "Adam, one step": ["--optimizer=Adam", "--model.learning_rate=1e200", "--model.steps_per_epoch=1"],
    "mini-batches": [*MINI.split(), "--model.learning_rate=5", "--trainer.max_epochs=50"],
    "mini-batches, at once": [*MINI.split(), "--model.learning_rate=1e300"],
    "single precision": ["--model.dtype=float32", "--model.w=1e30"],
}


@pytest.mark.parametrize("case", DIVERGING)
def test_what_diverges_stops_with_a_sentence_and_no_wrong_number(
    case: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thermofit_pl.cli.training.EpochCheckpoint.__init__.__defaults__", (0.0,))  # save every epoch
    ended = run(capsys, "fit", *table(), *DIVERGING[case])
    assert ended.code == 2
    assert "--model.learning_rate: expected one with which the optimiser converges" in ended.err
    assert ended.err.count("\n") == 1
    assert not Path(RUN, "calibration.json").exists()
    assert Path(RUN, "config.yaml").exists()  # kept with its curves, which say when
    if Path(RUN, "checkpoints", "last.ckpt").exists():
        state = checkpoint()["state_dict"]
        assert all(abs(state[name].item()) < 1e9 for name in ("w", "b"))

"""The training commands: fit, validate, test and predict, by LightningCLI."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from jsonargparse import dict_to_namespace
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from thermofit_pl.arguments import ROOT, Parser, arrange, load_checkpoint
from thermofit_pl.callbacks import (
    ESTIMATE,
    Curves,
    EpochCheckpoint,
    SaveConfig,
    StepBar,
    WriteCalibration,
    WritePredictions,
)
from thermofit_pl.datamodule import ReadingsDataModule
from thermofit_pl.errors import InputError
from thermofit_pl.module import CalibrationModule
from thermofit_pl.options import is_rehearsal, refuse_batch_options, refuse_divergence, refuse_options
from thermofit_pl.summary import summary

EPOCHS = 10  # of a fit, unless told otherwise: 5,000 steps with the full batch, as in the notebook


class CLI(LightningCLI):
    """LightningCLI with one folder for each run, and without what it does silently wrong."""

    checkpoint: dict[str, Any] | None = None
    folder: Path
    written: WriteCalibration
    predictions: WritePredictions

    def _parse_ckpt_path(self) -> None:
        """Leaves the settings as typed: Lightning would let those of the checkpoint win over them."""

    def before_instantiate_classes(self) -> None:
        """Settles the learning rate, and looks at the checkpoint before anything is built."""
        assert self.subcommand is not None
        config = self.config[self.subcommand]
        self._settle_learning_rate(config)
        if config.get("ckpt_path"):
            self.checkpoint = load_checkpoint(Path(config.ckpt_path))
        elif self.subcommand != "fit":
            raise InputError(
                f"--ckpt_path: expected a checkpoint, whose line {self.subcommand} takes, but got none; "
                "--ckpt_path last takes that of the newest fit"
            )
        if config.get("weights_only") is False:
            raise InputError("--weights_only: expected true, since other checkpoints can run code, but got false")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parses the arguments, and keeps them to look up what was typed."""
        self.args = args
        self.config = parser.parse_args(args)

    def _settle_learning_rate(self, config: Any) -> None:
        """Gives the optimiser --model.learning_rate unless --optimizer.lr was given, and a scheduler its optimiser."""
        if config.get("optimizer") is None:
            if config.get("lr_scheduler") is not None:
                init_args = {"lr": config.model.learning_rate}
                config.optimizer = dict_to_namespace({"class_path": "torch.optim.SGD", "init_args": init_args})
            return
        init = config.optimizer.init_args
        if "lr" not in init:
            return
        typed = self.parser.parse_args(self.args, defaults=False)[str(self.subcommand)]
        if typed.get("optimizer.init_args.lr") is None:
            init.lr = config.model.learning_rate
        elif typed.get("model.learning_rate") in (None, init.lr):
            config.model.learning_rate = init.lr
        else:
            raise InputError(
                "--optimizer.lr and --model.learning_rate: expected one of them, or the same number, but got "
                f"{init.lr:g} and {config.model.learning_rate:g}"
            )

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Builds the Trainer with the logger and the callbacks of a run, all in one folder."""
        config = self._get(self.config_init, "trainer")
        if config["max_epochs"] is None and config["max_steps"] == -1 and config["max_time"] is None:
            config["max_epochs"] = EPOCHS
        config["default_root_dir"] = config["default_root_dir"] or ROOT
        if config["accelerator"] == "auto" and not torch.cuda.is_available():
            config["accelerator"] = "cpu"  # Apple's mps has no float64
        self.folder = self._choose_logger(config)
        self.existed = self.folder.exists()
        self.written = WriteCalibration(self.folder)
        self.predictions = WritePredictions(self.folder)
        results: dict[str, Callback] = {"fit": self.written, "predict": self.predictions}
        result = [results[command] for command in results if command == self.subcommand]
        config["callbacks"] = [*(config["callbacks"] or []), *result, *self._progress(config)]
        if not config["barebones"]:
            config["enable_model_summary"] = bool(config["enable_model_summary"])
            config["enable_progress_bar"] = self.subcommand == "fit" and config["enable_progress_bar"] is not False
        self.save_config_kwargs = {"folder": self.folder}
        return super().instantiate_trainer(**kwargs)

    def _progress(self, config: dict[str, Any]) -> list[Callback]:
        """Returns what shows and saves the run while it goes on; nothing with Trainer's barebones."""
        if config["barebones"]:
            return []
        callbacks: list[Callback] = [Curves()]
        if self.subcommand == "fit" and config["enable_progress_bar"] is not False:
            callbacks.append(StepBar())
        if self.subcommand == "fit" and config["enable_checkpointing"] is not False:
            callbacks.append(EpochCheckpoint(self.folder / "checkpoints"))
        return callbacks

    def _choose_logger(self, config: dict[str, Any]) -> Path:
        """Chooses the run's folder; gives it a TensorBoard logger unless another, or none, is asked for."""
        logger = config["logger"]
        loggers = logger if isinstance(logger, list) else [logger]
        for named in loggers:
            if isinstance(named, TensorBoardLogger | CSVLogger):
                return Path(named.log_dir)
        parent = Path(config["default_root_dir"]) / str(self.subcommand)
        versions = [entry.name[8:] for entry in parent.glob("version_*")]
        number = max((int(version) for version in versions if version.isdecimal()), default=-1) + 1
        if (logger is None or logger is True) and not config["barebones"]:
            config["logger"] = TensorBoardLogger(parent.parent, parent.name, number, default_hp_metric=False)
        return parent / f"version_{number}"

    def before_fit(self) -> None:
        """Reads the table and refuses what can't work, before Lightning makes the run's folder."""
        refuse_options(self.trainer)
        if self.datamodule.batch_size is None:
            refuse_batch_options(self.trainer)
        if self.checkpoint is not None:
            self._refuse_another_run(self.checkpoint)
        self.datamodule.setup("fit")
        if self.datamodule.batch_size is None and self.checkpoint is None:
            optimizer = optimizer_of(self.model.configure_optimizers())
            refuse_divergence(self.datamodule.train_dataloader().moments, optimizer)

    def _refuse_another_run(self, checkpoint: dict[str, Any]) -> None:
        """Refuses to go on with other settings than the checkpoint's, which would silently win."""
        group = checkpoint["optimizer_states"][0]["param_groups"][0]
        rate, asked = group.get("initial_lr", group["lr"]), self.model.learning_rate
        if rate != asked:
            raise InputError(
                f"--model.learning_rate: expected {rate:g}, with which the run of the checkpoint goes on, "
                f"but got {asked:g}; leave it out, or start a new fit"
            )

    def before_validate(self) -> None:
        """Opens the table before Lightning makes the run's folder."""
        refuse_options(self.trainer)
        self.datamodule.setup(str(self.subcommand))

    before_test = before_validate

    def before_predict(self) -> None:
        """Checks every row before any estimate is written."""
        self.before_validate()
        table = self.datamodule.table
        if ESTIMATE in table.columns:
            raise InputError(
                f"--data.path: expected a table without a column '{ESTIMATE}', which predict adds; rename it"
            )
        for _ in table.blocks():
            pass

    def after_fit(self) -> None:
        """Prints the result."""
        if self.written.calibration is None:
            return
        print(summary(self.written.calibration))
        if self.datamodule.normalization_rule not in ("none", 1.0):
            w, b, rule = self.model.w.item(), self.model.b.item(), self.datamodule.normalization_rule
            print(f"On normalised indications ({rule}), SGD ended at w {w:.4f}, b {b:.4f}.")
        if self.datamodule.held_out("val"):
            rmse = self.trainer.callback_metrics["val/rmse"]
            print(f"Validation, {self.datamodule.source('val')}: rmse {rmse:.4g} °C (SGD's line).")
        if not is_rehearsal(self.trainer):
            print(f"Written: {self.written.path}")
            if self.trainer.loggers:
                print(f"Look at it: tensorboard --logdir {self.folder.parent.parent}")

    def after_validate(self) -> None:
        """Prints the scores."""
        self._print_scores("val")

    def after_test(self) -> None:
        """Prints the scores."""
        self._print_scores("test")

    @property
    def _line(self) -> str:
        return "the least-squares line" if self.model.line.isfinite().all() else "SGD's line"

    def _print_scores(self, part: Any) -> None:
        if not self.trainer.is_global_zero:
            return
        score = {name.split("/")[1]: value.item() for name, value in self.trainer.callback_metrics.items()}
        print(f"{self.subcommand}: {self._line} on {self.datamodule.source(part)}")
        print(
            f"rmse {score['rmse']:.4g} °C   mean error {score['mean_error']:+.4g} °C   "
            f"largest error {score['largest_error']:+.4g} °C   R² {score['r2']:.6g}"
        )

    def after_predict(self) -> None:
        """Says where the estimates are."""
        if self.predictions.path is not None:
            print(f"{self.predictions.count} rows, with an estimate each by {self._line}: {self.predictions.path}")


def optimizer_of(configured: Any) -> torch.optim.Optimizer:
    """Returns the optimiser out of what ``configure_optimizers`` returned."""
    if isinstance(configured, dict):
        configured = configured["optimizer"]
    elif isinstance(configured, tuple):
        configured = configured[0][0]
    assert isinstance(configured, torch.optim.Optimizer)
    return configured


def main(argv: list[str]) -> int:
    """Runs a training command.

    Args:
        argv: The arguments, the command among them.

    Returns:
        The exit code.

    Raises:
        InputError: For what a user gave and can't be used.
    """
    quiet()
    sys.argv[1:] = argv  # LightningCLI looks at both, and warns where they differ
    cli = CLI.__new__(CLI)
    try:
        cli.__init__(  # type: ignore[misc]  # a run that fails within must still be cleaned up
            CalibrationModule,
            ReadingsDataModule,
            save_config_callback=SaveConfig,
            seed_everything_default=False,
            parser_class=Parser,
            parser_kwargs={"prog": "thermofit_pl"},
            args=arrange(argv),
        )
    except (InputError, MisconfigurationException, FileNotFoundError, ValueError, TypeError) as error:
        if os.environ.get("THERMOFIT_DEBUG"):
            raise
        clean(cli)
        raise InputError(str(error)) from error
    return 0


def clean(cli: CLI) -> None:
    """Removes the folder of a run that ended before it had anything to keep."""
    if not getattr(cli, "existed", True) and not any(cli.folder.rglob("*.ckpt")):
        shutil.rmtree(cli.folder, ignore_errors=True)


def quiet() -> None:
    """Silences what a user can do nothing about."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)  # tips, and which accelerators there are
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")  # torch's own deprecation, met in Lightning
    warnings.filterwarnings("ignore", message=".*configure_optimizers.* will be overridden")  # as it was asked for
    warnings.filterwarnings("ignore", message=".*log_every_n_steps.*")  # we log by our own count of steps

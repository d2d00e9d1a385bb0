"""The training commands: fit, validate, test and predict, by LightningCLI."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from jsonargparse import dict_to_namespace
from lightning.fabric.plugins import CheckpointIO
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, ProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.profilers import PassThroughProfiler

from thermofit_pl.arguments import Parser, arrange
from thermofit_pl.callbacks import SaveConfig, StepBar, WriteCalibration
from thermofit_pl.checkpoints import EpochCheckpoint, LocalCheckpointIO, load_checkpoint
from thermofit_pl.curves import Curves
from thermofit_pl.datamodule import ReadingsDataModule
from thermofit_pl.errors import InputError
from thermofit_pl.module import CalibrationModule
from thermofit_pl.options import (
    is_rehearsal,
    refuse_another_run,
    refuse_batch_options,
    refuse_divergence,
    refuse_options,
    refuse_precision,
    refuse_unused,
)
from thermofit_pl.predictions import ESTIMATE, WritePredictions
from thermofit_pl.report import line_name, print_result, print_scores
from thermofit_pl.run_folder import ROOT, RunFolder
from thermofit_pl.stopping import Signals
from thermofit_pl.wording import count

EPOCHS = 10  # of a fit, unless told otherwise: 5,000 steps with the full batch, as in the notebook
# what Trainer's methods take beside a checkpoint: not the user's to choose
FIXED: dict[str, dict[str, Any]] = {
    "fit": {"weights_only": True},
    "validate": {"weights_only": True, "verbose": False},
    "test": {"weights_only": True, "verbose": False},
    "predict": {"weights_only": True, "return_predictions": False},
}


class CLI(LightningCLI):
    """LightningCLI with one folder for each run, and without what it does silently wrong."""

    command: str
    signals: Signals
    checkpoint: dict[str, Any] | None = None
    folder: RunFolder | None = None
    written: WriteCalibration
    predictions: WritePredictions
    curves: Curves

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]  # Lightning's is static, with all of them
        """Names the command, and the arguments of Trainer's method that are no options.

        The parsers of the others would take 0.3 s, a tenth of a fit's start.
        """
        return {self.command: LightningCLI.subcommands()[self.command] | set(FIXED[self.command])}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds the options that are neither the Trainer's nor the module's nor the data's."""
        about = "Whether fit draws figures of the result, for TensorBoard and as PNG; needs matplotlib, 1 s."
        parser.add_argument("--figures", type=bool, default=True, help=about)

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parses the arguments, and keeps them to look up what was typed."""
        assert isinstance(parser, Parser)
        for name, command in self._subcommand_parsers.items():
            assert isinstance(command, Parser)
            options = command.explain()
            if name == args[0]:
                parser.known = options
        self.args = args
        try:
            self.config = parser.parse_args(args)
        except UnicodeError as error:
            raise InputError(f"--config: expected YAML in UTF-8, but got other bytes ({error})") from error

    def _parse_ckpt_path(self) -> None:
        """Leaves the settings as typed: Lightning would let those of the checkpoint win over them."""

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        """Adds what is not the user's to choose."""
        return super()._prepare_subcommand_kwargs(subcommand) | FIXED[subcommand]

    def before_instantiate_classes(self) -> None:
        """Settles the learning rate, and looks at the checkpoint before anything is built."""
        config = self.config[self.subcommand]
        refuse_unused(config.trainer)
        refuse_precision(config.trainer.precision, config.model.dtype)
        self._settle_learning_rate(config)
        try:
            self.text = self._parser(self.subcommand).dump(config, skip_none=False)
        except ValueError as error:
            raise InputError(f"--trainer: expected options that a configuration can hold, but got {error}") from error
        if config.ckpt_path:
            self.checkpoint = load_checkpoint(Path(config.ckpt_path))
        elif self.subcommand != "fit":
            raise InputError(
                f"--ckpt_path: expected a checkpoint, whose line {self.subcommand} takes, but got none; "
                "--ckpt_path last takes that of the newest fit"
            )

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
        """Builds the Trainer with the logger, the callbacks and the files of a run, all in one folder."""
        config = self._get(self.config_init, "trainer")
        if config["max_epochs"] is None and config["max_steps"] == -1 and config["max_time"] is None:
            config["max_epochs"] = EPOCHS
        if config["accelerator"] == "auto" and not torch.cuda.is_available():
            config["accelerator"] = "cpu"  # Apple's mps has no float64
        if self.datamodule.batch_size is None and not config["barebones"]:
            config["log_every_n_steps"] = 1  # for callbacks that log: with the full batch, an epoch is one batch
        self._place(config)
        config["callbacks"] = [*_listed(config["callbacks"]), *self._callbacks(config)]
        plugins = _listed(config["plugins"])
        if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
            config["plugins"] = [*plugins, LocalCheckpointIO()]
        if not config["barebones"]:
            config["enable_model_summary"] = bool(config["enable_model_summary"])
            asked = config["enable_progress_bar"]
            config["enable_progress_bar"] = asked is True or (self.subcommand == "fit" and asked is None)
        try:
            trainer = super().instantiate_trainer(**kwargs)
        except (MisconfigurationException, ValueError, TypeError, ImportError, RuntimeError) as error:
            raise InputError(_about_trainer(str(error), self.config[self.subcommand].trainer)) from error
        self._place_files(trainer)
        return trainer

    def _place(self, config: dict[str, Any]) -> None:
        """Claims the run's folder, with a TensorBoard logger unless another, or none, is asked for."""
        root, logger = Path(config["default_root_dir"] or ROOT), config["logger"]
        loggers = [] if logger is None or isinstance(logger, bool) else _listed(logger)
        folder = RunFolder(root, str(self.subcommand), loggers)
        self.folder = folder
        if not config["fast_dev_run"]:
            folder.claim()
        config["default_root_dir"] = str(folder.path)
        if not loggers and logger is not False and not config["barebones"]:
            parent = folder.path.parent
            config["logger"] = TensorBoardLogger(parent.parent, parent.name, folder.version, default_hp_metric=False)

    def _callbacks(self, config: dict[str, Any]) -> list[Callback]:
        """Returns what shows and saves the run; of a fit with Trainer's barebones, only the result."""
        assert self.folder is not None
        folder, fits = self.folder.path, self.subcommand == "fit"
        self.written = WriteCalibration(folder)
        self.predictions = WritePredictions(folder)
        self.curves = Curves(folder, lambda: self.written.calibration, self._get(self.config_init, "figures"))
        callbacks: list[Callback] = [] if config["fast_dev_run"] else [SaveConfig(folder, self.text)]
        callbacks += [self.written] if fits else [self.predictions] if self.subcommand == "predict" else []
        if config["barebones"]:
            return callbacks
        callbacks.append(self.curves)
        shows = any(isinstance(callback, ProgressBar) for callback in _listed(config["callbacks"]))
        if fits and config["enable_progress_bar"] is not False and not shows:
            callbacks.append(StepBar())
        if fits and config["enable_checkpointing"] is not False and not config["fast_dev_run"]:
            callbacks.append(EpochCheckpoint(folder / "checkpoints", self.signals))
        return callbacks

    def _place_files(self, trainer: Trainer) -> None:
        """Puts into the run's folder what has no other place of its own."""
        assert self.folder is not None
        for callback in trainer.callbacks:  # type: ignore[attr-defined]  # set by the connector, not in the class
            if isinstance(callback, ModelCheckpoint) and callback.dirpath is None:
                callback.dirpath = str(self.folder.path / "checkpoints")
        profiler = trainer.profiler  # type: ignore[attr-defined]  # likewise
        if not isinstance(profiler, PassThroughProfiler):
            profiler.dirpath = profiler.dirpath or self.folder.path
            profiler.filename = profiler.filename or "profile"

    def before_fit(self) -> None:
        """Reads the table and refuses what can't work, before the first step."""
        refuse_options(self.trainer)
        if self.datamodule.batch_size is None:
            refuse_batch_options(self.trainer)
        optimizer = optimizer_of(self.model.configure_optimizers())
        if self.checkpoint is not None:
            settings = self.config[self.subcommand].model
            refuse_another_run(self.checkpoint, settings, optimizer, self.trainer.max_epochs)
        self.datamodule.setup("fit")
        if self.checkpoint is not None:
            self._refuse_other_readings(self.checkpoint)
        elif self.datamodule.batch_size is None:
            refuse_divergence(self.datamodule.train_dataloader().moments, optimizer)

    def _refuse_other_readings(self, checkpoint: Mapping[str, Any]) -> None:
        """Refuses to go on with other readings than the checkpoint's, or with the same seen through something else."""
        self.datamodule.load_state_dict(checkpoint.get(type(self.datamodule).__qualname__, {}))
        now, before = self.datamodule.normalization, checkpoint["state_dict"]
        if not (torch.equal(now.offset, before["offset"]) and torch.equal(now.scale, before["scale"])):
            raise InputError(
                "--data.normalization: expected that of the checkpoint's run, but these readings are normalised "
                "differently; leave it out, with the split and the missing values as they were, or start a new fit"
            )

    def before_validate(self) -> None:
        """Opens the table before anything is written."""
        refuse_options(self.trainer)
        self.datamodule.setup(str(self.subcommand))
        if self.checkpoint is not None:
            self.datamodule.load_state_dict(self.checkpoint.get(type(self.datamodule).__qualname__, {}))

    before_test = before_validate

    def before_predict(self) -> None:
        """Checks every row before any estimate is written."""
        refuse_options(self.trainer)
        self.datamodule.setup("predict")
        table = self.datamodule.table
        if ESTIMATE in table.columns:
            raise InputError(
                f"--data.path: expected a table without a column '{ESTIMATE}', which predict adds; rename it"
            )
        for _ in table.indications():
            pass

    def after_fit(self) -> None:
        """Prints the result."""
        if self.trainer.is_global_zero and self.written.calibration is not None:
            print_result(self.trainer, self.written, self.curves, figures=self._get(self.config_init, "figures"))

    def after_validate(self) -> None:
        """Prints the scores."""
        if self.trainer.is_global_zero:
            print_scores(self.trainer, str(self.subcommand))

    after_test = after_validate

    def after_predict(self) -> None:
        """Says where the estimates are."""
        if not self.trainer.is_global_zero:
            return
        done = self.predictions
        missing = f", {count(done.missing)} of them empty for want of an indication" if done.missing else ""
        where = "not written: a rehearsal" if is_rehearsal(self.trainer) else done.path
        print(f"{count(done.count)} rows, with an estimate each by {line_name(self.model)}{missing}: {where}")


def _listed(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, list | tuple) else [value]


def _about_trainer(message: str, config: Mapping[str, Any]) -> str:
    """Names the option that a complaint of the Trainer is about, as far as it tells."""
    typed = {name: str(value).lower() for name, value in config.items() if value not in (None, False, True)}
    text = message.lower()
    marks = {name: 2 * (value in text) + (name in text) for name, value in typed.items() if len(value) < 40}
    best = max(marks, key=lambda name: marks[name])
    return f"--trainer{f'.{best}' if marks[best] > 1 else ''}: {message}"


def optimizer_of(configured: Any) -> torch.optim.Optimizer:
    """Returns the optimiser out of what ``configure_optimizers`` returned."""
    if isinstance(configured, dict):
        configured = configured["optimizer"]
    elif isinstance(configured, tuple):
        configured = configured[0][0]
    assert isinstance(configured, torch.optim.Optimizer)
    return configured


def main(argv: list[str], signals: Signals) -> int:
    """Runs a training command.

    Args:
        argv: The arguments, the command among them.
        signals: Those that ask to stop.

    Returns:
        The exit code.

    Raises:
        InputError: For what a user gave and can't be used.
    """
    cli = CLI.__new__(CLI)
    cli.signals = signals
    with quiet():
        try:
            args = arrange(argv)
            cli.command = args[0]
            cli.__init__(  # type: ignore[misc]  # a run that fails within must still be cleaned up
                CalibrationModule,
                ReadingsDataModule,
                save_config_callback=None,
                seed_everything_default=False,
                parser_class=Parser,
                parser_kwargs=parser_kwargs(cli.command),
                args=args,
            )
        except BaseException as error:
            if cli.folder is not None:
                cli.folder.remove()
            if isinstance(error, MisconfigurationException) or "conditioned on metric" in str(error):
                raise InputError(f"--trainer: {error}") from error
            raise
    return 0


def parser_kwargs(command: str) -> dict[str, Any]:
    """Returns how the parsers call themselves: their usage would be 80 lines."""
    program = "python -m thermofit_pl"
    usage = {"usage": f"{program} {command} [options]"}
    return {"prog": program, "usage": f"{program} COMMAND [options]", command: usage}


@contextmanager
def quiet() -> Iterator[None]:
    """Silences what a user can do nothing about, for as long as a command runs."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    wanted = [logging.getLogger(f"lightning.pytorch.callbacks.{name}") for name in ("model_summary", "early_stopping")]
    before = [(logger, logger.level) for logger in loggers + wanted]
    with warnings.catch_warnings():
        for logger in loggers:
            logger.setLevel(logging.WARNING)  # tips, and which accelerators there are
        for logger in wanted:
            logger.setLevel(logging.INFO)  # what was asked for by an option
        for message in (
            r"[\s\S]*LeafSpec",  # torch's own deprecation, met in Lightning
            r"[\s\S]*configure_optimizers.* will be overridden",  # as it was asked for
            r"[\s\S]*deprecated in v4\.\d+\.\d+",  # jsonargparse's, met in Lightning
            r"[\s\S]*JsonargparseDeprecationWarning",
            r"[\s\S]*trying to `self.log\(\)` but `Trainer\(barebones",  # a fit without metrics is what was asked for
            r"[\s\S]*log_every_n_steps",  # curves go by our own count of steps
            r"[\s\S]*recommended to use `self.log\(",  # every process has the same score
            r"[\s\S]*Unable to serialize instance",  # in what config.yaml says of a callback's own default
            r"[\s\S]*Experiment logs directory",  # it is this run's own, with another logger's files
        ):
            warnings.filterwarnings("ignore", message=message)
        try:
            yield
        finally:
            for logger, level in before:
                logger.setLevel(level)

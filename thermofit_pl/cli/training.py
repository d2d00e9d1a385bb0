"""The training commands: fit, validate, test and predict, by LightningCLI."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger

from thermofit_pl import curves
from thermofit_pl.callbacks.checkpoints import BROKEN, EpochCheckpoint, LocalCheckpointIO, broken, load_checkpoint
from thermofit_pl.callbacks.config import SaveConfig
from thermofit_pl.callbacks.predictions import WritePredictions
from thermofit_pl.callbacks.progress import ReadingBar, StepBar
from thermofit_pl.callbacks.result import WriteCalibration
from thermofit_pl.callbacks.scores import WriteScores
from thermofit_pl.callbacks.tensorboard import Curves
from thermofit_pl.cli import processes
from thermofit_pl.cli.arguments import (
    FIRST,
    Parser,
    arrange,
    parser_kwargs,
    settle_learning_rate,
    split_off,
)
from thermofit_pl.cli.building import BatchTrainer, about_trainer, listed, optimizer_of, place_files
from thermofit_pl.cli.columns import print_columns
from thermofit_pl.cli.option_names import training_option
from thermofit_pl.cli.private import TypedCLI, interpreter_flags
from thermofit_pl.cli.report import report
from thermofit_pl.cli.run_folder import ROOT, RunFolder
from thermofit_pl.cli.trust import misshapen, read_configuration
from thermofit_pl.cli.warning_filters import filtered_warnings
from thermofit_pl.curves.base import SHIPPED
from thermofit_pl.distributed.collectives import barrier, destroy
from thermofit_pl.distributed.environment import is_first, launched
from thermofit_pl.distributed.exit_reason import ExitReason, prints
from thermofit_pl.distributed.heartbeat import Heartbeat
from thermofit_pl.distributed.signals import Signals, Stopped
from thermofit_pl.errors import InputError
from thermofit_pl.training.datamodule import ReadingsDataModule
from thermofit_pl.training.module import CalibrationModule
from thermofit_pl.training.options import (
    refuse_another_run,
    refuse_batch_options,
    refuse_precision,
    refuse_unused,
)

PROGRAM = "thermofit_pl"  # what python -m runs
EPOCHS = 10  # of a fit, unless told otherwise: 5,000 steps with the full batch, as in the notebook
# what Trainer's methods take beside a checkpoint: not the user's to choose
FIXED: dict[str, dict[str, Any]] = {
    "fit": {"weights_only": True},
    "validate": {"weights_only": True, "verbose": False},
    "test": {"weights_only": True, "verbose": False},
    "predict": {"weights_only": True, "return_predictions": False},
}


class CLI(TypedCLI):
    """Runs a training command: LightningCLI with one folder for each run, and without what it does silently wrong.

    Args:
        args: The command and its options.
        signals: Those that ask to stop.

    Raises:
        BaseException: What the run ended with, once what it had begun is cleaned up.
    """

    checkpoint: dict[str, Any] | None = None
    folder: RunFolder | None = None
    written: WriteCalibration
    predictions: WritePredictions
    built: Trainer | None = None
    curves: Curves | None = None

    def __init__(self, args: list[str], signals: Signals) -> None:
        self.command, self.signals, self.fixed = args[0], signals, FIXED[args[0]]
        try:
            super().__init__(
                CalibrationModule,
                ReadingsDataModule,
                save_config_callback=None,
                trainer_class=BatchTrainer,
                seed_everything_default=False,
                parser_class=Parser,
                parser_kwargs=parser_kwargs(self.command),
                args=args,
            )
            barrier()
        except BaseException as error:
            ended = self._clean_up(error)
            if ended is error:
                raise
            raise ended from error

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]  # Lightning's is static, with all of them
        """Names the command, and the arguments of Trainer's method that are no options.

        The parsers of the others would take 0.3 s, a tenth of a fit's start.
        """
        return {self.command: LightningCLI.subcommands()[self.command] | set(self.fixed)}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds the options that are neither the Trainer's nor the module's nor the data's."""
        for name in SHIPPED:  # jsonargparse takes the short names of classes that are there
            getattr(curves, name)
        about = "Whether fit draws figures of the result, for TensorBoard and as PNG; needs matplotlib, 1 s."
        parser.add_argument("--figures", type=bool, default=True, help=about)
        about = "Whether fit writes the calibrations of a fleet as CSV too."
        parser.add_argument("--csv", type=bool, default=False, help=about)

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parses the arguments, and keeps them to look up what was typed."""
        assert isinstance(parser, Parser)
        command = self.parser_of(self.command)
        assert isinstance(command, Parser)
        parser.known = command.explain()
        self.args = args
        for option, file in split_off(args, FIRST[:2])[0]:
            read_configuration(Path(file), option)
        try:
            self.config = parser.parse_args(args)
        except InputError:
            raise
        except (*BROKEN, RecursionError) as error:  # jsonargparse's own, where it expects another structure
            raise misshapen(args[0], error) from error

    def before_instantiate_classes(self) -> None:
        """Settles the learning rate, and looks at the checkpoint before anything is built."""
        config = self.config[self.subcommand]
        print_columns(config.data)
        refuse_unused(config.trainer)
        refuse_precision(config.trainer.precision, config.model.dtype)
        settle_learning_rate(config, lambda: self.parser.parse_args(self.args, defaults=False)[self.command])
        try:
            self.text = self.parser_of(self.command).dump(config, skip_none=False)
        except ValueError as error:
            raise InputError(f"--trainer: expected options that a configuration can hold, but got {error}") from error
        if config.ckpt_path:
            self.checkpoint = load_checkpoint(Path(config.ckpt_path))
        elif self.subcommand != "fit":
            raise InputError(
                f"--ckpt_path: expected a checkpoint, whose line {self.subcommand} takes, but got none; "
                "--ckpt_path last takes that of the newest fit"
            )

    def instantiate_classes(self) -> None:
        """Builds what the options name.

        Raises:
            InputError: If they don't go together.
        """
        try:
            super().instantiate_classes()
        except InputError:
            raise
        except (ValueError, TypeError, ImportError) as error:
            typed = self.config[self.command]
            named = [name for name in ("optimizer", "lr_scheduler") if typed.get(name) is not None]
            about = ", ".join(f"--{name}" for name in named) or "options"
            raise InputError(f"{about}: expected arguments that fit together, but got {error}") from error

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Builds the Trainer with the logger, the callbacks and the files of a run, all in one folder."""
        config = self.options["trainer"]
        if config["max_epochs"] is None and config["max_steps"] == -1 and config["max_time"] is None:
            config["max_epochs"] = EPOCHS
        if config["accelerator"] == "auto" and not torch.cuda.is_available():
            config["accelerator"] = "cpu"  # Apple's mps has no float64
        count = processes.process_count(config)
        config["strategy"] = processes.choose_strategy(config, count)
        if count > 1 and launched() is None:
            from thermofit_pl.distributed.launch import launch

            launch([*interpreter_flags(), "-m", PROGRAM, *self.args], count)
            raise SystemExit(0)  # each of them has run the command
        if self.datamodule.batch_size is None and not config["barebones"]:
            config["log_every_n_steps"] = 1  # for callbacks that log: with the full batch, an epoch is one batch
        folder = self._place(config)
        config["callbacks"] = [*listed(config["callbacks"]), *self._callbacks(config)]
        plugins = listed(config["plugins"])
        if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
            config["plugins"] = [*plugins, LocalCheckpointIO()]
        if not config["barebones"]:
            config["enable_model_summary"] = bool(config["enable_model_summary"])
            asked = config["enable_progress_bar"]
            config["enable_progress_bar"] = asked is True or (self.subcommand == "fit" and asked is None)
            self.datamodule.progress = ReadingBar() if config["enable_progress_bar"] and is_first() else None
        try:
            trainer = super().instantiate_trainer(**kwargs)
        except (MisconfigurationException, ValueError, TypeError, ImportError, RuntimeError) as error:
            raise InputError(about_trainer(str(error), self.config[self.subcommand].trainer)) from error
        processes.refuse_strategy(trainer)
        place_files(trainer, folder.path)
        self.built = trainer
        return trainer

    def _place(self, config: dict[str, Any]) -> RunFolder:
        """Claims the run's folder, with a TensorBoard logger unless another, or none, is asked for."""
        root, logger = Path(config["default_root_dir"] or ROOT), config["logger"]
        loggers = [] if logger is None or isinstance(logger, bool) else listed(logger)
        folder = RunFolder(root, str(self.subcommand), loggers)
        self.folder = folder
        if not config["fast_dev_run"]:
            folder.claim()
        config["default_root_dir"] = str(folder.path)
        if not loggers and logger is not False and not config["barebones"]:
            parent = folder.path.parent
            config["logger"] = TensorBoardLogger(parent.parent, parent.name, folder.version, default_hp_metric=False)
        return folder

    def _callbacks(self, config: dict[str, Any]) -> list[Callback]:
        """Returns what shows and saves the run; of a fit with Trainer's barebones, only the result."""
        assert self.folder is not None
        folder, fits = self.folder.path, self.subcommand == "fit"
        self.written = WriteCalibration(folder, self.options["csv"], training_option)
        self.predictions = WritePredictions(folder)
        result = partial(getattr, self.written, "calibration")
        self.curves = Curves(folder, result, self.options["figures"])
        callbacks: list[Callback] = [] if config["fast_dev_run"] else [SaveConfig(folder, self.text)]
        ends = {"fit": self.written, "predict": self.predictions}
        callbacks.append(ends.get(str(self.subcommand)) or WriteScores(folder))
        if config["barebones"]:
            return callbacks
        callbacks.append(self.curves)
        shows = any(isinstance(callback, ProgressBar) for callback in listed(config["callbacks"]))
        if fits and config["enable_progress_bar"] is not False and not shows:
            callbacks.append(StepBar())
        if fits and config["enable_checkpointing"] is not False and not config["fast_dev_run"]:
            callbacks.append(EpochCheckpoint(folder / "checkpoints", self.signals))
        return callbacks

    def before_fit(self) -> None:
        """Refuses what can't work, before the table is read."""
        if self.datamodule.batch_size is None:
            refuse_batch_options(self.trainer)
        optimizer = optimizer_of(self.model.configure_optimizers())
        if self.checkpoint is not None:
            settings = self.config[self.subcommand].model
            refuse_another_run(self.checkpoint, settings, optimizer, self.trainer.max_epochs)

    def after_fit(self) -> None:
        """Prints the result."""
        report(self.trainer, command=self.command, figures=self.options["figures"])

    after_validate = after_test = after_predict = after_fit

    @property
    def options(self) -> dict[str, Any]:
        """The command's, with what they name built."""
        found: dict[str, Any] = self.config_init[self.command]
        return found

    def _clean_up(self, error: BaseException) -> BaseException:
        """Ends what a run that failed had begun, tells the other processes why, and returns the error for its user."""
        before = self.signals.received
        # where another process failed too, its launcher ends this one, maybe while it cleans up
        self.signals.keep(True)
        started = self.curves is not None and self.curves.started
        misused = isinstance(error, MisconfigurationException) or "conditioned on metric" in str(error)
        ended = error
        if misused:
            ended = InputError(f"--trainer: {error}")
        elif self.checkpoint is not None and not started and type(error) in BROKEN:
            ended = broken(error)
        stopped = None if before is None or isinstance(error, Stopped) else Stopped(before)
        prints(ExitReason.of(stopped or ended, training_option))
        if self.folder is not None and (self.built is None or misused or not started):
            self.folder.remove()  # a run that failed later has curves and a row in TensorBoard
        destroy()
        self.signals.received = before
        return ended


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
    # tensors are small, and polars has threads of its own: with two of torch's, a fleet takes 2 to 4 times as long
    torch.set_num_threads(1)
    with filtered_warnings(), Heartbeat(processes.say):
        CLI(arrange(argv), signals)
    barrier()  # nobody's heart beats any more, and whoever keeps the store may go
    destroy()
    return 0

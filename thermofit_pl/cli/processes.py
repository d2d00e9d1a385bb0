"""Runs on several processes: what they say of an error, in one sentence, and how they end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import torch.distributed as dist
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy, StrategyRegistry

from thermofit_pl.cli.launchers import Children, Workers
from thermofit_pl.distributed.collectives import leave, patient, wait
from thermofit_pl.distributed.exit_reason import LostError, Words, is_about_others, lost
from thermofit_pl.distributed.signals import Signals
from thermofit_pl.errors import InputError

SECONDS = 100  # that a step of SGD waits for another process, as one that stands still; Lightning's default is 1,800
KEY = "thermofit_pl/last words"


class Processes(DDPStrategy):
    """Lightning's DDP, whose processes end together, and say in one sentence why.

    Attributes:
        heard: What another process said that ended first.
    """

    def __init__(self, **kwargs: Any) -> None:  # Lightning's own
        super().__init__(**({"timeout": timedelta(seconds=SECONDS)} | kwargs))
        self.heard: Words | None = None
        self._failed = False

    def _configure_launcher(self) -> None:
        """Starts processes by launchers that look after them."""
        assert self.cluster_environment is not None
        if self._start_method == "popen":
            self._launcher = Children(self.cluster_environment, self.num_processes, self.num_nodes)
        else:
            self._launcher = Workers(self, start_method=self._start_method)

    def setup_environment(self) -> None:
        """Meets the others."""
        super().setup_environment()
        patient()

    def barrier(self, *args: Any, **kwargs: Any) -> None:
        """Waits for the others, as long as they are there."""
        wait()

    def on_exception(self, exception: BaseException) -> None:
        """Leaves word for the first process, which speaks for all."""
        self._failed = True
        words = Words.of(exception)
        if dist.is_initialized() and not words.lost:
            with suppress(Exception):  # who kept the store may be gone
                dist.distributed_c10d._get_default_store().set(KEY, words.packed())
        super().on_exception(exception)

    def teardown(self) -> None:
        """Waits until all have ended, and ends the talk; where this process failed, at once: others then fail too."""
        super().teardown()
        if not self._failed:
            wait()
        elif self.global_rank == 0:
            self.heard = _heard()
        leave()


def equip(trainer: Trainer, signals: Signals, args: list[str], report: Callable[[Trainer], None]) -> None:
    """Gives what starts a Trainer's processes what it needs to look after them.

    Args:
        trainer: Whose.
        signals: Those that ask to stop.
        args: Of the command, for processes that start from its beginning.
        report: Prints the result, for processes that share nothing with this one.
    """
    launcher = trainer.strategy.launcher
    if isinstance(launcher, Children):
        launcher.args = args
    elif isinstance(launcher, Workers):
        launcher.signals, launcher.report = signals, report


def is_shared(trainer: Trainer) -> bool:
    """Whether a Trainer runs on processes that talk to each other."""
    return isinstance(trainer.strategy, DDPStrategy)


def starts_workers(trainer: Trainer) -> bool:
    """Whether a Trainer's work is done in other processes than this one."""
    return isinstance(trainer.strategy.launcher, Workers)


def may_read(trainer: Trainer) -> bool:
    """Whether this process may read tables: Polars' threads don't survive a fork."""
    launcher = trainer.strategy.launcher
    return not (isinstance(launcher, Workers) and launcher.forks)


def end(trainer: Trainer | None, error: BaseException | None = None) -> BaseException | None:
    """Ends the other processes of a run, and returns what it failed of, in the words of the one that failed first.

    Args:
        trainer: Whose they are.
        error: What this process failed of, if it did.
    """
    strategy = None if trainer is None else trainer.strategy
    launcher = None if strategy is None else strategy.launcher
    leave()
    how = launcher.end(failed=error is not None) if isinstance(launcher, Children | Workers) else ""
    if error is None or not isinstance(strategy, Processes):
        return error
    if strategy.heard is not None:
        return strategy.heard.error()
    return LostError(lost(how)) if is_about_others(error) else error


def _heard() -> Words | None:
    """Returns the last words that a process has left."""
    if not dist.is_initialized():
        return None
    with suppress(Exception):
        store = dist.distributed_c10d._get_default_store()
        if store.check([KEY]):
            return Words.unpacked(store.get(KEY))
    return None


@contextmanager
def registered() -> Iterator[None]:
    """Lets the names of Lightning's DDP mean ``Processes``, for a Trainer that is made meanwhile."""
    names = [name for name in StrategyRegistry if StrategyRegistry[name]["strategy"] is DDPStrategy]
    for name in names:
        StrategyRegistry[name]["strategy"] = Processes
    try:
        yield
    finally:
        for name in names:
            StrategyRegistry[name]["strategy"] = DDPStrategy


def refuse_strategy(trainer: Trainer) -> None:
    """Refuses strategies that would cut two numbers into pieces.

    Raises:
        InputError: For any but one process, and DDP.
    """
    if not isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy):
        name = type(trainer.strategy).__name__
        raise InputError(
            f"--trainer.strategy: expected ddp, ddp_spawn or ddp_fork, since w and b are two numbers, but got {name}; "
            "leave it out"
        )

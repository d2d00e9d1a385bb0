"""Lightning, torch and jsonargparse say only what a user can do something about."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def filtered_warnings() -> Iterator[None]:
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
            r"[\s\S]*GPU available but not used",  # as it was asked for, or since Apple's has no float64
            r"[\s\S]*log_every_n_steps",  # curves go by our own count of steps
            r"[\s\S]*recommended to use `self.log\(",  # every process has the same score
            r"[\s\S]*Unable to serialize instance",  # in what config.yaml says of a callback's own default
            r"[\s\S]*Experiment logs directory",  # it is this run's own, with another logger's files
        ):
            warnings.filterwarnings("ignore", message=message)
        hook, threading.excepthook = threading.excepthook, _say_once(threading.excepthook)
        try:
            yield
        finally:
            threading.excepthook = hook
            for logger, level in before:
                logger.setLevel(level)


def _say_once(hook: Callable[[threading.ExceptHookArgs], object]) -> Callable[[threading.ExceptHookArgs], object]:
    """Leaves a full disk, met in TensorBoard's thread, to the next write of ours, which meets it too."""
    return lambda caught: None if isinstance(caught.exc_value, OSError) else hook(caught)

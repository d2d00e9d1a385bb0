"""Why a process of a run ended, told to the one that prints it for all."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from thermofit_pl.distributed.environment import Launched, launched
from thermofit_pl.distributed.signals import Stopped
from thermofit_pl.errors import InputError, Setting

if TYPE_CHECKING:
    from torch.distributed import Store, TCPStore  # type: ignore[attr-defined]  # exported, but not by name

GLOO = re.compile(r"gloo|connection (closed|reset|refused)|broken pipe|timed out|socket", re.IGNORECASE)
ANSWER = timedelta(seconds=5)  # that the store of a run has for an answer
_prints: list[bool] = []  # whether this process prints why it ended, once that is settled


class RankLostError(RuntimeError):
    """A process of the run is gone; what is known of it."""


class ExitReason(NamedTuple):
    """Why a process ends.

    Attributes:
        code: Its exit code.
        sentence: What to print.
        is_lost: Whether it ends only because another did.
    """

    code: int
    sentence: str
    is_lost: bool = False

    @classmethod
    def of(cls, error: BaseException, name: Callable[[Setting], str] = str) -> ExitReason:
        """Returns what is to be said of an error that ends a command.

        Args:
            error: It.
            name: Names the settings that it speaks of.
        """
        if isinstance(error, Stopped):
            return cls(error.number, error.sentence)
        if isinstance(error, SystemExit):  # argparse's, after --help
            return cls(int(error.code or 0), "")
        if isinstance(error, InputError):
            return cls(2, error.sentence(name))
        if isinstance(error, RankLostError):
            return cls(1, str(error))
        if isinstance(error, KeyboardInterrupt):
            return cls(130, "interrupted")
        if isinstance(error, BrokenPipeError):
            return cls(1, "standard output was closed before all was written")
        if isinstance(error, OSError) and error.strerror:
            return cls(1, f"{error.strerror}{f': {error.filename}' if error.filename else ''}")
        if is_about_others(error):
            return cls(1, lost(), is_lost=True)
        return cls(1, f"{type(error).__name__}: {error} (THERMOFIT_DEBUG=1 in the environment shows where)")

    def error(self) -> BaseException:
        """Returns an error that says so."""
        if self.code == 2:
            return InputError(self.sentence)
        if self.code > 128:
            stopped = Stopped(self.code - 128)
            stopped.sentence = self.sentence
            return stopped
        return RankLostError(self.sentence)


def lost(how: str = "") -> str:
    """Says that a process is gone.

    Args:
        how: What is known of it, as ``process 1, by SIGKILL``.
    """
    return (
        f"expected all processes of the run to last to its end, but one ended before{how and f': {how}'}; if the run "
        "saved a checkpoint, fit --ckpt_path last goes on from there"
    )


def code_in_words(code: int) -> str:
    """Says how a process ended.

    Args:
        code: Its exit code; of one that a signal killed, minus the signal's number.
    """
    with suppress(ValueError):
        return f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    return f"by signal {-code}"


def is_about_others(error: BaseException) -> bool:
    """Whether an error says no more than that another process is gone."""
    if "torch.distributed" not in sys.modules:
        return False
    from torch.distributed import DistError

    return isinstance(error, DistError) or (type(error) is RuntimeError and bool(GLOO.search(str(error))))


def connect() -> TCPStore:
    """Returns a connection of its own to the store that the processes of a launched run share.

    Raises:
        KeyError: If its place is not known yet, as under SLURM before Lightning has settled it.
        RuntimeError: If it doesn't answer.
    """
    from torch.distributed import TCPStore  # type: ignore[attr-defined]  # exported, but not by name

    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    return TCPStore(host, port, is_master=False, wait_for_workers=False, timeout=ANSWER)


def key(name: str, start: str = "") -> str:
    """Returns the name of a value in the store, which torchrun may keep from one start of a run to the next.

    Args:
        name: What it is called within one start.
        start: Which; by default that of this process.
    """
    start = start or "/".join(os.environ.get(f"TORCHELASTIC_{part}", "") for part in ("RUN_ID", "RESTART_COUNT"))
    return f"thermofit_pl/{start}/{name}"


def leave(store: Store, rank: int, reason: ExitReason) -> bool:
    """Leaves a process's reason in the store; returns whether it is the first there that isn't about others."""
    number = store.add(key("reasons"), 1)
    store.set(key(f"reason {number}"), json.dumps([rank, *reason]))
    return not reason.is_lost and store.add(key("causes"), 1) == 1


def left(store: Store, start: str) -> dict[int, ExitReason]:
    """Returns the reasons that processes left in the store, by their ranks, in the order in which they came."""
    reasons: dict[int, ExitReason] = {}
    for number in range(1, store.add(key("reasons", start), 0) + 1):
        name = key(f"reason {number}", start)
        if store.check([name]):  # one that was killed between the two has counted itself alone
            rank, *reason = json.loads(store.get(name))
            reasons.setdefault(rank, ExitReason(*reason))
    return reasons


def prints(reason: ExitReason) -> bool:
    """Settles, the first time it is asked, whether this process prints why it ends, and tells the others.

    Of a run that this package started, the agent prints it; else the process that is first to have a reason.

    Args:
        reason: Why it ends.
    """
    here = launched()
    if here is None:
        return True
    if not _prints:
        _prints.append(_is_to_print(here, reason))
    return _prints[0]


def _is_to_print(here: Launched, reason: ExitReason) -> bool:
    first = here.rank == 0
    if "torch.distributed" in sys.modules:  # else it ends before it has met the others
        with suppress(KeyError, RuntimeError):
            store = connect()
            first = leave(store, here.rank, reason) or (reason.is_lost and first and not store.add(key("causes"), 0))
    return first and here.agent is None

"""Runs a command in several processes of this computer, by torch's elastic agent, the engine of torchrun."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType

from torch.distributed import TCPStore  # type: ignore[attr-defined]  # exported, but not by name
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from thermofit_pl.distributed.environment import AGENT
from thermofit_pl.distributed.exit_reason import ExitReason, RankLostError, code_in_words, key, left, lost
from thermofit_pl.distributed.signals import Stopped, heeded

HOST = "127.0.0.1"
KILLED_BY_AGENT = (-signal.SIGTERM, 128 + signal.SIGTERM)  # exit codes of those that it ends after another


def launch(command: list[str], processes: int) -> None:
    """Runs this interpreter in several processes, each of which finds torchrun's variables, and waits for them.

    Args:
        command: What follows the interpreter's name: flags of its own, what it runs, and the arguments of that.
        processes: How many.

    Raises:
        InputError: That the processes ended with.
        Stopped: By a signal, which the processes were sent too.
        RankLostError: If one of them failed, or is gone.
    """
    # shared with the agent, which finds it at its port: so that port is free, and what processes leave can be read
    store = TCPStore(HOST, 0, is_master=True, wait_for_workers=False, multi_tenant=True)
    run_id = f"{AGENT}{os.getpid()}"
    start = f"{run_id}/0"  # as processes will call it: there is no other
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=run_id,
        rdzv_backend="static",
        rdzv_endpoint=f"{HOST}:{store.port}",
        rdzv_configs={"rank": 0},
        local_addr=HOST,
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(os.devnull),  # else an empty folder in /tmp is left from each run
        signals_to_handle=",".join(number.name for number in heeded()),
    )
    # an agent takes a $ for the begin of a macro
    words = [word.replace("$", "$$") for word in command]
    with ExitStack() as stack:
        for context in (_silent(), _later(), _suspended_together(store, start, processes)):
            stack.enter_context(context)
        try:
            elastic_launch(config, sys.executable)(*words)
        except SignalException as received:
            raise _stopped(left(store, start), received.sigval) from None
        except ChildFailedError as failed:
            raise _cause(left(store, start), failed.failures) from None


def _stopped(reasons: dict[int, ExitReason], number: int) -> BaseException:
    """Returns what a run ends with that was sent a signal."""
    said = [reason for reason in reasons.values() if reason.code == 128 + number]
    return said[0].error() if said else Stopped(number)


def _cause(reasons: dict[int, ExitReason], failures: dict[int, ProcessFailure]) -> BaseException:
    """Returns what a run ends with of which a process failed."""
    silent = {rank: failure.exitcode for rank, failure in failures.items() if rank not in reasons}
    silent = dict(sorted(silent.items(), key=lambda item: item[1] in KILLED_BY_AGENT))
    causes = [reason for reason in reasons.values() if not reason.is_lost]
    if causes and not (causes[0].code in KILLED_BY_AGENT and silent):
        return causes[0].error()
    return RankLostError(lost(*(f"process {rank}, {code_in_words(code)}" for rank, code in [*silent.items()][:1])))


@contextmanager
def _silent() -> Iterator[None]:
    """Silences the agent, which would print a page of its own about a process that failed."""
    loggers = [logging.getLogger(f"torch.distributed.{name}") for name in ("elastic", "launcher")]
    nowhere = logging.NullHandler()
    for logger in loggers:
        logger.addHandler(nowhere)
        logger.propagate = False
    try:
        yield
    finally:
        for logger in loggers:
            logger.propagate = True
            logger.removeHandler(nowhere)


@contextmanager
def _later() -> Iterator[None]:
    """Starts processes that take no signal before they can: the start of Python would end in a traceback.

    They inherit what this thread blocks, and unblock it (``Signals``). Here, another thread takes the signals; Python
    runs their handlers in this one all the same. The agent puts handlers of its own, and leaves them there.
    """
    done = threading.Event()
    threading.Thread(target=done.wait, name="signals", daemon=True).start()
    handlers = {number: signal.getsignal(number) for number in heeded()}
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, handlers)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        done.set()


@contextmanager
def _suspended_together(store: TCPStore, start: str, processes: int) -> Iterator[None]:
    """Suspends the processes at Ctrl-Z too, and wakes them after: the terminal knows of this one alone."""

    def send(number: signal.Signals) -> None:
        for rank in range(processes):
            if store.check([key(f"process {rank}", start)]):
                with suppress(OSError):
                    os.kill(int(store.get(key(f"process {rank}", start))), number)

    def suspend(number: int, frame: FrameType | None) -> None:
        send(signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)
        send(signal.SIGCONT)

    main = threading.current_thread() is threading.main_thread()  # no other may take signals
    before = signal.signal(signal.SIGTSTP, suspend) if main else None
    try:
        yield
    finally:
        if main:
            signal.signal(signal.SIGTSTP, before)

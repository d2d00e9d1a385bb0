"""Processes of a run see that the others are alive, and end where one stands still or their agent is gone."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

from thermofit_pl.distributed.environment import Launched, launched
from thermofit_pl.distributed.exit_reason import ExitReason, connect, key, leave, lost

if TYPE_CHECKING:
    from torch.distributed import TCPStore  # type: ignore[attr-defined]  # exported, but not by name

EVERY = 1.0  # seconds from beat to beat
STILL = 90.0  # seconds without a beat after which a process is given up; its agent takes another 30 to end it
PAUSE = 10.0  # seconds that one round counts at most: the rest of it this process was itself suspended
PR_SET_PDEATHSIG = 1  # of Linux' prctl: a signal for when the process that started this one is gone


class Heartbeat:
    """Tells the next process of a run, once a second, that this one is alive, and listens to the one before.

    A process that stands still sends nothing, and its sockets stay open: the others would wait in a collective for the
    whole of its time limit. That limit goes on while a run is suspended; the count here doesn't, so that a run that is
    suspended as a whole goes on after.

    Args:
        say: Prints an error where no other way is left.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._over = threading.Event()
        self._store: TCPStore | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Heartbeat:
        """Begins, in a process that a launcher started."""
        here = launched()
        if here is not None:
            if here.agent is not None:
                _die_with_parent(speaks=here.local_rank == 0)
            self._thread = threading.Thread(target=self._watch, args=(here,), name="heartbeat", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Ends; the others must have come as far, or they take this process for one that stands still."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self, here: Launched) -> None:
        before, silence, heard, reached = time.monotonic(), 0.0, 0, False
        while not self._over.wait(EVERY):
            if here.agent is not None and os.getppid() != here.agent:
                if here.local_rank == 0:
                    self._say(lost("the process that started the others was killed"))
                os._exit(1)
            beats = self._exchange(here)
            now = time.monotonic()
            passed, before = min(now - before, PAUSE), now
            if beats is not None and beats != heard:
                silence, heard, reached = 0.0, beats, True
            elif beats is not None or (reached and here.agent is None):  # an agent that is itself suspended is there
                silence += passed
            if silence > STILL:
                self._give_up(here)

    def _exchange(self, here: Launched) -> int | None:
        """Sends a beat, and returns how many the process before this one has sent; None without an answer."""
        try:
            if self._store is None:
                self._store = connect()
                self._store.set(key(f"process {here.rank}"), str(os.getpid()))  # for the agent
            self._store.add(key(f"beats {here.rank}"), 1)
            if self._store.add(key("given up"), 0):
                os._exit(1)
            return int(self._store.add(key(f"beats {(here.rank - 1) % here.world_size}"), 0))
        except (KeyError, RuntimeError):
            self._store = None
            return None

    def _give_up(self, here: Launched) -> None:
        other = (here.rank - 1) % here.world_size
        reason = ExitReason(1, lost(f"process {other} stood still for {STILL:.0f} s"))
        first = here.agent is None
        with suppress(KeyError, RuntimeError):
            store = self._store or connect()
            first = leave(store, here.rank, reason) and first
            store.add(key("given up"), 1)
        if first:
            self._say(reason.sentence)
        os._exit(1)


def _die_with_parent(*, speaks: bool) -> None:
    """Has Linux end this process with the one that started it, also where that is killed; elsewhere a beat finds it.

    Args:
        speaks: Whether this process is to say so first; it is only woken, if it was suspended.
    """
    if sys.platform == "linux":
        number = signal.SIGCONT if speaks else signal.SIGKILL
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)

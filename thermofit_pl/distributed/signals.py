"""Signals that ask a command to stop: at once, or where a fit can go on later; the exit code names the signal."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGTERM", "SIGINT", "SIGHUP")
    if hasattr(signal, name)  # Windows has no SIGHUP
)


class Stopped(SystemExit):
    """A signal asked the command to stop.

    Args:
        number: The signal's.
        where: What to say about where it stopped.

    Attributes:
        number: The exit code.
        sentence: What to say.
    """

    def __init__(self, number: int, where: str = "") -> None:
        self.number = 128 + number
        super().__init__(self.number)
        self.sentence = f"stopped by {signal.Signals(number).name}{where}"


class Signals:
    """Takes SIGTERM, SIGINT and SIGHUP: they end a command by ``Stopped``, or are kept for a fit that asks for them.

    Python's own SIGTERM would leave temporary files behind, and Lightning's ends with exit code 0. A SIGHUP that is
    ignored, as ``nohup`` has it, stays ignored.

    Attributes:
        received: The signal that was received, if there was one.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._kept = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Signals:
        """Starts to listen, where a thread may."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.getsignal(number) for number in heeded()}
            self._listen()
            if hasattr(signal, "pthread_sigmask"):  # those that came while this process started have waited for this
                signal.pthread_sigmask(signal.SIG_UNBLOCK, self._before)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Gives the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def keep(self, kept: bool) -> None:
        """Keeps the next signal in ``received`` instead of stopping at once, from now on or no more; a second stops."""
        self._kept = kept
        if kept and self._before:
            self._listen()  # again: Lightning has put a handler of its own before this one

    def _listen(self) -> None:
        for number in self._before:
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        first, self.received = self.received is None, number
        if not (self._kept and first):
            raise Stopped(number)


def heeded() -> list[signal.Signals]:
    """Returns the signals that ask this process to stop."""
    hangup = getattr(signal, "SIGHUP", None)
    return [n for n in SIGNALS if n != hangup or signal.getsignal(n) != signal.SIG_IGN]

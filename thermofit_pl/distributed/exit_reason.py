"""The last words of a process, which another says for it."""

from __future__ import annotations

import json
import os
import re
import signal
from contextlib import suppress
from typing import NamedTuple

from thermofit_pl.distributed.signals import Stopped
from thermofit_pl.errors import InputError

GLOO = re.compile(r"gloo|connection (closed|reset|refused)|broken pipe|timed out|socket", re.IGNORECASE)


class LostError(RuntimeError):
    """Another process of the run is gone; what is known of it."""


class Words(NamedTuple):
    """What a process would say at its end.

    Attributes:
        code: Its exit code.
        sentence: Why it ended.
        lost: Whether only because another did.
    """

    code: int
    sentence: str
    lost: bool = False

    @classmethod
    def of(cls, error: BaseException) -> Words:
        """Returns the last words of a process that an error ends."""
        if isinstance(error, Stopped):
            return cls(error.number, error.sentence)
        if isinstance(error, InputError):
            return cls(2, str(error))
        text = " ".join(str(error).split())
        return cls(1, f"{type(error).__name__}: {text}", is_about_others(error))

    def packed(self) -> str:
        """Returns them as text."""
        return json.dumps(self)

    @classmethod
    def unpacked(cls, packed: bytes) -> Words:
        """Returns what was packed."""
        code, sentence, lost = json.loads(packed)
        return cls(int(code), str(sentence), bool(lost))

    def error(self) -> BaseException:
        """Returns an error that says so."""
        if self.code == 2:
            return InputError(self.sentence)
        if self.code > 128:
            stopped = Stopped(self.code - 128)
            stopped.sentence = self.sentence
            return stopped
        return LostError(self.sentence)


def lost(how: str = "") -> str:
    """Says that a process is gone.

    Args:
        how: What is known of it, as ``process 1 by SIGKILL``.
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
    from torch.distributed import DistError  # heavy

    if isinstance(error, DistError):
        return True
    return type(error) is RuntimeError and bool(GLOO.search(str(error)))


def is_first() -> bool:
    """Whether this process is the first of its run, whoever started it; it speaks for all and writes the files."""
    for name in ("RANK", "SLURM_PROCID"):  # torchrun, srun
        if name in os.environ:
            return os.environ[name] == "0"
    return os.environ.get("LOCAL_RANK", "0") == "0" and os.environ.get("NODE_RANK", "0") == "0"

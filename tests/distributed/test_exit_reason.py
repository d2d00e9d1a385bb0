import signal

import pytest
from torch.distributed import HashStore  # type: ignore[attr-defined]  # exported, but not by name
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

from thermofit_pl.distributed.exit_reason import ExitReason, RankLostError, leave, left
from thermofit_pl.distributed.launch import _cause, _stopped
from thermofit_pl.distributed.signals import Stopped
from thermofit_pl.errors import InputError, Setting

KILLED, ENDED = -signal.SIGKILL, 128 + signal.SIGTERM


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (InputError(Setting("path"), ": expected a table"), 2, "--path: expected a table"),
        (Stopped(signal.SIGHUP, " and saved"), 129, "stopped by SIGHUP and saved"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (OSError(28, "No space left on device", "x.csv"), 1, "No space left on device: x.csv"),
        (BrokenPipeError(), 1, "standard output was closed before all was written"),
        (KeyError("k"), 1, "KeyError: 'k' (THERMOFIT_DEBUG=1 in the environment shows where)"),
    ],
)
def test_each_error_has_its_code_and_sentence(error: BaseException, code: int, sentence: str) -> None:
    assert ExitReason.of(error, lambda setting: f"--{setting}") == (code, sentence, False)


def test_a_closed_connection_is_about_another_process() -> None:
    import torch.distributed as dist  # as in every process that has met others

    for error in (RuntimeError("gloo: Connection closed by peer"), dist.DistError("x")):
        assert ExitReason.of(error).is_lost
    assert not ExitReason.of(RuntimeError("mat1 and mat2 shapes cannot be multiplied")).is_lost


@pytest.mark.parametrize("error", [InputError("bad row 3"), Stopped(signal.SIGINT), RankLostError("gone")])
def test_a_reason_gives_the_error_again(error: BaseException) -> None:
    again = ExitReason.of(error).error()
    assert type(again) is type(error)
    assert ExitReason.of(again) == ExitReason.of(error)


def test_the_first_that_is_not_about_others_is_the_cause() -> None:
    store = HashStore()
    closed, bad = ExitReason(1, "closed", True), ExitReason(2, "bad row 3")
    assert not leave(store, 2, closed)
    assert leave(store, 1, bad)
    assert not leave(store, 0, bad)
    found = left(store, "/")
    assert list(found.items()) == [(2, closed), (1, bad), (0, bad)]
    error = _cause(found, {rank: _failure(rank, 2) for rank in range(3)})
    assert isinstance(error, InputError)
    assert str(error) == "bad row 3"


def test_a_killed_process_is_the_cause_rather_than_those_that_its_agent_ended() -> None:
    stopped = {0: ExitReason(ENDED, "stopped by SIGTERM")}
    error = _cause(stopped, {0: _failure(0, ENDED), 1: _failure(1, -signal.SIGTERM), 2: _failure(2, KILLED)})
    assert "process 2, by SIGKILL; if the run saved a checkpoint" in str(error)
    assert isinstance(_cause(stopped, {0: _failure(0, ENDED)}), Stopped)  # that was sent it by somebody else


def test_a_stopped_run_says_where_it_saved() -> None:
    saved = ExitReason(130, "stopped by SIGINT and saved")
    error = _stopped({1: ExitReason(1, "closed", True), 0: saved}, signal.SIGINT)
    assert ExitReason.of(error) == saved
    assert ExitReason.of(_stopped({}, signal.SIGINT)) == (130, "stopped by SIGINT", False)


def _failure(rank: int, code: int) -> ProcessFailure:
    return ProcessFailure(local_rank=rank, pid=1, exitcode=code, error_file="/dev/null")

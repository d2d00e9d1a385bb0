"""What starts the processes of a run and looks after them: none is left behind, and none waits for a lost one."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

import torch
import torch.multiprocessing as mp
from lightning.fabric.plugins import ClusterEnvironment
from lightning.fabric.strategies.launchers.multiprocessing import (
    _check_bad_cuda_fork,
    _disable_module_memory_sharing,
)
from lightning.fabric.utilities.distributed import _set_num_threads_if_needed
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.strategies.launchers.multiprocessing import _GlobalStateSnapshot, _MultiProcessingLauncher
from lightning.pytorch.strategies.launchers.subprocess_script import _SubprocessScriptLauncher
from lightning.pytorch.trainer.call import _interrupt
from torch.multiprocessing.spawn import ProcessExitedException, start_processes

from thermofit_pl.cli.terminal import settle_streams
from thermofit_pl.cli.warning_filters import quiet
from thermofit_pl.distributed.exit_reason import LostError, Words, code_in_words, lost
from thermofit_pl.distributed.signals import Signals, Stopped
from thermofit_pl.errors import InputError

GRACE = 10.0  # seconds that processes have to end by themselves after one of them is lost
PARENT = "THERMOFIT_PL_PARENT"  # names the first process to those that it starts
PROGRAM = "thermofit_pl"  # what python -m runs


class Children(_SubprocessScriptLauncher):
    """Starts the same command again for each further process on this computer, or leaves that to torchrun or SLURM.

    Lightning's own ends all processes by SIGKILL, this one too, if one of them ends badly.
    """

    args: list[str]

    def __init__(self, cluster_environment: ClusterEnvironment, num_processes: int, num_nodes: int) -> None:
        super().__init__(cluster_environment, num_processes, num_nodes)
        self._over = threading.Event()

    def launch(self, function: Callable[..., Any], *args: Any, trainer: Trainer | None = None, **kwargs: Any) -> Any:
        """Starts the processes, and runs a function in this one.

        Raises:
            InputError: If there are more or fewer processes than the Trainer was told.
        """
        try:
            self.cluster_environment.validate_settings(num_devices=self.num_processes, num_nodes=self.num_nodes)
        except ValueError as error:
            raise InputError(f"--trainer.devices, --trainer.num_nodes: {error}") from error
        if not self.cluster_environment.creates_processes_externally:
            self._call_children_scripts()
            threading.Thread(target=self._watch, name="processes", daemon=True).start()
        elif PARENT in os.environ:
            threading.Thread(target=self._watch_parent, name="first process", daemon=True).start()
        settle_streams()
        _set_num_threads_if_needed(num_processes=self.num_processes)
        return function(*args, **kwargs)

    def _call_children_scripts(self) -> None:
        self._check_can_spawn_children()
        environment = os.environ | {
            "MASTER_ADDR": self.cluster_environment.main_address,
            "MASTER_PORT": str(self.cluster_environment.main_port),
            "NODE_RANK": str(self.cluster_environment.node_rank()),
            "WORLD_SIZE": str(self.num_processes * self.num_nodes),
            PARENT: str(os.getpid()),
        }
        flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # as multiprocessing does
        command = [sys.executable, *flags, "-m", PROGRAM, *self.args]
        for rank in range(1, self.num_processes):
            self.procs.append(subprocess.Popen(command, env=environment | {"LOCAL_RANK": str(rank)}))

    def _watch(self) -> None:
        """Ends the run, where a process has ended badly and this one has not noticed."""
        while not self._over.wait(0.25):
            if any(process.poll() for process in self.procs):
                if not self._over.wait(GRACE):
                    self._give_up(lost(self._how()))
                return

    def _watch_parent(self) -> None:
        """Ends this process, where the first one is gone."""
        while not self._over.wait(0.5):
            if self._speak_for_parent():
                os._exit(1)

    def _speak_for_parent(self) -> bool:
        """Says, if the first process is gone, what it can't; returns whether it is."""
        gone = PARENT in os.environ and os.getppid() != int(os.environ[PARENT])
        if gone and os.environ["LOCAL_RANK"] == "1":
            say(lost("the first process was killed"))
        return gone

    def _give_up(self, sentence: str) -> None:
        self.kill_all()
        say(sentence)
        os._exit(1)

    def _how(self) -> str:
        codes = {rank: process.poll() for rank, process in enumerate(self.procs, start=1)}
        killed = [rank for rank, code in codes.items() if code and code < 0] or [r for r, code in codes.items() if code]
        return f"process {killed[0]}, {code_in_words(codes[killed[0]] or 0)}" if killed else ""

    def end(self, *, failed: bool) -> str:
        """Waits for the other processes, not for long where this one failed; says which ended badly, and how."""
        self._over.set()
        if not self.procs:
            self._speak_for_parent()
            return ""
        until = time.monotonic() + (GRACE / 2 if failed else 6 * GRACE)
        for process in self.procs:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, until - time.monotonic()))
        how = self._how()
        self.kill_all()
        return how

    def kill_all(self) -> None:
        """Ends processes that are left."""
        for process in self.procs:
            if process.poll() is None:
                process.kill()
                process.wait()


class Workers(_MultiProcessingLauncher):
    """Spawns or forks all processes of a run, each of which reads its share; this one waits for them."""

    signals: Signals
    report: Callable[[Trainer], None]
    _strategy: DDPStrategy

    @property
    def forks(self) -> bool:
        """Whether processes start as copies of this one."""
        return self._start_method != "spawn"

    def launch(self, function: Callable[..., Any], *args: Any, trainer: Trainer | None = None, **kwargs: Any) -> Any:
        """Runs a function in every process.

        Raises:
            InputError: What the processes found.
        """
        assert trainer is not None
        assert self._strategy.cluster_environment is not None
        if self.forks:
            _check_bad_cuda_fork()
        os.environ["MASTER_PORT"] = str(self._strategy.cluster_environment.main_port)
        context = mp.get_context(self._start_method)
        queue = context.SimpleQueue()
        states = None if self.forks else _GlobalStateSnapshot.capture()
        sys.stdout.flush()  # else each process would write what is left in it
        started = start_processes(  # type: ignore[no-untyped-call]  # torch ships no type for it
            self._wrapping_function,
            args=(trainer, function, args, kwargs, queue, states),
            nprocs=self._strategy.num_processes,
            join=False,
            start_method=self._start_method,
        )
        self.procs = started.processes
        words, metrics = self._wait(started, queue)
        if words is not None:
            raise LostError(words.sentence) if words.lost else words.error()
        trainer.callback_metrics.update(torch.load(io.BytesIO(metrics), weights_only=True))
        return None

    def _wait(self, started: Any, queue: Any) -> tuple[Words | None, bytes]:
        """Waits for all processes, and hands on signals to them."""
        heard: list[Words] = []
        metrics, sent, done = b"", None, False
        self.signals.keep(True)
        while not done:
            try:
                done = started.join(timeout=0.2, grace_period=GRACE)
            except ProcessExitedException as error:  # those that fail by themselves put it into words
                code = error.exit_code
                heard.append(Words(1, lost(f"process {error.error_index}, {code_in_words(code)}"), lost=True))
                done = True
            while not queue.empty():
                code, sentence, is_lost, found = queue.get()
                metrics = found or metrics
                if code:
                    heard.append(Words(code, sentence, is_lost))
            if self.signals.received is not None and sent is None:
                sent = self.signals.received
                self.kill(sent)
        self.signals.keep(False)
        first = next((words for words in heard if not words.lost), heard[0] if heard else None)
        if first is not None and first.lost and sent is not None:
            first = Words.of(Stopped(sent))
        return first, metrics

    def _wrapping_function(
        self,
        process_idx: int,
        trainer: Trainer | None,
        function: Callable[..., Any],
        args: Any,
        kwargs: Any,
        return_queue: Any,
        global_states: _GlobalStateSnapshot | None = None,
    ) -> None:
        assert trainer is not None
        if global_states is not None:
            global_states.restore()
            args, kwargs = _disable_module_memory_sharing((args, kwargs))
        settle_streams()
        _set_num_threads_if_needed(num_processes=self._strategy.num_processes)
        os.environ["LOCAL_RANK"] = str(process_idx)
        with ExitStack() as stack:
            stack.enter_context(quiet())
            stack.enter_context(self.signals)
            self.signals.keep(False)
            try:
                function(*args, **kwargs)
                metrics = io.BytesIO()
                torch.save({name: value.cpu() for name, value in trainer.callback_metrics.items()}, metrics)
                if process_idx == 0:
                    self.report(trainer)
                    sys.stdout.flush()
                return_queue.put((0, "", False, metrics.getvalue() if process_idx == 0 else b""))
            except BaseException as error:  # which this process' parent raises again
                with suppress(BaseException):
                    _interrupt(trainer, error)
                with suppress(BaseException):
                    trainer._teardown()
                return_queue.put((*Words.of(error), b""))

    def end(self, *, failed: bool) -> str:
        """Ends processes that are left."""
        for process in self.procs:
            if process.is_alive():
                process.kill()
                process.join()
        return ""


def say(sentence: str) -> None:
    """Prints an error where no other way is left."""
    with suppress(OSError, AttributeError):
        print(f"thermofit_pl: error: {sentence}", file=sys.stderr, flush=True)

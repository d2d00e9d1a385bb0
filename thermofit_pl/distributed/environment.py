"""What a launcher of processes, torchrun or SLURM, has put into the environment: read here alone."""

from __future__ import annotations

import os
from typing import NamedTuple

AGENT = "thermofit_pl-"  # begins the run id of processes that this package started; its agent's process id follows
TORCHRUN = ("TORCHELASTIC_RUN_ID", "RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
SLURM = ("SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID")
# whatever Lightning takes for the mark of a launcher, or of a process that is not the first
MARKS = ("TORCHELASTIC_RUN_ID", "RANK", "WORLD_SIZE", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", *SLURM)


class Launched(NamedTuple):
    """A process that a launcher has started.

    Attributes:
        rank: Its number in the run; the first, 0, writes the files.
        world_size: How many there are.
        local_rank: Its number on this computer.
        agent: The process id of the command that started it, if that was this package's own.
    """

    rank: int
    world_size: int
    local_rank: int
    agent: int | None


def launched() -> Launched | None:
    """Returns what torchrun or SLURM said of this process; None if neither has started it."""
    environment = os.environ
    if all(name in environment for name in TORCHRUN):
        run_id = environment["TORCHELASTIC_RUN_ID"]
        agent = int(run_id.removeprefix(AGENT)) if run_id.startswith(AGENT) else None
        rank, world_size, local_rank = (int(environment[name]) for name in TORCHRUN[1:4])
        return Launched(rank, world_size, local_rank, agent)
    interactive = environment.get("SLURM_JOB_NAME") in ("bash", "interactive")  # as Lightning has it: no srun there
    if all(name in environment for name in SLURM) and not interactive:
        world_size, rank, local_rank = (int(environment[name]) for name in SLURM[:3])
        return Launched(rank, world_size, local_rank, None)
    return None


def is_first() -> bool:
    """Whether this process is the first of its run."""
    here = launched()
    return here is None or here.rank == 0


def forget_stray_marks() -> None:
    """Takes a launcher's variables out of the environment, unless all are there.

    A RANK or SLURM_PROCID that some shell or container has left there would make Lightning's loggers and callbacks
    silent, and a LOCAL_RANK its Trainer wait for processes that nobody starts.
    """
    if launched() is None:
        for name in MARKS:
            os.environ.pop(name, None)

"""How many processes a command is run in, and by which of Lightning's strategies they share its work."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.accelerators import Accelerator, CPUAccelerator, CUDAAccelerator
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy, Strategy, StrategyRegistry

from thermofit_pl.distributed.environment import launched
from thermofit_pl.errors import InputError

# of a step of SGD: the heartbeat finds a process that stands still, and a limit would end a run that was suspended
TIMEOUT = timedelta(days=1)
WITHIN_PYTHON = ("ddp_spawn", "ddp_fork", "ddp_notebook")


def process_count(options: Mapping[str, Any]) -> int:
    """Returns how many processes on this computer a Trainer's options ask for, as Lightning reads them.

    Args:
        options: The Trainer's; those that it refuses count as one, so that it says why.
    """
    named, devices = options["accelerator"], options["devices"]
    accelerators: dict[Any, type[Accelerator]] = {
        "cpu": CPUAccelerator,
        "gpu": CUDAAccelerator,
        "cuda": CUDAAccelerator,
    }
    accelerators["auto"] = CUDAAccelerator if torch.cuda.is_available() else CPUAccelerator
    accelerator = type(named) if isinstance(named, Accelerator) else accelerators.get(named)
    if accelerator is None:
        return 1
    with suppress(MisconfigurationException, TypeError, ValueError):
        found = accelerator.parse_devices(accelerator.auto_device_count() if devices == "auto" else devices)
        return found if isinstance(found, int) else len(found or [None])
    return 1


def choose_strategy(options: Mapping[str, Any], processes: int) -> Any:
    """Returns the strategy for a Trainer: DDP for several processes, none of its own for one.

    Args:
        options: The Trainer's.
        processes: How many run on this computer.

    Raises:
        InputError: For strategies that start processes within Python, and for nodes that nobody starts.
    """
    chosen, nodes = options["strategy"], options["num_nodes"]
    if isinstance(chosen, str) and chosen.startswith(WITHIN_PYTHON):
        raise InputError(f"--trainer.strategy: expected ddp, which starts each process by itself, but got {chosen}")
    if nodes > 1 and launched() is None:
        raise InputError(
            "--trainer.num_nodes: expected 1, or a command that torchrun or srun starts on each of the nodes, but got "
            f"{nodes}; start it by torchrun --nnodes {nodes} on each"
        )
    if isinstance(chosen, Strategy):
        return chosen
    several = processes * nodes > 1
    if chosen == "auto":
        return DDPStrategy(timeout=TIMEOUT) if several else chosen
    if chosen not in StrategyRegistry or StrategyRegistry[chosen]["strategy"] is not DDPStrategy:
        return chosen
    if not several and launched() is None:
        return "auto"
    return DDPStrategy(timeout=TIMEOUT, **StrategyRegistry[chosen]["init_params"])


def refuse_strategy(trainer: Trainer) -> None:
    """Refuses strategies that would cut two numbers into pieces, and another number of processes than there are.

    Raises:
        InputError: For any but one process, and DDP.
    """
    if not isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy):
        name = type(trainer.strategy).__name__
        raise InputError(
            f"--trainer.strategy: expected ddp, since w and b are two numbers, but got {name}; leave it out"
        )
    here = launched()
    if here is not None and here.world_size != trainer.num_devices * trainer.num_nodes:
        raise InputError(
            f"--trainer.devices, --trainer.num_nodes: expected {here.world_size} processes in all, as many as were "
            f"started, but got {trainer.num_devices} devices on {trainer.num_nodes} nodes"
        )


def say(sentence: str) -> None:
    """Prints an error where no other way is left."""
    with suppress(OSError, AttributeError):
        print(f"thermofit_pl: error: {sentence}", file=sys.stderr, flush=True)

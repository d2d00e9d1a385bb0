"""Where the processes of one run tell each other what they have, however long one of them takes until then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch.distributed as dist

from thermofit_pl.errors import InputError

LONG = timedelta(days=1)  # one process may read, or write figures, while others wait; a lost one ends the wait
_groups: dict[int, Any] = {}  # of this process, by the group of all that they are beside


def is_shared() -> bool:
    """Whether this process can talk to others of its run."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def long_timeout_group() -> Any:
    """Returns a group of all processes without the time limit of SGD's steps; all must ask for it together first."""
    everybody = id(dist.group.WORLD)
    if everybody not in _groups:
        _groups.clear()
        _groups[everybody] = dist.new_group(backend="gloo", timeout=LONG)
    return _groups[everybody]


def barrier() -> None:
    """Waits for all processes."""
    if is_shared():
        dist.barrier(group=long_timeout_group())


def destroy() -> None:
    """Ends the process group, if there is one; gloo's threads would else abort some processes at their exit."""
    if dist.is_available() and dist.is_initialized():
        _groups.clear()
        dist.destroy_process_group()


def all_gather(value: Any) -> list[Any]:
    """Returns the value of every process, in the order of their ranks."""
    if not is_shared():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value, group=long_timeout_group())
    return values


@contextmanager
def raised_together() -> Iterator[None]:
    """Raises an InputError of one process on all of them, once each has come to the end of the block."""
    failed: InputError | None = None
    try:
        yield
    except InputError as error:
        failed = error
    raise_together(failed)


def raise_together(error: InputError | None) -> None:
    """Raises the error of the first process that has one, on all of them.

    Raises:
        InputError: That error.
    """
    for parts in all_gather(None if error is None else error.args):
        if parts is not None:
            raise InputError(*parts) from error

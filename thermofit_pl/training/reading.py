"""The passes over the readings of a fit, by one process or by several, each with its share: one for most curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from thermofit_pl.distributed.collectives import all_gather, raised_together
from thermofit_pl.metrics.accumulator import Accumulator, one_thread
from thermofit_pl.tables.labels import UNKNOWN
from thermofit_pl.tables.split import Part, Split
from thermofit_pl.training.instruments import lookup

if TYPE_CHECKING:
    from torch import Tensor

    from thermofit_pl.curves.base import Curve
    from thermofit_pl.tables.table import Table

SHARED = 64 << 20  # bytes of a table from which processes read a share each; a smaller one, each reads whole


class Reading:
    """Reads the tables of a fit, and merges what the processes have read.

    ``read`` and ``merge`` are a pass; ``go_on`` says whether another must follow.

    Args:
        tables: That of the training readings, and those of other parts that have one of their own.
        split: What is held out of the first.
        curve: Whose features the readings are seen through.
        log: Whether they are a log.
        keep: Whether they are kept, for mini-batches.
        seed: Of the sample.

    Attributes:
        accumulator: What was read; once ``merge`` has run, of all processes.
        dropped: How many rows were left out, likewise.
        digest: SHA-256 of the training readings' files, likewise.
    """

    accumulator: Accumulator
    dropped: int
    digest: str | None

    def __init__(
        self, tables: Mapping[Part, Table], split: Split, curve: Curve, *, log: bool, keep: bool, seed: int
    ) -> None:
        self.tables = tables
        self.split = split
        self.curve = curve
        self._options = {"log": log, "keep": keep, "fleet": tables["train"].instruments() is not None}
        self._seed = seed
        self._shared, self._first = False, True
        self._following: Accumulator | None = None

    def read(self, rank: int, world: int, progress: Callable[[int, int], None] | None = None) -> None:
        """Reads the tables, or of a large one this process's share.

        Args:
            rank: This process's.
            world: Number of processes.
            progress: Called with the bytes read so far and those of the training readings' table.

        Raises:
            InputError: If the readings can't be used.
        """
        table = self.tables["train"]
        self._shared = world > 1 and table.n_bytes >= SHARED and not self._options["keep"] and not self.split
        # a log that must be sorted is read whole by each process anyway
        self._shared = self._shared and table.is_in_order()
        share = (rank, world) if self._shared else (0, 1)
        self._first = share[0] == 0
        if self._following is None:
            curve, about = self._framed(rank) if self._shared else (self.curve, None)
            before = table.counts(share) if self._options["log"] and share[0] else None
            self._following = Accumulator(seed=self._seed, curve=curve, about=about, before=before, **self._options)
        self.accumulator = self._following
        told = None if progress is None else lambda done: progress(done, table.n_bytes)
        with one_thread():
            for part, block in self.split.cut(table, table.blocks(share=share, progress=told)):
                self.accumulator.add(part, block)
            self.accumulator.flush()
        self.dropped = table.dropped
        self.digest = table.sha256() if share[0] == 0 else None  # it refuses a table that changed meanwhile

    def merge(self) -> None:
        """Puts the instruments into the order of their names, and merges what processes read a share each of.

        Other parts' tables are read only now, when the instruments are known: those without training readings are left
        out.

        Raises:
            InputError: If their readings can't be used.
        """
        train = self.tables["train"]
        self.accumulator.reindex(train.instruments(), train.groups())
        with raised_together(), one_thread():
            for part, table in self.tables.items():
                if part != "train" and self._first:
                    self._add(part, table)
            self.accumulator.flush()
        if self._shared:
            self.accumulator.all_reduce()
            self.dropped = sum(all_gather(self.dropped))
            self.digest = all_gather(self.digest)[0]

    def go_on(self) -> bool:
        """Says whether the readings must be read again, about the solution that was found of them.

        Raises:
            InputError: If those of one instrument don't settle.
        """
        self._following = self.accumulator.following(self.tables["train"].instruments())
        return self._following is not None

    def _add(self, part: Part, table: Table) -> None:
        """Takes in the readings of a part that has a table of its own, by the names of their instruments."""
        look_up = lookup(table, self.accumulator.instruments)
        for block in table.blocks():
            if look_up is not None and block.instrument is not None:
                index = look_up(block.instrument).numpy()
                block = replace(block, instrument=index).take(np.flatnonzero(index != UNKNOWN))
            if len(block.indication):
                self.accumulator.add(part, block)

    def _framed(self, rank: int) -> tuple[Curve, Tensor | None]:
        """The curve as the table's first readings frame it, and what the pass is linearised about, by one process."""
        first = Accumulator(curve=self.curve, fleet=bool(self._options["fleet"]))
        with raised_together():
            block = next(self.tables["train"].blocks(), None) if rank == 0 else None
            if block is not None:
                first.begin(block)
        train = first.moments["train"]
        found: tuple[Curve, Tensor | None] = all_gather((train.curve, train.about))[0]
        return found

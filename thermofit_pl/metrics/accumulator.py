"""What one pass over a table leaves: the moments of each part, a sample, and what the order of a log tells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thermofit_pl.curves.base import Curve
from thermofit_pl.curves.line import Line
from thermofit_pl.distributed.collectives import all_gather
from thermofit_pl.errors import InputError
from thermofit_pl.functional.york import Uncertain
from thermofit_pl.metrics.both_axes import (
    Indications,
    both_axes,
    in_one_ratio,
    indications_in_one_ratio,
    indications_of,
)
from thermofit_pl.metrics.forming import Workspace
from thermofit_pl.metrics.moments import Moments, as_parts, as_tensor
from thermofit_pl.metrics.passes import MOST, needs_another, of_block, refuse_unsettled, solution
from thermofit_pl.metrics.time_order import TimeOrder
from thermofit_pl.metrics.view import Formed
from thermofit_pl.tables.labels import index_of
from thermofit_pl.tables.sample import SAMPLE_SIZE, Sample
from thermofit_pl.tables.split import PARTS, Part
from thermofit_pl.tables.stated import UncertaintyOptions
from thermofit_pl.tables.table import Block

FLEET_SAMPLE = 1_000_000  # readings of a fleet to look at again: a hundred of each of 10,000 instruments, 32 MB
PENDING = 1 << 20  # readings of a fleet that are added at once: as many as instruments at least, or merging costs more
FORMED = 64  # blocks of one instrument that are merged at once


class Accumulator:
    """Takes readings in, a block at a time.

    Args:
        fleet: Whether blocks name the instrument of each reading.
        log: Whether the readings are a log.
        keep: Whether the readings are kept, for mini-batches.
        seed: Of the sample.
        curve: Whose features the readings are seen through; None is the straight line.
        before: Of a log, how many readings of each instrument other processes take in before this one's, shape
            ``(instruments,)``; None where this is the first.
        about: The solution that the pass is linearised about, by code of the instrument; None for the first pass.

    Attributes:
        moments: Of each part's readings.
        sample: Of the training readings.
        log: What the order in time of the training readings tells, if they are a log.
        instruments: The names of the instruments, in the order of the moments, once ``reindex`` has run; None for one.
        indications: What the indications' uncertainties come to, once ``profile`` has run; None where none are stated.
    """

    def __init__(
        self,
        *,
        fleet: bool = False,
        log: bool = False,
        keep: bool = False,
        seed: int = 0,
        curve: Curve | None = None,
        before: NDArray[np.int64] | None = None,
        about: Tensor | None = None,
    ) -> None:
        self._options: dict[str, Any] = {"fleet": fleet, "log": log, "keep": keep, "seed": seed, "before": before}
        self._passes = 1
        instruments = len(about) if about is not None else 0 if fleet else 1
        self.moments: dict[Part, Moments] = {part: Moments(instruments, curve, about) for part in PARTS}
        self.sample = Sample(size=FLEET_SAMPLE if fleet else SAMPLE_SIZE, seed=seed)
        features = len(self.moments["train"].curve.names)
        self.log: TimeOrder | None = TimeOrder(features, before) if log else None
        self.instruments: list[str] | None = None
        self.indications: Indications | None = None
        self._fleet = fleet
        self._keep = keep
        self._kept: dict[Part, list[Block]] = {part: [] for part in PARTS}
        self._pending: dict[Part, list[Block]] = {part: [] for part in PARTS}
        self._instruments = 0
        self._worker: ThreadPoolExecutor | None = None
        self._adding: Future[None] | None = None
        self._workspace = Workspace()
        self._formed: dict[Part, list[Formed]] = {part: [] for part in PARTS}

    def add(self, part: Part, block: Block) -> None:
        """Takes in a block of readings of one part."""
        assert block.reference is not None
        self.begin(block)
        if part == "train":
            self.sample.add(block)
        if self._keep:
            self._kept[part].append(block)
        if self._fleet:
            assert block.instrument is not None
            pending = self._pending[part]
            pending.append(block)
            self._instruments = max(self._instruments, int(block.instrument.max()) + 1)
            if sum(len(each.indication) for each in pending) >= max(PENDING, self._instruments):
                self._flush_part(part)
            return
        formed = self._formed[part]
        weight = None if part != "train" or block.u_reference is None else block.u_reference**-2.0
        view = self.moments[part].view
        if part == "train" and self.log is not None:
            assert block.time is not None
            x, y = as_tensor(block.indication), as_tensor(block.reference)
            self.log.add(view, x, y, block.time, None if weight is None else torch.from_numpy(weight))
        formed.append(view.block(block.indication, block.reference, weight))
        if len(formed) == FORMED:
            self._flush_part(part)

    def begin(self, block: Block) -> None:
        """Takes the frame of all parts from the first block, and what a pass over one instrument is linearised about.

        Raises:
            InputError: If the curve can't be of these readings.
        """
        assert block.reference is not None
        train = self.moments["train"]
        first = train.origin is None
        if (fault := train.curve.fault(block.indication, block.reference)) is not None:
            at, sentence = fault
            place = f"row {block.rows[at]}" if block.file == Path() else f"{block.file.name}, row {block.rows[at]}"
            raise InputError(f"{place}: {sentence}; mend or leave out that reading")
        for moments in self.moments.values():
            moments.frame(block.indication, block.reference)
        if first and train.curve.linked and train.about is None and not self._fleet:
            about = of_block(train.curve, *(as_tensor(column) for column in (block.indication, block.reference)))
            for moments in self.moments.values():
                moments.about = about

    def _flush_part(self, part: Part) -> None:
        """Adds what was put off to the moments."""
        if formed := self._formed[part]:
            self.moments[part].absorb(*as_parts(formed))
            formed.clear()
        if pending := self._pending[part]:
            self._wait()  # one at a time is under way
            self._worker = self._worker or ThreadPoolExecutor(1)
            self._adding = self._worker.submit(self._add_up, part, pending)
            self._pending[part] = []

    def _wait(self) -> None:
        if self._adding is not None:
            self._adding.result()

    def _add_up(self, part: Part, blocks: Sequence[Block]) -> None:
        """Adds readings of a fleet, in a thread: meanwhile the next are read, and their instruments looked up."""
        x, y, codes = (joined(blocks, name) for name in ("indication", "reference", "instrument"))
        stated = part == "train" and blocks[0].u_reference is not None
        weight = joined(blocks, "u_reference") ** -2.0 if stated else None
        most = max(int(codes.max()) + 1, len(self.moments[part].moments))
        with one_thread():
            self.moments[part] = self.moments[part].placed(None, most)
            moments = self.moments[part]
            if part == "train" and self.log is not None:
                self.log.add(moments.view, x, y, joined(blocks, "time").numpy(), weight, codes)
            moments.absorb(*moments.view.parts(x, y, weight, codes, most, self._workspace))

    def flush(self) -> None:
        """Adds what was put off, and waits for it."""
        for part in PARTS:
            self._flush_part(part)
        self._wait()
        if self._worker is not None:
            self._worker.shutdown()
        self._worker = self._adding = None  # neither can go to another process
        self._workspace = Workspace()

    def reindex(self, names: Sequence[str] | None, groups: Sequence[str] | None = None) -> None:
        """Puts the instruments into the order of their names, the same on every process, once all readings have ended.

        Args:
            names: The name of each code that blocks have used; None where there is one instrument.
            groups: The set points likewise; None where none are named.
        """
        if groups is not None:
            _, place = in_order(all_gather(list(groups)), groups)
            self.sample.blocks = [block.regrouped(place) for block in self.sample.blocks]
        if names is None:
            return
        everywhere, index = in_order(all_gather(list(names)), names)
        for part in PARTS:
            self.moments[part] = self.moments[part].placed(torch.from_numpy(index), len(everywhere))
            self._kept[part] = [block.renamed(index) for block in self._kept[part]]
        self.sample.blocks = [block.renamed(index) for block in self.sample.blocks]
        if self.log is not None:
            self.log.placed(index, len(everywhere))
        self.instruments = everywhere

    def all_reduce(self) -> None:
        """Merges what all processes took in, once; every process must call it."""
        origin = self.moments["train"].origin
        self.moments = {part: moments.synced() for part, moments in self.moments.items()}
        self.sample = Sample.merged(all_gather(self.sample))
        if self.log is not None:
            common = self.moments["train"].origin
            if origin is not None and common is not None:
                self.log.moved(np.subtract(origin, common))
            self.log = TimeOrder.merged(all_gather(self.log))

    def following(self, names: Sequence[str] | None) -> Accumulator | None:
        """Returns what the readings are to be added to once more; None where the solution that was found of them holds.

        Args:
            names: As ``reindex`` took them.

        Raises:
            InputError: If the solution of one instrument doesn't settle.
        """
        train = self.moments["train"]
        if not needs_another(train) or self._passes == MOST:
            refuse_unsettled(train, "The readings")
            if train.curve.inverted:  # whose features depend on the solution
                for moments in self.moments.values():
                    moments.about = solution(train)
            return None
        about = solution(train)
        if names is not None:
            assert self.instruments is not None
            about = about[index_of(names, self.instruments)]
        other = Accumulator(**self._options, curve=train.curve, about=about)
        other._passes = self._passes + 1
        return other

    def profile(self, stated: UncertaintyOptions) -> None:
        """Puts the training readings where the most likely curve has them, if their indications are uncertain too.

        The moments are then those of the readings at their true indications, of which that curve is least squares.

        Args:
            stated: What is stated of them; unless it is one ratio for a line, readings must have been kept.
        """
        if not stated.on_both_axes:
            return
        train, ratio = self.moments["train"], stated.ratio()
        if ratio is not None and isinstance(train.curve, Line):
            self.moments["train"] = in_one_ratio(train, ratio)
            u = max(stated.stated["indication"].absolute, stated.step("indication"))
            self.indications = indications_in_one_ratio(self.moments["train"], ratio, u)
            return
        kept = self._kept["train"]
        names = ("indication", "reference", "u_indication", "u_reference")
        x, y, u_x, u_y = (joined(kept, name).numpy() for name in names)
        correlation = None if stated.correlation is None else joined(kept, "correlation").numpy()
        codes = joined(kept, "instrument").numpy() if self._fleet else None
        readings = Uncertain(x, y, u_x, u_y, correlation)
        self.moments["train"] = both_axes(train, readings, codes)
        self.indications = indications_of(self.moments["train"], readings, codes)

    def readings(self, part: Part) -> tuple[Tensor, Tensor, Tensor | None]:
        """Returns the indications, references and instruments that were kept of a part."""
        kept = self._kept[part]
        return (
            joined(kept, "indication"),
            joined(kept, "reference"),
            joined(kept, "instrument") if self._fleet else None,
        )


@contextmanager
def one_thread() -> Iterator[None]:
    """Keeps torch to one thread: its threads and those of Polars fight for the cores, 14 times slower (measured)."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def joined(blocks: Sequence[Block], name: str) -> Tensor:
    """Returns one column of several blocks, shape ``(N,)``."""
    return torch.from_numpy(np.concatenate([getattr(block, name) for block in blocks]))


def in_order(everybodys: Sequence[Sequence[str]], names: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    """Sorts names: whole numbers first, by value, then all others.

    Args:
        everybodys: Lists of names.
        names: One of these lists.

    Returns:
        All names, once each; and the place among them of each of ``names``, shape ``(len(names),)``.
    """
    import polars as pl

    name = pl.col("name")
    number = pl.when(name.str.contains(r"^-?\d{1,19}$")).then(name.cast(pl.Int64, strict=False))
    columns = [pl.DataFrame({"name": pl.Series(some, dtype=pl.String)}) for some in everybodys]
    whole = pl.concat(columns).unique().sort(number, name, nulls_last=True)["name"]
    place = pl.Series(names, dtype=pl.String).replace_strict(whole, np.arange(len(whole)), return_dtype=pl.Int64)
    return whole.to_list(), place.to_numpy().copy()

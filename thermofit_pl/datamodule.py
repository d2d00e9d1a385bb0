"""Readings on disk become normalised tensors: splits, normalisation, and what the Trainer iterates over."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from numpy.typing import NDArray
from torch import Tensor

from thermofit_pl.diagnostics import LagProducts, Sample
from thermofit_pl.errors import InputError
from thermofit_pl.finish import Source, refuse_no_line
from thermofit_pl.least_squares import Autocorrelation, Line, least_squares
from thermofit_pl.moments import Moments, Readings

if TYPE_CHECKING:
    from thermofit_pl.readings import Block, Table

Part = Literal["train", "val", "test"]
INDICATION = "indication of thermofit_pl"  # a column of numbers beside those that a table has
SMALL = 100_000  # readings that every process reads whole: an exchange would cost more


@dataclass
class Normalization:
    """What indications are put through before SGD sees them: (indication − offset) · scale.

    Attributes:
        offset: Shape ``(instruments,)`` [indicated unit].
        scale: Shape ``(instruments,)`` [1/indicated unit].
    """

    offset: Tensor
    scale: Tensor

    @classmethod
    def of(cls, rule: float | str, moments: Moments) -> Normalization:
        """Returns the normalisation by a factor, ``standard`` (mean 0, standard deviation 1) or ``none``, for the training readings."""
        if rule == "standard":
            deviation = (moments.sxx / moments.count.clamp(min=1)).sqrt()
            return cls(moments.mean_indication.clone(), torch.where(deviation > 0, 1 / deviation, 1.0))
        factor = 1.0 if rule == "none" else float(rule)
        return cls(torch.zeros_like(moments.count), torch.full_like(moments.count, factor))


@dataclass
class Batches:
    """Readings in memory, as batches: slices of tensors that are shuffled by seed and epoch.

    The order depends on the seed and the epoch alone, so that a resumed run, or one on more processes, sees the same batches. Of every batch,
    each process takes a contiguous share, so that each reading counts once.

    Args:
        indication: Normalised indications, shape ``(N,)``.
        reference: References, shape ``(N,)`` [°C].
        batch_size: Readings in a batch, over all processes.
        shuffle: Whether the order changes from epoch to epoch.
        seed: Of the order.
        share: This process's rank, and the number of processes.
    """

    indication: Tensor
    reference: Tensor
    batch_size: int
    shuffle: bool = False
    seed: int = 0
    share: tuple[int, int] = (0, 1)
    epoch: int = field(default=0, init=False)

    @property
    def sampler(self) -> Batches:
        """Itself: Lightning tells the sampler of a loader the epoch."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order of an epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(len(self.indication) / self.batch_size)

    def __iter__(self) -> Iterator[Readings]:
        x, y = self.indication, self.reference
        if self.shuffle:
            order = torch.randperm(len(x), generator=self._generator())
            x, y = x[order], y[order]
        rank, world = self.share
        for start in range(0, len(x), self.batch_size):
            n = min(self.batch_size, len(x) - start)
            mine = slice(start + n * rank // world, start + n * (rank + 1) // world)
            yield Readings(x[mine], y[mine], weight=None if world == 1 else world / n)

    def _generator(self) -> torch.Generator:
        state = np.random.SeedSequence((self.seed, self.epoch)).generate_state(1, np.uint64)
        return torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))


@dataclass
class Stream:
    """Batches that are read from the disk each time they are asked for.

    Args:
        blocks: Starts the reading.
    """

    blocks: Callable[[], Iterator[tuple[Tensor, ...]]]

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        return self.blocks()


@dataclass
class FullBatch:
    """All readings of a part as the one batch of an epoch: their moments.

    Args:
        moments: Of the normalised readings.
    """

    moments: Moments

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Moments]:
        return iter([self.moments])


class ReadingsDataModule(LightningDataModule):
    """Readings of a thermometer beside a reference, from tables on the local disk.

    Without a path it gives the eleven readings of the notebook, normalised as there.

    Args:
        path: Table of readings: a CSV or TSV file (also gzipped), Parquet or Arrow, a folder of them, or a pattern such as 'log-*.csv'.
            Without it, the eleven readings that the package brings.
        indication: Column with what the thermometer shows.
        reference: Column with the reference in °C.
        time: Column with the time of each reading. It says that the table is a log: neighbours in time are then not taken as independent.
        decimal_comma: Whether numbers are written with a decimal comma, as in 35,7.
        missing: What to do with a row that lacks a value: 'error' stops, 'drop' leaves the row out and counts it.
        normalization: What indications are put through before SGD sees them: a factor such as 0.1, 'standard' (mean 0, standard deviation 1),
            or 'none'. The default is 'standard', and 0.1 for the readings that the package brings.
        batch_size: Readings in a mini-batch, over all devices; null takes them all at once (full batch).
        val_fraction: Share of the readings, 0 to 1, that is held out for validation.
        test_fraction: Share of the readings, 0 to 1, that is held out for the test.
        val_path: Table with readings for validation, in the place of a share.
        test_path: Table with readings for the test, in the place of a share.
        seed: Of the split and of the order of mini-batches.

    Attributes:
        moments: Of each part's raw readings, once ``setup("fit")`` has run.
        normalization_rule: The rule in force.

    Example:
        >>> data = ReadingsDataModule()
        >>> data.setup("fit")
        >>> data.moments["train"].count
        tensor([11.], dtype=torch.float64)
    """

    def __init__(
        self,
        path: str | None = None,
        indication: str | None = None,
        reference: str | None = None,
        time: str | None = None,
        decimal_comma: bool = False,
        missing: Literal["error", "drop"] = "error",
        normalization: float | Literal["standard", "none"] | None = None,
        batch_size: int | None = None,
        val_fraction: float = 0.0,
        test_fraction: float = 0.0,
        val_path: str | None = None,
        test_path: str | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if path is None:
            path, indication, reference = str(files(__package__) / "thermometer.csv"), "indication", "reference"
            normalization = 0.1 if normalization is None else normalization
        self.path = path
        self.indication = _named("indication", indication)
        self.reference = reference
        self.time = time
        self.decimal_comma = decimal_comma
        self.missing = missing
        self.normalization_rule = "standard" if normalization is None else normalization
        self.batch_size = batch_size
        self.fractions = {"val": val_fraction, "test": test_fraction}
        self.paths = {"val": val_path, "test": test_path}
        self.seed = seed
        self._refuse_nonsense()
        self.moments: dict[Part, Moments] = {}
        self.normalization: Normalization | None = None
        self.line: Line | None = None
        self.log: Autocorrelation | None = None
        self.sample = Sample(seed=seed)
        self.lags: LagProducts | None = None
        self.progress: Callable[[int, int], None] | None = None
        self.table: Table | None = None
        self.stage = ""
        self._kept: dict[Part, list[Block]] = {"train": [], "val": [], "test": []}

    def _refuse_nonsense(self) -> None:
        rule = self.normalization_rule
        if not isinstance(rule, str) and not (math.isfinite(rule) and rule > 0):
            raise InputError(f"--data.normalization: expected a positive factor, 'standard' or 'none', but got {rule}")
        if self.batch_size is not None and self.batch_size < 1:
            raise InputError(f"--data.batch_size: expected a whole number from 1, or null, but got {self.batch_size}")
        for part, fraction in self.fractions.items():
            if not 0 <= fraction < 1:
                raise InputError(f"--data.{part}_fraction: expected a number from 0 to less than 1, but got {fraction}")
            if fraction and self.paths[part]:
                raise InputError(f"--data.{part}_fraction and --data.{part}_path: expected one of them, but got both")
        if sum(self.fractions.values()) >= 1:
            raise InputError(
                f"--data.val_fraction and --data.test_fraction: expected a sum below 1, so that readings are left to train on, "
                f"but got {sum(self.fractions.values()):g}"
            )

    # -- reading -------------------------------------------------------------------------------------------------------------------------------

    def open(self, part: Part = "train", *, reference: bool = True) -> Table:
        """Opens the table that a part's readings come from.

        Args:
            part: Which readings.
            reference: Whether the table must have the reference's column.
        """
        from thermofit_pl.readings import Table  # polars, 0.1 s

        column = _named("reference", self.reference) if reference else None
        path = self.paths.get(part) or self.path
        return Table(
            path, self.indication, column, time=self.time, decimal_comma=self.decimal_comma, missing=self.missing
        )

    def source(self, part: Part) -> str:
        """Says in words which readings a part consists of."""
        path = self.paths.get(part)
        if path:
            return f"the readings of {Path(path).name}"
        if self.fractions.get(part):
            return f"held-out readings of {Path(self.path).name}"
        return f"all readings of {Path(self.path).name}, those that it was trained on too"

    def setup(self, stage: str) -> None:
        """Reads the table, once, for ``fit``; for other stages, opens it.

        Raises:
            InputError: If the readings can't be used.
        """
        self.stage = stage
        if stage != "fit":
            part: Part = "test" if stage == "test" else "val" if stage == "validate" else "train"
            self.table = self.open(part, reference=stage != "predict")
            return
        if self.moments:
            return
        self.table = self.open()
        self.lags = LagProducts() if self.time else None
        parts: dict[Part, Moments] = {part: Moments() for part in self._kept}
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # torch's threads and polars' fight for the cores: 14 times slower with two (measured)
        try:
            for part, block in self._parts(self.table, self._progress()):
                parts[part].update(torch.from_numpy(block.indication), torch.from_numpy(block.reference))
                self._keep(part, block)
            for part in ("val", "test"):
                if self.paths[part]:
                    for block in self.open(part).blocks():
                        parts[part].update(torch.from_numpy(block.indication), torch.from_numpy(block.reference))
                        self._keep(part, block)
        finally:
            torch.set_num_threads(threads)
        self.moments = parts
        refuse_no_line(parts["train"], Path(self.path).name, self.indication)
        self.normalization = Normalization.of(self.normalization_rule, parts["train"])
        self.log = self._log()
        self.line = least_squares(parts["train"], self.log)

    def _log(self) -> Autocorrelation | None:
        """Returns the autocorrelation of a log."""
        if self.lags is None:
            return None
        train = self.moments["train"]
        n, pivot, mean_reference, sxx, slope, sse = train.moments[0].tolist()
        rho, rho_x = self.lags.autocorrelation(slope, pivot, mean_reference, sse / n, sxx / n)
        return Autocorrelation(*(torch.tensor([value], dtype=torch.float64) for value in (rho, rho_x, self.lags.pairs)))

    def _keep(self, part: Part, block: Block) -> None:
        if part == "train":
            self.sample.add(block)
            if self.lags is not None:
                self.lags.add(block)
        if self.batch_size is not None:
            self._kept[part].append(block)

    def _progress(self) -> Callable[[int], None] | None:
        if self.progress is None or self.table is None:
            return None
        shown, size = self.progress, self.table.n_bytes
        return lambda done: shown(done, size)

    def provenance(self) -> Source:
        """Says where the readings come from, with the files' SHA-256."""
        assert self.table is not None
        names = [file.name for file in self.table.files]
        name = names[0] if len(names) == 1 else f"{len(names)} files, {names[0]} to {names[-1]}"
        return Source(self.indication, self.reference, name, self.table.sha256(), self.table.dropped)

    # -- splits --------------------------------------------------------------------------------------------------------------------------------

    def _parts(self, table: Table, progress: Callable[[int], None] | None = None) -> Iterator[tuple[Part, Block]]:
        """Yields the checked blocks of a table, each cut into its parts."""
        blocks = table.blocks(progress=progress)
        if not any(self.fractions.values()):
            yield from (("train", block) for block in blocks)
            return
        n = table.n_rows()
        cuts = self._cuts(n)
        position = 0
        for block in blocks:
            keys = self._keys(np.arange(position, position + len(block.indication)), n)
            position += len(block.indication)
            for part, low, high in cuts:
                chosen = np.flatnonzero((keys >= low) & (keys < high))
                if len(chosen):
                    yield part, block.take(chosen)

    def _cuts(self, n: int) -> list[tuple[Part, float, float]]:
        """Returns the ranges of keys that belong to each part."""
        val, test = (round(n * self.fractions[part]) for part in ("val", "test"))
        train = n - val - test
        return [("train", 0, train), ("val", train, train + val), ("test", train + val, math.inf)]

    def _keys(self, position: NDArray[np.int64], n: int) -> NDArray[np.float64]:
        """Returns a key from 0 to n of each reading: its place in a log; else its place in a seeded order, or beyond SMALL rows nearly so."""
        if self.time:
            return position.astype(np.float64)
        if n <= SMALL:
            order = np.random.default_rng(self.seed).permutation(n)
            return order[position].astype(np.float64)
        return scrambled(position, self.seed) * n

    # -- what the Trainer iterates over --------------------------------------------------------------------------------------------------------

    def held_out(self, part: Part) -> bool:
        """Whether a part has readings of its own."""
        return bool(self.paths.get(part) or self.fractions.get(part))

    def train_dataloader(self) -> FullBatch | Batches:
        """Returns the moments of the training readings, or their mini-batches."""
        assert self.normalization is not None
        if self.batch_size is None:
            return FullBatch(self.moments["train"].normalized(self.normalization.offset, self.normalization.scale))
        assert self.trainer is not None
        indication, reference = (
            torch.from_numpy(np.concatenate([getattr(block, name) for block in self._kept["train"]]))
            for name in ("indication", "reference")
        )
        normalized = (indication - self.normalization.offset) * self.normalization.scale
        share = (self.trainer.global_rank, self.trainer.world_size)
        return Batches(normalized, reference, self.batch_size, shuffle=True, seed=self.seed, share=share)

    def val_dataloader(self) -> FullBatch | Stream:
        """Returns the moments of the raw validation readings while a fit runs, else the readings."""
        part: Part = "val" if self.held_out("val") else "train"
        return FullBatch(self.moments[part]) if self.stage == "fit" else Stream(lambda: self._raw("val"))

    def test_dataloader(self) -> Stream:
        """Returns the raw readings for the test."""
        return Stream(lambda: self._raw("test"))

    def predict_dataloader(self) -> Stream:
        """Returns the raw indications of every row; NaN where one is missing and rows may be dropped."""
        return Stream(self._indications)

    def _indications(self) -> Iterator[tuple[Tensor, ...]]:
        assert self.table is not None
        frame = self.table.frames(INDICATION).select(INDICATION)
        for batch in frame.collect_batches(maintain_order=True):
            yield (torch.from_numpy(batch[INDICATION].fill_null(math.nan).to_numpy(writable=True)),)

    def _raw(self, part: Part) -> Iterator[tuple[Tensor, ...]]:
        assert self.table is not None
        shared = bool(self.fractions[part])  # the table holds other parts too
        blocks = self._parts(self.table) if shared else ((part, block) for block in self.table.blocks())
        for of, block in blocks:
            if of == part:
                assert block.reference is not None
                yield torch.from_numpy(block.indication), torch.from_numpy(block.reference)


def scrambled(position: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """Returns a number from 0 to 1 for each position, the same whatever the batches (splitmix64; Steele, Lea, Flood 2014)."""
    z = position.astype(np.uint64) + np.uint64(seed % (1 << 32)) * np.uint64(0xD1342543DE82EF95)
    with np.errstate(over="ignore"):
        z = (z + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return z.astype(np.float64) / 2.0**64


def _named(option: str, column: str | None) -> str:
    if column is None:
        raise InputError(
            f"--data.{option}: expected the name of a column, since --data.path names a table, but got none"
        )
    return column

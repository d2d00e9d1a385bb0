"""The Lightning data module: readings on disk become normalised tensors, or the moments of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from thermofit_pl.calibration.records import Source
from thermofit_pl.curves.line import Line
from thermofit_pl.distributed.collectives import raised_together
from thermofit_pl.errors import InputError, Setting
from thermofit_pl.functional.units import CELSIUS, Units, as_unit, other_unit
from thermofit_pl.metrics.least_squares import Fit, least_squares, refuse_no_curve
from thermofit_pl.metrics.moments import Moments, as_tensor, trained
from thermofit_pl.metrics.passes import fitted
from thermofit_pl.results.stated import Known
from thermofit_pl.tables.frames import TablePath, as_path
from thermofit_pl.tables.options import PairOptions, TableOptions
from thermofit_pl.tables.split import Part, Split, dealt
from thermofit_pl.tables.stated import UncertaintyOptions
from thermofit_pl.training.instruments import Lookup, lookup
from thermofit_pl.training.loaders import Batch, Batches, FullBatch, Stream
from thermofit_pl.training.normalization import Normalization
from thermofit_pl.training.options import refuse_settings
from thermofit_pl.training.reading import Reading

if TYPE_CHECKING:
    from thermofit_pl.curves.base import Curve
    from thermofit_pl.metrics.time_order import TimeOrder
    from thermofit_pl.tables.sample import Sample
    from thermofit_pl.tables.table import Table
TOLD = 3  # columns that are said to name another unit


class ReadingsDataModule(LightningDataModule):
    """Readings of one or many instruments beside a reference, from tables on the local disk.

    Without a path it gives the eleven readings of the notebook, normalised as there.

    Args:
        path: Table of readings: a CSV or TSV file (also gzipped), Parquet or Arrow, a folder of them, or a pattern such
            as 'log-*.csv'; of these two, what this package wrote is left out. Without it, the eleven readings that
            the package brings. In Python also a table of pandas, Polars or Arrow, or a dict of arrays.
        indication: Column with what the thermometer shows. A pattern such as 'probe_*' names several columns, each an
            instrument of its own.
        reference: Column with the reference.
        unit: Unit of the reference, and so of estimates and errors: °C, °F, K, hPa, ml/s or any other text; degC and
            degF are °C and °F.
        indication_unit: Unit of the indication, if it is known.
        instrument: Column with the name of each reading's instrument; each then gets a line of its own.
        time: Column with the time of each reading; '[Date,Time]' are two, the day and the time of day. It says that the
            table is a log: neighbours in time are then not taken as independent.
        decimal_comma: Whether numbers are written with a decimal comma, as in 35,7.
        missing: What to do with a row that lacks a value: 'error' stops, 'drop' leaves it out and counts it.
        normalization: What indications are put through before SGD sees them: a factor such as 0.1, 'standard' (mean 0
            and standard deviation 1 of each instrument), or 'none'. The default is 'standard', and 0.1 for the readings
            that the package brings.
        batch_size: Readings in a mini-batch, over all devices; null takes them all at once (full batch).
        val_fraction: Share of each instrument's readings, 0 to 1, that is held out for validation; of a log, what
            precedes the test's share at its end.
        test_fraction: Share of each instrument's readings, 0 to 1, that is held out for the test; of a log, its end.
        val_path: Table with readings for validation, in the place of a share.
        test_path: Table with readings for the test, in the place of a share.
        seed: Of the split and of the order of mini-batches.
        table: How tables are written, where it can't be seen in them.
        pair: How two logs become pairs, where the reference has times of its own.
        entity: Column of a long table that says what each row is of; indication and reference are then two names in
            it, such as sensor.probe.
        value: Column of a long table with the values.
        u: What is known beforehand of the readings' uncertainties.
        group: Column that says at which set point each reading was taken; without it, set points are recognised where
            readings repeat. What the readings of one share is then told apart from what each has of its own.

    Attributes:
        moments: Of each part's raw readings, once ``setup("fit")`` has run.
        line: The least-squares line of the training readings.
        log: What their order in time tells, if they are a log.
        normalization: What SGD sees them through.
        sample: A bounded sample of them.
        instruments: The names of the instruments; None where there is one.

    Example:
        >>> data = ReadingsDataModule()
        >>> data.setup("fit")
        >>> data.moments["train"].count
        tensor([11.], dtype=torch.float64)
    """

    moments: dict[Part, Moments]
    line: Fit
    log: TimeOrder | None
    normalization: Normalization
    sample: Sample

    def __init__(
        self,
        path: TablePath | None = None,
        indication: str | None = None,
        reference: str | None = None,
        instrument: str | None = None,
        time: str | list[str] | None = None,
        decimal_comma: bool = False,
        missing: Literal["error", "drop"] = "error",
        normalization: float | Literal["standard", "none"] | None = None,
        batch_size: int | None = None,
        val_fraction: float = 0.0,
        test_fraction: float = 0.0,
        val_path: TablePath | None = None,
        test_path: TablePath | None = None,
        seed: int = 0,
        table: TableOptions = TableOptions(),  # noqa: B008  # frozen
        pair: PairOptions = PairOptions(),  # noqa: B008  # frozen
        entity: str | None = None,
        value: str | None = None,
        unit: str = CELSIUS,
        indication_unit: str | None = None,
        u: UncertaintyOptions = UncertaintyOptions(),  # noqa: B008  # frozen
        group: str | None = None,
    ) -> None:
        super().__init__()
        if path is None:
            path, indication, reference = (
                str(files("thermofit_pl.tables") / "thermometer.csv"),
                "indication",
                "reference",
            )
            normalization = 0.1 if normalization is None else normalization
        self.path = as_path(path)
        self.indication = _named("indication", indication)
        self.reference = reference
        self.instrument = instrument
        self.units = Units(
            as_unit(unit, "unit"),
            None if indication_unit is None else as_unit(indication_unit, "indication_unit"),
        )
        self.time = time
        self.decimal_comma = decimal_comma
        self.missing = missing
        self.normalization_rule = "standard" if normalization is None else normalization
        self.batch_size = batch_size
        held_out: dict[Part, TablePath | None] = {"val": val_path, "test": test_path}
        self.paths = {part: None if table is None else as_path(table) for part, table in held_out.items()}
        self.seed = seed
        self.table_options = table
        self.pair, self.entity, self.value, self.group = pair, entity, value, group
        self.u = u
        self.split = Split(val_fraction, test_fraction, seed, in_order=time is not None)
        refuse_settings(self.normalization_rule, self.batch_size, seed, self.split, self.paths)
        if u.by_reading:
            self._refuse_unweighted()
        self.known = Known(u)
        self.relative = False  # whether the errors give the scale of the stated uncertainties
        self.instruments: list[str] | None = None
        self.table: Table | None = None
        self.uncertain: list[str] = []  # what there is to say of columns whose names speak of uncertainties
        self.other_units: list[tuple[str, str, str]] = []  # columns named in another unit, that in force, its argument
        self.left_out: list[str] = []  # what there is to say of files that were not taken
        self.progress: Callable[[int, int], None] | None = None
        self._stage = ""
        self._reading: Reading | None = None  # of the fit's readings
        self._trained_on: str | None = None  # the SHA-256 that a checkpoint names
        self._source: Source | None = None

    def _refuse_unweighted(self) -> None:
        """Refuses what readings of different weights are not defined for."""
        beside = {"batch_size": self.batch_size} | ({} if self.u.one_number else {"time": self.time})
        if (name := next((name for name, value in beside.items() if value is not None), None)) is not None:
            raise InputError(
                Setting("u.reference"),
                " and ",
                Setting(name),
                ": expected one of them, but got both; weighted readings are not defined there",
            )

    def setup(self, stage: str) -> None:
        """Reads the table, once, for ``fit``; for other stages, opens it.

        Raises:
            InputError: If the readings can't be used; on every process, if one of them finds that.
        """
        self._stage = stage
        if stage != "fit":
            part: Part = "test" if stage == "test" else "val" if stage == "validate" else "train"
            self.table = self.open(part, reference=stage != "predict")
            return
        module = None if self.trainer is None else self.trainer.lightning_module
        curve = getattr(module, "curve", Line()).in_units(self.units)
        self.relative = getattr(module, "uncertainties", "absolute") == "relative"
        if self.relative and not self.u.by_reading:
            raise InputError(
                Setting("uncertainties"),
                ": expected stated uncertainties to rescale beside 'relative', but got none; state them with ",
                Setting("u.reference"),
            )
        if self._reading is not None and curve in (self._reading.curve, self.moments["train"].curve):
            return
        self.u.refuse_curve(curve)
        with raised_together():
            reading = self._read(curve)
        reading.merge()
        while reading.go_on():
            with raised_together():
                reading.read(*self._rank(), self.progress)
            reading.merge()
        self._reading = reading
        self._conclude(reading)

    def _rank(self) -> tuple[int, int]:
        """This process's rank, and the number of processes."""
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def _read(self, curve: Curve) -> Reading:
        self.table = self.open()
        tables: dict[Part, Table] = {part: self.open(part) for part, path in self.paths.items() if path}
        tables["train"] = self.table
        log, keep = self.time is not None, self.batch_size is not None or self.u.on_both_axes
        reading = Reading(tables, self.split, curve, log=log, keep=keep, seed=self.seed)
        reading.read(*self._rank(), self.progress)
        return reading

    def _conclude(self, reading: Reading) -> None:
        """Takes the exact curve and the normalisation from what was read."""
        accumulator, files = reading.accumulator, self._opened().files
        self.instruments = accumulator.instruments
        if self.instruments is None:
            refuse_no_curve(accumulator.moments["train"], Path(self.path).name, self.indication)
        accumulator.profile(self.u)
        train = accumulator.moments["train"]
        self.known = Known(self.u, self.relative, accumulator.indications, self.time is not None)
        name = files[0].name if len(files) == 1 else f"{len(files)} files, {files[0].name} to {files[-1].name}"
        self._source = Source(
            self.indication,
            self.reference,
            name or None,
            reading.digest,
            reading.dropped,
            self.units.reference,
            self.units.indication,
        )
        self.moments, self.sample = accumulator.moments, accumulator.sample
        self.normalization = Normalization.of(self.normalization_rule, train)
        self.log = accumulator.log
        self.line = fitted(train, least_squares(train, self.known.absolute), self.units, Path(self.path).name)

    def _pairs(self) -> bool:
        return bool(self.pair) or self.entity is not None or self.value is not None

    def state_dict(self) -> dict[str, Any]:
        """Returns which readings a checkpoint belongs to, for those that go on from it."""
        return {} if self._source is None else {"data_sha256": self._source.data_sha256, "unit": self._source.unit}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Refuses readings that the checkpoint doesn't belong to, where that matters.

        Raises:
            InputError: If they are in another unit, a fit would go on with others, or readings that count as held out
                may have been trained on.
        """
        if (unit := state.get("unit", self.units.reference)) != self.units.reference:
            raise InputError(
                Setting("unit"),
                f": expected {unit}, in which the checkpoint's line is, but got {self.units.reference}; add ",
                Setting("unit", unit),
            )
        known = self._trained_on = state.get("data_sha256")
        if self._stage == "fit":
            now = self.provenance().data_sha256
        elif self.table is not None and self.split and self._stage != "predict" and not any(self.paths.values()):
            now = self.table.sha256()
        else:
            return
        if None not in (known, now) and known != now:
            raise InputError(
                Setting("path"),
                f": expected the readings that the checkpoint was made from, but {Path(self.path).name} "
                "holds others; start a new fit, or name readings to score with ",
                Setting("val_path"),
                " or ",
                Setting("test_path"),
            )

    def open(self, part: Part = "train", *, reference: bool = True) -> Table:
        """Opens the table that a part's readings come from.

        Args:
            part: Which readings.
            reference: Whether the table must have the reference's column.
        """
        from thermofit_pl.tables.table import Table  # polars, 0.1 s

        path = self.paths.get(part) or self.path
        column = _named("reference", self.reference) if reference else None
        settings: dict[str, Any] = {
            "time": self.time,
            "decimal_comma": self.decimal_comma,
            "missing": self.missing,
            "instrument": self.instrument,
            "options": self.table_options,
            "unit": self.units.reference,
        }
        if part == "train" and reference and self.u.by_reading and self.time is None:
            settings["stated"] = self.u
        if column is not None and self._pairs():
            if self.group is not None:
                raise InputError(
                    Setting("group"), ": expected none beside two logs, whose pairs are at no set points; leave it out."
                )
            from thermofit_pl.tables.pairs import PairedTable

            if self.paths.get(part) and self.pair.path is not None:
                raise InputError(
                    Setting(f"{part}_path"),
                    ": expected it to be left out beside ",
                    Setting("pair.path"),
                    ", which has one log of the reference; hold a share out with ",
                    Setting(f"{part}_fraction"),
                    ".",
                )
            table: Table = PairedTable(
                path, self.indication, column, pair=self.pair, entity=self.entity, value=self.value, **settings
            )
        else:
            table = Table(path, self.indication, column, group=self.group if reference else None, **settings)
        self._compare_units(table, reference=reference)
        if part == "train" and reference:
            used = [self.indication, self.reference, self.instrument, self.entity, self.value, *as_names(self.time)]
            self.uncertain = list(self.u.remarks([c for c in table.columns if c not in {*used, *table.probes}]))
        if table.left_out and table.left_out not in self.left_out:
            self.left_out.append(table.left_out)
        return table

    def _compare_units(self, table: Table, *, reference: bool) -> None:
        """Keeps what there is to say of columns whose names name other units than those in force."""
        shown, units = table.probes or [self.indication], self.units
        named = [(name, units.indication, "indication_unit") for name in shown if units.indication is not None]
        if reference and self.reference is not None:
            named.insert(0, (self.reference, units.reference, "unit"))
        for each in named:
            if other_unit(*each) and each not in self.other_units and len(self.other_units) < TOLD:
                self.other_units.append(each)

    def provenance(self) -> Source:
        """Says where the readings come from, with the files' SHA-256."""
        assert self._source is not None
        return self._source

    def source(self, part: Part) -> str:
        """Says in words which readings a part consists of."""
        path = self.paths.get(part)
        if path:
            return f"the readings of {Path(path).name}"
        if self.held_out(part):
            return f"held-out readings of {Path(self.path).name}"
        if self.table is not None and self._trained_on is not None and self.table.sha256() != self._trained_on:
            return f"all readings of {Path(self.path).name}"
        return f"all readings of {Path(self.path).name}, those that it was trained on too"

    def held_out(self, part: Part) -> bool:
        """Whether a part has readings of its own."""
        return part != "train" and bool(self.paths.get(part) or getattr(self.split, part))

    def train_dataloader(self) -> FullBatch | Batches:
        """Returns the moments of the normalised training readings, or mini-batches of them."""
        train = self.moments["train"]
        if self.batch_size is None:
            moments = train.normalized(self.normalization.offset, self.normalization.scale)
            # SGD leaves an instrument that has no curve where it is
            moments.moments = torch.where(moments.has_curve[:, None], moments.moments, 0.0)
            return FullBatch(moments)
        assert self._reading is not None
        indication, reference, instrument = self._reading.accumulator.readings("train")
        features, target = trained(train.curve, indication, reference)
        scaled, link = self.normalization.of_features(features, instrument), train.curve if train.curve.linked else None
        return Batches(scaled, target, instrument, self.batch_size, self.seed, self._rank(), link)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Moves a batch to the device, without looking through one that is there."""
        if isinstance(batch, Batch) and batch.features.device == device:
            return batch
        return super().transfer_batch_to_device(batch, device, dataloader_idx)

    def val_dataloader(self) -> FullBatch | Stream:
        """Returns the moments of the raw validation readings while a fit runs, else the readings."""
        part: Part = "val" if self.held_out("val") else "train"
        return FullBatch(self.moments[part]) if self._stage == "fit" else Stream(lambda: self._raw("val"))

    def test_dataloader(self) -> Stream:
        """Returns the raw readings for the test."""
        return Stream(lambda: self._raw("test"))

    def predict_dataloader(self) -> Stream:
        """Returns the raw indications of every row; NaN where one is missing and rows may be dropped.

        Of several instruments, the index of each indication's comes with them: of the module's instruments, not of the
        table's. The first process reads them all, for rows are written in order.
        """
        table, look_up, first = self._opened(), self._lookup(), self._rank()[0] == 0

        def rows() -> Iterator[tuple[Tensor, ...]]:
            for indication, codes in table.indications() if first else ():
                x = as_tensor(indication)
                if look_up is None or codes is None:
                    yield (x,)
                else:
                    yield x, look_up(codes).expand(x.shape)

        return Stream(rows)

    def _opened(self) -> Table:
        assert self.table is not None
        return self.table

    def _lookup(self) -> Lookup | None:
        """What turns the opened table's indices of instruments into those of the module that is run."""
        module = None if self.trainer is None else self.trainer.lightning_module
        return lookup(self._opened(), getattr(module, "instruments", self.instruments))

    def _raw(self, part: Part) -> Iterator[tuple[Tensor, ...]]:
        """Reads this process's share of a part, so that each reading counts once."""
        table, look_up = self._opened(), self._lookup()
        rank, world = self._rank()
        if self.held_out(part) and not self.paths.get(part):  # a split goes by the place in the whole table
            parts = self.split.cut(table, table.blocks())
            blocks = dealt((block for of, block in parts if of == part), rank, world)
        else:
            blocks = table.blocks(share=(rank, world))
        found = False
        for block in blocks:
            assert block.reference is not None
            found = True
            readings = as_tensor(block.indication), as_tensor(block.reference)
            if look_up is None or block.instrument is None:
                yield readings
            else:
                yield *readings, look_up(block.instrument)
        if world > 1 and not found:  # a score that was never updated would warn
            nothing = torch.empty(0, dtype=torch.float64)
            yield (nothing, nothing) if look_up is None else (nothing, nothing, nothing.long())


def as_names(columns: str | list[str] | None) -> list[str]:
    """Returns the names of one column, of several, or of none."""
    return [columns] if isinstance(columns, str) else list(columns or [])


def _named(option: str, column: str | None) -> str:
    if column is None:
        raise InputError(
            Setting(option), ": expected the name of a column, as ", Setting("path"), " names a table, but got none"
        )
    return column

"""What ``predict`` writes: the table as it was, with the estimate of each row."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from thermofit_pl.errors import InputError, Setting
from thermofit_pl.files import atomic_write
from thermofit_pl.formatting import quoted
from thermofit_pl.tables.batches import no_panic, write_out
from thermofit_pl.training.options import is_rehearsal

if TYPE_CHECKING:
    import polars as pl

    from thermofit_pl.tables.formats import TableFile
    from thermofit_pl.tables.table import Table

ESTIMATE = "estimate"  # the column that predict adds


class WritePredictions(Callback):
    """Writes ``predictions`` with every column of the table and the estimate of each row, in the table's own format.

    Args:
        folder: The run's.

    Attributes:
        path: Where they were written.
        count: How many rows.
        columns: How many estimates a row has.
        missing: How many indications are missing, and so have no estimate.
        unknown: How many have no estimate, since their instrument is unknown or has no line.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path: Path | None = None
        self.count = 0
        self.columns = 1
        self.missing = 0
        self.unknown = 0
        self._estimates: list[Tensor] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuses a table that has a column of the estimates' name, before it is read.

        Raises:
            InputError: If it does.
        """
        table = trainer.datamodule.table  # type: ignore[attr-defined]  # set by the connector, not in the class
        if taken := [name for name in estimate_names(table) if name in table.columns]:
            raise InputError(
                Setting("path"),
                f": expected a table without a column {quoted(taken[0])}, which predict adds; rename it",
            )

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keeps a batch's estimates: eight bytes each."""
        missing = int(batch[0].isnan().sum())
        self.missing += missing
        self.unknown += int(outputs.estimate.isnan().sum()) - missing
        self._estimates.append(outputs.estimate.detach().cpu())

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Joins them to the table and writes it."""
        import polars as pl

        if not trainer.is_global_zero:
            return
        data = trainer.datamodule  # type: ignore[attr-defined]  # set by the connector, not in the class
        names = estimate_names(data.table)
        found = torch.cat(self._estimates).numpy().reshape(-1, len(names))
        self.count, self.columns = found.shape
        if is_rehearsal(trainer):
            return
        estimates = [pl.Series(name, column).fill_nan(None) for name, column in zip(names, found.T, strict=True)]
        rows = data.table.frames().head(self.count)  # fewer than all with limit_predict_batches
        frame = pl.concat([rows, pl.LazyFrame(estimates)], how="horizontal")
        self.path = self.folder / f"predictions{suffix(data.table.format)}"
        with atomic_write(self.path) as temporary, no_panic(data.table.files[0]):
            write_out(lambda: write(frame, temporary, data.table.format, decimal_comma=data.decimal_comma))


def estimate_names(table: Table) -> list[str]:
    """Returns the names of the columns that predict adds: as ``apply``, one for each column of indications."""
    return [f"{probe}.{ESTIMATE}" for probe in table.probes] or [ESTIMATE]


def suffix(like: TableFile) -> str:
    """Returns how the name of a file of this format ends."""
    text = ".tsv" if like.separator == "\t" else ".csv"
    return f".{like.kind}" if like.kind != "text" else text + (".gz" if like.gz else "")


def write(frame: pl.LazyFrame, path: Path, like: TableFile, *, decimal_comma: bool) -> None:
    """Writes a table in the format of another, in bounded memory.

    Args:
        frame: The table.
        path: Where to.
        like: The other.
        decimal_comma: Whether a text table writes 35,7 for 35.7.
    """
    if like.kind == "parquet":
        frame.sink_parquet(path)
    elif like.kind == "arrow":
        frame.sink_ipc(path)
    else:
        frame.sink_csv(
            path,
            separator=like.separator,
            decimal_comma=decimal_comma,
            compression="gzip" if like.gz else "uncompressed",
            check_extension=False,
        )

"""What a table becomes: checked readings, a block of them at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from thermofit_pl.tables.stated import OfReadings

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Block:
    """Consecutive readings of one file, checked: every number is finite. The arrays are not to be written to.

    Attributes:
        indication: Indicated values, shape (N,) [indicated unit].
        reference: The standard's values, shape (N,) [°C]; None when no such column was asked for.
        time: When each was taken, shape (N,) [s; of dates since 1970], never decreasing; None when no such column was
            asked for.
        file: The file that they stand in.
        rows: The row of each, as an editor counts, shape (N,): a text table's header is row 1; the first row of Parquet
            and Arrow is row 1.
        instrument: The instrument of each, an index into `Table.instruments()`, shape (N,); None where there is one.
        u_reference: Standard uncertainty of each reference, positive, shape (N,) [°C]; None where none is stated.
        u_indication: That of each indication, likewise [indicated unit].
        correlation: Of the two errors of each, likewise.
        group: The set point of each, an index into `Table.groups()`, shape (N,); None where no column says so.
    """

    indication: NDArray[np.float64]
    reference: NDArray[np.float64] | None
    time: NDArray[np.float64] | None
    file: Path
    rows: range | NDArray[np.int64]
    instrument: NDArray[np.int64] | None = None
    u_reference: NDArray[np.float64] | None = None
    u_indication: NDArray[np.float64] | None = None
    correlation: NDArray[np.float64] | None = None
    group: NDArray[np.int64] | None = None

    def take(self, chosen: NDArray[np.int64]) -> Block:
        """Returns the readings at some indices, shape (M,), in that order."""
        rows = self.rows  # a range is computed with, for NumPy would walk through it row by row
        return Block(
            self.indication[chosen],
            None if self.reference is None else self.reference[chosen],
            None if self.time is None else self.time[chosen],
            self.file,
            rows.start + rows.step * chosen if isinstance(rows, range) else rows[chosen],
            None if self.instrument is None else self.instrument[chosen],
            *OfReadings(*(None if each is None else each[chosen] for each in self.stated)),
            group=None if self.group is None else self.group[chosen],
        )

    @property
    def stated(self) -> OfReadings:
        """What is stated of the readings' uncertainties."""
        return OfReadings(self.u_reference, self.u_indication, self.correlation)

    def regrouped(self, index: NDArray[np.int64]) -> Block:
        """Returns the readings with another index for each set point, shape (groups,)."""
        return self if self.group is None else replace(self, group=index[self.group])

    def codes(self) -> NDArray[np.int64]:
        """Returns the instrument of each reading, shape (N,); 0 where there is one."""
        return np.zeros(len(self.indication), np.int64) if self.instrument is None else self.instrument

    def renamed(self, index: NDArray[np.int64]) -> Block:
        """Returns the readings with another index for each instrument, shape (instruments,)."""
        return self if self.instrument is None else replace(self, instrument=index[self.instrument])

"""``fit`` for readings in arrays, without a Trainer."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import torch

from thermofit_pl.calibration.records import Source
from thermofit_pl.errors import InputError
from thermofit_pl.metrics.accumulator import Intake
from thermofit_pl.metrics.least_squares import least_squares, refuse_no_curve
from thermofit_pl.results.analyse import Evidence
from thermofit_pl.results.build import conclude
from thermofit_pl.results.columns import tabulate
from thermofit_pl.tables.labels import Labels
from thermofit_pl.tables.table import ABSOLUTE_ZERO, LARGEST, Block
from thermofit_pl.tables.text_tables import BLOCK

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from thermofit_pl.calibration.calibration import Calibration
    from thermofit_pl.calibration.calibrations import Calibrations


@overload
def fit(indication: ArrayLike, reference: ArrayLike) -> Calibration: ...


@overload
def fit(indication: ArrayLike, reference: ArrayLike, instrument: ArrayLike) -> Calibrations: ...


def fit(indication: ArrayLike, reference: ArrayLike, instrument: ArrayLike | None = None) -> Calibration | Calibrations:
    """Calibrates one or many instruments with readings in arrays: the least-squares line, without a Trainer.

    Args:
        indication: What they showed, shape ``(N,)`` [indicated unit]: NumPy, torch, a list, a Polars or pandas column.
        reference: The references, shape ``(N,)`` [°C].
        instrument: The name of each reading's instrument, shape ``(N,)``, if there are several.

    Returns:
        The calibration; with ``instrument``, those of all.

    Raises:
        InputError: If a value is not finite, or the readings of a single instrument have no line.

    Example:
        >>> calibration = fit([35.7, 55.9, 58.2, 81.9], [0.5, 14.0, 15.0, 28.0])
        >>> round(calibration.w, 4), round(calibration.correct(68.4).estimate, 2)
        (0.5927, 20.58)
    """
    x, y = _column("indication", indication), _column("reference", reference)
    if len(x) != len(y):
        raise InputError(f"Expected as many references as indications, but got {len(y)} and {len(x)}")
    if instrument is not None and not x.size:
        raise InputError("Expected readings, at least two of an instrument, but got none")
    if y.size and y.min() < ABSOLUTE_ZERO:
        raise InputError(f"Expected references in °C, from {ABSOLUTE_ZERO} on, but got {y.min():g}")
    labels = Labels()
    codes = None if instrument is None else _codes(instrument, len(x), labels)
    intake = Intake(fleet=codes is not None)
    for start in range(0, len(x), BLOCK):  # the sample is thinned on the way, not from all at once
        rows = range(start + 1, min(start + BLOCK, len(x)) + 1)
        at = slice(start, start + BLOCK)
        intake.add("train", Block(x[at], y[at], None, Path(), rows, None if codes is None else codes[at]))
    intake.end()
    intake.arrange(None if codes is None else labels.names())
    moments = intake.moments["train"]
    if codes is None:
        refuse_no_curve(moments, "The readings")
    result = conclude(Evidence.of(moments, least_squares(moments), intake.sample))
    digest = hashlib.sha256(x.data)
    digest.update(y.data)
    source = Source(data_sha256=digest.hexdigest())
    return result.calibration(source) if intake.instruments is None else tabulate(result, intake.instruments, source)


def _codes(instrument: ArrayLike, n: int, labels: Labels) -> NDArray[np.int64]:
    import polars as pl

    names = pl.Series(np.asarray(instrument).tolist(), dtype=pl.String, strict=False)
    if len(names) != n:
        raise InputError(f"Expected as many instruments as indications, but got {len(names)} and {n}")
    codes = labels.codes(names)
    if np.isnan(codes).any():
        at = int(np.flatnonzero(np.isnan(codes))[0])
        raise InputError(f"Expected the name of an instrument for each reading, but got none at index {at}")
    return codes.astype(np.int64)


def _column(name: str, values: ArrayLike) -> np.ndarray[Any, np.dtype[np.float64]]:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy()
    try:
        column = np.require(values, np.float64, ["C", "W"])  # torch warns of arrays that are not writable
    except (TypeError, ValueError) as error:
        raise InputError(f"Expected numbers as {name}, but got {error}") from error
    if column.ndim != 1:
        raise InputError(f"Expected {name} of shape (N,), but got {column.shape}")
    wrong = np.flatnonzero(~(np.abs(column) <= LARGEST))
    if wrong.size:
        raise InputError(f"Expected finite numbers as {name}, but got {column[wrong[0]]} at index {wrong[0]}")
    return column

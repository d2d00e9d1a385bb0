"""The calibrations' file: Parquet, refused with a sentence when it isn't what was written."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

import numpy as np
import polars as pl

from thermofit_pl.calibration.calibration import Calibration
from thermofit_pl.calibration.fields import COMMON, COUNTS, INTERVALS, NUMBERS, OWN, hints_of, is_optional, required
from thermofit_pl.calibration.rules import (
    CONTROL,
    KINDS,
    LATER,
    RefusedError,
    counting,
    number_faults,
    provenance_faults,
    refuse_first,
    shown,
)
from thermofit_pl.errors import InputError
from thermofit_pl.formatting import printable
from thermofit_pl.functional.scales import SCALES
from thermofit_pl.tables.damage import PanicLines
from thermofit_pl.tables.parquet_footer import check_pages, chunks_of, unpacked_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT = "thermofit_pl calibrations 1"
KEY = "thermofit_pl"  # of the provenance in Parquet's metadata
UNPACKED = 40  # bytes in memory for one of the file: instruments that have a line take 2 to 4
LEAST_UNPACKED = 512 << 20  # what any file may take: 1.4 million instruments without a line, whose nulls take no room
LONGEST = 1 << 16  # bytes of a text
LONGEST_FOOTER = 4 << 20  # that of a million instruments has 40 kB
_JOINED = 4096  # texts that are put together at once: with LONGEST, 256 MiB at most
_DTYPES = {float: pl.Float64, int: pl.Int64, bool: pl.Boolean, str: pl.String}


@dataclasses.dataclass(frozen=True)
class NearestScale:
    """The column ``scale``: a verdict without the figures of the other scales, which follow from the line."""

    nearest: str
    near: bool
    exact: bool
    agreeing: tuple[str, ...]
    difference: float | None
    p: float | None


@lru_cache(maxsize=1)
def columns() -> dict[str, Any]:
    """The columns of the file, and the type of each."""
    return {"instrument": str, "status": str} | OWN | {"scale": NearestScale | None}


def metadata(frame: pl.DataFrame, provenance: Mapping[str, Any]) -> dict[str, str]:
    """Returns what the file says about its columns, with their checksum.

    Raises:
        InputError: They hold what ``read`` would refuse.
    """
    try:
        check(frame, provenance)
    except RefusedError as refused:
        raise InputError(f"Expected calibrations that can be saved, but {refused}.") from None
    kept = {"format": FORMAT, **provenance, "checksum": checksum(frame, provenance)}
    return {KEY: json.dumps(kept, ensure_ascii=False)}


def read(path: Path) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Returns the frame and the provenance of a file.

    Raises:
        InputError: It can't be read, or isn't what was saved.
    """
    try:
        with closing(PanicLines()) as lines, lines:
            return _read(path)
    except RefusedError as refused:
        raise InputError(
            f"Expected calibrations in {printable(path)}, but {refused}; take it from its run again, or fit again."
        ) from None
    except (OSError, ValueError, RecursionError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise InputError(
            f"Expected calibrations in {printable(path)}, but it could not be read as such ({type(error).__name__}); "
            "take it from its run again, or fit again."
        ) from None


def _read(path: Path) -> tuple[pl.DataFrame, dict[str, Any]]:
    chunks = chunks_of(path, LONGEST_FOOTER)
    check_pages(path, chunks)
    size, unpacked = path.stat().st_size, unpacked_bytes(chunks)
    if unpacked > max(LEAST_UNPACKED, UNPACKED * size):
        raise RefusedError(f"its {size} bytes would take {unpacked} in memory, which no calibrations do")
    provenance = json.loads(pl.read_parquet_metadata(path).get(KEY, "null"))
    if not isinstance(provenance, dict):
        raise RefusedError("it is another Parquet file")
    if provenance.pop("format", None) != FORMAT:
        raise RefusedError(f"its format isn't '{FORMAT}'")
    provenance = LATER | provenance
    found = list(pl.read_parquet_schema(path))
    lacking = [name for name in columns() if name not in found]
    lacking += [name for name in (*COMMON, "checksum") if name not in provenance]
    if lacking:
        raise RefusedError(f"{lacking[0]} is missing")
    if unknown := [name for name in found if name not in columns()]:
        raise RefusedError(f"the column {printable(unknown[0], 60)} is unknown")
    frame = pl.read_parquet(path, glob=False, hive_partitioning=False)
    kept = provenance.pop("checksum")
    _check_types(frame, provenance)
    if kept != checksum(frame, provenance):
        raise RefusedError("its values don't match its checksum: it was altered after it was written")
    check(frame, provenance)
    return frame, provenance


def checksum(frame: pl.DataFrame, provenance: Mapping[str, Any]) -> str:
    """Gives the SHA-256 of the values of all columns and of the provenance, however the file is encoded."""
    digest = hashlib.sha256(json.dumps(counting(provenance), sort_keys=True, separators=(",", ":")).encode())
    for name in columns():
        for piece in _bytes(name, frame[name]):
            digest.update(piece)
    return digest.hexdigest()


def _bytes(key: str, series: pl.Series) -> Iterator[bytes]:
    """A column as bytes: which values are null, then the others."""
    yield f"{key}:{len(series)}:".encode()
    if series.null_count():
        known = series.is_not_null()
        yield np.packbits(known.to_numpy()).tobytes()
        series = series.filter(known)
    if not len(series):  # of a column without values the type doesn't matter
        return
    if isinstance(series.dtype, pl.Struct):
        for field in sorted(series.dtype.to_schema()):
            yield from _bytes(f"{key}.{field}", series.struct.field(field))
    elif isinstance(series.dtype, pl.Array | pl.List):
        sizes, inner, _ = _items(series, np.arange(len(series)))
        yield sizes.astype("<i8").tobytes()
        yield from _bytes(f"{key}[]", inner)
    elif series.dtype == pl.String:
        yield series.str.len_bytes().to_numpy().astype("<i8").tobytes()
        for start in range(0, len(series), _JOINED):
            yield series.slice(start, _JOINED).str.join("").item().encode()
    else:
        values = series.to_numpy()
        yield np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()


def _items(series: pl.Series, at: NDArray[np.int64]) -> tuple[NDArray[np.int64], pl.Series, NDArray[np.int64]]:
    """How many items each list has, the items, and the row of each."""
    lists = series.arr.to_list() if isinstance(series.dtype, pl.Array) else series
    sizes = lists.list.len().to_numpy().astype(np.int64)
    return sizes, lists.filter(pl.Series(sizes > 0)).explode(), np.repeat(at, sizes)


def check(frame: pl.DataFrame, provenance: Mapping[str, Any]) -> None:
    """Refuses what no fit gives: by the same rules as a single calibration's file.

    Raises:
        RefusedError: With what is wrong.
    """
    _check_types(frame, provenance)
    refuse_first(provenance_faults(provenance))
    _refuse_rows(frame, frame["instrument"].is_duplicated(), "has more than one row")
    lined = frame.filter(pl.col("w").is_not_null())
    _refuse_rows(lined, lined["snap"].is_null() == (provenance["finish"] == "snap"), "has a snap that finish doesn't")
    scale = lined["scale"].struct.field
    for names in (scale("nearest"), lined["snap"].struct.field("scale"), scale("agreeing").list.explode()):
        if unknown := set(names.drop_nulls().unique()) - set(SCALES):
            raise RefusedError(f"a scale is {shown(min(unknown))}, none that this version knows")
    numbers: dict[str, NDArray[Any]] = {name: lined[name].to_numpy() for name in (*NUMBERS, *COUNTS)}
    for name in INTERVALS:
        for k, end in enumerate(("low", "high")):
            numbers[f"{name}.{end}"] = lined.get_column(name).arr.get(k).to_numpy()
    for wrong, sentence in number_faults(numbers, provenance["finish"]):
        if wrong.any():
            first = int(wrong.argmax())
            raise RefusedError(f"of {shown(lined['instrument'][first])} {sentence(first)}")


def _refuse_rows(frame: pl.DataFrame, wrong: pl.Series, what: str) -> None:
    if wrong.any():
        raise RefusedError(f"{shown(frame['instrument'].filter(wrong)[0])} {what}")


def _check_types(frame: pl.DataFrame, provenance: Mapping[str, Any]) -> None:
    """Refuses values of another kind than a calibration's, numbers that aren't finite, and what must not be null."""
    nobody = pl.Series([""])
    for name in COMMON:
        _check_column(hints_of(Calibration)[name], pl.Series([provenance[name]], strict=False), name, nobody)
    lined = frame["w"].is_not_null()
    for name, hint in columns().items():
        of_line = name in NUMBERS or name in INTERVALS  # null where there is no line
        column, instruments = frame[name], frame["instrument"]
        _check_column(hint | None if of_line else hint, column, name, instruments)
        if of_line and not is_optional(hint):
            _refuse_rows(frame, lined & column.is_null(), f"has a w, but no {name}")


def _check_column(hint: Any, series: pl.Series, key: str, of: pl.Series) -> None:
    """Refuses a column that isn't what a type hint says; ``of`` has the instrument of each value."""
    if is_optional(hint):
        hint, known = required(hint), series.is_not_null()
        series, of = series.filter(known), of.filter(known)
        if not len(series):
            return
    what = f"not {KINDS.get(hint, 'what a calibration has')}"
    _refuse_values(series.is_null(), series, key, of, what)
    if not _is_kind(hint, series.dtype):
        raise RefusedError(f"{key} is a column of {printable(str(series.dtype), 60)}, {what}")
    if dataclasses.is_dataclass(hint):
        for name, inner in hints_of(hint).items():  # type: ignore[arg-type]  # a class, as hints are
            _check_column(inner, series.struct.field(name), f"{key}.{name}", of)
    elif get_origin(hint) is tuple:
        _, items, at = _items(series, np.arange(len(series)))
        _check_column(get_args(hint)[0], items, f"{key}[]", of.gather(at))
    elif hint is float:
        _refuse_values(~series.is_finite(), series, key, of, "not a finite number")
    elif hint is str:
        _refuse_values(series.str.len_bytes() > LONGEST, series, key, of, f"which is longer than {LONGEST} bytes")
        if key != "instrument":  # a table may name its instruments as it likes
            wrong = series.str.contains(CONTROL.pattern)
            _refuse_values(wrong, series, key, of, "which holds control characters")


def _is_kind(hint: Any, dtype: pl.DataType) -> bool:
    if dataclasses.is_dataclass(hint):
        fields = hints_of(hint)  # type: ignore[arg-type]
        return isinstance(dtype, pl.Struct) and set(dtype.to_schema()) == set(fields)
    if get_origin(hint) is not tuple:
        return dtype == _DTYPES[hint]
    if get_args(hint)[-1] is Ellipsis:
        return isinstance(dtype, pl.List)
    return isinstance(dtype, pl.Array) and dtype.shape == (len(get_args(hint)),)


def _refuse_values(wrong: pl.Series, values: pl.Series, key: str, of: pl.Series, what: str) -> None:
    if wrong.any():
        first = int(wrong.arg_true()[0])
        whose = f"of {shown(of[first])} " if of[first] else ""
        raise RefusedError(f"{whose}{key} is {shown(values[first])}, {what}")

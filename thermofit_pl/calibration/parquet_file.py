"""The calibrations' file: Parquet, refused with a sentence when it isn't what was written."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import polars as pl

from thermofit_pl.calibration import version_1
from thermofit_pl.calibration.calibration import Calibration
from thermofit_pl.calibration.fields import COMMON, Schema, is_optional, walk
from thermofit_pl.calibration.records import Diagnostics
from thermofit_pl.calibration.rules import (
    CONTROL,
    KINDS,
    LATER,
    QUOTED,
    RefusedError,
    counting,
    curve_of,
    number_faults,
    provenance_faults,
    refuse_first,
    shown,
    vectors,
)
from thermofit_pl.curves.base import Curve
from thermofit_pl.curves.line import Line
from thermofit_pl.errors import InputError
from thermofit_pl.formatting import printable
from thermofit_pl.functional.scales import SCALES
from thermofit_pl.tables.damage import PanicLines
from thermofit_pl.tables.parquet_footer import check_pages, chunks_of, unpacked_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT = "thermofit_pl calibrations 2"
VERSIONS = {version_1.MANY: 1, FORMAT: 2}
KEY = "thermofit_pl"  # of the provenance in Parquet's metadata
UNPACKED = 40  # bytes in memory for one of the file: instruments that have a line take 2 to 4
LEAST_UNPACKED = 512 << 20  # what any file may take: 1.4 million instruments without a line, whose nulls take no room
LONGEST = 1 << 16  # bytes of a text
LONGEST_FOOTER = 4 << 20  # that of a million instruments has 40 kB
UNREADABLE = (
    OSError,
    ValueError,
    ArithmeticError,
    RecursionError,
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,
)
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


def columns(schema: Schema) -> dict[str, Any]:
    """The columns of the file, and the type of each."""
    first = {"instrument": str, "status": str}
    if "misfit" in schema.own:  # beside the status
        first |= {"misfit": schema.own["misfit"]}
    return first | schema.own | {"scale": NearestScale | None}


def metadata(frame: pl.DataFrame, provenance: Mapping[str, Any]) -> dict[str, str]:
    """Returns what the file says about its columns, with their checksum.

    Raises:
        InputError: They hold what ``read`` would refuse.
    """
    try:
        check(frame, provenance)
    except RefusedError as refused:
        raise InputError(f"Expected calibrations that can be saved, but {refused}.") from None
    kept = {"format": FORMAT, **plain(provenance), "checksum": checksum(frame, provenance)}
    return {KEY: json.dumps(kept, ensure_ascii=False)}


def _schema(provenance: Mapping[str, Any]) -> Schema:
    """The fields of the calibrations; a file of the first version has no curve."""
    return Schema(provenance["curve"]) if "curve" in provenance else Schema(Line(), 1)


def plain(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """The provenance with the curve's record."""
    return {key: value.record() if isinstance(value, Curve) else value for key, value in provenance.items()}


def read(path: Path, curves: Sequence[type[Curve]] = ()) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Returns the frame and the provenance of a file.

    Args:
        path: The file.
        curves: Classes of the user's own that its curve may be of.

    Raises:
        InputError: It can't be read, or isn't what was saved.
    """
    try:
        with closing(PanicLines()) as lines, lines:
            return _read(path, curves)
    except RefusedError as refused:
        raise InputError(
            f"Expected calibrations in {printable(path)}, but {refused}; take it from its run again, or fit again."
        ) from None
    except (
        OSError,
        ValueError,
        ArithmeticError,
        RecursionError,
        pl.exceptions.PolarsError,
        pl.exceptions.PanicException,
    ) as error:
        raise InputError(
            f"Expected calibrations in {printable(path)}, but it could not be read as such ({type(error).__name__}); "
            "take it from its run again, or fit again."
        ) from None


def _read(path: Path, curves: Sequence[type[Curve]]) -> tuple[pl.DataFrame, dict[str, Any]]:
    chunks = chunks_of(path, LONGEST_FOOTER)
    check_pages(path, chunks)
    size, unpacked = path.stat().st_size, unpacked_bytes(chunks)
    if unpacked > max(LEAST_UNPACKED, UNPACKED * size):
        raise RefusedError(f"its {size} bytes would take {unpacked} in memory, which no calibrations do")
    provenance = json.loads(pl.read_parquet_metadata(path).get(KEY, "null"))
    if not isinstance(provenance, dict):
        raise RefusedError("it is another Parquet file")
    version = VERSIONS.get(str(provenance.pop("format", None)))
    if version is None:
        raise RefusedError(f"its format isn't '{FORMAT}'")
    provenance = dict[str, Any](LATER | provenance)
    kept, given = provenance.pop("checksum", None), provenance.pop("curve", None)
    schema = Schema(Line() if version == 1 else curve_of(given, curves), version)
    names, found = columns(schema), list(pl.read_parquet_schema(path))
    lacking = [name for name in names if name not in found]
    lacking += [name for name in COMMON if name not in (*provenance, "curve")]
    if kept is None or lacking:
        raise RefusedError(f"{[*lacking, 'checksum'][0]} is missing")
    if unknown := [name for name in found if name not in names]:
        raise RefusedError(f"the column {printable(unknown[0], 60)} is unknown")
    frame = pl.read_parquet(path, glob=False, hive_partitioning=False)
    if version > 1:
        provenance["curve"] = schema.curve
    _check_types(frame, provenance, schema)
    if kept != checksum(frame, provenance):
        raise RefusedError("its values don't match its checksum: it was altered after it was written")
    check(frame, provenance)
    if version > 1:
        return frame, provenance
    now = Schema(schema.curve)
    upgraded = version_1.upgraded_frame(frame, list(now.of(Diagnostics)))
    return upgraded.select(*columns(now)), {"curve": schema.curve, **provenance}


def checksum(frame: pl.DataFrame, provenance: Mapping[str, Any]) -> str:
    """Gives the SHA-256 of the values of all columns and of the provenance, however the file is encoded."""
    text = json.dumps(counting(plain(provenance)), sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode())
    for name in columns(_schema(provenance)):
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
    schema = _schema(provenance)
    _check_types(frame, provenance, schema)
    refuse_first(provenance_faults(provenance))
    _refuse_rows(frame, frame["instrument"].is_duplicated(), "has more than one row")
    # without those that nothing is asked of below: they are most of the frame, which would be there twice
    lined = frame.drop("diagnostics", "sgd", "stated", strict=False).filter(pl.col("w").is_not_null())
    _refuse_rows(lined, lined["snap"].is_null() == (provenance["finish"] == "snap"), "has a snap that finish doesn't")
    for column, field in (("scale", "nearest"), ("snap", "scale"), ("scale", "agreeing")):
        there = lined[column].drop_nulls()
        names = there.struct.field(field) if len(there) else there
        if unknown := set(names.explode() if field == "agreeing" and len(there) else names) - {None, *SCALES}:
            raise RefusedError(f"a scale is {shown(min(unknown))}, none that this version knows")
    for wrong, sentence in number_faults(numbers_of(lined, schema), provenance["finish"], schema.curve):
        if wrong.any():
            first = int(wrong.argmax())
            raise RefusedError(f"of {shown(lined['instrument'][first])} {sentence(first)}")


def numbers_of(frame: pl.DataFrame, schema: Schema) -> dict[str, NDArray[Any]]:
    """Returns the numbers of instruments as ``number_faults`` takes them: shape ``(I, ...)``, NaN where null."""
    numbers: dict[str, NDArray[Any]] = {name: frame[name].to_numpy() for name in (*schema.numbers, *schema.counts)}
    for name in schema.intervals:
        for k, end in enumerate(("low", "high")):
            numbers[f"{name}.{end}"] = frame.get_column(name).arr.get(k).to_numpy()
    for name, shape in vectors(schema.curve).items():
        column = frame["conventional"].struct.field(name) if name in QUOTED else frame[name]
        numbers[name] = array_of(column, shape)
    return numbers


def array_of(column: pl.Series, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Returns a column of arrays, shape ``(I, *shape)``; NaN where it is null."""
    if column.null_count() == len(column):  # it may be of any type
        return np.full((len(column), *shape), np.nan)
    found: NDArray[np.float64] = column.to_numpy()
    return found


def _refuse_rows(frame: pl.DataFrame, wrong: pl.Series, what: str) -> None:
    if wrong.any():
        raise RefusedError(f"{shown(frame['instrument'].filter(wrong)[0])} {what}")


def _check_types(frame: pl.DataFrame, provenance: Mapping[str, Any], schema: Schema) -> None:
    """Refuses values of another kind than a calibration's, numbers that aren't finite, and what must not be null."""
    hints, nobody = schema.of(Calibration), pl.Series([""])
    for name in (name for name in COMMON if name in hints and name != "curve"):
        walk(schema, hints[name], Column(pl.Series([provenance[name]], strict=False), nobody), name)
    lined = frame["w"].is_not_null()
    of_curve = {*schema.numbers, *schema.intervals, *schema.vectors, "conventional"}  # null where there is no curve
    for name, hint in columns(schema).items():
        column, instruments = frame[name], frame["instrument"]
        walk(schema, hint | None if name in of_curve else hint, Column(column, instruments), name)
        if name in of_curve and not is_optional(hint):
            _refuse_rows(frame, lined & column.is_null(), f"has a w, but no {name}")


@dataclasses.dataclass(frozen=True)
class Column:
    """A column on the walk over the fields, which checks it.

    Attributes:
        series: The column.
        of: The instrument of each value.
    """

    series: pl.Series
    of: pl.Series

    def known(self) -> Column | None:
        """Returns the values that aren't null; None if all are."""
        known = self.series.is_not_null()
        return Column(self.series.filter(known), self.of.filter(known)) if known.any() else None

    def record(self, hints: dict[str, Any], key: str) -> dict[str, Column]:
        """Returns the columns of a nested one."""
        dtype = self.series.dtype
        self._check(isinstance(dtype, pl.Struct) and set(dtype.to_schema()) == set(hints), key)
        return {name: Column(self.series.struct.field(name), self.of) for name in hints}

    def items(self, hint: Any, key: str) -> Iterator[tuple[str, Column]]:
        """Yields one column of the items of all lists."""
        inner, dtype = get_args(hint), self.series.dtype
        any_length = inner[-1] is Ellipsis
        as_it_should = isinstance(dtype, pl.List if any_length else pl.Array)
        self._check(as_it_should and (any_length or dtype.shape[0] == len(inner)), key)  # type: ignore[attr-defined]
        _, items, at = _items(self.series, np.arange(len(self.series)))
        yield f"{key}[]", Column(items, self.of.gather(at))

    def scalar(self, hint: Any, key: str) -> None:
        """Refuses what is no number, text or truth of a calibration."""
        self._check(self.series.dtype == _DTYPES[hint], key, f"not {KINDS[hint]}")
        if hint is float:
            self._refuse(~self.series.is_finite(), key, "not a finite number")
        elif hint is str:
            self._refuse(self.series.str.len_bytes() > LONGEST, key, f"which is longer than {LONGEST} bytes")
            if key != "instrument":  # a table may name its instruments as it likes
                self._refuse(self.series.str.contains(CONTROL.pattern), key, "which holds control characters")

    def _check(self, right: bool, key: str, what: str = "not what a calibration has") -> None:
        """Refuses nulls, and a column of another type."""
        self._refuse(self.series.is_null(), key, what)
        if not right:
            raise RefusedError(f"{key} is a column of {printable(str(self.series.dtype), 60)}, {what}")

    def _refuse(self, wrong: pl.Series, key: str, what: str) -> None:
        if wrong.any():
            first = int(wrong.arg_true()[0])
            whose = f"of {shown(self.of[first])} " if self.of[first] else ""
            raise RefusedError(f"{whose}{key} is {shown(self.series[first])}, {what}")

"""What every calibration's values must be, whichever file they stand in: one's JSON or the Parquet of many."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from thermofit_pl.curves.base import Curve, from_record
from thermofit_pl.curves.line import Line
from thermofit_pl.errors import InputError
from thermofit_pl.formatting import printable
from thermofit_pl.functional.units import ABSOLUTE_ZERO, CELSIUS, LONGEST

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from thermofit_pl.calibration.calibration import Calibration
    from thermofit_pl.calibration.fields import Schema

    Columns = Mapping[str, NDArray[Any]]
    Faults = Iterator[tuple[NDArray[np.bool_], Callable[[int], str]]]

# keys that came later: a file without them holds these, and has the checksum of one with them
LATER: dict[str, str | None] = {"unit": CELSIUS, "indication_unit": None}
QUOTED = ("values", "u", "covariance")  # of the record ``conventional``
KINDS = {float: "a number", int: "a whole number", bool: "true or false", str: "a text"}
CONTROL = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"
)  # a column may be named over two lines, none rings the bell
_ROUNDING = (
    1e-6  # between u_b, cov_wb and u_pivot, u_w: both ways of computing them lose digits when the mean is far from zero
)


class RefusedError(Exception):
    """What is wrong with a file, as the end of "Expected a calibration, but …"."""


def shown(value: object) -> str:
    """A value from a file, as a sentence shows it."""
    return printable(repr(value), 60)


def counting(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the keys that a checksum is made of."""
    return {key: value for key, value in values.items() if key not in LATER or value != LATER[key]}


def refuse_first(faults: Iterable[tuple[bool, str]]) -> None:
    """Raises ``RefusedError`` with the first sentence that holds."""
    for wrong, sentence in faults:
        if wrong:
            raise RefusedError(sentence)


def provenance_faults(c: Mapping[str, Any]) -> Iterator[tuple[bool, str]]:
    """Says what is wrong with the keys that the instruments of a fit share."""
    yield c["dropped"] < 0, f"dropped is {c['dropped']}, below zero"
    finishes = ("least_squares", "sgd", "snap")
    yield c["finish"] not in finishes, f"finish is {shown(c['finish'])}, which no fit writes"
    probability = c["coverage_probability"]
    yield not 0 < probability < 1, f"coverage_probability is {probability}, not between 0 and 1"
    utc = re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)", c["created"])
    yield not utc, "created is no time in UTC"
    for key in ("unit", "indication_unit"):
        yield c[key] is not None and not 0 < len(c[key]) <= LONGEST, f"{key} is {shown(c[key])}, which is no unit"
    yield c["finish"] == "snap" and c["unit"] not in ABSOLUTE_ZERO, f"it is a named scale's in {shown(c['unit'])}"
    sha256 = c["data_sha256"]
    yield sha256 is not None and not re.fullmatch("[0-9a-f]{64}", sha256), "data_sha256 is no SHA-256"


def curve_of(record: Any, curves: Sequence[type[Curve]]) -> Curve:
    """Returns the curve of a file, without importing a class that the file names.

    Args:
        record: What stands in the file.
        curves: Classes of the user's own that it may name.

    Raises:
        RefusedError: It is no record of a known curve, with all that the curve needs.
    """
    import numpy as np

    try:
        curve = from_record(record, curves)
        curve.evaluate(np.ones(1), 1.0, [1.0] * len(curve.names), [0.0] * len(curve.names))  # it must have its frame
    except (InputError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        words = str(error).removeprefix("curve: expected ") if isinstance(error, InputError) else repr(error)
        raise RefusedError(f"its curve isn't {printable(words, 300)}") from None
    return curve


def columns_of_one(calibration: Calibration, schema: Schema) -> Columns:
    """A calibration's numbers as columns of one row, as ``number_faults`` takes them."""
    import numpy as np

    c = calibration
    columns: dict[str, Any] = {name: np.array([getattr(c, name)], np.float64) for name in schema.numbers}
    columns |= {name: np.array([getattr(c, name)]) for name in schema.counts}
    for name in schema.intervals:
        ends = getattr(c, name) or (None, None)
        columns |= {f"{name}.{end}": np.array([ends[k]], np.float64) for k, end in enumerate(("low", "high"))}
    for name, shape in vectors(schema.curve).items():
        owner: Any = c.conventional if name in QUOTED else c
        value = getattr(owner, name)
        columns[name] = np.full((1, *shape), math.nan) if value is None else np.array([value], np.float64)
    return columns


def vectors(curve: Curve) -> dict[str, tuple[int, ...]]:
    """The shape of what a curve other than a line has of several numbers, by name."""
    if isinstance(curve, Line):
        return {}
    p, q = len(curve.names), len(curve.conventional_names)
    return {"w": (p,), "pivot": (p,), "U": (p, p), "values": (q,), "u": (q,), "covariance": (q, q)}


def number_faults(c: Columns, finish: str, curve: Curve) -> Faults:
    """Says what is wrong with the numbers of calibrations, though each alone is finite.

    Args:
        c: The numbers, counts and vectors of instruments that have a curve, the ends of intervals as
            ``w_interval.low``, and of curves other than lines the ``values``, ``u`` and ``covariance`` of what people
            quote; shape ``(I, ...)`` each, NaN where there is none.
        finish: The calibrations' ``finish``.
        curve: Theirs.

    Yields:
        Which instruments are at fault, shape ``(I,)``, and what says of one of them how.
    """
    import numpy as np

    n, low, high, least = c["n"], c["indication_range.low"], c["indication_range.high"], len(curve.free)
    few = {1: "one reading", 2: "two readings"}.get(least, f"{least} readings")
    yield n < least, lambda i: f"n is {n[i]}, fewer than {few}"
    apart = np.asarray(c["dof"] != (n if finish == "snap" else n - least))
    yield apart, lambda i: f"dof is {c['dof'][i]}, which doesn't go with n = {n[i]}"
    yield low > high, lambda i: f"indication_range is reversed, {low[i]} to {high[i]}"
    for name in ("u_w", "u_b", "u_pivot", "s", "u_reading", "rmse", "coverage_factor", "u_dof", "reading_dof"):
        if name in c:
            yield c[name] < 0, lambda i, name=name: f"{name} is {c[name][i]}, below zero"  # type: ignore[misc]
    yield c["r_squared"] > 1, lambda i: f"r_squared is {c['r_squared'][i]}, above 1"
    yield from _line_faults(c) if isinstance(curve, Line) else _other_faults(c, curve)
    for name in ("s", "coverage_factor", "u_reading", "u_dof", "reading_dof"):
        if name in c:
            lacking = known(c, "u_pivot") & ~known(c, name)
            yield lacking, lambda _, name=name: f"{name} is missing beside u_pivot"  # type: ignore[misc]


def known(c: Columns, name: str) -> NDArray[np.bool_]:
    """Which instruments have a number, or all of several, shape ``(I,)``."""
    import numpy as np

    finite = np.isfinite(c[name])
    return np.asarray(finite.all(axis=tuple(range(1, finite.ndim))))  # also of no instrument


def _all_or_none(c: Columns, names: tuple[str, ...]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Of which instruments some of several are missing and some aren't, and of which none is, shape ``(I,)`` each."""
    import numpy as np

    there = np.stack([known(c, name) for name in names]).sum(axis=0)
    return np.asarray((there > 0) & (there < len(names))), np.asarray(there == len(names))


def _line_faults(c: Columns) -> Faults:
    import numpy as np

    low, high, mean = c["indication_range.low"], c["indication_range.high"], c["indication_mean"]
    pivot = c.get("pivot", mean)
    slack = 1e-9 * np.maximum(np.abs(low), np.abs(high))
    outside = (mean < low - slack) | (mean > high + slack)
    yield outside, lambda i: f"indication_mean is {mean[i]}, outside the range"
    some, every = _all_or_none(c, ("u_w", "u_b", "cov_wb", "u_pivot"))
    yield some, lambda _: "some of u_w, u_b, cov_wb and u_pivot are null and some aren't"
    with np.errstate(over="ignore", invalid="ignore"):
        u_b, cov_wb = np.hypot(c["u_pivot"], pivot * c["u_w"]), -pivot * c["u_w"] ** 2
        apart_u, apart_cov = np.abs(u_b - c["u_b"]), np.abs(cov_wb - c["cov_wb"])
        least = _ROUNDING * c["u_w"] * c["u_b"]
        near_u = apart_u <= _ROUNDING * np.maximum(u_b, c["u_b"])
        near_cov = apart_cov <= np.maximum(least, _ROUNDING * np.maximum(np.abs(cov_wb), np.abs(c["cov_wb"])))
    name = "pivot" if "pivot" in c else "indication_mean"
    yield every & ~near_u, lambda _: f"u_b doesn't go with u_pivot, u_w and {name}"
    yield every & ~near_cov, lambda _: f"cov_wb doesn't go with u_w and {name}"
    for name in ("w", "b"):
        beyond = (c[name] < c[f"{name}_interval.low"]) | (c[name] > c[f"{name}_interval.high"])
        yield beyond, lambda _, name=name: f"{name} isn't inside {name}_interval"  # type: ignore[misc]


def _other_faults(c: Columns, curve: Curve) -> Faults:
    import numpy as np

    from thermofit_pl.functional.conventional import conventional

    some, every = _all_or_none(c, ("U", "u_pivot", "u", "covariance"))
    yield some, lambda _: "some of U, u_pivot, conventional.u and conventional.covariance are null and some aren't"
    yield every & (np.tril(c["U"], -1) != 0).any(axis=(1, 2)), lambda _: "U isn't upper triangular"
    with np.errstate(all="ignore"):
        b = c["level"] - (c["w"] * c["pivot"]).sum(axis=-1)
        values, u, covariance = conventional(curve, b, c["w"], c["pivot"], c["u_pivot"], c["U"])
        room = _ROUNDING * np.abs(values) + 1e-2 * c["u"]
        off = (np.abs(values - c["values"]) > room).any(axis=-1)
        away = (np.abs(u - c["u"]) > 1e3 * _ROUNDING * c["u"]).any(axis=-1)
        scale = c["u"][:, :, None] * c["u"][:, None, :]
        apart = (np.abs(covariance - c["covariance"]) > 1e3 * _ROUNDING * scale).any(axis=(1, 2))
    yield every & off, lambda _: "conventional.values don't go with level, w and pivot"
    yield every & away, lambda _: "conventional.u doesn't go with u_pivot, U and pivot"
    yield every & apart, lambda _: "conventional.covariance doesn't go with u_pivot, U and pivot"

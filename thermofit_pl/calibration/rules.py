"""What every calibration's values must be, whichever file they stand in: one's JSON or the Parquet of many."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from thermofit_pl.calibration.fields import COUNTS, INTERVALS, NUMBERS
from thermofit_pl.formatting import printable
from thermofit_pl.functional.units import ABSOLUTE_ZERO, CELSIUS, LONGEST

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from thermofit_pl.calibration.calibration import Calibration

    Columns = Mapping[str, NDArray[np.float64] | NDArray[np.int64]]
    Faults = Iterator[tuple[NDArray[np.bool_], Callable[[int], str]]]

# keys that came later: a file without them holds these, and has the checksum of one with them
LATER: dict[str, str | None] = {"unit": CELSIUS, "indication_unit": None}
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
    for key in LATER:
        yield c[key] is not None and not 0 < len(c[key]) <= LONGEST, f"{key} is {shown(c[key])}, which is no unit"
    yield c["finish"] == "snap" and c["unit"] not in ABSOLUTE_ZERO, f"it is a named scale's in {shown(c['unit'])}"
    sha256 = c["data_sha256"]
    yield sha256 is not None and not re.fullmatch("[0-9a-f]{64}", sha256), "data_sha256 is no SHA-256"


def columns_of_one(calibration: Calibration) -> Columns:
    """A calibration's numbers as columns of one row, as ``number_faults`` takes them."""
    import numpy as np

    columns: dict[str, Any] = {name: np.array([getattr(calibration, name)], np.float64) for name in NUMBERS}
    columns |= {name: np.array([getattr(calibration, name)]) for name in COUNTS}
    for name in INTERVALS:
        ends = getattr(calibration, name) or (None, None)
        columns |= {f"{name}.{end}": np.array([ends[k]], np.float64) for k, end in enumerate(("low", "high"))}
    return columns


def number_faults(c: Columns, finish: str) -> Faults:
    """Says what is wrong with the numbers of calibrations, though each alone is finite.

    Args:
        c: ``NUMBERS`` and ``COUNTS`` of instruments that have a line, and the ends of ``INTERVALS`` as
            ``w_interval.low``, shape ``(I,)`` each; NaN where there is none.
        finish: The calibrations' ``finish``.

    Yields:
        Which instruments are at fault, shape ``(I,)``, and what says of one of them how.
    """
    import numpy as np

    n, low, high, mean = c["n"], c["indication_range.low"], c["indication_range.high"], c["indication_mean"]
    slack = 1e-9 * np.maximum(np.abs(low), np.abs(high))
    yield n < 2, lambda i: f"n is {n[i]}, fewer than two readings"
    apart = np.asarray(c["dof"] != (n if finish == "snap" else n - 2))
    yield apart, lambda i: f"dof is {c['dof'][i]}, which doesn't go with n = {n[i]}"
    yield low > high, lambda i: f"indication_range is reversed, {low[i]} to {high[i]}"
    outside = (mean < low - slack) | (mean > high + slack)
    yield outside, lambda i: f"indication_mean is {mean[i]}, outside the range"
    for name in ("u_w", "u_b", "u_pivot", "s", "rmse", "coverage_factor"):
        yield c[name] < 0, lambda i, name=name: f"{name} is {c[name][i]}, below zero"  # type: ignore[misc]
    yield c["r_squared"] > 1, lambda i: f"r_squared is {c['r_squared'][i]}, above 1"
    known = np.isfinite(np.stack([c[name] for name in ("u_w", "u_b", "cov_wb", "u_pivot")]))
    some, every = np.asarray(known.any(axis=0)), np.asarray(known.all(axis=0))
    yield some & ~every, lambda _: "some of u_w, u_b, cov_wb and u_pivot are null and some aren't"
    lacking = some & ~(np.isfinite(c["s"]) & np.isfinite(c["coverage_factor"]))
    yield lacking, lambda _: "s or coverage_factor is missing beside u_w"
    with np.errstate(over="ignore", invalid="ignore"):
        u_b, cov_wb = np.hypot(c["u_pivot"], mean * c["u_w"]), -mean * c["u_w"] ** 2
        apart_u, apart_cov = np.abs(u_b - c["u_b"]), np.abs(cov_wb - c["cov_wb"])
        least = _ROUNDING * c["u_w"] * c["u_b"]
        near_u = apart_u <= _ROUNDING * np.maximum(u_b, c["u_b"])
        near_cov = apart_cov <= np.maximum(least, _ROUNDING * np.maximum(np.abs(cov_wb), np.abs(c["cov_wb"])))
    yield every & ~near_u, lambda _: "u_b doesn't go with u_pivot, u_w and indication_mean"
    yield every & ~near_cov, lambda _: "cov_wb doesn't go with u_w and indication_mean"
    for name in ("w", "b"):
        beyond = (c[name] < c[f"{name}_interval.low"]) | (c[name] > c[f"{name}_interval.high"])
        yield beyond, lambda _, name=name: f"{name} isn't inside {name}_interval"  # type: ignore[misc]

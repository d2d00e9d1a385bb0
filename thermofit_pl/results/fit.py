"""``fit`` for readings in memory, without a Trainer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, overload

import numpy as np
from typing_extensions import Unpack

from thermofit_pl.calibration.records import Source
from thermofit_pl.curves.base import Curve
from thermofit_pl.curves.line import Line
from thermofit_pl.errors import InputError
from thermofit_pl.functional.arrays import arrays, numbers
from thermofit_pl.functional.units import ABSOLUTE_ZERO, CELSIUS, Units, as_unit
from thermofit_pl.metrics.accumulator import Accumulator
from thermofit_pl.metrics.least_squares import least_squares, refuse_no_curve
from thermofit_pl.metrics.passes import fitted
from thermofit_pl.results.analyse import Analysis
from thermofit_pl.results.build import build
from thermofit_pl.results.columns import single, tabulate
from thermofit_pl.results.stated import Known
from thermofit_pl.results.stated_arguments import Scale, StatedArguments, refuse_together, stated_of
from thermofit_pl.tables.frames import column_of, is_frame, seconds
from thermofit_pl.tables.labels import Labels
from thermofit_pl.tables.stated import OfReadings
from thermofit_pl.tables.table import LARGEST, Block
from thermofit_pl.tables.text_tables import BLOCK

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from thermofit_pl.calibration.calibration import Calibration
    from thermofit_pl.calibration.calibrations import Calibrations
    from thermofit_pl.tables.frames import Frame

ROLES = ("indication", "reference", "instrument")


@overload
def fit(
    indication: ArrayLike,
    reference: ArrayLike,
    *,
    curve: Curve | None = None,
    time: ArrayLike | None = None,
    group: ArrayLike | None = None,
    unit: str = CELSIUS,
    indication_unit: str | None = None,
    uncertainties: Scale = "absolute",
    **stated: Unpack[StatedArguments],
) -> Calibration: ...


@overload
def fit(
    indication: ArrayLike,
    reference: ArrayLike,
    instrument: ArrayLike,
    *,
    curve: Curve | None = None,
    time: ArrayLike | None = None,
    group: ArrayLike | None = None,
    unit: str = CELSIUS,
    indication_unit: str | None = None,
    uncertainties: Scale = "absolute",
    **stated: Unpack[StatedArguments],
) -> Calibrations: ...


@overload
def fit(
    frame: Frame,
    /,
    *,
    indication: str,
    reference: str,
    curve: Curve | None = None,
    time: str | None = None,
    group: str | None = None,
    unit: str = CELSIUS,
    indication_unit: str | None = None,
    uncertainties: Scale = "absolute",
    **stated: Unpack[StatedArguments],
) -> Calibration: ...


@overload
def fit(
    frame: Frame,
    /,
    *,
    indication: str,
    reference: str,
    instrument: str,
    curve: Curve | None = None,
    time: str | None = None,
    group: str | None = None,
    unit: str = CELSIUS,
    indication_unit: str | None = None,
    uncertainties: Scale = "absolute",
    **stated: Unpack[StatedArguments],
) -> Calibrations: ...


def fit(
    *readings: Any,
    curve: Curve | None = None,
    time: Any = None,
    group: Any = None,
    unit: str = CELSIUS,
    indication_unit: str | None = None,
    uncertainties: Scale = "absolute",
    **named: Any,
) -> Calibration | Calibrations:
    """Calibrates one or many instruments with readings in memory: the least-squares curve, without a Trainer.

    It is ``fit(indication, reference)``, or ``fit(indication, reference, instrument)``, with arrays: NumPy's (masks are
    honoured), torch's, lists, columns of pandas, Polars or Arrow. Or it is
    ``fit(frame, indication="shown", reference="celsius")`` with a table of pandas, Polars or Arrow, or a dict of
    arrays, and the names of its columns.

    Args:
        readings: The arrays; or one table, of which the other arguments name columns.
        curve: The curve, such as ``Polynomial(2)`` of ``thermofit_pl.curves``; None is the straight line.
        time: When each reading was taken, shape ``(N,)`` [s], or dates, or ISO text. It says that the readings are a
            log: neighbours in time are then not taken as independent.
        group: At which set point each reading was taken, shape ``(N,)``, numbers or names; None recognises set points
            where readings repeat.
        unit: The references': ``°C``, ``°F``, ``K``, ``hPa``, ...
        indication_unit: That of the indications, if it is known.
        uncertainties: Whether stated uncertainties are ``absolute``, taken as they are, or ``relative``, no more than
            weights whose scale the errors give.
        named: ``indication``, what the instruments showed, shape ``(N,)`` [indicated unit]; ``reference``, shape
            ``(N,)`` [``unit``]; and if there are several, ``instrument``, the name of each reading's. What is known of
            their uncertainties, in the names of the command line's ``--data.u``: ``u_reference``, standard uncertainty
            of each reference, a number, a share such as ``"0.1%"``, both as ``"0.05+0.1%"``, an array or a column's
            name; ``u_indication``, likewise, beside it; ``u_correlation`` of the two errors of a reading; ``u_common``,
            what all references share; ``u_coverage_factor``, what these are divided by; ``u_scatter`` and ``u_count``
            of set-point means; ``u_reference_resolution`` and ``u_indication_resolution``.

    Returns:
        The calibration; with ``instrument``, those of all.

    Raises:
        InputError: If a value is missing or not finite, or the readings of a single instrument don't tell the curve.

    Example:
        >>> calibration = fit([35.7, 55.9, 58.2, 81.9], [0.5, 14.0, 15.0, 28.0])
        >>> round(calibration.w, 4), round(calibration.correct(68.4).estimate, 2)
        (0.5927, 20.58)
        >>> table = {"shown": [35.7, 55.9, 58.2, 81.9], "celsius": [0.5, 14.0, 15.0, 28.0]}
        >>> fit(table, indication="shown", reference="celsius").w == calibration.w
        True
        >>> from thermofit_pl.curves import Offset
        >>> fit([20.1, 21.2, 22.0], [20.0, 21.0, 21.9], curve=Offset()).equation
        'reference = indication − 0.133333 °C'
    """
    if curve is not None and not isinstance(curve, Curve):
        raise TypeError(f"fit() expected an instance of a curve of thermofit_pl.curves as curve, but got {curve!r}")
    if uncertainties not in get_args(Scale):
        raise InputError(f"uncertainties: expected 'absolute' or 'relative', but got {uncertainties!r}")
    asked = {name: named.pop(name) for name in [*named] if name in StatedArguments.__annotations__}
    given, columns = _given(readings, named, {"time": time, "group": group})
    x, y = (_column(role, given[role]) for role in ("indication", "reference"))
    if len(x) != len(y):
        raise InputError(f"Expected as many references as indications, but got {len(y)} and {len(x)}")
    instrument = given["instrument"]
    if instrument is not None and not x.size:
        raise InputError("Expected readings, at least two of an instrument, but got none")
    unit = as_unit(unit, "unit")
    indication_unit = None if indication_unit is None else as_unit(indication_unit, "indication_unit")
    if y.size and y.min() < (zero := ABSOLUTE_ZERO.get(unit, -LARGEST)):
        raise InputError(f"Expected references in {unit}, from {zero:g} on, but got {y.min():g}")
    labels = Labels()
    codes = None if instrument is None else _codes("instrument", instrument, len(x), labels)
    points = None if given["group"] is None else _codes("group", given["group"], len(x), Labels())
    times = None if given["time"] is None else _times(given["time"], len(x))
    names = None if codes is None else labels.names()
    units = Units(unit, indication_unit)
    source = _source(x, y, columns, units)
    framed = (curve or Line()).in_units(units)
    options, stated = stated_of(asked, len(x), readings[0] if is_frame(readings[0] if readings else None) else None)
    options.refuse_curve(framed)
    refuse_together(options, relative=uncertainties == "relative", log=times is not None)
    uncertain = OfReadings() if times is not None else options.of_readings(x, y, stated)
    first = Accumulator(fleet=names is not None, log=times is not None, keep=options.on_both_axes, curve=framed)
    accumulator = _last_pass(first, lambda: _blocks(x, y, times, codes, uncertain, points), names)
    if codes is None:
        refuse_no_curve(accumulator.moments["train"], "The readings")
    accumulator.profile(options)
    moments = accumulator.moments["train"]
    known = Known(options, uncertainties == "relative", accumulator.indications, times is not None)
    exact = fitted(moments, least_squares(moments, known.absolute), units)
    result = build(Analysis.of(moments, exact, accumulator.sample, accumulator.log, unit, known))
    if accumulator.instruments is None:
        return single(result, source)
    return tabulate(result, accumulator.instruments, source, instrument_column=columns["instrument"])


def _source(x: NDArray[np.float64], y: NDArray[np.float64], columns: dict[str, str | None], units: Units) -> Source:
    digest = hashlib.sha256(x.data)
    digest.update(y.data)
    return Source(
        columns["indication"],
        columns["reference"],
        data_sha256=digest.hexdigest(),
        unit=units.reference,
        indication_unit=units.indication,
    )


def _last_pass(first: Accumulator, blocks: Callable[[], Iterator[Block]], names: list[str] | None) -> Accumulator:
    """Takes the readings in, again and again where a curve is fitted by passes; returns what the last one left."""
    following: Accumulator | None = first
    while following is not None:
        accumulator = following
        for block in blocks():
            accumulator.add("train", block)
        accumulator.flush()
        accumulator.reindex(names)
        following = accumulator.following(names)
    return accumulator


def _given(
    readings: tuple[Any, ...], named: dict[str, Any], beside: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, str | None]]:
    """Returns the arrays by their roles, and the names of a table's columns; None where there is none."""
    frame = readings[0] if readings and is_frame(readings[0]) else None
    arguments = dict.fromkeys(ROLES) | beside
    places = dict(zip(ROLES, readings, strict=False)) if frame is None else {}
    if len(readings) > (len(ROLES) if frame is None else 1) or set(named) - set(ROLES) or set(named) & set(places):
        wrong = ", ".join(sorted({*(set(named) - set(ROLES)), *(set(named) & set(places))})) or len(readings)
        raise TypeError(
            "fit() takes (indication, reference, instrument, *, time) as arrays, or one table with the names of its "
            f"columns as indication, reference, instrument and time; it got {wrong} as well"
        )
    arguments |= places | named
    if frame is None:
        lacking = [role for role in ("indication", "reference") if arguments[role] is None]
        if lacking:
            raise TypeError(f"fit() expected arrays as indication and reference, but got no {' and no '.join(lacking)}")
        return arguments, dict.fromkeys(ROLES)
    needed = {role: name for role, name in arguments.items() if name is not None or role in ("indication", "reference")}
    return dict.fromkeys(arguments) | {role: column_of(frame, role, name) for role, name in needed.items()}, arguments


def _blocks(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    times: NDArray[np.float64] | None,
    codes: NDArray[np.int64] | None,
    uncertain: OfReadings = OfReadings(),  # noqa: B008  # immutable
    points: NDArray[np.int64] | None = None,
) -> Iterator[Block]:
    """The readings in pieces, a log's in the order of time: the sample is thinned on the way, not from all at once."""
    order = None if times is None or (np.diff(times) >= 0).all() else np.argsort(times, kind="stable")
    for start in range(0, len(x), BLOCK):
        at: Any = slice(start, start + BLOCK)
        rows: Any = range(start + 1, min(start + BLOCK, len(x)) + 1)
        if order is not None:
            at, rows = order[at], order[at] + 1
        time, of, point = (None if column is None else column[at] for column in (times, codes, points))
        u = OfReadings(*(None if each is None else each[at] for each in uncertain))
        yield Block(x[at], y[at], time, Path(), rows, of, *u, group=point)


def _codes(role: str, values: ArrayLike, n: int, labels: Labels) -> NDArray[np.int64]:
    import polars as pl

    given, missing = arrays(values, role)
    if given.ndim != 1:
        raise InputError(f"Expected {role} of shape (N,), but got {given.shape}")
    names = pl.Series(given.tolist(), dtype=pl.String, strict=False)
    if len(names) != n:
        raise InputError(f"Expected as many {role}s as indications, but got {len(names)} and {n}")
    codes = labels.codes(names)
    codes[missing | (given != given)] = np.nan  # pandas has NaN where a name is missing
    if np.isnan(codes).any():
        at = int(np.flatnonzero(np.isnan(codes))[0])
        name = "the name of an instrument" if role == "instrument" else f"a {role}"
        raise InputError(f"Expected {name} for each reading, but got none at index {at}")
    return codes.astype(np.int64)


def _times(time: Any, n: int) -> NDArray[np.float64]:
    found, missing = seconds(time)
    if found.shape != (n,):
        raise InputError(f"Expected time of shape ({n},), as there are so many indications, but got {found.shape}")
    if missing.any():
        raise InputError(f"Expected a time for each reading, but got none at index {int(missing.argmax())}")
    if not np.isfinite(found).all():
        at = int(np.flatnonzero(~np.isfinite(found))[0])
        raise InputError(f"Expected finite numbers as time, but got {found[at]} at index {at}")
    return found


def _column(role: str, values: Any) -> NDArray[np.float64]:
    found, missing = numbers(values, role)
    if found.ndim != 1:
        raise InputError(f"Expected {role} of shape (N,), but got {found.shape}")
    if missing.any():
        raise InputError(
            f"Expected a number as {role} of each reading, but got none (masked or null) at index "
            f"{int(missing.argmax())}; leave that reading out"
        )
    wrong = np.flatnonzero(~(np.abs(found) <= LARGEST))
    if wrong.size:
        raise InputError(f"Expected finite numbers as {role}, but got {found[wrong[0]]} at index {wrong[0]}")
    # torch warns of arrays that are not writable
    return np.require(found, np.float64, ["C", "W"])

"""Which indications a curve, uncertain as it is, may turn into a given reference: by bracketing and root finding."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from thermofit_pl.errors import InputError
from thermofit_pl.functional.fieller import FiellerSet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

# Returns the estimates and the variances, of a curve or of one reading, at indications.
Evaluate: TypeAlias = "Callable[[FloatArray], tuple[FloatArray, FloatArray]]"
# Returns indications over a range, from its ends, at shares of it from 0 to 1.
Over: TypeAlias = "Callable[[float, float, FloatArray], FloatArray]"

POINTS = 513  # that bracket the edges; a curve that turns does so over more than a five-hundredth of its range
ITERATIONS = 60  # of Illinois's; six to eight reach the last digits


def evenly(low: float, high: float, share: FloatArray) -> FloatArray:
    """Returns indications over a range in equal steps."""
    return low * (1 - share) + high * share


def inverse(evaluate: Evaluate, reference: FloatArray, low: float, high: float, over: Over = evenly) -> FloatArray:
    """Returns the indications whose estimates are the references, shape ``(N,)``; NaN where none in the range is.

    Args:
        evaluate: Returns the estimates and the variances of the curve at indications.
        reference: References, shape ``(N,)`` [°C].
        low: Smallest calibrated indication.
        high: Largest.
        over: Where the curve is looked at.

    Raises:
        InputError: If the curve turns inside the range.
    """
    import numpy as np

    points = over(low, high, np.linspace(0, 1, POINTS))
    found, _ = _crossing(lambda x: evaluate(x)[0], reference, points)
    return found


def inverse_set(
    evaluate: Evaluate, reference: FloatArray, k: float, low: float, high: float, over: Over = evenly
) -> FiellerSet[NDArray[np.str_], FloatArray]:
    """Solves |estimate − reference| ≤ k·√variance for the indication, inside the calibrated range.

    An edge beyond the range is not extrapolated: the set is then ``open`` at that end, which is −inf or inf.

    Args:
        evaluate: Returns the estimates and the variances, of the curve or of single readings, at indications.
        reference: References, shape ``(N,)`` [°C].
        k: Coverage factor.
        low: Smallest calibrated indication.
        high: Largest.
        over: Where the curve is looked at.

    Raises:
        InputError: If the curve, or an edge of its band, turns inside the range.
    """
    import numpy as np

    reference = np.asarray(reference, dtype=np.float64)
    points = over(low, high, np.linspace(0, 1, POINTS))
    _monotone(evaluate(points)[0], "the curve", points)

    def edge(sign: float) -> Callable[[FloatArray], FloatArray]:
        def at(x: FloatArray) -> FloatArray:
            estimate, variance = evaluate(x)
            return estimate + sign * k * np.sqrt(variance)

        return at

    ends = [_crossing(edge(sign), reference, points) for sign in (1.0, -1.0)]
    if not ends[0][1]:  # a rising curve's upper edge is crossed first, a falling curve's last
        ends.reverse()
    beyond = [_beyond(edge(sign), reference, low, high) for sign in ((1.0, -1.0) if ends[0][1] else (-1.0, 1.0))]
    (lower, _), (upper, _) = ends
    nothing = (beyond[0] > 0) | (beyond[1] < 0)  # the whole set lies outside the range
    lower = np.where(beyond[0] < 0, -np.inf, lower)
    upper = np.where(beyond[1] > 0, np.inf, upper)
    known = np.isfinite(reference)
    kind = np.where(np.isfinite(lower) & np.isfinite(upper), "bounded", "open").astype("<U10")
    kind = np.select([~known, nothing], ["unknown", "nothing"], kind).astype("<U10")
    gone = ~known | nothing
    return FiellerSet(kind, np.where(gone, np.nan, lower), np.where(gone, np.nan, upper))


def _monotone(values: FloatArray, what: str, points: FloatArray) -> bool:
    """Returns whether values at points over the range rise; refuses those that turn."""
    import numpy as np

    steps = np.diff(values)
    if not ((steps > 0).all() or (steps < 0).all()):
        low, high, at = points[0], points[-1], points[int(np.argmax(np.sign(steps) != np.sign(steps[0])))]
        raise InputError(
            f"invert: expected a curve that rises or falls over the calibrated range, {low:g} to {high:g}, but {what} "
            f"turns near {at:g}: a reference has no one indication there; correct indications instead, or calibrate "
            "over a narrower range"
        )
    return bool(steps[0] > 0)


def _beyond(edge: Callable[[FloatArray], FloatArray], reference: FloatArray, low: float, high: float) -> FloatArray:
    """Returns −1 where an edge is crossed below the range, 1 where above it, and 0 inside it."""
    import numpy as np

    first, last = edge(np.array([low, high]))
    rises = 1.0 if last > first else -1.0
    return np.where(rises * reference < rises * first, -1.0, np.where(rises * reference > rises * last, 1.0, 0.0))


def _crossing(
    edge: Callable[[FloatArray], FloatArray], reference: FloatArray, points: FloatArray
) -> tuple[FloatArray, bool]:
    """Returns where an edge has the references' values, NaN beyond the points, and whether it rises.

    Illinois's method, regula falsi that cannot stall, on all references at once; it never leaves its bracket.
    """
    import numpy as np

    values = edge(points)
    rises = _monotone(values, "the curve or an edge of its band", points)
    sign = 1.0 if rises else -1.0
    target = sign * np.asarray(reference, dtype=np.float64)
    values = sign * values
    inside = (target >= values[0]) & (target <= values[-1])
    wanted = np.where(inside, target, values[0])
    place = np.clip(np.searchsorted(values, wanted) - 1, 0, POINTS - 2)
    a, b, at_a, at_b = points[place], points[place + 1], values[place] - wanted, values[place + 1] - wanted
    side = np.zeros(len(target))
    x = a
    for _ in range(ITERATIONS):
        width = at_b - at_a
        x = np.where(width != 0, (a * at_b - b * at_a) / np.where(width != 0, width, 1.0), a)
        x = np.clip(x, a, b)
        at_x = sign * edge(x) - wanted
        below = at_x < 0
        at_b = np.where(below & (side < 0), at_b / 2, at_b)
        at_a = np.where(~below & (side > 0), at_a / 2, at_a)
        a, at_a = np.where(below, x, a), np.where(below, at_x, at_a)
        b, at_b = np.where(below, b, x), np.where(below, at_b, at_x)
        side = np.where(below, -1.0, 1.0)
        if (np.abs(at_x) <= 4e-16 * (1 + np.abs(wanted))).all():
            break
    return np.where(inside, x, np.nan), rises

"""Which uncertainty of a curve holds: of all that can be told, the larger expanded one.

Each source is a covariance with degrees of freedom of its own: independent readings, blocks of time, AR(1) errors,
repeats and set points. No test chooses among them, for a test that finds nothing would make the uncertainty too small.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thermofit_pl.functional.distributions import coverage_factor, tail_of_f

FloatArray = NDArray[np.float64]

INDEPENDENT, REPEATS, SET_POINTS, AR1, BLOCKS, STATED, RESOLUTION = SOURCES = (
    "independent readings",
    "repeats",
    "set points",
    "AR(1)",
    "blocks",
    "stated uncertainties",
    "resolution",
)
SHORT = 30  # readings of a log, below which nothing can be told of its errors' correlation
# readings of a log, from which blocks are long enough to add to AR(1): at 50, independent ones would be covered 98.7 %
BLOCKED = 60
FEW = 20.0  # independent readings that a log is worth, below which its uncertainty is a lower bound
SHARE = 1 / 7  # and what share of its readings: of 50 independent ones, blocks make 15 in one log of ten


class Source(NamedTuple):
    """One covariance of the coefficients, in whitened coordinates.

    Attributes:
        covariance: Shape ``(I, q, q)``; NaN where this source says nothing.
        dof: Degrees of freedom, shape ``(I,)``.
    """

    covariance: FloatArray
    dof: FloatArray


class Uncertainty(NamedTuple):
    """The uncertainty that holds, each attribute of shape ``(I, ...)``; NaN where no source says anything.

    Attributes:
        covariance: Of the coefficients, in whitened coordinates, shape ``(I, q, q)``; in every direction at least that
            of every source.
        k: Coverage factor; k² times the covariance is in every direction at least the expanded one of every source.
        dof: Degrees of freedom that k belongs to.
        test_covariance: The same expanded covariance over the square of the k of ``test_dof``: for p-values, of which
            small ones would be too small with ``dof``.
        test_dof: The fewest degrees of freedom of the sources that have a part in it.
        estimated: Whether the matrix itself is estimated, and not its scale alone: joint tests are then Hotelling's T².
        source: Index in ``SOURCES`` of the one that is largest.
        independent_readings: How many independent readings are worth as much as these.
        n: Numbers of readings.
    """

    covariance: FloatArray
    k: FloatArray
    dof: FloatArray
    test_covariance: FloatArray
    test_dof: FloatArray
    estimated: NDArray[np.bool_]
    source: NDArray[np.int64]
    independent_readings: FloatArray
    n: FloatArray

    @property
    def lower_bound(self) -> NDArray[np.bool_]:
        """Whether the log spans too few correlation times, so that the uncertainty is a lower bound, shape ``(I,)``."""
        log = np.isin(self.source, (SOURCES.index(AR1), SOURCES.index(BLOCKS)))
        bound: NDArray[np.bool_] = log & (self.independent_readings < np.minimum(FEW, SHARE * self.n))
        return bound


def combine(sources: Mapping[str, Source], n: FloatArray, probability: float = 0.95) -> Uncertainty:
    """Returns the uncertainty of which no source's expanded one is larger in any direction.

    Args:
        sources: By their names in ``SOURCES``; those that say nothing of an instrument are NaN there. Repeats stand
            for independent readings where they are given.
        n: Numbers of readings, shape ``(I,)``.
        probability: Of coverage.
    """
    names = [name for name in SOURCES if name in sources]
    covariances = np.stack([sources[name].covariance for name in names])
    dofs = np.stack([np.broadcast_to(sources[name].dof, n.shape) for name in names]).astype(np.float64)
    told: NDArray[np.bool_] = np.isfinite(np.einsum("siqr->si", covariances)) & (dofs > 0)
    factors = factors_of(dofs, told, probability)
    expanded = np.where(told[..., None, None], covariances * factors[..., None, None] ** 2, 0.0)
    joined = expanded[0]
    for other in expanded[1:]:
        joined = join(joined, other)
    sizes = np.where(told, np.einsum("siqq->si", expanded), -1.0)
    k = _factor(joined, np.where(told[..., None, None], covariances, 0.0), factors)
    part = _parts(expanded, joined, told)
    test_dof = np.where(part, dofs, np.inf).min(axis=0)
    known = np.asarray(told.any(axis=0))
    test_k = factors_of(test_dof, known, probability)
    matrix = [np.full(n.shape, name in (AR1, BLOCKS)) for name in names]
    source = np.array([SOURCES.index(name) for name in names])[sizes.argmax(axis=0)]
    blank = np.where(known, 1.0, np.nan)
    one = next((sources[name].covariance for name in (INDEPENDENT, REPEATS) if name in sources), covariances[0])
    with np.errstate(invalid="ignore", divide="ignore"):
        largest = np.linalg.eigvalsh(np.where(known[:, None, None], joined, 0.0))[:, -1] / test_k**2
        worth = n * np.minimum(1.0, one[:, 0, 0] / largest)
    return Uncertainty(
        covariance=joined / (k**2)[:, None, None] * blank[:, None, None],
        k=k * blank,
        dof=np.where(known, dof_of(np.where(known, k, 2.0), probability), 0.0),
        test_covariance=joined / (test_k**2)[:, None, None] * blank[:, None, None],
        test_dof=np.where(known, test_dof, 0.0),
        estimated=(part & np.stack(matrix)).any(axis=0),
        source=np.where(known, source, -1),
        independent_readings=worth,
        n=n,
    )


def _parts(expanded: FloatArray, joined: FloatArray, told: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether each source has a part in the joined covariance: without it, it would be smaller, shape as ``told``."""
    sizes = np.where(told, np.einsum("siqq->si", expanded), -1.0)
    part: NDArray[np.bool_] = told & (sizes == sizes.max(axis=0))
    for s in range(len(expanded)):
        others = np.zeros_like(joined)
        for o in range(len(expanded)):
            if o != s:
                others = join(others, expanded[o])
        part[s] |= told[s] & (np.einsum("iqq->i", joined - others) > 1e-9 * np.einsum("iqq->i", joined))
    return part


def join(first: FloatArray, second: FloatArray) -> FloatArray:
    """Returns a matrix that is at least each of two in every direction, shape ``(I, q, q)``; the larger, if one is.

    It takes the larger of each eigenvalue of the pencil of both, and is exact where they commute.

    Args:
        first: Symmetric, no eigenvalue negative.
        second: The same.
    """
    values, vectors = np.linalg.eigh(first + second)
    largest = np.maximum(values[..., -1:], 1e-300)
    root = np.sqrt(np.maximum(values, 1e-14 * largest))
    half = vectors * np.where(values[..., -1:] > 0, root, 0.0)[..., None, :]
    back = vectors / root[..., None, :]
    # of the sum, one has the share λ and the other 1 − λ
    share, axes = np.linalg.eigh(np.swapaxes(back, -1, -2) @ first @ back)
    half = half @ axes
    joined: FloatArray = (
        half * np.maximum(np.clip(share, 0, 1), 1 - np.clip(share, 0, 1))[..., None, :]
    ) @ np.swapaxes(half, -1, -2)
    return joined


def _factor(joined: FloatArray, covariances: FloatArray, factors: FloatArray) -> FloatArray:
    """The largest coverage factor with which the joined covariance is no smaller than any source's, shape ``(I,)``."""
    values, vectors = np.linalg.eigh(joined)
    back = vectors / np.sqrt(np.maximum(values, 1e-14 * np.maximum(values[..., -1:], 1e-300)))[..., None, :]
    k = np.nanmax(np.where(np.isnan(factors), 1.0, factors), axis=0)
    for covariance in covariances:
        share = np.linalg.eigvalsh(np.swapaxes(back, -1, -2) @ covariance @ back)[..., -1]
        k = np.where(share > 0, np.minimum(k, 1 / np.sqrt(np.maximum(share, 1e-300))), k)
    smallest: FloatArray = k
    return smallest


def factors_of(dof: FloatArray, known: NDArray[np.bool_], probability: float = 0.95) -> FloatArray:
    """Returns the coverage factor of each of many degrees of freedom, of which few differ; NaN where none is known."""
    dofs, at = np.unique(np.where(known, dof, 1.0), return_inverse=True)
    factors: FloatArray = np.where(known, coverage_factor(dofs, probability)[at.reshape(dof.shape)], np.nan)
    return factors


def dof_of(k: ArrayLike, probability: float = 0.95) -> FloatArray:
    """Returns the degrees of freedom that a coverage factor belongs to, shape as ``k``; at most 1e9."""
    k = np.asarray(k, np.float64)
    inverse, known = _inverses(probability)
    asked, at = np.unique(np.clip(k, known[-1], known[0]), return_inverse=True)
    found = np.interp(-asked, -known, inverse)

    def off(inverse: FloatArray) -> FloatArray:
        away: FloatArray = np.log(coverage_factor(1 / inverse, probability)) - np.log(asked)
        return away

    before, value = found * (1 + 1e-3), off(found * (1 + 1e-3))
    for _ in range(3):  # by secants
        new = off(found)
        with np.errstate(invalid="ignore", divide="ignore"):
            step = new * (found - before) / (new - value)
        before, value = found, new
        found = np.clip(found - np.where(np.isfinite(step), step, 0.0), 1e-9, 1.0)
    dof: FloatArray = (1 / found)[at].reshape(k.shape)
    return dof


@lru_cache
def _inverses(probability: float) -> tuple[FloatArray, FloatArray]:
    """Returns inverse degrees of freedom, in which the coverage factor is nearly straight, and that factor."""
    inverse = np.linspace(1.0, 1e-9, 1001)
    return inverse, coverage_factor(1 / inverse, probability)


def coefficients_covariance(basis: FloatArray, covariance: FloatArray) -> FloatArray:
    """Returns the covariance of (b, w), shape ``(..., q, q)``, from that in whitened coordinates.

    Args:
        basis: What ``basis_of`` returns first, shape ``(..., q, q)``.
        covariance: Shape ``(..., q, q)``.
    """
    own: FloatArray = basis @ covariance @ np.swapaxes(basis, -1, -2)
    return own


def pivot_form(
    basis: FloatArray, mean: FloatArray, covariance: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Returns where u_line is least, u_line there, and U: u_line² = u_pivot² + |(φ − pivot) U|².

    No digit is lost that the covariance of (b, w) would lose where the features are far from 0 against their spread.

    Args:
        basis: What ``basis_of`` returns first, shape ``(..., p + 1, p + 1)``: upper triangular.
        mean: Of the features, shape ``(..., p)``.
        covariance: In whitened coordinates, shape ``(..., p + 1, p + 1)``.

    Returns:
        The features' pivot, shape ``(..., p)``; u_pivot, shape ``(...)``; U, upper triangular, shape ``(..., p, p)``.
    """
    level, slopes = basis[..., 0, 0], basis[..., 1:, 1:]
    own, cross = covariance[..., 1:, 1:], covariance[..., 1:, :1]
    sound = np.asarray(np.isfinite(own).all(axis=(-1, -2)) & np.isfinite(slopes).all(axis=(-1, -2)))
    unit = np.eye(own.shape[-1])
    own = np.where(sound[..., None, None], own, unit)
    slopes = np.where(sound[..., None, None], slopes, unit)
    with np.errstate(invalid="ignore"):
        # where s is 0, any pivot will do: the mean
        singular = np.einsum("...qq->...", own) == 0
        away = np.linalg.solve(np.where(singular[..., None, None], unit, own), cross)
        shift = np.linalg.solve(np.swapaxes(slopes, -1, -2), away)[..., 0] * level[..., None]
        u = level * np.sqrt(np.maximum(covariance[..., 0, 0] - (cross * away).sum((-1, -2)), 0.0))
    # the Cholesky factor of the matrix with its rows and columns reversed is upper triangular when reversed again
    values, vectors = np.linalg.eigh(own[..., ::-1, ::-1])
    root = np.swapaxes(vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :], -1, -2)
    lower = np.swapaxes(np.linalg.qr(root).R, -1, -2)
    lower = lower * np.where(np.diagonal(lower, axis1=-2, axis2=-1) < 0, -1.0, 1.0)[..., None, :]
    blank = np.where(sound, 1.0, np.nan)
    return mean - shift * blank[..., None], u * blank, slopes @ lower[..., ::-1, ::-1] * blank[..., None, None]


def joint_p(square: ArrayLike, q: int, dof: ArrayLike, estimated: ArrayLike) -> FloatArray:
    """Returns how probable a distance this large from q given coefficients is by chance.

    Args:
        square: δᵀ C⁻¹ δ with the distance δ and ``test_covariance``.
        q: How many coefficients.
        dof: ``test_dof``.
        estimated: Whether the matrix is estimated: then T² is compared with (Hotelling 1931), else q F.
    """
    square, freedom = np.asarray(square, np.float64), np.asarray(dof, np.float64)
    left = np.where(estimated, freedom - q + 1, freedom)
    share = np.where(estimated, left / np.maximum(freedom, 1), 1.0)
    told = (left > 0) & np.isfinite(square)
    tail = tail_of_f(np.where(told, square * share / q, 0.0), np.where(told, left, 1.0), q)
    p: FloatArray = np.where(told, tail, np.nan)
    return p


def joint_factor(q: int, dof: ArrayLike, estimated: ArrayLike, probability: float = 0.95) -> FloatArray:
    """Returns the factor of the set in which q coefficients lie together: √T² or √(q F), shape as ``dof``."""
    shape = np.broadcast_shapes(np.shape(dof), np.shape(estimated))
    low, high = np.zeros(shape), np.full(shape, 40.0)
    for _ in range(60):  # of log k²
        middle = (low + high) / 2
        within = joint_p(np.exp(middle), q, dof, estimated) > 1 - probability
        low, high = np.where(within, middle, low), np.where(within, high, middle)
    factor: FloatArray = np.where(np.isfinite(joint_p(1.0, q, dof, estimated)), np.exp((low + high) / 4), np.nan)
    return factor


def single_reading(
    variance: FloatArray, variance_dof: ArrayLike, u_line: FloatArray, dof: ArrayLike, probability: float = 0.95
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Returns u_single of one new reading, its coverage factor and degrees of freedom (Welch and Satterthwaite).

    Args:
        variance: Of one reading's error [°C²], shape broadcastable with ``u_line``.
        variance_dof: Its degrees of freedom.
        u_line: Standard uncertainty of the curve there [°C].
        dof: That of u_line.
        probability: Of coverage.
    """
    line, own_dof, line_dof = u_line**2, np.asarray(variance_dof, np.float64), np.asarray(dof, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        together = (variance + line) ** 2 / (variance**2 / own_dof + line**2 / line_dof)
    together = np.where(variance + line > 0, together, line_dof)
    known = np.isfinite(together) & (together >= 1)
    k = np.where(known, coverage_factor(np.where(known, together, 1.0), probability), np.nan)
    return np.sqrt(variance + line), k, together

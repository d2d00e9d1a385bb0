"""How many degrees of freedom a sum of variances has, each with its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


def effective_dof(parts: Sequence[tuple[ArrayLike, ArrayLike]]) -> FloatArray:
    """Returns the degrees of freedom of a sum of independent variances (Welch and Satterthwaite; JCGM 100:2008, G.4.1).

    Args:
        parts: Variances and their degrees of freedom, inf for one that is known; all of shapes that broadcast.

    Returns:
        Of their common shape; inf where all that count are known.
    """
    variances = np.broadcast_arrays(*(np.asarray(variance, np.float64) for variance, _ in parts))
    dofs = [np.asarray(dof, np.float64) for _, dof in parts]
    total = np.sum(variances, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        each = [np.where(v > 0, (v / total) ** 2 / own, 0.0) for v, own in zip(variances, dofs, strict=True)]
        dof: FloatArray = 1 / np.sum(each, axis=0)
    return dof

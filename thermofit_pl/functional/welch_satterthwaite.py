"""How many degrees of freedom a sum of variances has, each with its own."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


def effective_dof(variances: ArrayLike, dofs: ArrayLike) -> FloatArray:
    """Returns the degrees of freedom of a sum of independent variances (Welch and Satterthwaite; JCGM 100:2008, G.4.1).

    Args:
        variances: Along the first axis, those of the sum.
        dofs: Of each, of a shape that broadcasts with it; inf for one that is known.

    Returns:
        Shape of one variance; inf where all that count are known.
    """
    parts, freedom = np.broadcast_arrays(np.asarray(variances, np.float64), np.asarray(dofs, np.float64))
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = np.where(parts > 0, (parts / parts.sum(axis=0)) ** 2 / freedom, 0.0)
        dof: FloatArray = 1 / shares.sum(axis=0)
    return dof

"""The tail of χ² against SciPy's."""

import numpy as np
import pytest
from scipy import stats

from thermofit_pl.functional.chi_squared import LARGE, tail_of_chi_squared


@pytest.mark.parametrize("dof", [0.3, 1, 2, 4, 9.5, 60, 1e3, 1.9e4])
def test_tail_is_scipys(dof: float) -> None:
    x = dof + np.sqrt(2 * dof) * np.array([-6, -2, -0.5, 0, 0.1, 1, 3, 6, 12])
    x = np.maximum(x, 0)
    # of a term like zᵃ the rounding grows with a·log z
    np.testing.assert_allclose(tail_of_chi_squared(x, dof), stats.chi2.sf(x, dof), rtol=1e-12 + 1e-14 * dof)


@pytest.mark.parametrize("dof", [2 * LARGE, 1e6, 1e9])
def test_expansion_for_many_degrees_of_freedom_is_scipys(dof: float) -> None:
    x = dof + np.sqrt(2 * dof) * np.array([-6, -2, -0.5, 0, 0.1, 1, 3, 6])
    np.testing.assert_allclose(tail_of_chi_squared(x, dof), stats.chi2.sf(x, dof), rtol=1e-7)


def test_ends_and_what_is_unknown() -> None:
    found = tail_of_chi_squared([0.0, np.inf, np.nan, 1.0], [3.0, 3.0, 3.0, 0.0])
    np.testing.assert_array_equal(found, [1.0, 0.0, np.nan, np.nan])

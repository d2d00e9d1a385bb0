"""Tails against SciPy."""

import numpy as np
import pytest
from scipy import stats

from thermofit_pl.functional.distributions import tail_of_f


@pytest.mark.parametrize("dof", [1, 2, 9, 1000, 100_000])
@pytest.mark.parametrize("f", [0.0, 0.3, 4.0, 200.0])
def test_the_tail_of_f_is_scipys(f: float, dof: int) -> None:
    assert tail_of_f(np.array([f]), np.array([dof]))[0] == pytest.approx(stats.f.sf(f, 1, dof), rel=1e-9, abs=1e-300)

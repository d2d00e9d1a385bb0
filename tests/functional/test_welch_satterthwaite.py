"""Effective degrees of freedom against GTC's."""

import GTC
import numpy as np
import pytest

from thermofit_pl.functional.welch_satterthwaite import effective_dof


def test_it_is_gtcs() -> None:
    parts = [(0.3, 4), (0.2, 9), (0.1, float("inf"))]
    total = sum(GTC.ureal(0, u, dof) for u, dof in parts)
    assert float(effective_dof([(u**2, dof) for u, dof in parts])) == pytest.approx(total.df, rel=1e-12)


def test_it_runs_over_arrays_and_known_variances_have_no_end() -> None:
    found = effective_dof([(np.array([1.0, 0.0]), 5), ([0.0, 2.0], np.inf)])
    np.testing.assert_array_equal(found, [5.0, np.inf])

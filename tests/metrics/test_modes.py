"""The Hessian's eigenvalues and eigenvectors against NumPy's, and in closed form."""

import numpy as np
import pytest
import torch
from factors import kept, weighted

from thermofit_pl.metrics.modes import modes
from thermofit_pl.metrics.packing import pack


@pytest.mark.parametrize("free", [[0, 1, 2, 3], [1, 2, 3], [0], [2, 3]])
def test_modes_are_those_of_the_hessian(free: list[int]) -> None:
    columns, y, weight = weighted(3)
    of = kept(columns, y, weight)
    design = np.stack([np.ones(300), *columns])[free]
    hessian = 2 * (design * weight) @ design.T / weight.sum()
    values, vectors = (each[0].numpy() for each in modes(of[:, :-3], of[:, -2], free))
    np.testing.assert_allclose(values, np.linalg.eigvalsh(hessian)[::-1], rtol=1e-11)
    np.testing.assert_allclose(vectors * values @ vectors.T, hessian, rtol=0, atol=1e-12 * values[0])


def test_a_small_eigenvalue_keeps_its_digits() -> None:
    # a diagonal factor but for the mean: the exact eigenvalues follow from the determinant
    d, r = torch.tensor([[1.0, 1e-20, 1.0]], dtype=torch.float64), torch.eye(3, dtype=torch.float64)[None].clone()
    r[0, 0, 1] = 3.0
    values, _ = modes(pack(d, r), torch.ones(1, dtype=torch.float64), [0, 1])
    assert values[0].tolist() == pytest.approx([20.0, 4e-20 / 20], rel=1e-14)

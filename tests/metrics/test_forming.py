"""The factor of a fleet's readings against that of each instrument's, and NumPy's least squares."""

import numpy as np
import pytest
import torch
from factors import by_numpy, kept, weighted

from thermofit_pl.metrics.factor import solve
from thermofit_pl.metrics.forming import Workspace, of_instruments
from thermofit_pl.metrics.merging import merge_all


@pytest.mark.parametrize("p", [1, 2, 3, 5])
def test_one_function_forms_one_instrument_and_a_fleet(p: int) -> None:
    columns, y, weight = weighted(p)
    design = np.stack([np.ones(300), *columns])
    code = np.random.default_rng(2).integers(0, 3, 300)
    tensors = [torch.from_numpy(column) for column in (*columns, y)]
    of_fleet = of_instruments(tensors, torch.from_numpy(weight), torch.from_numpy(code), 4)
    assert of_fleet[3].tolist() == [0.0] * of_fleet.shape[1]  # it has no readings
    for instrument in range(3):
        mine = code == instrument
        alone = kept(columns[:, mine], y[mine], weight[mine])[0]
        torch.testing.assert_close(of_fleet[instrument], alone, rtol=1e-11, atol=1e-13)
        found, left = by_numpy(design[:, mine], y[mine], weight[mine])
        np.testing.assert_allclose(solve(alone[:-3]), found, rtol=1e-11)
        assert alone[-4].item() == pytest.approx(left, rel=1e-12, abs=0)
        expected = [mine.sum(), weight[mine].sum(), (weight[mine] ** 2).sum()]
        np.testing.assert_allclose(alone[-3:], expected, rtol=1e-14)
    torch.testing.assert_close(merge_all(of_fleet[:, None]), kept(columns, y, weight), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("with_weights", [True, False])
def test_a_workspace_that_was_used_changes_nothing(with_weights: bool) -> None:
    columns, y, weight = weighted(2)
    tensors = [torch.from_numpy(column) for column in (*columns, y)]
    code, own = torch.arange(300) % 3, torch.from_numpy(weight) if with_weights else None
    workspace = Workspace()
    for n in (300, 100, 300):
        some = [column[:n] for column in tensors], None if own is None else own[:n], code[:n], 3
        np.testing.assert_array_equal(of_instruments(*some, workspace), of_instruments(*some))


@pytest.mark.gpu
def test_a_card_forms_the_same_factor() -> None:
    columns, y, weight = weighted(3, n=100_000)
    code = torch.from_numpy(np.random.default_rng(2).integers(0, 3, 100_000))
    tensors = [torch.from_numpy(column) for column in (*columns, y)]
    on_cpu = of_instruments(tensors, torch.from_numpy(weight), code, 3)
    on_card = of_instruments([t.cuda() for t in tensors], torch.from_numpy(weight).cuda(), code.cuda(), 3)
    torch.testing.assert_close(on_card.cpu(), on_cpu, rtol=1e-10, atol=1e-11)

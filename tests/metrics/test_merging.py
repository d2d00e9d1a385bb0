"""Factors merged, against those of all readings, and one instrument at a time."""

import numpy as np
import torch
from factors import kept, weighted

from thermofit_pl.metrics.merging import STRIP, merge, merge_all
from thermofit_pl.metrics.packing import pack, unpack


def test_packing_and_merging_nothing() -> None:
    of = kept(*weighted(3))
    torch.testing.assert_close(pack(*unpack(of[:, :-3])), of[:, :-3], rtol=0, atol=0)
    nothing = torch.zeros_like(of)
    for pair in ((of, nothing), (nothing, of)):
        torch.testing.assert_close(merge(*pair), of, rtol=1e-15, atol=0)
        torch.testing.assert_close(torch.from_numpy(merge(*(each.numpy() for each in pair))), of, rtol=1e-15, atol=0)


def test_many_instruments_are_merged_as_each_alone() -> None:
    random = np.random.default_rng(6)
    first, second = (np.abs(random.normal(size=(2 * STRIP + 3, 9))) for _ in range(2))
    together = merge(first, second)
    for some in (slice(0, 2), slice(STRIP - 1, STRIP + 1), slice(2 * STRIP - 1, None)):
        np.testing.assert_array_equal(together[some], merge(first[some], second[some]))
    parts = torch.from_numpy(np.stack([first, second]))
    np.testing.assert_array_equal(merge_all(parts), together)
    np.testing.assert_array_equal(merge_all(parts[1:], parts[0]), together)

"""LargestError against NumPy, in batches and merged."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from thermofit_pl.metrics.scores import LargestError


def errors(seed: int) -> tuple[Tensor, Tensor, float]:
    random = np.random.default_rng(seed)
    estimate, reference = random.standard_normal((2, 500))
    error = estimate - reference
    return torch.from_numpy(estimate), torch.from_numpy(reference), float(error[np.abs(error).argmax()])


@pytest.mark.parametrize("seed", range(6))  # the largest is negative in some of them
def test_the_error_farthest_from_zero_with_its_sign(seed: int) -> None:
    estimate, reference, expected = errors(seed)
    whole, batches, parts = LargestError(), LargestError(), [LargestError() for _ in range(3)]
    whole.update(estimate, reference)
    for i, cut in enumerate(torch.split(torch.arange(500), [100, 399, 1])):
        batches.update(estimate[cut], reference[cut])
        parts[i].update(estimate[cut], reference[cut])
    for part in parts[1:]:
        parts[0].merge_state(part)
    assert [metric.compute().item() for metric in (whole, batches, parts[0])] == [expected] * 3


def test_the_seeds_above_cover_both_signs() -> None:
    assert {math.copysign(1, errors(seed)[2]) for seed in range(6)} == {-1, 1}


def test_float32_estimates_are_compared_in_float64() -> None:
    found = LargestError()(torch.tensor([1.0, 4.0]), torch.tensor([2.0, 1.0], dtype=torch.float64))
    assert found.dtype == torch.float64
    assert found.item() == 3


def test_without_readings_it_is_nan() -> None:
    metric = LargestError()
    metric.update(torch.empty(0), torch.empty(0))
    assert math.isnan(metric.compute().item())

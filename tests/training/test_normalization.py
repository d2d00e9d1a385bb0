from __future__ import annotations

import numpy as np
import pytest
import torch

from thermofit_pl.curves import Polynomial
from thermofit_pl.metrics.moments import Moments, features_of
from thermofit_pl.training.normalization import Normalization


@pytest.mark.parametrize("several", [False, True])
def test_standard_normalisation_whitens_the_features_of_each_reading(several: bool) -> None:
    # mini-batches see readings, not moments: what SGD steps on must be white there too
    random = np.random.default_rng(8)
    x, y = (torch.from_numpy(random.uniform(10, 40, 400)) for _ in "xy")
    instrument = torch.from_numpy(random.integers(0, 3, 400)) if several else None
    curve = Polynomial(3).framed(10, 40)
    moments = Moments(3 if several else 1, curve)
    moments.update(x, y, instrument)
    white = Normalization.of("standard", moments).of_features(features_of(curve, x), instrument).numpy()
    for code in range(3 if several else 1):
        own = white if instrument is None else white[instrument.numpy() == code]
        np.testing.assert_allclose(own.mean(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(np.cov(own.T, bias=True), np.eye(3), atol=1e-12)

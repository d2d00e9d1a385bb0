"""Weighted readings of several features, their factor, and their least squares by NumPy."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thermofit_pl.metrics.forming import of_columns
from thermofit_pl.metrics.merging import merge_all

FloatArray = NDArray[np.float64]


def weighted(p: int, seed: int = 1, n: int = 300) -> tuple[FloatArray, FloatArray, FloatArray]:
    random = np.random.default_rng(seed)
    columns = random.normal(size=(n, p)) @ random.normal(size=(p, p)) + 3 * random.normal(size=p)
    y = columns @ random.normal(size=p) + 2 + random.normal(size=n)
    return columns.T.copy(), y, random.uniform(0.1, 3, n)


def kept(columns: FloatArray, y: FloatArray, weight: FloatArray | None) -> Tensor:
    return merge_all(torch.tensor(of_columns([*columns, y], weight), dtype=torch.float64)[:, None])


def by_numpy(columns: FloatArray, y: FloatArray, weight: FloatArray) -> tuple[NDArray[Any], float]:
    found, left, *_ = np.linalg.lstsq(columns.T * np.sqrt(weight)[:, None], y * np.sqrt(weight), rcond=None)
    return found, float(left[0])

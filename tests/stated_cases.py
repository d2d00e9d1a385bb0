"""Published calibrations with stated uncertainties, and their answers; York's iteration, as his paper has it."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

# ISO/TS 28037:2010, clauses 7.4 and 8; u of the last three references is twice as large
ISO_X = np.array([1.2, 1.9, 2.9, 4.0, 4.7, 5.9])
ISO_Y = np.array([3.4, 4.4, 7.2, 8.5, 10.8, 13.5])
ISO_UX = np.full(6, 0.2)
ISO_UY = np.array([0.2, 0.2, 0.2, 0.4, 0.4, 0.4])
ISO_COVARIANCE = 0.036  # clause 8: of the two errors of each reading

# clause 6: both examples
ISO6_X = np.arange(1.0, 7.0)
ISO6 = {
    "equal": (np.array([3.3, 5.6, 7.1, 9.3, 10.7, 12.1]), np.full(6, 0.5), (1.867, 1.757, 0.465, 0.120, -0.050, 1.665)),
    "unequal": (
        np.array([3.2, 4.3, 7.6, 8.6, 11.7, 12.8]),
        np.array([0.5, 0.5, 0.5, 1.0, 1.0, 1.0]),
        (0.885, 2.057, 0.530, 0.178, -0.082, 4.131),
    ),
}  # b, w, u(b), u(w), cov, χ²

# Pearson's readings with York's weights (York 1966; Reed 1989 has the digits)
YORK_X = np.array([0.0, 0.9, 1.8, 2.6, 3.3, 4.4, 5.2, 6.1, 6.5, 7.4])
YORK_Y = np.array([5.9, 5.4, 4.4, 4.6, 3.5, 3.7, 2.8, 2.8, 2.4, 1.5])
YORK_UX = np.array([1000.0, 1000, 500, 800, 200, 80, 60, 20, 1.8, 1.0]) ** -0.5
YORK_UY = np.array([1.0, 1.8, 4.0, 8.0, 20, 20, 70, 70, 100, 500]) ** -0.5
YORK_ANSWER = (5.47991022403287, -0.480533407446202, 11.8663531940614)  # b, w, χ²


def york(
    x: FloatArray, y: FloatArray, ux: ArrayLike, uy: ArrayLike, r: ArrayLike = 0.0
) -> tuple[float, float, float, float, float, float]:
    """b, w, u(b), u(w), cov(b, w) and χ², by York, Evensen, López Martínez and De Basabe Delgado (2004)."""
    ux, uy, r = (np.broadcast_to(np.asarray(each, float), x.shape) for each in (ux, uy, r))
    alpha, w = 1 / (ux * uy), np.polyfit(x, y, 1)[0]
    for _ in range(500):
        weight = 1 / (uy**2 + w * w * ux**2 - 2 * w * r * ux * uy)
        mean_x, mean_y = (weight @ x) / weight.sum(), (weight @ y) / weight.sum()
        u, v = x - mean_x, y - mean_y
        beta = weight * (u * uy**2 + w * v * ux**2 - (w * u + v) * r / alpha)
        w = (weight * beta) @ v / ((weight * beta) @ u)
    b, true = mean_y - w * mean_x, mean_x + beta
    mean = (weight @ true) / weight.sum()
    var_w = 1 / (weight @ (true - mean) ** 2)
    u_b = np.sqrt(1 / weight.sum() + mean**2 * var_w)
    return b, w, u_b, np.sqrt(var_w), -mean * var_w, weight @ (y - b - w * x) ** 2

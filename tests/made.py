"""Calibrations made from arrays by statsmodels, so that tests of what uses them rest on nothing of ours."""

import dataclasses
from typing import Any

import numpy as np
import statsmodels.api as sm
from numpy.typing import ArrayLike
from scipy import stats

from thermofit_pl.calibration.calibration import Calibration
from thermofit_pl.calibration.records import Diagnostics, LargestError
from thermofit_pl.functional.scales import compare

# Deep Learning with PyTorch, chapter 5
NOTEBOOK = (
    [35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4],
    [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0],
)
# JCGM 100:2008, Annex H.3
GUM_H3 = (
    [21.521, 22.012, 22.512, 23.003, 23.507, 23.999, 24.513, 25.002, 25.503, 26.01, 26.511],
    [21.35, 21.843, 22.346, 22.844, 23.343, 23.834, 24.357, 24.845, 25.344, 25.849, 26.351],
)


def calibration(indication: ArrayLike, reference: ArrayLike, **changes: Any) -> Calibration:
    """A least-squares calibration; ``changes`` replace attributes, of ``s`` and the mean also those that follow."""
    x, y = np.asarray(indication, float), np.asarray(reference, float)
    fit = sm.OLS(y, sm.add_constant(x)).fit()
    b, w = fit.params.tolist()
    u_b, u_w = fit.bse.tolist()
    s, mean, dof = float(np.sqrt(fit.mse_resid)), float(x.mean()), len(x) - 2
    ends = (float(x.min()), float(x.max()))
    (b_low, b_high), (w_low, w_high) = fit.conf_int().tolist()
    error = w * x + b - y
    worst = int(np.abs(error).argmax())
    largest = LargestError(float(error[worst]), float(x[worst]), float(y[worst]), "readings.csv", worst + 2)
    made = Calibration(
        w=w,
        b=b,
        u_w=u_w,
        u_b=u_b,
        cov_wb=float(fit.cov_params()[0, 1]),
        u_pivot=s / len(x) ** 0.5,
        s=s,
        pivot=mean,
        u_reading=s,
        u_dof=float(dof),
        reading_dof=float(dof),
        source="independent readings",
        rmse=float(np.sqrt(np.mean(error**2))),
        r_squared=float(fit.rsquared),
        n=len(x),
        dof=dof,
        coverage_factor=float(stats.t.ppf(0.975, dof)),
        w_interval=(w_low, w_high),
        b_interval=(b_low, b_high),
        indication_range=ends,
        indication_mean=mean,
        scale=compare(w, b, ends, u_w=u_w, u_pivot=s / len(x) ** 0.5, pivot=mean, dof=dof).verdict(),
        diagnostics=Diagnostics(sampled=len(x), largest_error=largest),
        indication_column="t_u",
        reference_column="t_c",
        data_name="readings.csv",
        data_sha256="0" * 64,
        created="2025-01-31T12:00:00+00:00",
        version="0.1.0",
    )
    if "s" in changes:
        changes = {"u_reading": changes["s"]} | changes
    if "indication_mean" in changes:
        changes = {"pivot": changes["indication_mean"]} | changes
    return dataclasses.replace(made, **changes)

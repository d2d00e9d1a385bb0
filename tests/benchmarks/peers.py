"""``thermofit_pl.fit`` on arrays beside the estimators that people use, from eleven readings to ten million."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import statsmodels.api as sm
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression, SGDRegressor

from thermofit_pl import fit

from .data import readings
from .measuring import Row, Sizes, divided, in_turns, median, seconds

Column = NDArray[np.float64]


def linear_regression(x: Column, y: Column) -> Any:
    return LinearRegression().fit(x[:, None], y)


def sgd_regressor(x: Column, y: Column) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it did not converge
        return SGDRegressor(penalty=None, random_state=0).fit(((x - x.mean()) / x.std())[:, None], y)


def ols(x: Column, y: Column) -> Any:
    return sm.OLS(y, sm.add_constant(x)).fit().bse  # the uncertainties too, as ours has them


def polyfit(x: Column, y: Column) -> Any:
    return np.polyfit(x, y, 1)


PEERS: dict[str, Callable[[Column, Column], Any]] = {
    "scikit-learn's LinearRegression": linear_regression,
    "scikit-learn's SGDRegressor": sgd_regressor,
    "statsmodels' OLS": ols,
    "numpy.polyfit": polyfit,
}


def rows(sizes: Sizes, folder: Path) -> Iterator[Row]:
    """Measures each number of readings; ours makes the calibration with its diagnostics, theirs the line."""
    for n in sizes.peers:
        yield from estimators(n, sizes)


def estimators(n: int, sizes: Sizes) -> Iterator[Row]:
    """Measures one number of readings."""
    x, y = readings(n)
    fit(x, y)  # its first call imports what the distributions need
    sides = {"ours": lambda: seconds(lambda: fit(x, y))}
    for name, call in PEERS.items():
        sides[name] = lambda call=call: seconds(lambda: call(x, y))  # type: ignore[misc]  # bound now
    found = in_turns(sizes.repeats, sides)
    for name in PEERS:
        figures = f"{median(found['ours']) * 1e3:.1f} and {median(found[name]) * 1e3:.1f} ms"
        yield Row(f"fit on {n} readings in memory / {name}", divided(found["ours"], found[name]), figures)

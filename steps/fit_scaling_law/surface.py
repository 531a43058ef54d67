"""Least squares of `RATIO_RATE`: its exponent by a line search, everything else is linear."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar

from steps.core.errors import DataError

LEAST_VALUES = 3  # of ratios, for alpha, beta and s; and of rates, for ln n and its square
# below .01 a * x^s + b is a logarithm, whose a and b grow without end; the published ones are below 1
EXPONENTS = np.concatenate([-np.geomspace(0.01, 4, 60)[::-1], np.geomspace(0.01, 4, 60)])


class TooFew(DataError):
    """There are fewer measured points than a law has to have."""


def fit_surface(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Parameters float64[6] from x float64[n, 2] (ratio, learning rate) and y float64[n], by variable projection.

    Raises DataError for ratios or rates of 0, and for fewer than three of either.
    """
    if (x <= 0).any():
        raise DataError("ratio_rate: a ratio or learning rate of 0 has no power or logarithm; leave it out")
    if min(len(np.unique(x[:, 0])), len(np.unique(x[:, 1]))) < LEAST_VALUES:
        raise TooFew(
            "ratio_rate: needs three ratios and three learning rates at least; with fewer rates, fit the law ratio"
        )
    costs = [_solve(s, x, y)[1] for s in EXPONENTS]
    return refine_surface(x, y, EXPONENTS[int(np.argmin(costs))])


def refine_surface(x: np.ndarray, y: np.ndarray, exponent: float) -> np.ndarray:
    """The same from an exponent that is nearly right; it does not cross zero."""
    ends = sorted((exponent / 1.5, exponent * 1.5))
    best = minimize_scalar(
        lambda s: _solve(s, x, y)[1], bounds=ends, method="bounded", options={"xatol": 1e-10}
    )
    (alpha, *rest), _ = _solve(best.x, x, y)
    return np.array([alpha, best.x, *rest])


def _solve(exponent: float, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """The linear coefficients for an exponent, and the sum of squares that they leave."""
    matrix = columns(exponent, x)
    size = np.abs(matrix).max(axis=0)
    found = np.linalg.lstsq(matrix / size, y, rcond=None)[0] / size
    return found, float(((matrix @ found - y) ** 2).sum())


def columns(exponent: float, x: np.ndarray) -> np.ndarray:
    """float64[n, 5]: what the coefficients of the law stand before."""
    ratio, log_rate = x[:, 0], np.log(x[:, 1])
    power = ratio**exponent
    return np.column_stack([power, np.ones(len(x)), log_rate, log_rate**2, power * log_rate])

"""The critical mixture ratio of CMR (2407.17467): the most added data after which the general loss has come back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from steps.core.errors import DataError
from steps.fit_scaling_law.fit import Fit, fit_law
from steps.fit_scaling_law.laws import CRITICAL, DOMAIN, GENERAL

POINTS = 2_000  # of the logarithmic scan for a change of sign


@dataclass(frozen=True)
class Curve:
    """One ratio's run: tokens float64[n] ascending above 0, and both losses' change since before training."""

    tokens: np.ndarray
    domain: np.ndarray
    general: np.ndarray


@dataclass(frozen=True)
class RatioResult:
    """What one ratio's curves say. ``turning`` is T0; None: the general loss has not turned by the last point."""

    domain: Fit
    general: Fit
    turning: float | None
    within_epsilon: bool

    @property
    def feasible(self) -> bool:
        return self.within_epsilon and self.turning is not None


def turning_point(
    domain: np.ndarray, general: np.ndarray, multiplier: float, first: float, last: float
) -> float | None:
    """T0: where a1·s1·T^(s1-1) + λ(a2·s2·T^(s2-1) + a3·s3·T^(s3-1)) goes from positive to negative (CMR Eq. 26).

    ``first`` where it is negative from there on; None where it is positive at ``last``. With growing λ it tends to the
    turning point of the general loss.
    """
    a1, s1, _ = domain
    a2, s2, a3, s3, _ = general

    def slope(t: float) -> float:
        return float(
            a1 * s1 * t ** (s1 - 1) + multiplier * (a2 * s2 * t ** (s2 - 1) + a3 * s3 * t ** (s3 - 1))
        )

    grid = np.geomspace(first, last, POINTS)
    rising = np.array([slope(t) > 0 for t in grid])
    if rising[-1]:
        return None
    if not rising.any():
        return first
    before = int(np.flatnonzero(rising)[-1])
    return float(brentq(slope, grid[before], grid[before + 1], xtol=1e-12, rtol=1e-12))


def judge_ratios(
    curves: Mapping[float, Curve], *, multiplier: float, epsilon: float, draws: int, seed: int
) -> dict[float, RatioResult]:
    """Both laws of every ratio, its T0, and whether its general loss ends at most ``epsilon`` above its start."""
    results = {}
    for ratio, curve in sorted(curves.items()):
        x = curve.tokens[:, None]
        domain = fit_law(DOMAIN, x, curve.domain, draws=draws, seed=seed)
        general = fit_law(GENERAL, x, curve.general, draws=draws, seed=seed)
        turning = turning_point(
            domain.parameters, general.parameters, multiplier, float(x[0, 0]), float(x[-1, 0])
        )
        end = float(general.predict(x[-1:])[0])
        results[ratio] = RatioResult(domain, general, turning, end <= epsilon)
    return results


def critical_law(results: Mapping[float, RatioResult], *, draws: int, seed: int) -> Fit:
    """R_CMR(T) through the points (T0, R) of the ratios that turned within their run (CMR Eq. 8).

    Raises DataError where too few have: ratios nearer to the critical one, or longer runs, are needed.
    """
    points = [
        (r.turning, ratio)
        for ratio, r in results.items()
        if r.turning is not None and r.turning > r.general.low[0]
    ]
    if len(points) < len(CRITICAL.parameters) + 1:
        said = ", ".join(
            f"{ratio:g}: {'not turned' if r.turning is None else f'turned at {r.turning:.4g}'}"
            for ratio, r in results.items()
        )
        raise DataError(
            f"critical ratio: the general loss turned inside of its run for {len(points)} ratios, and a law over "
            f"tokens needs {len(CRITICAL.parameters) + 1} ({said}); add ratios between those that turn and those that "
            "do not, or train longer"
        )
    values = np.array(sorted(points))
    return fit_law(CRITICAL, values[:, :1], values[:, 1], draws=draws, seed=seed)

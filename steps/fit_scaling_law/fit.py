"""Parameters of a law from measured points, with their confidence, and predictions that say where they end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations as combinations_of
from itertools import product
from typing import Any

import numpy as np
from scipy.optimize import least_squares, minimize

from steps.core.errors import DataError
from steps.fit_scaling_law.laws import (
    DATA_CENTRIC,
    GENERAL,
    RATIO,
    RATIO_RATE,
    Law,
    log_data_centric,
    log_data_centric_jacobian,
)
from steps.fit_scaling_law.surface import EXPONENTS, TooFew, fit_surface, refine_surface

CONFIDENCE = 0.95
HUBER_DELTA = 1e-3  # Ziya2 §7, on the logarithm of the loss
STARTS = 24  # of the grid, the best, from which L-BFGS goes on


@dataclass(frozen=True)
class Fit:
    """A law with values: ``parameters`` float64[p]; ``draws`` float64[bootstrap, p], each fitted to redrawn points.

    ``low`` and ``high`` float64[inputs]: the range of what was measured.
    """

    law: Law
    parameters: np.ndarray
    draws: np.ndarray
    low: np.ndarray
    high: np.ndarray
    r_squared: float
    largest_error: float
    """Relative, of the measured points."""

    def interval(self, name: str) -> tuple[float, float]:
        """The confidence interval of a parameter, by its bootstrap percentiles."""
        values = self.draws[:, self.law.parameters.index(name)]
        return _interval(values)

    def value(self, name: str) -> float:
        return float(self.parameters[self.law.parameters.index(name)])

    def predict(self, x: np.ndarray, *, extrapolate: bool = False) -> np.ndarray:
        """float64[n] for x float64[n, inputs]. Raises DataError outside of what was measured, unless told to go on."""
        if not extrapolate and (outside := self.outside(x)):
            raise DataError(
                f"{self.law.name}: {outside}; with extrapolate: true it is predicted all the same, and marked"
            )
        return self.law.predict(self.parameters, x)

    def band(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Low and high float64[n] of the predictions' confidence."""
        values = np.array([self.law.predict(draw, x) for draw in self.draws])
        tail = (1 - CONFIDENCE) / 2
        return np.quantile(values, tail, axis=0), np.quantile(values, 1 - tail, axis=0)

    def outside(self, x: np.ndarray) -> str:
        """Which input of which point lies outside of the measured range, or nothing."""
        for column, name in enumerate(self.law.inputs):
            low, high = self.low[column], self.high[column]
            for value in x[:, column]:
                if not low * (1 - 1e-9) <= value <= high * (1 + 1e-9):
                    return f"{name} {value:.6g} is outside of the measured {low:.6g} to {high:.6g}"
        return ""


def fit_law(law: Law, x: np.ndarray, y: np.ndarray, *, draws: int = 200, seed: int = 0) -> Fit:
    """Fit ``law`` to y float64[n] measured at x float64[n, inputs], and again to ``draws`` redrawn sets of points.

    Points are redrawn by their residuals, widened by sqrt(n / (n - p)) for the p parameters that the fit has used up;
    in the data-centric law these are relative. Raises DataError where points are too few or not finite.
    """
    needed = len(law.parameters) + 1
    if len(y) < needed:
        raise TooFew(
            f"{law.name}: {len(y)} points; {needed} are the fewest that {law.formula} can be fitted to"
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise DataError(f"{law.name}: a measured point is not a finite number")
    relative = law is DATA_CENTRIC
    first, again = _fitters(law)
    parameters = first(x, y)
    fitted = law.predict(parameters, x)
    residuals = np.log(y / fitted) if relative else y - fitted
    widened = residuals * np.sqrt(len(y) / (len(y) - len(parameters)))
    generator = np.random.Generator(np.random.PCG64(seed))
    found = np.empty((draws, len(parameters)))
    for number in range(draws):
        change = generator.choice(widened, len(y))
        found[number] = again(x, fitted * np.exp(change) if relative else fitted + change, parameters)
    spread = float(((y - y.mean()) ** 2).sum())
    return Fit(
        law,
        parameters,
        found,
        x.min(axis=0),
        x.max(axis=0),
        1 - float(((y - fitted) ** 2).sum()) / spread if spread else 1.0,
        float(np.abs(fitted / y - 1).max()) if (y != 0).all() else float("nan"),
    )


def left_out(law: Law, x: np.ndarray, y: np.ndarray) -> list[dict[str, Any]]:
    """Every point as the law of all others predicts it, as rows of `compare`; where they are too few, it has none."""
    found = []
    for number in range(len(y)):
        kept = np.arange(len(y)) != number
        try:
            fit = fit_law(law, x[kept], y[kept], draws=0)
        except DataError:  # the others are too few, or it alone tells one of the parameters
            continue
        found += compare(fit, x[~kept], y[~kept])
    return found


def compare(fit: Fit, x: np.ndarray, y: np.ndarray) -> list[dict[str, Any]]:
    """Points that the fit has not seen, measured and predicted.

    ``extrapolated``: the point lies outside of what the fit covers, so that its error says less about the law.
    """
    return [
        {
            "at": dict(zip(fit.law.inputs, place.tolist(), strict=True)),
            "loss": loss,
            "predicted": predicted,
            "relative_error": abs(predicted / loss - 1),
            "extrapolated": bool(fit.outside(place[None])),
        }
        for place, loss, predicted in zip(
            x, y.tolist(), fit.predict(x, extrapolate=True).tolist(), strict=True
        )
    ]


First = Callable[[np.ndarray, np.ndarray], np.ndarray]
Again = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def _fitters(law: Law) -> tuple[First, Again]:
    """How the law is fitted from nothing, and from parameters that are nearly right."""
    if law is RATIO_RATE:
        return fit_surface, lambda x, y, near: refine_surface(x, y, float(near[1]))
    if law is DATA_CENTRIC:
        return _fit_data_centric, _polish_data_centric
    terms = 2 if law is GENERAL else 1
    return lambda x, y: _fit_powers(x[:, 0], y, terms), lambda x, y, near: _refine_powers(
        x[:, 0], y, near[1:-1:2]
    )


def _fit_powers(x: np.ndarray, y: np.ndarray, terms: int) -> np.ndarray:
    """Least squares of a sum of powers and a constant: exponents from a grid, then refined; the rest is linear.

    Variable projection (Golub and Pereyra 1973): for given exponents the best coefficients are solved for, so only
    the exponents are searched, and no start has to be guessed.
    """
    if (x <= 0).any():
        raise DataError("a power law has no value at 0: leave points without tokens or with ratio 0 out")
    powers = (x / _scale(x))[:, None] ** EXPONENTS[:: 2 * terms - 1]
    combinations = np.array(list(combinations_of(range(powers.shape[1]), terms)))
    designs = np.concatenate(
        [powers.T[combinations].transpose(0, 2, 1), np.ones((len(combinations), len(x), 1))], axis=2
    )
    basis = np.linalg.qr(designs).Q
    costs = ((y - (basis @ (basis.transpose(0, 2, 1) @ y)[..., None])[..., 0]) ** 2).sum(axis=1)
    starts = [EXPONENTS[:: 2 * terms - 1][combinations[i]] for i in np.argsort(costs, kind="stable")[:4]]
    found = [_refine_powers(x, y, start) for start in starts]
    law = GENERAL if terms == 2 else RATIO
    return min(found, key=lambda p: float(((law.predict(p, x[:, None]) - y) ** 2).sum()))


def _refine_powers(x: np.ndarray, y: np.ndarray, start: np.ndarray) -> np.ndarray:
    scale = _scale(x)

    def solve(exponents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        matrix = np.column_stack([(x[:, None] / scale) ** exponents, np.ones_like(x)])
        coefficients = np.linalg.lstsq(matrix, y, rcond=None)[0]
        return coefficients, matrix @ coefficients - y

    # an exponent does not cross zero, where its power and the constant are one
    low, high = np.where(start > 0, 0.005, -6.0), np.where(start > 0, 6.0, -0.005)
    best = least_squares(
        lambda exponents: solve(exponents)[1],
        start,
        bounds=(low, high),
        x_scale=np.abs(start),
        xtol=1e-14,
        ftol=1e-14,
    ).x
    coefficients = solve(best)[0]
    pairs = [(coefficients[i] / scale**s, s) for i, s in enumerate(best)]
    return np.array([*(value for pair in pairs for value in pair), coefficients[-1]])


def _scale(x: np.ndarray) -> float:
    """The geometric mean: powers of values around 1 are told apart best."""
    return float(np.exp(np.log(x).mean()))


def _fit_data_centric(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Huber loss on log loss, L-BFGS from the best points of a grid (Ziya2 §7), then refined by `least_squares`.

    The paper's grid of A, B, C and alpha; E and F from the data's own scale, as the paper's F does not hold its own
    answer. All parameters are positive: their logarithms are searched.
    """
    if (y <= 0).any() or (x[:, :3] < 0).any() or (x[:, 3] < 0).any():
        raise DataError("data_centric: losses are positive, and attributes and tokens not below 0")
    tokens = float(x[:, 3].max())
    qualities = (0.29, 0.86, 1.43, 2.0)
    grid = product(
        (0.03, 0.1, 0.3, 0.67, 1.33), qualities, qualities, qualities,
        tokens * np.array([0.01, 0.1, 1.0, 10.0]), float(y.min()) * np.array([0.2, 0.5, 0.8, 0.95]),
    )  # fmt: skip
    starts = np.log(np.array(list(grid)))
    costs = np.array([_huber(_log_residual(start, x, y)) for start in starts])
    found = []
    for index in np.argsort(costs, kind="stable")[:STARTS]:
        result = minimize(_huber_gradient, starts[index], args=(x, y), jac=True, method="L-BFGS-B")
        found.append((result.fun, tuple(result.x)))
    polished = [_polish_data_centric(x, y, np.exp(np.array(theta))) for _, theta in sorted(found)[:6]]
    return min(polished, key=lambda p: _huber(_log_residual(np.log(p), x, y)))


def _polish_data_centric(x: np.ndarray, y: np.ndarray, start: np.ndarray) -> np.ndarray:
    result = least_squares(
        _log_residual, np.log(np.maximum(start, 1e-12)), _log_jacobian, args=(x, y), loss="huber",
        f_scale=HUBER_DELTA, x_scale="jac", xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=1000,
    )  # fmt: skip
    return np.exp(_bounded(result.x))


def _bounded(theta: np.ndarray) -> np.ndarray:
    """Logarithms of parameters inside of what a float's exponent holds."""
    return np.clip(theta, -40, 80)


def _log_residual(theta: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return log_data_centric(np.exp(_bounded(theta)), x) - np.log(y)


def _log_jacobian(theta: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return log_data_centric_jacobian(np.exp(_bounded(theta)), x)


def _huber_gradient(theta: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """The Huber loss and its gradient, in units of delta²: L-BFGS's tolerances are for values around 1."""
    residual = _log_residual(theta, x, y)
    slope = np.clip(residual, -HUBER_DELTA, HUBER_DELTA)
    return _huber(residual) / HUBER_DELTA**2, slope @ _log_jacobian(theta, x, y) / HUBER_DELTA**2


def _huber(residual: np.ndarray) -> float:
    size = np.abs(residual)
    inside = size <= HUBER_DELTA
    return float(np.where(inside, 0.5 * residual**2, HUBER_DELTA * (size - HUBER_DELTA / 2)).sum())


def _interval(values: np.ndarray) -> tuple[float, float]:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)

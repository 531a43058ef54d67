"""The laws, as functions of their parameters and of what was varied; all losses in nats per token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Predict = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Law:
    """``predict(parameters float64[p], x float64[n, inputs])`` gives float64[n]."""

    name: str
    formula: str
    parameters: tuple[str, ...]
    inputs: tuple[str, ...]
    predict: Predict


def _power(parameters: np.ndarray, x: np.ndarray) -> np.ndarray:
    a, s, b = parameters
    return np.asarray(a * x[:, 0] ** s + b)


def _ratio_rate(parameters: np.ndarray, x: np.ndarray) -> np.ndarray:
    alpha, s, beta, gamma, delta, mixed = parameters
    ratio, log_rate = x[:, 0], np.log(x[:, 1])
    return np.asarray((alpha + mixed * log_rate) * ratio**s + beta + gamma * log_rate + delta * log_rate**2)


def _rise_and_fall(parameters: np.ndarray, x: np.ndarray) -> np.ndarray:
    a2, s2, a3, s3, b2 = parameters
    return np.asarray(a2 * x[:, 0] ** s2 + a3 * x[:, 0] ** s3 + b2)


def _data_centric(parameters: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.exp(log_data_centric(parameters, x))


def log_data_centric(parameters: np.ndarray, x: np.ndarray) -> np.ndarray:
    """log L of `DATA_CENTRIC`, by log-sum-exp twice: D spans 1e9 to 1e13, D^-alpha and E a few tenths.

    The paper prints LSE(1 - alpha log D, e), which is e·D^-alpha + E and not its Eq. 3; this is Eq. 3.
    """
    terms = _log_terms(parameters, x)
    return np.asarray(
        np.logaddexp(-parameters[0] * np.logaddexp.reduce(terms, axis=0), np.log(parameters[-1]))
    )


def log_data_centric_jacobian(parameters: np.ndarray, x: np.ndarray) -> np.ndarray:
    """float64[n, 6]: derivatives of `log_data_centric` by the logarithms of the parameters."""
    alpha, terms = parameters[0], _log_terms(parameters, x)
    log_d = np.logaddexp.reduce(terms, axis=0)
    reducible = np.exp(-alpha * log_d - np.logaddexp(-alpha * log_d, np.log(parameters[-1])))
    by_terms = -alpha * np.exp(terms - log_d) * reducible
    return np.column_stack([-alpha * log_d * reducible, *by_terms, 1 - reducible])


def _log_terms(parameters: np.ndarray, x: np.ndarray) -> np.ndarray:
    """float64[4, n]: logarithms of the terms of D."""
    coherence, readability, similarity, tokens = x.T
    qualities = [coherence * tokens, readability * tokens, similarity * tokens, np.ones(len(x))]
    with np.errstate(divide="ignore"):  # log 0 is -inf, which adds nothing
        return np.asarray(np.log(parameters[1:5])[:, None] + np.log(qualities))


RATIO = Law("ratio", "L(R) = alpha * R^s + beta", ("alpha", "s", "beta"), ("ratio",), _power)
"""CMR (2407.17467) §3.3: loss after training, by the share R of the added data; one fit per validation set."""

RATIO_RATE = Law(
    "ratio_rate",
    "L(R, n) = (alpha + mixed * ln n) * R^s + beta + gamma * ln n + delta * (ln n)^2",
    ("alpha", "s", "beta", "gamma", "delta", "mixed"),
    ("ratio", "learning_rate"),
    _ratio_rate,
)
"""At every learning rate n the L(R) of CMR, with one exponent; its scale moves with ln n, and its constant as a smooth
optimum of the rate looks near by. Own choice: nobody published a law of both."""

DOMAIN = Law("domain", "dL_dom(T) = a1 * T^s1 + b1", ("a1", "s1", "b1"), ("tokens",), _power)
"""CMR Eq. 6: change of the loss on the added data since before training."""

GENERAL = Law(
    "general",
    "dL_gen(T) = a2 * T^s2 + a3 * T^s3 + b2",
    ("a2", "s2", "a3", "s3", "b2"),
    ("tokens",),
    _rise_and_fall,
)
"""CMR §3.3: change of the loss on the general data, which rises and then falls."""

CRITICAL = Law("critical", "R_CMR(T) = a4 * T^s4 + b3", ("a4", "s4", "b3"), ("tokens",), _power)
"""CMR Eq. 8: the critical mixture ratio by the length of training."""

DATA_CENTRIC = Law(
    "data_centric",
    "L(D) = D^-alpha + E, D = (A * CH + B * RA + C * SIM) * V + F",
    ("alpha", "A", "B", "C", "F", "E"),
    ("coherence", "readability", "similarity", "tokens"),
    _data_centric,
)
"""Ziya2 (2311.03301) Eqs. 3 and 4: test loss by quality and number of training tokens V."""

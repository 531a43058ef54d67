"""How far a distribution has moved: population stability index and Kolmogorov-Smirnov distance."""

from __future__ import annotations

import numpy as np

from steps.report.distribution import Distribution

LEAST = 100  # documents on both sides, below which a comparison says nothing (own choice)
BINS = 10  # deciles of the earlier dump
FLOOR = 1e-4  # share of an empty bin, so that its logarithm exists
# PSI as scorecards read it (Siddiqi, Credit Risk Scorecards, 2006): below, no change
MODERATE, LARGE = 0.1, 0.25


def reading(psi: float) -> str:
    """A population stability index in words."""
    return "no change" if psi < MODERATE else "some change" if psi < LARGE else "changed"


def distances(before: Distribution, now: Distribution) -> tuple[float, float]:
    """(PSI over the deciles of `before`, largest difference of the cumulated shares), of non-empty distributions."""
    cuts = sorted({before.quantile(n / BINS) or 0.0 for n in range(1, BINS)})
    edges = np.array([-np.inf, *cuts, np.inf])
    shares = [np.maximum(one.histogram(edges) / one.count, FLOOR) for one in (before, now)]
    psi = float(np.sum((shares[1] - shares[0]) * np.log(shares[1] / shares[0])))
    values = [one.values() for one in (before, now)]
    places = np.unique(np.concatenate([value for value, _ in values]))
    reached = [
        np.concatenate([[0], np.cumsum(counts)])[np.searchsorted(value, places, side="right")] / counts.sum()
        for value, counts in values
    ]
    return round(psi, 4), round(float(np.abs(reached[0] - reached[1]).max()), 4)

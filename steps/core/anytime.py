"""The gate's anytime-valid test: readers may stop, or read on, whenever they like, and alpha still holds.

Documents are read in the random order of the sample. After n of them with x reported defective, the evidence against
"K documents of N are defective" is the ratio of two likelihoods of what was seen,

    E(K) = Σ_j w_j · P(X = x | k_j, N, n, Se) / P(X = x | K, N, n, Se),        k_j below the limit, Σ w_j = 1,

with X as in `statistics` (hypergeometric, thinned by the readers' sensitivity). The order within the sample cancels.
For the true K it is a non-negative martingale in n that starts at 1 (prior-posterior ratio, Waudby-Smith & Ramdas,
"Confidence sequences for sampling without replacement", NeurIPS 2020), so that by Ville's inequality it ever reaches
1/alpha with probability at most alpha. The test passes when E(K) >= 1/alpha for every K at or above the limit.

Two monotonicities make it safe. The thinned hypergeometric has a monotone likelihood ratio in K, and all k_j lie below
K, so that E falls in x; and E(K) rises in Se, for E[h | x] rises in K. A lower bound of the sensitivity therefore only
takes evidence away.
"""

from __future__ import annotations

import math

import numpy as np

from steps.core.statistics import allowed_defects, hypergeometric_pmf

# Alternatives as shares of the limit with their weights (airflow.md 6.2: 0, 1, 5, 10, 20 and 40 % of the limit). The
# weights decide how soon a corpus passes, never whether one may pass wrongly.
ALTERNATIVES = ((0.0, 0.45), (0.01, 0.10), (0.05, 0.15), (0.10, 0.15), (0.20, 0.10), (0.40, 0.05))
FEW = 16  # counts below the limit up to which each is an alternative of its own: small corpora are read as a whole


def alternatives(population: int, limit: float) -> list[tuple[int, float]]:
    """(defective documents, weight) of what a good corpus may have; weights add up to 1."""
    ceiling = allowed_defects(population, limit)
    if 0 < ceiling <= FEW:
        return [(0, 0.5), *((count, 0.5 / ceiling) for count in range(1, ceiling + 1))]
    return [(min(ceiling, math.floor(share * limit * population)), weight) for share, weight in ALTERNATIVES]


def _log_probability(found: int, population: int, defective: int, sample: int, sensitivity: float) -> float:
    """log P(X = found); -inf where it is impossible."""
    from scipy.special import gammaln, logsumexp

    if sensitivity >= 1.0:
        return _log_hypergeometric(found, population, defective, sample)
    first, p = hypergeometric_pmf(population, defective, sample)
    h = np.arange(first, first + len(p), dtype=np.float64)
    keep = (h >= found) & (p > 0)
    if not keep.any():
        return -math.inf
    h, p = h[keep], p[keep]
    missed = h - found
    log_binomial = gammaln(h + 1) - gammaln(found + 1) - gammaln(missed + 1)
    log_binomial += found * math.log(sensitivity) + missed * math.log1p(-sensitivity)
    return float(logsumexp(np.log(p) + log_binomial))


def _log_hypergeometric(found: int, population: int, defective: int, sample: int) -> float:
    first, p = hypergeometric_pmf(population, defective, sample)
    at = found - first
    return math.log(p[at]) if 0 <= at < len(p) and p[at] > 0 else -math.inf


def log_evidence(found: int, population: int, sample: int, sensitivity: float, limit: float) -> float:
    """Natural log of the evidence that fewer than ``limit`` of the documents are defective, at its smallest over all K.

    found: reported among the ``sample`` documents read; sensitivity: the readers', or its lower bound. inf where no
    K is at the limit or above it; -inf where some such K explains what was seen better than K just at the limit.
    """
    from scipy.special import logsumexp

    ceiling = allowed_defects(population, limit)
    if ceiling + 1 > population:
        return math.inf
    if ceiling < 0 or sample == 0 or sensitivity <= 0.0:
        return -math.inf
    null = _log_probability(found, population, ceiling + 1, sample, sensitivity)
    # P(X = x | K) has one peak in K (the binomial kernel is totally positive), so that it falls from here or not
    if (
        ceiling + 2 <= population
        and _log_probability(found, population, ceiling + 2, sample, sensitivity) > null
    ):
        return -math.inf
    likely = [
        _log_probability(found, population, count, sample, sensitivity) + math.log(weight)
        for count, weight in alternatives(population, limit)
    ]
    seen = float(logsumexp(likely))
    if seen == -math.inf:
        return -math.inf
    return math.inf if null == -math.inf else seen - null


def passes(found: int, population: int, sample: int, sensitivity: float, limit: float, alpha: float) -> bool:
    """Whether the evidence reaches 1/alpha; with an alpha of 0 only what is certain does."""
    wanted = -math.log(alpha) if alpha > 0 else math.inf
    return log_evidence(found, population, sample, sensitivity, limit) >= wanted


def defect_bound(found: int, population: int, sample: int, sensitivity: float, alpha: float) -> int:
    """Largest K that cannot be ruled out at any moment of the reading, as `statistics.defect_bound` for a fixed plan.

    Each K is tested by a martingale of its own, with alternatives below that K, so that together the K that are not
    rejected are a confidence sequence.
    """
    low, high = found, population
    while low < high:
        middle = (low + high + 1) // 2
        if passes(found, population, sample, sensitivity, middle / population, alpha):
            high = middle - 1
        else:
            low = middle
    return low


def plan_sample(
    population: int, limit: float, sensitivity: float, alpha: float, found: int = 0
) -> int | None:
    """Fewest documents after which ``found`` reported defects let the corpus pass; None if no number does."""
    enough = max(found, 1)
    while not passes(found, population, min(enough, population), sensitivity, limit, alpha):
        if enough >= population:
            return None
        enough *= 2
    low, high = enough // 2, min(enough, population)
    while low < high:  # up to here the evidence rises with the documents
        middle = (low + high) // 2
        if passes(found, population, middle, sensitivity, limit, alpha):
            high = middle
        else:
            low = middle + 1
    return low


def sensitivity_lower_bound(found: int, seeded: int, alpha: float) -> float:
    """Lower end of a confidence sequence of the readers' sensitivity: valid however many seeds were read when.

    Prior-posterior ratio with a uniform prior: the s below found/seeded at which B(k+1, m-k+1) / (s^k (1-s)^(m-k))
    reaches 1/alpha. 0 when nothing was seeded or nothing found.
    """
    from scipy.special import betaln

    if not 0 <= found <= seeded:
        raise ValueError(f"found {found} must lie between 0 and the {seeded} seeded defects")
    if found == 0:
        return 0.0
    marginal, missed = float(betaln(found + 1, seeded - found + 1)), seeded - found
    low, high = 0.0, found / seeded
    for _ in range(60):
        middle = (low + high) / 2
        likelihood = found * math.log(middle) + (missed * math.log1p(-middle) if missed else 0.0)
        if marginal - likelihood >= -math.log(alpha):
            low = middle
        else:
            high = middle
    return low

"""Exact statistics of the gate: how many defects can hide behind what the readers found.

The one question: N documents hold K defective ones, n are drawn without replacement and read by readers that find
a defect with probability Se, and x are found. Which K can be ruled out? (CONTRACT §5.)

    H ~ Hypergeometric(N, K, n)      defective documents in the sample
    X ~ Binomial(H, Se)              those that the readers report

`defect_bound` returns the largest K that cannot be ruled out. Se is not known either: `sensitivity_lower_bound`
gives the one-sided Clopper-Pearson bound from seeded defects, and its error probability is taken out of alpha
(union bound), so that the whole statement errs with probability at most alpha. P(X <= x) falls when Se rises, so
that using the lower bound of Se is on the safe side.

Everything here is pure arithmetic on numbers: no I/O, no randomness. Numbers are exact to about 1e-13: point
probabilities come from ratios of neighbours, normalised by their sum, not from log-gamma differences (which lose
nine digits at N = 1e7).
"""

from __future__ import annotations

import math

import numpy as np

# Hoeffding: the hypergeometric leaves mean ± t with probability at most 2·exp(-2t²/m), m = min(n, K).
# t = 5·√m leaves 2e-22, far under the 1e-12 that is promised.
_WINDOW_DEVIATIONS = 5.0


def _check_population(population: int, sample: int, found: int) -> None:
    if not 0 <= sample <= population:
        raise ValueError(f"sample size {sample} must lie between 0 and the population {population}")
    if not 0 <= found <= sample:
        raise ValueError(f"found {found} must lie between 0 and the sample size {sample}")


def hypergeometric_pmf(population: int, defective: int, sample: int) -> tuple[int, np.ndarray]:
    """Point probabilities of the number of defective documents in a sample drawn without replacement.

    Returns (first, p): p[i] = P(H = first + i). What lies outside the returned window has a total probability
    below 2e-22.
    """
    low = max(0, sample - (population - defective))
    high = min(sample, defective)
    if low == high:
        return low, np.ones(1)
    mean = sample * defective / population
    reach = _WINDOW_DEVIATIONS * math.sqrt(min(sample, defective)) + 1
    first = max(low, math.floor(mean - reach))
    last = min(high, math.ceil(mean + reach))
    mode = int((sample + 1) * (defective + 1) // (population + 2))
    mode = min(max(mode, first), last)
    # P(h + 1) / P(h)
    h = np.arange(first, last, dtype=np.float64)
    ratio = (defective - h) * (sample - h) / ((h + 1.0) * (population - defective - sample + h + 1.0))
    weights = np.ones(last - first + 1)
    pivot = mode - first
    weights[pivot + 1 :] = np.cumprod(ratio[pivot:])
    if pivot:
        weights[:pivot] = np.cumprod(1.0 / ratio[:pivot][::-1])[::-1]
    return first, weights / weights.sum()


def probability_at_most(
    found: int, population: int, defective: int, sample: int, sensitivity: float
) -> float:
    """P(X <= found): readers of this sensitivity report at most `found` defective documents in the sample."""
    from scipy.special import bdtr

    first, p = hypergeometric_pmf(population, defective, sample)
    if sensitivity >= 1.0:
        return float(p[: max(0, found - first + 1)].sum())
    h = np.arange(first, first + len(p))
    missed = np.ones(len(p))
    beyond = h > found  # with h <= found every outcome is allowed
    if beyond.any():
        # bdtr(k, n, p): binomial distribution function, through the incomplete beta function
        missed[beyond] = bdtr(float(found), h[beyond], sensitivity)
    return min(1.0, float((p * missed).sum()))


def defect_bound(found: int, population: int, sample: int, sensitivity: float, alpha: float) -> int:
    """Largest number K of defective documents among `population` with P(X <= found | K) > alpha.

    Args:
        found: defective documents that the readers reported in the sample (x).
        population: documents in the gated set (N).
        sample: documents drawn without replacement and read (n).
        sensitivity: probability, or its lower bound, that a reader reports a defective document (Se_L).
        alpha: error probability left for the sampling (alpha - alpha_Se).

    Returns K, between `found` and `population`. With sensitivity 1 this is the textbook hypergeometric bound.
    """
    _check_population(population, sample, found)
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha {alpha} must lie between 0 and 1")
    if not 0.0 <= sensitivity <= 1.0:
        raise ValueError(f"sensitivity {sensitivity} must lie between 0 and 1")
    if sample == 0 or sensitivity == 0.0:
        return population
    low, high = found, population
    while low < high:  # P(X <= found | K) falls in K
        middle = (low + high + 1) // 2
        if probability_at_most(found, population, middle, sample, sensitivity) > alpha:
            low = middle
        else:
            high = middle - 1
    return low


def sensitivity_lower_bound(found: int, seeded: int, alpha: float) -> float:
    """One-sided Clopper-Pearson lower bound of the readers' sensitivity: `found` of `seeded` known defects.

    0 when nothing was seeded or nothing found: readers nobody has measured prove nothing.
    """
    if not 0 <= found <= seeded:
        raise ValueError(f"found {found} must lie between 0 and the {seeded} seeded defects")
    if found == 0:
        return 0.0
    from scipy.special import betaincinv

    return float(betaincinv(found, seeded - found + 1, alpha))


def allowed_defects(population: int, limit: float) -> int:
    """Largest K with K / population < limit; -1 where even K = 0 is not below it.

    Strictly below: a set whose true rate is exactly the limit must be refused as often as one above it. 1e-9
    absorbs the rounding of decimal limits such as 0.001.
    """
    return min(population, math.ceil(limit * population - 1e-9) - 1)


def plan_sample(
    population: int, limit: float, sensitivity: float, alpha: float, found: int = 0
) -> int | None:
    """Fewest documents to read so that `found` reported defects still put the bound below the limit.

    None when even reading every document cannot do it: the readers are too unreliable for so few documents.
    The number is fixed before anyone looks (CONVENTIONS, trap 14).
    """
    too_many = allowed_defects(population, limit) + 1
    if too_many > population:
        return min(found, population)

    def enough(sample: int) -> bool:
        return probability_at_most(found, population, too_many, sample, sensitivity) <= alpha

    if population < found or not enough(population):
        return None
    low, high = found, population
    while low < high:
        middle = (low + high) // 2
        if enough(middle):
            high = middle
        else:
            low = middle + 1
    return low


def largest_remainder(counts: list[int], total: int) -> list[int]:
    """Share `total` among strata in proportion to their document counts; ties go to the earlier stratum.

    No stratum gets more than it has. total is at most sum(counts).
    """
    population = sum(counts)
    if not 0 <= total <= population:
        raise ValueError(f"cannot take {total} of {population} documents")
    if population == 0:
        return [0] * len(counts)
    quotas = [divmod(count * total, population) for count in counts]
    shares = [quotient for quotient, _ in quotas]
    by_remainder = sorted(range(len(counts)), key=lambda i: (-quotas[i][1], i))
    for index in by_remainder[: total - sum(shares)]:
        shares[index] += 1
    return shares

"""How often the gate passes what it must not: simulated corpora at and around the limit, read by imperfect readers.

    python -m benchmarks.quality.gate [--runs 10000]

Each run draws the places of the defective documents in a random order of all documents, which of them the readers
report, and how many of the 300 seeded defects they find; the gate knows the readers only from the latter. A cell is the
lowest and the highest share that passes over corpora of 300 to a million documents. The plans:

fixed      what `tokenmill gate plan` asks of readers who find every seeded defect, read to its end
fitted     what it asks of these readers, by the seeded defects that they find on average
fitted, 3  the same, with room for three reported defects
two looks  fitted, and a second sample where the first did not pass
anytime    asked after every 20 documents, with the seeds spread over the reading; passes if it passes at any moment:
           the harshest way of stopping when it looks good
"""

from __future__ import annotations

import argparse
import functools
import math
import sys
from collections.abc import Callable

import numpy as np

from steps.core import anytime, statistics
from steps.core.policy import Policy

LIMIT, SEEDS, STRIDE, BUDGET = 0.001, 300, 20, 12_000
RATES = (0.0, 0.0002, 0.0005, 0.001, 0.002, 0.005)
POPULATIONS = (300, 1000, 5000, 100_000, 1_000_000)
SENSITIVITIES = (1.0, 0.99, 0.9)


def passes_fixed(
    population: int,
    rate: float,
    sensitivity: float,
    runs: int,
    seed: int,
    *,
    fitted: bool = False,
    allowed: int = 0,
    looks: int = 1,
) -> float:
    """Share of runs that pass by a fixed plan, at one of its looks; ``rate`` is rounded up to whole documents.

    ``fitted``: the plan expects of the readers the seeded defects that they find on average, not all of them.
    ``allowed``: the plan is made for so many reported defects.
    """
    rng = np.random.default_rng(seed)
    defective = defects(population, rate)
    expected = round(SEEDS * sensitivity) if fitted else SEEDS
    passed = np.zeros(runs, dtype=bool)
    for look in range(1, looks + 1):
        alpha, alpha_sensitivity = Policy().alphas(look)
        planned = statistics.sensitivity_lower_bound(expected, SEEDS, alpha_sensitivity)
        size = statistics.plan_sample(population, LIMIT, planned, alpha, allowed) or population
        reported = rng.binomial(
            rng.hypergeometric(defective, population - defective, size, runs), sensitivity
        )
        found = rng.binomial(SEEDS, sensitivity, runs)
        answer = _answer(population, size, alpha, alpha_sensitivity)
        passed |= [answer(x, k) for x, k in zip(reported.tolist(), found.tolist(), strict=True)]
    return float(passed.mean())


def _answer(population: int, size: int, alpha: float, alpha_sensitivity: float) -> Callable[[int, int], bool]:
    """Whether x reported defects among ``size`` documents and k found seeds pass."""
    most = statistics.allowed_defects(population, LIMIT)

    @functools.cache
    def passed(x: int, k: int) -> bool:
        measured = statistics.sensitivity_lower_bound(k, SEEDS, alpha_sensitivity)
        return x / size < LIMIT and statistics.defect_bound(x, population, size, measured, alpha) <= most

    return passed


def passes_anytime(population: int, rate: float, sensitivity: float, runs: int, seed: int) -> float:
    """Share of runs that pass at any of the moments at which the gate is asked."""
    rng = np.random.default_rng(seed)
    budget = min(population, BUDGET)
    moments = np.unique(np.append(np.arange(STRIDE, budget, STRIDE), budget))
    seeds = np.minimum(SEEDS, np.ceil(SEEDS * moments / budget)).astype(int)
    first = _first_pass(population, tuple(moments.tolist()), tuple(seeds.tolist()))
    defective = defects(population, rate)
    passed = 0
    for _ in range(runs):
        places = rng.choice(population, defective, replace=False)
        reported = np.sort(places[rng.random(defective) < sensitivity])
        lost = np.concatenate(([0], np.cumsum(rng.random(SEEDS) >= sensitivity)))[seeds]
        x = np.searchsorted(reported, moments)
        changes = np.flatnonzero((np.diff(x, append=-1) != 0) | (np.diff(lost, append=-1) != 0))
        # the evidence only rises while nothing new is reported or lost: the last moment of each stretch decides
        passed += any(first(int(x[i]), int(lost[i])) <= i for i in changes.tolist())
    return passed / runs


def _first_pass(
    population: int, moments: tuple[int, ...], seeds: tuple[int, ...]
) -> Callable[[int, int], int]:
    """The number of the first moment at which x reported defects and so many lost seeds pass (or one past the last)."""
    alpha, alpha_sensitivity = Policy().alphas(1)

    def passed(i: int, x: int, lost: int) -> bool:
        if x > moments[i] or lost > seeds[i]:
            return False
        measured = anytime.sensitivity_lower_bound(seeds[i] - lost, seeds[i], alpha_sensitivity)
        return anytime.passes(x, population, moments[i], measured, LIMIT, alpha)

    @functools.cache
    def first(x: int, lost: int) -> int:
        low, high = 0, len(moments)
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if passed(middle, x, lost) else (middle + 1, high)
        return low

    return first


def defects(population: int, rate: float) -> int:
    """Defective documents at that rate, rounded up: 300 documents at 0.1 % have one."""
    return math.ceil(rate * population - 1e-9)


PLANS: dict[str, Callable[[int, float, float, int, int], float]] = {
    "fixed": passes_fixed,
    "fitted": functools.partial(passes_fixed, fitted=True),
    "fitted, 3": functools.partial(passes_fixed, fitted=True, allowed=3),
    "two looks": functools.partial(passes_fixed, fitted=True, looks=2),
    "anytime": passes_anytime,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality.gate", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--runs", type=int, default=10_000)
    runs = parser.parse_args().runs
    print(f"Share of {runs:,} simulated reviews that pass, limit {LIMIT:.1%}, {SEEDS} seeded defects\n")
    print("| plan | readers find | " + " | ".join(f"{rate:.2%} defective" for rate in RATES) + " |")
    print("|---|---:|" + "---:|" * len(RATES))
    worst = 0.0
    for name, simulate in PLANS.items():
        for sensitivity in SENSITIVITIES:
            cells = []
            for rate in RATES:
                shares = {size: simulate(size, rate, sensitivity, runs, size) for size in POPULATIONS}
                low, high = min(shares.values()), max(shares.values())
                cells.append(f"{low:.2%}" if low == high else f"{low:.2%} – {high:.2%}")
                at_limit = [shares[size] for size in POPULATIONS if defects(size, rate) >= LIMIT * size]
                worst = max(worst, *at_limit, 0.0)
            print(f"| {name} | {sensitivity:.0%} | {' | '.join(cells)} |", flush=True)
    print(f"\nWorst false pass at or above the limit: {worst:.2%} (at most 5 % is promised)")
    return int(worst > 0.05)


if __name__ == "__main__":
    sys.exit(main())

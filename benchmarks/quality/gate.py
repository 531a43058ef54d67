"""How often the gate passes what it must not: simulated corpora at and around the limit, read by imperfect readers.

    python -m benchmarks.quality.gate [--runs 10000]

Each run draws the places of the defective documents in a random order of all documents, which of them the readers
report, and how many of the 300 seeded defects they find; the gate knows the readers only from the latter. `fixed` reads
its plan to the end. `anytime` is asked after every 20 documents, with the seeds spread over the reading, and passes if
it passes at any moment: the harshest way of stopping when it looks good.
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


def passes_fixed(population: int, rate: float, sensitivity: float, runs: int, seed: int) -> float:
    """Share of runs that pass by the fixed plan; ``rate`` is rounded up to whole documents."""
    rng = np.random.default_rng(seed)
    alpha, alpha_sensitivity = Policy().alphas(1)
    defective = defects(population, rate)
    planned = statistics.sensitivity_lower_bound(SEEDS, SEEDS, alpha_sensitivity)
    size = statistics.plan_sample(population, LIMIT, planned, alpha) or population
    allowed = statistics.allowed_defects(population, LIMIT)
    reported = rng.binomial(rng.hypergeometric(defective, population - defective, size, runs), sensitivity)
    found = rng.binomial(SEEDS, sensitivity, runs)

    @functools.cache
    def passed(x: int, k: int) -> bool:
        measured = statistics.sensitivity_lower_bound(k, SEEDS, alpha_sensitivity)
        return x / size < LIMIT and statistics.defect_bound(x, population, size, measured, alpha) <= allowed

    return sum(passed(x, k) for x, k in zip(reported.tolist(), found.tolist(), strict=True)) / runs


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


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality.gate", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--runs", type=int, default=10_000)
    runs = parser.parse_args().runs
    print(f"Share of {runs:,} simulated reviews that pass, limit {LIMIT:.1%}, {SEEDS} seeded defects\n")
    print("| test | documents | sensitivity | " + " | ".join(f"{rate:.2%}" for rate in RATES) + " |")
    print("|---|---|---|" + "---|" * len(RATES))
    worst = 0.0
    for name, simulate in (("fixed", passes_fixed), ("anytime", passes_anytime)):
        for population in POPULATIONS:
            for sensitivity in SENSITIVITIES:
                shares = []
                for rate in RATES:
                    shares.append(simulate(population, rate, sensitivity, runs, seed=population))
                    if defects(population, rate) >= LIMIT * population:
                        worst = max(worst, shares[-1])
                cells = " | ".join(f"{share:.2%}" for share in shares)
                print(f"| {name} | {population:,} | {sensitivity} | {cells} |", flush=True)
    print(f"\nWorst false pass at or above the limit: {worst:.2%} (at most 5 % is promised)")
    return int(worst > 0.05)


if __name__ == "__main__":
    sys.exit(main())

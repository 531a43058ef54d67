"""The sampling plan: how many documents of each stratum, pure functions of counts and settings."""

from __future__ import annotations

import math
from collections.abc import Mapping

from steps.core import statistics
from steps.core.verdict import POOLED, Stratum, arithmetic
from steps.evaluate.config import Config


def planned_sensitivity(config: Config) -> float:
    """The lower bound of the readers' sensitivity that the plan counts on."""
    found = math.floor(config.seeded * config.planned_sensitivity)
    test = arithmetic(config.policy)
    return test.sensitivity_lower_bound(found, config.seeded, config.policy.alphas(config.look)[1])


def planned_size(population: int, config: Config) -> tuple[int, int | None]:
    """(documents to draw, documents that the bound needs; None where not even all of them are enough)."""
    size = max(math.ceil(config.sample_fraction * population), min(config.minimum, population))
    if config.policy.bound == "none":
        return min(size, population), 0
    alpha, _ = config.policy.alphas(config.look)
    needed = arithmetic(config.policy).plan_sample(
        population, config.policy.limit, planned_sensitivity(config), alpha, config.allowed_defects
    )
    return min(max(size, population if needed is None else needed), population), needed


def allocate(counts: Mapping[str, int], config: Config) -> tuple[dict[str, Stratum], int | None]:
    """How many documents to draw per stratum, in proportion, and how many extra so that each stratum has enough.

    Returns the strata by name, and what the bound of the whole needs (None: cannot be met).
    """
    names = sorted(counts)
    population = sum(counts.values())
    size, needed = planned_size(population, config)
    shares = statistics.largest_remainder([counts[name] for name in names], size)
    strata = {
        name: Stratum(documents=counts[name], sampled=share)
        for name, share in zip(names, shares, strict=True)
    }
    policy = config.policy
    if policy.stratum_ceiling is None or policy.bound == "none":
        return strata, needed
    home = {name: name if counts[name] >= policy.stratum_minimum else POOLED for name in names}
    for pool in sorted(set(home.values())):
        members = [name for name in names if home[name] == pool]
        documents = sum(counts[name] for name in members)
        floor = arithmetic(policy).plan_sample(
            documents, policy.stratum_ceiling, planned_sensitivity(config), policy.alphas(config.look)[0]
        )
        missing = (documents if floor is None else floor) - sum(strata[name].sampled for name in members)
        if missing <= 0:
            continue
        free = [counts[name] - strata[name].sampled for name in members]
        for name, extra in zip(members, statistics.largest_remainder(free, missing), strict=True):
            strata[name].extra = extra
    return strata, needed


def host_shares(strata: Mapping[str, Stratum], wanted: int) -> dict[str, int]:
    """How many documents per stratum become hosts of seeded defects, in proportion, as far as there are any."""
    names = sorted(strata)
    total = sum(strata[name].documents for name in names)
    shares = statistics.largest_remainder([strata[name].documents for name in names], min(wanted, total))
    return dict(zip(names, shares, strict=True))

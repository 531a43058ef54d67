"""The gate's arithmetic against exact fractions, scipy, published tables and simulated corpora."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, hypergeom

from benchmarks.quality.gate import passes_fixed
from steps.core import statistics
from steps.core.policy import Policy
from steps.core.verdict import plan_seeded


def exact_probability(found: int, population: int, defective: int, sample: int, se: Fraction) -> Fraction:
    """P(X <= found) by summing every outcome, in fractions."""
    total = Fraction(0)
    for h in range(max(0, sample - population + defective), min(sample, defective) + 1):
        ways = Fraction(
            comb(defective, h) * comb(population - defective, sample - h), comb(population, sample)
        )
        seen = sum(comb(h, i) * se**i * (1 - se) ** (h - i) for i in range(min(found, h) + 1))
        total += ways * seen
    return total


@st.composite
def cases(draw: st.DrawFn) -> tuple[int, int, int, int, Fraction]:
    population = draw(st.integers(1, 90))
    defective = draw(st.integers(0, population))
    sample = draw(st.integers(0, population))
    found = draw(st.integers(0, sample))
    return found, population, defective, sample, Fraction(draw(st.integers(1, 20)), 20)


@settings(max_examples=150, deadline=None)
@given(cases())
def test_the_probability_equals_the_exact_sum(case: tuple[int, int, int, int, Fraction]) -> None:
    found, population, defective, sample, se = case
    expected = float(exact_probability(found, population, defective, sample, se))
    computed = statistics.probability_at_most(found, population, defective, sample, float(se))
    assert computed == pytest.approx(expected, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(cases())
def test_the_bound_is_the_largest_count_that_cannot_be_ruled_out(
    case: tuple[int, int, int, int, Fraction],
) -> None:
    found, population, _, sample, se = case
    alpha = Fraction(4, 100)
    allowed = [
        k for k in range(found, population + 1) if exact_probability(found, population, k, sample, se) > alpha
    ]
    expected = max(allowed) if sample else population
    assert statistics.defect_bound(found, population, sample, float(se), 0.04) == expected


@pytest.mark.parametrize(
    ("found", "sample", "population"),
    [
        (0, 300, 1000),
        (0, 2995, 10**6),
        (3, 2995, 10**6),
        (50, 10_000, 10**6),
        (7, 13_146, 10**5),
        (3000, 10**4, 10**6),
    ],
)
def test_with_perfect_readers_it_is_scipys_hypergeometric_bound(
    found: int, sample: int, population: int
) -> None:
    low, high = found, population - (sample - found)
    while low < high:
        middle = (low + high + 1) // 2
        if hypergeom.cdf(found, population, middle, sample) > 0.05:
            low = middle
        else:
            high = middle - 1
    bound = statistics.defect_bound(found, population, sample, 1.0, 0.05)
    assert abs(bound / population - low / population) <= 1e-12


@pytest.mark.parametrize(("k", "m"), [(60, 60), (58, 60), (299, 300), (300, 300), (1, 40)])
def test_the_sensitivity_bound_is_clopper_pearson(k: int, m: int) -> None:
    assert statistics.sensitivity_lower_bound(k, m, 0.01) == pytest.approx(
        beta.ppf(0.01, k, m - k + 1), abs=1e-12
    )


def test_readers_that_nobody_measured_prove_nothing() -> None:
    assert statistics.sensitivity_lower_bound(0, 0, 0.01) == 0.0
    assert statistics.defect_bound(0, 500, 500, 0.0, 0.04) == 500


@pytest.mark.parametrize(
    ("population", "found", "needed"),
    [(5000, 0, 2253), (10_000, 0, 2588), (20_000, 0, 2781), (100_000, 0, 2950), (10**9, 0, 2995), (10**9, 1, 4742),
     (10**9, 3, 7752)],
)  # fmt: skip
def test_plans_are_those_of_the_known_tables(population: int, found: int, needed: int) -> None:
    assert statistics.plan_sample(population, 0.001, 1.0, 0.05, found) == needed


def test_a_census_by_imperfect_readers_is_not_certainty() -> None:
    # 1,000 documents, all read, none reported, sensitivity .9: one defect cannot be ruled out at 4 %
    assert statistics.defect_bound(0, 1000, 1000, 0.9, 0.04) == 1
    assert statistics.plan_sample(1000, 0.001, 0.9, 0.04) is None
    assert statistics.plan_sample(1000, 0.001, 0.97, 0.04) is not None


def test_small_corpora_can_pass_with_enough_seeded_defects() -> None:
    alpha, alpha_sensitivity = Policy().alphas(1)
    needed = plan_seeded(Policy(), 120, 1)
    for seeded, passes in ((needed - 1, False), (needed, True)):
        sensitivity = statistics.sensitivity_lower_bound(seeded, seeded, alpha_sensitivity)
        assert (statistics.plan_sample(120, 0.001, sensitivity, alpha) is not None) == passes


def test_all_looks_together_spend_no_more_than_alpha() -> None:
    policy = Policy()
    spent = [sum(policy.alphas(look)) for look in range(1, 21)]
    assert sum(spent) < 0.05
    assert spent[0] == pytest.approx(0.025)


@pytest.mark.parametrize("population", [300, 1000, 5000, 100_000, 1_000_000])
@pytest.mark.parametrize("se", [1.0, 0.99, 0.9])
@pytest.mark.parametrize("rate", [0.001, 0.002, 0.005])
def test_corpora_at_or_above_the_limit_pass_in_at_most_five_percent(
    population: int, se: float, rate: float
) -> None:
    assert passes_fixed(population, rate, se, 2000, population) <= 0.05
    assert passes_fixed(population, rate, se, 2000, population, fitted=True, allowed=1, looks=2) <= 0.05


def test_a_clean_corpus_passes() -> None:
    assert passes_fixed(100_000, 0.0, 1.0, 200, 1) == 1.0
    assert passes_fixed(300, 0.0, 1.0, 200, 1) == 1.0


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=12), st.data())
def test_shares_are_proportional_and_add_up(counts: list[int], data: st.DataObject) -> None:
    total = data.draw(st.integers(0, sum(counts)))
    shares = statistics.largest_remainder(counts, total)
    assert sum(shares) == total
    for count, share in zip(counts, shares, strict=True):
        assert 0 <= share <= count
        assert abs(share - count * total / max(1, sum(counts))) < 1

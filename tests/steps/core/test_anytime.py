"""The anytime-valid test: exact values, monotonicity that its proof needs, and simulated reviews."""

from __future__ import annotations

import math
from fractions import Fraction
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.quality.gate import passes_anytime
from steps.core import anytime, statistics

LIMIT = 0.001


def exact(found: int, population: int, defective: int, sample: int, se: Fraction) -> Fraction:
    """P(X = found) in fractions."""
    total = Fraction(0)
    for h in range(max(found, sample - population + defective), min(sample, defective) + 1):
        ways = Fraction(
            comb(defective, h) * comb(population - defective, sample - h), comb(population, sample)
        )
        total += ways * comb(h, found) * se**found * (1 - se) ** (h - found)
    return total


@st.composite
def cases(draw: st.DrawFn) -> tuple[int, int, int, Fraction, float]:
    population = draw(st.integers(5, 80))
    sample = draw(st.integers(1, population))
    found = draw(st.integers(0, min(4, sample)))
    return (
        found,
        population,
        sample,
        Fraction(draw(st.integers(4, 20)), 20),
        draw(st.sampled_from([0.02, 0.1, 0.3])),
    )


@settings(max_examples=150, deadline=None)
@given(cases())
def test_the_evidence_is_the_smallest_ratio_over_all_counts_at_the_limit_or_above(
    case: tuple[int, int, int, Fraction, float],
) -> None:
    found, population, sample, se, limit = case
    ceiling = statistics.allowed_defects(population, limit)
    seen = sum(
        Fraction(weight) * exact(found, population, count, sample, se)
        for count, weight in anytime.alternatives(population, limit)
    )
    worst = max(exact(found, population, k, sample, se) for k in range(ceiling + 1, population + 1))
    computed = anytime.log_evidence(found, population, sample, float(se), limit)
    smallest = math.log(seen / worst) if seen and worst else (-math.inf if worst else math.inf)
    if computed == -math.inf:  # a count above the limit explains it best: never enough to pass
        assert smallest <= 0
    else:
        assert computed == pytest.approx(smallest, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(cases())
def test_more_defects_or_worse_readers_only_take_evidence_away(
    case: tuple[int, int, int, Fraction, float],
) -> None:
    found, population, sample, se, limit = case
    here = anytime.log_evidence(found, population, sample, float(se), limit)
    if found + 1 <= sample:
        assert anytime.log_evidence(found + 1, population, sample, float(se), limit) <= here + 1e-9
    assert anytime.log_evidence(found, population, sample, float(se) * 0.9, limit) <= here + 1e-9


@pytest.mark.parametrize(("k", "m"), [(60, 60), (58, 60), (299, 300), (1, 40)])
def test_the_sensitivity_sequence_lies_below_the_fixed_bound(k: int, m: int) -> None:
    always = anytime.sensitivity_lower_bound(k, m, 0.01)
    assert 0 < always < statistics.sensitivity_lower_bound(k, m, 0.01)
    assert anytime.sensitivity_lower_bound(0, 10, 0.01) == 0.0


def test_plans_are_a_little_larger_than_fixed_ones() -> None:
    """airflow.md 6.1: 3,155 instead of 2,995 documents without a defect, 6,903 instead of 4,742 with one."""
    assert anytime.plan_sample(10**8, LIMIT, 1.0, 0.05) == pytest.approx(3155, abs=25)
    assert anytime.plan_sample(10**8, LIMIT, 1.0, 0.05, 1) == pytest.approx(6903, rel=0.02)
    assert anytime.plan_sample(5000, LIMIT, 1.0, 0.05, 2) is not None, "4 of 5,000 would be allowed"
    assert anytime.plan_sample(1000, LIMIT, 0.9, 0.04) is None


@pytest.mark.parametrize("population", [300, 5000, 1_000_000])
@pytest.mark.parametrize("se", [1.0, 0.9])
def test_reading_on_until_it_passes_passes_falsely_in_at_most_five_percent(
    population: int, se: float
) -> None:
    assert passes_anytime(population, LIMIT, se, 1000, population) <= 0.05


def test_a_clean_corpus_passes() -> None:
    assert passes_anytime(100_000, 0.0, 1.0, 5, 1) == 1.0


def test_with_no_error_left_only_what_is_certain_passes() -> None:
    assert not anytime.passes(0, 1000, 1000, 0.99, 0.001, 0.0)
    assert anytime.plan_sample(1000, 0.001, 0.99, 0.0) is None

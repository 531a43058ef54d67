"""Exact percentile cut-offs against a brute-force sort."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from steps.score.cutoffs import Cutoffs, cutoff, language_cutoffs, qualities

SHARES = st.integers(1, 100).map(lambda n: n / 100)
DOCUMENTS = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 9)), min_size=1, max_size=40)


def slow_cutoff(pairs: list[tuple[int, int]], share: float) -> int:
    """The smallest value at or below which the wanted share of the weight lies; fractions, no rounding."""
    total = sum(weight for _, weight in pairs)
    wanted = Fraction(round(share * 100), 100) * total
    return min(v for v, _ in pairs if sum(w for other, w in pairs if other <= v) >= wanted)


@given(DOCUMENTS, SHARES)
def test_the_cutoff_is_that_of_a_sort(pairs: list[tuple[int, int]], share: float) -> None:
    values, weights = (np.array(column) for column in zip(*pairs, strict=True))
    assert cutoff(values.astype(float), weights, share) == slow_cutoff(pairs, share)


def test_thirty_of_a_hundred_are_high_and_thirty_medium() -> None:
    perplexity = np.random.default_rng(1).permutation(np.arange(100.0)) + 100
    found = language_cutoffs(
        perplexity,
        np.full(100, 10),
        high_share=0.3,
        medium_share=0.3,
        by_bytes=False,
        lowest=None,
        lowest_share=0.01,
        lowest_ratio=0.25,
        lowest_min_documents=1000,
    )
    assert found == Cutoffs(129.0, 159.0, None)
    names, counts = np.unique(qualities(perplexity, found).astype(str), return_counts=True)
    assert dict(zip(names.tolist(), counts.tolist(), strict=True)) == {"high": 30, "low": 40, "medium": 30}


def settings(**changes: object) -> dict:
    return {
        "high_share": 0.5,
        "medium_share": 0.25,
        "by_bytes": False,
        "lowest": None,
        "lowest_share": 0.01,
        "lowest_ratio": 0.25,
        "lowest_min_documents": 100,
    } | changes


def test_bytes_weigh_documents() -> None:
    perplexity, size = np.array([1.0, 2.0, 3.0, 4.0]), np.array([70, 10, 10, 10])
    assert language_cutoffs(perplexity, size, **settings(by_bytes=True)) == Cutoffs(1.0, 2.0, None)
    assert language_cutoffs(perplexity, size, **settings()) == Cutoffs(2.0, 3.0, None)


def test_unnatural_text_is_cut_only_far_below_the_median() -> None:
    natural = np.linspace(50, 150, 990)
    stubs = np.full(10, 4.0)
    size = np.ones(1000, np.int64)
    found = language_cutoffs(np.concatenate([stubs, natural]), size, **settings(lowest_share=0.02))
    assert found.lowest is not None and 4.0 < found.lowest < 50
    assert (qualities(np.array([4.0, 60.0]), found) == ["unnatural", "high"]).all()
    # without stubs nothing lies below a quarter of the median, so nothing is cut
    clean = language_cutoffs(natural, size[:990], **settings(lowest_share=0.02))
    assert not (qualities(natural, clean) == "unnatural").any()
    few = language_cutoffs(np.concatenate([stubs[:1], natural[:90]]), size[:91], **settings())
    assert few.lowest is None


def test_an_absolute_lowest_wins_and_its_documents_do_not_count() -> None:
    perplexity = np.array([1.0, 1.5, 10.0, 20.0, 30.0, 40.0])
    found = language_cutoffs(perplexity, np.ones(6, np.int64), **settings(lowest=5.0))
    assert found == Cutoffs(20.0, 30.0, 5.0)
    assert qualities(perplexity, found).tolist() == [
        "unnatural",
        "unnatural",
        "high",
        "high",
        "medium",
        "low",
    ]


def test_text_without_a_perplexity_is_low_and_no_data_gives_no_cutoff() -> None:
    nothing = language_cutoffs(np.array([np.nan]), np.array([1]), **settings())
    assert nothing == Cutoffs(None, None, None)
    assert qualities(np.array([np.nan]), nothing).tolist() == ["low"]

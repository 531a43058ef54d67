"""Exact percentile cut-offs against a brute-force sort."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from steps.score.cutoffs import Batches, Cutoffs, lowest_cutoff, qualities, weighted_quantiles

SHARES = st.integers(1, 100).map(lambda n: n / 100)
VALUES = (
    st.integers(-3, 30).map(float) | st.floats(-1e9, 1e9) | st.sampled_from([0.0, -0.0, 1e-300, 1.0000001])
)
DOCUMENTS = st.lists(st.tuples(VALUES, st.integers(1, 9) | st.just(10**12)), min_size=1, max_size=40)


def slow_cutoff(pairs: list[tuple[float, int]], share: float) -> float:
    """The smallest value at or below which the wanted share of the weight lies; fractions, no rounding."""
    total = sum(weight for _, weight in pairs)
    wanted = Fraction(round(share * 100), 100) * total
    return min(v for v, _ in pairs if sum(w for other, w in pairs if other <= v) >= wanted)


def batches(values: list[float], weights: list[int] | None = None, size: int = 7) -> Batches:
    """Both columns, a few at a time."""

    def read() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for at in range(0, max(len(values), 1), size):
            part = np.array(values[at : at + size], np.float64)
            mine = (
                np.ones(len(part), np.int64)
                if weights is None
                else np.array(weights[at : at + size], np.int64)
            )
            yield part, mine

    return read


@given(DOCUMENTS, st.lists(SHARES, min_size=1, max_size=3))
def test_the_cutoffs_are_those_of_a_sort(pairs: list[tuple[float, int]], shares: list[float]) -> None:
    values, weights = (list(column) for column in zip(*pairs, strict=True))
    assert weighted_quantiles(batches(values, weights), shares) == [
        slow_cutoff(pairs, share) for share in shares
    ]


def test_thirty_of_a_hundred_are_high_and_thirty_medium() -> None:
    perplexity = np.random.default_rng(1).permutation(np.arange(100.0)) + 100
    high, medium = weighted_quantiles(batches(perplexity.tolist()), (0.3, 0.6))
    assert (high, medium) == (129.0, 159.0)
    names, counts = np.unique(
        qualities(perplexity, perplexity, Cutoffs(high, medium, None)).astype(str), return_counts=True
    )
    assert dict(zip(names.tolist(), counts.tolist(), strict=True)) == {"high": 30, "low": 40, "medium": 30}


def test_memory_does_not_grow_with_the_documents() -> None:
    def made(count: int) -> Batches:
        def read() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            generator = np.random.default_rng(2)
            for _ in range(count):
                yield generator.lognormal(5, 1, 10_000), np.ones(10_000, np.int64)

        return read

    peaks = []
    for count in (2, 40):
        read = made(count)
        tracemalloc.start()
        (found,) = weighted_quantiles(read, (0.3,))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert found is not None
        everything = np.concatenate([values for values, _ in read()])
        assert found == np.sort(everything)[int(0.3 * len(everything)) - 1]
    assert peaks[1] < 1.2 * peaks[0]


def lowest(values: list[float], **changes: float | None) -> float | None:
    settings = {"lowest": None, "share": 0.01, "ratio": 0.25, "min_documents": 100} | changes
    return lowest_cutoff(batches(values), **settings)  # type: ignore[arg-type]


def test_unnatural_text_is_cut_only_far_below_the_median() -> None:
    natural, stubs = np.linspace(50, 150, 990).tolist(), [4.0] * 10
    found = lowest(stubs + natural, share=0.02)
    assert found is not None and 4.0 < found < 50
    values = np.array([4.0, 60.0])
    assert qualities(values, values, Cutoffs(70.0, 80.0, found)).tolist() == ["unnatural", "high"]
    # without stubs nothing lies below a quarter of the median, so nothing is cut
    clean = lowest(natural, share=0.02)
    assert clean is not None and clean < min(natural)
    assert lowest(stubs[:1] + natural[:90]) is None
    assert lowest(natural, share=0) is None


def test_an_absolute_lowest_wins() -> None:
    assert lowest([1.0, 10.0], lowest=5.0) == 5.0
    perplexity = np.array([1.0, 10.0, 30.0])
    assert qualities(perplexity, perplexity, Cutoffs(20.0, 25.0, 5.0)).tolist() == [
        "unnatural",
        "high",
        "low",
    ]


def test_text_without_a_rank_is_low_and_no_data_gives_no_cutoff() -> None:
    assert weighted_quantiles(batches([]), (0.3, 0.6)) == [None, None]
    assert weighted_quantiles(batches([1.0]), (0.0,)) == [None]
    nothing = np.array([np.nan])
    assert qualities(nothing, nothing, Cutoffs(None, None, None)).tolist() == ["low"]

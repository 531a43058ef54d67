"""Scores are the harness'; intervals and differences are the published formulas."""

from __future__ import annotations

import math
import random

import pytest

from steps.benchmark.config import Benchmark, Config
from steps.benchmark.scores import Score, clean_score, difference, interval, item_scores, score
from steps.core.errors import DataError


def test_an_interval_holds_as_often_as_it_says_and_is_never_nothing() -> None:
    rng = random.Random(1)
    for share in (0.03, 0.25, 0.9):
        held = 0
        for _ in range(400):
            values = [float(rng.random() < share) for _ in range(60)]
            low, high = interval(sum(values) / 60, values, None, 0.95)
            assert low is not None and high is not None
            held += low <= share <= high
        assert held >= 0.93 * 400
    assert interval(0.0, [0.0] * 5, None, 0.95)[1] > 0.3  # type: ignore[operator]


def test_a_score_that_is_no_mean_of_its_items_takes_the_harness_error() -> None:
    assert interval(12.5, [3.0, 40.0], 2.0, 0.95) == pytest.approx((12.5 - 3.92, 12.5 + 3.92), abs=0.01)
    assert interval(12.5, [3.0, 40.0], "N/A", 0.95) == (None, None)


def test_a_difference_is_agresti_and_mins_for_matched_pairs() -> None:
    """The formula of Agresti and Min 2005 with half an item more in each of the four cells."""
    pairs = [(1.0, 0.0)] * 53 + [(0.0, 1.0)] * 16 + [(1.0, 1.0)] * 1000 + [(0.0, 0.0)] * 75
    ours = {("t", str(i), 0): a for i, (a, _) in enumerate(pairs)}
    theirs = {("t", str(i), 0): b for i, (_, b) in enumerate(pairs)}
    found = difference(ours, theirs, 0.95)
    assert found is not None and found.items == 1144
    n, b, c = 1146, 53.5, 16.5
    middle = (b - c) / n
    half = 1.959964 * math.sqrt((b + c) - (b - c) ** 2 / n) / n
    assert (found.low, found.high) == pytest.approx((middle - half, middle + half), abs=1e-9)
    assert found.value == pytest.approx(37 / 1144)


def test_equal_answers_on_few_items_prove_nothing() -> None:
    scores = {("t", str(i), 0): 1.0 for i in range(4)}
    found = difference(scores, scores, 0.95)
    assert found is not None and found.low < -0.2 and found.high > 0.2
    assert difference(scores, {("t", "other", 0): 1.0}, 0.95) is None


def item(number: int, **changes: object) -> dict[str, object]:
    found = {"task": "t", "item_sha256": str(number), "filter": "none", "scores": {"acc": float(number % 2)}}
    return found | changes


def test_items_that_occur_twice_count_twice() -> None:
    assert item_scores(Benchmark(), [item(1), item(1), item(2), item(3, filter="other")]) == {
        ("t", "1", 0): 1.0,
        ("t", "1", 1): 1.0,
        ("t", "2", 0): 0.0,
    }


def test_a_metric_that_the_harness_does_not_give_is_named_with_those_it_gives() -> None:
    found = {
        "results": {"t": {"acc,none": 0.5, "acc_stderr,none": 0.1, "alias": "t"}},
        "items": [item(1), item(2)],
    }
    assert score("t", Benchmark(), found, 0.95).value == 0.5
    with pytest.raises(DataError, match=r"benchmarks.t: .*exact_match.*it gives acc,none"):
        score("t", Benchmark(metric="exact_match"), found, 0.95)


def test_a_champions_benchmark_must_be_run() -> None:
    with pytest.raises(ValueError, match="names other"):
        Config.model_validate({"benchmarks": {"a": {}}, "champion": {"benchmarks": ["other"]}})


def test_a_clean_score_leaves_out_what_was_found_and_is_none_where_the_score_is_no_mean() -> None:
    items = [item(n, found=n < 2) for n in range(6)]
    whole = Score(0.5, 0.1, 0.9, 6)
    found, value, low, high = clean_score(Benchmark(), whole, items, 0.95)
    assert (found, value, (low, high)) == (2, 0.5, interval(0.5, [0.0, 1.0, 0.0, 1.0], None, 0.95))
    assert clean_score(Benchmark(), whole, [item(1, found=True)] * 2, 0.95) == (2, None, None, None)
    assert clean_score(Benchmark(), Score(0.7, None, None, 6), items, 0.95) == (2, None, None, None)
    assert clean_score(Benchmark(), whole, [item(n, found=False) for n in range(6)], 0.95) == (
        0,
        0.5,
        0.1,
        0.9,
    )

"""Scores from the harness' answers, their intervals, and the difference of two models on the same items."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any, NamedTuple

from steps.benchmark.config import Benchmark
from steps.core.errors import DataError


class Score(NamedTuple):
    """A benchmark's score and the ends of its interval, None where it has none."""

    value: float
    low: float | None
    high: float | None
    items: int


class Clean(NamedTuple):
    """A benchmark's score without the items that stand in documents meant for training, and their number.

    The score is None where it is no mean over items, or where no item is left.
    """

    found: int
    value: float | None
    low: float | None
    high: float | None


class Difference(NamedTuple):
    """Mean difference over the items that two models share, and the ends of its interval."""

    value: float
    low: float
    high: float
    items: int


def score(name: str, benchmark: Benchmark, found: Mapping[str, Any], confidence: float) -> Score:
    """The score of a benchmark in what the harness found: of the task, or of the group as the harness adds it up.

    Raises DataError where the harness gave no such metric.
    """
    task = benchmark.task or name
    results = {**found["results"], **found.get("groups", {})}.get(task, {})
    value = results.get(f"{benchmark.metric},{benchmark.filter}")
    if not isinstance(value, (int, float)):
        known = sorted(
            key
            for key, given in results.items()
            if isinstance(given, (int, float)) and "_stderr" not in key and "," in key
        )
        raise DataError(
            f"benchmarks.{name}: the harness gives no metric {benchmark.metric!r} with filter {benchmark.filter!r} "
            f"for {task}; it gives {', '.join(known) or 'none that is added up: name one of its tasks'}"
        )
    scores = item_scores(benchmark, found["items"])
    values = list(scores.values())
    stderr = results.get(f"{benchmark.metric}_stderr,{benchmark.filter}")
    low, high = interval(float(value), values, stderr, confidence)
    return Score(float(value), low, high, len(values))


def clean_score(
    benchmark: Benchmark, whole: Score, items: Sequence[Mapping[str, Any]], confidence: float
) -> Clean:
    """The score over those of the ``items`` that were not found in documents meant for training."""
    values = item_scores(benchmark, items)
    held = item_scores(benchmark, [item for item in items if item["found"]])
    left = item_scores(benchmark, [item for item in items if not item["found"]])
    if not held:
        return Clean(0, whole.value, whole.low, whole.high)
    if not left or not _is_mean(whole.value, list(values.values())):
        return Clean(len(held), None, None, None)
    value = math.fsum(left.values()) / len(left)
    return Clean(len(held), value, *interval(value, list(left.values()), None, confidence))


def item_scores(
    benchmark: Benchmark, items: Sequence[Mapping[str, Any]]
) -> dict[tuple[str, str, int], float]:
    """The metric of every item that has it, by task, the item's digest, and its number among items of that digest."""
    scores: dict[tuple[str, str, int], float] = {}
    for item in items:
        value = item["scores"].get(benchmark.metric)
        if item["filter"] == benchmark.filter and isinstance(value, (int, float)):
            key = (item["task"], item["item_sha256"], 0)
            while key in scores:
                key = (*key[:2], key[2] + 1)
            scores[key] = float(value)
    return scores


def interval(
    value: float, values: Sequence[float], stderr: Any, confidence: float
) -> tuple[float | None, float | None]:
    """Ends of the interval of a score.

    Where it is the mean of values from 0 to 1: Agresti and Coull 1998, which holds near 0 and 1 and for few items, and
    is wide enough for values between too, whose variance is smaller. Otherwise the harness' standard error, if any.
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    if all(0 <= v <= 1 for v in values) and _is_mean(value, values):
        n = len(values) + z * z
        middle = (math.fsum(values) + z * z / 2) / n
        half = z * math.sqrt(middle * (1 - middle) / n)
        return max(0.0, middle - half), min(1.0, middle + half)
    if isinstance(stderr, (int, float)) and math.isfinite(stderr):
        return value - z * stderr, value + z * stderr
    return None, None


def _is_mean(value: float, values: Sequence[float]) -> bool:
    return bool(values) and math.isclose(math.fsum(values) / len(values), value, abs_tol=1e-9)


def difference(
    ours: Mapping[tuple[str, str, int], float],
    theirs: Mapping[tuple[str, str, int], float],
    confidence: float,
) -> Difference | None:
    """Ours less theirs over the items that both have; None where they share none.

    Agresti and Min 2005 for matched pairs: half an item is added to each of the four outcomes, so that few items, or
    no disagreement at all, do not give an interval of nothing. Values between 0 and 1 enter by their moments.
    """
    shared = sorted(ours.keys() & theirs.keys())
    if not shared:
        return None
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    gaps = [ours[key] - theirs[key] for key in shared]
    n = len(gaps) + 2.0
    mean = math.fsum(gaps) / n
    variance = (math.fsum(gap * gap for gap in gaps) + 1.0) / n - mean * mean
    half = z * math.sqrt(variance / n)
    return Difference(math.fsum(gaps) / len(gaps), mean - half, mean + half, len(gaps))

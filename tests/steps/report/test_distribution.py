"""Distributions count exactly, merge in any order, and know values to 1/128."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from steps.report.blocks import Histogram, Mark, Panel
from steps.report.charts import Axis, histogram
from steps.report.distribution import Distribution

values = st.lists(st.floats(width=64), max_size=50)


@given(values, values)
def test_parts_merge_to_the_distribution_of_the_whole(one: list[float], two: list[float]) -> None:
    merged = Distribution.sum([Distribution.of(one), Distribution.of(two)])
    whole = Distribution.of([*one, *two])
    assert merged.to_json() == whole.to_json()
    finite = np.isfinite([*one, *two])
    assert (whole.count, whole.missing) == (int(finite.sum()), int((~finite).sum()))
    assert Distribution.from_json(json.loads(json.dumps(whole.to_json()))).to_json() == whole.to_json()


@given(st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False))
def test_a_bucket_holds_its_value_to_one_part_in_128(value: float) -> None:
    (edge,), (count,) = Distribution.of([value]).values()
    assert count == 1 and abs(edge) <= abs(value) and abs(value - edge) <= abs(value) / 128


@given(st.lists(st.integers(-128, 128), min_size=1, max_size=200))
def test_small_integers_are_exact(numbers: list[int]) -> None:
    edges, counts = Distribution.of(numbers).values()
    expected = np.unique(numbers, return_counts=True)
    assert edges.tolist() == expected[0].tolist() and counts.tolist() == expected[1].tolist()


@given(st.lists(st.floats(1e-6, 1e9), min_size=1, max_size=100), st.floats(0, 1))
def test_a_quantile_is_the_sorted_value_to_the_width_of_a_bucket(numbers: list[float], share: float) -> None:
    found = Distribution.of(numbers).quantile(share)
    place = max(int(np.ceil(share * len(numbers))) - 1, 0)
    # share * n may round up to the next integer
    near = sorted(numbers)[max(place - 1, 0) : place + 2]
    assert found is not None and any(abs(found - value) <= value / 128 for value in near)


def test_memory_does_not_grow_with_the_number_of_values() -> None:
    numbers = np.random.default_rng(0).lognormal(6, 1, 200_000)
    small, large = Distribution.of(numbers[:20_000]), Distribution.of(numbers)
    assert len(large.to_json()["buckets"]) < 1.3 * len(small.to_json()["buckets"]) < 2500


def test_a_histogram_counts_every_value_once_those_outside_in_the_end_bins() -> None:
    found = Distribution.of([-5.0, 0.0, 0.5, 1.0, 99.0]).histogram(np.array([0.0, 0.5, 1.0]))
    assert found.tolist() == [2, 3]


def test_nothing_to_draw_is_drawn_without_error() -> None:
    for plot in (
        Histogram("empty", []),
        Histogram("no values", [Panel("zh", {"kept": Distribution()})], log=True),
        Histogram("one value", [Panel("zh", {"kept": Distribution.of([0.0])})], log=True),
        Histogram(
            "one value", [Panel("zh", {"kept": Distribution.of([7.0])}, [Mark(float("inf"), "never")])]
        ),
        Histogram("huge", [Panel("zh", {"kept": Distribution.of([1e300, -1e300, 1e-300])})]),
    ):
        assert str(histogram(plot)).startswith("<svg") and "nan" not in str(histogram(plot))


def test_thresholds_stand_where_their_value_is() -> None:
    assert Axis(0.0, 10.0, False, 400).place(2.5) == 100.0
    assert Axis(1.0, 100.0, True, 400).place(10.0) == 200.0
    assert Axis(0.0, 10.0, False, 400).place(-3.0) == 0.0


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.booleans())
def test_axes_have_some_round_ticks_inside(low: float, size: float, log: bool) -> None:
    axis = Axis(
        abs(low) + 1e-3 if log else low, (abs(low) + 1e-3) * (1 + size) if log else low + size, log, 400
    )
    ticks = axis.ticks()
    assert len(ticks) <= 40 and all(axis.low * 0.999 <= t <= axis.high * 1.001 for t in ticks if log)

"""URLs, Bloom filter, candidate tables: each against the obvious way."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from steps.core.errors import DataError
from steps.deduplicate import bloom
from steps.deduplicate.bands import BAND_GROUP, connect_bands
from steps.deduplicate.candidates import (
    Graph,
    Sketches,
    beginnings,
    block_bounds,
    choose_blocks,
    connect,
    deal_values,
    partition_of,
    roots,
)
from steps.deduplicate.config import Config
from steps.deduplicate.keys import canonical_urls, doc_id_text, parse_doc_ids
from steps.deduplicate.match import equal_keys
from steps.deduplicate.near import map_tasks
from steps.deduplicate.sample import Sample, encode_sample, join_samples


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("HTTPS://Example.COM:443/A?b=1#top", "://example.com/A?b=1"),
        ("http://example.com:80", "://example.com/"),
        ("http://example.com:8080/", "://example.com:8080/"),
        ("https://example.com:80/", "://example.com:80/"),
        ("http://a.cn/x?utm_source=q&id=7&utm_medium=w&gclid=1", "://a.cn/x?id=7"),
        ("http://a.cn/x?utm_source=q&utm_medium=w", "://a.cn/x"),
        ("http://a.cn/x?spm2=1&spm=a.b", "://a.cn/x?spm2=1"),
        ("http://a.cn/x?spm&fbclid", "://a.cn/x"),
        ("http://a.cn/x?a=1&a=1&b=", "://a.cn/x?a=1&a=1&b="),
        ("http://a.cn/#!/page/2", "://a.cn/#!/page/2"),
        ("http://a.cn/#/page/2", "://a.cn/#/page/2"),
        ("http://a.cn/#", "://a.cn/"),
        ("ftp://A.cn/f", "ftp://a.cn/f"),
        (" http://a.cn/路径?q=中文 ", "://a.cn/路径?q=中文"),
        ("file-0001.txt", "file-0001.txt"),
        ("", ""),
        (None, ""),
    ],
)
def test_canonical_url(url: str | None, canonical: str) -> None:
    found = canonical_urls(pa.chunked_array([pa.array([url], pa.string())]), Config())
    assert found.to_pylist() == [canonical]


def test_schemes_and_tracking_parameters_are_settings() -> None:
    config = Config(url_ignore_scheme=False, url_tracking_parameters=())
    urls = pa.chunked_array([["http://a.cn/?gclid=1", "https://a.cn/?gclid=1"]])
    assert canonical_urls(urls, config).to_pylist() == ["http://a.cn/?gclid=1", "https://a.cn/?gclid=1"]


@pytest.mark.parametrize(
    "pattern",
    [
        *("utm_.*", "utm_[^x]*", "[!-~]*", "[&a]", "a=", "a|b", "(a)", "^a", "a$", "a{2000}", "a++", "*a"),
        *("", "[", "[z-a]", "[[:alpha:]]*", r"\w*"),
    ],
)
def test_a_tracking_parameter_that_could_take_its_neighbours_along_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"use plain names|is not a regular expression"):
        Config(url_tracking_parameters=(pattern,))


def test_tracking_parameters_are_whole_names() -> None:
    config = Config(url_tracking_parameters=("wt[.]mc_[a-z0-9-]*", "_hs?[a-z]+", "@"))
    url = "http://a.cn/?wt.mc_id=1&page=2&wtxmc_id=3&_hsenc=4&hsenc&@=5&wt.mc_ID=6"
    found = canonical_urls(pa.chunked_array([[url]]), config).to_pylist()
    assert found == ["://a.cn/?page=2&wtxmc_id=3&hsenc&wt.mc_ID=6"]


def test_doc_ids_round_trip_and_others_are_refused() -> None:
    ids = ["0123456789abcdef" * 2, "f" * 32]
    parsed = parse_doc_ids(pa.chunked_array([ids]))
    assert [doc_id_text(*row) for row in parsed.tolist()] == ids
    with pytest.raises(DataError, match="document 1"):
        parse_doc_ids(pa.chunked_array([[ids[0], "42"]]))


@pytest.mark.parametrize("target", [0.05, 0.01, 0.001])
def test_a_full_bloom_filter_has_the_rate_it_was_sized_for_and_forgets_nothing(target: float) -> None:
    rng = np.random.default_rng(3)
    n = 100_000
    high, low = rng.integers(0, 2**64, (2, n), np.uint64)
    plan = bloom.plan(n, target)
    table, known = bloom.seen_before(high, low, np.arange(n), plan.blocks, plan.hashes)
    assert known.mean() < target  # it was emptier than full most of the time
    again = bloom.seen_before(np.tile(high, 2), np.tile(low, 2), np.arange(2 * n), plan.blocks, plan.hashes)[
        1
    ]
    assert again[n:].all()
    measured = bloom.measure(table, plan.blocks, plan.hashes, 1_000_000, 9) / 1_000_000
    assert plan.expected <= target
    assert measured == pytest.approx(plan.expected, rel=0.15)
    assert plan.blocks * bloom.BLOCK_BITS / n < 2.0 * 1.44 * np.log2(1 / target)


def test_equal_keys_keeps_the_first_in_order() -> None:
    high = np.array([5, 7, 5, 5, 7], np.uint64)
    low = np.array([1, 1, 1, 2, 1], np.uint64)
    removed, match = equal_keys(high, low, np.array([4, 2, 3, 0, 1]))
    assert sorted(zip(removed.tolist(), match.tolist(), strict=True)) == [(0, 2), (1, 4)]


def sample_of(values: np.ndarray, sources: int = 1) -> Sample:
    """The sample of a corpus of so many sources."""
    return join_samples(
        {"near": len(some), "sample": encode_sample(some)} for some in np.array_split(values, sources)
    )


def components(
    values: np.ndarray, hamming: int, partitions: int = 1, published: int = 0
) -> tuple[list[int], int]:
    """(the smallest member of each row's group, pairs compared), over all tables and partitions."""
    sketches = Sketches(values, values, np.ones(len(values), np.int64))
    bounds = block_bounds(choose_blocks(len(values), hamming))
    graph, compared = Graph(sketches, *ANY, published, np.arange(len(values))), 0
    dealt = deal_values(sample_of(values), bounds, hamming, partitions)
    for first in beginnings(dealt):
        owner = partition_of(values, bounds, first, dealt, partitions)
        for partition in np.unique(owner[owner >= 0]):
            members = np.flatnonzero(owner == partition)
            compared += connect(values[members], members, first, bounds, hamming, graph)
    return roots(graph.parent).tolist(), compared


ANY = (0.0, 0)  # every pair is alike


@pytest.mark.parametrize("hamming", range(13))
def test_tables_connect_exactly_what_all_pairs_connect(hamming: int) -> None:
    rng = np.random.default_rng(hamming)
    base = rng.integers(0, 2**64, 300, np.uint64)
    values = list(base)
    for value in base[:150]:  # children at every distance around the bound
        for _ in range(3):
            bits = rng.choice(64, rng.integers(0, hamming + 4), replace=False)
            values.append(value ^ np.uint64(sum(1 << int(b) for b in bits)))
    values = rng.permutation(np.array(values, np.uint64))
    expected = _components_by_all_pairs(values, hamming)
    for partitions in (1, 9, 150):
        found, compared = components(values, hamming, partitions)
        assert found == expected
    assert compared < len(values) ** 2 / 2


@pytest.mark.parametrize(("hamming", "bits"), [(0, 12), (3, 14), (3, 40), (6, 24), (8, 30)])
def test_large_groups_are_cut_anew_and_still_miss_no_pair(hamming: int, bits: int) -> None:
    """Fingerprints that agree in most bits: every table puts nearly all of them into one group."""
    rng = np.random.default_rng(bits)
    places = rng.permutation(64)[:bits]
    values = np.full(3000, rng.integers(0, 2**64, dtype=np.uint64))
    for place in places:
        values ^= rng.integers(0, 2, 3000).astype(np.uint64) << np.uint64(place)
    found, compared = components(values, hamming)
    assert found == _components_by_all_pairs(values, hamming)
    if bits >= 24:
        assert compared < 20 * len(values) ** 2 / 2


def test_copies_cost_a_comparison_each_not_one_per_pair() -> None:
    rng = np.random.default_rng(5)
    values = np.full(20_000, rng.integers(0, 2**64, dtype=np.uint64))
    for _ in range(2):
        values ^= np.uint64(1) << rng.integers(0, 64, len(values)).astype(np.uint64)
    found, compared = components(values, 4)
    assert set(found) == {0}
    assert compared < 10 * len(values)


def test_bands_connect_equal_keys_that_are_alike() -> None:
    rng = np.random.default_rng(7)
    keys = rng.integers(0, 40, 500).astype(np.uint32)
    sketch = rng.integers(0, 2, 500).astype(np.uint64) * np.uint64(2**64 - 1)  # two kinds of text
    sketches = Sketches(sketch, sketch, np.full(500, 100))
    parent = np.arange(500)
    compared, beyond = connect_bands(keys, 0, Graph(sketches, 0.7, 30, 0, parent))
    expected = [
        int(np.flatnonzero((keys == k) & (sketch == s))[0]) for k, s in zip(keys, sketch, strict=True)
    ]
    assert roots(parent).tolist() == expected
    assert (compared > 0, beyond) == (True, 0)


def crowd(rng: np.random.Generator, pairs: int, jaccard: float) -> Sketches:
    """Sketches of unlike documents, and after them of as many copies with a Jaccard similarity to the first ones."""
    positions = rng.integers(0, 4, (pairs, 64))
    copies = np.where(rng.random((pairs, 64)) < jaccard, positions, rng.integers(0, 4, (pairs, 64)))
    both = np.concatenate([positions, copies]).astype(np.uint64)
    low, high = (
        (both[:, half] << np.arange(0, 64, 2, np.uint64)).sum(axis=1) for half in (slice(32), slice(32, 64))
    )
    return Sketches(low.astype(np.uint64), high.astype(np.uint64), np.full(2 * pairs, 100))


@pytest.mark.parametrize("published", [0, 3000])
def test_a_band_key_of_very_many_documents_costs_each_a_bounded_number_and_loses_few_pairs(
    published: int,
) -> None:
    """In one band: the 19 others find what is lost in it."""
    pairs = 3000
    sketches = crowd(np.random.default_rng(4), pairs, 0.8)
    parent = np.arange(2 * pairs)
    graph = Graph(sketches, 0.5, 40, published, parent)  # 36 of 64 agree by chance now and then
    compared, beyond = connect_bands(np.zeros(2 * pairs, np.uint32), 0, graph)
    root = roots(parent)
    assert (root[pairs:] == root[:pairs]).mean() > 0.8
    assert np.bincount(root).max() == 2, "unlike documents are joined"
    assert beyond == 2 * pairs
    assert compared < BAND_GROUP * 2 * pairs


def test_a_thousand_copies_with_one_band_key_stay_together() -> None:
    rng = np.random.default_rng(6)
    one = crowd(rng, 1, 1.0)
    size = 20_000
    flipped = [np.uint64(1) << rng.integers(0, 64, size).astype(np.uint64) for _ in range(4)]
    low, high = one.low[0] ^ flipped[0] ^ flipped[1], one.high[0] ^ flipped[2] ^ flipped[3]
    parent = np.arange(size)
    compared, _ = connect_bands(
        np.zeros(size, np.uint32), 3, Graph(Sketches(low, high, np.full(size, 100)), 0.5, 29, 0, parent)
    )
    assert set(roots(parent).tolist()) == {0}
    assert compared < 2 * size


def test_what_is_published_is_not_split_for_nothing() -> None:
    sketches = crowd(np.random.default_rng(5), 500, 0.8)
    graph = Graph(sketches, 0.5, 29, 1000, np.arange(1000))
    assert connect_bands(np.zeros(1000, np.uint32), 19, graph) == (0, 1000)


@pytest.mark.parametrize("hamming", [0, 3, 6])
@pytest.mark.parametrize("new", [0, 1, 40, 1100])
def test_a_pair_of_published_rows_is_no_candidate_and_every_other_is(hamming: int, new: int) -> None:
    rng = np.random.default_rng(hamming)
    values = rng.integers(0, 2**64, 120, np.uint64)[rng.integers(0, 120, 1200)]  # chains around 120 centres
    for _ in range(hamming):
        values ^= rng.integers(0, 2, 1200).astype(np.uint64) << rng.integers(0, 64, 1200).astype(np.uint64)
    published = len(values) - new
    for partitions in (1, 9, 150):
        found, compared = components(values, hamming, partitions, published)
        assert found == _components_by_all_pairs(values, hamming, published)
        # a bound on pairs with a new row, once a table: what is compared does not grow with published pairs
        tables = (hamming + 1) * (hamming + 4) // 2  # that begin with one block, and with two
        assert compared <= tables * new * len(values)
    if new == 40:
        assert components(values, hamming)[0] != found, "some published rows are near each other"


def test_a_published_row_joins_new_rows_that_are_not_near_each_other_in_large_groups_too() -> None:
    """new - published - new: the chain counts; published - published does not. 3,000 rows differ in 40 bits only."""
    rng = np.random.default_rng(1)
    values = rng.integers(0, 2**40, 3000, np.uint64)
    a, b = np.uint64(0b111), np.uint64(0b111000)
    values[:1000] = values[1000:2000] ^ a  # published, 3 bits from new rows ...
    values[2000:] = values[:1000] ^ b  # ... and these new rows 6 bits from those
    found, _ = components(values, 3, published=1000)
    assert found == _components_by_all_pairs(values, 3, 1000)
    assert found[:1000] == found[1000:2000] == found[2000:]


def test_bands_join_no_two_published_rows() -> None:
    rng = np.random.default_rng(8)
    keys = rng.integers(0, 60, 400).astype(np.uint32)
    same = np.zeros(400, np.uint64)
    parent = np.arange(400)
    compared, _ = connect_bands(keys, 0, Graph(Sketches(same, same, np.full(400, 100)), 0.7, 30, 370, parent))
    edges = {(i, j) for i in range(400) for j in range(max(i + 1, 370), 400) if keys[i] == keys[j]}
    assert roots(parent).tolist() == _components(400, edges)
    assert compared <= len(edges)


def _components_by_all_pairs(values: np.ndarray, hamming: int, published: int = 0) -> list[int]:
    distance = np.bitwise_count(values[:, None] ^ values[None, :])
    pairs = zip(*np.nonzero(distance <= hamming), strict=True)
    return _components(len(values), {(int(i), int(j)) for i, j in pairs if max(i, j) >= published})


def _components(n: int, edges: set[tuple[int, int]]) -> list[int]:
    label = list(range(n))
    changed = True
    while changed:
        changed = False
        for i, j in edges:
            low = min(label[i], label[j])
            if label[i] != low or label[j] != low:
                label[i] = label[j] = low
                changed = True
    return label


def test_no_partition_of_lopsided_fingerprints_has_a_third_more_than_its_share() -> None:
    rng = np.random.default_rng(2)
    values = np.zeros(200_000, np.uint64)
    for bit in range(64):  # two of them agree in a bit with probability 0.6
        values |= (rng.random(len(values)) < 0.28).astype(np.uint64) << np.uint64(bit)
    bounds = block_bounds(choose_blocks(len(values), 3))
    for partitions in (2, 4, 5, 20, 50):
        dealt = deal_values(sample_of(values, 40), bounds, 3, partitions)
        written = 0
        for first in beginnings(dealt):
            owner = partition_of(values, bounds, first, dealt, partitions)
            sizes = np.bincount(owner[owner >= 0], minlength=partitions)
            assert sizes.max() < 1.3 * len(values) / partitions
            written += int(sizes.sum())
        # all begin with one block as long as no value has more than its share; two for each is 10
        assert written == 4 * len(values) if partitions < 10 else written < 7 * len(values)


def test_a_larger_corpus_gets_tables_with_longer_keys() -> None:
    def key_bits(documents: int) -> float:
        blocks = choose_blocks(documents, 6)
        return 64 * (blocks - 6) / blocks

    assert key_bits(1_000) <= key_bits(1_000_000) < key_bits(1_000_000_000)


def test_map_tasks_cover_all_sources_in_order_and_no_more_documents_than_their_share() -> None:
    rows = [10, 0, 500, 3, 90, 40, 40]
    tasks = map_tasks(rows, 400)
    assert [source for task in tasks for source in task] == list(range(7))
    assert [sum(rows[source] for source in task) for task in tasks] == [510, 93, 80]

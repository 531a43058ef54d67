"""Same URL, same stripped text: documents with equal 128-bit keys, one partition of the keys at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from steps.core.artifact import Files
from steps.core.parts import PartWriter
from steps.deduplicate import bloom
from steps.deduplicate.exchange import put_runs, read_runs, split
from steps.deduplicate.sample import encode_sample
from steps.deduplicate.sources import all_sources, keeper_order, places, source_of

DECISIONS = pa.schema(
    [
        ("place", pa.uint64()),
        ("match", pa.uint64()),
        ("match_high", pa.uint64()),
        ("match_low", pa.uint64()),
        ("distance", pa.int32()),
        ("similarity", pa.float64()),
    ]
)


def write_keys(task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """Keys of one source: whole, and partitioned by URL and by text."""
    source = all_sources(part.inputs)[task["source"]]
    return put_keys(source.number, source.keys(part.config), task["partitions"], part)


def put_keys(number: int, keys: pa.Table, partitions: int, part: PartWriter) -> dict[str, Any]:
    """Write the keys of source ``number``. Returns how many documents it has, and fingerprints, and some of these."""
    part.put_table(f"keys/{number:06d}.parquet", keys, "keys", temporary=True)
    place = pa.array(places(number, keys["row"].to_numpy()))
    for kind in ("url", "text"):
        high, low = keys[f"{kind}_high"].to_numpy(), keys[f"{kind}_low"].to_numpy()
        table = pa.table(
            {
                "place": place,
                "quality": keys["quality"],
                "doc_high": keys["doc_high"],
                "doc_low": keys["doc_low"],
                "high": keys[f"{kind}_high"],
                "low": keys[f"{kind}_low"],
            }
        )
        owner = np.where((high | low) == 0, partitions, (high % np.uint64(partitions)).astype(np.int64))
        runs = ((p, rows) for p, rows in split(table, owner) if p < partitions)
        put_runs(part, f"{kind}/{number:06d}.runs", runs)
    fingerprints = keys["simhash"].to_numpy()[keys["features"].to_numpy() >= part.config.min_features]
    return {"documents": keys.num_rows, "near": len(fingerprints), "sample": encode_sample(fingerprints)}


def still_here(files: Files, removed: list[dict[str, Any]], place: np.ndarray, per_bucket: int) -> np.ndarray:
    """bool[n]: places that no earlier stage removed. One bucket of one stage's decisions is in memory at a time."""
    order = np.argsort(place)
    ordered = place[order]
    here = np.ones(len(place), bool)
    buckets = np.unique(source_of(ordered) // per_bucket).tolist()
    for index in removed:
        for bucket in buckets:
            gone = read_runs(files, index, bucket)
            if gone is not None:
                values = gone["place"].to_numpy()
                at = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
                here[order[at[ordered[at] == values]]] = False
    return here


def put_decisions(part: PartWriter, key: str, decisions: pa.Table, per_bucket: int) -> None:
    """Write decisions as runs by bucket of the sources that they are about."""
    bucket = source_of(decisions["place"].to_numpy()) // per_bucket
    put_runs(part, key, split(decisions, bucket))


def find_equal(task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """Decisions for one partition of the URLs (through the Bloom filter) or of the stripped texts."""
    files = Files(part.store, task["folder"])
    table = read_runs(files, task["runs"], task["partition"])
    counts: dict[str, Any] = {"keys": 0, "removed": 0}
    decisions = DECISIONS.empty_table()
    if table is not None:
        place, quality, doc_high, doc_low, high, low = (column.to_numpy() for column in table.columns)
        left = still_here(files, task["removed"], place, task["per_bucket"])
        order = keeper_order(place, quality, doc_high, doc_low, task["first_new"])
        order = order[left[order]]
        counts["keys"] = len(order)
        members = order
        if task["kind"] == "url":
            members, counts["bloom"] = _through_bloom(high, low, order, part.config.bloom_false_positives)
        removed, match = equal_keys(high, low, members)
        new = source_of(place[removed]) >= task["first_new"]
        removed, match = removed[new], match[new]
        decisions = decision_table(place, doc_high, doc_low, removed, match)
        counts["removed"] = len(removed)
    put_decisions(
        part, f"decisions/{task['kind']}-{task['partition']:05d}.runs", decisions, task["per_bucket"]
    )
    return counts


def _through_bloom(
    high: np.ndarray, low: np.ndarray, order: np.ndarray, target: float
) -> tuple[np.ndarray, dict[str, Any]]:
    """Members of ``order`` whose key may occur twice, and how well the filter did.

    The filter sees the keys in keeper order. A key that it takes for known makes all documents with that key members,
    to be compared exactly.
    """
    plan = bloom.plan(len(order), target)
    table, known = bloom.seen_before(high, low, order, plan.blocks, plan.hashes)
    candidates = order[known[order]]
    members = order[np.isin(high[order], np.unique(high[candidates]))]
    removed, _ = equal_keys(high, low, members)
    distinct = len(order) - len(removed)
    probes = max(10_000, min(distinct, 1_000_000))
    return members, {
        "bits": plan.blocks * bloom.BLOCK_BITS,
        "hashes": plan.hashes,
        "expected": plan.expected,
        "distinct": distinct,
        "candidates": len(candidates),
        "false_candidates": len(candidates) - len(removed),
        "probes": probes,
        "false_probes": int(bloom.measure(table, plan.blocks, plan.hashes, probes, 1)),
    }


def equal_keys(high: np.ndarray, low: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(positions with an equal key earlier in ``order``, the first position with that key)."""
    by_key = order[np.lexsort((np.arange(len(order)), low[order], high[order]))]
    if len(by_key) == 0:
        return by_key, by_key
    fresh = np.ones(len(by_key), bool)
    fresh[1:] = (high[by_key][1:] != high[by_key][:-1]) | (low[by_key][1:] != low[by_key][:-1])
    keeper = by_key[np.flatnonzero(fresh)[np.cumsum(fresh) - 1]]
    return by_key[~fresh], keeper[~fresh]


def decision_table(
    place: np.ndarray,
    doc_high: np.ndarray,
    doc_low: np.ndarray,
    removed: np.ndarray,
    match: np.ndarray,
    distance: np.ndarray | None = None,
    similarity: np.ndarray | None = None,
) -> pa.Table:
    """Decisions (`DECISIONS`), sorted by place: ``removed`` positions, and the positions that they matched."""
    order = np.argsort(place[removed], kind="stable")
    removed, match = removed[order], match[order]
    columns = [
        pa.array(place[removed]),
        pa.array(place[match]),
        pa.array(doc_high[match]),
        pa.array(doc_low[match]),
        pa.nulls(len(removed), pa.int32())
        if distance is None
        else pa.array(distance[order].astype(np.int32)),
        pa.nulls(len(removed), pa.float64()) if similarity is None else pa.array(similarity[order]),
    ]
    return pa.Table.from_arrays(columns, schema=DECISIONS)

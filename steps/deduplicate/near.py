"""Near duplicates: candidate groups from keys alone, then the texts of those groups, then decisions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from steps.core.artifact import Files
from steps.core.manifest import FileEntry
from steps.core.parts import PartWriter
from steps.deduplicate.bands import connect_bands
from steps.deduplicate.candidates import (
    Graph,
    Sketches,
    beginnings,
    block_bounds,
    choose_blocks,
    connect,
    joined_rows,
    partition_of,
)
from steps.deduplicate.config import Config
from steps.deduplicate.exchange import put_runs, read_run, read_runs, split
from steps.deduplicate.group import NODES
from steps.deduplicate.keys import band_keys, text_batches, verified_grams
from steps.deduplicate.match import decision_table, put_decisions, still_here
from steps.deduplicate.sources import all_sources, keeper_order, places, row_of, source_of
from steps.deduplicate.verify import Bounds, Documents, decide, likeness
from steps.text.edit_distance import edit_units
from steps.text.hashing import gram_sets, words
from steps.text.minhash import BANDS
from steps.text.segment import text_buffers
from steps.text.unicode_tables import classes

# a map task writes keys of a quarter of a partition's documents: some segments, none of them tiny
MAP_SHARE = 4


Ragged = tuple[np.ndarray, np.ndarray]  # offsets int64[n + 1] into values uint64[]


def map_tasks(rows: Sequence[int], partition_documents: int) -> list[list[int]]:
    """Consecutive sources, by number, for map tasks of about equally many documents."""
    ends = np.cumsum(rows)
    share = max(1, partition_documents // MAP_SHARE)
    owner = (ends - np.asarray(rows)) // share
    return [np.flatnonzero(owner == o).tolist() for o in np.unique(owner)]


def ways(config: Config, dealt: list[list[int]]) -> list[dict[str, Any]]:
    """In which ways candidates are found, as tasks carry them: one per beginning of a table, one per MinHash band."""
    tables = [{"first": first} for first in beginnings(dealt)]
    return [*tables, *({"band": band} for band in range(BANDS if config.minhash else 0))]


def write_near_keys(task: dict[str, Any], part: PartWriter) -> int:
    """Keys of the documents of some sources that still take part, by way and partition; returns how many."""
    keys, place = _still_compared(task, Files(part.store, task["folder"]), part.config)
    rows = pa.table(
        {"place": place, **{name: keys[name] for name in ("simhash", "sketch_low", "sketch_high", "grams")}}
    )
    runs = _near_runs(rows, band_keys(keys), task, part.config)
    put_runs(part, f"near/{task['number']:05d}.runs", runs)
    return len(place)


def _still_compared(task: dict[str, Any], files: Files, config: Config) -> tuple[pa.Table, np.ndarray]:
    """Keys and places of the documents of some sources that have a fingerprint and were not removed yet."""
    columns = ["row", "simhash", "features", "grams", "sketch_low", "sketch_high", "bands"]
    tables, found = [], []
    for number, entry in zip(task["sources"], task["keys"], strict=True):
        keys = files.read_table(FileEntry.model_validate(entry), columns)
        mine = (keys["features"].to_numpy() >= config.min_features) & (keys["grams"].to_numpy() > 0)
        tables.append(keys.filter(pa.array(mine)))
        found.append(places(number, tables[-1]["row"].to_numpy()))
    place = np.concatenate(found)
    here = still_here(files, task["removed"], place, task["per_bucket"])
    return pa.concat_tables(tables).filter(pa.array(here)), place[here]


def _near_runs(
    rows: pa.Table, bands: np.ndarray, task: dict[str, Any], config: Config
) -> Iterator[tuple[int, pa.Table]]:
    """Each way's rows by partition, one way after the other."""
    partitions, dealt = task["partitions"], task["dealt"]
    bounds = block_bounds(choose_blocks(task["documents"], config.hamming))
    fingerprints, by_band = rows["simhash"].to_numpy(), rows.drop_columns("simhash")
    for number, way in enumerate(ways(config, dealt)):
        if "first" in way:
            owner = partition_of(fingerprints, bounds, way["first"], dealt, partitions)
            yield from split(rows, owner, number * partitions)
        else:
            key = bands[:, way["band"]]
            owner = (key % partitions).astype(np.int64)
            yield from split(by_band.append_column("key", pa.array(key)), owner, number * partitions)


def find_pairs(task: dict[str, Any], part: PartWriter) -> dict[str, int]:
    """Which documents one partition of one way connects: those joined with another, and their group's first place."""
    files, config = Files(part.store, task["folder"]), part.config
    table = read_runs(files, task["runs"], task["number"])
    compared = beyond = 0
    nodes = NODES.empty_table()
    if table is not None:
        place = table["place"].to_numpy()
        # the first rows: sources are in order
        published = int(np.searchsorted(place, places(task["first_new"], np.zeros(1, np.int64))[0]))
        members = np.arange(len(place))
        graph = Graph(sketches_of(table), *likeness(config.similarity), published, members.copy())
        if "first" in task:
            blocks = block_bounds(choose_blocks(task["documents"], config.hamming))
            compared = connect(
                table["simhash"].to_numpy(), members, task["first"], blocks, config.hamming, graph
            )
        else:
            compared, beyond = connect_bands(table["key"].to_numpy(), task["band"], graph)
        nodes = _nodes(place, graph)
    put_runs(part, f"nodes/{task['number']:05d}.runs", [(0, nodes)])
    return {"compared": compared, "beyond": beyond}


def sketches_of(table: pa.Table) -> Sketches:
    """The sketches in a table of keys."""
    return Sketches(*(table[name].to_numpy() for name in ("sketch_low", "sketch_high", "grams")))


def _nodes(place: np.ndarray, graph: Graph) -> pa.Table:
    row, root = joined_rows(graph.parent)
    columns = {"place": place[row], "root": place[root], "sketch": graph.sketches.low[row]}
    return pa.table(columns, schema=NODES)


def fetch_texts(task: dict[str, Any], part: PartWriter) -> None:
    """Texts and keys of one source's candidates, by verification task: each shard is read once."""
    files, number = Files(part.store, task["folder"]), task["source"]
    members = read_run(files, task["groups"], number)
    assert members is not None  # only sources with candidates get a task
    rows = row_of(members["place"].to_numpy())
    keys = files.read_table(FileEntry.model_validate(task["keys"]))
    keys = keys.take(pa.array(np.searchsorted(keys["row"].to_numpy(), rows))).select(KEYS)
    text = all_sources(part.inputs)[number].documents(["text"], rows)["text"]
    for name, column in [*zip(keys.column_names, keys.columns, strict=True), ("text", text)]:
        members = members.append_column(name, column)
    put_runs(part, f"texts/{number:06d}.runs", split(members, members["task"].to_numpy()), "zstd")


KEYS = ["quality", "doc_high", "doc_low", "simhash", "sketch_low", "sketch_high", "grams", "bands"]


def verify(task: dict[str, Any], part: PartWriter) -> dict[str, int]:
    """Decisions for the groups of one verification task."""
    files, config = Files(part.store, task["folder"]), part.config
    members = read_runs(files, task["texts"], task["number"])
    assert members is not None  # every task was dealt a group
    place, group, quality, doc_high, doc_low = (
        members[name].to_numpy() for name in ("place", "group", "quality", "doc_high", "doc_low")
    )
    order = keeper_order(place, quality, doc_high, doc_low, task["first_new"])
    order = order[np.argsort(group[order], kind="stable")]
    members = members.take(pa.array(order))
    documents = Documents(
        group[order],
        source_of(place[order]) < task["first_new"],
        members["simhash"].to_numpy(),
        sketches_of(members),
        band_keys(members)[:, : BANDS if config.minhash else 0],
        *text_grams(members["text"], config),
    )
    found = decide(documents, Bounds(*(getattr(config, name) for name in Bounds._fields)))
    gone = np.flatnonzero(found.match >= 0)
    ids = place, doc_high, doc_low
    pairs = order[gone], order[found.match[gone]]
    decisions = decision_table(*ids, *pairs, found.distance[gone], found.similarity[gone])
    put_decisions(part, f"decisions/near-{task['number']:05d}.runs", decisions, task["per_bucket"])
    names = ("candidate_pairs", "verified_pairs", "stopped_by_max_candidates", "clusters_at_max")
    return {**dict(zip(names, found.counts.tolist(), strict=True)), "removed": len(gone)}


def text_grams(texts: pa.ChunkedArray, config: Config) -> tuple[Ragged, Ragged]:
    """Of each text, sorted n-gram hashes, with n-grams that fit its script, and its edit units."""
    batches = [words(*text_buffers(batch), classes()) for batch in text_batches(texts)]
    sets = [gram_sets(tokens.offsets, tokens.hash, verified_grams(tokens, config)) for tokens in batches]
    return _joined(sets), _joined([edit_units(tokens) for tokens in batches])


def _joined(parts: Sequence[Ragged]) -> Ragged:
    offsets, values = [np.zeros(1, np.int64)], [np.zeros(0, np.uint64)]
    for found, hashes in parts:
        offsets.append(found[1:] + offsets[-1][-1])
        values.append(hashes)
    return np.concatenate(offsets), np.concatenate(values)

"""Near duplicates: candidate groups from fingerprints alone, then the texts of those groups, then decisions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from steps.core.artifact import Files
from steps.core.manifest import FileEntry
from steps.core.parts import PartWriter
from steps.deduplicate.candidates import choose_masks, connected, groups_of
from steps.deduplicate.exchange import put_runs, read_runs
from steps.deduplicate.match import decision_table, not_in, removed_places
from steps.deduplicate.sources import all_sources, keeper_order, places, row_of, source_of
from steps.deduplicate.verify import decide
from steps.text.hashing import gram_sets, mostly_ideographs, words
from steps.text.segment import text_buffers
from steps.text.unicode_tables import classes

TASK_ROWS = 2_000_000  # rows sorted by one table task: bounds its time to seconds


def table_tasks(documents: int, hamming: int, partition_documents: int) -> list[dict[str, int]]:
    """One task per slice of the tables and partition of their keys; follows from sizes and settings alone."""
    tables = len(choose_masks(documents, hamming))
    partitions = max(1, -(-documents // partition_documents))
    slices = min(tables, max(1, -(-documents * tables // (partitions * TASK_ROWS))))
    bounds = [tables * i // slices for i in range(slices + 1)]
    return [
        {"partition": p, "partitions": partitions, "from": bounds[i], "to": bounds[i + 1]}
        for p in range(partitions)
        for i in range(slices)
    ]


def find_pairs(task: dict[str, Any], part: PartWriter) -> dict[str, int]:
    """Which documents some tables connect, as edges to the smallest place of each group."""
    files, config = Files(part.store, task["folder"]), part.config
    removed = removed_places(files, task["removed"])
    masks = choose_masks(task["documents"], config.hamming)[task["from"] : task["to"]]
    columns = [
        _fingerprints(files, n, entry, removed, config.min_features) for n, entry in enumerate(task["keys"])
    ]
    place = np.concatenate([np.zeros(0, np.uint64), *(c[0] for c in columns)])
    fingerprints = np.concatenate([np.zeros(0, np.uint64), *(c[1] for c in columns)])
    groups, compared = connected(fingerprints, masks, task["partition"], task["partitions"], config.hamming)
    joined = np.flatnonzero(groups != np.arange(len(groups)))
    edges = pa.table({"a": place[joined], "b": place[groups[joined]]})
    part.put_table(f"edges/{task['number']:05d}.parquet", edges, "edges", temporary=True)
    return {"compared": compared, "edges": edges.num_rows}


def _fingerprints(
    files: Files, number: int, entry: dict[str, Any], removed: np.ndarray, min_features: int
) -> tuple[np.ndarray, np.ndarray]:
    """(places, fingerprints) of one source's documents that still take part."""
    keys = files.read_table(FileEntry.model_validate(entry), ["row", "simhash", "features"])
    place = places(number, keys["row"].to_numpy())
    mine = (keys["features"].to_numpy() >= min_features) & not_in(place, removed)
    return place[mine], keys["simhash"].to_numpy()[mine]


def group_candidates(task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """Groups of documents that edges connect, dealt to verification tasks; groups of published documents only go."""
    files = Files(part.store, task["folder"])
    tables = [files.read_table(FileEntry.model_validate(entry)) for entry in task["edges"]]
    a, b = (np.concatenate([np.zeros(0, np.uint64), *(t[c].to_numpy() for t in tables)]) for c in ("a", "b"))
    nodes = np.unique(np.concatenate([a, b]))
    roots = groups_of(len(nodes), np.searchsorted(nodes, a), np.searchsorted(nodes, b))
    has_new = np.zeros(len(nodes), bool)
    has_new[roots[source_of(nodes) >= task["first_new"]]] = True
    wanted = has_new[roots]
    nodes, roots = nodes[wanted], roots[wanted]
    names, group = np.unique(roots, return_inverse=True)
    sizes = np.bincount(group, minlength=len(names))
    # whole groups fill tasks in order; a task ends when it has enough documents
    before = np.cumsum(sizes) - sizes
    owner = np.unique(before // part.config.verify_documents, return_inverse=True)[1]
    table = pa.table({"place": nodes, "group": group, "task": owner[group]})
    sources = source_of(nodes)
    runs = {int(n): table.filter(pa.array(sources == n)) for n in np.unique(sources)}
    put_runs(part, "groups.runs", runs)
    return {
        "sources": [int(n) for n in np.unique(sources)],
        "tasks": int(owner.max()) + 1 if len(owner) else 0,
        "documents": len(nodes),
        "groups": len(names),
        "largest": int(sizes.max()) if len(sizes) else 0,
    }


def fetch_texts(task: dict[str, Any], part: PartWriter) -> None:
    """Texts and keys of one source's candidates, by verification task: each shard is read once."""
    files, number = Files(part.store, task["folder"]), task["source"]
    members = read_runs(files, [task["groups"]], number)
    assert members is not None  # only sources with candidates get a task
    rows = row_of(members["place"].to_numpy())
    keys = files.read_table(FileEntry.model_validate(task["keys"]))
    at = np.searchsorted(keys["row"].to_numpy(), rows)
    keys = keys.take(pa.array(at)).select(["quality", "doc_high", "doc_low", "simhash"])
    text = all_sources(part.inputs)[number].documents(["text"], rows)["text"]
    for name, column in [*zip(keys.column_names, keys.columns, strict=True), ("text", text)]:
        members = members.append_column(name, column)
    owner = members["task"].to_numpy()
    runs = {int(t): members.filter(pa.array(owner == t)) for t in np.unique(owner)}
    put_runs(part, f"texts/{number:06d}.runs", runs)


def verify(task: dict[str, Any], part: PartWriter) -> dict[str, int]:
    """Decisions for the groups of one verification task."""
    files, config = Files(part.store, task["folder"]), part.config
    members = read_runs(files, task["texts"], task["number"])
    assert members is not None  # every task was dealt a group
    place, group, _, quality, doc_high, doc_low, simhash = (
        column.to_numpy() for column in members.columns[:7]
    )
    order = keeper_order(place, quality, doc_high, doc_low, task["first_new"])
    order = order[np.argsort(group[order], kind="stable")]
    found = decide(
        group[order],
        source_of(place[order]) < task["first_new"],
        simhash[order],
        text_grams(
            members["text"].take(pa.array(order)), config.verify_ideograph_gram, config.verify_word_gram
        ),
        hamming=config.hamming,
        similarity=config.similarity,
        max_candidates=config.max_candidates,
        max_cluster=config.max_cluster,
    )
    gone = np.flatnonzero(found.match >= 0)
    decisions = decision_table(
        place,
        doc_high,
        doc_low,
        order[gone],
        order[found.match[gone]],
        found.distance[gone],
        found.similarity[gone],
    )
    part.put_table(f"decisions/near-{task['number']:05d}.parquet", decisions, "decisions", temporary=True)
    names = ("candidate_pairs", "verified_pairs", "stopped_by_max_candidates", "clusters_at_max")
    return {**dict(zip(names, found.counts.tolist(), strict=True)), "removed": len(gone)}


def text_grams(
    texts: pa.ChunkedArray | pa.Array, ideograph_gram: int, word_gram: int
) -> tuple[np.ndarray, np.ndarray]:
    """(offsets, sorted n-gram hashes) of each text, with the n-gram length that fits its script."""
    tokens = words(*text_buffers(texts), classes())
    ideographs = mostly_ideographs(tokens.offsets, tokens.ideograph)
    return gram_sets(tokens.offsets, tokens.hash, np.where(ideographs, ideograph_gram, word_gram))

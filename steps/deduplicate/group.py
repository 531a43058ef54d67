"""Groups of documents that any slot connects, dealt to verification tasks.

A union-find forest over all rows: it grows with the corpus (8 bytes a row) and not with slots and partitions, and each
connection is worked in once (Tarjan 1975, https://doi.org/10.1145/321879.321884).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from steps.core.artifact import Files
from steps.core.manifest import FileEntry
from steps.core.parts import PartWriter
from steps.deduplicate.candidates import find, union
from steps.deduplicate.exchange import put_runs, split
from steps.deduplicate.sources import places, row_of, source_of
from steps.text.jit import njit

# what a slot's partition connected: a document, the first one of its group there, and the half of its sketch
NODES = pa.schema([("place", pa.uint64()), ("root", pa.uint64()), ("sketch", pa.uint64())])
UNSEEN = -1  # a row that no slot connected with another


def group_candidates(task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """Groups with a new document, and which verification task reads which.

    A group larger than a verification task is cut into pieces of documents with near sketches, which do not meet the
    other pieces.
    """
    files, most = Files(part.store, task["folder"]), part.config.verify_documents
    entries = [FileEntry.model_validate(entry) for entry in task["nodes"]]
    place, root = _connected(files, entries, task["first_new"])
    order = np.argsort(root, kind="stable")  # groups, by their first documents; in each, by place
    place, root = place[order], root[order]
    fresh = np.flatnonzero(np.diff(root, prepend=~root[:1]))
    sizes = np.diff(np.append(fresh, len(root)))
    for begin, size in zip(fresh[sizes > most].tolist(), sizes[sizes > most].tolist(), strict=True):
        large = place[begin : begin + size]
        place[begin : begin + size] = large[np.argsort(_sketches(files, entries, large), kind="stable")]
    rank = np.arange(len(root)) - np.repeat(fresh, sizes)
    # a document's piece: where its group begins, and how many times ``most`` documents of it come before
    piece = np.repeat(fresh, sizes) + rank // most * most
    names, group = np.unique(piece, return_inverse=True)
    pieces = np.bincount(group, minlength=len(names))
    # whole pieces fill tasks in order; a task ends when it has enough documents
    owner = np.unique((np.cumsum(pieces) - pieces) // most, return_inverse=True)[1]
    table = pa.table({"place": place, "group": group, "task": owner[group]}).sort_by("place")
    sources = source_of(table["place"].to_numpy())
    put_runs(part, "groups.runs", split(table, sources))
    return {
        "sources": np.unique(sources).tolist(),
        "tasks": int(owner.max()) + 1 if len(owner) else 0,
        "documents": len(place),
        "groups": len(fresh),
        "largest": int(sizes.max()) if len(sizes) else 0,
        "cut": int((sizes > most).sum()),
    }


def _connected(files: Files, entries: Sequence[FileEntry], first_new: int) -> tuple[np.ndarray, np.ndarray]:
    """(uint64[n] places in order, int64[n] their groups) of the documents that are in a group with a new one.

    Sources from ``first_new`` on are new.
    """
    last = np.full(first_new + 1, -1)  # of each source, the last row that is in a group
    for nodes in _tables(files, entries, ["place"]):
        place = nodes["place"].to_numpy()
        source = source_of(place)
        more = max(0, int(source.max(initial=0)) + 1 - len(last))
        last = np.append(last, np.full(more, -1))
        np.maximum.at(last, source, row_of(place))
    first = np.append(0, np.cumsum(last + 1))  # where each source's rows begin
    parent = np.full(first[-1], UNSEEN)
    for nodes in _tables(files, entries, ["place", "root"]):
        row, root = (
            first[source_of(place)] + row_of(place)
            for place in (nodes["place"].to_numpy(), nodes["root"].to_numpy())
        )
        _join(parent, row, root)
    rows, groups = _with_new(parent, first[first_new])
    source = np.searchsorted(first, rows, side="right") - 1
    return places(source, rows - first[source]), groups


@njit
def _join(parent, rows, others):
    for i in range(len(rows)):
        for row in (rows[i], others[i]):
            if parent[row] == UNSEEN:
                parent[row] = row
        union(parent, rows[i], others[i])


@njit
def _with_new(parent, first_new):
    """(rows of groups with a row from ``first_new`` on, the first row of each one's group)."""
    has_new = np.zeros(len(parent), np.bool_)
    for row in range(first_new, len(parent)):
        if parent[row] != UNSEEN:
            has_new[find(parent, row)] = True
    count = 0
    for row in range(len(parent)):
        if parent[row] != UNSEEN and has_new[find(parent, row)]:
            count += 1
    rows, groups = np.empty(count, np.int64), np.empty(count, np.int64)
    count = 0
    for row in range(len(parent)):
        if parent[row] != UNSEEN and has_new[find(parent, row)]:
            rows[count], groups[count] = row, find(parent, row)
            count += 1
    return rows, groups


def _tables(files: Files, entries: Sequence[FileEntry], columns: list[str]) -> Iterator[pa.Table]:
    return (files.read_table(entry, columns) for entry in entries)


def _sketches(files: Files, entries: Sequence[FileEntry], group: np.ndarray) -> np.ndarray:
    """uint64[n]: half of the sketch of each of some documents, by their places in order."""
    found = np.zeros(len(group), np.uint64)
    for nodes in _tables(files, entries, ["place", "sketch"]):
        place, sketch = nodes["place"].to_numpy(), nodes["sketch"].to_numpy()
        at = np.minimum(np.searchsorted(group, place), len(group) - 1)
        mine = group[at] == place
        found[at[mine]] = sketch[mine]
    return found

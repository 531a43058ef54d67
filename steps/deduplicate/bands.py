"""Which documents may be near duplicates: MinHash bands, whose keys get longer where many documents have one.

Documents with equal keys in a band are compared, all with all, as long as they are few. A fixed key collides for a
fixed share of all pairs, so that what one document meets would grow with the corpus. So a group of more than
`BAND_GROUP` is split by the next positions of the sketches until its parts are that small, and no further: keys are as
long as the group asks for (Bawa, Condie, Ganesan, "LSH forest", WWW 2005, https://doi.org/10.1145/1060745.1060840).
It is split `TRIES` times over, by other positions, for a true pair that one splitting parts is together in another.
A document meets at most `TRIES` * `BAND_GROUP` others in a band.

How long a key is follows from the documents that have it, published ones among them. No other part of a key is needed
than the sketch, so that keys of any index fit a corpus of any size.
"""

from __future__ import annotations

import numpy as np

from steps.deduplicate.candidates import Graph, alike_documents, joined_already, union
from steps.text.jit import njit
from steps.text.minhash import ROWS, SKETCHED, alike

BAND_GROUP = 64  # documents that are compared all with all
TRIES = 4
ASIDE = SKETCHED // TRIES  # positions between the first ones of two tries


def connect_bands(keys: np.ndarray, band: int, graph: Graph) -> tuple[int, int]:
    """Join documents with equal ``keys`` (uint32[n], of one MinHash band) and, where those are many, parts of sketches.

    Returns pairs compared, and documents with a key that more than `BAND_GROUP` have.
    """
    # one sort of numbers, key above row, is ten times as fast as sorting rows by key
    both = np.sort((keys.astype(np.uint64) << np.uint64(32)) | np.arange(len(keys), dtype=np.uint64))
    members, keys = (both & np.uint64(0xFFFFFFFF)).astype(np.int64), both >> np.uint64(32)
    begins = np.flatnonzero(np.diff(keys, prepend=~keys[:1]))
    sizes = np.diff(np.append(begins, len(keys)))
    several = sizes > 1
    begins, ends = begins[several], (begins + sizes)[several]
    room = np.empty(int(sizes.max(initial=0)), np.int64)
    compared = _join_groups(members, begins, ends, ROWS * (band + 1), graph, room)
    return compared, int(sizes[sizes > BAND_GROUP].sum())


@njit
def _join_groups(members, begins, ends, position, graph, room):
    few = (
        np.empty(BAND_GROUP, np.int64),
        np.empty(BAND_GROUP, np.uint64),
        np.empty(BAND_GROUP, np.uint64),
        np.empty(BAND_GROUP, np.int64),
    )
    compared = 0
    for g in range(len(begins)):
        group = members[begins[g] : ends[g]]
        if len(group) <= BAND_GROUP:
            compared += _join_few(group, graph, few)
            continue
        for number in range(TRIES):
            compared += _join_many(group, position + number * ASIDE, graph, room, few)
    return compared


@njit
def _join_few(group, graph, few):
    """Join the pairs of a group that are alike and have a new document. Returns pairs compared.

    few: room for their numbers and sketches, which lie far apart in memory and are looked at often.
    """
    numbers, low, high, size = few
    n, new = len(group), 0
    for published in (False, True):
        at = 0 if not published else new
        for document in group:
            if (document < graph.published) == published:
                numbers[at] = document
                at += 1
        if not published:
            new = at
    if new == 0:
        return 0
    for i in range(n):
        low[i], high[i] = graph.sketches.low[numbers[i]], graph.sketches.high[numbers[i]]
        size[i] = graph.sketches.size[numbers[i]]
    compared = 0
    for i in range(new):
        for j in range(i + 1, n):
            if alike(low[i], high[i], size[i], low[j], high[j], size[j], graph.similarity, graph.agreement):
                union(graph.parent, numbers[i], numbers[j])
        compared += n - i - 1
    return compared


@njit
def _join_many(group, position, graph, room, few):
    """`_join_few` for the parts that agree in as many positions from ``position`` on as make them small."""
    compared, waiting = 0, 1
    parts = np.empty((4 * SKETCHED, 3), np.int64)  # begin, end, and positions in which the part agrees
    parts[0] = 0, len(group), 0
    while waiting > 0:
        waiting -= 1
        begin, end, agreed = parts[waiting]
        part = group[begin:end]
        if len(part) <= BAND_GROUP:
            compared += _join_few(part, graph, few)
            continue
        if joined_already(part, 0, len(part), graph.parent):
            continue
        met = _join_first(part, graph)
        compared += met
        if met == 0 or agreed == SKETCHED:  # no new document, or nothing to split it by
            continue
        for last in _split(part, (position + agreed) % SKETCHED, graph.sketches, room):
            parts[waiting] = begin, end - len(part) + last, agreed + 1
            begin = parts[waiting, 1]
            waiting += 1
    return compared


@njit
def _join_first(group, graph):
    """Join what is alike to the first new document: copies of one text are not taken apart. Returns pairs compared."""
    for first in group:
        if first >= graph.published:
            for document in group:
                if document != first and alike_documents(
                    graph.sketches, first, document, graph.similarity, graph.agreement
                ):
                    union(graph.parent, first, document)
            return len(group) - 1
    return 0


@njit
def _split(group, position, sketches, room):
    """Sort a group by one position of its sketches, otherwise in order; returns where each of the 4 values ends."""
    words = sketches.low if position < 32 else sketches.high
    shift = np.uint64(2 * (position % 32))
    ends = np.zeros(4, np.int64)
    for document in group:
        ends[np.int64((words[document] >> shift) & np.uint64(3))] += 1
    ends = np.cumsum(ends)
    room[: len(group)] = group
    at = np.empty(4, np.int64)
    at[0], at[1:] = 0, ends[:3]
    for i in range(len(group)):
        value = np.int64((words[room[i]] >> shift) & np.uint64(3))
        group[at[value]] = room[i]
        at[value] += 1
    return ends

"""Which documents may be near duplicates: block-permutation tables over SimHash fingerprints.

Manku, Jain, Das Sarma, "Detecting near-duplicates for web crawling", WWW 2007: cut the bits into b blocks; two
fingerprints that differ in at most k bits agree in at least b - k blocks, so each choice of b - k blocks is a table
in which fingerprints with equal key bits are compared, and no pair within the bound is missed. Here

- tables that begin with the same blocks share the work: rows are split by the first block, each group by the second,
  and a group that is small already is compared at once, for all tables that begin so;
- a group that is still large when its table's blocks are used up is cut anew, into blocks of the bits that are left;
- two published documents are never compared: a group without a new one is left at once;
- rows that are found to belong together are compared no further with each other, in this table and the next: a
  thousand copies cost a thousand comparisons, not half a million.

So a document meets few others, whatever the corpus's size and however skewed its fingerprints are. Pairs whose
sketches exclude a duplicate (`minhash.alike`) are dropped.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from steps.deduplicate.sample import Sample
from steps.text.hashing import mix, popcount
from steps.text.jit import njit
from steps.text.minhash import alike

# Nanoseconds per row split into groups, per group made, and per pair compared, on one core of this machine
ROW_COST, GROUP_COST, PAIR_COST = 20.0, 8.0, 0.6
# A bit of two unrelated fingerprints is equal with probability 0.6, not 0.5: frequent words lean all of them the same
# way. Measured from the pairs of lctt_opensource within 10 bits (37 in a million, Chinese; 64, English).
BIT = 0.75  # -log2 0.6: what a bit of a key is worth
MAX_BLOCK_BITS = 8
MAX_BLOCKS = 32
BY_TWO = (
    -1
)  # in place of a partition: of a block's value that tables begin with together with another block's
REGROUP = 2_000  # rows of one group from which its remaining bits are cut anew


class Sketches(NamedTuple):
    """Sketch (two uint64[n]) and size (int64[n] or int32[n]) of each document's n-gram set, as `alike` takes them."""

    low: np.ndarray
    high: np.ndarray
    size: np.ndarray


class Graph(NamedTuple):
    """Documents and who is joined with whom: sketches; the bounds of `alike` that a pair must meet; how many of the
    documents, the first ones, are published and not compared with each other; and parent int64[n], from each document
    towards the smallest one of its group."""

    sketches: Sketches
    similarity: float
    agreement: int
    published: int
    parent: np.ndarray


@njit(inline="always")
def alike_documents(sketches, i, j, similarity, agreement):
    """`alike` for documents i and j."""
    low, high, size = sketches
    return alike(low[i], high[i], size[i], low[j], high[j], size[j], similarity, agreement)


def choose_blocks(documents: int, hamming: int, bits: int = 64) -> int:
    """Into how many blocks to cut ``bits`` so that comparing so many documents costs least."""
    best, best_cost = 0, math.inf
    for blocks in range(max(hamming + 1, -(-bits // MAX_BLOCK_BITS)), MAX_BLOCKS + 1):
        shared = BIT * bits * (blocks - hamming) / blocks
        cost = math.comb(blocks, hamming) * (ROW_COST + documents / 2 ** (shared + 1) * PAIR_COST)
        if cost < best_cost:
            best, best_cost = blocks, cost
    return min(best, bits)


def block_bounds(blocks: int, bits: int = 64) -> np.ndarray:
    """int64[blocks + 1]: where each block begins, and the end."""
    return np.array([bits * i // blocks for i in range(blocks + 1)])


def deal_values(sample: Sample, bounds: np.ndarray, hamming: int, partitions: int) -> list[list[int]]:
    """For each block that tables begin with, the partition that each of its values belongs to; `BY_TWO` for a value
    that more documents have than a partition's share: its tables begin with two blocks.

    Fingerprints are lopsided: the most frequent value of 8 bits has some 5 % of all documents. The most frequent one
    is dealt first, to the partition with the fewest documents (R. L. Graham, "Bounds on multiprocessing timing
    anomalies", SIAM J. Appl. Math. 17, 1969).
    """
    several = partitions > 1 and len(bounds) - 1 - hamming > 1
    share = sample.documents / partitions if several else math.inf
    dealt = []
    for block in range(hamming + 1):
        values = _blocks(sample.values, bounds, (block,)).astype(np.int64)
        counts = np.bincount(values, sample.weights, 1 << int(bounds[block + 1] - bounds[block]))
        owner = np.full(len(counts), BY_TWO)
        loads = [(0.0, 0, partition) for partition in range(partitions)]
        for value in np.argsort(-counts, kind="stable").tolist():
            if counts[value] <= share:
                load, number, owner[value] = loads[0]
                # by their number where the sample has none
                heapq.heapreplace(loads, (load + counts[value], number + 1, int(owner[value])))
        dealt.append(owner.tolist())
    return dealt


def beginnings(dealt: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """The blocks that tables begin with, each a way to part fingerprints: one block, and two for its frequent values.

    Of two fingerprints' first block that is equal, the next equal one is at most hamming + 1.
    """
    one: list[tuple[int, ...]] = [(block,) for block in range(len(dealt))]
    return one + [
        (block, second)
        for block, owner in enumerate(dealt)
        if BY_TWO in owner
        for second in range(block + 1, len(dealt) + 1)
    ]


def partition_of(
    fingerprints: np.ndarray,
    bounds: np.ndarray,
    first: Sequence[int],
    dealt: Sequence[Sequence[int]],
    partitions: int,
) -> np.ndarray:
    """int64[n]: the partition that each fingerprint's value of the blocks ``first`` belongs to; negative for
    fingerprints that other tables compare."""
    owner = np.array(dealt[first[0]])[_blocks(fingerprints, bounds, first[:1]).astype(np.int64)]
    if len(first) == 1:
        return owner
    mixed = (_mixed(_blocks(fingerprints, bounds, first)) % np.uint64(partitions)).astype(np.int64)
    return np.where(owner == BY_TWO, mixed, -1)


def _blocks(values: np.ndarray, bounds: np.ndarray, numbers: Sequence[int]) -> np.ndarray:
    """uint64[n]: the values of some blocks, side by side."""
    out = np.zeros(len(values), np.uint64)
    for begin, end in ((bounds[number], bounds[number + 1]) for number in numbers):
        bits = np.uint64(end - begin)
        out = (out << bits) | ((values >> np.uint64(begin)) & ((np.uint64(1) << bits) - np.uint64(1)))
    return out


@njit
def _mixed(values):
    out = np.empty(len(values), np.uint64)
    for i in range(len(values)):
        out[i] = mix(values[i])
    return out


@njit
def find(parent, i):
    """The smallest member of i's group."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit
def union(parent, i, j):
    """Join two groups. The root is the smaller index, so that the result has no history."""
    i, j = find(parent, i), find(parent, j)
    if i < j:
        parent[j] = i
    else:
        parent[i] = j


@njit(inline="always")
def _exchange(values, members, a, b):
    values[a], values[b] = values[b], values[a]
    members[a], members[b] = members[b], members[a]


@njit
def _new_first(values, members, begin, end, published):
    """Move the rows of ``begin:end`` that are not published to its front; returns where they end."""
    middle = begin
    for i in range(begin, end):
        if members[i] >= published:
            _exchange(values, members, i, middle)
            middle += 1
    return middle


@njit
def _join_alike(values, members, begin, end, hamming, graph):
    """Join rows ``members[begin:end]`` whose values differ in at most ``hamming`` bits and whose sketches are alike.

    Reorders the slice: rows joined to the one that is looked at, which wait their turn and are not compared with each
    other, for what one of them is joined to, all are; then new rows; then published ones. Returns pairs compared.
    """
    middle = _new_first(values, members, begin, end, graph.published)
    compared, turn, waiting = 0, begin, begin
    while turn < waiting or waiting < middle:
        if turn == waiting:
            waiting += 1
        value, one = values[turn], members[turn]
        stop, first = end if one >= graph.published else middle, waiting
        rest = values[first:stop]
        for number in range(stop - first):  # from 0 on: the compiler needs no check for negative numbers
            if popcount(value ^ rest[number]) > hamming:
                continue
            i = first + number
            other = members[i]
            if not alike_documents(graph.sketches, one, other, graph.similarity, graph.agreement):
                continue
            union(graph.parent, one, other)
            to = i
            if i >= middle:  # a published row: the first of its kind makes room for it at its old place
                to = middle
                middle += 1
                _exchange(values, members, i, to)
            _exchange(values, members, to, waiting)
            waiting += 1
        compared += max(0, stop - waiting)
        turn += 1
    return compared


@njit
def _count_new(members, begin, end, published):
    count = 0
    for i in range(begin, end):
        if members[i] >= published:
            count += 1
    return count


@njit
def _split(values, members, begin, end, shift, mask, to_values, to_members, starts):
    """Copy ``begin:end`` to the front of the next level, sorted by one block; starts[v] is where value v begins."""
    starts[: mask + 3] = 0
    for i in range(begin, end):
        starts[np.int64((values[i] >> shift) & np.uint64(mask)) + 2] += 1
    for v in range(2, mask + 2):
        starts[v] += starts[v - 1]
    for i in range(begin, end):
        value = np.int64((values[i] >> shift) & np.uint64(mask)) + 1
        to = starts[value]
        to_values[to], to_members[to] = values[i], members[i]
        starts[value] = to + 1


@njit
def joined_already(members, begin, end, parent):
    """Whether ``members[begin:end]``, one at least, are all of one group."""
    root = find(parent, members[begin])
    i = begin + 1
    while i < end and find(parent, members[i]) == root:
        i += 1
    return i >= end


@njit
def _set_aside(values, members, begin, end, aside):
    """Keep a group for `connect` to cut anew; False if there is no room. aside: (values, members, bounds), where
    bounds[0] is how many groups there are and group g lies from bounds[g + 1] to bounds[g + 2]."""
    kept_values, kept_members, bounds = aside
    number = bounds[0]
    first, n = bounds[number + 1], end - begin
    if first + n > len(kept_values) or number + 3 > len(bounds):
        return False
    kept_values[first : first + n], kept_members[first : first + n] = values[begin:end], members[begin:end]
    bounds[0], bounds[number + 2] = number + 1, first + n
    return True


@njit
def _compare_or_split(level, begin, end, block, left, bounds, hamming, graph, scratch, aside):
    """Join the pairs of a group that agree in ``left`` more of the blocks from ``block`` on, if comparing all of them
    costs less than splitting it. Returns pairs compared, or -1: it is to be split.

    A group without a new row has no pair to compare.
    """
    values, members = scratch[0][level], scratch[1][level]
    n = end - begin
    new = _count_new(members, begin, end, graph.published)
    if new == 0 or joined_already(members, begin, end, graph.parent):
        return 0
    if left == 0 and n >= REGROUP and _set_aside(values, members, begin, end, aside):
        return 0
    cost = 0.0
    for c in range(block, len(bounds) - left if left > 0 else block):
        cost += n * ROW_COST + 2.0 ** (bounds[c + 1] - bounds[c]) * GROUP_COST
    if left == 0 or new * (n - (new + 1) / 2) * PAIR_COST <= cost:
        return _join_alike(values, members, begin, end, hamming, graph)
    return -1


@njit
def _refine(n, block, left, bounds, hamming, graph, scratch, aside):
    """Join the pairs of the ``n`` first rows of level 0 that agree in ``left`` more of the blocks from ``block`` on, or
    set them aside. Returns pairs compared.

    scratch: (values, members, starts), a row of each per level: a group is split, by one block after the other, onto
    the next level, where each part is compared or split by the blocks that follow. No recursion: numba does not keep
    a compiled kernel that calls one.
    """
    starts = scratch[2]
    compared = _compare_or_split(0, 0, n, block, left, bounds, hamming, graph, scratch, aside)
    if compared >= 0:
        return compared
    compared, level = 0, 0
    # of each level's group that is split: begin, end, block, the next part of it
    frames = np.zeros((left + 1, 4), np.int64)
    frames[0] = 0, n, block, 0
    while level >= 0:
        begin, end, c, v = frames[level]
        parts = 1 << (bounds[c + 1] - bounds[c])
        if v == 0:
            to = scratch[0][level + 1], scratch[1][level + 1], starts[level + 1]
            _split(scratch[0][level], scratch[1][level], begin, end, np.uint64(bounds[c]), parts - 1, *to)
        while v < parts and starts[level + 1, v + 1] - starts[level + 1, v] < 2:
            v += 1
        if v < parts:
            frames[level, 3] = v + 1
            first, last = starts[level + 1, v], starts[level + 1, v + 1]
            found = _compare_or_split(
                level + 1, first, last, c + 1, left - level - 1, bounds, hamming, graph, scratch, aside
            )
            if found >= 0:
                compared += found
            else:
                level += 1
                frames[level] = first, last, c + 1, 0
        elif c + 1 < len(bounds) - (left - level):
            frames[level] = begin, end, c + 1, 0
        else:
            level -= 1
    return compared


def connect(
    values: np.ndarray,
    members: np.ndarray,
    first: Sequence[int],
    bounds: np.ndarray,
    hamming: int,
    graph: Graph,
) -> int:
    """Join the pairs of documents that agree in the blocks ``first`` and in enough later ones.

    values uint64[n]: the bits that ``bounds`` cuts, of documents members int64[n]. Returns pairs compared.
    """
    key = _blocks(values, bounds, first).astype(np.uint16)  # sorted by their digits
    order = np.argsort(key, kind="stable")
    key, values, members = key[order], values[order], members[order]
    starts = np.append(np.flatnonzero(np.append(True, key[1:] != key[:-1])), len(key))
    largest = int(np.diff(starts).max())
    left = len(bounds) - 1 - hamming - len(first)
    scratch = (
        np.empty((left + 1, largest), np.uint64),
        np.empty((left + 1, largest), np.int64),
        np.empty((left + 1, (1 << MAX_BLOCK_BITS) + 3), np.int64),
    )
    room = 4 * largest
    aside = (np.empty(room, np.uint64), np.empty(room, np.int64), np.zeros(room // REGROUP + 3, np.int64))
    compared = group = 0
    while group < len(starts) - 1:
        group, found = _refine_groups(
            values, members, starts, group, first[-1] + 1, left, bounds, hamming, graph, scratch, aside
        )
        compared += found
        for g in range(aside[2][0]):
            large = slice(aside[2][g + 1], aside[2][g + 2])
            compared += _connect_large(aside[0][large].copy(), aside[1][large].copy(), hamming, graph)
    return compared


@njit
def _refine_groups(values, members, starts, group, block, left, bounds, hamming, graph, scratch, aside):
    """`_refine` for groups from ``group`` on, until one has put something aside. Returns the next group, and pairs
    compared."""
    compared = 0
    aside[2][:2] = 0
    while group < len(starts) - 1 and aside[2][0] == 0:
        begin, n = starts[group], starts[group + 1] - starts[group]
        group += 1
        if n > 1:
            scratch[0][0, :n], scratch[1][0, :n] = values[begin : begin + n], members[begin : begin + n]
            compared += _refine(n, block, left, bounds, hamming, graph, scratch, aside)
    return group, compared


def _connect_large(values: np.ndarray, members: np.ndarray, hamming: int, graph: Graph) -> int:
    """`connect` for a group that agrees in all blocks of a table: over tables of the bits in which it differs."""
    differing = int(np.bitwise_or.reduce(values ^ values[0]))
    places = [bit for bit in range(64) if differing >> bit & 1]
    if len(places) <= hamming:
        return _join_alike(values, members, 0, len(values), hamming, graph)
    packed = np.zeros(len(values), np.uint64)
    for to, bit in enumerate(places):
        packed |= ((values >> np.uint64(bit)) & np.uint64(1)) << np.uint64(to)
    bounds = block_bounds(choose_blocks(len(values), hamming, len(places)), len(places))
    return sum(connect(packed, members, (block,), bounds, hamming, graph) for block in range(hamming + 1))


@njit
def roots(parent):
    """int64[n]: the smallest member of each row's group."""
    out = np.empty(len(parent), np.int64)
    for i in range(len(parent)):
        out[i] = find(parent, i)
    return out


@njit
def joined_rows(parent):
    """(rows that are joined with another, in order; the smallest member of each one's group): int64[m] each."""
    several = np.zeros(len(parent), np.bool_)
    for i in range(len(parent)):
        root = find(parent, i)
        if root != i:
            several[i] = several[root] = True
    rows = np.flatnonzero(several)
    root = np.empty(len(rows), np.int64)
    for at in range(len(rows)):
        root[at] = find(parent, rows[at])
    return rows, root

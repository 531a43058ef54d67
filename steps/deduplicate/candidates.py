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

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

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
# With so many partitions one of a block's values differs from the average by a quarter (standard deviation: two
# unrelated fingerprints agree in 8 bits with probability 0.6 ** 8); one of two blocks' values does with 200.
FEW_PARTITIONS = 4
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


def beginnings(hamming: int, blocks: int, partitions: int) -> list[tuple[int, ...]]:
    """The blocks that tables begin with, each a way to part fingerprints: one block, or two.

    A partition holds whole values of them. Of one block of 8 bits there are too few for many partitions: the most
    frequent value of lopsided fingerprints has some 5 % of all.
    """
    depth = min(2 if partitions > FEW_PARTITIONS else 1, blocks - hamming)
    return list(itertools.combinations(range(hamming + depth), depth))


def partition_of(
    fingerprints: np.ndarray, bounds: np.ndarray, first: Sequence[int], partitions: int
) -> np.ndarray:
    """int64[n]: the partition that each fingerprint's value of the blocks ``first`` belongs to."""
    return (_mixed(_blocks(fingerprints, bounds, first)) % np.uint64(partitions)).astype(np.int64)


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
        stop = end if one >= graph.published else middle
        for i in range(waiting, stop):
            if popcount(value ^ values[i]) > hamming:
                continue
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
def _refine(level, begin, end, block, left, bounds, hamming, graph, scratch, aside):
    """Join the pairs of a group that agree in ``left`` more of the blocks from ``block`` on. Returns pairs compared.

    A group without a new row has no pair to compare. scratch: (values, members, starts), a row of each per level.
    """
    values, members, starts = scratch[0][level], scratch[1][level], scratch[2]
    n = end - begin
    new = _count_new(members, begin, end, graph.published)
    if new == 0 or joined_already(members, begin, end, graph.parent):
        return 0
    stop = len(bounds) - left if left > 0 else block
    cost = 0.0
    for c in range(block, stop):
        cost += n * ROW_COST + 2.0 ** (bounds[c + 1] - bounds[c]) * GROUP_COST
    if left == 0 and n >= REGROUP and _set_aside(values, members, begin, end, aside):
        return 0
    if left == 0 or new * (n - (new + 1) / 2) * PAIR_COST <= cost:
        return _join_alike(values, members, begin, end, hamming, graph)
    compared, below = 0, level + 1
    for c in range(block, stop):
        shift, mask = np.uint64(bounds[c]), (1 << (bounds[c + 1] - bounds[c])) - 1
        _split(values, members, begin, end, shift, mask, scratch[0][below], scratch[1][below], starts[below])
        for v in range(mask + 1):
            first, last = starts[below, v], starts[below, v + 1]
            if last - first > 1:
                compared += _refine(
                    below, first, last, c + 1, left - 1, bounds, hamming, graph, scratch, aside
                )
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
    starts = np.append(np.flatnonzero(np.diff(key[order], prepend=~key[order[:1]])), len(key))
    largest = int(np.diff(starts).max())
    left = len(bounds) - 1 - hamming - len(first)
    scratch = (
        np.empty((left + 1, largest), np.uint64),
        np.empty((left + 1, largest), np.int64),
        np.empty((left + 1, (1 << MAX_BLOCK_BITS) + 3), np.int64),
    )
    room = 4 * largest
    aside = (np.empty(room, np.uint64), np.empty(room, np.int64), np.zeros(room // REGROUP + 3, np.int64))
    compared = 0
    for begin, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        if end - begin < 2:
            continue
        group = order[begin:end]
        scratch[0][0, : len(group)], scratch[1][0, : len(group)] = values[group], members[group]
        aside[2][:2] = 0
        compared += _refine(0, 0, len(group), first[-1] + 1, left, bounds, hamming, graph, scratch, aside)
        for g in range(aside[2][0]):
            large = slice(aside[2][g + 1], aside[2][g + 2])
            compared += _connect_large(aside[0][large].copy(), aside[1][large].copy(), hamming, graph)
    return compared


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

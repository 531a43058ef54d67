"""Which fingerprints lie within a Hamming bound: block-permutation tables, and the groups that the pairs connect.

Manku, Jain, Das Sarma, "Detecting near-duplicates for web crawling", WWW 2007: cut 64 bits into b blocks; two
fingerprints that differ in at most k bits agree in at least b - k blocks, so each choice of b - k blocks is a
table in which fingerprints with equal key bits are compared. No pair within the bound is missed.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from steps.text.hashing import mix, popcount
from steps.text.jit import njit

MAX_TABLES = 1000
# Seconds per row sorted and per pair compared, measured on one core; only their ratio matters.
SORT_COST, PAIR_COST = 120e-9, 2e-9


def choose_masks(documents: int, hamming: int) -> np.ndarray:
    """uint64[tables]: the key bits of each table, for the number of blocks that costs least at this corpus size."""
    best, best_cost = hamming + 1, math.inf
    for blocks in range(hamming + 1, 33):
        tables = math.comb(blocks, hamming)
        if tables > MAX_TABLES:
            break
        bits = 64 * (blocks - hamming) / blocks
        cost = tables * (documents * SORT_COST + documents**2 / 2 ** (bits + 1) * PAIR_COST)
        if cost < best_cost:
            best, best_cost = blocks, cost
    return block_masks(best, hamming)


def block_masks(blocks: int, hamming: int) -> np.ndarray:
    """uint64[comb(blocks, hamming)]: for each choice of blocks that may differ, the bits of all others."""
    cuts = [64 * i // blocks for i in range(blocks + 1)]
    parts = [((1 << b) - 1) ^ ((1 << a) - 1) for a, b in itertools.pairwise(cuts)]
    masks = [
        sum(part for i, part in enumerate(parts) if i not in differing)
        for differing in itertools.combinations(range(blocks), hamming)
    ]
    return np.array(masks, np.uint64)


@njit
def in_partition(fingerprints, mask, partition, partitions):
    """bool[n]: whether the fingerprint's key in this table belongs to the partition."""
    out = np.empty(len(fingerprints), np.bool_)
    for i in range(len(fingerprints)):
        out[i] = mix(fingerprints[i] & mask) % np.uint64(partitions) == np.uint64(partition)
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
    """Join two groups; False if they were one. The root is the smaller index, so that the result has no history."""
    i, j = find(parent, i), find(parent, j)
    if i == j:
        return False
    if i < j:
        parent[j] = i
    else:
        parent[i] = j
    return True


@njit
def connect(fingerprints, order, mask, hamming, parent):
    """Join in ``parent`` all fingerprints within the bound that share this table's key; returns pairs compared.

    ``order`` sorts ``fingerprints & mask``.
    """
    compared, first = 0, 0
    while first < len(order):
        key = fingerprints[order[first]] & mask
        stop = first + 1
        while stop < len(order) and (fingerprints[order[stop]] & mask) == key:
            stop += 1
        for a in range(first, stop):
            i = order[a]
            for b in range(a + 1, stop):
                j = order[b]
                compared += 1
                if popcount(fingerprints[i] ^ fingerprints[j]) <= hamming:
                    union(parent, i, j)
        first = stop
    return compared


def connected(fingerprints: np.ndarray, masks: np.ndarray, partition: int, partitions: int, hamming: int):
    """(int64[n] group of each fingerprint, pairs compared) over some tables and one partition of their keys.

    The group is the smallest index in it. Equal fingerprints are always one group here if any table has them.
    """
    unique, inverse = np.unique(fingerprints, return_inverse=True)
    parent = np.arange(len(unique))
    touched = np.zeros(len(unique), bool)
    compared = 0
    for mask in masks:
        mine = np.flatnonzero(in_partition(unique, mask, partition, partitions))
        touched[mine] = True
        order = mine[np.argsort(unique[mine] & mask, kind="stable")]
        compared += int(connect(unique, order, mask, hamming, parent))
    roots = _roots(parent)
    firsts = np.full(len(unique), len(fingerprints))
    np.minimum.at(firsts, roots[inverse], np.arange(len(fingerprints)))
    groups = firsts[roots[inverse]]
    return np.where(touched[inverse], groups, np.arange(len(fingerprints))), compared


@njit
def _roots(parent):
    out = np.empty(len(parent), np.int64)
    for i in range(len(parent)):
        out[i] = find(parent, i)
    return out


@njit
def _join(parent, a, b):
    for i in range(len(a)):
        union(parent, a[i], b[i])


def groups_of(nodes: int, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """int64[nodes]: the smallest node of each node's group, after joining every a[i] with b[i]."""
    parent = np.arange(nodes)
    _join(parent, a, b)
    return _roots(parent)

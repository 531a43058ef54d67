"""A blocked Bloom filter: one 512-bit block (one cache line) per key, so that a probe is one memory access.

Bloom 1970; blocks: Putze, Sanders, Singler, "Cache-, hash- and space-efficient Bloom filters", 2007. A blocked
filter needs more bits than a plain one for the same error, because blocks fill unevenly; `plan` counts that in.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from steps.text.jit import njit

BLOCK_BITS = 512
_WORDS = BLOCK_BITS // 64


class Plan(NamedTuple):
    """Size of a filter: blocks of 512 bits, bits set per key, expected false positive rate when full."""

    blocks: int
    hashes: int
    expected: float


def plan(keys: int, target: float) -> Plan:
    """The smallest filter for ``keys`` distinct keys whose false positive rate is at most ``target`` (0..1)."""
    keys = max(keys, 1)
    bits_per_key = 1.44 * math.log2(1 / target)
    while True:
        blocks = max(1, math.ceil(keys * bits_per_key / BLOCK_BITS))
        best = min(range(1, 17), key=lambda hashes: expected_rate(keys, blocks, hashes))
        rate = expected_rate(keys, blocks, best)
        if rate <= target:
            return Plan(blocks, best, rate)
        bits_per_key *= 1.05


def expected_rate(keys: int, blocks: int, hashes: int) -> float:
    """False positive rate of a full filter: the rate of one block over the Poisson-distributed load of blocks."""
    load = keys / blocks
    counts = np.arange(max(0, int(load - 12 * math.sqrt(load) - 12)), int(load + 12 * math.sqrt(load) + 40))
    log_factorial = np.array([math.lgamma(c + 1) for c in counts])
    weights = np.exp(counts * math.log(load) - load - log_factorial)
    filled = 1 - (1 - 1 / BLOCK_BITS) ** (counts * hashes)
    return float((weights * filled**hashes).sum())


@njit(inline="always")
def _remix(value):
    value = (value ^ (value >> np.uint64(31))) * np.uint64(0x9E3779B97F4A7C15)
    return value ^ (value >> np.uint64(29))


@njit(inline="always")
def _probe(table, high, low, blocks, hashes, insert):
    """Whether all bits of the key are set already; sets them if ``insert``."""
    block = np.int64((high >> np.uint64(20)) % np.uint64(blocks)) * _WORDS
    state, known = low, True
    for i in range(hashes):
        if i % 7 == 0:
            state = _remix(state + high)
        bit = (state >> np.uint64(9 * (i % 7))) & np.uint64(BLOCK_BITS - 1)
        word, mask = block + np.int64(bit >> np.uint64(6)), np.uint64(1) << (bit & np.uint64(63))
        if (table[word] & mask) == 0:
            known = False
            if insert:
                table[word] |= mask
    return known


@njit
def seen_before(high, low, order, blocks, hashes):
    """(table uint64[8 * blocks], bool[n]): insert keys one after the other in ``order``; True where every bit was
    already set, which means "seen, or a false positive". One thread, so the same order gives the same answer."""
    table = np.zeros(blocks * _WORDS, np.uint64)
    out = np.zeros(len(order), np.bool_)
    for i in order:
        out[i] = _probe(table, high[i], low[i], blocks, hashes, True)
    return table, out


@njit
def measure(table, blocks, hashes, probes, seed):
    """How many of ``probes`` made-up keys, which were never inserted, the filter takes for known."""
    found, state = 0, np.uint64(seed)
    for _ in range(probes):
        state += np.uint64(0x9E3779B97F4A7C15)
        high = _remix(_remix(state))
        if _probe(table, high, _remix(high ^ state), blocks, hashes, False):
            found += 1
    return found

"""MinHash of n-gram sets: band keys, which find documents with similar sets, and a sketch, which rejects the others.

Broder 1997: for a random order of all n-grams, two sets have the same smallest one with probability J, their Jaccard
similarity. Bands (Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", section 3.4): `BANDS` groups of `ROWS`
minima each agree in a group or more with probability 1 - (1 - J ** ROWS) ** BANDS: 0.9999 at J = 0.8, 0.996 at 0.7,
0.94 at 0.6, 0.15 at 0.3. The sketch keeps 2 bits of each of 64 minima (Li and König, "b-Bit minwise hashing", WWW
2010): a position of two sketches agrees with probability J + (1 - J) / 4.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from steps.text.hashing import gram_hash, popcount
from steps.text.jit import njit
from steps.text.segment import mix

BANDS, ROWS = 20, 4
MINIMA = BANDS * ROWS
SKETCHED = 64  # minima in a sketch
LOWEST = np.uint64(0x5555555555555555)  # the lower bit of every pair of bits


@functools.cache
def _orders() -> tuple[np.ndarray, np.ndarray]:
    """Two uint32[MINIMA]: x * a + b orders the n-gram hashes x (a odd: a permutation of the 32-bit numbers)."""
    numbers = np.random.Generator(np.random.PCG64(20070508)).integers(0, 2**32, (2, MINIMA), np.uint32)
    return numbers[0] | np.uint32(1), numbers[1]


@njit
def _minima(grams, factors, shifts, minima):
    minima[:] = np.uint32(0xFFFFFFFF)
    for gram in grams:
        low = np.uint32(gram >> np.uint64(32))
        for j in range(MINIMA):
            value = np.uint32(low * factors[j] + shifts[j])
            minima[j] = min(minima[j], value)


@njit
def _distinct(hashes, first, count, n, seen, grams):
    """The different n-gram hashes of one document; returns how many."""
    mask = 15
    while mask < 2 * count:
        mask = 2 * mask + 1
    seen[: mask + 1] = 0
    found = 0
    for at in range(first, first + count):
        gram = gram_hash(hashes, at, n)
        slot = np.int64(gram & np.uint64(mask))
        while seen[slot] != 0 and seen[slot] != gram:
            slot = (slot + 1) & mask
        if seen[slot] == 0:
            seen[slot], grams[found] = gram, gram
            found += 1
    return found


@njit
def _min_hash(token_offsets, hashes, sizes, factors, shifts, bands, sketches, distinct):
    minima = np.empty(MINIMA, np.uint32)
    most = 1
    for document in range(len(sizes)):
        most = max(most, token_offsets[document + 1] - token_offsets[document])
    grams, seen = np.empty(most, np.uint64), np.empty(4 * most + 16, np.uint64)
    for document in range(len(sizes)):
        first, n = token_offsets[document], sizes[document]
        count = max(0, token_offsets[document + 1] - first - n + 1)
        distinct[document] = _distinct(hashes, first, count, n, seen, grams)
        _minima(grams[: distinct[document]], factors, shifts, minima)
        for band in range(BANDS):
            key = np.uint64(band)
            for j in range(band * ROWS, band * ROWS + ROWS):
                key = mix(key ^ np.uint64(minima[j]))
            bands[document, band] = np.uint32(key)
        for j in range(SKETCHED):
            bits = mix(np.uint64(minima[j])) & np.uint64(3)
            sketches[document, j // 32] |= bits << np.uint64(2 * (j % 32))


def min_hash(
    token_offsets: np.ndarray, hashes: np.ndarray, sizes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the sets of n-grams ``sizes`` (int64[n]) tokens long: (band keys uint32[n, BANDS], sketches uint64[n, 2],
    how many n-grams are in each int64[n]).

    A document without n-grams has the keys of the empty set: leave it out.
    """
    bands = np.empty((len(sizes), BANDS), np.uint32)
    sketches, distinct = np.zeros((len(sizes), 2), np.uint64), np.empty(len(sizes), np.int64)
    _min_hash(token_offsets, hashes, sizes, *_orders(), bands, sketches, distinct)
    return bands, sketches, distinct


@njit(inline="always")
def alike(low, high, size, other_low, other_high, other_size, similarity, agreement):
    """Whether two sketches (two words each) and set sizes leave a Jaccard similarity of that much possible.

    A set that is too small or too large excludes it for certain, a sketch with fewer than ``agreement`` equal
    positions (`least_agreement`) all but certainly.
    """
    first, second = low ^ other_low, high ^ other_high
    first, second = (first | (first >> np.uint64(1))) & LOWEST, (second | (second >> np.uint64(1))) & LOWEST
    if SKETCHED - popcount(first | (second << np.uint64(1))) < agreement:
        return False  # first: of unlike texts this says so nearly always, and a branch that goes one way costs nothing
    return min(size, other_size) / max(size, other_size, 1) >= similarity


def least_agreement(similarity: float) -> int:
    """Positions of two sketches that must agree, of `SKETCHED`: fewer do so once in 30,000 pairs of that Jaccard
    similarity (the binomial distribution's tail)."""
    chance = similarity + (1 - similarity) / 4
    total = 0.0
    for positions in range(SKETCHED):
        total += math.comb(SKETCHED, positions) * chance**positions * (1 - chance) ** (SKETCHED - positions)
        if total > 1 / 30_000:
            return positions
    return SKETCHED

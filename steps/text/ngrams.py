"""Repetition of n-grams within a document, over token hashes, in linear time.

Source: Rae et al. 2021 (arXiv 2112.11446) Table A1; the counting of duplicates is datatrove's
(huggingface/datatrove@a649de79, gopher_repetition_filter.py), because the published thresholds were
set with it: from left to right, an n-gram seen before counts all its characters and is jumped over.
"""

from __future__ import annotations

import numpy as np

from steps.text.jit import njit

MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@njit(inline="always")
def _gram(hashes, at, n):
    value = np.uint64(n)
    for i in range(at, at + n):
        value = (value ^ hashes[i]) * np.uint64(0x9E3779B97F4A7C15)
        value ^= value >> np.uint64(29)
    return value


@njit
def _table_size(offsets):
    longest = 1
    for i in range(len(offsets) - 1):
        longest = max(longest, offsets[i + 1] - offsets[i])
    size = 16
    while size < 2 * longest:
        size *= 2
    return size


@njit
def duplicate_ngram_share(offsets, hashes, chars, n):
    """float64[documents]: characters in repeated n-grams / in tokens. offsets int64[documents + 1]."""
    out = np.zeros(len(offsets) - 1)
    size = _table_size(offsets)
    mask = size - 1
    keys = np.zeros(size, np.uint64)
    stamp = np.full(size, -1, np.int64)
    for document in range(len(offsets) - 1):
        at, stop = offsets[document], offsets[document + 1]
        total, repeated = 0, 0
        for i in range(at, stop):
            total += chars[i]
        while at + n <= stop:
            key = _gram(hashes, at, n)
            slot = np.int64(key & np.uint64(mask))
            while stamp[slot] == document and keys[slot] != key:
                slot = (slot + 1) & mask
            if stamp[slot] == document:
                for i in range(at, at + n):
                    repeated += chars[i]
                at += n
            else:
                stamp[slot], keys[slot] = document, key
                at += 1
        if total > 0:
            out[document] = repeated / total
    return out


@njit
def top_ngram_share(offsets, hashes, chars, n):
    """float64[documents]: count × characters of the most frequent n-gram / characters in tokens.

    An n-gram that occurs once does not count; of equally frequent ones the longest does.
    """
    out = np.zeros(len(offsets) - 1)
    size = _table_size(offsets)
    mask = size - 1
    keys = np.zeros(size, np.uint64)
    counts = np.zeros(size, np.int64)
    stamp = np.full(size, -1, np.int64)
    for document in range(len(offsets) - 1):
        total, best, best_chars = 0, 1, 0
        for i in range(offsets[document], offsets[document + 1]):
            total += chars[i]
        for at in range(offsets[document], offsets[document + 1] - n + 1):
            key = _gram(hashes, at, n)
            slot = np.int64(key & np.uint64(mask))
            while stamp[slot] == document and keys[slot] != key:
                slot = (slot + 1) & mask
            if stamp[slot] != document:
                stamp[slot], keys[slot], counts[slot] = document, key, 0
            counts[slot] += 1
            if counts[slot] >= 2 and counts[slot] >= best:
                length = 0
                for i in range(at, at + n):
                    length += chars[i]
                if counts[slot] > best or length > best_chars:
                    best, best_chars = counts[slot], length
        if total > 0:
            out[document] = best * best_chars / total
    return out


@njit
def unique_share_and_entropy(offsets, hashes):
    """(distinct tokens / tokens, unigram entropy in nats), float64[documents] each; 0 without tokens."""
    shares, entropies = np.zeros(len(offsets) - 1), np.zeros(len(offsets) - 1)
    size = _table_size(offsets)
    mask = size - 1
    keys = np.zeros(size, np.uint64)
    counts = np.zeros(size, np.int64)
    stamp = np.full(size, -1, np.int64)
    used = np.zeros(size, np.int64)
    for document in range(len(offsets) - 1):
        total = offsets[document + 1] - offsets[document]
        distinct = 0
        for at in range(offsets[document], offsets[document + 1]):
            key = hashes[at]
            slot = np.int64(key & np.uint64(mask))
            while stamp[slot] == document and keys[slot] != key:
                slot = (slot + 1) & mask
            if stamp[slot] != document:
                stamp[slot], keys[slot], counts[slot] = document, key, 0
                used[distinct] = slot
                distinct += 1
            counts[slot] += 1
        if total > 0:
            entropy = 0.0
            for i in range(distinct):
                share = counts[used[i]] / total
                entropy -= share * np.log(share)
            shares[document] = distinct / total
            entropies[document] = entropy
    return shares, entropies


@njit
def first_occurrence(offsets, hashes):
    """int64[spans]: for each span the first span of its document with the same hash (itself when new).

    offsets int64[documents + 1] into hashes uint64[spans]; spans may be lines, sentences or paragraphs.
    """
    out = np.empty(len(hashes), np.int64)
    size = _table_size(offsets)
    mask = size - 1
    first = np.zeros(size, np.int64)
    stamp = np.full(size, -1, np.int64)
    for document in range(len(offsets) - 1):
        for at in range(offsets[document], offsets[document + 1]):
            slot = np.int64(hashes[at] & np.uint64(mask))
            while stamp[slot] == document and hashes[first[slot]] != hashes[at]:
                slot = (slot + 1) & mask
            if stamp[slot] != document:
                stamp[slot], first[slot] = document, at
            out[at] = first[slot]
    return out

"""Repetition of n-grams within a document, over token hashes, in linear time.

Source: Rae et al. 2021 (arXiv 2112.11446) Table A1; the counting of duplicates is datatrove's
(huggingface/datatrove@a649de79, gopher_repetition_filter.py), because the published thresholds were
set with it: from left to right, an n-gram seen before counts all its characters and is jumped over.

An n-gram can only repeat where both shorter ones of which it is made repeat (Agrawal & Srikant 1994, Apriori).
So every token, then every place whose token repeats, then every place whose 2-gram repeats, and so on, is looked up
once; after 4 tokens few places are left of most texts. Looked up is the pair of the two shorter n-grams' numbers:
apart from the tokens' hashes, no n-gram is taken for another.
"""

from __future__ import annotations

import numpy as np

from steps.text.jit import njit
from steps.text.segment import mix

TOP = (2, 3, 4)
DUPLICATE = (5, 6, 7, 8, 9, 10, 13, 16, 20)
# Each length, and by how much it is longer than the one before: a 13-gram is the 10-grams at its place and 3 further
LENGTHS = (2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 16, 20)
# Columns of `repetition`: different tokens / tokens, unigram entropy in nats, then TOP and DUPLICATE in order
UNIQUE, ENTROPY = range(2)
COLUMNS = ("unique", "entropy", *(f"top_{n}" for n in TOP), *(f"duplicate_{n}" for n in DUPLICATE))


@njit
def _table_size(offsets):
    """A power of two that leaves half of the slots free with the longest document's tokens."""
    longest = 1
    for i in range(len(offsets) - 1):
        longest = max(longest, offsets[i + 1] - offsets[i])
    size = 16
    while size < 2 * longest:
        size *= 2
    return size


@njit(inline="always")
def _room(count):
    """A power of two of slots for so many keys, half of them free."""
    size = 16
    while size < 2 * count:
        size *= 2
    return size


@njit(inline="always")
def _slot(key, spread, size, pass_, keys, stamp):
    """The slot of `key` among the first `size`; its stamp is `pass_` if the key is there. spread: the key's hash."""
    mask = size - 1
    slot = np.int64(spread & np.uint64(mask))
    while stamp[slot] == pass_ and keys[slot] != key:
        slot = (slot + 1) & mask
    return slot


@njit
def _number_tokens(hashes, places, number, pass_, keys, stamp, first, often, slots, used):
    """(places whose token repeats, different tokens, entropy in nats) of one document's hashes.

    Each token's number becomes the place where it stands first, -1 if only there; places int32[] of those that repeat.
    """
    size, length = _room(len(hashes)), len(hashes)
    distinct, count = 0, 0
    for at in range(length):
        key = hashes[at]
        slot = _slot(key, key, size, pass_, keys, stamp)
        if stamp[slot] != pass_:
            stamp[slot], keys[slot], first[slot], often[slot] = pass_, key, at, 0
            used[distinct] = slot
            distinct += 1
        often[slot] += 1
        slots[at] = slot
    entropy = 0.0
    for i in range(distinct):
        share = often[used[i]] / length
        entropy -= share * np.log(share)
    for at in range(length):
        number[at] = -1
        if often[slots[at]] >= 2:
            number[at], places[count] = first[slots[at]], at
            count += 1
    return count, distinct, entropy


@njit
def _number_longer(places, count, number, gap, length, pass_, keys, stamp, first, often, slots):
    """As `_number_tokens`, for n-grams made of the shorter ones at a place and `gap` behind it; returns the places.

    places[:count], ascending: where the shorter n-gram repeats; number: of it, -1 where it does not. often and slots
    are left with how often the n-gram at each place stands.
    """
    size, kept, staying = _room(count), 0, 0
    for i in range(count):
        at = places[i]
        if at + gap >= length or number[at + gap] < 0:
            number[at] = -1
            continue
        key = (np.uint64(number[at]) << np.uint64(32)) | np.uint64(number[at + gap])
        slot = _slot(key, mix(key), size, pass_, keys, stamp)
        if stamp[slot] != pass_:
            stamp[slot], keys[slot], first[slot], often[slot] = pass_, key, at, 0
        often[slot] += 1
        places[kept], slots[kept] = at, slot
        kept += 1
    for i in range(kept):
        at, slot = places[i], slots[i]
        number[at] = -1
        if often[slot] >= 2:
            number[at], places[staying], slots[staying] = first[slot], at, slot
            staying += 1
    return staying


@njit(inline="always")
def _top(places, count, slots, often, reach, n):
    """count × characters of the most frequent n-gram, of equally frequent ones the longest; 0 if none repeats."""
    best, longest = 0, 0
    for i in range(count):
        length = reach[places[i] + n] - reach[places[i]]
        if often[slots[i]] > best or (often[slots[i]] == best and length > longest):
            best, longest = often[slots[i]], length
    return best * longest


@njit(inline="always")
def _duplicates(places, count, number, reach, n, pass_, seen):
    """Characters in n-grams seen before, jumping over each; seen int32[tokens], by number."""
    repeated, free = 0, 0
    for i in range(count):
        at = places[i]
        if at < free:
            continue
        if seen[number[at]] == pass_:
            repeated += reach[at + n] - reach[at]
            free = at + n
        seen[number[at]] = pass_
    return repeated


@njit
def repetition(offsets, hashes, chars):
    """float64[documents, COLUMNS]; offsets int64[documents + 1] into hashes uint64[] and chars int32[] of tokens."""
    documents = len(offsets) - 1
    out = np.zeros((documents, len(COLUMNS)))
    size = _table_size(offsets)
    keys, stamp, first = np.empty(size, np.uint64), np.zeros(size, np.int32), np.empty(size, np.int32)
    often, slots = np.empty(size, np.int32), np.empty(size, np.int32)
    places, number = np.empty(size, np.int32), np.empty(size, np.int32)
    reach, seen, used = np.zeros(size, np.int32), np.zeros(size, np.int32), np.empty(size, np.int32)
    pass_ = np.int32(0)
    for document in range(documents):
        start, length = offsets[document], offsets[document + 1] - offsets[document]
        if length == 0:
            continue
        for at in range(length):
            reach[at + 1] = reach[at] + chars[start + at]
            seen[at] = 0
        total = max(reach[length], 1)
        pass_ += np.int32(1)
        own = hashes[start : start + length]
        count, distinct, entropy = _number_tokens(
            own, places, number, pass_, keys, stamp, first, often, slots, used
        )
        out[document, UNIQUE], out[document, ENTROPY] = distinct / length, entropy
        before = 1
        for column in range(len(LENGTHS)):
            n = LENGTHS[column]
            pass_ += np.int32(1)
            gap = n - before
            count = _number_longer(
                places, count, number, gap, length, pass_, keys, stamp, first, often, slots
            )
            if count == 0:
                break
            if column < len(TOP):
                found = _top(places, count, slots, often, reach, n)
            else:
                found = _duplicates(places, count, number, reach, n, pass_, seen)
            out[document, ENTROPY + 1 + column] = found / total
            before = n
    return out


@njit
def first_occurrence(offsets, hashes):
    """int64[spans]: for each span the first span of its document with the same hash (itself when new).

    offsets int64[documents + 1] into hashes uint64[spans]; spans may be lines, sentences or paragraphs.
    """
    out = np.empty(len(hashes), np.int64)
    size = _table_size(offsets)
    keys, stamp, first = np.empty(size, np.uint64), np.zeros(size, np.int32), np.empty(size, np.int64)
    for document in range(len(offsets) - 1):
        start, stop = offsets[document], offsets[document + 1]
        table = _room(stop - start)
        for at in range(start, stop):
            slot = _slot(hashes[at], hashes[at], table, document + 1, keys, stamp)
            if stamp[slot] != document + 1:
                stamp[slot], keys[slot], first[slot] = document + 1, hashes[at], at
            out[at] = first[slot]
    return out

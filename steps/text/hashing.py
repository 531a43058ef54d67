"""Hashes of texts for comparing them: stripped text, 128-bit content hashes, tokens, n-gram sets.

A batch is `data` (uint8, UTF-8, all texts one after the other) and `offsets` (int64[n + 1]), as
`segment.text_buffers` gives it. Kernels are compiled; nothing loops in Python over characters or words.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import xxhash

from steps.text.jit import bits_set, njit
from steps.text.segment import decode, mix
from steps.text.unicode_tables import DIGIT, IDEOGRAPH, LETTER, MARK, OTHER_NUMBER

CONTENT = np.uint16(LETTER | DIGIT | OTHER_NUMBER | MARK | IDEOGRAPH)
WORD_SEED = np.uint64(0x9E3779B97F4A7C15)
FOLD_LIMIT = 0x600  # Latin, Greek, Cyrillic, Armenian: the cased scripts of the first 1536 code points


class Words(NamedTuple):
    """Tokens of all documents: one ideograph, or a run of letters, digits and marks, lower-cased.

    offsets int64[documents + 1] into start, end (byte range in data), hash uint64, ideograph bool.
    """

    data: np.ndarray
    offsets: np.ndarray
    start: np.ndarray
    end: np.ndarray
    hash: np.ndarray
    ideograph: np.ndarray


@functools.cache
def fold_table() -> np.ndarray:
    """int32[0x600]: lower case of each code point, where it takes as many UTF-8 bytes; itself elsewhere."""
    table = np.arange(FOLD_LIMIT, dtype=np.int32)
    for point in range(FOLD_LIMIT):
        lower = chr(point).lower()
        if len(lower) == 1 and len(lower.encode()) == len(chr(point).encode()):
            table[point] = ord(lower)
    return table


@functools.cache
def _ascii_words() -> np.ndarray:
    """uint8[128]: the lower-case letter or the digit that a byte stands for; 0 where it is neither."""
    return np.array([ord(chr(b).lower()) if chr(b).isalnum() else 0 for b in range(128)], np.uint8)


@njit(inline="always")
def _is_content(point, classes):
    """Letters, digits, numbers and marks; not variation selectors and the keycap, which belong to emoji."""
    if (classes[point] & CONTENT) == 0:
        return False
    return not (0xFE00 <= point <= 0xFE0F or point == 0x20E3 or 0xE0100 <= point <= 0xE01EF)


@njit
def _strip(data, offsets, classes, ascii_words, out, out_offsets, chars):
    to = 0
    for document in range(len(offsets) - 1):
        at, stop = offsets[document], offsets[document + 1]
        count = 0
        while at < stop:
            if data[at] < 0x80:
                if ascii_words[data[at]] != 0:
                    out[to] = data[at]
                    to += 1
                    count += 1
                at += 1
                continue
            point, size = decode(data, at, stop)
            if _is_content(point, classes):
                for i in range(at, at + size):
                    out[to] = data[i]
                    to += 1
                count += 1
            at += size
        chars[document], out_offsets[document + 1] = count, to
    return to


def strip_texts(
    data: np.ndarray, offsets: np.ndarray, classes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(bytes uint8[], offsets int64[n + 1], characters int64[n]): texts without punctuation, symbols, emoji,
    control characters and space. Case stays."""
    out, out_offsets = np.empty(len(data), np.uint8), np.zeros(len(offsets), np.int64)
    chars = np.zeros(len(offsets) - 1, np.int64)
    size = _strip(data, offsets, classes, _ascii_words(), out, out_offsets, chars)
    return out[:size], out_offsets, chars


def hash128(data: np.ndarray, offsets: np.ndarray, seed: int = 0) -> np.ndarray:
    """uint64[n, 2] (high, low): xxh3-128 of each document's bytes. One call of the C library per document."""
    view = np.ascontiguousarray(data).data
    digests = b"".join(
        xxhash.xxh3_128_digest(view[a:b], seed)
        for a, b in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
    )
    return np.frombuffer(digests, dtype=">u8").astype(np.uint64).reshape(-1, 2)


@njit(inline="always")
def _extend(value, point):
    return (value ^ np.uint64(point)) * np.uint64(0x100000001B3)


@njit(inline="always")
def _copy_lower(data, at, size, point, fold, out):
    """Copy a character of several bytes in lower case; returns its code point."""
    if point < FOLD_LIMIT and fold[point] != point:
        point = fold[point]
        out[at], out[at + 1] = np.uint8(0xC0 | (point >> 6)), np.uint8(0x80 | (point & 0x3F))
        return point
    for i in range(at, at + size):
        out[i] = data[i]
    return point


@njit
def _words(data, offsets, classes, ascii_words, fold, out, token_offsets, start, end, hashes, ideograph):
    count = 0
    for document in range(len(offsets) - 1):
        token_offsets[document] = count
        at, stop = offsets[document], offsets[document + 1]
        inside, value = False, np.uint64(0)
        while at < stop:
            single, content, size = False, False, 1
            if data[at] < 0x80:
                begin, state = at, value if inside else WORD_SEED
                while at < stop and data[at] < 0x80 and ascii_words[data[at]] != 0:
                    out[at] = ascii_words[data[at]]
                    state = _extend(state, out[at])
                    at += 1
                if at > begin:
                    if not inside:
                        start[count], ideograph[count], inside = begin, False, True
                    value = state
                    continue
            else:
                point, size = decode(data, at, stop)
                single = (classes[point] & IDEOGRAPH) != 0
                if single and size == 3 and not inside:
                    out[at], out[at + 1], out[at + 2] = data[at], data[at + 1], data[at + 2]
                    start[count], end[count], ideograph[count] = at, at + 3, True
                    hashes[count] = mix(np.uint64(point) + np.uint64(1))
                    count += 1
                    at += 3
                    continue
                content = _is_content(point, classes)
            if inside and (single or not content):
                end[count], hashes[count] = at, mix(value)
                count += 1
                inside = False
            if content:
                point = _copy_lower(data, at, size, point, fold, out)
                if single:
                    start[count], end[count], ideograph[count] = at, at + size, True
                    hashes[count] = mix(np.uint64(point) + np.uint64(1))
                    count += 1
                else:
                    if not inside:
                        start[count], ideograph[count] = at, False
                        inside, value = True, WORD_SEED
                    value = _extend(value, point)
            at += size
        if inside:
            end[count], hashes[count] = stop, mix(value)
            count += 1
    token_offsets[len(offsets) - 1] = count
    return count


def words(data: np.ndarray, offsets: np.ndarray, classes: np.ndarray) -> Words:
    """Tokens of every document. Chinese is thus cut into characters, English into lower-case words."""
    size = len(data) + 1
    out = np.empty(len(data), np.uint8)
    token_offsets = np.empty(len(offsets), np.int64)
    start, end = np.empty(size, np.int64), np.empty(size, np.int64)
    hashes, ideograph = np.empty(size, np.uint64), np.empty(size, np.bool_)
    count = _words(
        data,
        offsets,
        classes,
        _ascii_words(),
        fold_table(),
        out,
        token_offsets,
        start,
        end,
        hashes,
        ideograph,
    )
    # views: the buffers are sized for one token per byte, but pages that were never touched take no memory
    return Words(out, token_offsets, start[:count], end[:count], hashes[:count], ideograph[:count])


@njit
def mostly_ideographs(token_offsets, ideograph):
    """bool[documents]: at least half of the document's tokens are single ideographs."""
    out = np.empty(len(token_offsets) - 1, np.bool_)
    for document in range(len(out)):
        singles = 0
        for i in range(token_offsets[document], token_offsets[document + 1]):
            singles += ideograph[i]
        out[document] = 2 * singles >= token_offsets[document + 1] - token_offsets[document]
    return out


@njit(inline="always")
def gram_hash(hashes, at, n):
    """uint64 hash of the n tokens from ``at``; never 0."""
    value = np.uint64(n)
    for i in range(at, at + n):
        value = (value ^ hashes[i]) * np.uint64(0x9E3779B97F4A7C15)
        value ^= value >> np.uint64(29)
    return max(mix(value), np.uint64(1))


@njit
def gram_sets(token_offsets, hashes, sizes):
    """(offsets int64[n + 1], uint64[]): sorted distinct n-gram hashes of each document."""
    out = np.empty(len(hashes), np.uint64)
    offsets = np.zeros(len(token_offsets), np.int64)
    to = 0
    for document in range(len(sizes)):
        n = sizes[document]
        first, stop = token_offsets[document], token_offsets[document + 1] - n + 1
        if stop > first:
            grams = np.empty(stop - first, np.uint64)
            for at in range(first, stop):
                grams[at - first] = gram_hash(hashes, at, n)
            grams.sort()
            for i in range(len(grams)):
                if i == 0 or grams[i] != grams[i - 1]:
                    out[to] = grams[i]
                    to += 1
        offsets[document + 1] = to
    return offsets, out[:to].copy()


@njit
def jaccard(offsets, grams, a, b, at_least=0.0):
    """Jaccard similarity of the n-gram sets of documents a and b; 0 where both are empty.

    0 as well where it is below ``at_least``, without counting to the end: most candidates are far below.
    """
    i, j = offsets[a], offsets[b]
    stop_i, stop_j = offsets[a + 1], offsets[b + 1]
    together = stop_i - i + stop_j - j
    if together == 0:
        return 0.0
    # the fewest common n-grams with which both / (together - both) reaches the bound, by that very division
    needed = int(at_least * together / (1 + at_least))
    if needed > 0:
        needed -= 1
    while needed / (together - needed) < at_least:
        needed += 1
    both = 0
    while i < stop_i and j < stop_j:
        if grams[i] == grams[j]:
            both += 1
            i += 1
            j += 1
            continue
        if grams[i] < grams[j]:
            i += 1
        else:
            j += 1
        if both + min(stop_i - i, stop_j - j) < needed:
            return 0.0
    return both / (together - both) if both >= needed else 0.0


@njit(inline="always")
def popcount(x):
    """Number of set bits of a uint64."""
    return bits_set(x)

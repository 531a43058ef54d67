"""Hashes of texts for comparing them: stripped text, 128-bit content hashes, SimHash fingerprints, n-gram sets.

A batch is `data` (uint8, UTF-8, all texts one after the other) and `offsets` (int64[n + 1]), as
`segment.text_buffers` gives it. Kernels are compiled; nothing loops in Python over characters or words.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import xxhash

from steps.text.jit import njit
from steps.text.segment import decode, mix
from steps.text.unicode_tables import DIGIT, IDEOGRAPH, LETTER, MARK, OTHER_NUMBER

CONTENT = np.uint16(LETTER | DIGIT | OTHER_NUMBER | MARK | IDEOGRAPH)
FOLD_LIMIT = 0x600  # Latin, Greek, Cyrillic, Armenian: the cased scripts of the first 1536 code points
CACHE_SLOTS = 1 << 16  # n-gram → MD5 cache of one kernel call: 1 MiB, stays in L2


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


@njit(inline="always")
def _is_content(point, classes):
    """Letters, digits, numbers and marks; not variation selectors and the keycap, which belong to emoji."""
    if (classes[point] & CONTENT) == 0:
        return False
    return not (0xFE00 <= point <= 0xFE0F or point == 0x20E3 or 0xE0100 <= point <= 0xE01EF)


@njit
def strip_texts(data, offsets, classes):
    """(bytes uint8[], offsets int64[n + 1], characters int64[n]): texts without punctuation, symbols, emoji,
    control characters and space. Case stays."""
    out = np.empty(len(data), np.uint8)
    out_offsets = np.zeros(len(offsets), np.int64)
    chars = np.zeros(len(offsets) - 1, np.int64)
    to = 0
    for document in range(len(offsets) - 1):
        at, stop = offsets[document], offsets[document + 1]
        while at < stop:
            point, size = decode(data, at, stop)
            if _is_content(point, classes):
                for i in range(at, at + size):
                    out[to] = data[i]
                    to += 1
                chars[document] += 1
            at += size
        out_offsets[document + 1] = to
    return out[:to], out_offsets, chars


def hash128(data: np.ndarray, offsets: np.ndarray, seed: int = 0) -> np.ndarray:
    """uint64[n, 2] (high, low): xxh3-128 of each document's bytes. One call of the C library per document."""
    view = np.ascontiguousarray(data).data
    digests = b"".join(
        xxhash.xxh3_128_digest(view[a:b], seed)
        for a, b in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
    )
    return np.frombuffer(digests, dtype=">u8").astype(np.uint64).reshape(-1, 2)


@njit
def _words(data, offsets, classes, fold, out, token_offsets, start, end, hashes, ideograph):
    count = 0
    for document in range(len(offsets) - 1):
        token_offsets[document] = count
        at, stop = offsets[document], offsets[document + 1]
        inside = False
        value = np.uint64(0)
        while at < stop:
            point, size = decode(data, at, stop)
            single = (classes[point] & IDEOGRAPH) != 0
            content = _is_content(point, classes)
            if inside and (single or not content):
                end[count - 1], hashes[count - 1] = at, mix(value)
                inside = False
            if content:
                for i in range(at, at + size):
                    out[i] = data[i]
                if point < FOLD_LIMIT and fold[point] != point:
                    point = fold[point]
                    if size == 1:
                        out[at] = np.uint8(point)
                    else:
                        out[at] = np.uint8(0xC0 | (point >> 6))
                        out[at + 1] = np.uint8(0x80 | (point & 0x3F))
                if single:
                    start[count], end[count], ideograph[count] = at, at + size, True
                    hashes[count] = mix(np.uint64(point) + np.uint64(1))
                    count += 1
                else:
                    if not inside:
                        start[count], ideograph[count] = at, False
                        count += 1
                        inside, value = True, np.uint64(0x9E3779B97F4A7C15)
                    value = (value ^ np.uint64(point)) * np.uint64(0x100000001B3)
            at += size
        if inside:
            end[count - 1], hashes[count - 1] = stop, mix(value)
    token_offsets[len(offsets) - 1] = count
    return count


def words(data: np.ndarray, offsets: np.ndarray, classes: np.ndarray) -> Words:
    """Tokens of every document. Chinese is thus cut into characters, English into lower-case words."""
    size = len(data) + 1
    out = np.empty(len(data), np.uint8)
    token_offsets = np.empty(len(offsets), np.int64)
    start, end = np.empty(size, np.int64), np.empty(size, np.int64)
    hashes, ideograph = np.empty(size, np.uint64), np.empty(size, np.bool_)
    count = _words(data, offsets, classes, fold_table(), out, token_offsets, start, end, hashes, ideograph)
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
def _gram_hash(hashes, at, n):
    value = np.uint64(n)
    for i in range(at, at + n):
        value = (value ^ hashes[i]) * np.uint64(0x9E3779B97F4A7C15)
        value ^= value >> np.uint64(29)
    return mix(value)


_SHIFT = np.array(
    [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]], np.uint32
)  # RFC 1321, section 3.4
_SINE = np.array([int(abs(np.sin(i + 1)) * 2**32) & 0xFFFFFFFF for i in range(64)], np.uint32)


@njit(inline="always")
def _swap32(x):
    x = np.uint32(x)
    return np.uint64(
        ((x & np.uint32(0xFF)) << np.uint32(24))
        | ((x & np.uint32(0xFF00)) << np.uint32(8))
        | ((x >> np.uint32(8)) & np.uint32(0xFF00))
        | (x >> np.uint32(24))
    ) & np.uint64(0xFFFFFFFF)


@njit(inline="always")
def _turn(f, a, b, sine, word, shift):
    total = np.uint32(f + a + sine + word)
    return np.uint32(b + np.uint32((total << shift) | (total >> np.uint32(np.uint32(32) - shift))))


@njit
def _md5_low(block, length):
    """The last 8 bytes, big-endian, of the MD5 of block[:length]. block is scratch with 72 bytes of room."""
    padded = ((length + 8) // 64 + 1) * 64
    block[length] = 0x80
    for i in range(length + 1, padded):
        block[i] = 0
    bits = np.uint64(length * 8)
    for i in range(8):
        block[padded - 8 + i] = np.uint8((bits >> np.uint64(8 * i)) & np.uint64(0xFF))
    words32 = block[:padded].view(np.uint32)  # little-endian machines only, as every supported one
    a0, b0, c0, d0 = (
        np.uint32(0x67452301),
        np.uint32(0xEFCDAB89),
        np.uint32(0x98BADCFE),
        np.uint32(0x10325476),
    )
    for first in range(0, padded // 4, 16):
        a, b, c, d = a0, b0, c0, d0
        for i in range(16):
            f = np.uint32((b & c) | (~b & d))
            a, d, c, b = d, c, b, _turn(f, a, b, _SINE[i], words32[first + i], _SHIFT[0, i & 3])
        for i in range(16):
            f = np.uint32((d & b) | (~d & c))
            a, d, c, b = (
                d,
                c,
                b,
                _turn(f, a, b, _SINE[16 + i], words32[first + ((5 * i + 1) & 15)], _SHIFT[1, i & 3]),
            )
        for i in range(16):
            f = np.uint32(b ^ c ^ d)
            a, d, c, b = (
                d,
                c,
                b,
                _turn(f, a, b, _SINE[32 + i], words32[first + ((3 * i + 5) & 15)], _SHIFT[2, i & 3]),
            )
        for i in range(16):
            f = np.uint32(c ^ (b | ~d))
            a, d, c, b = (
                d,
                c,
                b,
                _turn(f, a, b, _SINE[48 + i], words32[first + ((7 * i) & 15)], _SHIFT[3, i & 3]),
            )
        a0, b0, c0, d0 = np.uint32(a0 + a), np.uint32(b0 + b), np.uint32(c0 + c), np.uint32(d0 + d)
    return (_swap32(c0) << np.uint64(32)) | _swap32(d0)


@njit
def _feature_bytes(data, start, end, ideograph, at, n, block):
    """Write the n-gram's UTF-8 to block, a space between two words; returns (length, block big enough)."""
    length = 0
    for i in range(at, at + n):
        length += end[i] - start[i] + 1
    if length + 72 > len(block):
        block = np.empty(2 * (length + 72) // 8 * 8, np.uint8)
    length = 0
    for i in range(at, at + n):
        if i > at and not ideograph[i] and not ideograph[i - 1]:
            block[length] = 0x20
            length += 1
        for j in range(start[i], end[i]):
            block[length] = data[j]
            length += 1
    return length, block


@njit
def _flush(planes, sums):
    for bit in range(64):
        for j in range(8):
            sums[bit] += ((planes[j] >> np.uint64(bit)) & np.uint64(1)) << np.uint64(j)
    planes[:] = 0


@njit
def _set_size(offsets, sizes, shortest, once):
    """A power of two of slots for the distinct features of the largest document that needs a set."""
    most = 8
    for document in range(len(sizes)):
        if once[document]:
            lengths = sizes[document] - shortest[document] + 1
            most = max(most, lengths * (offsets[document + 1] - offsets[document]))
    slots = 16
    while slots < 2 * most:
        slots *= 2
    return slots


@njit(inline="always")
def _seen(key, document, seen, stamp):
    """Whether this document had the key; notes it. A stamp of another document is a free slot."""
    mask = len(seen) - 1
    slot = np.int64(key & np.uint64(mask))
    while stamp[slot] == document and seen[slot] != key:
        slot = (slot + 1) & mask
    if stamp[slot] == document:
        return True
    stamp[slot], seen[slot] = document, key
    return False


@njit(inline="always")
def _add(planes, value, weight):
    """Add ``weight`` (below 256) for each set bit of ``value``: eight bit-planes count all 64 bits at once."""
    start = 0
    while weight > 0:
        if weight & 1:
            carry, plane = value, start
            while carry != 0:
                both = planes[plane] & carry
                planes[plane] ^= carry
                carry = both
                plane += 1
        weight >>= 1
        start += 1


@njit
def _simhash(data, offsets, start, end, hashes, ideograph, sizes, shortest, once, out, features):
    cache_key, cache_value = np.zeros(CACHE_SLOTS, np.uint64), np.zeros(CACHE_SLOTS, np.uint64)
    slots = _set_size(offsets, sizes, shortest, once)
    seen, stamp = np.zeros(slots, np.uint64), np.full(slots, -1, np.int64)
    block = np.empty(512, np.uint8)
    planes, sums = np.zeros(8, np.uint64), np.zeros(64, np.uint64)
    for document in range(len(out)):
        count, total, pending = 0, np.uint64(0), 0
        sums[:] = 0
        for n in range(shortest[document], sizes[document] + 1):
            weight = sizes[document] + 1 - n
            for at in range(offsets[document], offsets[document + 1] - n + 1):
                key = _gram_hash(hashes, at, n)
                if once[document] and _seen(key, document, seen, stamp):
                    continue
                slot = np.int64(key & np.uint64(CACHE_SLOTS - 1))
                if cache_key[slot] != key or key == 0:
                    length, block = _feature_bytes(data, start, end, ideograph, at, n, block)
                    cache_key[slot], cache_value[slot] = key, _md5_low(block, length)
                if pending + weight > 255:
                    _flush(planes, sums)
                    pending = 0
                _add(planes, cache_value[slot], weight)
                pending += weight
                total += np.uint64(weight)
                count += 1
        _flush(planes, sums)
        value = np.uint64(0)
        for bit in range(64):
            if sums[bit] * np.uint64(2) > total:
                value |= np.uint64(1) << np.uint64(bit)
        out[document], features[document] = value, count


def simhash64(
    tokens: Words, sizes: np.ndarray, once: np.ndarray, shortest: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(uint64[n] fingerprints, int64[n] features): SimHash (Charikar 2002) over token n-grams.

    A document's features are its n-grams of ``shortest`` (default: ``sizes``) to ``sizes`` tokens (int64[n] each, at
    most 8), as lower-cased UTF-8 with a space between two words. One weighs ``size + 1 - tokens``, as often as it
    occurs, or only once where ``once`` (bool[n]) says so. Equal to ``simhash.Simhash({feature: weight}).value`` of the
    `simhash` package 2.1.2: MD5's last 64 bits, and a bit is set if more than half of the weight has it. A document
    with fewer tokens than the shortest n-gram has 0 features and the meaningless fingerprint 0: leave it out.
    """
    out, features = np.zeros(len(sizes), np.uint64), np.zeros(len(sizes), np.int64)
    _simhash(
        tokens.data,
        tokens.offsets,
        tokens.start,
        tokens.end,
        tokens.hash,
        tokens.ideograph,
        sizes,
        sizes if shortest is None else shortest,
        once,
        out,
        features,
    )
    return out, features


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
                grams[at - first] = _gram_hash(hashes, at, n)
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
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((x * np.uint64(0x0101010101010101)) >> np.uint64(56))

"""SimHash fingerprints (Charikar, STOC 2002) equal to those of the `simhash` package 2.1.2, by compiled kernels.

That package hashes each feature with MD5, so MD5 is what costs. A document's features are first reduced to distinct
ones, those met shortly before come from a cache, and the others are hashed `LANES` at a time, which a compiler turns
into vector instructions.
"""

from __future__ import annotations

import numpy as np

from steps.text.hashing import Words, gram_hash
from steps.text.jit import njit

CACHE_SLOTS = 1 << 18  # n-gram → MD5: 4 MiB, stays in L3
LANES = 32  # 37 ns an MD5, 56 ns with 16 lanes (this machine, SSE 4.2)
BLOCK_BYTES = 64
_ROOM = BLOCK_BYTES - 9  # bytes of a feature that fit one MD5 block beside the end mark and the length
_SHIFT = np.array(
    [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]], np.uint32
)  # RFC 1321, section 3.4
_SINE = np.array([int(abs(np.sin(i + 1)) * 2**32) & 0xFFFFFFFF for i in range(64)], np.uint32)
# eight counters of one byte in a word: counter j of _SPREAD[b] is bit j of b
_SPREAD = np.array([sum(((b >> j) & 1) << (8 * j) for j in range(8)) for b in range(256)], np.uint64)


@njit
def _md5_blocks(state, block):
    """One MD5 block in every lane. state uint32[4, LANES], block uint32[16, LANES]."""
    a, b, c, d = state[0].copy(), state[1].copy(), state[2].copy(), state[3].copy()
    f = np.empty(LANES, np.uint32)
    for i in range(64):
        kind = i >> 4
        if kind == 0:
            word = i
            for lane in range(LANES):
                f[lane] = d[lane] ^ (b[lane] & (c[lane] ^ d[lane]))
        elif kind == 1:
            word = (5 * i + 1) & 15
            for lane in range(LANES):
                f[lane] = c[lane] ^ (d[lane] & (b[lane] ^ c[lane]))
        elif kind == 2:
            word = (3 * i + 5) & 15
            for lane in range(LANES):
                f[lane] = b[lane] ^ c[lane] ^ d[lane]
        else:
            word = (7 * i) & 15
            for lane in range(LANES):
                f[lane] = c[lane] ^ (b[lane] | ~d[lane])
        sine, shift = _SINE[i], _SHIFT[kind, i & 3]
        for lane in range(LANES):
            total = np.uint32(a[lane] + f[lane] + sine + block[word, lane])
            total = np.uint32(total << shift) | np.uint32(total >> np.uint32(np.uint32(32) - shift))
            a[lane] = np.uint32(b[lane] + total)
        a, b, c, d = d, a, b, c
    for lane in range(LANES):
        state[0, lane] += a[lane]
        state[1, lane] += b[lane]
        state[2, lane] += c[lane]
        state[3, lane] += d[lane]


@njit(inline="always")
def _start(state):
    for lane in range(LANES):
        state[0, lane], state[1, lane] = np.uint32(0x67452301), np.uint32(0xEFCDAB89)
        state[2, lane], state[3, lane] = np.uint32(0x98BADCFE), np.uint32(0x10325476)


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
def _last_bytes(state, lane):
    """The last 8 bytes of the lane's digest, big-endian."""
    return (_swap32(state[2, lane]) << np.uint64(32)) | _swap32(state[3, lane])


@njit(inline="always")
def _put(block, lane, at, byte):
    block[at >> 2, lane] |= np.uint32(byte) << np.uint32(8 * (at & 3))


@njit
def _feature_length(tokens_start, tokens_end, ideograph, at, n):
    """Bytes of the n-gram, with a space between two words."""
    length = 0
    for i in range(at, at + n):
        length += tokens_end[i] - tokens_start[i]
        length += i > at and not ideograph[i] and not ideograph[i - 1]
    return length


@njit
def _put_feature(data, start, end, ideograph, at, n, skip, block, lane):
    """Write bytes ``skip`` … ``skip + 63`` of the n-gram and of MD5's end mark into a lane of zeros."""
    to = -skip
    for i in range(at, at + n):
        if i > at and not ideograph[i] and not ideograph[i - 1]:
            if 0 <= to < BLOCK_BYTES:
                _put(block, lane, to, 0x20)
            to += 1
        size = end[i] - start[i]
        # only what lies in this block: a run of letters may be as long as its document
        for j in range(max(0, -to), min(size, BLOCK_BYTES - to)):
            _put(block, lane, to + j, data[start[i] + j])
        to += size
    if 0 <= to < BLOCK_BYTES:
        _put(block, lane, to, 0x80)


@njit
def _put_length(block, lane, length):
    bits = np.uint64(length) * np.uint64(8)
    block[14, lane] = np.uint32(bits & np.uint64(0xFFFFFFFF))
    block[15, lane] = np.uint32(bits >> np.uint64(32))


@njit
def _long_feature(data, start, end, ideograph, at, n, length, state, block):
    """MD5's last bytes of an n-gram that takes more than one block: rare, so that only lane 0 works."""
    _start(state)
    blocks = (length + 8) // BLOCK_BYTES + 1
    for number in range(blocks):
        block[:] = 0
        _put_feature(data, start, end, ideograph, at, n, number * BLOCK_BYTES, block, 0)
        if number == blocks - 1:
            _put_length(block, 0, length)
        _md5_blocks(state, block)
    return _last_bytes(state, 0)


@njit
def _hash_features(data, start, end, ideograph, n, places, wanted, values, state, block):
    """MD5's last 8 bytes of the n-grams at ``places[wanted]`` into ``values[wanted]``."""
    filled = 0
    lanes = np.empty(LANES, np.int64)
    block[:] = 0
    for i in range(len(wanted)):
        at = places[wanted[i]]
        length = _feature_length(start, end, ideograph, at, n)
        if length <= _ROOM:
            _put_feature(data, start, end, ideograph, at, n, 0, block, filled)
            _put_length(block, filled, length)
            lanes[filled] = wanted[i]
            filled += 1
        if filled == LANES or (filled > 0 and i == len(wanted) - 1):
            _start(state)
            _md5_blocks(state, block)
            for lane in range(filled):
                values[lanes[lane]] = _last_bytes(state, lane)
            filled = 0
            block[:] = 0
    for i in range(len(wanted)):
        at = places[wanted[i]]
        length = _feature_length(start, end, ideograph, at, n)
        if length > _ROOM:
            values[wanted[i]] = _long_feature(data, start, end, ideograph, at, n, length, state, block)


@njit
def _features(hashes, first, stop, n, once, seen, keys, places):
    """Hashes and places of a document's n-grams, the first of equal ones if ``once``; returns how many."""
    count = 0
    mask = 15
    while mask < 2 * (stop - first):
        mask = 2 * mask + 1
    if once:
        seen[: mask + 1] = 0
    for at in range(first, stop - n + 1):
        key = gram_hash(hashes, at, n)
        if once:
            slot = np.int64(key & np.uint64(mask))
            while seen[slot] != 0 and seen[slot] != key:
                slot = (slot + 1) & mask
            if seen[slot] == key:
                continue
            seen[slot] = key
        keys[count], places[count] = key, at
        count += 1
    return count


@njit
def _count_bits(values, weight, sums):
    """Add ``weight`` to sums[bit] (uint64[64]) for every set bit of every value: eight counters to a word."""
    counters = np.zeros(8, np.uint64)
    for begin in range(0, len(values), 255):
        counters[:] = 0
        for i in range(begin, min(begin + 255, len(values))):
            value = values[i]
            for byte in range(8):
                counters[byte] += _SPREAD[(value >> np.uint64(8 * byte)) & np.uint64(0xFF)]
        for bit in range(64):
            number = (counters[bit >> 3] >> np.uint64(8 * (bit & 7))) & np.uint64(0xFF)
            sums[bit] += number * np.uint64(weight)


@njit
def _simhash(data, offsets, start, end, hashes, ideograph, sizes, shortest, once, cache, out, features):
    state, block = np.empty((4, LANES), np.uint32), np.empty((16, LANES), np.uint32)
    sums = np.empty(64, np.uint64)
    most = 1
    for document in range(len(out)):
        most = max(most, offsets[document + 1] - offsets[document])
    seen, keys = np.empty(4 * most + 16, np.uint64), np.empty(most, np.uint64)
    places, values, missed = np.empty(most, np.int64), np.empty(most, np.uint64), np.empty(most, np.int64)
    for document in range(len(out)):
        first, stop = offsets[document], offsets[document + 1]
        sums[:] = 0
        number, total = 0, 0
        for n in range(shortest[document], sizes[document] + 1):
            count = _features(hashes, first, stop, n, once[document], seen, keys, places)
            misses = 0
            for i in range(count):
                slot = np.int64(keys[i] & np.uint64(CACHE_SLOTS - 1))
                if cache[slot, 0] == keys[i]:
                    values[i] = cache[slot, 1]
                else:
                    missed[misses] = i
                    misses += 1
            _hash_features(data, start, end, ideograph, n, places, missed[:misses], values, state, block)
            for i in missed[:misses]:
                slot = np.int64(keys[i] & np.uint64(CACHE_SLOTS - 1))
                cache[slot, 0], cache[slot, 1] = keys[i], values[i]
            weight = sizes[document] + 1 - n
            _count_bits(values[:count], weight, sums)
            number += count
            total += count * weight
        value = np.uint64(0)
        for bit in range(64):
            if sums[bit] * np.uint64(2) > np.uint64(total):
                value |= np.uint64(1) << np.uint64(bit)
        out[document], features[document] = value, number


def new_cache() -> np.ndarray:
    """uint64[CACHE_SLOTS, 2]: an empty memory of MD5 values, for calls of `simhash64` one after the other."""
    return np.zeros((CACHE_SLOTS, 2), np.uint64)


def simhash64(
    tokens: Words,
    sizes: np.ndarray,
    once: np.ndarray,
    shortest: np.ndarray | None = None,
    cache: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """(uint64[n] fingerprints, int64[n] features): SimHash over token n-grams.

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
        new_cache() if cache is None else cache,
        out,
        features,
    )
    return out, features

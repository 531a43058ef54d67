"""Sentences that repeat an earlier sentence of their document almost word for word, in linear time.

Comparing every pair, as MAP-CC does (arXiv 2404.04167), is quadratic. Here a sentence meets the latest sentences that
share a MinHash band of its token pairs with it, at most `BANDS` of them; each is verified token by token.

What a clean text says twice with another word in it, it says of two things ("exports below 50,000 dollars …, imports
below …"); with a word more or less, it says it again. So a replaced token counts as two edits, and sentences whose
numbers, numerals, single letters or negations differ are never repeats.
"""

from __future__ import annotations

import functools

import numpy as np
import pyarrow as pa

from steps.text.edit_distance import indels
from steps.text.hashing import Words, gram_hash, words
from steps.text.jit import njit
from steps.text.segment import mix, text_buffers
from steps.text.unicode_tables import classes

# find 99.98 % of pairs of 20 tokens of which one has a token more (Jaccard similarity 0.85)
BANDS, ROWS = 8, 2
SHORTEST = 10  # tokens; in less, a word more is a tenth and another sentence
LONGEST = 400  # tokens; what is longer is a list or a text without marks, and would make verifying quadratic
NUMBERS = "〇零一二三四五六七八九十百千万亿两甲乙丙丁"
NEGATIONS = (*"不未无無非没沒勿否", "not", "no", "never", "without", "cannot", "t")  # "t" as in "don't"
# x * FACTORS + SHIFTS orders the hashes x of token pairs, each its own way. 32 bits are enough for a sentence, and are
# compared four at a time
FACTORS, SHIFTS = np.random.Generator(np.random.PCG64(19971)).integers(0, 2**32, (2, BANDS * ROWS), np.uint32)
FACTORS |= np.uint32(1)


@functools.cache
def _marks() -> np.ndarray:
    """uint64[]: hashes that `words` gives to numerals and negations."""
    text = pa.array([" ".join([*NUMBERS, *NEGATIONS])])
    return words(*text_buffers(text), classes()).hash


@njit
def _is_mark(data, start, end, value, marks):
    """A number, a single letter or a Roman numeral, or one of ``marks``."""
    digit, roman = False, True
    for at in range(start, end):
        digit |= 48 <= data[at] <= 57
        roman &= data[at] == 105 or data[at] == 118 or data[at] == 120  # i, v, x
    if digit or roman or end - start == 1:
        return True
    found = False
    for mark in marks:
        found |= value == mark
    return found


@njit
def _marks_of(data, start, end, hashes, first, stop, marks):
    """Hash of the sequence of those tokens of a span that are marks."""
    found = np.uint64(0)
    for token in range(first, stop):
        if _is_mark(data, start[token], end[token], hashes[token], marks):
            found = mix(found ^ hashes[token]) + np.uint64(1)
    return found


@njit
def _same_marks(data, start, end, hashes, offsets, a, b, marks):
    one = _marks_of(data, start, end, hashes, offsets[a], offsets[a + 1], marks)
    return one == _marks_of(data, start, end, hashes, offsets[b], offsets[b + 1], marks)


@njit
def _band_keys(hashes, first, stop, least, keys):
    """Fills uint64[BANDS] ``keys`` of the span of tokens; ``least`` uint32[BANDS * ROWS] is room to work in."""
    least[:] = np.uint32(0xFFFFFFFF)
    for at in range(first, stop - 1):
        gram = np.uint32(gram_hash(hashes, at, 2) >> np.uint64(32))
        for j in range(BANDS * ROWS):
            value = np.uint32(gram * FACTORS[j] + SHIFTS[j])
            least[j] = value if value < least[j] else least[j]
    for band in range(BANDS):
        key = np.uint64(band + 1)
        for row in range(ROWS):
            key = mix(key ^ np.uint64(least[band * ROWS + row]))
        keys[band] = key


@njit
def _slot(table, key, mask):
    """Where the key is, or would go."""
    slot = np.int64(key & np.uint64(mask))
    while table[slot] != 0 and table[slot] != key:
        slot = (slot + 1) & mask
    return slot


@njit
def _similarity(hashes, offsets, a, b, least):
    """(1 - edits / tokens of the longer of two spans, or 0 below ``least``; cells of the table filled)."""
    one, other = hashes[offsets[a] : offsets[a + 1]], hashes[offsets[b] : offsets[b + 1]]
    longer = max(len(one), len(other))
    most = int((1 - least) * longer + 1e-9)
    if abs(len(one) - len(other)) > most:
        return 0.0, 0
    found = indels(one, other, most)
    return (1 - found / longer if found <= most else 0.0), len(one) * (2 * most + 1)


@njit
def _near_repeats(data, offsets, start, end, hashes, marks, document, least, out):
    keys, least_grams = np.empty(BANDS, np.uint64), np.empty(BANDS * ROWS, np.uint32)
    work, begin = 0, 0
    while begin < len(document):
        stop = begin
        while stop < len(document) and document[stop] == document[begin]:
            stop += 1
        mask = 15
        while mask < 2 * BANDS * (stop - begin):
            mask = 2 * mask + 1
        table, latest = np.zeros(mask + 1, np.uint64), np.empty(mask + 1, np.int64)
        for span in range(begin, stop):
            first, last = offsets[span], offsets[span + 1]
            if not SHORTEST <= last - first <= LONGEST:
                continue
            _band_keys(hashes, first, last, least_grams, keys)
            before = -1
            for key in keys:
                slot = _slot(table, key, mask)
                if table[slot] == 0 or latest[slot] == before:
                    continue
                before = latest[slot]
                similarity, cells = _similarity(hashes, offsets, before, span, max(least, out[span]))
                work += cells
                if similarity > out[span] and _same_marks(
                    data, start, end, hashes, offsets, before, span, marks
                ):
                    out[span] = similarity
            if out[span] < least:
                for key in keys:
                    slot = _slot(table, key, mask)
                    table[slot], latest[slot] = key, span
        begin = stop
    return work


def near_repeats(tokens: Words, document: np.ndarray, least: float) -> tuple[np.ndarray, int]:
    """(float64[spans], work): how similar each span (`words` of spans) is to the most similar earlier one of its
    document (``document`` int64[spans], ascending) that is no such repeat itself, 0 below ``least``.

    Similarity is 1 - edits / tokens of the longer span; edits are tokens inserted or removed (`indels`). work: cells of
    edit tables filled, at most `BANDS` * (2 * (1 - ``least``) * `LONGEST` + 1) for each token.
    """
    out = np.zeros(len(document))
    work = _near_repeats(
        tokens.data,
        tokens.offsets,
        tokens.start,
        tokens.end,
        tokens.hash,
        _marks(),
        document,
        least,
        out,
    )
    return out, work

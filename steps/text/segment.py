"""Cuts UTF-8 text into lines, sentences and tokens as byte offsets; no Python object per piece.

A batch of documents is `data` (uint8, all texts one after the other) and `offsets` (int64[n + 1]); every
span below is a half-open byte range into `data`. Text must be valid UTF-8 (Arrow checks it on reading); a
broken sequence at the end is read as one character and never past the buffer.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from steps.text.jit import njit
from steps.text.unicode_tables import IDEOGRAPH, LETTER, SPACE, UPPER, WIDE_PUNCTUATION

NEWLINE = 10
# Columns of Tokens.words: words, those with a letter, capital words, characters in words
WORDS, LETTER_WORDS, CAPITAL_WORDS, WORD_CHARACTERS = range(4)


class Spans(NamedTuple):
    """Spans in text order: parent int64 (document or line), start and end int64 (bytes)."""

    parent: np.ndarray
    start: np.ndarray
    end: np.ndarray


class Tokens(NamedTuple):
    """Tokens of all documents: offsets int64[documents + 1] into chars and hash; words by document.

    A word is written with letters and spaces; one ideograph is a token and no word. A capital word has at least
    two letters, all of them capitals.
    """

    offsets: np.ndarray
    chars: np.ndarray  # int32, length in characters
    hash: np.ndarray  # uint64
    words: np.ndarray  # int64[documents, 4]: WORDS, LETTER_WORDS, CAPITAL_WORDS, WORD_CHARACTERS


def text_buffers(texts: pa.Array | pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """(data uint8[], offsets int64[n + 1]) of a string column; a null counts as an empty text."""
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    if isinstance(texts, pa.ChunkedArray):  # combine_chunks of an empty column
        texts = pa.array([], pa.large_string())
    texts = texts.cast(pa.large_string()).fill_null("")
    if len(texts) == 0:
        return np.zeros(0, np.uint8), np.zeros(1, np.int64)
    offsets = np.frombuffer(texts.buffers()[1], dtype=np.int64)[texts.offset : texts.offset + len(texts) + 1]
    buffer = texts.buffers()[2]
    data = np.frombuffer(buffer, dtype=np.uint8) if buffer is not None else np.zeros(0, np.uint8)
    return data[offsets[0] : offsets[-1]], offsets - offsets[0]


@njit(inline="always")
def decode(data, at, end):
    """(code point, bytes read) of the character at `at`; never reads at or past `end`."""
    first = data[at]
    if first < 0x80:
        return np.int32(first), 1
    if first < 0xE0:
        if at + 1 < end:
            return (np.int32(first & 0x1F) << 6) | np.int32(data[at + 1] & 0x3F), 2
    elif first < 0xF0:
        if at + 2 < end:
            return (
                (np.int32(first & 0x0F) << 12)
                | (np.int32(data[at + 1] & 0x3F) << 6)
                | np.int32(data[at + 2] & 0x3F)
            ), 3
    elif at + 3 < end:
        point = (
            (np.int32(first & 0x07) << 18)
            | (np.int32(data[at + 1] & 0x3F) << 12)
            | (np.int32(data[at + 2] & 0x3F) << 6)
            | np.int32(data[at + 3] & 0x3F)
        )
        return min(point, np.int32(0x10FFFF)), 4
    return np.int32(0xFFFD), end - at


@njit
def _lines(data, offsets, classes, parent, start, end):
    count = 0
    for document in range(len(offsets) - 1):
        at, stop = offsets[document], offsets[document + 1]
        while at < stop:
            first, blank = at, True
            while at < stop and data[at] != NEWLINE and blank:
                point, size = decode(data, at, stop)
                blank = (classes[point] & SPACE) != 0
                at += size
            while at < stop and data[at] != NEWLINE:
                at += 1
            if not blank:
                if count < len(parent):
                    parent[count], start[count], end[count] = document, first, at
                count += 1
            at += 1
    return count


def lines(data: np.ndarray, offsets: np.ndarray, classes: np.ndarray) -> Spans:
    """Lines that hold more than space, without their `\\n`; parent = document. Only `\\n` ends a line."""
    size = int(np.count_nonzero(data == NEWLINE)) + len(offsets)
    parent, start, end = (np.empty(size, np.int64) for _ in range(3))
    count = _lines(data, offsets, classes, parent, start, end)
    return Spans(parent[:count], start[:count], end[:count])


@njit(inline="always")
def is_terminator(point):
    """. ! ? and their full-width forms, the ideographic full stop, the ellipsis and the ideographic ；."""
    return (
        point == 0x2E
        or point == 0x21
        or point == 0x3F
        or point == 0x3002
        or point == 0xFF01
        or point == 0xFF1F
        or point == 0xFF0E
        or point == 0xFF61
        or point == 0x2026
        or point == 0xFF1B
    )


@njit(inline="always")
def is_closer(point):
    """Quotation marks and brackets that may follow the end of a sentence."""
    return (
        point == 0x22
        or point == 0x27
        or point == 0x29
        or point == 0x5D
        or point == 0x2019
        or point == 0x201D
        or point == 0x300D
        or point == 0x300F
        or point == 0x300B
        or point == 0xFF09
        or point == 0x3011
    )


def _steps() -> np.ndarray:
    """uint8[256] by first byte: how far to the next character, or 0 where the character may end a sentence."""
    steps = np.ones(256, np.uint8)
    steps[0xC0:0xE0], steps[0xE0:0xF0], steps[0xF0:] = 2, 3, 4
    for mark in ".!?\u3002\uff01\uff1f\uff0e\uff61\u2026\uff1b":
        steps[mark.encode()[0]] = 0
    return steps


STEPS = _steps()


@njit
def _sentences(data, line_start, line_end, classes, parent, start, end):
    count = 0
    for line in range(len(line_start)):
        at, stop = line_start[line], line_end[line]
        first = at
        while at < stop:
            step = STEPS[data[at]]
            if step != 0:
                at += step
                if at < stop:
                    continue
                at, point = stop, 0
            else:
                point, size = decode(data, at, stop)
                at += size
                if not is_terminator(point) and at < stop:
                    continue
            wide = point > 0x7F
            while at < stop:
                point, size = decode(data, at, stop)
                if not (is_terminator(point) or is_closer(point)):
                    break
                wide = wide or (is_terminator(point) and point > 0x7F)
                at += size
            spaced = False
            while at < stop:
                point, size = decode(data, at, stop)
                if (classes[point] & SPACE) == 0:
                    break
                spaced = True
                at += size
            if wide or spaced or at >= stop:  # an ASCII "." inside 3.14 or tokenmill.run ends nothing
                if count < len(parent):
                    parent[count], start[count], end[count] = line, first, at
                count += 1
                first = at
    return count


def sentences(data: np.ndarray, spans: Spans, classes: np.ndarray) -> Spans:
    """Sentences of lines; parent = line number. The spans of a line join to the whole line.

    A sentence ends after `. ! ? 。！？…；` with closing quotes and brackets and the space behind them; the
    ASCII marks only before a space or the end of the line.
    """
    size = int((spans.end - spans.start).sum()) // 2 + len(spans.start) + 1
    parent, start, end = (np.empty(size, np.int64) for _ in range(3))
    count = _sentences(data, spans.start, spans.end, classes, parent, start, end)
    return Spans(parent[:count], start[:count], end[:count])


@njit
def _tokens(data, offsets, classes, token_offsets, chars, hashes, words):
    count = 0
    for document in range(len(offsets) - 1):
        token_offsets[document] = count
        at, stop = offsets[document], offsets[document + 1]
        length, letters, capitals = 0, 0, 0
        total, lettered, capital, characters = 0, 0, 0, 0
        while at <= stop:  # once more at the end, to close the last word
            if length == 0:
                value = np.uint64(0x9E3779B97F4A7C15)
            begin = at
            while at < stop and np.uint8(data[at] - 0x21) < 0x5E:  # ASCII without space: most of most words
                if np.uint8((data[at] | 0x20) - 0x61) < 26:
                    letters += 1
                if np.uint8(data[at] - 0x41) < 26:
                    capitals += 1
                value = (value ^ np.uint64(data[at])) * np.uint64(0x100000001B3)
                at += 1
            length += at - begin
            if at == stop:
                point, size, flags = np.int32(0x20), 1, SPACE
            else:
                point, size = decode(data, at, stop)
                flags = classes[point]
            at += size
            if (flags & (IDEOGRAPH | SPACE | WIDE_PUNCTUATION)) == 0:
                length += 1
                letters += (flags & LETTER) != 0
                capitals += (flags & UPPER) != 0
                value = (value ^ np.uint64(point)) * np.uint64(0x100000001B3)
                continue
            if length > 0:
                chars[count], hashes[count] = length, mix(value)
                count += 1
                total += 1
                lettered += letters > 0
                capital += letters >= 2 and capitals == letters
                characters += length
                length, letters, capitals = 0, 0, 0
            if (flags & IDEOGRAPH) != 0:
                chars[count], hashes[count] = 1, mix(np.uint64(point))
                count += 1
        words[document, WORDS], words[document, LETTER_WORDS] = total, lettered
        words[document, CAPITAL_WORDS], words[document, WORD_CHARACTERS] = capital, characters
    token_offsets[len(offsets) - 1] = count
    return count


@njit(inline="always")
def mix(value):
    """splitmix64's finaliser: spreads the value over all 64 bits."""
    value ^= value >> np.uint64(30)
    value *= np.uint64(0xBF58476D1CE4E5B9)
    value ^= value >> np.uint64(27)
    value *= np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def tokens(data: np.ndarray, offsets: np.ndarray, classes: np.ndarray) -> Tokens:
    """Tokens of every document: one per ideograph (Han, kana), else runs of characters between spaces.

    Chinese is thus measured in characters, English in words with their ASCII punctuation, as Gopher's
    whitespace words; wide punctuation (full-width, ideographic, dashes, curly double quotes) is no token.
    The hash depends on the characters alone.
    """
    size = len(data) + 1  # a token per byte at most; pages that nothing is written to take no memory
    token_offsets = np.empty(len(offsets), np.int64)
    chars, hashes = np.empty(size, np.int32), np.empty(size, np.uint64)
    words = np.empty((len(offsets) - 1, 4), np.int64)
    count = _tokens(data, offsets, classes, token_offsets, chars, hashes, words)
    return Tokens(token_offsets, chars[:count], hashes[:count], words)


@njit
def hash_spans(data, start, end):
    """uint64 hash of the bytes of each span, ASCII letters folded to lower case."""
    out = np.empty(len(start), np.uint64)
    for i in range(len(start)):
        value = np.uint64(0x9E3779B97F4A7C15)
        for at in range(start[i], end[i]):
            byte = data[at]
            if 0x41 <= byte <= 0x5A:
                byte = np.uint8(byte + 0x20)
            value = (value ^ np.uint64(byte)) * np.uint64(0x100000001B3)
        out[i] = mix(value)
    return out


def hash_words(words: list[str], classes: np.ndarray) -> np.ndarray:
    """Sorted uint64 hashes as `tokens` gives them to each of `words` (one token each)."""
    data, offsets = text_buffers(pa.array(words, pa.large_string()))
    return np.unique(tokens(data, offsets, classes).hash)

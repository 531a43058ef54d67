"""What a quality score looks at besides perplexity: shares of a document's text, in one compiled pass.

Each is between 0 and 1 or the logarithm of a mean length, so that it means the same in a short and a long document.
"""

from __future__ import annotations

import functools

import numpy as np
import pyarrow as pa

from steps.text.jit import njit
from steps.text.segment import decode, is_closer, is_terminator, mix, text_buffers
from steps.text.unicode_tables import (
    DIGIT,
    IDEOGRAPH,
    LETTER,
    PUNCTUATION,
    SPACE,
    SYMBOL,
    UPPER,
    WIDE_PUNCTUATION,
    classes,
)

# Function words, the closed classes of the language: running text cannot do without, lists and menus can.
FUNCTION_WORDS = {
    "en": "the be to of and that have with a in is it for on as was are by at this from or an not he his they you "
    "we i but which had were has been will can their if would there who what so she her him them our your my its than "
    "then when where how also into about more some such these those only do does did could should may because while "
    "after before over between out up no all any one other",
    "zh": "的 了 是 在 和 有 不 这 也 就 都 与 而 及 以 为 于 上 中 对 到 我 他 她 它 们 你 个 之 其 还 被 把 从 但 "
    "因 此 所 会 能 可 要 没 很 吗 呢 吧 啊 着 过",
}
TABLE = 512  # slots of the function word table, a power of two
MOST = 4096  # tokens and lines of a document in which repetition is looked for (bounds time)
GRAM = 4  # tokens of a repeated run, a power of two
# a line of fewer tokens is hardly a sentence (C4 wants 5 words, a Chinese clause has about 10)
SHORT_TOKENS = 8
LONG_WORD = 20  # characters; longer ones are addresses, identifiers and keys
# How the kernel sees a character
OTHER, LOWER, CAPITAL, NUMBER, MARK, GAP, WIDE_MARK, SINGLE = range(8)
COUNTS = (
    *("other", "lower", "capital", "number", "mark", "gap", "wide_mark", "single"),  # characters of each kind
    *("bytes", "tokens", "words", "capital_words", "long_words", "function_words", "lines", "short_lines"),
    *("bullet_lines", "ended_bytes", "repeated_bytes", "sentence_ends", "grams", "repeated_grams"),
)
(
    BYTES, TOKENS, WORDS, CAPITAL_WORDS, LONG_WORDS, FUNCTION, LINES, SHORT_LINES, BULLET_LINES, ENDED_BYTES,
    REPEATED_BYTES, SENTENCE_ENDS, GRAMS, REPEATED_GRAMS,
) = range(8, len(COUNTS))  # fmt: skip
FEATURES = (
    "function_word_share",  # function words / tokens
    "sentence_end_share",  # bytes in lines that end like a sentence
    "short_line_share",  # lines of fewer than SHORT_TOKENS tokens
    "bullet_line_share",
    "line_length",  # log10 of tokens per line
    "sentence_length",  # log10 of tokens per sentence end
    "mark_share",  # punctuation and symbols / characters that are not space
    "digit_share",
    "upper_share",  # capitals / letters
    "capital_word_share",  # words that begin with a capital / words
    "long_word_share",
    "repeated_line_share",  # bytes in lines that stand earlier in the document
    "repeated_gram_share",  # runs of GRAM tokens that stand earlier in the document
)


def measure(texts: pa.Array | pa.ChunkedArray | list[str], language: str) -> np.ndarray:
    """float64[texts, FEATURES] of a batch in one language; a language without FUNCTION_WORDS has none."""
    if isinstance(texts, list):
        texts = pa.array(texts, pa.large_string())
    data, offsets = text_buffers(texts)
    counts = np.zeros((len(offsets) - 1, len(COUNTS)), np.int64)
    _count(data, offsets, _kinds(), _function_words(language), counts)
    return _features(counts.astype(np.float64))


def _features(counts: np.ndarray) -> np.ndarray:
    """float64[n, FEATURES] from counts float64[n, COUNTS]."""

    def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
        return part / np.maximum(whole, 1)

    def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
        return np.log10(np.maximum(part, 1) / np.maximum(whole, 1))

    column = counts.T
    tokens, lines, words, size = column[TOKENS], column[LINES], column[WORDS], column[BYTES]
    letters = column[LOWER] + column[CAPITAL] + column[SINGLE]
    solid = letters + column[NUMBER] + column[OTHER] + column[MARK] + column[WIDE_MARK]
    return np.stack(
        [
            share(column[FUNCTION], tokens),
            share(column[ENDED_BYTES], size),
            share(column[SHORT_LINES], lines),
            share(column[BULLET_LINES], lines),
            ratio(tokens, lines),
            ratio(tokens, column[SENTENCE_ENDS]),
            share(column[MARK] + column[WIDE_MARK], solid),
            share(column[NUMBER], solid),
            share(column[CAPITAL], letters),
            share(column[CAPITAL_WORDS], words),
            share(column[LONG_WORDS], words),
            share(column[REPEATED_BYTES], size),
            share(column[REPEATED_GRAMS], column[GRAMS]),
        ],
        axis=1,
    )


@functools.cache
def _kinds() -> np.ndarray:
    """uint8[0x110000]: what the kernel takes each character for."""
    flags = classes()
    kinds = np.full(len(flags), OTHER, np.uint8)
    for kind, flag in (
        (LOWER, LETTER),
        (CAPITAL, UPPER),
        (NUMBER, DIGIT),
        (MARK, PUNCTUATION | SYMBOL),
        (SINGLE, IDEOGRAPH),
        (WIDE_MARK, WIDE_PUNCTUATION),
        (GAP, SPACE),
    ):
        kinds[(flags & flag) != 0] = kind
    return kinds


@functools.cache
def _function_words(language: str) -> np.ndarray:
    """uint64[TABLE]: an open-addressed table of word hashes, 0 where a slot is empty."""
    table = np.zeros(TABLE, np.uint64)
    for word in FUNCTION_WORDS.get(language, "").split():
        value = 0
        for char in word:
            value = ((value ^ ord(char)) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
        slot = value & (TABLE - 1)
        while table[slot]:
            slot = (slot + 1) & (TABLE - 1)
        table[slot] = value
    return table


@njit
def _seen(table, owner, document, value):
    """Whether the document has put the hash into the table, which holds it afterwards."""
    value = mix(value)
    slot = value & np.uint64(len(table) - 1)
    while owner[slot] == document:
        if table[slot] == value:
            return True
        slot = (slot + np.uint64(1)) & np.uint64(len(table) - 1)
    table[slot], owner[slot] = value, document
    return False


@njit(inline="always")
def _is_bullet(point):
    """A mark that begins an item of a list or of a menu."""
    return (
        point == 0x2A or point == 0x2D or point == 0x2B or point == 0x2022 or point == 0xB7 or point == 0x25CF
        or point == 0x25CB or point == 0x25A0 or point == 0x25AA or point == 0x25BA or point == 0x203A or point == 0xBB
        or point == 0x7C
    )  # fmt: skip


@njit
def _count(data, offsets, kinds, function_words, counts):
    """Fills counts int64[documents, COUNTS]."""
    lines, grams = np.empty(2 * MOST, np.uint64), np.empty(2 * MOST, np.uint64)
    line_owner, gram_owner = np.full(2 * MOST, -1, np.int64), np.full(2 * MOST, -1, np.int64)
    recent = np.zeros(GRAM, np.uint64)
    for document in range(len(offsets) - 1):
        row = counts[document]
        at, stop = offsets[document], offsets[document + 1]
        while at < stop:
            first, tokens = at, row[TOKENS]
            at, line_hash, begin, ended = _count_line(
                data, at, stop, kinds, function_words, document, row, grams, gram_owner, recent
            )
            if begin != 0:
                tokens = row[TOKENS] - tokens
                row[LINES] += 1
                row[BYTES] += at - first
                row[SHORT_LINES] += tokens < SHORT_TOKENS
                row[BULLET_LINES] += _is_bullet(begin)
                if ended and tokens >= SHORT_TOKENS // 2:
                    row[ENDED_BYTES] += at - first
                if row[LINES] <= MOST and _seen(lines, line_owner, document, line_hash):
                    row[REPEATED_BYTES] += at - first
            at += 1


@njit(inline="always")
def _is_in(table, word):
    """Whether the table, uint64[TABLE], holds the word's hash."""
    slot = word & np.uint64(TABLE - 1)
    while table[slot] != 0 and table[slot] != word:
        slot = (slot + np.uint64(1)) & np.uint64(TABLE - 1)
    return table[slot] == word


@njit
def _count_line(data, at, stop, kinds, function_words, document, row, grams, owner, recent):
    """Adds a line's characters and tokens to the document's row: (its end, its hash, first character, whether it ends
    like a sentence); 0 for the first character of a line of space.
    """
    prime, line_hash = np.uint64(0x100000001B3), np.uint64(0)
    begin, ended, pending, counted = np.int32(0), False, False, False
    word, size, capital = np.uint64(0), 0, False  # size: characters of the word so far, 0 between words
    tokens, functions = row[TOKENS], 0
    while True:
        point, width = np.int32(10), 1
        if at < stop:
            point = np.int32(data[at])
            if point >= 0x80:
                point, width = decode(data, at, stop)
        kind = kinds[point]
        if kind >= GAP and size > 0:  # the word ends; the character is looked at once more
            row[WORDS] += 1
            row[CAPITAL_WORDS] += capital
            row[LONG_WORDS] += size > LONG_WORD
            size = 0
        elif point == 10:
            break
        else:
            at += width
            row[kind] += 1
            line_hash = (line_hash ^ np.uint64(point)) * prime
            if kind == GAP:
                row[SENTENCE_ENDS] += pending  # an ASCII "." inside 3.14 or a host name ends nothing
                pending = False
                continue
            begin = point if begin == 0 else begin
            if kind < GAP:
                if size == 0:
                    word, capital = np.uint64(0), kind == CAPITAL
                size += 1
                if kind in (LOWER, CAPITAL):
                    word = (word ^ np.uint64(point | 0x20 if point < 0x80 else point)) * prime
            elif kind == SINGLE:
                row[SENTENCE_ENDS] += pending
                word = np.uint64(point) * prime
            mark = kind in (MARK, WIDE_MARK)
            if mark and is_terminator(point):
                row[SENTENCE_ENDS] += kind == WIDE_MARK and not counted
                counted = counted or kind == WIDE_MARK
                pending, ended = not counted, True
            elif not (mark and is_closer(point)):
                pending = counted = ended = False
            if kind != SINGLE:
                continue
        tokens += 1
        functions += word != 0 and _is_in(function_words, word)
        if tokens <= MOST:
            recent[tokens & (GRAM - 1)] = word
            if tokens >= GRAM:
                row[GRAMS] += 1
                row[REPEATED_GRAMS] += _seen(grams, owner, document, _run(recent, tokens))
    row[SENTENCE_ENDS] += pending
    row[TOKENS], row[FUNCTION] = tokens, row[FUNCTION] + functions
    return at, line_hash, begin, ended


@njit
def _run(recent, tokens):
    """Hash of the last GRAM tokens."""
    value = np.uint64(0)
    for i in range(1, GRAM + 1):
        value = (value ^ recent[(tokens + i) & (GRAM - 1)]) * np.uint64(0x100000001B3)
    return value

"""Finds words of lists in UTF-8 text: Aho-Corasick over bytes, compiled. ASCII letters match in any case."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np

from steps.text.jit import njit


class Automaton(NamedTuple):
    """Dense transition table over byte classes; states at which no word ends come first.

    class_of uint8[256]; next int32[states * classes], a row for each state, which names rows by where they begin;
    quiet: where the rows of states begin at which a word ends; word int32[states] (ends here, -1 none);
    link int32[states] (longest proper suffix that ends a word, 0 none); length int32[words] in bytes.
    """

    class_of: np.ndarray
    next: np.ndarray
    quiet: int
    word: np.ndarray
    link: np.ndarray
    length: np.ndarray


def build(words: list[str]) -> Automaton:
    """The automaton of `words`; word numbers are positions in the list, which must not repeat."""
    encoded = [_fold(word).encode() for word in words]
    if len(set(encoded)) != len(encoded) or not all(encoded):
        raise ValueError("words repeat or are empty")
    class_of = np.zeros(256, np.uint8)  # class 0: bytes that no word has
    used = sorted({byte for word in encoded for byte in word})
    class_of[used] = np.arange(1, len(used) + 1)
    class_of[0x41:0x5B] = class_of[0x61:0x7B]
    children: list[dict[int, int]] = [{}]
    ends = [-1]
    for number, word in enumerate(encoded):
        state = 0
        for byte in word:
            state = children[state].setdefault(int(class_of[byte]), len(children))
            if state == len(children):
                children.append({})
                ends.append(-1)
        ends[state] = number
    table = np.zeros((len(children), len(used) + 1), np.int32)
    fail, link = np.zeros(len(children), np.int32), np.zeros(len(children), np.int32)
    queue = deque([0])
    while queue:
        state = queue.popleft()
        if state:
            table[state] = table[fail[state]]
            link[state] = fail[state] if ends[fail[state]] >= 0 else link[fail[state]]
        for symbol, child in children[state].items():
            fail[child] = table[fail[state], symbol] if state else 0
            queue.append(child)
        for symbol, child in children[state].items():
            table[state, symbol] = child
    ending = np.array(ends, np.int32)
    hits = (ending >= 0) | (link > 0)
    order = np.argsort(hits, kind="stable")
    place = np.empty(len(order), np.int32)
    place[order] = np.arange(len(order))
    rows = place[table[order]].ravel() * np.int32(table.shape[1])
    quiet = int(np.count_nonzero(~hits)) * table.shape[1]
    lengths = np.array([len(word) for word in encoded], np.int32)
    return Automaton(class_of, rows, quiet, ending[order], place[link[order]], lengths)


def _fold(word: str) -> str:
    return "".join(c.lower() if c.isascii() else c for c in word)


@njit(inline="always")
def _alnum(byte):
    return 0x30 <= byte <= 0x39 or 0x41 <= byte <= 0x5A or 0x61 <= byte <= 0x7A


@njit
def _scan(
    data, start, end, class_of, rows, quiet, word, link, length, hit_start, hit_word, hit_span, hit_whole
):
    count, classes = 0, len(rows) // len(word)
    for span in range(len(start)):
        row = 0
        for at in range(start[span], end[span]):
            row = rows[row + class_of[data[at]]]
            if row < quiet:
                continue
            state = row // classes
            found = state if word[state] >= 0 else link[state]
            while found > 0:
                first = at + 1 - length[word[found]]
                before = first > start[span] and _alnum(data[first]) and _alnum(data[first - 1])
                after = at + 1 < end[span] and _alnum(data[at]) and _alnum(data[at + 1])
                if count < len(hit_start):
                    hit_start[count], hit_word[count], hit_span[count] = first, word[found], span
                    hit_whole[count] = not (before or after)
                count += 1
                found = link[found]
    return count


class Hits(NamedTuple):
    """Matches by end, longest first: byte where it begins, word, span, and whether it is a whole word."""

    start: np.ndarray  # int64
    word: np.ndarray  # int32
    span: np.ndarray  # int64
    whole: np.ndarray  # bool


def scan(automaton: Automaton, data: np.ndarray, start: np.ndarray, end: np.ndarray) -> Hits:
    """All matches inside the spans (int64[] bytes of data).

    A match is a whole word unless it begins or ends inside a run of ASCII letters and digits.
    """
    size = 1024 + len(data) // 64
    while True:
        hits = Hits(
            np.empty(size, np.int64),
            np.empty(size, np.int32),
            np.empty(size, np.int64),
            np.empty(size, np.bool_),
        )
        count = _scan(data, start, end, *automaton, *hits)
        if count <= size:
            return Hits(*(column[:count] for column in hits))
        size = count


@njit
def _weigh(order, start, end, word, line, sentence, weights, by_line, by_sentence):
    reach = np.full(len(weights), -1, np.int64)
    for hit in order:
        for category in range(len(weights)):
            weight = weights[category, word[hit]]
            if weight != 0 and start[hit] >= reach[category]:
                by_line[category, line[hit]] += weight
                by_sentence[category, sentence[hit]] += weight
                reach[category] = end[hit]


def weigh(
    hits: Hits, length: np.ndarray, sentence: np.ndarray, weights: np.ndarray, lines: int, sentences: int
) -> tuple[np.ndarray, np.ndarray]:
    """(float64[categories, lines], float64[categories, sentences]): sums of the weights of whole words.

    hits.span is their line; length int32[words], weights float64[categories, words], 0 where the word is not in the
    category. Of the words of a category the longest wins, from left to right, so that 贷款 in 无抵押贷款 does not
    count twice.
    """
    by_line, by_sentence = np.zeros((len(weights), lines)), np.zeros((len(weights), sentences))
    whole = np.flatnonzero(hits.whole)
    order = whole[np.lexsort((-length[hits.word[whole]], hits.start[whole]))]
    end = hits.start + length[hits.word]
    _weigh(order, hits.start, end, hits.word, hits.span, sentence, weights, by_line, by_sentence)
    return by_line, by_sentence

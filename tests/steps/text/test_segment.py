"""Segmentation and repetition kernels against obvious Python."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.text import ngrams, segment
from steps.text import unicode_tables as u

TEXT = st.text(
    st.sampled_from("ab Z9.。!?！？…，、\n\t\u3000\u2028中文のé😀\"”)》：；-'"), max_size=60
) | st.text(max_size=30)
TEXTS = st.lists(TEXT, max_size=5)
FLAGS = u.classes()


def is_(char: str, flag: np.uint16) -> bool:
    return bool(FLAGS[ord(char)] & flag)


def cut(texts: list[str]) -> tuple:
    data, offsets = segment.text_buffers(pa.array(texts, pa.large_string()))
    return data, offsets


def pieces(data: object, spans: segment.Spans) -> list[tuple[int, str]]:
    return [
        (int(p), data[a:b].tobytes().decode())
        for p, a, b in zip(spans.parent, spans.start, spans.end, strict=True)
    ]


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_lines_are_those_that_a_split_at_newline_gives(texts: list[str]) -> None:
    data, offsets = cut(texts)
    expected = [
        (number, line)
        for number, text in enumerate(texts)
        for line in text.split("\n")
        if not all(is_(c, u.SPACE) for c in line)
    ]
    assert pieces(data, segment.lines(data, offsets, FLAGS)) == expected


def slow_sentences(line: str) -> list[str]:
    ends, closers = ".!?。！？．｡…；", "\"')]’”」』》）】"
    out, start, at = [], 0, 0
    while at < len(line):
        char = line[at]
        at += 1
        if char not in ends and at < len(line):
            continue
        wide = ord(char) > 0x7F
        while at < len(line) and (line[at] in ends or line[at] in closers):
            wide |= line[at] in ends and ord(line[at]) > 0x7F
            at += 1
        spaced = False
        while at < len(line) and is_(line[at], u.SPACE):
            spaced = True
            at += 1
        if wide or spaced or at == len(line):
            out.append(line[start:at])
            start = at
    return out


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_sentences_equal_the_slow_ones_and_join_to_their_line(texts: list[str]) -> None:
    data, offsets = cut(texts)
    lines = segment.lines(data, offsets, FLAGS)
    found = pieces(data, segment.sentences(data, lines, FLAGS))
    expected = [
        (n, sentence) for n, (_, line) in enumerate(pieces(data, lines)) for sentence in slow_sentences(line)
    ]
    assert found == expected
    for n, (_, line) in enumerate(pieces(data, lines)):
        assert "".join(sentence for parent, sentence in found if parent == n) == line


def test_sentences_end_where_a_reader_sees_it() -> None:
    text = '他说："走吧。"我们就走了！Version 3.14 is out. See it?No.'
    data, offsets = cut([text])
    lines = segment.lines(data, offsets, FLAGS)
    assert [s for _, s in pieces(data, segment.sentences(data, lines, FLAGS))] == [
        '他说："走吧。"',
        "我们就走了！",
        "Version 3.14 is out. ",
        "See it?No.",
    ]


def slow_tokens(text: str) -> list[str]:
    out, run = [], ""
    for char in text:
        if is_(char, u.IDEOGRAPH) or is_(char, u.SPACE) or is_(char, u.WIDE_PUNCTUATION):
            out += [run] if run else []
            run = ""
            if is_(char, u.IDEOGRAPH):
                out.append(char)
        else:
            run += char
    return out + ([run] if run else [])


def tokens_of(texts: list[str]) -> segment.Tokens:
    return segment.tokens(*cut(texts), FLAGS)


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_tokens_equal_the_slow_ones_and_hash_by_content(texts: list[str]) -> None:
    found, words = tokens_of(texts), [slow_tokens(text) for text in texts]
    assert np.diff(found.offsets).tolist() == [len(document) for document in words]
    flat = [word for document in words for word in document]
    assert found.chars.tolist() == [len(word) for word in flat]
    hashes = found.hash.tolist()
    assert len(set(hashes)) == len(set(flat))
    assert len(set(zip(hashes, flat, strict=True))) == len(set(flat))


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_words_are_counted_as_one_counts_them(texts: list[str]) -> None:
    expected = []
    for text in texts:
        words = [token for token in slow_tokens(text) if not is_(token[0], u.IDEOGRAPH)]
        letters = [[c for c in word if is_(c, u.LETTER)] for word in words]
        capital = [len(own) >= 2 and all(is_(c, u.UPPER) for c in own) for own in letters]
        expected.append([len(words), sum(map(bool, letters)), sum(capital), sum(map(len, words))])
    assert tokens_of(texts).words.tolist() == expected


def slow_duplicates(words: list[str], n: int) -> float:
    """datatrove's find_all_duplicate, over characters of tokens."""
    seen, repeated, at = set(), 0, 0
    while at < len(words) - n + 1:
        gram = tuple(words[at : at + n])
        if gram in seen:
            repeated += len("".join(gram))
            at += n
        else:
            seen.add(gram)
            at += 1
    return repeated / max(1, len("".join(words)))


def slow_top(words: list[str], n: int) -> float:
    counts = Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
    counts = Counter({gram: count for gram, count in counts.items() if count > 1})
    if not counts:
        return 0.0
    most = max(counts.values())
    longest = max(len("".join(gram)) for gram, count in counts.items() if count == most)
    return most * longest / len("".join(words))


@given(st.lists(st.text(st.sampled_from("ab 中文"), max_size=120), max_size=4))
@settings(max_examples=300, deadline=None)
def test_repetition_equals_the_slow_counts(texts: list[str]) -> None:
    found, words = tokens_of(texts), [slow_tokens(text) for text in texts]
    repetition = ngrams.repetition(found.offsets, found.hash, found.chars)
    columns = dict(zip(ngrams.COLUMNS, repetition.T.tolist(), strict=True))
    for n in ngrams.DUPLICATE:
        assert columns[f"duplicate_{n}"] == pytest.approx([slow_duplicates(w, n) for w in words]), n
    for n in ngrams.TOP:
        assert columns[f"top_{n}"] == pytest.approx([slow_top(w, n) for w in words]), n
    assert columns["unique"] == pytest.approx([len(set(w)) / max(1, len(w)) for w in words])
    slow = [-sum(c / len(w) * math.log(c / len(w)) for c in Counter(w).values()) for w in words]
    assert columns["entropy"] == pytest.approx(slow)


@given(st.lists(st.lists(st.integers(0, 5), max_size=12), max_size=4))
@settings(max_examples=100, deadline=None)
def test_first_occurrence_is_within_the_document(documents: list[list[int]]) -> None:
    flat = np.array([v for d in documents for v in d], np.uint64)
    offsets = np.concatenate([[0], np.cumsum([len(d) for d in documents])]).astype(np.int64)
    expected, at = [], 0
    for document in documents:
        expected += [at + document.index(value) for value in document]
        at += len(document)
    assert ngrams.first_occurrence(offsets, flat).tolist() == expected


def test_a_sliced_column_and_nulls_are_read_right() -> None:
    column = pa.chunked_array([pa.array(["one", None]), pa.array(["三", "four"])]).slice(1, 3)
    data, offsets = segment.text_buffers(column)
    assert [data[a:b].tobytes().decode() for a, b in itertools.pairwise(offsets)] == [
        "",
        "三",
        "four",
    ]


def test_a_broken_sequence_at_the_end_is_not_read_past() -> None:
    data = np.frombuffer("a中".encode()[:-1], np.uint8)
    found = segment.tokens(data, np.array([0, len(data)], np.int64), FLAGS)
    assert found.chars.tolist() == [2] and found.offsets.tolist() == [0, 1]

"""Signals and matches against obvious Python."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.filter import kernels, matcher
from steps.filter.config import Config
from steps.filter.names import ABOVE, is_optional, signal_names
from steps.filter.signals import compile_words, measure, set_endings
from steps.text import unicode_tables as u
from steps.text.segment import text_buffers

FLAGS = u.classes()
WORDS = st.lists(st.text(st.sampled_from("abA中文1 "), min_size=1, max_size=4), min_size=1, max_size=6)


def spans_of(texts: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    data, offsets = text_buffers(pa.array(texts, pa.large_string()))
    return data, offsets[:-1], offsets[1:]


def fold(text: str) -> str:
    return "".join(c.lower() if c.isascii() else c for c in text)


@given(WORDS, st.lists(st.text(st.sampled_from("abAB中文1 ."), max_size=20), max_size=3))
@settings(max_examples=300, deadline=None)
def test_the_automaton_finds_what_a_search_at_every_place_finds(words: list[str], texts: list[str]) -> None:
    words = sorted({fold(word) for word in words})
    data, start, end = spans_of(texts)
    hits = matcher.scan(matcher.build(words), data, start, end)
    found = {
        (int(span), int(at - start[span]), words[word], bool(whole))
        for at, word, span, whole in zip(*hits, strict=True)
    }
    expected = set()
    for n, text in enumerate(texts):
        raw = text.encode()
        folded = fold(text).encode()
        for word in words:
            w = word.encode()
            for at in range(len(raw) - len(w) + 1):
                if folded[at : at + len(w)] == w:
                    alnum = lambda b: bytes([b]).isalnum()  # noqa: E731
                    left = at > 0 and alnum(raw[at]) and alnum(raw[at - 1])
                    stop = at + len(w)
                    right = stop < len(raw) and alnum(raw[stop - 1]) and alnum(raw[stop])
                    expected.add((n, at, word, not (left or right)))
    assert found == expected
    assert len(hits.start) == len(expected)


@given(
    st.dictionaries(
        st.text(st.sampled_from("贷款无"), min_size=1, max_size=3), st.integers(1, 9), max_size=6
    ),
    st.dictionaries(
        st.text(st.sampled_from("贷款无"), min_size=1, max_size=3), st.integers(1, 9), max_size=6
    ),
    st.lists(st.text(st.sampled_from("贷款无 "), min_size=1, max_size=12), min_size=1, max_size=3),
)
def test_the_longest_word_of_a_category_wins_from_the_left(
    first: dict[str, int], second: dict[str, int], lines: list[str]
) -> None:
    words = sorted({*first, *second, "借"})
    weights = np.array([[own.get(word, 0) for word in words] for own in (first, second)], np.float64)
    automaton = matcher.build(words)
    hits = matcher.scan(automaton, *spans_of(lines))
    by_line, by_sentence = matcher.weigh(hits, automaton.length, hits.span, weights, len(lines), len(lines))
    for number, own in enumerate((first, second)):
        longest = sorted(own, key=len, reverse=True)
        found = [re.findall("|".join(longest), line) if own else [] for line in lines]
        assert by_line[number].tolist() == [sum(own[word] for word in line) for line in found]
    assert np.array_equal(by_line, by_sentence)


def is_(char: str, flag: np.uint16) -> bool:
    return bool(FLAGS[ord(char)] & flag)


def is_word(char: str) -> bool:
    return bool(char) and (is_(char, u.LETTER) or is_(char, u.DIGIT))


@given(st.text(st.sampled_from('aB9 中あ。，.…—#{}$★【】\ufffd"-•'), min_size=1, max_size=40))
@settings(max_examples=400, deadline=None)
def test_counts_of_a_line_equal_slow_counts(line: str) -> None:
    data, start, end = spans_of([line])
    row = dict(zip(kernels.COLUMNS, kernels.count_spans(data, start, end, FLAGS)[0].tolist(), strict=True))
    assert row["characters"] == len(line)
    assert row["letters"] == sum(is_(c, u.LETTER) for c in line)
    assert row["upper"] == line.count("B")
    assert row["digits"] == line.count("9")
    assert row["spaces"] == line.count(" ")
    assert row["han"] == line.count("中")
    assert row["hashes"] == line.count("#")
    solid = line.replace(" ", "")
    runs = [run for run in re.finditer(r"(?<![.…])[.…]+", solid) if is_word(solid[: run.start()][-1:])]
    parts = [part for run in runs for part in re.findall(r"[.]+|…+", run.group())]
    assert row["cut_offs"] == sum(part in ("...", "…") for part in parts)
    assert row["special"] == line.count("★") + line.count("\ufffd")
    assert row["curly"] == (0 if "$" in line else line.count("{") + line.count("}"))
    assert row["ascii"] == sum(0x20 < ord(c) < 0x80 for c in line)
    inside = 0
    for part in line.split("【")[1:]:
        inside += len(part.partition("】")[0]) if "】" in part else 0
    assert row["lenticular"] == inside


@given(st.text(st.sampled_from('aB9 中あ。，.…—#{}$★【】\ufffd"-•:\u3000é'), max_size=40))
@settings(max_examples=400, deadline=None)
def test_a_sentence_is_counted_as_a_line_is(text: str) -> None:
    data, start, end = spans_of([text])
    row = kernels.count_spans(data, start, end, FLAGS)[0]
    counts = [int(column[0]) for column in kernels.count_sentences(data, start, end, FLAGS)]
    assert counts == [row[kernels.CHARACTERS], row[kernels.TOKENS], row[kernels.END]]


def slow_end(line: str) -> int:
    """How a line ends, read from its start."""
    solid = [c for c in line if not is_(c, u.SPACE)]
    marks = [i for i, c in enumerate(solid) if c not in "\"')]’”」』》）】"]
    mark = solid[marks[-1]] if marks else ""
    run = (
        len(list(itertools.takewhile(lambda c: c == mark, reversed(solid[: marks[-1] + 1])))) if marks else 0
    )
    if (mark == "." and run == 3) or (mark == "…" and run == 1):
        return kernels.ENDS_CUT_OFF
    if solid and solid[-1] in ",，、:：(（[【《“‘「『":
        return kernels.ENDS_OPEN
    return kernels.ENDS if mark and mark in ".!?。！？．｡…；" else kernels.ENDS_BARE


@given(st.text(st.sampled_from('a中 .…。!,："”)（'), max_size=12))
@settings(max_examples=400, deadline=None)
def test_the_end_of_a_line_is_what_one_reads(line: str) -> None:
    data, start, end = spans_of([line])
    row = kernels.count_spans(data, start, end, FLAGS)[0]
    assert row[kernels.END] == slow_end(line)


@pytest.mark.parametrize(
    ("line", "end"),
    [
        ("It was late.", kernels.ENDS),
        ("很晚了……", kernels.ENDS),
        ("It was late....", kernels.ENDS),
        ("It was...", kernels.ENDS_CUT_OFF),
        ("“天黑…”", kernels.ENDS_CUT_OFF),
        ("一天、", kernels.ENDS_OPEN),
        ("as follows:", kernels.ENDS_OPEN),
        ("It was", kernels.ENDS_BARE),
        ("（他说了什么）", kernels.ENDS_BARE),
    ],
)
def test_how_a_line_ends(line: str, end: int) -> None:
    data, start, stop = spans_of([line])
    assert kernels.count_spans(data, start, stop, FLAGS)[0, kernels.END] == end


def test_the_end_is_what_is_left_of_a_document_and_code_closes_it() -> None:
    texts = ["One ends. Two goes on...\nThree, and\nFour is removed.", "One ends.\nRun this:\n```\nls\n```"]
    found = measure(pa.array(texts), ["en", "en"], compile_words(Config()))
    assert found.sentence["cut_off"].sum() == found.sentence["unfinished"].sum() == 0
    gone = np.array([False, False, False, True, False, False])
    set_endings(found, gone, {})
    assert found.sentence["unfinished"].tolist() == [0, 0, 1, 0, 0, 0]
    set_endings(found, gone, {"unfinished": np.array([True, True])})
    assert found.sentence["unfinished"].tolist() == [0, 0, 1, 0, 0, 0]
    assert found.sentence["cut_off"].tolist() == [0, 1, 0, 0, 0, 0]


def test_only_one_line_without_any_mark_goes_but_all_short_ones() -> None:
    lines = ["没有标点的第一行", "没有标点的第二行", "逗号，", "没有标点的第三行", "作者", "张三"]
    found = measure(pa.array(["\n".join(lines)]), ["zh"], compile_words(Config()))
    set_endings(found, np.zeros(6, dtype=bool), {"unfinished": np.array([True])})
    assert found.sentence["unfinished"].tolist() == [0, 0, 1, 1, 1, 1]


def test_lost_characters_are_counted_in_code_too() -> None:
    text = "A file.\n```\n\ufffd\ufffd\n```"
    assert document(text)["replacement_share"] == pytest.approx(2 / len(text), abs=1e-6)
    texts = pa.array(["\ufffda", "", "b\ufffd"])
    found = measure(texts, ["en"] * 3, compile_words(Config()))
    assert found.document["replacement_share"].tolist() == [0.5, 0, 0.5]


def document(text: str, language: str = "en") -> dict[str, float]:
    found = measure(pa.array([text]), [language], compile_words(Config()))
    return {name: float(value[0]) for name, value in found.document.items()}


def test_signals_of_a_small_text_are_those_that_one_counts() -> None:
    text = "The cat sat on THE mat. It was late...\n- one\n- two\n\nThe cat sat on THE mat. It was late..."
    found = document(text)
    assert found["lines"] == 4 and found["sentences"] == 6
    assert found["bullet_lines"] == 0.5 and found["ellipsis_lines"] == 0.5
    assert found["punctuated_lines"] == 0.5 and found["duplicate_lines"] == 0.25
    assert found["tokens"] == 22 and found["words"] == 22
    assert found["caps_words"] == pytest.approx(2 / 22, abs=1e-6)
    assert found["duplicate_sentences"] == pytest.approx(2 / 6, abs=1e-6)
    assert found["stop_words"] == 0  # Gopher's list is lower case, and "the" stands here as The and THE


def test_fenced_code_and_formulas_are_left_out() -> None:
    prose = "这里是正文，讲的是怎样写程序。\n接着还有一行正文，说明结果。"
    code = "\n```c\nint main() { return 0; }\nfor (;;) { }\n```\n$$\n\\frac{a}{b}\n$$\n"
    assert document(prose + code, "zh")["code_lines"] == pytest.approx(7 / 9, abs=1e-6)
    for name in ("characters", "tokens", "han_share", "curly_share", "duplicate_5_gram", "entropy"):
        assert document(prose + code, "zh")[name] == document(prose, "zh")[name]
    unclosed = document(prose + "\n```\nint main() { return 0; }", "zh")
    assert unclosed["code_lines"] == 0 and unclosed["curly_share"] > 0


def test_words_count_once_per_category_and_by_weight() -> None:
    config = Config(
        word_lists=[{"category": "loan", "words": {"贷款": 1, "无抵押贷款": 4}}],
        patterns=[{"name": "code", "anchors": ["wx"], "expressions": [r"wx\d+"]}],
        rules=Config().model_dump()["rules"][:1],
    )
    found = measure(
        pa.array(["他要贷款。有人说无抵押贷款好。加wx123。\n第二行"]), ["zh"], compile_words(config)
    )
    assert found.paragraph["loan"].tolist() == [5, 0]
    assert found.sentence["loan"].tolist() == [1, 4, 0, 0]
    assert found.sentence["code"].tolist() == [0, 0, 1, 0]
    assert found.document["loan_lines"].tolist() == [0.5]
    assert found.document["loan_per_1000"].tolist() == [pytest.approx(1000 * 5 / 300, abs=1e-6)]


def test_every_named_signal_is_measured_and_a_batch_equals_its_documents() -> None:
    config, words = Config(), compile_words(Config())
    texts = [
        "第一篇。有两句话。\n第二行",
        "",
        "Second text here, with words. Buy now!\n\n<div>x</div>",
        "\n \n",
    ]
    languages = ["zh", "zh", "en", "en"]
    whole = measure(pa.array(texts), languages, words)
    names = config.measures()
    own = {name for name in signal_names("document", names) if not is_optional(name)}
    assert set(whole.document) | {"left_characters", "lost_share"} == own
    for level, signals in (("paragraph", whole.paragraph), ("sentence", whole.sentence)):
        assert set(signals) == {n for n in signal_names(level, names) if not n.startswith(ABOVE)}
    for i, text in enumerate(texts):
        alone = measure(pa.array([text]), [languages[i]], words)
        for name, value in alone.document.items():
            assert value[0] == whole.document[name][i], name

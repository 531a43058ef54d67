"""Patterns are tried only where they can match, and match what `re` alone does."""

from __future__ import annotations

import re
import sys

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.filter import signals
from steps.filter.config import Config
from steps.filter.matcher import scan
from steps.filter.patterns import OTHER_CASES, compile_expression, matches
from steps.text import segment
from steps.text.unicode_tables import classes

EXPRESSIONS = (
    r"call|\btext",
    r"(?:tel|e-?mail)\s?[:：]\s?\d+",
    r"(?:加|联系)?(?:微信|vx)\s?\d*",
    r"^\W*(?:home|首页)\W*$",
    r"^(?!\s*#)\W*(?:call|×|中|\d+ (?:qq|text))",
    r"[vw]x{1,2}\d|qq群?",
    r"(?=.*\d)Kiss|(?<!a)sick",
    r"a*b+|中",
)
PIECES = [
    "call",
    "text",
    "tel",
    "email",
    "e-mail",
    ":",
    "：",
    "12",
    "加",
    "微信",
    "vx",
    "wxx",
    "qq",
    "群",
    "home",
    "首页",
]
PIECES += [
    "kiss",
    "sick",
    "a",
    "b",
    "中",
    " ",
    "-",
    "#",
    "×",
    "_",
    "٣",
    "é",
    "\u212aiss",
    "te\u017ft",
    "\u017fick",
]

ANCHORS = ["call", "微信", "首页", "qq", "b"]
PATTERN = {"name": "p", "anchors": ANCHORS, "expressions": list(EXPRESSIONS)}
CONFIG = Config(word_lists=[], patterns=[PATTERN], rules=Config().model_dump()["rules"][:1])


def test_what_the_words_of_an_expression_are() -> None:
    first = compile_expression(r"\b(?:call|e-?mail)\s+us")
    assert first.starts and first.words == {"call", "email", "e-mail"}
    assert not compile_expression(r"\w+@\w+\.com").starts
    assert compile_expression(r"\w+@\w+\.com").words == {".com"}
    assert compile_expression(r"a|call").words == frozenset()
    assert compile_expression(r"^\W*(?:end)").first and not compile_expression(r"^a|b").first
    opening = compile_expression(r"^(?!\s*#)\W*(?:home|×|中|\d+ likes)")
    assert opening.starts and opening.first and opening.words == {"home", "×", "中"}
    assert not compile_expression(r"\W*(?:home|\d+)").starts
    assert compile_expression(r"tel\d").words == {"tel"}


def test_other_cases_are_all_that_ascii_letters_match_besides_themselves() -> None:
    letters = re.compile("[a-z]", re.IGNORECASE)
    odd = [c for c in map(chr, range(0x80, sys.maxunicode + 1)) if letters.match(c)]
    assert "".join(odd) == OTHER_CASES


@given(st.sampled_from(EXPRESSIONS), st.lists(st.sampled_from(PIECES), max_size=12), st.booleans())
@settings(max_examples=500, deadline=None)
def test_matches_begin_at_words_as_if_sought_everywhere(source: str, pieces: list[str], upper: bool) -> None:
    one, text = compile_expression(source), "".join(pieces)
    text = text.upper() if upper else text
    if not one.starts or any(c in text for c in OTHER_CASES):
        return
    low = text.lower()
    places = sorted({m for word in one.words for m in range(len(low)) if low.startswith(word, m)})
    expected = [match.span() for match in one.pattern.finditer(text)]
    assert [match.span() for match in matches(one, text, places)] == expected


@given(st.lists(st.lists(st.sampled_from(PIECES), min_size=1, max_size=10), min_size=1, max_size=4))
@settings(max_examples=300, deadline=None)
def test_a_pattern_finds_what_its_joined_expressions_find(lines: list[list[str]]) -> None:
    words = signals.compile_words(CONFIG)
    text = "\n".join("".join(line) for line in lines)
    data, offsets = segment.text_buffers(pa.array([text]))
    spans = segment.lines(data, offsets, classes())
    hits = scan(words.automaton, data, spans.start, spans.end)
    found = signals._matches(words, 0, signals._seen(data, spans, hits, words))
    joined = re.compile("|".join(f"(?:{one})" for one in EXPRESSIONS), re.IGNORECASE)
    expected = []
    for number, (a, b) in enumerate(zip(spans.start.tolist(), spans.end.tolist(), strict=True)):
        line = data[a:b].tobytes().decode()
        if any(anchor in line.lower() for anchor in ANCHORS):
            expected += [(number, a + len(line[: m.start()].encode())) for m in joined.finditer(line)]
    assert found == expected


@pytest.mark.parametrize("source", EXPRESSIONS)
def test_a_text_without_the_words_does_not_match(source: str) -> None:
    one = compile_expression(source)
    if one.words and not one.starts:
        assert not one.pattern.search("nothing of 那个 here, 12.")

"""Signals of any text: no crash, no hang, finite numbers, and a batch is what its documents are alone."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from steps.filter import kernels, matcher
from steps.filter.config import Config, Pattern
from steps.filter.patterns import compile_expression, matches
from steps.filter.signals import Measured, compile_words, measure
from steps.text import segment
from steps.text.unicode_tables import classes
from tests.fuzz import FUZZ_INPUTS, mutations
from tests.steps.text.test_fuzz import SEEDS

WORDS = compile_words(Config())
PAGES = [
    *SEEDS,
    "加微信：vx_12345，电话 13912345678。<div class='a'>&nbsp;</div> 分享 评论 12 赞\n首页 > 新闻\n".encode(),
    b"Call us now +1 (555) 123-4567! Share this. 12 comments\n.a { color: red; }\nfunction x() { return 1; }\n",
]


def check(found: Measured) -> None:
    for level in (found.document, found.paragraph, found.sentence):
        for name, values in level.items():
            assert np.isfinite(values).all() and (values >= 0).all(), name
    assert (found.sentences.end <= found.lines.end[found.sentences.parent]).all()


@pytest.mark.fuzz
def test_any_text_has_finite_signals_and_a_batch_equals_its_documents() -> None:
    texts = [data.decode(errors="replace") for data in mutations(PAGES, seed=3)]
    for at in range(0, len(texts), 50):
        batch = texts[at : at + 50]
        languages = ["zh", "en"] * 25
        found = measure(pa.array(batch), languages[: len(batch)], WORDS)
        check(found)
        alone = at % len(batch)
        single = measure(pa.array(batch[alone : alone + 1]), languages[alone : alone + 1], WORDS)
        for name, values in single.document.items():
            assert values[0] == found.document[name][alone], name


@pytest.mark.fuzz
def test_kernels_take_any_bytes() -> None:
    for data in mutations(PAGES, seed=4):
        raw = np.frombuffer(data, np.uint8)
        offsets = np.array([0, len(raw) // 2, len(raw)], np.int64)
        lines = segment.lines(raw, offsets, classes())
        counts = kernels.count_spans(raw, lines.start, lines.end, classes())
        assert (counts >= 0).all() and (counts[:, kernels.CHARACTERS] <= lines.end - lines.start).all()
        kernels.count_sentences(raw, lines.start, lines.end, classes())
        code = kernels.code_lines(raw, lines.parent, lines.start, lines.end)
        assert len(kernels.blank(raw, lines.start[code], lines.end[code])) == len(raw)
        lost, characters = kernels.count_lost(raw, offsets)
        assert (3 * lost <= np.diff(offsets)).all() and (characters <= np.diff(offsets)).all()
        hits = matcher.scan(WORDS.automaton, raw, lines.start, lines.end)
        assert (hits.start >= lines.start[hits.span]).all()
        assert (hits.start + WORDS.automaton.length[hits.word] <= lines.end[hits.span]).all()


@pytest.mark.fuzz
@pytest.mark.parametrize(
    "unit",
    [
        "a",
        ".",
        "…",
        "【",
        "微信",
        "vx",
        "call ",
        "share ",
        "<div ",
        "color:",
        ".a,",
        "[",
        "qq1",
        "http://",
        "　",
        "```\n",
    ],
)
def test_one_unit_repeated_is_measured_in_proportion(unit: str) -> None:
    """Half a million characters of one kind; quadratic work, in a pattern as well, would take hours."""
    size = 500_000 if FUZZ_INPUTS > 1000 else 60_000
    check(measure(pa.array([unit * (size // len(unit))]), ["zh"], WORDS))


PUMPS = [
    "a",
    "a-",
    "a ",
    "a, ",
    ".a",
    "#a,",
    "{ ",
    "} ",
    " ",
    "1",
    "1 ",
    "1,",
    "中",
    "\u3000",
    "a.b",
    "-",
    "(",
    "[",
    "<a ",
]
PUMPS += ["&", "：", "a: ", '"', "www.", "a/", "赞", "评论", "|", "·", "0-", "12:", "更多", "@", "=", "a=b&"]


@pytest.mark.fuzz
@pytest.mark.timeout(120)
@pytest.mark.parametrize("pattern", Config().patterns, ids=lambda pattern: pattern.name)
def test_no_expression_can_be_made_to_try_without_end(pattern: Pattern) -> None:
    """Python's `re` goes back over every way to cut a text: two thousand characters would then take for ever."""
    for source in pattern.expressions:
        one = compile_expression(source)
        for start in ("", *sorted(one.words)[:6], ".a", "<a", pattern.anchors[0]):
            for unit in PUMPS:
                for end in ("!", "x{y"):
                    text = start + unit * (2000 // len(unit)) + end
                    assert sum(1 for _ in matches(one, text, None)) <= len(text)

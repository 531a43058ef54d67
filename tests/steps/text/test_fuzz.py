"""Kernels of text on any bytes: nothing read or written outside, no hang, and on valid text what slow Python says."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from steps.text import ngrams, segment
from steps.text.unicode_tables import classes
from tests.fuzz import mutations
from tests.steps.text.test_segment import pieces, slow_duplicates, slow_sentences, slow_tokens, slow_top

SEEDS = [
    text.encode()
    for text in (
        "The cat sat on THE mat. It was 3.14 late...\n- one\n\n“Really?” she said.  \n",
        "第一篇。有两句话！“对吗？”他说……\n　　第二段，《书》里说：真的。\n",
        "مرحبا. Привет! 日本語のテキスト。한국어 텍스트. ๆไทย 😀👍🏽\u200b\u2028x",
        "```\nint main() { return 0; }\n```\n$$\n\\frac{a}{b}\n$$\n【广告】点击…\n",
        "\ud7ff\ue000\ufffd\U0010ffff\x00\x7f\x80\u0085\u00a0.",
    )
]


@pytest.mark.fuzz
def test_kernels_take_any_bytes() -> None:
    for data in mutations(SEEDS, seed=1):
        raw = np.frombuffer(data, np.uint8)
        offsets = np.array([0, len(raw) // 3, len(raw) // 3, len(raw)], np.int64)
        lines = segment.lines(raw, offsets, classes())
        sentences = segment.sentences(raw, lines, classes())
        for spans in (lines, sentences):
            assert (spans.start < spans.end).all() and (spans.end <= len(raw)).all()
            assert (spans.start[1:] >= spans.end[:-1]).all()
        for line in range(len(lines.start)):
            own = np.flatnonzero(sentences.parent == line)
            assert sentences.start[own[0]] == lines.start[line] and sentences.end[own[-1]] == lines.end[line]
        tokens = segment.tokens(raw, offsets, classes())
        assert tokens.offsets[-1] == len(tokens.hash) == len(tokens.chars) <= len(raw)
        assert (tokens.chars > 0).all() and tokens.chars.sum() <= len(raw)
        shares = ngrams.repetition(tokens.offsets, tokens.hash, tokens.chars)
        assert np.isfinite(shares).all() and (shares >= 0).all()
        assert len(segment.hash_spans(raw, lines.start, lines.end)) == len(lines.start)


@pytest.mark.fuzz
def test_kernels_equal_slow_python_on_what_can_be_decoded() -> None:
    for data in mutations(SEEDS, seed=2):
        text = data.decode(errors="replace")[:5000]
        raw, offsets = segment.text_buffers(pa.array([text], pa.large_string()))
        lines = segment.lines(raw, offsets, classes())
        found = [piece for _, piece in pieces(raw, segment.sentences(raw, lines, classes()))]
        assert found == [one for _, line in pieces(raw, lines) for one in slow_sentences(line)]
        words = slow_tokens(text)
        tokens = segment.tokens(raw, offsets, classes())
        assert tokens.chars.tolist() == [len(word) for word in words]
        shares = dict(
            zip(
                ngrams.COLUMNS,
                ngrams.repetition(tokens.offsets, tokens.hash, tokens.chars)[0].tolist(),
                strict=True,
            )
        )
        assert shares["top_2"] == pytest.approx(slow_top(words, 2))
        assert shares["duplicate_5"] == pytest.approx(slow_duplicates(words, 5))


@pytest.mark.fuzz
@pytest.mark.parametrize(
    "unit", ["。", ".", "…", "a", " ", "\n", "中", "!? ", "\u3000", "```\n", "【", "a\n", "<", "\\"]
)
def test_one_unit_repeated_takes_time_in_proportion(unit: str) -> None:
    """A million characters of one kind are done in one go; quadratic work would take hours."""
    raw, offsets = segment.text_buffers(pa.array([unit * (1_000_000 // len(unit))], pa.large_string()))
    lines = segment.lines(raw, offsets, classes())
    segment.sentences(raw, lines, classes())
    tokens = segment.tokens(raw, offsets, classes())
    shares = ngrams.repetition(tokens.offsets, tokens.hash, tokens.chars)
    assert np.isfinite(shares).all()

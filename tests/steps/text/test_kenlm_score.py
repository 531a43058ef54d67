"""The one normalisation of training and scoring, against a slow one character by character."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.text import unicode_tables
from steps.text.kenlm_score import normalise_lines
from steps.text.unicode_tables import PUNCTUATION_MAP

SPACES = "\t\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\u2028\u2029"


def slow(text: str) -> list[str]:
    """cc_net's steps in its order, with the three differences that kenlm_score.py names."""
    text = "".join(" " if c in SPACES else c for c in text).lower()
    text = "".join(
        c
        for part in text
        for c in (part if "가" <= part <= "힣" else unicodedata.normalize("NFD", part))
        if unicodedata.category(c) != "Mn"
    )
    text = "".join("0" if unicodedata.category(c) == "Nd" else c for c in text)
    text = "".join(PUNCTUATION_MAP.get(c, c) for c in text)
    text = "".join(c for c in text if c == "\n" or unicodedata.category(c) not in ("Cc", "Cf", "Co", "Cs"))
    return [line.strip() for line in text.split("\n") if line.strip()]


# characters that Unicode 14.0 knows: later ones are unknown to the tables, whatever this Python says
KNOWN = st.characters(exclude_categories=["Cs", "Cn"], max_codepoint=0x1FAFF).filter(
    lambda c: unicodedata.category(c) != "Cn"
)


@given(st.text(st.sampled_from("aÀé9５٣。，“\n\t\u200b\u2028　中ｈ") | KNOWN, max_size=60))
@settings(max_examples=500, deadline=None)
def test_normalisation_equals_the_slow_one(text: str) -> None:
    if "Σ" in text:  # str.lower looks at a final sigma's neighbours, the table cannot
        return
    assert normalise_lines([text]) == [slow(text)]


def test_what_it_does_in_the_open() -> None:
    text = "Ｈéllo， 世界！２０２４年\t3.5%\n\n　第二行——“好”…\u200b\nÉcole"
    assert normalise_lines([text, "", "\n"]) == [
        ["ｈello, 世界!0000年 0.0%", '第二行 -  - "好"...', "ecole"],
        [],
        [],
    ]


def test_documents_of_a_batch_do_not_leak_into_each_other() -> None:
    texts = ["A。", "", "二\n三", "b"]
    assert normalise_lines(texts) == [normalise_lines([text])[0] for text in texts]


@pytest.mark.skipif(unicodedata.unidata_version != "14.0.0", reason="the tables are of Unicode 14.0.0")
def test_the_committed_tables_are_those_that_the_command_writes() -> None:
    classes = unicode_tables.classes()
    points = [*range(0x3400), *range(0xF900, 0x10000), *range(0x1D400, 0x1D800), *range(0x1F300, 0x1FB00)]
    assert [int(classes[point]) for point in points] == [unicode_tables._class_of(point) for point in points]
    offset, length, text = unicode_tables.scorer_map()
    for point in points:
        kept = int(length[point])
        start = int(offset[point])
        found = chr(point) if kept < 0 else text[start : start + kept].tobytes().decode()
        assert found == unicode_tables._scorer_text(point), hex(point)

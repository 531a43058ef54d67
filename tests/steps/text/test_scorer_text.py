"""The one normalisation of training and scoring, against a slow one character by character."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.text import unicode_tables
from steps.text.scorer_text import LONGEST_LINE, NORMALISATIONS, normalise, normalise_lines
from steps.text.unicode_tables import PUNCTUATION_MAP

SPACES = "\t\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\u2028\u2029"


def slow(text: str) -> list[str]:
    """cc_net's steps in its order, with the three differences that scorer_text.py names."""
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


CONTROLS = re.compile("[" + "".join(map(chr, [*range(32), *range(127, 160)])) + "]")
CC_NET_MAP = {**PUNCTUATION_MAP, "１": '"'}  # with the entry that never acts


def cc_net(line: str, accent: bool = True, case: bool = True) -> str:
    """text_normalizer.py's normalize (facebookresearch/cc_net@bda555b), told in its own steps."""
    line = line.strip()
    if case:
        line = line.lower()
    if accent:
        line = "".join(c for c in unicodedata.normalize("NFD", line) if unicodedata.category(c) != "Mn")
    line = re.sub(r"\d", "0", line)
    line = "".join(CC_NET_MAP.get(c, c) for c in line)
    return CONTROLS.sub("", line)


REORDERED = dict.fromkeys([0x302E, 0x302F, 0x16FF0, 0x16FF1, *range(0x1D165, 0x1D173)])


@given(
    st.text(st.sampled_from("aÀé１9５٣。，“—\n\t\x00\x85\u200b\u2028　中ｈΣσ한각\ue000") | KNOWN, max_size=60)
)
@settings(max_examples=500, deadline=None)
def test_cc_nets_normalisation_is_its_own(text: str) -> None:
    text = text.translate(REORDERED)
    expected = cc_net(text)
    assert normalise_lines([text], "cc_net") == [[expected] if expected else []]
    expected = cc_net(text, accent=False, case=False)
    assert normalise_lines([text], "edugp") == [[expected] if expected else []]


def test_cc_net_glues_lines_and_its_map_of_the_full_width_one_never_acts() -> None:
    assert normalise_lines(["Born in 2024.\nSecond １ line", " \n "], "cc_net") == [
        ["born in 0000.second 0 line"],
        [],
    ]


def test_a_line_longer_than_memory_allows_is_read_in_pieces() -> None:
    lines = normalise(["字" * 100_000, "short"])
    assert lines.parent.tolist() == [0, 0, 0, 0, 0, 1]
    assert max(lines.bytes) <= LONGEST_LINE + 2 and "".join(lines.text[:-1]) == "字" * 100_000
    whole = normalise(["a b " * 600_000], "cc_net")
    assert len(whole.text) == 3 and "".join(whole.text) == ("a b " * 600_000).strip()


@given(st.lists(st.binary(max_size=30), max_size=5))
@settings(max_examples=200, deadline=None)
def test_bytes_that_are_no_text_neither_crash_nor_read_beyond_their_end(pieces: list[bytes]) -> None:
    texts = [piece.decode("utf-8", "replace") for piece in pieces]
    for name in NORMALISATIONS:
        lines = normalise(texts, name)
        assert [len(text.encode()) for text in lines.text] == lines.bytes.tolist()
        assert all(0 <= document < len(texts) for document in lines.parent.tolist())

from __future__ import annotations

import sys
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.text import normalise
from steps.text import scan as kernel
from steps.text import scan_tables as scan
from steps.text.markup import strip_markup
from steps.text.mojibake import count_mojibake, repair_line
from steps.text.normalise import Settings, clean_line
from steps.text.personal_data import mask_line
from steps.text.scan import Scan, join_lines
from steps.text.scan_tables import code_points, tables
from steps.text.segment import text_buffers

ALL = 0xFFFFFFFF
CHARACTERS = st.sampled_from(
    [
        *"abzZqQTDP019 ,.;:!?~-_=+*/^()<>&#@$%'`|",
        *"，。、；：！？…—～（）《》“”中文国人的説於　Ａ１％★😀■❤\u200b\u00ad\u0301é\u00a0·・°￣▽╯ωД한",
    ]
)
WORD = st.sampled_from(
    [
        *[
            "^_^",
            "T_T",
            "orz",
            ":-)",
            "xD",
            "(￣▽￣)",
            "o(╥﹏╥)o",
            "(^o^)/",
            "(T_T)",
            "&amp;",
            "&#38;",
            "<br>",
            "</b>",
        ],
        *[
            "<b>x</b>",
            "Ã©",
            "â€œ",
            "ä¸\xadæ–‡",
            "ÖÐÎÄ²âÊÔÎÄ±¾",
            "锟斤拷",
            "1.2.3.4",
            "138 1234 5678",
            "+44 20 7946",
        ],
        *[
            "数据清洗是训练".encode().decode("gb18030", "ignore"),
            "(010)62345678",
            "2001:db8::1",
            "a@b.cn",
            "我 们 的 国",
        ],
        *["。。", "……", "!!!", "----------"],
    ]
)
LINE = st.lists(st.one_of(CHARACTERS, WORD), max_size=30).map("".join)


def scanned(*texts: str, tidy: bool = False) -> tuple[np.ndarray, Scan]:
    data, offsets = text_buffers(pa.array(texts, pa.string()))
    return data, kernel.scan(data, offsets, np.full(len(texts), tidy), tables())


@settings(max_examples=1500, deadline=None)
@given(LINE, st.booleans())
def test_a_line_stays_as_it_is_without_the_flag_of_a_repair(line: str, chinese: bool) -> None:
    """A flag is a necessary condition: what all repairs do together, those that the flags name do."""
    line = line.rstrip(" ")
    (flags,) = scanned(line)[1].flags.tolist()
    allowed = int(normalise._CHINESE_TEXT if chinese else normalise._OTHER_TEXT)
    together = (scan.FACE, scan.KAOMOJI, scan.WIDTH | scan.WIDTH_MARK, scan.LATIN_1 | scan.GBK)
    alone = (
        scan.SPACE,
        scan.INVISIBLE,
        scan.COMPOSE,
        scan.SYMBOL,
        scan.REPEAT,
        scan.SPACES,
        scan.NARROW,
        scan.EDGE,
    )
    for bits in map(int, (*together, *alone, scan.SPACED_HAN)):
        if not bits & flags and bits & allowed:
            assert clean_line(line, bits, True, chinese, Settings(), [0] * 6) == line, f"flags {bits:x}"
    if not flags & int(scan.LATIN_1 | scan.GBK):
        assert repair_line(line) == (line, 0)
    if not flags & int(scan.LOST):
        assert count_mojibake(line) == 0
    if not flags & int(scan.MARKUP):
        assert strip_markup(line) == (line, 0)
    for bit in (scan.AT, scan.NUMBER, scan.COLONS):
        if not flags & int(bit):
            assert mask_line(line, int(bit)) == (line, {})


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from([*"-=_*~+·#.—─ ", "a"]), max_size=12))
def test_a_ruled_line_has_five_marks_and_nothing_else(line: str) -> None:
    marks = line.replace(" ", "")
    flagged = bool(scanned(line)[1].flags[0] & scan.RULED)
    assert flagged == (len(marks) >= 5 and "a" not in marks)


def test_every_character_that_composes_is_flagged() -> None:
    flagged = set(np.flatnonzero(tables().classes & scan.COMPOSE).tolist())
    missing = [
        point
        for point in range(sys.maxunicode + 1)
        if not 0xD800 <= point < 0xE000
        and (not unicodedata.is_normalized("NFC", chr(point)) or unicodedata.combining(chr(point)))
        and point not in flagged
    ]
    assert missing == []


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(max_size=40), max_size=5), st.booleans())
def test_lines_join_to_the_text_again(texts: list[str], tidy: bool) -> None:
    texts = [text.encode("utf-8", "replace").decode() for text in texts]
    data, lines = scanned(*texts, tidy=tidy)
    assert np.diff(lines.first).tolist() == [text.count("\n") + 1 for text in texts]
    pieces = [data[a:b].tobytes().decode() for a, b in zip(lines.start, lines.end, strict=True)]
    expected = [line.rstrip(" ") if tidy else line for text in texts for line in text.split("\n")]
    assert pieces == expected
    joined, offsets = join_lines(data, lines, np.zeros(len(texts), bool))
    if not tidy:
        assert joined.tobytes().decode() == "".join(texts)
        assert np.diff(offsets).tolist() == [len(text.encode()) for text in texts]


@pytest.mark.parametrize(
    ("lines", "joined"),
    [
        (["", "", "a  ", "", " ", "", "b", ""], "a\n\nb"),
        (["a", "b"], "a\nb"),
        (["  a", "", "b"], "  a\n\nb"),
        (["", ""], ""),
    ],
)
def test_tidy_documents_have_one_blank_line_at_most(lines: list[str], joined: str) -> None:
    data, found = scanned("\n".join(lines))
    assert join_lines(data, found, np.ones(1, bool))[0].tobytes().decode() == joined


def test_letters_are_counted_by_script() -> None:
    _, lines = scanned("中文 ab カナ 한글 駅")
    assert lines.counts[0].tolist() == [13, 9, 3, 2, 2, 3, 0]
    assert code_points("a-c中").tolist() == [97, 98, 99, 0x4E2D]

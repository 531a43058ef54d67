"""Detectors that go by shape rather than by words: cut-off ends, menus at an end of the page, glued snippets."""

from __future__ import annotations

import pytest

from steps.evaluate.endings import truncated
from steps.evaluate.menus import navigation
from steps.evaluate.snippets import incoherent

ZH = "这座桥建成于一九三五年。桥面宽八米，两侧有石栏。战争中它被炸断过一次，后来又重新修好。"
EN = "The bridge was finished in 1935. Its deck is eight metres wide. It was blown up once. Later it was rebuilt."


@pytest.mark.parametrize(
    ("language", "text", "cut"),
    [
        ("zh", ZH + "今年过桥的人比去年更", True),
        ("zh", ZH + "今年过桥的人比去年更多", False),
        ("zh", ZH, False),
        ("zh", "今年过桥的人比去年更", False),  # a title, as far as one can tell
        ("zh", ZH.replace("。", "") + "今年过桥的人比去年更", False),  # a page that sets no full stops
        ("en", f"{EN} This year more people crossed it betw", True),
        ("en", f"{EN} This year more people crossed it between", True),
        ("en", f"{EN} This year more people crossed it", False),
        ("en", f"{EN} See https://bridges.example/betw", False),
        ("en", "", False),
    ],
)
def test_a_text_is_cut_off_where_it_stops_at_what_hardly_ends_a_sentence(
    language: str, text: str, cut: bool
) -> None:
    assert (truncated(text, language)[0] >= 1) == cut


@pytest.mark.parametrize(
    ("head", "tail", "menu"),
    [
        ("Home\nSeeds\nTools\nSoil\nPots\nCourses\nGreenhouses\n", "", True),
        ("Tomatoes\nOnions\nGarlic\nBasil\nSalt\nOlive oil\nPepper\n", "", False),  # a recipe
        ("国内 国际 军事 财经 股票 基金 汽车 房产\n", "", True),
        ("", "\nSeeds\nTools\nSoil\nPots\nContact us\nCourses\nSite map", True),
        ("", "\nSeeds\nTools\nSoil\nPots\nCourses\nGreenhouses\nRain\nFrost", False),
        ("Home\nSeeds\nTools\n", "", False),
    ],
)
def test_a_run_of_short_entries_with_menu_words_at_either_end_is_a_menu(
    head: str, tail: str, menu: bool
) -> None:
    text = head + EN + tail
    score, start, end = navigation(text, "en")
    assert (score >= 1) == menu
    if menu:
        assert 0 <= start < end <= len(text)
        assert EN not in text[start:end]


@pytest.mark.parametrize(
    ("joint", "glued"), [(" | ", True), ("……", True), (" - ", True), (" ", False), ("\n", False)]
)
def test_whole_sentences_set_off_by_bars_are_snippets(joint: str, glued: bool) -> None:
    sentences = [
        "桥建成于一九三五年。",
        "本店今日开业。",
        "考试推迟一周。",
        "番茄切块备用。",
        "比分是三比一。",
        "明天有雨。",
    ]
    assert (incoherent(joint.join(sentences), "zh")[0] >= 1) == glued

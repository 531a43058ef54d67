from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from steps.text.language import identify


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("今天天氣", "zh"),
        ("中文", "zh"),
        ("hello there friend how are you", "en"),
        ("日本語のテキストです。東京は大きい都市です。", "ja"),
        ("Guten Tag, wie geht es Ihnen heute?", "de"),
        ("한국어 문장은 이렇게 씁니다", "ko"),
        ("北京大学 2020 admissions office", "zh"),
        ("https://example.com/about/contact", "und"),
        ("https://example.com/about，这是中文", "zh"),
        ("12345 !!!", "und"),
        ("", "und"),
    ],
)
def test_a_text_is_given_its_language(text: str, language: str) -> None:
    assert identify([text])[0].language == language


def test_an_english_menu_above_a_chinese_article_does_not_decide() -> None:
    menu = "Home News Sports Business Technology Entertainment About Contact\n"
    article = "村子东边有三百亩地，地面泛着一层白霜，种玉米只长到膝盖高。" * 60
    assert identify([menu * 3 + article])[0].language == "zh"


def test_prose_between_code_and_shouted_prose_are_recognised() -> None:
    code = "for (int i = 0; i < n; ++i) { std::cout << a[i] << std::endl; }\n" * 8
    chinese = "下面的程序依次输出数组里的每一个元素，时间复杂度是线性的。\n"
    english = "The program below prints all of the elements that are in the array, and it is linear.\n"
    shouted = "BEAUTIFUL FAMILY HOME WITH A SPACIOUS ROOM AND A STONE FIREPLACE NEAR THE BEACH OF THE BAY"
    guesses = identify([chinese + code, english + code, shouted, code])
    assert [guess.language for guess in guesses[:3]] == ["zh", "en", "en"]
    assert all(guess.score >= 0.5 for guess in guesses[:3])
    assert guesses[3].score < 0.5


def test_scores_are_probabilities_and_texts_without_letters_have_none() -> None:
    guesses = identify(["plain English prose that nobody would doubt for a moment", "？！", "\ud800"])
    assert 0.8 < guesses[0].score <= 1.0
    assert (guesses[1].score, guesses[2].score) == (0.0, 0.0)


@pytest.mark.data
def test_sentences_of_real_translations_are_recognised(shared_data: Path) -> None:
    with gzip.open(shared_data / "mt_pairs" / "cmn.txt.gz", "rt", encoding="utf-8", newline="\n") as file:
        pairs = [line.split("\t")[:2] for _, line in zip(range(4000), file, strict=False)]
    english, chinese = zip(*pairs, strict=True)
    assert sum(g.language == "zh" for g in identify(chinese)) >= 0.99 * len(pairs)
    long = [text for text in english if len(re.findall(r"\w+", text)) >= 4]
    assert sum(g.language == "en" for g in identify(long)) >= 0.99 * len(long)

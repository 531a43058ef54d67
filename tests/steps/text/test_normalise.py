from __future__ import annotations

import gzip
import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.text.normalise import normalise, to_simplified


def clean(text: str, language: str = "zh") -> str:
    return normalise(text, language).text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("你好,世界!真的?好:对;是", "你好，世界！真的？好：对；是"),
        ("他说.然后走了.", "他说。然后走了。"),
        ("ＡＢＣ１２３％（测试）", "ABC123%（测试）"),
        ("太好了！！！！真的吗？？？", "太好了！真的吗？"),
        ("等等。。。。走，，，了。。", "等等……走，了。"),
        ("开头\n，逗号在行首", "开头\n逗号在行首"),
        ("标点 ，前后 。 有空格", "标点，前后。有空格"),
        ("\u3000\u3000缩进的段落", "缩进的段落"),
        ("一\u200b二\ufeff三\u00ad四\ue000五\x07六", "一二三四五六"),
        ("一\r\n二\u2028三\x85四", "一\n二\n三\n四"),
        ("★★★ 好消息 😀👍🏽❤️ (^_^)", "好消息"),
        ("上面\n==========\n下面", "上面\n下面"),
        ("一\n\n\n\n\n二", "一\n\n二"),
    ],
)
def test_chinese_typography_is_made_uniform(before: str, after: str) -> None:
    assert clean(before) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Hello   world!!!!!  Why????", "Hello world! Why?"),
        ("Ｆｕｌｌ ｗｉｄｔｈ，ｔｅｘｔ．", "Full width,text."),
        ("fine :-) and done :D", "fine and done"),
        ("e\u0301te\u0301", "été"),
        ("a\u00a0b\u2009c", "a b c"),
        ("to be continued.......", "to be continued..."),
    ],
)
def test_english_typography_is_made_uniform(before: str, after: str) -> None:
    assert clean(before, "en") == after


@pytest.mark.parametrize(
    "text",
    [
        "def f(x):\n    if x != 0:\n        return x ** 2  # ok",
        "for (int i = 0; i < n; ++i) { a[i] = b[i] ? c : d; }",
        r"$\sum_{i=1}^{n} i! = x^2 + \frac{1}{2}$, n!! and f(x)=8)",
        "△ABC ≅ △DEF, □ + ○ → ∞, 5 ≤ x ≥ 3, ♀ ♂",
        "The ratio is 3:4 and the time 12:30, see [1] (a; b).",
        "std::vector<int> v{1, 2, 3}; std::cout << v.size();",
    ],
)
def test_code_and_formulas_stay(text: str) -> None:
    expected = text.replace("  #", " #")
    assert clean(text, "en") == expected
    assert clean(text, "zh") == expected


def test_traditional_becomes_simplified_with_phrases() -> None:
    text = "乾隆皇帝說：臺灣的頭髮著名，後面是皇后，瞭解什麼"
    done = normalise(text, "zh")
    assert done.text == "乾隆皇帝说：台湾的头发著名，后面是皇后，了解什么"
    assert done.converted >= 8
    assert normalise(text, "zh", simplify="").text == text


def test_a_name_in_simplified_text_keeps_its_spelling() -> None:
    text = "北宋庆历年间，布衣毕昇用胶泥刻字，一字一印，火烧令坚。"
    assert to_simplified(text) == (text, 0)


def test_counts_say_what_was_done() -> None:
    done = normalise("好\u200b的\ufffd★", "zh")
    assert (done.invisible_removed, done.mojibake_left, done.symbols_removed) == (1, 1, 1)
    assert done.text == "好的\ufffd"


ALPHABET = st.sampled_from(
    [
        *"ab1 \n\t.,;:!?~-=()（）[]【】，。、；：！？…“”",
        *"《》中文字臺說😀★❤\u200b\ufeff\u00a0\u3000\r\x85\u2028\ue000Ａ１",
    ]
)


@settings(max_examples=600, deadline=None)
@given(st.text(ALPHABET, max_size=60), st.sampled_from(["zh", "en"]))
def test_normalising_twice_changes_nothing_more(text: str, language: str) -> None:
    once = normalise(text, language, simplify="").text
    assert normalise(once, language, simplify="").text == once


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200), st.sampled_from(["zh", "en", "de"]))
def test_any_text_is_normalised_without_an_error(text: str, language: str) -> None:
    done = normalise(text, language)
    done.text.encode()  # no lone surrogate is left
    assert not set(done.text) & set("\u200b\ufeff\r\x85\u2028\x00")


@pytest.mark.parametrize(
    "unit", [" :)", " ", "a ", "\n ", "(^_", "!", "，", "- ", "= ", "臺", "★ ", "\u3000"]
)
def test_time_grows_with_the_length_and_not_with_its_square(unit: str) -> None:
    text = "a" + unit * 60_000 + "a"
    began = time.process_time()
    for language in ("zh", "en"):
        normalise(text, language)
    assert time.process_time() - began < 4  # a quadratic pattern takes minutes


@pytest.mark.data
def test_clean_prose_keeps_its_letters(shared_data: Path) -> None:
    with gzip.open(
        shared_data / "lctt_opensource" / "lctt_opensource_zh_en.jsonl.gz", "rt", encoding="utf-8"
    ) as file:
        rows = [json.loads(file.readline()) for _ in range(60)]
    for row in rows:
        text = row["text"]
        kept = "".join(c for c in normalise(text, "zh", simplify="").text if c.isalnum() and ord(c) < 0xFF00)
        was = "".join(c for c in text if c.isalnum() and ord(c) < 0xFF00)
        assert len(kept) >= 0.995 * len(was)

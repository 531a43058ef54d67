from __future__ import annotations

import gzip
import html
import json
import time
import unicodedata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.text.normalise import (
    CONVERTED,
    INVISIBLE,
    MARKUP,
    PUNCTUATION,
    REPAIRED,
    SYMBOLS,
    Batch,
    Settings,
    normalise_batch,
)
from steps.text.segment import text_buffers


def normalised(text: str, language: str = "zh", prose: bool = True, **settings: str) -> tuple[str, list[int]]:
    """One document normalised, and its counts."""
    data, offsets = text_buffers(pa.array([text.encode("utf-8", "replace")], pa.binary()))
    batch = Batch(data, offsets, np.array([language == "zh"]), np.array([prose]))
    done, counts, _ = normalise_batch(batch, Settings(**settings))
    return done.data.tobytes().decode(), counts[0].tolist()


def clean(text: str, language: str = "zh", **settings: str) -> str:
    return normalised(text, language, **settings)[0]


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
    done, counts = normalised(text)
    assert done == "乾隆皇帝说：台湾的头发著名，后面是皇后，了解什么"
    assert counts[CONVERTED] >= 8
    assert clean(text, simplify="") == text


def test_regional_phrases_are_a_setting() -> None:
    text = "這台印表機的滑鼠和網路設定請參考說明，程式碼寫在記憶體裡。"
    assert clean(text, simplify="tw2sp") == "这台打印机的鼠标和网络设置请参考说明，代码写在内存里。"
    assert "滑鼠" in clean(text)


def test_a_name_in_simplified_text_keeps_its_spelling() -> None:
    text = "北宋庆历年间，布衣毕昇用胶泥刻字，一字一印，火烧令坚。"
    assert normalised(text)[0] == text
    assert normalised(text)[1][CONVERTED] == 0


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("今天好开心^_^", "今天好开心"),
        ("跪了orz。", "跪了。"),
        ("真的假的（￣▽￣）太好了", "真的假的太好了"),
        ("别这样 (´・ω・`)", "别这样"),
        ("好吧╮(╯▽╰)╭", "好吧"),
        ("谢谢大家:)", "谢谢大家"),
        ("你好👨‍👩‍👧🎉🎉🎉世界", "你好世界"),
        ("什么？！？！？！", "什么？！"),
        ("真——————的", "真——的"),
        ("我 们 的 国 家 很 大", "我们的国家很大"),
        ("首页 新闻 体育 财经", "首页 新闻 体育 财经"),
        ("答案:D 单选题", "答案:D 单选题"),
        ("第一行<br/>第二行&nbsp;&amp;&lt;三&gt;", "第一行\n第二行 &<三>"),
        ('<span style="color:red">红字</span>正文', "红字正文"),
    ],
)
def test_ornaments_of_chinese_web_text_go(before: str, after: str) -> None:
    assert clean(before) == after


@pytest.mark.parametrize(
    "text",
    [
        "Use the <br> tag to break a line, and &nbsp; for a space.",
        "#include <stdio.h> and vector<T> stay, so does a < b && c > d;",
        "写作 `<b>` 和 `&amp;` 的地方不变",
        "&amp;lt; is how one writes it",
        "if (a &lt; b) { return; }",
        "R&D at AT&T",
    ],
)
def test_text_about_markup_stays(text: str) -> None:
    assert clean(text, "en") == text
    assert clean(text, "zh") == text


def test_emoji_and_emoticons_are_settings() -> None:
    text = "太好了😀★ 谢谢 ^_^"
    assert clean(text, emoji="keep", emoticons="keep") == "太好了😀 谢谢 ^_^"
    assert clean(text) == "太好了 谢谢"


def test_counts_say_what_was_done() -> None:
    done, counts = normalised("好\u200b的\ufffd★！！！<br>一")
    assert [counts[i] for i in (INVISIBLE, SYMBOLS, PUNCTUATION, MARKUP)] == [1, 1, 2, 3]
    assert done == "好的\ufffd！\n一"


PIECE = st.sampled_from(
    [
        *[
            "<br>",
            "&amp;",
            "&lt;",
            "&#160;",
            "^_^",
            "orz",
            ":)",
            "(￣▽￣)",
            "Ã©",
            "â€™",
            "涓枃",
            "http://a.b",
            "我 们 的 国",
        ],
        *["乾隆", "瞭解", "於", "……", "——", "==", "<b>", "</b>", "T_T"],
        *"ab1 \n\t.,;:!?~-=()（）[]【】，。、；：！？…“”",
        *"《》中文字臺說😀★❤\u200b\ufeff\u00a0\u3000\r\x85\u2028\ue000Ａ１",
    ]
)
TEXT = st.lists(PIECE, max_size=40).map("".join)


@settings(max_examples=600, deadline=None)
@given(TEXT, st.sampled_from(["zh", "en"]))
def test_normalising_twice_changes_nothing_more(text: str, language: str) -> None:
    once = clean(text, language)
    assert clean(once, language) == once


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200), st.sampled_from(["zh", "en", "de"]))
def test_any_text_is_normalised_without_an_error(text: str, language: str) -> None:
    done = clean(text, language)
    assert not set(done) & set("\u200b\ufeff\r\x85\u2028\x00")


@settings(max_examples=400, deadline=None)
@given(TEXT, st.sampled_from(["zh", "en"]))
def test_no_letter_goes_that_is_not_counted(text: str, language: str) -> None:
    """Letters and digits are as many as before, but for those counted as symbols (faces), markup or mojibake."""
    done, counts = normalised(text, language, simplify="")
    before, after = (sum(c.isalnum() for c in unicodedata.normalize("NFC", t)) for t in (text, done))
    if not counts[REPAIRED] and "&" not in text:
        assert before - counts[SYMBOLS] - counts[MARKUP] - counts[INVISIBLE] <= after <= before


@settings(max_examples=200, deadline=None)
@given(st.lists(TEXT, max_size=6), st.sampled_from(["zh", "en"]))
def test_a_document_does_not_depend_on_its_batch(texts: list[str], language: str) -> None:
    data, offsets = text_buffers(pa.array(texts, pa.string()))
    chinese = np.full(len(texts), language == "zh")
    done, _, _ = normalise_batch(Batch(data, offsets, chinese, np.ones(len(texts), bool)), Settings())
    pieces = [
        done.data[a:b].tobytes().decode() for a, b in zip(done.offsets[:-1], done.offsets[1:], strict=True)
    ]
    assert pieces == [clean(text, language) for text in texts]


@pytest.mark.parametrize(
    "unit", [" :)", " ", "a ", "\n ", "(^_", "!", "，", "- ", "= ", "臺", "★ ", "\u3000"]
)
def test_time_grows_with_the_length_and_not_with_its_square(unit: str) -> None:
    text = "a" + unit * 60_000 + "a"
    began = time.process_time()
    for language in ("zh", "en"):
        clean(text, language)
    assert time.process_time() - began < 4  # a quadratic pattern takes minutes


@pytest.mark.data
def test_clean_prose_keeps_its_letters(shared_data: Path) -> None:
    with gzip.open(
        shared_data / "lctt_opensource" / "lctt_opensource_zh_en.jsonl.gz", "rt", encoding="utf-8"
    ) as file:
        rows = [json.loads(file.readline()) for _ in range(60)]
    for row in rows:
        text = row["text"]
        kept = "".join(c for c in clean(text, simplify="") if c.isalnum() and ord(c) < 0xFF00)
        was = "".join(c for c in html.unescape(text) if c.isalnum() and ord(c) < 0xFF00)
        assert len(kept) >= 0.995 * len(was)

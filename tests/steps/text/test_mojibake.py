from __future__ import annotations

import pytest

from steps.text.mojibake import count_mojibake, repair_mojibake

CHINESE = "数据清洗是训练语言模型的第一步，质量比数量更重要。"
ENGLISH = "It’s “nice” — the café d’or costs 5 € a cup…"


@pytest.mark.parametrize("text", [CHINESE, CHINESE + "\n" + CHINESE[:13], ENGLISH, "naïve façade 😀 ünïcödé"])
def test_utf8_read_as_latin_1_is_undone(text: str) -> None:
    assert repair_mojibake(text.encode().decode("latin-1"))[0] == text


def test_utf8_read_as_windows_1252_is_undone() -> None:
    text = "It’s “fine” — or so they say; naïve."
    broken = "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in text.encode())
    assert "â€™" in broken
    assert repair_mojibake(broken)[0] == text


def test_gbk_read_as_latin_1_is_undone() -> None:
    assert repair_mojibake(CHINESE.encode("gbk").decode("latin-1")) == (CHINESE, 1)


def test_utf8_read_as_gbk_is_undone_where_no_byte_was_lost() -> None:
    broken = {
        CHINESE[i:j]: CHINESE[i:j].encode().decode("gb18030", "replace")
        for i in range(9)
        for j in range(i + 5, 24)
    }
    whole = {text: wrong for text, wrong in broken.items() if "\ufffd" not in wrong}
    assert len(whole) >= 10
    assert all(repair_mojibake(wrong) == (text, 1) for text, wrong in whole.items())


@pytest.mark.parametrize(
    "text",
    [
        CHINESE,
        ENGLISH,
        "Große Straße, élève, señor, Ünïcödé, ÀÉÎ",
        "2\u00a0×\u00a03 ×\u00a04 ×\u00a05",
        "ä\u00a0– b",
        "il a été\xa0», a-t-il dit",
        "Ïðèâåò, ìèð",
        "Ça coûte 5\u00a0€\u00a0– déjà",
        "臺灣的頭髮，著名，後面",
        "日本語のテキスト",
        "x² ± y³ ÷ ½",
    ],
)
def test_proper_text_is_left_alone(text: str) -> None:
    assert repair_mojibake(text) == (text, 0)


def test_what_happened_twice_is_undone_twice() -> None:
    for text in (CHINESE, ENGLISH, "校对：[wxy](https://example.org)"):
        assert repair_mojibake(text.encode().decode("latin-1").encode().decode("latin-1"))[0] == text


def test_a_chinese_word_in_a_line_of_program_text_comes_back() -> None:
    for text in ("作者：[Patrick H. Mullins][a]", "int main() { // 输出结果 here and more of it"):
        assert repair_mojibake(text.encode("gbk").decode("latin-1"))[0] == text


def test_a_quotation_mark_comes_back_although_its_last_byte_was_deleted() -> None:
    broken = "He said â€œyesâ€ and leftÂ "
    assert repair_mojibake(broken)[0].rstrip() == "He said “yes” and left"


def test_what_cannot_come_back_is_counted() -> None:
    assert count_mojibake("锟斤拷 and \ufffd") == 2
    assert count_mojibake(CHINESE.encode().decode("gb18030", "replace")) >= 3
    assert count_mojibake(CHINESE + ENGLISH) == 0

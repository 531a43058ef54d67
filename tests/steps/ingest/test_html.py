from __future__ import annotations

import pytest

from steps.ingest.html import codec_name, decode

CHINESE = "村子东边有三百亩地，地面泛着一层白霜，种玉米只长到膝盖高。"
JAPANESE = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。"
TRADITIONAL = "村子東邊有三百畝地，地面泛著一層白霜。"


@pytest.mark.parametrize(
    ("text", "codec", "label"),
    [
        (CHINESE, "gb18030", "gb2312"),
        (CHINESE, "gb18030", "GBK"),
        (TRADITIONAL, "big5", "big5"),
        (JAPANESE, "cp932", "Shift_JIS"),
        (JAPANESE, "euc_jp", "euc-jp"),
        ("naïve café “quoted”", "cp1252", "iso-8859-1"),
        (CHINESE, "utf-8", "utf-8"),
    ],
)
def test_declared_encodings_are_decoded_as_browsers_do(text: str, codec: str, label: str) -> None:
    body = f"<html><body><p>{text}</p></body></html>"
    by_http = decode(body.encode(codec), label)
    by_meta = decode(f'<meta charset="{label}">{body}'.encode(codec))
    assert text in by_http.text and by_http.chosen_by in ("http", "detected")
    assert text in by_meta.text and by_meta.chosen_by in ("meta", "detected")


@pytest.mark.parametrize(
    ("text", "codec"), [(CHINESE * 5, "gb18030"), (TRADITIONAL * 5, "big5"), (JAPANESE * 5, "cp932")]
)
def test_an_undeclared_encoding_is_detected(text: str, codec: str) -> None:
    assert decode(f"<html><body><p>{text}</p></body></html>".encode(codec)).text.count(text) == 1


def test_a_byte_order_mark_wins_and_a_wrong_declaration_does_not() -> None:
    assert decode(b"\xef\xbb\xbf" + CHINESE.encode(), "gbk") == (CHINESE, "utf-8-sig", "bom")
    assert decode(CHINESE.encode("utf-16"), "gbk").text == CHINESE
    assert decode(CHINESE.encode(), "iso-8859-1").text == CHINESE
    assert decode((CHINESE * 20).encode("gb18030"), "utf-8").text == CHINESE * 20


@pytest.mark.parametrize("declared", ["gbk", "big5", "shift_jis", "windows-1251", "iso-8859-1"])
def test_utf8_under_another_declaration_is_utf8(declared: str) -> None:
    assert decode(CHINESE.encode(), declared) == (CHINESE, "utf-8", "detected")
    assert decode("联通".encode("gbk"), "gbk") == ("联通", "gb18030", "http")


def test_what_decodes_with_nothing_is_lossy_and_says_so() -> None:
    lossy = decode(CHINESE.encode() + b"\xff\xfe\xff" + CHINESE.encode(), "utf-8")
    assert lossy.chosen_by == "lossy"
    assert lossy.text.startswith(CHINESE)


def test_labels_that_are_no_text_encodings_are_not_used() -> None:
    assert [codec_name(label) for label in ("rot13", "base64", "utf-7", "no-such", "", None)] == [None] * 6


KOREAN = "마을 동쪽에는 삼백 무의 땅이 있는데 겉에 흰 서리가 덮여 있다. "
POLISH = "Zażółć gęślą jaźń. Na wschód od wsi leży trzysta mórg ziemi. "
RUSSIAN = "К востоку от деревни лежит триста му земли, покрытой белым налётом. "
GREEK = "Ανατολικά του χωριού βρίσκονται τριακόσια μου γης. "
GERMAN = "Östlich des Dorfes liegt „weißes“ Land – für Mais zu karg. "


@pytest.mark.parametrize("declared", ["http", "meta", "none"])
@pytest.mark.parametrize(
    ("text", "codec", "label"),
    [
        (CHINESE, "gb2312", "gb2312"),
        (CHINESE, "gbk", "GBK"),
        (CHINESE, "gb18030", "gb18030"),
        (TRADITIONAL, "big5", "big5"),
        (JAPANESE, "cp932", "x-sjis"),
        (JAPANESE, "euc_jp", "EUC-JP"),
        (JAPANESE, "iso2022_jp", "iso-2022-jp"),
        (KOREAN, "cp949", "euc-kr"),
        (KOREAN, "cp949", "ks_c_5601-1987"),
        (CHINESE, "utf-16", "utf-16"),
        (CHINESE, "utf-16-le", "utf-16le"),
        (GERMAN, "utf-16-be", "utf-16be"),
        (POLISH, "cp1250", "windows-1250"),
        (RUSSIAN, "cp1251", "windows-1251"),
        (RUSSIAN, "koi8_r", "koi8-r"),
        (GREEK, "cp1253", "windows-1253"),
        (GERMAN, "cp1252", "iso-8859-1"),
        (GERMAN, "utf-8", "utf-8"),
    ],
)
def test_a_page_is_read_in_its_encoding_however_it_says_it(
    text: str, codec: str, label: str, declared: str
) -> None:
    meta = (
        f'<meta http-equiv="Content-Type" content="text/html; charset={label}">' if declared == "meta" else ""
    )
    page = f"<html><head>{meta}<title>x</title></head><body>" + f"<p>{text}</p>\n" * 6 + "</body></html>"
    found = decode(page.encode(codec), label if declared == "http" else None)
    assert found.text == page
    by_shape = codec.startswith("utf-16") or codec in ("iso2022_jp", "utf-8")  # whatever is declared
    if declared != "none" and not by_shape:
        assert found.chosen_by == declared


def test_a_language_decides_where_few_accents_do_not() -> None:
    page = '<html lang="pl"><p>Kraków, Łódź</p></html>'
    assert decode(page.encode("cp1250")).text == page


def test_one_accented_letter_before_a_space_is_no_chinese_character() -> None:
    for text in ("café au lait, s'il vous plaît", "¿Quién?", "Müller & Söhne"):
        assert decode(f"<p>{text}</p>".encode("cp1252")).text == f"<p>{text}</p>"


@pytest.mark.parametrize("declared", [None, "utf-8", "gb18030"])
@pytest.mark.parametrize("text", [CHINESE, GERMAN, POLISH])
def test_a_page_cut_off_within_a_character_keeps_its_encoding(text: str, declared: str | None) -> None:
    codec = declared or "utf-8"
    whole = (text * 3 + "中").encode(codec)
    found = decode(whole[:-1], declared)
    assert (found.text.rstrip("\ufffd"), found.encoding, found.chosen_by) == (text * 3, codec, "lossy")


def test_a_wrong_byte_in_a_declared_encoding_does_not_change_it() -> None:
    found = decode((CHINESE * 3).encode("gb18030") + b"\xff<p>" + CHINESE.encode("gb18030"), "gbk")
    assert found.encoding == "gb18030" and found.text.count(CHINESE) == 4

from __future__ import annotations

import codecs

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


# WHATWG Encoding Standard, "Names and labels", by the codec that decodes them here. Other names of UTF-16 ("unicode")
# stay unknown: servers give them to pages that are none, and half of all ASCII texts decode with it.
LABELS = {
    "utf-8": "utf8 UTF-8 unicode-1-1-utf-8 unicode11utf8 unicode20utf8 x-unicode20utf8",
    "cp866": "866 cp866 csibm866 ibm866",
    "iso8859-2": "csisolatin2 iso-8859-2 iso-ir-101 iso8859-2 iso88592 iso_8859-2 iso_8859-2:1987 l2 latin2",
    "iso8859-3": "csisolatin3 iso-8859-3 l3 latin3",
    "iso8859-4": "csisolatin4 iso-8859-4 l4",
    "iso8859-5": "csisolatincyrillic cyrillic iso-8859-5 iso_8859-5:1988",
    "iso8859-6": "arabic asmo-708 csiso88596e csiso88596i ecma-114 iso-8859-6 iso-8859-6-e iso-8859-6-i",
    "iso8859-7": "csisolatingreek ecma-118 elot_928 greek greek8 iso-8859-7 sun_eu_greek",
    "iso8859-8": "csiso88598e hebrew iso-8859-8 iso-8859-8-e visual csiso88598i iso-8859-8-i logical",
    "iso8859-10": "l6 latin6 iso-8859-10",
    "iso8859-13": "iso-8859-13",
    "iso8859-14": "iso-8859-14",
    "iso8859-15": "iso-8859-15 l9 csisolatin9",
    "iso8859-16": "iso-8859-16",
    "koi8-r": "cskoi8r koi koi8 koi8-r koi8_r",
    "koi8-u": "koi8-ru koi8-u",
    "mac-roman": "csmacintosh mac macintosh x-mac-roman",
    "cp874": "dos-874 iso-8859-11 tis-620 windows-874 iso885911",
    "cp1250": "cp1250 windows-1250 x-cp1250",
    "cp1251": "windows-1251 x-cp1251",
    "cp1252": "ansi_x3.4-1968 ascii cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1 "
    "iso88591 iso_8859-1 iso_8859-1:1987 l1 latin1 us-ascii windows-1252 x-cp1252",
    "cp1253": "windows-1253",
    "cp1254": "csisolatin5 iso-8859-9 l5 latin5 windows-1254",
    "cp1255": "windows-1255",
    "cp1256": "windows-1256",
    "cp1257": "windows-1257",
    "cp1258": "windows-1258",
    "mac-cyrillic": "x-mac-cyrillic x-mac-ukrainian",
    "gb18030": "chinese csgb2312 csiso58gb231280 gb2312 gb_2312 gb_2312-80 gbk iso-ir-58 x-gbk gb18030",
    "big5hkscs": "big5 big5-hkscs cn-big5 csbig5 x-x-big5",
    "euc_jp": "cseucpkdfmtjapanese euc-jp x-euc-jp",
    "iso2022_jp": "csiso2022jp iso-2022-jp",
    "cp932": "csshiftjis ms932 ms_kanji shift-jis shift_jis sjis windows-31j x-sjis",
    "cp949": "cseuckr csksc56011987 euc-kr iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 "
    "ksc_5601 windows-949",
    "utf-16-be": "utf-16be",
    "utf-16-le": "utf-16le",
}


def test_every_label_that_browsers_know_is_known() -> None:
    for codec, labels in LABELS.items():
        for label in labels.split():
            for said in (label, label.upper(), f" '{label}' "):
                found = codec_name(said)
                assert found and codecs.lookup(found) == codecs.lookup(codec), (said, found)


@pytest.mark.parametrize(
    ("text", "label", "codec"), [("葡萄牙", "gb_2312", "gbk"), ("été à Paris", "mac", "mac_roman")]
)
def test_a_short_page_is_read_by_what_it_declares(text: str, label: str, codec: str) -> None:
    assert decode(f"<p>{text}</p>".encode(codec), label).text == f"<p>{text}</p>"

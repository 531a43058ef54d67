"""From a page's bytes to its text in Unicode, as browsers do it, and better where the page does not say."""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

from resiliparse.parse.encoding import detect_encoding

# WHATWG Encoding Standard: labels that pages declare and the superset that browsers decode them with
_SUPERSETS = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "gb18030": "gb18030",
    "big5": "big5hkscs",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "johab": "cp949",
    "iso8859-1": "cp1252",
    "ascii": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
}
# WHATWG labels that Python does not know
_LABELS = {
    "x-gbk": "gbk",
    "gb_2312-80": "gb2312",
    "csgb2312": "gb2312",
    "x-x-big5": "big5",
    "cn-big5": "big5",
    "x-sjis": "shift_jis",
    "x-euc-jp": "euc_jp",
    "windows-949": "cp949",
    "windows-874": "cp874",
    "dos-874": "cp874",
    "unicode-1-1-utf-8": "utf-8",
    "x-unicode20utf8": "utf-8",
    "unicode11utf8": "utf-8",
    "unicode20utf8": "utf-8",
    "utf8mb4": "utf-8",
    "iso88591": "cp1252",
    "iso88592": "iso8859-2",
    **dict.fromkeys(("csiso88596e", "csiso88596i", "iso-8859-6-e", "iso-8859-6-i"), "iso8859-6"),
    "sun_eu_greek": "iso8859-7",
    **dict.fromkeys(
        ("csiso88598e", "csiso88598i", "iso-8859-8-e", "iso-8859-8-i", "logical", "visual"), "iso8859-8"
    ),
    "csisolatin9": "iso8859-15",
    "iso885911": "cp874",
    "gb_2312": "gb2312",
    "windows-31j": "cp932",
    "cseucpkdfmtjapanese": "euc_jp",
    **dict.fromkeys(("cseuckr", "csksc56011987", "iso-ir-149", "ks_c_5601-1989", "ksc_5601"), "cp949"),
    "mac": "mac_roman",
    "csmacintosh": "mac_roman",
    "x-mac-ukrainian": "mac_cyrillic",
    "x-mac-roman": "mac_roman",
    "x-mac-cyrillic": "mac_cyrillic",
    "koi8-ru": "koi8_u",
    "koi": "koi8_r",
    "koi8": "koi8_r",
    "x-user-defined": "cp1252",
    **{f"x-cp125{digit}": f"cp125{digit}" for digit in range(9)},
}
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_META = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{2,40})", re.IGNORECASE)
_XML = re.compile(rb"^\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9_:.-]{2,40})")
META_BYTES = 4096  # browsers look at 1,024; real pages have long comments and scripts above the declaration
_SINGLE_BYTE = re.compile(r"cp125\d|cp874|iso8859-\d+|mac_|koi8|latin|cp8\d\d")
_PAIR = re.compile(rb"[\x81-\xfe][\x40-\x7e\x80-\xfe]")
PAIRS = 4000  # of a page that are looked at
SAMPLE_BYTES = 65_536
# Lead bytes of what texts mostly consist of: punctuation, kana, Hangul, and the first level of the Chinese
# characters, which each of the standards orders by frequency of use
_COMMON_LEADS = {
    "euc_jp": bytes([0xA1, 0xA3, 0xA4, 0xA5, *range(0xB0, 0xD0)]),
    "cp932": bytes([0x81, 0x82, 0x83, *range(0x88, 0x98)]),
    "cp949": bytes([0xA1, 0xA3, *range(0xB0, 0xC9)]),
    "gb18030": bytes([0xA1, 0xA3, *range(0xB0, 0xD8)]),
    "big5hkscs": bytes([0xA1, 0xA2, 0xA3, *range(0xA4, 0xC7)]),
}
_KANA_LEADS = {"euc_jp": bytes([0xA4, 0xA5]), "cp932": bytes([0x82, 0x83])}
_ASCII_TRAILS = ("cp932", "big5hkscs")  # whose common characters have second bytes below 0xA1
MIN_UTF8 = 8  # characters; two can be chance, as in the name of China Unicom in GBK (own choice)
MIN_GOOD = 20  # characters beyond ASCII that decode for each that does not (own choice)
MIN_COMMON = 0.9  # share of pairs with a common lead; German, French or Polish read as pairs stay below half
MIN_PAIRS = 4  # fewer are chance (own measurement: Polish and Spanish with one accented letter)
MIN_LETTERS = 2  # of a single-byte text: the same
_HIGH_LETTERS = re.compile(rb"[\xa1-\xff]+")
_CONTROL = re.compile(rb"[\x80-\x9f]")
_LANGUAGE = re.compile(rb"<html[^>]{0,300}?\slang\s*=\s*[\"']?([a-z]{2})\b", re.IGNORECASE)
# WHATWG HTML, "Determining the character encoding": the last resort by the language
_BY_LANGUAGE = {
    **dict.fromkeys((b"cs", b"hr", b"hu", b"pl", b"ro", b"sk", b"sl"), "cp1250"),
    **dict.fromkeys((b"be", b"bg", b"mk", b"ru", b"sr", b"uk"), "cp1251"),
    **dict.fromkeys((b"ar", b"fa", b"ur"), "cp1256"),
    **dict.fromkeys((b"et", b"lt", b"lv"), "cp1257"),
    **{b"el": "cp1253", b"tr": "cp1254", b"he": "cp1255", b"vi": "cp1258", b"th": "cp874"},
}
_LATIN = (
    "cp1250",
    "cp1252",
    "cp1254",
    "cp1257",
    "iso8859-2",
    "iso8859-10",
    "iso8859-13",
    "iso8859-15",
    "iso8859-16",
)
_WINDOWS = {
    "iso8859-2": "cp1250",
    "iso8859-4": "cp1257",
    "iso8859-5": "cp1251",
    "iso8859-6": "cp1256",
    "iso8859-7": "cp1253",
    "iso8859-8": "cp1255",
    "iso8859-13": "cp1257",
    "iso8859-15": "cp1252",
}
MIN_KANA = 0.15  # of the pairs of a Japanese text (own measurement: 0.3 and more in installation guides)


class Decoded(NamedTuple):
    """A text, the codec that gave it, and how it was chosen: bom, http, meta, detected or lossy."""

    text: str
    encoding: str
    chosen_by: str


class TooDeep(ValueError):
    """A page that would take the HTML parser unreasonably long or much memory."""


def codec_name(label: str | None) -> str | None:
    """The Python codec that decodes ``label`` the way browsers do, or None for an unknown label."""
    if not label:
        return None
    label = label.strip().strip("\"'").lower()
    try:
        name = codecs.lookup(_LABELS.get(label, label)).name
    except (LookupError, ValueError):
        return None
    if name in ("utf-7", "punycode", "idna") or not _is_text_codec(name):
        return None
    return _SUPERSETS.get(name, name)


def _is_text_codec(name: str) -> bool:
    try:
        return isinstance(b"aa".decode(name), str)
    except (LookupError, UnicodeError, AssertionError):
        return False


def decode(data: bytes, declared: str | None = None) -> Decoded:
    """Decode a page: byte order mark, then the shape of its bytes, HTTP charset, meta charset, its content.

    A declaration counts only if every byte decodes with it; a declared single-byte encoding gives way to
    UTF-8 that decodes (pages say Latin-1 far more often than they are), a double-byte one to UTF-8 that is none by
    chance. What decodes with nothing is decoded
    with the candidate that leaves the fewest U+FFFD, and says "lossy".
    """
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return Decoded(data.decode(encoding, "replace").lstrip("\ufeff"), encoding, "bom")
    meta = _XML.search(data[:META_BYTES]) or _META.search(data[:META_BYTES])
    # a page that a meta element declares as UTF-16 could not have been read so far: it is UTF-8
    in_page = codec_name(meta[1].decode("ascii")) if meta else None
    in_page = "utf-8" if in_page and in_page.startswith("utf-16") else in_page
    candidates = [(_by_shape(data), "detected"), (codec_name(declared), "http"), (in_page, "meta")]
    names = [name for name, _ in candidates if name]
    if not names or any(map(_SINGLE_BYTE.match, names)) or ("utf-8" not in names and _is_utf8(data)):
        candidates.insert(1, ("utf-8", "detected"))
    for name, chosen_by in candidates:
        if (text := _strictly(data, name)) is not None and name:
            return Decoded(text, name, chosen_by)
    for name in (*names, "utf-8"):
        if (damaged := _damaged(data, name)) is not None:
            return Decoded(damaged, name, "lossy")
    candidates += [(_by_content(data), "detected"), ("utf-8", "detected")]
    for name, chosen_by in candidates[-2:]:
        if (text := _strictly(data, name)) is not None and name:
            return Decoded(text, name, chosen_by)
    tries = [Decoded(data.decode(name, "replace"), name, "lossy") for name, _ in candidates if name]
    return min(tries, key=lambda attempt: attempt.text.count("\ufffd"))


def _strictly(data: bytes, name: str | None) -> str | None:
    try:
        return data.decode(name) if name else None
    except UnicodeError:
        return None


def _is_utf8(data: bytes) -> bool:
    """Whether the bytes are UTF-8 with so many characters beyond ASCII that they are it not by chance."""
    text = _strictly(data, "utf-8")
    return text is not None and len(text) - len(text.encode("ascii", "ignore")) >= MIN_UTF8


def _damaged(data: bytes, name: str) -> str | None:
    """The text with U+FFFD where all but a few of its characters decode: a page that was cut off within one, say."""
    if _SINGLE_BYTE.match(name):
        return None
    text = data.decode(name, "replace")
    bad = text.count("\ufffd")
    good = len(text) - len(text.encode("ascii", "ignore")) - bad
    return text if bad * MIN_GOOD <= good or (bad == 1 and good > 1) else None


def _by_shape(data: bytes) -> str | None:
    """UTF-16 by the zero bytes of its ASCII characters, ISO-2022-JP by its escapes: nothing else looks like them."""
    head = data[:SAMPLE_BYTES]
    if 0 in head:
        even, odd = head[::2].count(0), head[1::2].count(0)
        if odd > 10 * even and odd > len(head) // 40:
            return "utf-16-le"
        if even > 10 * odd and even > len(head) // 40:
            return "utf-16-be"
    if b"\x1b$B" in data and b"\x1b(" in data and data.isascii():
        return "iso2022_jp"
    return None


def _by_content(data: bytes) -> str:
    """The codec by what the text consists of: a double-byte one where its pairs are common, else a single-byte one."""
    # with html5_compatible it says utf-8 for Korean (resiliparse 2.0)
    name = codec_name(detect_encoding(data, html5_compatible=False))
    if name is not None and name != "utf-8" and not _SINGLE_BYTE.match(name):
        return name
    return _double_byte(data) or _single_byte(data, name)


def _double_byte(data: bytes) -> str | None:
    pairs = _PAIR.findall(data)[:PAIRS]
    if len(pairs) < MIN_PAIRS:
        return None
    found, best = None, MIN_COMMON
    for codec, common in _COMMON_LEADS.items():
        fitting = bytes(pair[0] for pair in pairs if pair[1] >= 0xA1 or codec in _ASCII_TRAILS)
        kana = _KANA_LEADS.get(codec)
        if kana and len(fitting) - len(fitting.translate(None, kana)) < MIN_KANA * len(pairs):
            continue
        share = (len(fitting) - len(fitting.translate(None, common))) / len(pairs)
        if share > best and _strictly(data, codec) is not None:
            found, best = codec, share
    return found


def _single_byte(data: bytes, name: str | None) -> str:
    """The single-byte codec that was detected, where that is more likely than the browsers' last resort.

    Code pages of DOS are not on the web. Greek, Cyrillic, Hebrew, Arabic and Thai letters stand together, while
    the accented letters of Latin alphabets stand alone. With bytes 0x80 to 0x9F it is Windows' variant.
    """
    language = _LANGUAGE.search(data[:META_BYTES])
    last_resort = _BY_LANGUAGE.get(language[1].lower(), "cp1252") if language else "cp1252"
    letters = _HIGH_LETTERS.findall(data[:SAMPLE_BYTES])
    count = sum(map(len, letters))
    if name is None or (name.startswith("cp8") and name != "cp874") or count < MIN_LETTERS:
        return last_resort
    together = sum(len(run) for run in letters if len(run) > 1)
    if name not in _LATIN and together < count / 2:
        return last_resort
    if name == "cp1252":
        return last_resort
    return _WINDOWS.get(name, name) if _CONTROL.search(data) else name

"""From a page's bytes to its main text: encoding, parsing, extraction."""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import detect_encoding
from resiliparse.parse.html import HTMLTree

# WHATWG Encoding Standard: labels that pages declare and the superset that browsers decode them with
_SUPERSETS = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "gb18030": "gb18030",
    "big5": "big5hkscs",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "iso8859-1": "cp1252",
    "ascii": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
}
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_META = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{2,40})", re.IGNORECASE)
_XML = re.compile(rb"^\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9_:.-]{2,40})")
META_BYTES = 4096  # browsers look at 1,024; real pages have long comments and scripts above the declaration
_SINGLE_BYTE = frozenset({"cp1252", "cp1254", "cp874", "iso8859-15", "cp1250", "cp1251"})
_OPENING = re.compile(
    r"<(?!(?:area|base|br|col|embed|hr|img|input|link|meta|source|track|wbr|p|li|dd|dt|option|td|tr|th|thead|tbody|tfoot)\b)[a-z]",
    re.IGNORECASE,
)
_BLANK_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")


class Decoded(NamedTuple):
    """A text, the codec that gave it, and how it was chosen: bom, http, meta, detected or lossy."""

    text: str
    encoding: str
    chosen_by: str


class Page(NamedTuple):
    """Main text and title of a page; ``text`` is empty where nothing but boilerplate was found."""

    text: str
    title: str


class TooDeep(ValueError):
    """A page whose element nesting would take the parser unreasonably long."""


def codec_name(label: str | None) -> str | None:
    """The Python codec that decodes ``label`` the way browsers do, or None for an unknown label."""
    if not label:
        return None
    try:
        name = codecs.lookup(label.strip().strip("\"'").lower()).name
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
    """Decode a page: byte order mark, then HTTP charset, then meta charset, then detection by content.

    A declaration counts only if every byte decodes with it; a declared single-byte encoding gives way to
    UTF-8 that decodes (pages say Latin-1 far more often than they are). What decodes with nothing is decoded
    with the candidate that leaves the fewest U+FFFD, and says "lossy".
    """
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return Decoded(data.decode(encoding, "replace").lstrip("\ufeff"), encoding, "bom")
    meta = _XML.search(data[:META_BYTES]) or _META.search(data[:META_BYTES])
    # a page that a meta element declares as UTF-16 could not have been read so far: it is UTF-8
    in_page = codec_name(meta[1].decode("ascii")) if meta else None
    in_page = "utf-8" if in_page and in_page.startswith("utf-16") else in_page
    candidates = [(codec_name(declared), "http"), (in_page, "meta")]
    if any(name in _SINGLE_BYTE for name, _ in candidates) or not any(name for name, _ in candidates):
        candidates.insert(0, ("utf-8", "detected"))
    candidates += [(codec_name(detect_encoding(data)), "detected"), ("utf-8", "detected")]
    for name, chosen_by in candidates:
        if name is None:
            continue
        try:
            return Decoded(data.decode(name), name, chosen_by)
        except UnicodeError:
            continue
    tries = [Decoded(data.decode(name, "replace"), name, "lossy") for name, _ in candidates if name]
    return min(tries, key=lambda attempt: attempt.text.count("\ufffd"))


def extract(html: str, max_depth: int) -> Page:
    """Main text of a page, one blank line between paragraphs, and its title.

    Raises TooDeep for a page whose elements are nested deeper than ``max_depth``, by count of unclosed
    elements.
    """
    if len(_OPENING.findall(html)) - html.count("</") > max_depth:
        raise TooDeep(f"more than {max_depth} unclosed elements")
    tree = HTMLTree.parse(html)
    text = extract_plain_text(
        tree, preserve_formatting=True, main_content=True, alt_texts=False, links=False, form_fields=False
    )
    return Page(_BLANK_LINES.sub("\n\n", text).strip(), " ".join((tree.title or "").split()))

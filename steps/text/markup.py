"""HTML that stayed in text: entities are decoded once, tags of running text go; code and formulas are protected."""

from __future__ import annotations

import html.entities
import re

_VALUE = r"(?:\"[^\"<>\n]{0,400}\"|'[^'<>\n]{0,400}'|[^\s\"'<>]{1,200})"
_ATTRIBUTES = rf"(?:\s+[A-Za-z-]{{1,30}}(?:\s?=\s?{_VALUE})?){{0,12}}"
# Left-overs: breaks and paragraph ends anywhere, others in pairs around text. A lone <ul> or <T> is the subject.
_BREAK = re.compile(rf"\s?</?(?:br|p|div|hr|wbr|nobr|center){_ATTRIBUTES}\s*/?>\s?", re.IGNORECASE | re.ASCII)
_PAIR = re.compile(
    rf"<(a|abbr|b|big|cite|em|font|i|ins|mark|small|span|strong|sub|sup|u|h[1-6]|li|td|th){_ATTRIBUTES}\s*>"
    r"([^<>\n]*)</\1\s*>",
    re.IGNORECASE | re.ASCII,
)
_COMMENT = re.compile(r"<!--[^<>\n]{0,400}-->")
_ENTITY = re.compile(r"&(?:#(\d{1,7})|#[xX]([0-9A-Fa-f]{1,6})|([A-Za-z][A-Za-z0-9]{1,8}));", re.ASCII)
_NEXT_ENTITY = re.compile(r"(?:#[0-9xX]|[A-Za-z])[A-Za-z0-9]{0,8};")
# a line that quotes markup, speaks of it, or is program text, means its tags and entities
_QUOTED = re.compile(
    r"[`'\"“‘「]\s?(?:</?[A-Za-z!]|&[#A-Za-z])|(?<!&[a-z]{2})(?<!&[a-z]{3})(?<!&[a-z]{4})[;{}]\s?$"
    r"|\{[%{]|^\s*(?://|#|\$ |\|)|^\s{2,}<"
    r"|^</?(?!br\b)[A-Za-z][^<>]*>$"
    r"|<(?:html|head|body|script|style|input|form|button|img|meta|link|title|xml|template|label|code|pre)\b"
    r"|\b(?:HTML|XML|XSS|markup|tags?|elements?|attributes?|entit(?:y|ies)|escap(?:e|ed|ing))\b"
    r"|标签|元素|标记|实体|转义",
    re.IGNORECASE,
)
_NAMES = html.entities.name2codepoint  # HTML 4: the names that pages still write


def strip_markup(text: str) -> tuple[str, int]:
    """The text without left-over tags and with entities decoded, and how many characters of tags went.

    Line by line: one that quotes markup or looks like program text stays as it is. ``&amp;`` before what then
    were another entity stays, so that text *about* entities is not decoded twice.
    """
    removed = 0
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if ("&" in line or "<" in line) and not _QUOTED.search(line):
            lines[number], size = _strip_line(line)
            removed += size
    return "\n".join(lines), removed


def _strip_line(line: str) -> tuple[str, int]:
    decoded = _ENTITY.sub(_decode, line) if "&" in line else line
    if "<" not in decoded:
        return decoded, 0
    clean = _PAIR.sub(r"\2", _BREAK.sub("\n", _COMMENT.sub("", decoded)))
    return clean, len(decoded) - len(clean)


def _decode(match: re.Match[str]) -> str:
    decimal, hexadecimal, name = match.groups()
    if name:
        point = _NAMES.get(name, 0)
    else:
        point = int(decimal) if decimal else int(hexadecimal, 16)
    if point == 0x26 and _NEXT_ENTITY.match(match.string, match.end()):
        return match[0]
    if 0x80 <= point < 0xA0:  # numbers of Windows-1252, as browsers read them
        return bytes([point]).decode("cp1252", "ignore") or match[0]
    if point < 0x20 or point == 0x7F or 0xD800 <= point < 0xE000 or point > 0x10FFFF:
        return match[0]
    return chr(point)

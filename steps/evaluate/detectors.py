"""Automatic readers: one detector per defect class, by other means than the rules that cleaned the data.

Each detector looks at one text and answers with a score; 1 or more means that the document is defective. They are an
independent check, so they share no list, pattern or threshold with `filter`, and every alarm counts as a defect at
the gate: thresholds are set where a person would call the document bad, and measured on clean texts (false alarms)
and seeded ones (sensitivity) by tests/evaluate. Regular expressions run in C; Python loops run over matches only.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from steps.evaluate.endings import truncated
from steps.evaluate.menus import navigation
from steps.evaluate.phrases import (
    LISTS,
    NOTHING,
    Score,
    advertising,
    insult,
    promotion,
    toxic,
    web_residue,
    without_code,
    worth_reading,
)
from steps.evaluate.snippets import incoherent
from steps.evaluate.words import FOREIGN_HINTS, FUNCTION_WORDS


@dataclass(frozen=True)
class Finding:
    """One defect: its class, a score of 1 or more, and the characters that show it."""

    defect: str
    score: float
    start: int
    end: int


_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")


_BROKEN = re.compile(
    r"\ufffd|[\x80-\x9f]|â€[\u0080-\u2122]?|Ã[\u0080-\u00bf\u0152-\u2122]|Â[\u00a0-\u00bf ]|ï¿½|锟斤拷|烫烫烫|屯屯屯"
    r"|[ä-é][\u0080-\u00bf\u0152-\u2122]{2}"
)
# UTF-8 read as GB18030: turned back into bytes, the nonsense is valid UTF-8 of Chinese characters. Real Chinese
# text is that four characters in a row about once in 1e9 characters (derived from the byte ranges).
# No language has runs of Latin-1 letters without an ASCII one: GB 18030 read as Latin-1. UTF-8 quotation marks and
# accents read as code page 437, Mac Roman, code page 1251, or twice as code page 1252.
# without the middle dot, which Chinese pages draw in rows
_LATIN_RUN = re.compile(r"[\u00a1-\u00b6\u00b8-\u00ff]{6,}|(?:[\u00a1-\u00b6\u00b8-\u00ff]{2,4}[ ,.]?){4,}")
_FOREIGN_MARK = r"[\x{a1}-\x{ff}][\x{a1}-\x{ff}]|Γ|‚Ä|вЂ|├|√|[РГ]|¬"
_MARKS = re.compile(r"Γ[ÇåÆ][\S]|‚Ä|вЂ[\S]|├[⌐¿í¡▒¬½¼ó]|√[©®±°≠ÂÅ]|[РГ][©¶ґ№]|Ãƒ|Ã¢â|¬[†´ª©]")
_UTF8_HAN = re.compile(rb"(?:[\xe4-\xe9][\x80-\xbf]{2}|\xef\xbc[\x80-\xbf]|\xe3\x80[\x80-\xbf]){4,}")


HAN_LOOKED_AT = 2000  # characters; mojibake that begins later breaks the UTF-8 and GB 18030 checks


def _unreadable_han(text: str) -> bool:
    """Whether a fifth or more of 40 or more Han characters are frequent neither in Chinese nor in traditional Chinese.

    GB 18030 and Big 5 read as each other give characters all over both tables; of a real text 99 % and more are in the
    first levels (GB 2312: 3,755, Big 5: 5,401 characters), which this measures through the encoders.
    """
    han = "".join(_HAN.findall(text[:HAN_LOOKED_AT]))
    if len(han) < 40:
        return False
    common = sum(
        ((code := char.encode("gb2312", "replace"))[0] in _LEVEL_GB and len(code) == 2)
        or ((code := char.encode("big5", "replace"))[0] in _LEVEL_BIG5 and len(code) == 2)
        for char in han
    )
    return common < 0.8 * len(han)


def mojibake(text: str, language: str) -> Score:
    """Text decoded with the wrong encoding: replacement characters, C1 controls, telling pairs, GB18030 nonsense."""
    hits = 0
    first = last = -1
    for match in _BROKEN.finditer(text):
        hits += 1
        first = match.start() if first < 0 else first
        last = match.end()
    suspect = pc.match_substring_regex(pa.scalar(text, pa.large_string()), _FOREIGN_MARK).as_py()
    for pattern, weight in ((_LATIN_RUN, 4), (_MARKS, 1)) if suspect else ():
        for match in pattern.finditer(text):
            hits += weight
            first = match.start() if first < 0 else min(first, match.start())
            last = max(last, match.end())
    score = hits / max(4.0, len(text) / 500)
    if score < 1 and _HAN.search(text):
        match_bytes = _UTF8_HAN.search(text.encode("gb18030", "replace"))
        if match_bytes is not None or _unreadable_han(text):
            return (1.0, 0, len(text))
    return (score, max(first, 0), max(last, 0))


_EMAIL = re.compile(
    r"(?<![\w.+-])([a-z0-9][\w.+-]{1,40})@([a-z0-9-]{2,30}(?:\.[a-z0-9-]{2,20}){1,3})(?![\w@])", re.I | re.A
)
_ROLE = re.compile(
    r"(?:git|root|user(?:name)?|info|admin|support|noreply|no-reply|help|contact|webmaster"
    r"|sales|me|you(?:r\w*)?|name|someone"
    r"|foo|bar|test|postmaster|mail|e-?mail|service|press|editor\w*|office|security|feedback"
    r"|subscribe|hello|ssh|\w*list\w*)",
    re.I,
)
_NOT_MAIL = re.compile(
    r"example|localhost|domain|yourname|\.(?:png|jpe?g|gif|svg|js|css|py|service|local|internal|target)$|^[\d.]+$",
    re.I,
)
_MOBILE = re.compile(r"(?<![\w./=$-])(?:\+?86[- ]?)?1[3-9]\d[- ]?\d{4}[- ]?\d{4}(?![\w./-]\d|\d|\$)", re.A)
_PHONE = re.compile(
    r"(?<![\w./-])"
    r"(?:\(\d{3}\) ?|\+1[ -.]\d{3}[ -.]|(?!(?:400|8(?:00|88|77|66)))\d{3}-)[2-9]\d{2}[ -]\d{4}(?![\w-])",
    re.A,
)
_SSN = re.compile(r"\b(?:SSN|social security)[^\d\n]{0,20}\d{3}-\d{2}-\d{4}\b", re.I)
# Landlines that are said to be somebody's home, and mobiles after a word for a telephone; most other landlines belong
# to offices.
_LANDLINE = re.compile(
    r"(?:家(?:里|庭|中)?(?:的)?电话|宅电|住宅电话)[^\d\n]{0,12}0\d{2,3}-\d{7,8}(?!\d)"
    r"|(?:tel\w*|phone|call|mobile|cell|text|number|whatsapp)[^\d\n]{0,24}"
    r"(?:(?:\+44 ?|0)7\d{3} ?\d{6}|[2-9]\d{2}[.-][2-9]\d{2}[.-]\d{4})(?!\d)",
    re.I,
)
# Payment cards begin with 3 to 6 (ISO/IEC 7812); a long number that passes Luhn's check by chance is one in ten, so
# that a word for a card or an account must stand before it.
_CARD = re.compile(
    r"(?:卡号|账号|帐号|银行卡|card|visa|mastercard|account)[^\d\n]{0,16}"
    r"([3-6]\d{3}[ -]?(?:\d{4}[ -]?){2}\d{3,7})(?!\d)",
    re.I,
)
_IDENTITY = re.compile(
    r"(?<![\dA-Za-z])[1-9]\d{5}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx](?![\dA-Za-z])"
)
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def _valid_identity(number: str) -> bool:
    total = sum(int(d) * w for d, w in zip(number[:17], _WEIGHTS, strict=True))
    return "10X98765432"[total % 11] == number[17].upper()


# What any of the patterns above needs; RE2 looks for it first.
_PERSONAL = (
    r"@[A-Za-z0-9-]{2}|1[3-9]\d[- ]?\d{4}[- ]?\d{4}|[2-9]\d{2}[ -]\d{4}|\d{15}|SSN"
    r"|\d{3}-\d{2}-\d{4}|\d{4}[ -]\d{4}[ -]\d{4}|07\d{3} ?\d{3}|44 ?7\d{3}|0\d{2,3}-\d{7}"
)


def _valid_card(number: str) -> bool:
    """Luhn's check (ISO/IEC 7812-1)."""
    doubled = [int(d) * (1 + at % 2) for at, d in enumerate(reversed(number))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


def privacy(text: str, language: str) -> Score:
    """Personal e-mail addresses, mobile and telephone numbers, identity and card numbers that nobody masked."""
    if not pc.match_substring_regex(pa.scalar(text, pa.large_string()), _PERSONAL, ignore_case=True).as_py():
        return NOTHING
    for match in _EMAIL.finditer(text):
        if not _ROLE.fullmatch(match[1]) and not _NOT_MAIL.search(match[2]):
            return (1.0, match.start(), match.end())
    for match in _IDENTITY.finditer(text):
        if _valid_identity(match.group()):
            return (1.0, match.start(), match.end())
    for match in _CARD.finditer(text):
        if _valid_card(re.sub(r"\D", "", match.group())):
            return (1.0, match.start(), match.end())
    for pattern in (_MOBILE, _PHONE, _SSN, _LANDLINE):
        number = pattern.search(text)
        if number is not None and "555" not in number.group() and len(set(number.group())) > 4:
            return (1.0, number.start(), number.end())
    return NOTHING


# first bytes of the first levels
_LEVEL_GB, _LEVEL_BIG5 = frozenset(range(0xB0, 0xD8)), frozenset(range(0xA4, 0xC7))

_URL = re.compile(r"(?:https?://|www\.)[^\s)\]>\"']+")

_PIECE = re.compile(r"[^。！？!?\n.；;]{8,}[。！？!?.；;]*")
_WINDOW = 24  # bytes: eight Chinese characters or four English words


def _tandem(raw: bytes, copies: int = 5) -> tuple[int, int]:
    """(start, period) in bytes of a unit of 30 to 3,000 bytes that follows itself `copies` times; (0, 0) if none."""
    data = np.frombuffer(raw[:400_000], np.uint8).astype(np.uint64)
    if len(data) < _WINDOW * copies:
        return (0, 0)
    windows = np.zeros(len(data) - _WINDOW + 1, np.uint64)
    for offset in range(_WINDOW):
        windows = windows * np.uint64(0x100000001B3) + data[offset : offset + len(windows)]
    ordered = np.sort(windows)
    if np.count_nonzero(ordered[1:] == ordered[:-1]) < 30 * (copies - 1) - _WINDOW:
        return (0, 0)  # fewer windows come again than the shortest unit would have
    order = np.argsort(windows, kind="stable")
    same = windows[order][1:] == windows[order][:-1]
    gaps = np.diff(order)[same]
    gaps = gaps[(gaps >= 30) & (gaps <= 3000)]
    if len(gaps) == 0:
        return (0, 0)
    counts = np.bincount(gaps)
    for period in np.argsort(-counts, kind="stable")[:16]:
        if counts[period] < period:
            continue
        reach = int(period) * (copies - 1)
        if reach >= len(windows):
            continue
        equal = np.ones(len(windows) - reach, bool)
        for copy in range(1, copies):
            shifted = windows[int(period) * copy : int(period) * copy + len(equal)]
            equal &= windows[: len(equal)] == shifted
        # rows of a table share some windows, not a whole period; a line of dashes has only one, however long
        edges = np.flatnonzero(np.diff(np.concatenate(([False], equal, [False]))))
        if len(edges) == 0:
            continue
        lengths = edges[1::2] - edges[::2]
        longest = int(lengths.argmax())
        begin, length = int(edges[2 * longest]), int(lengths[longest])
        if length >= int(period) - _WINDOW + 1 and len(np.unique(windows[begin : begin + length])) >= 7:
            return (begin, int(period))
    return (0, 0)


def repetition(text: str, language: str) -> Score:
    """A passage five times in a row, or copies of sentences that make up a large part of the text."""
    text = without_code(text)
    shortest = 8 if language == "zh" else 30
    pieces = [p for m in _PIECE.finditer(text) if len(p := m.group().strip()) >= shortest]
    counts = Counter(pieces)
    copies = sum((n - 2) * len(p) for p, n in counts.items() if n > 2)
    share = copies / max(1, sum(map(len, pieces)), len(text) // 2)
    if share >= 0.25:
        at = text.find(counts.most_common(1)[0][0])
        return (share / 0.25, at, at + 100)
    raw = re.sub(r" {2,}", " ", text).encode()
    start, period = _tandem(raw)
    if period == 0:
        return (share / 0.25, 0, 0)
    at = len(raw[:start].decode("utf-8", "ignore"))
    return (1.0, at, at + len(raw[start : start + period].decode("utf-8", "ignore")))


_OTHER_SCRIPT = re.compile(
    r"[\u3041-\u30ff\u31f0-\u31ff]|[\uac00-\ud7af\u1100-\u11ff]|[\u0400-\u052f]|[\u0600-\u06ff]|[\u0e00-\u0e7f]"
    r"|[\u0900-\u0dff]|[\u0590-\u05ff]|[\u0370-\u03ff]|[\u10a0-\u10ff]|[\u0530-\u058f]"
)

_LETTER = re.compile(r"[^\W\d_]")
_WORD = re.compile(r"[a-zà-öø-ÿ\u0100-\u024f\u1e00-\u1eff]+")
_HINT = rf"\b(?:{'|'.join(FOREIGN_HINTS.split())})\b"
_FUNCTION = {name: frozenset(words.split()) for name, words in FUNCTION_WORDS.items()}


def foreign_share(text: str) -> float:
    """Share of the letters that belong to a language other than Chinese and English, between 0 and 1."""
    text = _URL.sub(" ", without_code(text))
    letters = len(_LETTER.findall(text))
    if letters == 0:
        return 0.0
    other = len(_OTHER_SCRIPT.findall(text))
    hints = pc.count_substring_regex(pa.scalar(text, pa.large_string()), _HINT, ignore_case=True).as_py()
    words = Counter(_WORD.findall(text.lower())) if hints * 400 >= letters else Counter()
    total = sum(words.values())
    if total >= 20:
        hits = {name: sum(words[w] for w in function) for name, function in _FUNCTION.items()}
        english = hits.pop("en")
        best, name = max((count, name) for name, count in hits.items())
        different = sum(1 for w in _FUNCTION[name] if words[w])
        # function words are a quarter to a half of running text; a list of names has few different ones
        if best >= 0.15 * total and different >= (8 if total >= 120 else 6):
            latin = sum(len(w) * n for w, n in words.items())
            other += int(latin * best / (best + english))
    return min(1.0, other / letters)


def foreign_language(text: str, language: str) -> Score:
    """A third or more of the text is in a language that the corpus does not keep."""
    return (foreign_share(text) / 0.33, 0, min(len(text), 200))


DETECTORS: dict[str, Callable[[str, str], Score]] = {
    "advertising": advertising,
    "web_residue": web_residue,
    "mojibake": mojibake,
    "toxic": toxic,
    "privacy": privacy,
    "truncated": truncated,
    "repetition": repetition,
    "incoherent": incoherent,
    "foreign_language": foreign_language,
    "navigation": navigation,
    "promotion": promotion,
    "insult": insult,
}


def read_batch(texts: Sequence[str], languages: Sequence[str]) -> list[list[Finding]]:
    """What the automatic readers find in each document; an empty list means that it is good."""
    column = pa.array(texts, pa.large_string())
    wanted = {d: worth_reading(column, name, needed) for d, (name, _, needed) in LISTS.items()}
    results = []
    for row, (text, language) in enumerate(zip(texts, languages, strict=True)):
        found = []
        for defect, detector in DETECTORS.items():
            if defect in wanted and not wanted[defect][row]:
                continue
            score, start, end = detector(text, language)
            if score >= 1.0:
                found.append(Finding(defect, round(score, 3), start, end))
        results.append(found)
    return results


def read(text: str, language: str) -> list[Finding]:
    """`read_batch` of one document."""
    return read_batch([text], [language])[0]

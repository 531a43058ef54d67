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
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from steps.evaluate import lexicon


@dataclass(frozen=True)
class Finding:
    """One defect: its class, a score of 1 or more, and the characters that show it."""

    defect: str
    score: float
    start: int
    end: int


Score = tuple[float, int, int]
NOTHING: Score = (0.0, 0, 0)

_CODE = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|`[^`\n]{1,300}`|^(?: {4}|\t)[^\n]*$", re.S | re.M)
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")


def without_code(text: str) -> str:
    """The text with fenced, inline and indented code blanked out; positions stay the same."""
    return _CODE.sub(lambda m: " " * len(m.group()), text) if "`" in text or "~~~" in text else text


@cache
def _compiled(name: str) -> tuple[re.Pattern[str], tuple[float, ...]]:
    entries: tuple[tuple[str, float], ...] = getattr(lexicon, name)
    joined = "|".join(f"(?P<k{i}>{pattern})" for i, (pattern, _) in enumerate(entries))
    return re.compile(joined, re.I), tuple(weight for _, weight in entries)


def _clustered(name: str, text: str, window: int, needed: float) -> Score:
    """Weight of the different patterns that occur within `window` characters, over the weight that is needed."""
    pattern, weights = _compiled(name)
    hits = [(m.start(), m.end(), int((m.lastgroup or "k0")[1:])) for m in pattern.finditer(text)]
    best = NOTHING
    first = 0
    present: Counter[int] = Counter()
    for last, (start, _, kind) in enumerate(hits):
        present[kind] += 1
        while start - hits[first][0] > window:
            present[hits[first][2]] -= 1
            first += 1
        total = sum(weights[k] for k, count in present.items() if count)
        if total / needed > best[0]:
            best = (total / needed, hits[first][0], hits[last][1])
    return best


def advertising(text: str, language: str) -> Score:
    """Different selling phrases close together."""
    return _clustered("ADVERTISING", text, 400, 5.0)


def toxic(text: str, language: str) -> Score:
    """Pornographic, violent, gambling or drug-selling phrases close together."""
    return _clustered("TOXIC", text, 300, 3.0)


def promotion(text: str, language: str) -> Score:
    """Friendly advertising inside an article: different cues close together."""
    return _clustered("PROMOTION", text, 200, 4.0)


def insult(text: str, language: str) -> Score:
    """Contempt for a person or a group: different cues close together."""
    return _clustered("INSULT", text, 60 if language == "zh" else 130, 3.0)


def web_residue(text: str, language: str) -> Score:
    """Markup, style, script and form residue outside of code blocks, several kinds close together."""
    return _clustered("RESIDUE", without_code(text), 400, 3.0)


_BROKEN = re.compile(
    r"\ufffd|[\x80-\x9f]|â€[\u0080-\u2122]?|Ã[\u0080-\u00bf\u0152-\u2122]|Â[\u00a0-\u00bf ]|ï¿½|锟斤拷|烫烫烫|屯屯屯"
    r"|[ä-é][\u0080-\u00bf\u0152-\u2122]{2}"
)
# UTF-8 read as GB18030: turned back into bytes, the nonsense is valid UTF-8 of Chinese characters. Real Chinese
# text is that four characters in a row about once in 1e9 characters (derived from the byte ranges).
_UTF8_HAN = re.compile(rb"(?:[\xe4-\xe9][\x80-\xbf]{2}|\xef\xbc[\x80-\xbf]|\xe3\x80[\x80-\xbf]){4,}")


def mojibake(text: str, language: str) -> Score:
    """Text decoded with the wrong encoding: replacement characters, C1 controls, telling pairs, GB18030 nonsense."""
    hits = 0
    first = last = -1
    for match in _BROKEN.finditer(text):
        hits += 1
        first = match.start() if first < 0 else first
        last = match.end()
    score = hits / max(4.0, len(text) / 500)
    if score < 1 and _HAN.search(text):
        match_bytes = _UTF8_HAN.search(text.encode("gb18030", "replace"))
        if match_bytes is not None:
            return (1.0, 0, len(text))
    return (score, max(first, 0), max(last, 0))


_EMAIL = re.compile(
    r"(?<![\w.+-])([a-z0-9][\w.+-]{1,40})@([a-z0-9-]{2,30}(?:\.[a-z0-9-]{2,20}){1,3})(?![\w@])", re.I | re.A
)
_ROLE = re.compile(
    r"(?:git|root|user(?:name)?|info|admin|support|noreply|no-reply|help|contact|webmaster|sales|me|you(?:r\w*)?|name|someone"
    r"|foo|bar|test|postmaster|mail|e-?mail|service|press|editor\w*|office|security|feedback|subscribe|hello|ssh|\w*list\w*)",
    re.I,
)
_NOT_MAIL = re.compile(
    r"example|localhost|domain|yourname|\.(?:png|jpe?g|gif|svg|js|css|py|service|local|internal|target)$",
    re.I,
)
_MOBILE = re.compile(r"(?<![\w./=$-])(?:\+?86[- ]?)?1[3-9]\d[- ]?\d{4}[- ]?\d{4}(?![\w./-]\d|\d|\$)", re.A)
_PHONE = re.compile(
    r"(?<![\w./-])"
    r"(?:\(\d{3}\) ?|\+1[ -.]\d{3}[ -.]|(?!(?:400|8(?:00|88|77|66)))\d{3}-)[2-9]\d{2}[ -]\d{4}(?![\w-])",
    re.A,
)
_SSN = re.compile(r"\bSSN:? ?\d{3}-\d{2}-\d{4}\b", re.I)
_IDENTITY = re.compile(
    r"(?<![\dA-Za-z])[1-9]\d{5}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx](?![\dA-Za-z])"
)
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def _valid_identity(number: str) -> bool:
    total = sum(int(d) * w for d, w in zip(number[:17], _WEIGHTS, strict=True))
    return "10X98765432"[total % 11] == number[17].upper()


def privacy(text: str, language: str) -> Score:
    """Personal e-mail addresses, mobile and telephone numbers, identity numbers that nobody masked."""
    for match in _EMAIL.finditer(text):
        if not _ROLE.fullmatch(match[1]) and not _NOT_MAIL.search(match[2]):
            return (1.0, match.start(), match.end())
    for match in _IDENTITY.finditer(text):
        if _valid_identity(match.group()):
            return (1.0, match.start(), match.end())
    for pattern in (_MOBILE, _PHONE, _SSN):
        number = pattern.search(text)
        if number is not None and "555" not in number.group() and len(set(number.group())) > 4:
            return (1.0, number.start(), number.end())
    return NOTHING


_CUT_EN = re.compile(
    r"(?<=\w )(?:the|an?|of|and|to|with|that|for|from|which|because|at|by|as|or|their|its|our|my)\s?(?:\.\.\.|…)?$",
    re.I,
)
_CUT_ZH = re.compile(
    r"[\u4e00-\u9fff“”《》）\w][，、](?:\s?(?:\.\.\.|…))?$|[\u4e00-\u9fff](?:和|与|以及|因为|把|被|为了)$"
)
_DOTS = re.compile(r"[^\s.。！？!?…]\s?(?:\.\.\.|…)$")
_MORE = re.compile(
    r"(?:\[?(?:read more|continue reading|阅读(?:全文|更多|原文)|查看(?:全文|更多)|展开全文)\]?\s*[.…»>]*)$",
    re.I,
)


def truncated(text: str, language: str) -> Score:
    """The last line stops in the middle of a sentence."""
    text = text.rstrip()
    start = text.rfind("\n") + 1
    line = text[start:]
    found = (start, len(text))
    if _MORE.search(line[-40:]) and len(line) > 8:
        return (1.0, *found)
    if (_CUT_ZH.search(line[-12:]) if language == "zh" else None) or _CUT_EN.search(line[-24:]):
        return (1.0, *found)
    if len(line) >= (15 if language == "zh" else 40) and _DOTS.search(line[-8:]):
        return (1.0, *found)
    return NOTHING


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


_JOINT = re.compile(r"(?<=[^\s.。！？!?…])\s?(?:\[?(?:\.\.\.|(?<!…)…(?!…))\]?)(?=\s*[^\s.…)）\]”\"]|\s*$)")


def incoherent(text: str, language: str) -> Score:
    """Snippets of unrelated documents, cut off and joined by ellipses."""
    joints = [m.start() for m in _JOINT.finditer(text)]
    if len(joints) < 5:
        return NOTHING
    each = 150 if language == "zh" else 320
    return (len(joints) * each / max(len(text), 1), joints[0], joints[-1])


_OTHER_SCRIPT = re.compile(
    r"[\u3041-\u30ff\u31f0-\u31ff]|[\uac00-\ud7af\u1100-\u11ff]|[\u0400-\u052f]|[\u0600-\u06ff]|[\u0e00-\u0e7f]"
    r"|[\u0900-\u0dff]|[\u0590-\u05ff]|[\u0370-\u03ff]|[\u10a0-\u10ff]|[\u0530-\u058f]"
)
_URL = re.compile(r"(?:https?://|www\.)[^\s)\]>\"']+")
_LETTER = re.compile(r"[^\W\d_]")
_WORD = re.compile(r"[a-zà-öø-ÿœ]+")
_FUNCTION = {name: frozenset(words.split()) for name, words in lexicon.FUNCTION_WORDS.items()}


def foreign_share(text: str) -> float:
    """Share of the letters that belong to a language other than Chinese and English, between 0 and 1."""
    text = _URL.sub(" ", without_code(text))
    letters = len(_LETTER.findall(text))
    if letters == 0:
        return 0.0
    other = len(_OTHER_SCRIPT.findall(text))
    words = Counter(_WORD.findall(text.lower()))
    total = sum(words.values())
    if total >= 20:
        hits = {name: sum(words[w] for w in function) for name, function in _FUNCTION.items()}
        english = hits.pop("en")
        best, name = max((count, name) for name, count in hits.items())
        different = sum(1 for w in _FUNCTION[name] if words[w])
        # function words are a quarter to a half of running text; a list of names has few different ones
        if different >= 8 and best >= 0.15 * total:
            latin = sum(len(w) * n for w, n in words.items())
            other += int(latin * best / (best + english))
    return min(1.0, other / letters)


def foreign_language(text: str, language: str) -> Score:
    """A third or more of the text is in a language that the corpus does not keep."""
    return (foreign_share(text) / 0.33, 0, min(len(text), 200))


_MENU_ITEM = re.compile(rf"(?:{lexicon.MENU_WORDS})", re.I)
_SPLIT = re.compile(r"\n+|\s*[|>»·•]\s*|\s{2,}|\t")


def navigation(text: str, language: str) -> Score:
    """A run of short entries without sentence ends, of which many are menu words."""
    best = NOTHING
    position = run_start = length = words = 0
    for piece in _SPLIT.split(without_code(text)):
        item = piece.strip(" \t[]*-#")
        if item and len(item) <= 24 and item[-1] not in "。！？!?.，,；;：:":
            if length == 0:
                run_start, words = position, 0
            length += 1
            if _MENU_ITEM.fullmatch(item):
                words += 1
            score = min(length / 6, words / 5)
            if score > best[0] and words / length >= 0.4:
                best = (score, run_start, position + len(piece))
        elif item:
            length = 0
        position += len(piece) + 1
    return best


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


# Detectors that look for several listed phrases: RE2 counts them over whole batches 300 times faster than `re`
# (0.06 against 20 ms per document, tests/evaluate), and only documents with two or more are read closely.
_LISTS = {
    "advertising": "ADVERTISING",
    "toxic": "TOXIC",
    "web_residue": "RESIDUE",
    "promotion": "PROMOTION",
    "insult": "INSULT",
}


def read_batch(texts: Sequence[str], languages: Sequence[str]) -> list[list[Finding]]:
    """What the automatic readers find in each document; an empty list means that it is good."""
    column = pa.array(texts, pa.large_string())
    wanted: dict[str, list[bool]] = {}
    for defect, name in _LISTS.items():
        joined = "|".join(f"(?:{pattern})" for pattern, _ in getattr(lexicon, name))
        hits = pc.count_substring_regex(column, joined, ignore_case=True)
        wanted[defect] = pc.greater_equal(hits, 2).to_pylist()
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

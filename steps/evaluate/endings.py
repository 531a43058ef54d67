"""The detector of texts that stop in the middle of a sentence."""

from __future__ import annotations

import re

from steps.evaluate.phrases import NOTHING, Score
from steps.evaluate.words import OPEN_HAN, OPEN_PAIRS, OPEN_WORDS

_URL = re.compile(r"://|www\.|\]\(")
_CUT_EN = re.compile(
    r"(?<=\w )(?:the|an?|of|and|to|with|that|for|from|which|because|at|by|as|or|their|its|our|my)\s?(?:\.\.\.|…)?$"
)
_CUT_ZH = re.compile(
    r"[\u4e00-\u9fff“”《》）\w][，、](?:\s?(?:\.\.\.|…))?$|[\u4e00-\u9fff](?:和|与|以及|因为|把|被|为了)$"
)
_DOTS = re.compile(r"[^\s.。！？!?…]\s?(?:\.\.\.|…)$")
_MORE = re.compile(
    r"(?:\[?(?:read more|continue reading|阅读(?:全文|更多|原文)|查看(?:全文|更多)|展开全文)\]?\s*[.…»>]*)$",
    re.I,
)
_ENDS = "。！？!?.；;：:…”\"’')）】》」』]”*`_~|>}"
_INNER_END = re.compile(r"[。！？]|[a-z]{2}[.!?] (?=[A-Z])")
_LIST_ITEM = re.compile(r"\s*(?:[-*•·>#|\[]|\d+[.)、]|https?:)")
_LAST_WORD = re.compile(r"[A-Za-z][a-z'’]*$")
_OPEN_HAN = frozenset(OPEN_HAN)
_OPEN_WORDS = frozenset(OPEN_WORDS.split())
_OPEN_PAIRS = frozenset(OPEN_PAIRS.split())
_OPEN_ZH = re.compile(r"(?:如果|虽然|但是|而且|就是|以及|通过|根据|关于|由于)$")


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
    return (1.0, *found) if _stops_unlike_the_others(text, line, language) else NOTHING


def _stops_unlike_the_others(text: str, line: str, language: str) -> bool:
    """A last line of prose that stops where sentences hardly do, in a text whose other long lines end well.

    The last line has a sentence end inside, so that it is prose and no caption. Of clean texts 1 in 300 stops so at
    some word or other; stopping at a word, character or part of a word of the tables is twenty times as rare.
    """
    named = "zh" if language == "zh" else "en"
    if not line or _LIST_ITEM.match(line) or _URL.search(line) or not _is_open(line, named):
        return False
    inner = sum(1 for _ in _INNER_END.finditer(line))
    if not inner:
        return False
    least = 30 if named == "zh" else 80
    others = [other for o in text.split("\n")[:-1] if len(other := o.strip()) >= least]
    ended = sum(other[-1] in _ENDS for other in others)
    return inner + len(others) >= 3 and ended >= 0.95 * len(others)


def _is_open(line: str, language: str) -> bool:
    """Whether the line's last character or word hardly ever ends a sentence, or is no whole word."""
    if language == "zh" and "\u3400" <= line[-1] <= "\u9fff":
        return line[-1] in _OPEN_HAN or _OPEN_ZH.search(line) is not None
    last = _LAST_WORD.search(line)
    if last is None or last.start() == 0 or line[last.start() - 1] not in ' ("“':
        return False
    word = last.group()
    return word.lower() in _OPEN_WORDS or (len(word) > 2 and word.islower() and word[-2:] in _OPEN_PAIRS)

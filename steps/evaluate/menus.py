"""The detector of menus, breadcrumbs and lists of links."""

from __future__ import annotations

import re
from collections.abc import Iterable

from steps.evaluate.phrases import NOTHING, Score, without_code
from steps.evaluate.words import MENU_WORDS

_MENU_ITEM = re.compile(rf"(?:{MENU_WORDS})", re.I)
_SPLIT = re.compile(r"\n+|\s*[|>»·•]\s*|\s{2,}|\t")
_WITHIN_LINE = re.compile(r"\s*[|>»·•/]\s*|\s{2,}|\t")
_HAN = re.compile(r"[\u4e00-\u9fff]")
_MARKS = "。！？!?.，,；;：:、"
# A run of short entries at either end of the text is a menu from this length on, with so many menu words. Of 13,000
# clean texts one has one (python -m benchmarks.quality.readers --clean 9000).
_RUN, _WORDS_HEAD, _WORDS_TAIL = 7, 1, 2
_ENDS = 3000  # characters that are looked at


def navigation(text: str, language: str) -> Score:
    """A run of short entries without sentence ends: many menu words anywhere, or few at the head or foot."""
    blank = without_code(text)
    best = _anywhere(blank)
    if best[0] >= 1:
        return best
    for piece, needed, from_end in ((blank[:_ENDS], _WORDS_HEAD, False), (blank[-_ENDS:], _WORDS_TAIL, True)):
        items = entries(piece)
        length, words = _run(reversed(items) if from_end else items)
        if length >= _RUN and words >= needed:
            size = sum(map(len, items[-length:] if from_end else items[:length]))
            at = len(text) - size if from_end else 0
            return (length / _RUN, max(0, at), min(len(text), at + size))
    return best


def _anywhere(text: str) -> Score:
    best = NOTHING
    position = run_start = length = words = 0
    for piece in _SPLIT.split(text):
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


def entries(text: str) -> list[str]:
    """The lines of a text, those that are rows of entries in parts."""
    found = []
    for line in text.split("\n"):
        words = line.split()
        parts = words if _is_row(words) else _WITHIN_LINE.split(line)
        found += [item for part in parts if (item := part.strip(" \t[]*-#"))]
    return found


def _is_row(words: list[str]) -> bool:
    """Seven or more short words without marks, side by side: Chinese ones, or capitalised."""
    if len(words) < _RUN or any(len(w) > (6 if _HAN.search(w) else 12) or w[-1] in _MARKS for w in words):
        return False
    chinese, capital = sum(bool(_HAN.search(w)) for w in words), sum(w[0].isupper() for w in words)
    return chinese >= 0.6 * len(words) or capital >= 0.8 * len(words)


def _run(items: Iterable[str]) -> tuple[int, int]:
    """(entries in a row from the first on, menu words among them)."""
    length = words = 0
    for item in items:
        if len(item) > (10 if _HAN.search(item) else 24) or item[-1] in _MARKS or item[0].isdigit():
            break
        length, words = length + 1, words + bool(_MENU_ITEM.fullmatch(item))
    return length, words

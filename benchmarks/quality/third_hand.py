"""Seeded defects by a third hand, on which no detector was ever tuned: texts/third_hand.yaml, and other ways to break.

The first hand made `steps.evaluate.seeding` with the detectors, the second `steps.evaluate.independent` blind to them.
These were written last, by somebody who knew how the detectors work but improved nothing by them: whoever looks at what
is missed here has to write a fourth.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import yaml

from steps.evaluate import independent
from steps.evaluate.seeding import Draw, host_of, insert_block

PASSAGES = Path(__file__).parent / "texts" / "third_hand.yaml"
_SENTENCE = re.compile(r"[^。！？!?.\n]{6,}[。！？!?.]+\s*")


@cache
def _passages() -> dict[str, dict[str, list[str]]]:
    content = yaml.safe_load(PASSAGES.read_text(encoding="utf-8"))
    foreign = content.pop("foreign")
    return {**content, "foreign_language": {"zh": foreign, "en": foreign}}


def inject(defect: str, text: str, language: str, seed: str, others: Sequence[str] = ()) -> str:
    """``text`` with one defect; arguments as of `steps.evaluate.seeding.inject`."""
    draw = Draw(seed, "third", defect)
    made = {
        "mojibake": _mojibake,
        "truncated": _truncated,
        "repetition": _repetition,
        "incoherent": _incoherent,
    }
    if defect in made:
        return made[defect](text, language, draw, others)
    passage = draw.pick(_passages()[defect][language])
    passage = passage.replace("{tail_area}", f"{2 + draw.below(7)}{draw.digits(2)}-")
    passage = independent.filled(passage.replace("{uk_tail}", f"7{draw.digits(3)} {draw.digits(6)}"), draw)
    if defect == "foreign_language":
        return f"{passage}\n{host_of(text, len(passage))}"
    if defect == "navigation":
        return f"{passage}\n{host_of(text)}"
    return insert_block(text, passage, draw)


def _mojibake(text: str, language: str, draw: Draw, others: Sequence[str]) -> str:
    """One or two paragraphs through a decoder that is wrong, strict about bytes, or asked twice."""
    lines = host_of(text, 2000).split("\n")
    at = draw.below(len(lines))
    broken = lines[at] if language == "zh" else re.sub(r"\b(\w)'", r"\1’", lines[at]).replace("a", "á", 3)
    ways = (
        lambda s: s.encode().decode("latin-1"),
        lambda s: s.encode().decode("gb18030" if language == "zh" else "cp1252", "replace"),
        lambda s: s.encode("ascii", "replace").decode(),
        lambda s: s.encode("utf-16-le").decode("utf-8", "replace"),
        lambda s: s.encode("ascii", "xmlcharrefreplace").decode(),
    )
    lines[at] = draw.pick(ways)(broken)
    return "\n".join(lines)


def _truncated(text: str, language: str, draw: Draw, others: Sequence[str]) -> str:
    """The text up to a number of bytes, as a column or a reader with a limit leaves it."""
    raw = host_of(text).encode()
    share = 0.4 + draw.below(50) / 100
    cut = raw[: int(len(raw) * share)].decode("utf-8", "ignore").rstrip(" \n")
    return cut.rstrip("。.！!？?") + draw.pick(("", "", "", "..", " [", "…"))


def _repetition(text: str, language: str, draw: Draw, others: Sequence[str]) -> str:
    """The last paragraphs over and over, every sentence twice, or one sentence with a word exchanged each time."""
    host = host_of(text, 1200)
    found = [m.group() for m in _SENTENCE.finditer(host)] or [host[:100]]
    kind = draw.below(3)
    if kind == 0:
        return host + "\n" + "\n".join([host[-400:]] * 5)
    if kind == 1:
        return "".join(sentence * 2 for sentence in found)
    unit = draw.pick(found).strip()
    names = (
        "红蓝绿黄白黑紫灰"
        if language == "zh"
        else ("north", "south", "east", "west", "upper", "lower", "old", "new")
    )
    return host + "\n" + "\n".join(f"{name}{'' if language == 'zh' else ' '}{unit}" for name in names)


def _incoherent(text: str, language: str, draw: Draw, others: Sequence[str]) -> str:
    """Sentences of two texts by turns, sentences with their words in disorder, or a table of search results."""
    host, other = host_of(text, 1500), host_of(draw.pick(list(others) or [text]), 1500)
    own, theirs = ([m.group().strip() for m in _SENTENCE.finditer(t)] or [t] for t in (host, other))
    kind = draw.below(3)
    if kind == 0:
        return "\n".join(part for pair in zip(own, theirs, strict=False) for part in pair)
    if kind == 1:
        pieces = list(host[:600]) if language == "zh" else host[:900].split(" ")
        size = 2 if language == "zh" else 1
        units = ["".join(pieces[i : i + size]) for i in range(0, len(pieces), size)]
        return ("" if language == "zh" else " ").join(draw.several(units, len(units)))
    return "\n".join(
        f"{number}. {t[:40]} ... {t[60:90]} - 2015-0{number}-11"
        for number, t in enumerate([text, *others][:9], 1)
    )

"""Seeded defects: a clean-looking document in, the same document with one known defect out.

Readers, people or programs, are measured on these without knowing which they are. Every injection is substantial: a
person who reads the document would call it a defect by the criteria of Ziya2's Figure 8. Everything follows from the
seed; there is no other randomness.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from steps.evaluate import fragments

# Host documents are cut to about this many characters around the defect, so that people who read the seeded ones are
# not told apart by length and need no hour per document (own choice).
HOST_CHARS = 4000
T = TypeVar("T")
_SENTENCE_ZH = re.compile(r"[^。！？!?\n]{15,200}[。！？]")
_SENTENCE_EN = re.compile(r"(?<![^\s])[A-Z][^\n]{40,300}?[.!?](?=\s|$)")
_CODE = re.compile(r"```.*?```|`[^`\n]*`|^(?: {4}|\t)[^\n]*$", re.S | re.M)
_HAN = re.compile(r"[\u4e00-\u9fff]")
_STOP_EN = re.compile(r"(?<=\w) (?:the|of|and|to|a|with|that|for|from|which|because)(?= \w)")
_STOP_ZH = re.compile(r"(?<=[\u4e00-\u9fff])[，、](?=[\u4e00-\u9fff])")


class Draw:
    """Numbers that follow from a seed: sha256 in counter mode, the same on every machine and version."""

    def __init__(self, *seed: object) -> None:
        self._key = "\x1f".join(map(str, seed)).encode()
        self._count = 0

    def below(self, limit: int) -> int:
        """A whole number in [0, limit)."""
        self._count += 1
        block = hashlib.sha256(self._key + self._count.to_bytes(8, "big")).digest()
        return int.from_bytes(block[:16], "big") % limit

    def pick(self, items: Sequence[T]) -> T:
        """One of the items."""
        return items[self.below(len(items))]

    def several(self, items: Sequence[T], count: int) -> list[T]:
        """`count` different items, in drawn order."""
        left = list(items)
        return [left.pop(self.below(len(left))) for _ in range(min(count, len(left)))]

    def digits(self, count: int) -> str:
        return "".join(str(self.below(10)) for _ in range(count))


def luhn_card(draw: Draw) -> str:
    """A 16-digit card number with a valid check digit."""
    body = "6222" + draw.digits(11)
    total = 0
    for index, digit in enumerate(reversed(body)):
        value = int(digit) * (2 if index % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return body + str(-total % 10)


def identity_number(draw: Draw) -> str:
    """An 18-digit mainland ID number with a valid check character (GB 11643)."""
    month, day = 1 + draw.below(12), 1 + draw.below(28)
    body = f"{draw.pick(('110105', '310104', '440305', '510107'))}{1950 + draw.below(55)}{month:02d}{day:02d}"
    body += draw.digits(3)
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return body + "10X98765432"[sum(int(d) * w for d, w in zip(body, weights, strict=True)) % 11]


def _fill(template: str, draw: Draw) -> str:
    word = "".join(draw.pick(fragments.SYLLABLES) for _ in range(2 + draw.below(2)))
    return template.format(
        n=1 + draw.below(9),
        p=39 + draw.below(900),
        m="1" + str(draw.pick(("38", "39", "58", "86", "77"))) + draw.digits(8),
        d=draw.digits(7),
        w=word,
        z=draw.pick(fragments.NAMES),
        f=f"{2 + draw.below(8)}{draw.digits(2)}",
        g=draw.digits(4),
        i=identity_number(draw),
        b=luhn_card(draw),
    )


def host_of(text: str, limit: int = HOST_CHARS) -> str:
    """The beginning of the document, up to a line or sentence end near `limit` characters, outside of code."""
    if len(text) > limit:
        head = text[:limit]
        cut = max(head.rfind("\n"), head.rfind("。") + 1, head.rfind(". ") + 1)
        text = head[: cut if cut > limit // 2 else limit]
    if text.count("```") % 2:
        text = text[: text.rindex("```")]
    return text.rstrip() or "."


def insert_block(text: str, block: str, draw: Draw) -> str:
    """`block` as lines of its own before, inside or after the document, never inside a fenced block of code."""
    lines = host_of(text).split("\n")
    fenced = False
    places = []
    for number, line in enumerate(lines):
        if not fenced:
            places.append(number)
        fenced ^= line.count("```") % 2 == 1
    at = draw.pick([*places, len(lines)])
    return "\n".join([*lines[:at], block, *lines[at:]])


def _block(bank: Mapping[str, tuple[str, ...]], text: str, language: str, draw: Draw, count: int) -> str:
    sentences = [_fill(t, draw) for t in draw.several(bank[language], count)]
    joint = "\n" if draw.below(2) else ("" if language == "zh" else " ")
    return insert_block(text, joint.join(sentences), draw)


def advertising(text: str, language: str, draw: Draw, others: Sequence[str]) -> str:
    """Three to five advertising sentences."""
    return _block(fragments.ADVERTISING, text, language, draw, 3 + draw.below(3))


def web_residue(text: str, language: str, draw: Draw, others: Sequence[str]) -> str:
    """Two or three pieces of markup, style or script that an extractor left behind."""
    return _block(fragments.RESIDUE, text, language, draw, 2 + draw.below(2))


def toxic(text: str, language: str, draw: Draw, others: Sequence[str]) -> str:
    """Two or three pornographic, violent, gambling or drug-selling sentences."""
    return _block(fragments.TOXIC, text, language, draw, 2 + draw.below(2))


def privacy(text: str, language: str, draw: Draw, others: Sequence[str]) -> str:
    """One or two sentences with an unmasked name, telephone, e-mail and identity number."""
    return _block(fragments.PRIVACY, text, language, draw, 1 + draw.below(2))


def promotion(text: str, language: str, draw: Draw, others: Sequence[str]) -> str:
    """One or two sentences of friendly advertising inside the text, as a blogger would slip them in."""
    return _block(fragments.PROMOTION, text, language, draw, 1 + draw.below(2))


def insult(text: str, language: str, draw: Draw, others: Sequence[str]) -> str:
    """One or two sentences of contempt for a person or a group."""
    return _block(fragments.INSULT, text, language, draw, 1 + draw.below(2))


def navigation(text: str, language: str, draw: Draw, others: Sequence[str]) -> str:
    """A menu of 12 to 20 entries, one per line or with separators, before or after the text."""
    items = draw.several(fragments.MENU[language], 12 + draw.below(9))
    menu = draw.pick(("\n", " | ", " > ", "  ", " · ")).join(items)
    host = host_of(text)
    return f"{menu}\n{host}" if draw.below(2) else f"{host}\n{menu}"


def mojibake(text: str, language: str, draw: Draw, others: Sequence[str]) -> str:
    """At least a third of the text decoded with the wrong encoding."""
    host = host_of(text, HOST_CHARS // 2)
    start = draw.below(max(1, len(host) // 2))
    stop = min(len(host), start + max(60, len(host) // 3))
    middle = host[start:stop]
    if len(_HAN.findall(middle)) >= 20:
        wrong = (
            lambda s: s.encode("utf-8").decode("gb18030", "replace"),
            lambda s: s.encode("utf-8").decode("latin-1"),
            lambda s: s.encode("gb18030").decode("utf-8", "replace"),
        )
        return host[:start] + draw.pick(wrong)(middle) + host[stop:]
    # ASCII survives every wrong decoding: what breaks in English text is quotes, dashes and accents
    broken = re.sub(r"'", "â€™", middle)
    broken = re.sub(r'"', "â€œ", broken)
    marks = ("â€”", "Ã©", "â€¦", "Â ", "â€“", "\ufffd\ufffd")
    kind = draw.below(2)
    words = broken.split(" ")
    for index in range(2, len(words), 4):
        words[index] += str(marks[-1] if kind else draw.pick(marks))
    return host[:start] + " ".join(words) + host[stop:]


def truncated(text: str, language: str, draw: Draw, others: Sequence[str]) -> str:
    """The text stops in the middle of a sentence, sometimes with an ellipsis."""
    host = host_of(text)
    least = 15 if language == "zh" else 40
    stops = [
        m.end()
        for m in (_STOP_ZH if language == "zh" else _STOP_EN).finditer(host, len(host) // 3)
        if m.end() - host.rfind("\n", 0, m.end()) > least
    ]
    if stops:
        return host[: draw.pick(stops)] + draw.pick(("", "", "...", " ...", "…"))
    # no such place: the longest line loses its last third, and all after it goes
    line = max(host.split("\n"), key=len)
    end = host.index(line) + max(min(len(line), least + 1), len(line) * 2 // 3)
    return host[:end].rstrip(" .。…，、！？!?\n") + "..."


def repetition(text: str, language: str, draw: Draw, others: Sequence[str]) -> str:
    """One sentence or paragraph six to twelve times in a row."""
    host = host_of(text, HOST_CHARS // 2)
    prose = _CODE.sub(lambda m: "\n" * len(m.group()), host)
    found = list((_SENTENCE_ZH if language == "zh" else _SENTENCE_EN).finditer(prose))
    if found:
        chosen = draw.pick(found)
        unit, at = chosen.group().strip(), chosen.end()
    else:
        unit, at = " ".join(prose.split())[:200] or host, len(host)
    joint = str(draw.pick(("\n", "" if language == "zh" else " ")))
    return host[:at] + joint + joint.join([unit] * (6 + draw.below(7))) + host[at:]


def incoherent(text: str, language: str, draw: Draw, others: Sequence[str]) -> str:
    """Six to nine snippets of unrelated documents, each cut off, joined by "..." (Figure 8's search-result page)."""
    size = 45 if language == "zh" else 130
    joint = str(draw.pick(("... ", " ... ", " [...] ", "…")))
    snippets = []
    for other in draw.several([text, *others], 6 + draw.below(4)):
        flat = " ".join(host_of(other).split())
        at = draw.below(max(1, len(flat) - 2 * size))
        snippet = flat[at : at + size + draw.below(size)]
        snippets.append(snippet.strip(" .。…，、！？!?；;：:") or flat[:size])
    while len(snippets) < 6:
        snippets.append(snippets[draw.below(len(snippets))][5:])
    return joint.join(snippets) + joint.rstrip()


def foreign_language(text: str, language: str, draw: Draw, others: Sequence[str]) -> str:
    """A document that is for the most part in a language that the corpus does not keep."""
    passage = str(draw.pick(fragments.FOREIGN))
    host = host_of(text, len(passage) // (4 if language == "zh" else 2))
    return f"{passage}\n{host}" if draw.below(2) else f"{host}\n{passage}"


INJECTIONS: dict[str, Callable[[str, str, Draw, Sequence[str]], str]] = {
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


def inject(defect: str, text: str, language: str, seed: str, others: Sequence[str] = ()) -> str:
    """`text` with one defect of the class `defect`.

    language: "zh" for Chinese fragments, anything else for English ones. others: documents of the same language that
    `incoherent` cuts snippets from. Raises KeyError for an unknown class.
    """
    return INJECTIONS[defect](text, "zh" if language == "zh" else "en", Draw(seed, defect), others)

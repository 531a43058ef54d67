"""A second kind of seeded defects: texts that were written without looking at the detectors' lists.

`seeding` and `lexicon` have one author, so that the automatic readers' score on the former says little about defects in
other words. The passages under `seeds/` (26 per class and language, one per line) were written afterwards by somebody
else who had not read the lists, and the four classes that are made from the document itself are made in other ways.

Lines of a file belong to two halves by turns. Detectors may be improved by the *tuning* half; the *held-out* half is
what is seeded, so that a sensitivity measured with it is one for texts that nobody tuned for. There are 13 passages per
class and language: the figure is an average over those, and a gate that relies on it relies on them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

from steps.evaluate.seeding import Draw, host_of, identity_number, insert_block, luhn_card

Half = Literal["held-out", "tuning", "all"]
FOLDER = Path(__file__).parent / "seeds"
_PLACE = re.compile(r"\{([a-z]+\d*)\}")
_SYLLABLES = ("dar", "mel", "ton", "vic", "ray", "lin", "sue", "kob", "fen", "jas", "mor", "pet")
_SENTENCES = re.compile(r"[^。！？!?\n]{10,}?[。！？]|[A-Z][^\n]{30,}?[.!?](?=\s|$)")


@cache
def passages(defect: str, language: str, half: Half = "held-out") -> tuple[str, ...]:
    """The lines of a class's file, of one half or all; literal ``\\n`` and ``\\t`` are breaks and tabs."""
    name = "foreign.txt" if defect == "foreign_language" else f"{defect}_{language}.txt"
    lines = (FOLDER / name).read_text(encoding="utf-8").rstrip("\n").split("\n")
    chosen = {"tuning": lines[::2], "held-out": lines[1::2], "all": lines}[half]
    return tuple(line.replace("\\n", "\n").replace("\\t", "\t") for line in chosen)


def filled(passage: str, draw: Draw) -> str:
    """The passage with its placeholders replaced by drawn names and numbers; other braces stay."""
    digits = draw.digits
    makers: dict[str, Callable[[], str]] = {
        "mobile": lambda: "1" + draw.pick(("30", "35", "50", "52", "87", "99")) + digits(8),
        "id": lambda: identity_number(draw),
        "card": lambda: luhn_card(draw),
        "qq": lambda: str(1 + draw.below(9)) + digits(8),
        "word": lambda: "".join(draw.pick(_SYLLABLES) for _ in range(2 + draw.below(2))),
        "ssn": lambda: f"{1 + draw.below(6)}{digits(2)}-{digits(2)}-{digits(4)}",
        "tail": lambda: f"{2 + draw.below(3)}{digits(2)}-{digits(4)}",
        "dots": lambda: f"{2 + draw.below(3)}{digits(2)}.{digits(4)}",
        "spaces": lambda: f"{2 + draw.below(3)}{digits(2)} {digits(4)}",
        "phone": lambda: f"({2 + draw.below(7)}{digits(2)}) {2 + draw.below(3)}{digits(2)}-{digits(4)}",
        "uk": lambda: f"07{3 + draw.below(6)}{digits(2)} {digits(6)}",
    }

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name in makers:
            return makers[name]()
        return digits(int(name[1:])) if name[0] == "n" and name[1:].isdigit() else match.group()

    return _PLACE.sub(value, passage)


def written(defect: str, text: str, language: str, draw: Draw, half: Half) -> str:
    """One passage as a line of its own somewhere in the document; menus and promotion sit where they do on pages."""
    passage = filled(draw.pick(passages(defect, language, half)), draw)
    host = host_of(text)
    if defect == "navigation":
        return f"{passage}\n{host}" if draw.below(2) else f"{host}\n{passage}"
    if defect == "foreign_language":
        return f"{host_of(text, len(passage) // (4 if language == 'zh' else 2))}\n{passage}"
    return insert_block(text, passage, draw)


def mojibake(text: str, language: str, draw: Draw, others: Sequence[str]) -> str:
    """Half of the text or more through one of the wrong decodings that crawls have."""
    host = host_of(text, 2000)
    start = draw.below(max(1, len(host) // 3))
    head, rest = host[:start], host[start:]
    if language == "zh":
        pairs = (("gb18030", "latin-1"), ("gb18030", "big5"), ("utf-8", "big5"), ("utf-8", "cp1252"),
                 ("big5", "gb18030"), ("utf-8", "shift_jis"), ("utf-8", "ascii"))  # fmt: skip
        right, wrong = draw.pick(pairs)
        return head + rest.encode(right, "replace").decode(wrong, "replace")
    curly = re.sub(r"(?<=\w)'(?=\w)|(?<=[a-z]{3})e(?=s?\b)", lambda m: "’" if m.group() == "'" else "é", rest)
    right, wrong = draw.pick(
        (("utf-8", "cp437"), ("utf-8", "mac_roman"), ("cp1252", "utf-8"), ("utf-8", "cp1251"))
    )
    if draw.below(4) == 0:
        once = curly.encode("utf-8").decode("cp1252", "replace")
        return head + once.encode("utf-8").decode("cp1252", "replace")
    return head + curly.encode(right, "replace").decode(wrong, "replace")


def truncated(text: str, language: str, draw: Draw, others: Sequence[str]) -> str:
    """The text stops at any word or, in Chinese, any character inside of a sentence, without a mark."""
    host = host_of(text)
    inside = [m for m in _SENTENCES.finditer(host, len(host) // 3)]
    if not inside:
        return host[: len(host) * 2 // 3].rstrip("。.！!？?… \n")
    sentence = draw.pick(inside)
    length = len(sentence.group())
    cut = sentence.start() + length // 3 + draw.below(max(1, length // 3))
    if language != "zh":
        cut = host.rfind(" ", 0, cut) if draw.below(2) else cut
    return host[:cut].rstrip("。.！!？?…,，、;；:： \n")


def repetition(text: str, language: str, draw: Draw, others: Sequence[str]) -> str:
    """The whole text four times over, one sentence after every paragraph, or one line with a running number."""
    host = host_of(text, 1500)
    found = [m.group().strip() for m in _SENTENCES.finditer(host)] or [host[:120]]
    unit = draw.pick(found)
    kind = draw.below(3)
    if kind == 0:
        return "\n".join([host] * 4)
    if kind == 1:
        others_ = [s for s in found if s != unit][:8] or [host[:60]]
        return "\n".join(f"{sentence}\n{unit}" for sentence in others_ * (1 + 8 // len(others_)))
    return host + "\n" + "\n".join(f"{number}. {unit}" for number in range(1, 9 + draw.below(5)))


def incoherent(text: str, language: str, draw: Draw, others: Sequence[str]) -> str:
    """One or two sentences from each of six to nine documents, in a row, marked like search results or not at all."""
    joint = draw.pick(("\n", " ", " | ", "……", " - ", "\n\n"))
    snippets = []
    for other in draw.several([text, *others], 6 + draw.below(4)):
        found = [m.group().strip() for m in _SENTENCES.finditer(host_of(other))] or [other[:80]]
        snippets.append(draw.pick(found))
    return joint.join(snippets)


_MADE: dict[str, Callable[[str, str, Draw, Sequence[str]], str]] = {
    "mojibake": mojibake,
    "truncated": truncated,
    "repetition": repetition,
    "incoherent": incoherent,
}


def inject(
    defect: str, text: str, language: str, seed: str, others: Sequence[str] = (), half: Half = "held-out"
) -> str:
    """`seeding.inject` with these texts; ``half`` says which lines may be used.

    Raises FileNotFoundError for a class that has neither a file nor a function here.
    """
    draw = Draw(seed, "independent", defect)
    named = "zh" if language == "zh" else "en"
    if defect in _MADE:
        return _MADE[defect](text, named, draw, others)
    return written(defect, text, named, draw, half)

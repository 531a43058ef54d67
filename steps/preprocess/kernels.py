"""What happens to one document: texts and settings in, texts and numbers out."""

from __future__ import annotations

from typing import NamedTuple

from steps.text.language import Guess, identify
from steps.text.mojibake import repair_mojibake
from steps.text.normalise import Normalised, normalise, remove_invisible
from steps.text.personal_data import KINDS, mask_personal_data

PLACEHOLDER_COLUMNS = tuple(f"masked_{kind}" for kind in KINDS)
COUNT_COLUMNS = (
    "mojibake_repaired",
    "mojibake_left",
    "invisible_removed",
    "traditional_converted",
    "symbols_removed",
    *PLACEHOLDER_COLUMNS,
    "personal_data_spans",
)


class Prepared(NamedTuple):
    """A document's new text and one number per column of `COUNT_COLUMNS`."""

    text: str
    counts: tuple[int, ...]


def guess_languages(texts: list[str], declared: list[str], trust_declared: bool) -> list[Guess]:
    """The language of each text; mojibake is undone first, since it looks like any language but its own."""
    guesses = identify([repair_mojibake(text)[0] for text in texts])
    if not trust_declared:
        return guesses
    return [
        Guess(said, 1.0) if said not in ("", "und") else guess
        for said, guess in zip(declared, guesses, strict=True)
    ]


def prepare(text: str, language: str, *, simplify: str, mask: bool, typography: bool) -> Prepared:
    """Normalise one document and mask its personal data; without ``typography`` only damage is repaired."""
    done = normalise(text, language, simplify=simplify) if typography else _repair(text)
    masked = mask_personal_data(done.text) if mask else None
    spans = [masked.counts[kind] if masked else 0 for kind in KINDS]
    return Prepared(masked.text if masked else done.text, (*done[1:], *spans, sum(spans)))


def _repair(text: str) -> Normalised:
    repaired, lines = repair_mojibake(text)
    clean, invisible = remove_invisible(repaired.replace("\r\n", "\n").replace("\t", "    "))
    return Normalised(clean, lines, 0, invisible, 0, 0)

"""Which characters, words and pairs of letters hardly end a sentence: the tables of steps/evaluate/endings.py.

    python -m benchmarks.quality.endings

Counted in clean shared data (wiki, laws, OI wiki, LCTT). Printed are the characters of 500 occurrences and more of
which fewer than 4 % stand before a mark or line end, words (1,000, 3 %), and pairs of letters that words of four
letters or more go through a hundred times as often as they end in them; then the share of places inside sentences and
of ends that each table covers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice

from benchmarks.quality.chain import read_jsonl, shared
from benchmarks.quality.readers import CLEAN

MARKS = frozenset('。！？，、；：）》”」』）.!?,;:)"\n…—’')
DOCUMENTS = 2500  # of each set
_WORD = re.compile(r"[A-Za-z][a-z'’]*")


def texts(language: str) -> Iterator[str]:
    """Clean texts of a language."""
    for file, own in CLEAN.values():
        if own == language:
            records = (r for r in read_jsonl(shared(file)) if r.get("lang", language) == language)
            yield from (record["text"] for record in islice(records, DOCUMENTS))


def counted(units: Iterator[tuple[str, bool]], least: int, share: float) -> tuple[list[str], float, float]:
    """(units that hardly end anything, share of places inside that they cover, share of ends) of (unit, at an end)."""
    inside, ends = Counter[str](), Counter[str]()
    for unit, last in units:
        (ends if last else inside)[unit] += 1
    both = inside + ends
    found = sorted(unit for unit in both if both[unit] >= least and ends[unit] < share * both[unit])
    covered = (sum(counts[unit] for unit in found) / counts.total() for counts in (inside, ends))
    return (found, *covered)  # type: ignore[return-value]


def characters() -> Iterator[tuple[str, bool]]:
    """Han characters, and whether a mark follows."""
    for text in texts("zh"):
        for here, after in zip(text, text[1:] + "\n", strict=False):
            if "\u4e00" <= here <= "\u9fff":
                yield here, after in MARKS


def words() -> Iterator[tuple[str, bool]]:
    """English words, and whether a mark follows."""
    for text in texts("en"):
        for match in _WORD.finditer(text):
            yield match.group().lower(), text[match.end() : match.end() + 1] in {*MARKS, ""}


def pairs() -> Iterator[tuple[str, bool]]:
    """Pairs of letters in English words of four letters or more, and whether the word ends there."""
    for word, _ in words():
        if len(word) >= 4 and word.isalpha():
            for end in range(2, len(word) + 1):
                yield word[end - 2 : end], end == len(word)


def main() -> None:
    for name, units, least, share in (
        ("OPEN_HAN", characters(), 500, 0.04),
        ("OPEN_WORDS", words(), 1000, 0.03),
        ("OPEN_PAIRS", pairs(), 1, 0.01),
    ):
        found, inside, ends = counted(units, least, share)
        print(
            f"{name}: {len(found)} cover {inside:.1%} of places inside sentences or words, {ends:.1%} of ends"
        )
        print(("" if name == "OPEN_HAN" else " ").join(found))


if __name__ == "__main__":
    main()

"""How the thresholds of near-duplicate removal hold for similarities that others define.

    python -m benchmarks.quality.near_duplicates [--texts 60]

A set of near duplicates that someone else labelled may mean another similarity by "0.8" than tokenmill: Jaccard
similarity of the sets of 2, 3 or 5 characters, punctuation and space included, or edit similarity (1 - Levenshtein
distance / length of the longer text). The first table gives the share of pairs of 0.8 and more that would be removed,
by each of these definitions and length, over graded pairs: Chinese texts (web pages, short comments, encyclopedia) and
copies with 2-16 % of the characters edited, with words of 2-4 characters replaced, dropped or put in, with a part cut
off, left out, put in or moved. The second gives the same by kind of change, the third how many pairs of real texts
would be removed: in wiki_zh, most are articles made from one template.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.quality.chain import read_csv, read_jsonl, shared
from benchmarks.quality.deduplicate import Keys, all_candidates, keys_of, show
from steps.deduplicate.config import Config
from steps.deduplicate.verify import LEAST_SHARED, LONGEST, SHORTEST, likeness
from steps.text.edit_distance import fitted_edits
from steps.text.hashing import jaccard
from steps.text.jit import njit
from steps.text.minhash import alike

LENGTHS = (30, 50, 100, 200, 500, 1500)  # characters
RULES = ((0.8, 0.9), (0.8, 0.87), (0.8, 0.85), (0.75, 0.87), (0.7, 0.85), (0.8, 0.8))  # Jaccard, edits
DEFINITIONS = ("Jaccard of 2 characters", "of 3", "of 5", "edit similarity")
WANTED = 0.8
HEADS = [f"{j}, {edits}" for j, edits in RULES]


class Pair(NamedTuple):
    """A text and its copy: kind of change, length, similarity by each of DEFINITIONS, and what each of RULES says."""

    kind: str
    length: int
    similarity: tuple[float, ...]
    removed: tuple[bool, ...]


@njit
def levenshtein(a, b):
    """Fewest insertions, deletions and replacements that make one sequence of numbers into the other."""
    row = np.arange(len(b) + 1)
    for i in range(len(a)):
        before, row[0] = row[0], i + 1
        for j in range(len(b)):
            here = min(before + (a[i] != b[j]), row[j + 1] + 1, row[j] + 1)
            before, row[j + 1] = row[j + 1], here
    return row[-1]


def sets_in_common(a: str, b: str, n: int) -> float:
    """Jaccard similarity of the sets of n characters of two texts."""
    first, second = ({text[i : i + n] for i in range(max(1, len(text) - n + 1))} for text in (a, b))
    return len(first & second) / len(first | second)


def edit_similarity(a: str, b: str) -> float:
    codes = (np.frombuffer(text.encode("utf-32-le"), np.uint32) for text in (a, b))
    return 1 - float(levenshtein(*codes)) / max(len(a), len(b))


def characters_edited(rng: random.Random, text: str, pool: str, share: float) -> str:
    out = []
    for character in text:
        draw = rng.random()
        if draw < share / 3:
            out.append(rng.choice(pool))
        elif draw < share * 2 / 3:
            continue
        else:
            out.append(character)
            if draw < share:
                out.append(rng.choice(pool))
    return "".join(out)


def words_edited(rng: random.Random, text: str, pool: str, share: float) -> str:
    out, at = [], 0
    while at < len(text):
        if rng.random() >= share / 3:
            out.append(text[at])
            at += 1
            continue
        size, draw = rng.randint(2, 4), rng.random()
        if draw < 0.7:
            at += size
        if draw < 0.4 or draw >= 0.7:
            out += rng.choices(pool, k=size)
    return "".join(out)


def cut_off(rng: random.Random, text: str, pool: str, share: float) -> str:
    size = int(len(text) * rng.uniform(0.03, share))
    return text[size:] if rng.random() < 0.5 else text[:-size]


def left_out(rng: random.Random, text: str, pool: str, share: float) -> str:
    size = int(len(text) * rng.uniform(0.02, share))
    at = rng.randrange(len(text) - size)
    return text[:at] + text[at + size :]


def put_in(rng: random.Random, text: str, pool: str, share: float) -> str:
    at = rng.randrange(len(text))
    added = rng.choices(pool, k=int(len(text) * rng.uniform(0.02, share)))
    return "".join([text[:at], *added, text[at:]])


def framed(rng: random.Random, text: str, pool: str, share: float) -> str:
    size = int(len(text) * rng.uniform(0.02, share))
    return "".join([*rng.choices(pool, k=size), text, *rng.choices(pool, k=size)])


def moved(rng: random.Random, text: str, pool: str, share: float) -> str:
    size = int(len(text) * rng.uniform(0.05, share))
    return text[size:] + text[:size]


Change = Callable[[random.Random, str, str, float], str]
CHANGES: tuple[tuple[str, Change, float], ...] = (
    *(
        (f"{share:.0%} of characters edited", characters_edited, share)
        for share in (0.02, 0.05, 0.08, 0.12, 0.16)
    ),
    *((f"{share:.0%} of words edited", words_edited, share) for share in (0.03, 0.06, 0.1, 0.15, 0.2)),
    ("head or tail cut off, 3-25 %", cut_off, 0.25),
    ("a part left out, 2-20 %", left_out, 0.2),
    ("a part put in, 2-25 %", put_in, 0.25),
    ("another head and tail, 2-12 % each", framed, 0.12),
    ("head moved to the end, 5-40 %", moved, 0.4),
)


def sources() -> dict[str, list[str]]:
    """Chinese texts by set."""
    wiki = [row["text"] for row in read_jsonl(shared("wiki_zh/train.jsonl.gz"))]
    random.Random(1).shuffle(wiki)
    return {
        "web": [row["text"] for row in read_jsonl(shared("dureader_web_zh/docs.jsonl.gz"))],
        "comments": [row["TEXT"] for row in read_csv(shared("tox_cold_zh/train.csv.gz"))],
        "encyclopedia": wiki[:1500],
    }


def judged(keys: Keys, a: int, b: int, config: Config) -> tuple[bool, ...]:
    """Whether the step would find and remove the pair, by each of RULES."""
    if keys.stripped[a] == keys.stripped[b]:
        return (True,) * len(RULES)
    sketch = (*keys.sketch[a], keys.size[a], *keys.sketch[b], keys.size[b])
    near = np.bitwise_count(keys.fingerprint[a] ^ keys.fingerprint[b]) <= config.hamming
    candidate = (near or (keys.bands[a] == keys.bands[b]).any()) and alike(*sketch, *likeness(0.8))
    similarity, fitted = jaccard(*keys.grams, a, b), fitted_similarity(keys, a, b)
    return tuple(
        bool(candidate and (similarity >= least or (similarity >= LEAST_SHARED and fitted >= edits)))
        for least, edits in RULES
    )


def fitted_similarity(keys: Keys, a: int, b: int) -> float:
    """Edit similarity as the step measures it, 0 where that does not count or is below 0.7."""
    offsets, hashes = keys.units
    texts = sorted((hashes[offsets[i] : offsets[i + 1]] for i in (a, b)), key=len)
    if not SHORTEST * len(texts[1]) <= len(texts[0]) or len(texts[1]) > LONGEST:
        return 0.0
    most = int(0.3 * len(texts[0]))
    found = fitted_edits(*texts, most)
    return 1 - float(found) / max(1, len(texts[0])) if found <= most else 0.0


def graded_pairs(texts_of_each: int) -> list[Pair]:
    """Pairs of every source, length and change."""
    rng, config = random.Random(5), Config()
    found = []
    for texts in sources().values():
        for length in LENGTHS:
            some = [text[:length] for text in texts if len(text) >= length]
            some = rng.sample(some, min(texts_of_each, len(some)))
            pool = "".join(c for text in some for c in text if "\u4e00" <= c <= "\u9fff")
            for kind, change, share in CHANGES:
                copies = [change(rng, text, pool, share) for text in some]
                keys = keys_of([*some, *copies], config)
                for number, (text, copy) in enumerate(zip(some, copies, strict=True)):
                    similarity = (
                        *(sets_in_common(text, copy, n) for n in (2, 3, 5)),
                        edit_similarity(text, copy),
                    )
                    removed = judged(keys, number, len(some) + number, config)
                    found.append(Pair(kind, length, similarity, removed))
    return found


def shares(pairs: Sequence[Pair]) -> list[str]:
    """Share of the pairs that each of RULES removes."""
    return [f"{share:.3f}" for share in np.mean([pair.removed for pair in pairs], axis=0)] if pairs else []


def definition_rows(pairs: Sequence[Pair]) -> list[list[str]]:
    rows = []
    for number, name in enumerate(DEFINITIONS):
        wanted = [pair for pair in pairs if pair.similarity[number] >= WANTED]
        for length in LENGTHS:
            mine = [pair for pair in wanted if pair.length == length]
            rows.append([name, str(length), str(len(mine)), *shares(mine)])
        rows.append([f"**{name}**", "all", str(len(wanted)), *shares(wanted)])
    return rows


def kind_rows(pairs: Sequence[Pair]) -> list[list[str]]:
    rows = []
    for kind, _, _ in CHANGES:
        mine = [pair for pair in pairs if pair.kind == kind]
        similarity = np.mean([pair.similarity for pair in mine], axis=0)
        rows.append([kind, *(f"{value:.2f}" for value in similarity), *shares(mine)])
    return rows


def real_rows() -> list[list[str]]:
    """Pairs of real texts that each of RULES would remove, without those of equal text."""
    sets = {
        "wiki_zh": "wiki_zh/train.jsonl.gz",
        "dureader_web_zh": "dureader_web_zh/docs.jsonl.gz",
        "laws_zh": "laws_zh/laws.jsonl.gz",
    }
    texts = {name: [row["text"][:5000] for row in read_jsonl(shared(path))] for name, path in sets.items()}
    texts["tox_cold_zh"] = [row["TEXT"] for row in read_csv(shared("tox_cold_zh/train.csv.gz"))][:9000]
    rows = []
    config = Config()
    for name, mine in texts.items():
        mine = [text for text in mine if len(text) >= 20]
        keys = keys_of(mine, config)
        pairs = [
            (a, b) for a, b in zip(*all_candidates(keys), strict=True) if keys.stripped[a] != keys.stripped[b]
        ]
        counts = np.sum([judged(keys, a, b, config) for a, b in pairs], axis=0)
        rows.append([name, str(len(mine)), *map(str, counts)])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--texts", type=int, default=60, help="texts of each set and length")
    options = parser.parse_args()
    pairs = graded_pairs(options.texts)
    show(["similarity of 0.8 or more", "characters", "pairs", *HEADS], definition_rows(pairs))
    show(["change", *DEFINITIONS, *HEADS], kind_rows(pairs))
    show(["pairs removed", "texts", *HEADS], real_rows())


if __name__ == "__main__":
    main()

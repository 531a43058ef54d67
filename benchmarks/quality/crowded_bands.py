"""What is lost where very many documents share a band key, and how many unlike ones do.

    python -m benchmarks.quality.crowded_bands [--texts 60]

A band key that more than `BAND_GROUP` documents have is made longer by positions of the sketches. The first table gives
the share of pairs that are still compared if *every* band key of both texts were shared with so many unlike documents,
of which CHANCE agree in each position: Chinese texts and graded copies, by Jaccard similarity of their bigrams. The
second counts the pairs of real texts that share a band, by their similarity, and those among them that are candidates:
per million pairs of documents, so that a million of the same kind would have so many candidates each.
"""

from __future__ import annotations

import argparse
import itertools
import math
import random

import numpy as np

from benchmarks.quality.chain import read_csv, read_jsonl, shared
from benchmarks.quality.deduplicate import Keys, keys_of, show
from benchmarks.quality.near_duplicates import CHANGES, LENGTHS, sources
from steps.deduplicate.bands import ASIDE, BAND_GROUP, PART, TRIES
from steps.deduplicate.config import Config
from steps.deduplicate.verify import likeness
from steps.text.hashing import jaccard
from steps.text.minhash import ROWS, SKETCHED, alike

CROWDS = (256, 1_000, 10_000, 100_000, 1_000_000)
CHANCE = 0.29  # (1 + 3 J) / 4 for two unlike texts, J = 0.05
SIMILAR = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 1.0)
ALIKE = (0.0, 0.2, 0.5, 0.8, 1.01)


def agreeing(keys: Keys, a: int, b: int) -> np.ndarray:
    """bool[SKETCHED]: in which positions two sketches agree."""
    differing = [int(word) for word in keys.sketch[a] ^ keys.sketch[b]]
    return np.array([not differing[at // 32] >> 2 * (at % 32) & 3 for at in range(SKETCHED)])


def compared(keys: Keys, a: int, b: int, crowd: int) -> bool:
    """Whether a band compares two texts, one of a crowd of so many in each."""
    asked = 0 if crowd <= BAND_GROUP else math.ceil(math.log(crowd / PART) / -math.log(CHANCE))
    same = agreeing(keys, a, b)
    for band in np.flatnonzero(keys.bands[a] == keys.bands[b]).tolist():
        for number in range(TRIES):
            first = ROWS * (band + 1) + number * ASIDE
            if same[np.arange(first, first + asked) % SKETCHED].all():
                return True
    return False


def crowd_rows(texts_of_each: int) -> list[list[str]]:
    """One row per range of similarity: pairs, and the share compared in each of CROWDS."""
    rng, config = random.Random(5), Config()
    found: dict[int, list[list[bool]]] = {number: [] for number in range(len(SIMILAR) - 1)}
    for texts, length in itertools.product(sources().values(), LENGTHS):
        some = [text[:length] for text in texts if len(text) >= length][:texts_of_each]
        copies = [change(rng, text, text, share) for text in some for _, change, share in CHANGES]
        keys = keys_of([*some, *copies], config)
        for number in range(len(copies)):
            a, b = number // len(CHANGES), len(some) + number
            at = int(np.searchsorted(SIMILAR, jaccard(*keys.grams, a, b), side="right")) - 1
            if 0 <= at < len(SIMILAR) - 1:
                found[at].append([compared(keys, a, b, crowd) for crowd in CROWDS])
    return [
        [
            f"{SIMILAR[at]:g} to {SIMILAR[at + 1]:g}",
            str(len(some)),
            *(f"{x:.4f}" for x in np.mean(some, axis=0)),
        ]
        for at, some in found.items()
    ]


def chance_rows() -> list[list[str]]:
    """One row per set: pairs that share a band, per million, by similarity; those that are candidates below 0.5."""
    texts = {
        name: [row["text"][:5000] for row in read_jsonl(shared(path))]
        for name, path in (
            ("wiki_zh", "wiki_zh/train.jsonl.gz"),
            ("dureader_web_zh", "dureader_web_zh/docs.jsonl.gz"),
            ("wiki_en", "wiki_en/train.jsonl.gz"),
        )
    }
    texts["tox_cold_zh"] = [row["TEXT"] for row in read_csv(shared("tox_cold_zh/train.csv.gz"))]
    rows = []
    for name, some in texts.items():
        keys = keys_of([text for text in some if len(text) >= 20], Config())
        n, bounds = len(keys.size), likeness(0.8)
        pairs = sharing(keys)
        similarity = np.array([jaccard(*keys.grams, a, b) for a, b in pairs])
        near = [
            alike(*keys.sketch[a], keys.size[a], *keys.sketch[b], keys.size[b], *bounds) for a, b in pairs
        ]
        counts = [*np.histogram(similarity, ALIKE)[0], (np.array(near) & (similarity < 0.5)).sum()]
        rows.append([name, str(n), *(f"{count / (n * (n - 1) / 2) * 1e6:.2f}" for count in counts)])
    return rows


def sharing(keys: Keys) -> list[tuple[int, int]]:
    """All pairs with a band key in common."""
    found: set[tuple[int, int]] = set()
    for band in keys.bands.T:
        order = np.argsort(band, kind="stable")
        for group in np.split(order, np.flatnonzero(np.diff(band[order])) + 1):
            found.update(itertools.combinations(sorted(group.tolist()), 2))
    return sorted(found)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--texts", type=int, default=60, help="texts of each set and length")
    options = parser.parse_args()
    show(["Jaccard similarity", "pairs", *(f"{crowd:,}" for crowd in CROWDS)], crowd_rows(options.texts))
    heads = [f"J {low:g} to {min(high, 1):g}" for low, high in itertools.pairwise(ALIKE)]
    show(["pairs with a band in common, per million", "texts", *heads, "candidates below 0.5"], chance_rows())


if __name__ == "__main__":
    main()

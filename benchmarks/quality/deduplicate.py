"""What de-duplication finds: pairs of a text and a changed copy, and labelled pairs.

    python -m benchmarks.quality.deduplicate [--documents 300]

Recall is over pairs of an article and its copy, whole and cut to some lengths; the last rows of a length count those
whose character or word bigrams have a Jaccard similarity of 0.8 or more, and those whose edit similarity (to the part
that fits best) is 0.9 or more. Precision counts every pair of different articles that would be removed as wrong. A pair
of equal stripped texts is found whatever the settings. Unlabelled texts show how many pairs each setting removes.

Columns: SimHash alone within 3, 6 and 10 bits; then 3 bits beside MinHash, by Jaccard similarity alone (J) and by
either measure (J, edits); then the default's measures beside MinHash with other numbers of bits.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import random
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from opencc import OpenCC

from benchmarks.quality.chain import read_jsonl, shared
from steps.deduplicate.config import Config
from steps.deduplicate.keys import fingerprints, verified_grams
from steps.deduplicate.verify import LEAST_SHARED, LONGEST, SHORTEST, likeness
from steps.text.edit_distance import edit_units, fits
from steps.text.hashing import gram_sets, jaccard, strip_texts, words
from steps.text.minhash import alike, min_hash
from steps.text.segment import text_buffers
from steps.text.unicode_tables import classes

BOUNDS = (3, 6, 10)
NO_EDITS = 2.0  # no text is that similar
THRESHOLDS = (
    (0.7, NO_EDITS),
    (0.8, NO_EDITS),
    (0.8, 0.95),
    (0.8, 0.9),
    (0.8, 0.87),
    (0.8, 0.85),
)  # Jaccard, edits
BESIDE = (0, 6)
SETTINGS = (
    *((bound, False, 0.8, 0.9) for bound in BOUNDS),
    *((3, True, *pair) for pair in THRESHOLDS),
    *((bound, True, 0.8, 0.87) for bound in BESIDE),
)
HEADS = (
    *(f"SimHash {bound}" for bound in BOUNDS),
    *(f"{j}" if edits == NO_EDITS else f"{j}, {edits}" for j, edits in THRESHOLDS),
    *(f"{bound} bits" for bound in BESIDE),
)
UNLABELLED = {
    "wiki_zh": "wiki_zh/train.jsonl.gz",
    "wiki_en": "wiki_en/train.jsonl.gz",
    "laws_zh": "laws_zh/laws.jsonl.gz",
    "dureader_web_zh": "dureader_web_zh/docs.jsonl.gz",
}
LENGTHS = {"zh": (50, 200, 500, None), "en": (50, 100, 300, None)}  # characters, words
NOTICE = {
    "zh": "本文转载自网络，版权归原作者所有，如有侵权请联系我们删除。",
    "en": "Reposted with permission.",
}


class Keys(NamedTuple):
    """Keys of some texts, as the step makes them."""

    stripped: np.ndarray
    fingerprint: np.ndarray
    bands: np.ndarray
    sketch: np.ndarray
    size: np.ndarray
    grams: tuple[np.ndarray, np.ndarray]
    units: tuple[np.ndarray, np.ndarray]


def keys_of(texts: Sequence[str], config: Config) -> Keys:
    data, offsets = text_buffers(pa.array(texts, pa.large_string()))
    tokens = words(data, offsets, classes())
    sizes = verified_grams(tokens, config)
    bands, sketch, size = min_hash(tokens.offsets, tokens.hash, sizes)
    content, bounds, _ = strip_texts(data, offsets, classes())
    stripped = np.array([content[a:b].tobytes() for a, b in itertools.pairwise(bounds)], dtype=object)
    grams = gram_sets(tokens.offsets, tokens.hash, sizes)
    return Keys(stripped, fingerprints(tokens, config)[0], bands, sketch, size, grams, edit_units(tokens))


class Pairs(NamedTuple):
    """Of some pairs: equal stripped texts, Hamming distance, whether a band agrees, Jaccard similarity, and whether
    sketches and then edits let the pair pass at each of THRESHOLDS, bool[pairs, thresholds]."""

    equal: np.ndarray
    distance: np.ndarray
    band: np.ndarray
    similarity: np.ndarray
    sketches: np.ndarray
    edits: np.ndarray

    def found(self, bound: int, minhash: bool, similarity: float, edits: float) -> np.ndarray:
        """Which pairs the step would find."""
        at = THRESHOLDS.index((similarity, edits))
        candidate = ((self.distance <= bound) | (self.band & minhash)) & self.sketches[:, at]
        return self.equal | (candidate & ((self.similarity >= similarity) | self.edits[:, at]))


def compare(keys: Keys, first: np.ndarray, second: np.ndarray) -> Pairs:
    """Every pair (first[i], second[i])."""
    similarity = np.array([jaccard(*keys.grams, a, b) for a, b in zip(first, second, strict=True)])
    sketches, edits = [], []
    offsets, hashes = keys.units
    for a, b, shared_grams in zip(first, second, similarity, strict=True):
        one = (*keys.sketch[a], keys.size[a], *keys.sketch[b], keys.size[b])
        sketches.append([alike(*one, *likeness(similarity)) for similarity, _ in THRESHOLDS])
        texts = hashes[offsets[a] : offsets[a + 1]], hashes[offsets[b] : offsets[b + 1]]
        edits.append(
            [
                bool(shared_grams >= LEAST_SHARED and bound <= 1 and fits(*texts, bound, SHORTEST, LONGEST))
                for _, bound in THRESHOLDS
            ]
        )
    return Pairs(
        keys.stripped[first] == keys.stripped[second],
        np.bitwise_count(keys.fingerprint[first] ^ keys.fingerprint[second]),
        (keys.bands[first] == keys.bands[second]).any(axis=1),
        similarity,
        np.array(sketches, bool).reshape(-1, len(THRESHOLDS)),
        np.array(edits, bool).reshape(-1, len(THRESHOLDS)),
    )


def edit(rng: random.Random, text: str, share: float, language: str) -> str:
    """A copy in which about ``share`` of the characters (zh) or words are replaced, dropped or doubled."""
    space = "" if language == "zh" else " "
    units = list(text) if language == "zh" else text.split(" ")
    out = []
    for unit in units:
        draw = rng.random()
        if draw < share / 3:
            out.append(rng.choice(units))
        elif draw < 2 * share / 3:
            continue
        elif draw < share:
            out += [unit, rng.choice(units)]
        else:
            out.append(unit)
    return space.join(out)


def copies(texts: Sequence[str], language: str) -> dict[str, list[str]]:
    """Name → one changed copy per text."""
    rng = random.Random(1)
    shares = (0.01, 0.02, 0.05)
    found = {f"{share:.0%} edited": [edit(rng, text, share, language) for text in texts] for share in shares}
    found["punctuation"] = [text.replace("，", "、").replace("。", "！").replace(",", ";") for text in texts]
    mark = ("。", "😀") if language == "zh" else (". ", ". 🎉 ")
    found["emoji"] = [text.replace(*mark) for text in texts]
    notice = NOTICE[language]
    found["header and footer"] = [f"{notice}\n{text}\n{notice}" for text in texts]
    found["head or tail cut by 10 %"] = [
        text[len(text) // 10 :] if n % 2 else text[: -(len(text) // 10) or None]
        for n, text in enumerate(texts)
    ]
    if language == "zh":
        to_traditional, to_simplified = OpenCC("s2twp"), OpenCC("tw2sp")
        traditional = [to_traditional.convert(text) for text in texts]
        found["Traditional and back"] = [to_simplified.convert(text) for text in traditional]
    return found


def cut(texts: Sequence[str], language: str, length: int | None) -> list[str]:
    """Texts of so many characters (zh) or words out of the middle; those that are long enough."""
    if length is None:
        return list(texts)
    if language == "zh":
        return [text[800 : 800 + length] for text in texts if len(text) >= 800 + length]
    return [
        " ".join(pieces[150 : 150 + length])
        for text in texts
        if len(pieces := text.split(" ")) >= 150 + length
    ]


def columns(pairs: Pairs, wanted: np.ndarray) -> list[str]:
    """Shares of the wanted pairs that each of SETTINGS finds."""
    if not wanted.any():
        return ["-"] * len(SETTINGS)
    return [f"{pairs.found(*setting)[wanted].mean():.3f}" for setting in SETTINGS]


def recall_rows(language: str, documents: int) -> list[list[str]]:
    """One row per length and change, then one for all pairs with Jaccard >= 0.8 of that length."""
    articles = [r["text"] for r in read_jsonl(shared(ARTICLES)) if r["lang"] == language][:documents]
    rows = []
    for length in LENGTHS[language]:
        texts = cut(articles, language, length)
        n = len(texts)
        every: list[Pairs] = []
        for name, changed in copies(texts, language).items():
            pairs = compare(keys_of([*texts, *changed], Config()), np.arange(n), np.arange(n, 2 * n))
            every.append(pairs)
            median = f"{np.median(pairs.similarity):.2f}"
            rows.append(
                [language, str(length or "whole"), name, str(n), median, *columns(pairs, np.ones(n, bool))]
            )
        together = Pairs(*(np.concatenate(column) for column in zip(*every, strict=True)))
        wanted = {
            "**J >= 0.8, not equal**": (together.similarity >= 0.8) & ~together.equal,
            "**edit similarity >= 0.9, not equal**": together.edits[:, THRESHOLDS.index((0.8, 0.9))]
            & ~together.equal,
        }
        for name, which in wanted.items():
            rows.append(
                [language, str(length or "whole"), name, str(which.sum()), "", *columns(together, which)]
            )
    return rows


ARTICLES = "lctt_opensource/lctt_opensource_zh_en.jsonl.gz"


def all_candidates(keys: Keys) -> tuple[np.ndarray, np.ndarray]:
    """(first, second) of every pair within the widest bound or with a band in common: no other could be found."""
    firsts, seconds = [], []
    for begin in range(0, len(keys.fingerprint), 500):  # rows of the matrix of all pairs
        rows = slice(begin, begin + 500)
        near = np.bitwise_count(keys.fingerprint[rows, None] ^ keys.fingerprint[None, :]) <= max(BOUNDS)
        for band in keys.bands.T:
            near |= band[rows, None] == band[None, :]
        first, second = np.nonzero(np.triu(near, begin + 1))
        firsts.append(first + begin)
        seconds.append(second)
    return np.concatenate(firsts), np.concatenate(seconds)


def all_pairs(texts: Sequence[str]) -> tuple[Pairs, np.ndarray, np.ndarray]:
    """Every pair that any of SETTINGS could find."""
    keys = keys_of(texts, Config())
    first, second = all_candidates(keys)
    return compare(keys, first, second), first, second


def labelled(size: int) -> tuple[list[str], set[tuple[int, int]]]:
    """Texts and labelled pairs of one set of neardup_minhash_articles."""
    path = shared(f"neardup_minhash_articles/articles_{size}.truth")
    train = path.with_suffix(".train")
    raw = train.read_bytes() if train.exists() else gzip.decompress(shared(f"{train}.gz").read_bytes())
    articles = [line.split(" ", 1) for line in raw.decode("utf-8", "replace").split("\n") if " " in line]
    number = {name: i for i, (name, _) in enumerate(articles)}
    lines = path.read_text().split("\n")
    pairs = {tuple(sorted(number[name] for name in line.split())) for line in lines if line.strip()}
    return [text for _, text in articles], {(a, b) for a, b in pairs}


def precision_rows() -> list[list[str]]:
    """Precision and recall over all pairs of labelled sets, and of articles with a 2 % edited copy each."""
    sets = {f"neardup_minhash_articles {size}": labelled(size) for size in (100, 1000, 2500)}
    for language in ("zh", "en"):
        texts = [r["text"][:5000] for r in read_jsonl(shared(ARTICLES)) if r["lang"] == language]
        rng = random.Random(2)
        changed = [edit(rng, text, 0.02, language) for text in texts]
        n = len(texts)
        sets[f"{n} {language} articles, 2 % edited"] = ([*texts, *changed], {(i, i + n) for i in range(n)})
    rows = []
    for name, (texts, truth) in sets.items():
        pairs, first, second = all_pairs(texts)
        right = np.array([(int(a), int(b)) in truth for a, b in zip(first, second, strict=True)], bool)
        row = [name]
        for setting in SETTINGS:
            found = pairs.found(*setting)
            hits = int((found & right).sum())
            row.append(f"{hits / max(int(found.sum()), 1):.4f} / {hits / len(truth):.4f}")
        rows.append(row)
    return rows


def unlabelled_rows() -> list[list[str]]:
    """Pairs that each setting finds among real texts of 20 features and more, without those of equal text."""
    rows = []
    for name, path in UNLABELLED.items():
        texts = [text for r in read_jsonl(shared(path)) if len(text := r["text"][:5000]) >= 60]
        pairs, _, _ = all_pairs(texts)
        counts = [str((pairs.found(*setting) & ~pairs.equal).sum()) for setting in SETTINGS]
        rows.append([name, str(len(texts)), *counts])
    return rows


def show(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for row in (heads, ["---"] * len(heads), *rows):
        print("| " + " | ".join(row) + " |")
    print()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=int, default=300, help="articles per language")
    options = parser.parse_args()
    heads = ["", "length", "change", "pairs", "median J", *HEADS]
    show(heads, [row for language in ("zh", "en") for row in recall_rows(language, options.documents)])
    show(["precision / recall", *HEADS], precision_rows())
    show(["pairs found", "texts", *HEADS], unlabelled_rows())


if __name__ == "__main__":
    main()

"""De-duplication by brute force and the `simhash` package: slow, obvious, and sharing no code with the step."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from simhash import Simhash

LEAST_SHARED = 0.5  # Jaccard similarity from which edits count
TOKEN = re.compile(r"[\u4e00-\u9fff]|[^\W_\u4e00-\u9fff]+")


class Settings(NamedTuple):
    hamming: int
    similarity: float
    edit_similarity: float = 0.87
    max_candidates: int = 64
    max_cluster: int = 1000
    min_features: int = 20
    han_gram: int = 2
    word_gram: int = 1
    verify_gram: int = 2


def is_han(token: str) -> bool:
    return "\u4e00" <= token <= "\u9fff"


def mostly_han(tokens: Sequence[str]) -> bool:
    return 2 * sum(map(is_han, tokens)) >= len(tokens)


def join(tokens: Sequence[str]) -> str:
    text = ""
    for i, token in enumerate(tokens):
        if i and not is_han(token) and not is_han(tokens[i - 1]):
            text += " "
        text += token
    return text


def grams(tokens: Sequence[str], n: int) -> list[str]:
    return [join(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]


def simhash(text: str, settings: Settings) -> tuple[int, int]:
    """(fingerprint, features) by the simhash package: each distinct feature once, shorter ones weigh more."""
    tokens = TOKEN.findall(text.lower())
    longest = settings.han_gram if mostly_han(tokens) else settings.word_gram
    weights = {gram: longest + 1 - n for n in range(1, longest + 1) for gram in grams(tokens, n)}
    return (Simhash(weights).value if weights else 0), len(weights)


class AllPairs:
    """Every pair of ``texts`` whose fingerprints differ in at most ``widest`` bits or which share a band key, if
    sketches leave it possible; pairs are then measured once, for all settings that ask.

    bands: one sequence of numbers per text. alike: whether sketches leave a pair possible. grams: tokens per n-gram by
    which pairs are verified.
    """

    def __init__(
        self,
        texts: Sequence[str],
        fingerprints: Sequence[tuple[int, int]],
        bands: Sequence[Sequence[int]],
        alike: Callable[[int, int], bool],
        widest: int,
        gram: int = 2,
    ) -> None:
        self.features = [features for _, features in fingerprints]
        tokens = [TOKEN.findall(text.lower()) for text in texts]
        self.units = [list("".join(some)) if mostly_han(some) else some for some in tokens]
        self.sets = [{tuple(some[i : i + gram]) for i in range(len(some) - gram + 1)} for some in tokens]
        values, keys = np.array([value for value, _ in fingerprints], np.uint64), np.array(bands)
        self.near: list[list[tuple[int, int, bool]]] = [[] for _ in texts]
        for i in range(len(texts)):
            distance = np.bitwise_count(values[i:] ^ values[i])
            shared = (keys[i:] == keys[i]).any(axis=1)
            for at in np.flatnonzero((distance <= widest) | shared)[1:].tolist():
                if alike(i, i + at):
                    self.near[i].append((int(distance[at]), i + at, bool(shared[at])))
                    self.near[i + at].append((int(distance[at]), i, bool(shared[at])))
        self.similarities: dict[tuple[int, int], tuple[float, float]] = {}

    def measured(self, i: int, j: int) -> tuple[float, float]:
        """(Jaccard similarity of the n-grams, edit similarity or 0 where that does not count) of a document and of the
        kept one that it may repeat."""
        if (i, j) not in self.similarities:
            jaccard = len(self.sets[i] & self.sets[j]) / max(1, len(self.sets[i] | self.sets[j]))
            edits = edit_similarity(self.units[i], self.units[j]) if jaccard >= LEAST_SHARED else 0.0
            self.similarities[i, j] = jaccard, edits
        return self.similarities[i, j]

    def decide(
        self, order: Sequence[int], settings: Settings, minhash: bool
    ) -> tuple[dict[int, tuple[int, int, float]], int]:
        """({removed: (kept match, distance, similarity)}, candidate pairs): each document, in order, against every
        kept one before it."""
        rank = {i: at for at, i in enumerate(order)}
        kept: set[int] = set()
        absorbed = dict.fromkeys(order, 0)
        removed: dict[int, tuple[int, int, float]] = {}
        pairs = 0
        for i in order:
            if self.features[i] < settings.min_features:
                continue
            near = sorted(
                (distance, rank[k], k)
                for distance, k, shared in self.near[i]
                if k in kept
                and absorbed[k] < settings.max_cluster
                and (distance <= settings.hamming or (minhash and shared))
            )
            pairs += len(near)
            for distance, _, k in near[: settings.max_candidates]:
                similarity, edits = self.measured(i, k)
                if similarity >= settings.similarity or edits >= settings.edit_similarity:
                    removed[i] = (k, distance, similarity)
                    absorbed[k] += 1
                    break
            else:
                kept.add(i)
        return removed, pairs


def edit_similarity(a: Sequence[str], b: Sequence[str]) -> float:
    """1 - edits / length of the shorter text, ``a`` where both are as long, for the part of the other that it fits
    best; 0 where the shorter has less than 7/10 of the other's length. The whole table of edit distances (Sellers
    1980), one row after the other."""
    short, long = sorted((a, b), key=len)
    if 10 * len(short) < 7 * len(long):
        return 0.0
    places = np.arange(len(long) + 1)
    numbers = {word: number for number, word in enumerate({*short, *long})}
    words = np.array([numbers[word] for word in long])
    row = np.zeros(len(long) + 1, np.int64)
    for number, word in enumerate(short, 1):
        replaced = row[:-1] + (words != numbers[word])
        changed = np.concatenate([[number], np.minimum(row[1:] + 1, replaced)])
        row = np.minimum.accumulate(changed - places) + places
    return 1 - int(row.min()) / len(short) + 1e-12


def first_with(
    keys: Sequence[object], order: Sequence[int], empty: Callable[[object], bool]
) -> dict[int, int]:
    """{later document: first document with the same key}, for keys that are not empty."""
    first: dict[object, int] = {}
    found = {}
    for i in order:
        if empty(keys[i]):
            continue
        if keys[i] in first:
            found[i] = first[keys[i]]
        first.setdefault(keys[i], i)
    return found

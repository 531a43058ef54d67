"""De-duplication by brute force and the `simhash` package: slow, obvious, and sharing no code with the step."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from simhash import Simhash

TOKEN = re.compile(r"[\u4e00-\u9fff]|[^\W_\u4e00-\u9fff]+")


class Settings(NamedTuple):
    hamming: int
    similarity: float
    edit_similarity: float = 0.9
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


def near_duplicates(
    texts: Sequence[str],
    order: Sequence[int],
    settings: Settings,
    fingerprints: list[tuple[int, int]] | None = None,
    bands: Sequence[Sequence[int]] | None = None,
    alike: Callable[[int, int], bool] = lambda i, j: True,
) -> dict[int, tuple[int, int, float]]:
    """{removed: (kept match, distance, similarity)}: every document against every kept one before it.

    A pair is compared if it is within the Hamming bound or has an equal number at a place of ``bands``, and ``alike``.
    """
    fingerprints = fingerprints or [simhash(text, settings) for text in texts]
    values = np.array([value for value, _ in fingerprints], np.uint64)
    keys = np.array(bands if bands is not None else np.zeros((len(texts), 0)))
    units = [TOKEN.findall(text.lower()) for text in texts]
    units = [list("".join(tokens)) if mostly_han(tokens) else tokens for tokens in units]
    sets = [set(map(tuple, _token_grams(text, settings.verify_gram))) for text in texts]
    kept: list[int] = []
    absorbed = dict.fromkeys(order, 0)
    removed: dict[int, tuple[int, int, float]] = {}
    for i in order:
        if fingerprints[i][1] < settings.min_features:
            continue
        distances = np.bitwise_count(values[kept] ^ values[i])
        candidates = np.flatnonzero((distances <= settings.hamming) | (keys[kept] == keys[i]).any(axis=1))
        near = [(int(distances[at]), at, kept[at]) for at in candidates.tolist()]
        near = [(d, at, k) for d, at, k in near if absorbed[k] < settings.max_cluster and alike(i, k)]
        for distance, _, k in sorted(near)[: settings.max_candidates]:
            similarity = len(sets[i] & sets[k]) / len(sets[i] | sets[k])
            edited = similarity >= 0.5 and edit_similarity(units[i], units[k]) >= settings.edit_similarity
            if similarity >= settings.similarity or edited:
                removed[i] = (k, distance, similarity)
                absorbed[k] += 1
                break
        else:
            kept.append(i)
    return removed


def edit_similarity(a: Sequence[str], b: Sequence[str]) -> float:
    """1 - edits / length of the shorter text, for the part of the longer one that it fits best; 0 where the shorter has
    less than 7/10 of the other's length. The whole table of edit distances (Sellers 1980), one row after the other."""
    short, long = sorted((a, b), key=len)
    if 10 * len(short) < 7 * len(long):
        return 0.0
    places = np.arange(len(long) + 1)
    words = np.array(long, object)
    row = np.zeros(len(long) + 1, np.int64)
    for number, word in enumerate(short, 1):
        replaced = row[:-1] + (words != word)
        changed = np.concatenate([[number], np.minimum(row[1:] + 1, replaced)])
        row = np.minimum.accumulate(changed - places) + places
    return 1 - int(row.min()) / len(short) + 1e-12


def _token_grams(text: str, n: int) -> list[list[str]]:
    tokens = TOKEN.findall(text.lower())
    return [tokens[i : i + n] for i in range(len(tokens) - n + 1)]


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

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
) -> dict[int, tuple[int, int, float]]:
    """{removed: (kept match, distance, similarity)}: every document against every kept one before it.

    A pair is compared if it is within the Hamming bound or has an equal number at one place of ``bands``.
    """
    fingerprints = fingerprints or [simhash(text, settings) for text in texts]
    values = np.array([value for value, _ in fingerprints], np.uint64)
    keys = np.array(bands if bands is not None else np.zeros((len(texts), 0)))
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
        near = [(d, at, k) for d, at, k in near if absorbed[k] < settings.max_cluster]
        for distance, _, k in sorted(near)[: settings.max_candidates]:
            similarity = len(sets[i] & sets[k]) / len(sets[i] | sets[k])
            if similarity >= settings.similarity:
                removed[i] = (k, distance, similarity)
                absorbed[k] += 1
                break
        else:
            kept.append(i)
    return removed


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

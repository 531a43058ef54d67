"""Decides near duplicates: each document against the documents that stay, in keeper order."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from steps.text.hashing import jaccard, popcount
from steps.text.jit import njit


class Decisions(NamedTuple):
    """match int64[n] (index of the kept document, -1: kept), distance int64[n], similarity float64[n], and
    (pairs within the bound, pairs verified, documents stopped by max_candidates, keepers stopped by max_cluster)."""

    match: np.ndarray
    distance: np.ndarray
    similarity: np.ndarray
    counts: np.ndarray


@njit
def _decide(
    group,
    published,
    fingerprints,
    gram_offsets,
    grams,
    hamming,
    threshold,
    most,
    cluster,
    match,
    dist,
    sim,
    counts,
):
    n = len(group)
    kept, absorbed = np.empty(n, np.int64), np.zeros(n, np.int64)
    near, far = np.empty(n, np.int64), np.empty(n, np.int64)
    many, first = 0, 0
    for i in range(n):
        if i > first and group[i] != group[i - 1]:
            many, first = 0, i
        if not published[i]:
            found = 0
            for k in range(many):
                distance = popcount(fingerprints[i] ^ fingerprints[kept[k]])
                if distance <= hamming and absorbed[kept[k]] < cluster:
                    near[found], far[found] = kept[k], distance
                    found += 1
            counts[0] += found
            tried = 0
            for distance in range(hamming + 1):
                for k in range(found):
                    if far[k] == distance and tried < most and match[i] < 0:
                        tried += 1
                        similarity = jaccard(gram_offsets, grams, i, near[k], threshold)
                        if similarity >= threshold:
                            match[i], dist[i], sim[i] = near[k], distance, similarity
            counts[1] += tried
            if match[i] >= 0:
                absorbed[match[i]] += 1
                if absorbed[match[i]] == cluster:
                    counts[3] += 1
                continue
            if tried < found:
                counts[2] += 1
        kept[many] = i
        many += 1


def decide(
    group: np.ndarray,
    published: np.ndarray,
    fingerprints: np.ndarray,
    grams: tuple[np.ndarray, np.ndarray],
    *,
    hamming: int,
    similarity: float,
    max_candidates: int,
    max_cluster: int,
) -> Decisions:
    """Near duplicates among documents sorted by group and, within it, in keeper order.

    A document goes if a document that stays, before it in its group, has a fingerprint within ``hamming`` bits and
    n-gram sets (``grams``: offsets, sorted hashes) of Jaccard similarity ``similarity`` or more. It is compared with
    the nearest ``max_candidates``, by distance, then keeper order; the first that passes is its match.
    ``published`` documents always stay. A document that took ``max_cluster`` others takes no more.
    """
    n = len(group)
    result = Decisions(np.full(n, -1), np.zeros(n, np.int64), np.zeros(n), np.zeros(4, np.int64))
    _decide(group, published, fingerprints, *grams, hamming, similarity, max_candidates, max_cluster, *result)
    return result

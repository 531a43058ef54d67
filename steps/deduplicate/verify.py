"""Decides near duplicates: each document against the documents that stay, in keeper order."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from steps.deduplicate.candidates import Sketches
from steps.text.hashing import jaccard, popcount
from steps.text.jit import njit
from steps.text.minhash import alike


class Decisions(NamedTuple):
    """match int64[n] (index of the kept document, -1: kept), distance int64[n], similarity float64[n], and
    (candidate pairs, pairs verified, documents stopped by max_candidates, keepers stopped by max_cluster)."""

    match: np.ndarray
    distance: np.ndarray
    similarity: np.ndarray
    counts: np.ndarray


@njit
def _share_band(bands, i, j):
    band = 0
    while band < bands.shape[1] and bands[i, band] != bands[j, band]:
        band += 1
    return band < bands.shape[1]


@njit
def _candidates(i, kept, many, absorbed, cluster, fingerprint, sketches, bands, hamming, likeness, near, far):
    """Kept documents that document i may repeat, into ``near``, their Hamming distances into ``far``; how many."""
    low, high, size = sketches
    found = 0
    for k in range(many):
        j = kept[k]
        if absorbed[j] >= cluster:
            continue
        distance = popcount(fingerprint[i] ^ fingerprint[j])
        if not alike(low[i], high[i], size[i], low[j], high[j], size[j], likeness[0], likeness[1]):
            continue
        if distance <= hamming or _share_band(bands, i, j):
            near[found], far[found] = j, distance
            found += 1
    return found


@njit
def _decide(
    group,
    published,
    fingerprints,
    sketches,
    bands,
    gram_offsets,
    grams,
    hamming,
    likeness,
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
            found = _candidates(
                i, kept, many, absorbed, cluster, fingerprints, sketches, bands, hamming, likeness, near, far
            )
            counts[0] += found
            tried = 0
            for k in np.argsort(far[:found], kind="mergesort")[:most]:
                tried += 1
                similarity = jaccard(gram_offsets, grams, i, near[k], likeness[0])
                if similarity >= likeness[0]:
                    match[i], dist[i], sim[i] = near[k], far[k], similarity
                    break
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
    sketches: Sketches,
    bands: np.ndarray,
    grams: tuple[np.ndarray, np.ndarray],
    *,
    hamming: int,
    likeness: tuple[float, int],
    max_candidates: int,
    max_cluster: int,
) -> Decisions:
    """Near duplicates among documents sorted by group and, within it, in keeper order.

    A document goes if a document that stays, before it in its group, has a fingerprint (uint64[n]) within ``hamming``
    bits or a band key (``bands`` uint32[n, any]) in common, and n-gram sets (``grams``: offsets, sorted hashes) of
    Jaccard similarity ``likeness[0]`` or more. Pairs that are not `alike` by their sketches (``likeness``: similarity,
    agreement) are left out unread. It is compared with the nearest ``max_candidates``, by Hamming distance, then
    keeper order; the first that passes is its match. ``published`` documents always stay. A document that took
    ``max_cluster`` others takes no more.
    """
    n = len(group)
    result = Decisions(np.full(n, -1), np.zeros(n, np.int64), np.zeros(n), np.zeros(4, np.int64))
    _decide(
        group,
        published,
        fingerprints,
        sketches,
        bands,
        *grams,
        hamming,
        likeness,
        max_candidates,
        max_cluster,
        *result,
    )
    return result

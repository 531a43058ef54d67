"""Decides near duplicates: each document against the documents that stay, in keeper order."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from steps.deduplicate.candidates import Sketches, alike_documents
from steps.text.edit_distance import fits
from steps.text.hashing import jaccard, popcount
from steps.text.jit import njit
from steps.text.minhash import least_agreement

# Jaccard similarity below which edits are not counted: bands find 72 % of pairs at it, and fewer below
LEAST_SHARED = 0.5
# for which sketches reject one pair in 30,000; of pairs at 0.5 they reject one in 560
SKETCHED = 0.6
# share of another text's length from which a text contained in it is a copy of it, and not a quotation
SHORTEST = 0.7
# characters or words; two texts as long as that take some 0.1 s at most
LONGEST = 20_000


class Bounds(NamedTuple):
    """What makes two documents duplicates, and how many of them are looked at."""

    hamming: int
    similarity: float
    edit_similarity: float
    max_candidates: int
    max_cluster: int


class Documents(NamedTuple):
    """Documents sorted by group and, within it, in keeper order: group int64[n], published bool[n], fingerprints
    uint64[n], sketches, bands uint32[n, any], and for each text its sorted n-gram hashes and `edit_units` (offsets,
    hashes)."""

    group: np.ndarray
    published: np.ndarray
    fingerprints: np.ndarray
    sketches: Sketches
    bands: np.ndarray
    grams: tuple[np.ndarray, np.ndarray]
    units: tuple[np.ndarray, np.ndarray]


def likeness(similarity: float) -> tuple[float, int]:
    """Bounds of `alike`, Jaccard similarity and equal positions, for pairs that may be duplicates by either measure."""
    return min(similarity, LEAST_SHARED), least_agreement(min(similarity, SKETCHED))


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
def _candidates(i, kept, absorbed, documents, bounds, likeness, near, far):
    """Kept documents that document i may repeat, into ``near``, their Hamming distances into ``far``; how many."""
    found = 0
    for j in kept:
        if absorbed[j] >= bounds.max_cluster:
            continue
        if not alike_documents(documents.sketches, i, j, likeness[0], likeness[1]):
            continue
        distance = popcount(documents.fingerprints[i] ^ documents.fingerprints[j])
        if distance <= bounds.hamming or _share_band(documents.bands, i, j):
            near[found], far[found] = j, distance
            found += 1
    return found


@njit
def _duplicates(i, j, grams, units, bounds, least):
    """(whether document i may go because j stays, Jaccard similarity of their n-grams or 0 where it is too low)."""
    similarity = jaccard(grams[0], grams[1], i, j, least)
    if similarity >= bounds.similarity:
        return True, similarity
    if similarity < least:
        return False, 0.0
    offsets, hashes = units
    a, b = hashes[offsets[i] : offsets[i + 1]], hashes[offsets[j] : offsets[j + 1]]
    return fits(a, b, bounds.edit_similarity, SHORTEST, LONGEST), similarity


@njit
def _decide(documents, bounds, likeness, match, dist, sim, counts):
    group, n = documents.group, len(documents.group)
    kept, absorbed = np.empty(n, np.int64), np.zeros(n, np.int64)
    near, far = np.empty(n, np.int64), np.empty(n, np.int64)
    many = 0
    for i in range(n):
        if i > 0 and group[i] != group[i - 1]:
            many = 0
        if not documents.published[i]:
            found = _candidates(i, kept[:many], absorbed, documents, bounds, likeness, near, far)
            counts[0] += found
            tried = 0
            for k in np.argsort(far[:found], kind="mergesort")[: bounds.max_candidates]:
                tried += 1
                same, similarity = _duplicates(
                    i, near[k], documents.grams, documents.units, bounds, likeness[0]
                )
                if same:
                    match[i], dist[i], sim[i] = near[k], far[k], similarity
                    break
            counts[1] += tried
            if match[i] >= 0:
                absorbed[match[i]] += 1
                if absorbed[match[i]] == bounds.max_cluster:
                    counts[3] += 1
                continue
            if tried < found:
                counts[2] += 1
        kept[many] = i
        many += 1


def decide(documents: Documents, bounds: Bounds) -> Decisions:
    """Near duplicates among documents.

    A document goes if a document that stays, before it in its group, has a fingerprint within ``hamming`` bits or a
    band key in common, and

    - n-gram sets of Jaccard similarity ``similarity`` or more, or
    - n-gram sets of `LEAST_SHARED` or more, and `edit_units` that `fits` finds to have ``edit_similarity`` or more, the
      shorter text with the part of the longer that it fits best.

    Pairs that are not `alike` by their sketches (`likeness`) are left out unread. It is compared with the nearest
    ``max_candidates``, by Hamming distance, then keeper order; the first that passes is its match, with the Jaccard
    similarity. ``published`` documents always stay. A document that took ``max_cluster`` others takes no more.
    """
    n = len(documents.group)
    result = Decisions(np.full(n, -1), np.zeros(n, np.int64), np.zeros(n), np.zeros(4, np.int64))
    _decide(documents, bounds, likeness(bounds.similarity), *result)
    return result

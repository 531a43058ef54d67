"""Which documents hold which benchmark items, by n-grams of normalised tokens. Arrays in, arrays out.

A token is a lower-case word or a single Chinese character (`steps.text.hashing.words`) of the text in Unicode form
NFKC: case, punctuation, spacing, Markdown and full-width forms make no difference. A document holds an item if
n-grams that both have cover a share of the item's tokens. The share is of the item, not of the document, so that one
question on a long page is found, and it is counted in tokens, so that an edited word costs one token, not n n-grams.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from steps.text.hashing import gram_hash, words
from steps.text.jit import njit
from steps.text.segment import text_buffers
from steps.text.unicode_tables import classes

BATCH_BYTES = 16 << 20  # of text at a time: tokens take about 25 bytes per byte of it


class Index(NamedTuple):
    """Benchmark items as an inverted index of their n-grams; about 40 bytes per token of theirs.

    A gram's places in the items' tokens, all items one after the other, are ``places[starts[i]:starts[i + 1]]``, where
    ``slots`` (uint64, a hash table of power-of-two size, 0 is free) holds its hash and ``numbers`` its number i.
    """

    slots: np.ndarray
    numbers: np.ndarray  # int32, parallel to slots
    starts: np.ndarray  # int64[grams + 1]
    places: np.ndarray  # int64
    item_of: np.ndarray  # int32[tokens]: the item of each token
    reachable: np.ndarray  # int32[items]: tokens of the item that an indexed gram covers


class Hits(NamedTuple):
    """The item that each document holds most of (-1: none), the share of it, and how many documents hold each item."""

    item: np.ndarray  # int32, per document
    share: np.ndarray  # float64, per document: of that item's tokens, those that matches cover
    documents: np.ndarray  # int32, per item; a document may hold several


def tokens_of(texts: pa.ChunkedArray | pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """(offsets int64[n + 1], hashes uint64[]) of the tokens of each text, a null being an empty one."""
    if isinstance(texts, pa.ChunkedArray):
        texts = pa.concat_arrays(texts.chunks) if texts.num_chunks else pa.array([], pa.string())
    found = words(*text_buffers(pc.utf8_normalize(texts.cast(pa.large_string()), form="NFKC")), classes())
    return found.offsets, found.hash


def build_index(items: pa.ChunkedArray | pa.Array, n: int, common: int) -> Index:
    """The index of the items' texts. Grams in more than ``common`` items are left out: they say nothing of an item.

    An item without a gram of its own (shorter than ``n`` tokens) has ``reachable`` 0 and is held by no document.
    """
    offsets, hashes = tokens_of(items)
    item_of = np.repeat(np.arange(len(offsets) - 1, dtype=np.int32), np.diff(offsets))
    grams, places = _grams(offsets, hashes, n)
    order = np.lexsort((places, grams))
    grams, places = grams[order], places[order]
    first = np.flatnonzero(np.append(True, grams[1:] != grams[:-1])) if len(grams) else np.zeros(0, np.int64)
    number = np.repeat(np.arange(len(first)), np.diff(np.append(first, len(grams))))
    # one item may hold a gram twice
    pairs = np.unique(np.stack([number, item_of[places]]), axis=1)[0]
    told = np.bincount(pairs, minlength=len(first)) <= common
    keep = told[number]
    kept, places = grams[first[told]], places[keep]
    starts = np.concatenate(([0], np.cumsum(np.bincount(number[keep], minlength=len(first))[told])))
    slots, numbers = _table(kept)
    return Index(slots, numbers, starts, places, item_of, _reachable(places, n, item_of, len(offsets) - 1))


def _reachable(places: np.ndarray, n: int, item_of: np.ndarray, items: int) -> np.ndarray:
    edges = np.zeros(len(item_of) + 1, np.int64)
    np.add.at(edges, places, 1)
    np.add.at(edges, places + n, -1)
    return np.bincount(item_of[np.cumsum(edges)[:-1] > 0], minlength=items).astype(np.int32)


@njit
def _grams(offsets, hashes, n):
    """(uint64[], int64[]): every n-gram's hash and the place of its first token."""
    count = 0
    for document in range(len(offsets) - 1):
        count += max(0, offsets[document + 1] - offsets[document] - n + 1)
    grams, places = np.empty(count, np.uint64), np.empty(count, np.int64)
    to = 0
    for document in range(len(offsets) - 1):
        for at in range(offsets[document], offsets[document + 1] - n + 1):
            grams[to], places[to] = gram_hash(hashes, at, n), at
            to += 1
    return grams, places


@njit
def _table(grams):
    """A quarter of the slots filled: of 100 grams that are not there, 86 end at the first slot looked at."""
    size = 16
    while size < 4 * len(grams):
        size *= 2
    slots, numbers = np.zeros(size, np.uint64), np.zeros(size, np.int32)
    for number in range(len(grams)):
        slot = np.int64(grams[number] & np.uint64(size - 1))
        while slots[slot] != 0:
            slot = (slot + 1) & (size - 1)
        slots[slot], numbers[slot] = grams[number], number
    return slots, numbers


@njit
def _find(
    offsets, hashes, n, share, slots, numbers, starts, places, item_of, reachable, found, shares, documents
):
    """Fill found and shares per document, with the item of the largest share, the first of those that tie."""
    mask = len(slots) - 1
    seen = np.zeros(len(item_of), np.int32)  # the last document, from 1, that covered the token
    covered = np.zeros(len(reachable), np.int32)
    touched = np.empty(len(reachable), np.int32)
    for document in range(len(offsets) - 1):
        stamp, count = np.int32(document + 1), 0
        for at in range(offsets[document], offsets[document + 1] - n + 1):
            gram = gram_hash(hashes, at, n)
            slot = np.int64(gram & np.uint64(mask))
            while slots[slot] != 0 and slots[slot] != gram:
                slot = (slot + 1) & mask
            if slots[slot] == 0:
                continue
            number = numbers[slot]
            for place in places[starts[number] : starts[number + 1]]:
                item = item_of[place]
                if covered[item] == 0:
                    touched[count] = item
                    count += 1
                for token in range(place, place + n):
                    if seen[token] != stamp:
                        seen[token] = stamp
                        covered[item] += 1
        for i in range(count):
            item = touched[i]
            part = covered[item] / reachable[item]
            covered[item] = 0
            better = part > shares[document] or (part == shares[document] and item < found[document])
            if part >= share:
                documents[item] += 1
                if better:
                    found[document], shares[document] = item, part


def find_items(texts: pa.ChunkedArray, index: Index, n: int, share: float) -> Hits:
    """Which item each text holds, at least ``share`` of it, and which items are held."""
    found = np.full(len(texts), -1, np.int32)
    shares = np.zeros(len(texts))
    documents = np.zeros(len(index.reachable), np.int32)
    sizes = pc.fill_null(pc.binary_length(texts), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    batch = np.cumsum(sizes) // BATCH_BYTES
    bounds = np.append(np.flatnonzero(np.diff(batch, prepend=-1)), len(texts))
    for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        offsets, hashes = tokens_of(texts.slice(start, stop - start))
        _find(offsets, hashes, n, share, *index, found[start:stop], shares[start:stop], documents)
    return Hits(found, shares, documents)

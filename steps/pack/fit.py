"""Where documents go: windows from document lengths. Arrays in, arrays out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from steps.text.jit import njit


@dataclass(frozen=True)
class Segments:
    """Pieces of documents in windows, in window order: parallel int64 arrays of length s."""

    document: np.ndarray  # index of the document
    start: np.ndarray  # first token, counted in the document
    length: np.ndarray
    window: np.ndarray  # counted from 0
    order: np.ndarray  # per window (length w): where it stands among all windows of the stage


def splice(lengths: np.ndarray, order: np.ndarray, size: int) -> Segments:
    """Documents one after the other, cut every ``size`` tokens; only the last window may be shorter.

    ``lengths`` (n,) are tokens per document, all positive; ``order`` (n,) their places in the plan.
    """
    starts = np.concatenate(([0], np.cumsum(lengths)))
    total = int(starts[-1])
    cuts = np.union1d(starts, np.arange(0, total, size))
    begin = cuts[:-1]
    document = np.searchsorted(starts, begin, side="right") - 1
    window = begin // size
    first = np.flatnonzero(np.diff(window, prepend=-1))
    return Segments(document, begin - starts[document], np.diff(cuts), window, order[document[first]])


def whole(lengths: np.ndarray, order: np.ndarray, size: int, together: int) -> Segments:
    """Uncut documents by best fit decreasing, ``together`` at a time; all ``lengths`` in 1..size.

    A window stands where its longest document stands in the plan: long or short, that place is random in a shuffled
    plan and follows the curriculum in an ordered one.
    """
    places: list[np.ndarray] = []
    orders: list[np.ndarray] = []
    base = 0
    for at in range(0, len(lengths), together):
        piece = lengths[at : at + together]
        ranked = np.argsort(-piece, kind="stable")
        window = np.empty(len(piece), np.int64)
        opened = best_fit(piece[ranked].astype(np.int64), size, ranked.astype(np.int64), window)
        first = np.full(opened, -1, np.int64)
        first[window[ranked[::-1]]] = ranked[::-1]  # the longest document of each window is written last
        places.append(window + base)
        orders.append(order[at : at + together][first])
        base += opened
    window = np.concatenate(places) if places else np.zeros(0, np.int64)
    document = np.lexsort((np.arange(len(lengths)), window))
    return Segments(
        document,
        np.zeros(len(lengths), np.int64),
        lengths[document].astype(np.int64),
        window[document],
        np.concatenate(orders) if orders else np.zeros(0, np.int64),
    )


@njit
def best_fit(lengths, size, names, window):
    """Put ``lengths`` (decreasing) into the fullest open window that still has room; returns the number of windows.

    ``window[names[i]]`` receives the window of document i. Open windows hang in one list per free space, so that
    finding the best one is a walk over free spaces, not over windows.
    """
    head = np.full(size + 1, -1, np.int64)
    below = np.full(len(lengths), -1, np.int64)
    opened = 0
    for i in range(len(lengths)):
        length = lengths[i]
        space = length
        while space <= size and head[space] < 0:
            space += 1
        if space > size:
            chosen = opened
            opened += 1
            space = size
        else:
            chosen = head[space]
            head[space] = below[chosen]
        window[names[i]] = chosen
        rest = space - length
        below[chosen] = head[rest]
        head[rest] = chosen
    return opened


@njit
def gather(tokens, start, length, out):
    """Fill ``out`` with ``tokens[start[i] : start[i] + length[i]]`` for every i, one after the other."""
    at = 0
    for i in range(len(start)):
        for k in range(start[i], start[i] + length[i]):
            out[at] = tokens[k]
            at += 1


def join(parts: list[Segments], documents: list[np.ndarray]) -> Segments:
    """Several packings as one, windows sorted by their place; ``documents[i]`` names part i's documents."""
    offsets = np.cumsum([0, *(len(part.order) for part in parts)])
    order = np.concatenate([part.order for part in parts] or [np.zeros(0, np.int64)])
    kind = np.repeat(np.arange(len(parts)), np.diff(offsets))
    ranked = np.lexsort((np.arange(len(order)), kind, order))
    place = np.empty(len(order), np.int64)
    place[ranked] = np.arange(len(order))
    window = np.concatenate([place[part.window + at] for part, at in zip(parts, offsets, strict=False)])
    sort = np.argsort(window, kind="stable")
    names = np.concatenate([named[part.document] for part, named in zip(parts, documents, strict=True)])
    return Segments(
        names[sort],
        np.concatenate([part.start for part in parts])[sort],
        np.concatenate([part.length for part in parts])[sort],
        window[sort],
        order[ranked],
    )

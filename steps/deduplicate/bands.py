"""Which documents may be near duplicates: MinHash bands, whose keys get longer where many documents have one.

Documents with equal keys in a band are compared, all with all, as long as they are few. A fixed key collides for a
fixed share of all pairs, so that what one document meets would grow with the corpus. So a group of more than
`BAND_GROUP` is split by the next positions of the sketches until its parts are of `PART` or fewer, and no further: keys
are as long as the group asks for (Bawa, Condie, Ganesan, "LSH forest", WWW 2005,
https://doi.org/10.1145/1060745.1060840). It is split `TRIES` times over, by other positions, for a true pair that one
splitting parts is together in another. A document meets at most `BAND_GROUP` others in a band, in one go or in so many.

How long a key is follows from the documents that have it, published ones among them. No other part of a key is needed
than the sketch, so that keys of any index fit a corpus of any size.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from steps.deduplicate.candidates import Graph, joined_already, union
from steps.text.jit import njit
from steps.text.minhash import ROWS, SKETCHED, alike

BAND_GROUP = 256  # documents with one key that are compared all with all
TRIES = 4
PART = BAND_GROUP // TRIES  # documents of a part that are
ASIDE = SKETCHED // TRIES  # positions between the first ones of two tries


class Rows(NamedTuple):
    """Documents side by side, whose sketches lie far apart in a graph: members int64[n], by which the graph knows them,
    and low, high and size as in `Sketches`. Those of a group are in order, so that published ones come first."""

    members: np.ndarray
    low: np.ndarray
    high: np.ndarray
    size: np.ndarray


def connect_bands(keys: np.ndarray, band: int, graph: Graph) -> tuple[int, int]:
    """Join documents with equal ``keys`` (uint32[n], of one MinHash band) and, where those are many, parts of sketches.

    Returns pairs compared, and documents with a key that more than `BAND_GROUP` have.
    """
    # one sort of numbers, key above row, is ten times as fast as sorting rows by key
    both = np.sort((keys.astype(np.uint64) << np.uint64(32)) | np.arange(len(keys), dtype=np.uint64))
    fresh = np.ones(len(keys), bool)
    np.not_equal(both[1:] >> np.uint64(32), both[:-1] >> np.uint64(32), out=fresh[1:])
    sizes = np.diff(np.append(np.flatnonzero(fresh), len(keys)))
    members = (both[np.repeat(sizes > 1, sizes)] & np.uint64(0xFFFFFFFF)).astype(np.int64)
    sizes = sizes[sizes > 1]
    rows = Rows(members, *(column[members] for column in graph.sketches))
    largest = int(sizes.max(initial=0))
    compared = _join_groups(
        rows, np.append(0, np.cumsum(sizes)), ROWS * (band + 1), graph, *_room(rows, largest)
    )
    return compared, int(sizes[sizes > BAND_GROUP].sum())


def _room(rows: Rows, largest: int) -> tuple[Rows, Rows]:
    """Two times room for a group."""
    one, other = (Rows(*(np.empty(largest, column.dtype) for column in rows)) for _ in range(2))
    return one, other


@njit
def _join_groups(rows, bounds, position, graph, part, room):
    compared = 0
    for g in range(len(bounds) - 1):
        begin, end = bounds[g], bounds[g + 1]
        if end - begin <= BAND_GROUP:
            compared += _join_few(rows, begin, end, graph)
            continue
        met = _join_first(rows, begin, end, graph)
        compared += met
        for number in range(TRIES if met > 0 else 0):
            if not joined_already(rows.members, begin, end, graph.parent):
                compared += _join_many(rows, begin, end, position + number * ASIDE, graph, part, room)
    return compared


@njit
def _copy(rows, begin, end, to):
    """Copy ``begin:end`` to the beginning of ``to``."""
    n = end - begin
    to.members[:n], to.size[:n] = rows.members[begin:end], rows.size[begin:end]
    to.low[:n], to.high[:n] = rows.low[begin:end], rows.high[begin:end]


@njit
def _first_new(rows, begin, end, published):
    for i in range(begin, end):
        if rows.members[i] >= published:
            return i
    return end


@njit
def _join_few(rows, begin, end, graph):
    """Join the pairs of ``begin:end`` that are alike and have a new document. Returns pairs compared."""
    # a loop from 0 on needs no check for negative numbers
    members, low = rows.members[begin:end], rows.low[begin:end]
    high, size = rows.high[begin:end], rows.size[begin:end]
    compared = 0
    for i in range(_first_new(rows, begin, end, graph.published) - begin, end - begin):
        for j in range(i):
            if alike(low[i], high[i], size[i], low[j], high[j], size[j], graph.similarity, graph.agreement):
                union(graph.parent, members[i], members[j])
        compared += i
    return compared


@njit
def _join_many(rows, begin, end, position, graph, part, room):
    """`_join_few` for the parts that agree in as many positions from ``position`` on as make them small."""
    compared = 0
    waiting = np.empty((4 * SKETCHED, 3), np.int64)  # begin, end, and positions in which the part agrees
    number = _wait(waiting, 0, 0, _split(rows, begin, end, position % SKETCHED, part, 0), 1)
    while number > 0:
        number -= 1
        begin, end, agreed = waiting[number]
        if end - begin <= PART:
            compared += _join_few(part, begin, end, graph)
            continue
        if joined_already(part.members, begin, end, graph.parent):
            continue
        met = _join_first(part, begin, end, graph)
        compared += met
        if met > 0 and agreed < SKETCHED:  # there is a new document, and something to split it by
            _copy(part, begin, end, room)
            ends = _split(room, 0, end - begin, (position + agreed) % SKETCHED, part, begin)
            number = _wait(waiting, number, begin, ends, agreed + 1)
    return compared


@njit
def _wait(waiting, number, begin, ends, agreed):
    """Put parts that lie side by side from ``begin`` on behind the ``number`` that wait; returns how many do then."""
    for end in ends:
        waiting[number] = begin, end, agreed
        begin = end
        number += 1
    return number


@njit
def _join_first(rows, begin, end, graph):
    """Join what is alike to the first new document: copies of one text are not taken apart. Returns pairs compared."""
    members, low, high, size = rows
    i = _first_new(rows, begin, end, graph.published)
    if i == end:
        return 0
    for j in range(begin, end):
        if alike(low[i], high[i], size[i], low[j], high[j], size[j], graph.similarity, graph.agreement):
            union(graph.parent, members[i], members[j])
    return end - begin - 1


@njit
def _split(rows, begin, end, position, to, first):
    """Copy ``begin:end`` to ``to``, from ``first`` on, sorted by one position of their sketches, otherwise in order.

    Returns where each of its 4 values ends there.
    """
    words = (rows.low if position < 32 else rows.high)[begin:end]
    shift = np.uint64(2 * (position % 32))
    at = np.zeros(4, np.int64)
    for word in words:
        at[np.int64((word >> shift) & np.uint64(3))] += 1
    ends = first + np.cumsum(at)
    at[:] = ends - at
    for i in range(end - begin):
        value = np.int64((words[i] >> shift) & np.uint64(3))
        place = at[value]
        to.members[place], to.size[place] = rows.members[begin + i], rows.size[begin + i]
        to.low[place], to.high[place] = rows.low[begin + i], rows.high[begin + i]
        at[value] = place + 1
    return ends

"""Edit similarity of a text and the part of another that it fits best, by furthest-reaching diagonals.

Landau and Vishkin, "Fast string matching with k differences" (https://doi.org/10.1016/0022-0000(88)90045-1): with e
edits a diagonal of the table of all prefixes is followed as far as tokens agree, so that only (diagonals x edits)
entries are looked at, not (length x length). Units of text are compared by their hashes: no alphabet is needed.
"""

from __future__ import annotations

import numpy as np

from steps.text.hashing import Words, mostly_ideographs
from steps.text.jit import njit
from steps.text.segment import decode, mix

NEVER = -(1 << 40)  # a diagonal that no path has reached


@njit
def _characters(data, start, end, ideograph, first, stop, hashes, out, to):
    """Hashes of the characters of some tokens; returns how many. An ideograph's is that of its token."""
    begin = to
    for token in range(first, stop):
        if ideograph[token]:
            out[to] = hashes[token]
            to += 1
            continue
        at = start[token]
        while at < end[token]:
            point, size = decode(data, at, end[token])
            out[to] = mix(np.uint64(point) + np.uint64(1))
            to += 1
            at += size
    return to - begin


@njit
def _units(data, offsets, start, end, hashes, ideograph, mostly, out, out_offsets):
    to = 0
    for document in range(len(offsets) - 1):
        first, stop = offsets[document], offsets[document + 1]
        if mostly[document]:
            to += _characters(data, start, end, ideograph, first, stop, hashes, out, to)
        else:
            out[to : to + stop - first] = hashes[first:stop]
            to += stop - first
        out_offsets[document + 1] = to
    return to


def edit_units(tokens: Words) -> tuple[np.ndarray, np.ndarray]:
    """(offsets int64[n + 1], uint64[]): hashes of what an edit changes in each text, in order.

    That is a character where at least half of the tokens are single ideographs, a word elsewhere.
    """
    mostly = mostly_ideographs(tokens.offsets, tokens.ideograph)
    out, offsets = np.empty(len(tokens.data), np.uint64), np.zeros(len(tokens.offsets), np.int64)
    many = _units(
        tokens.data,
        tokens.offsets,
        tokens.start,
        tokens.end,
        tokens.hash,
        tokens.ideograph,
        mostly,
        out,
        offsets,
    )
    return offsets, out[:many].copy()


@njit(inline="always")
def _follow(short, long, at, diagonal):
    """How far units agree on a diagonal, from unit ``at`` of the shorter text on."""
    stop = min(len(short), len(long) - diagonal)
    while at < stop and short[at] == long[at + diagonal]:
        at += 1
    return at


@njit
def fitted_edits(short, long, most):
    """Fewest insertions, deletions and replacements of units that make ``short`` a part of ``long``; ``most`` + 1 if
    there are more than ``most``.

    What stands before and after that part in ``long`` costs nothing. short, long: arrays of hashes,
    len(short) <= len(long). Time: at most ``most`` * (len(long) - len(short) + most) steps, plus the agreeing
    units of len(long) - len(short) + 2 * ``most`` diagonals.
    """
    n, m = len(short), len(long)
    if n == 0:
        return 0
    lowest, highest = -most, m - n + most
    reached = np.full(highest - lowest + 3, NEVER, np.int64)  # of diagonal d at d - lowest + 1
    for diagonal in range(min(highest, m) + 1):
        to = _follow(short, long, 0, diagonal)
        reached[diagonal - lowest + 1] = to
        if to == n:
            return 0
    for edits in range(1, most + 1):
        before = NEVER  # of the diagonal to the left, before this round
        # a diagonal below 0 takes an edit for each step away from it, one above m - n for each step back
        for diagonal in range(-edits, min(highest - edits, m) + 1):
            place = diagonal - lowest + 1
            here = reached[place]
            to = min(max(here + 1, reached[place + 1] + 1, before), n, m - diagonal)
            before = here
            if to >= 0:
                to = _follow(short, long, to, diagonal)
                if to == n:
                    return edits
            reached[place] = to
    return most + 1


@njit
def fits(a, b, similarity, shortest, longest):
    """Whether 1 - `fitted_edits` / length of the shorter text (``a`` if both are as long) is at least ``similarity``.

    False as well for a text of less than ``shortest`` times the other's length, which would be a quotation, and for
    texts of more than ``longest`` units, whose comparison would take too long.
    """
    if len(a) > len(b):
        a, b = b, a
    if len(b) > longest or len(a) < shortest * len(b):
        return False
    most = int((1 - similarity) * len(a) + 1e-9)
    return fitted_edits(a, b, most) <= most


@njit
def indels(a, b, most):
    """Fewest insertions and deletions that make ``a`` into ``b`` (arrays of hashes); ``most`` + 1 if there are more
    than ``most``. A replacement is one of each.

    Only the 2 * ``most`` + 1 diagonals that so few edits can reach are filled (Ukkonen,
    https://doi.org/10.1016/S0019-9958(85)80046-2).
    """
    n, m, far = len(a), len(b), most + 1
    if abs(n - m) > most:
        return far
    row = np.empty(
        2 * most + 3, np.int64
    )  # of column j in row i at j - i + most + 1, between two that are far
    for place in range(len(row)):
        j = place - most - 1
        row[place] = j if 0 <= j <= most else far
    for i in range(1, n + 1):
        least = far
        for place in range(1, 2 * most + 2):
            j = i + place - most - 1
            if j < 0 or j > m:
                row[place] = far
                continue
            if j > 0 and a[i - 1] == b[j - 1]:
                found = row[place]
            elif j > 0:
                found = min(row[place + 1], row[place - 1]) + 1
            else:
                found = i
            row[place] = min(found, far)
            least = min(least, row[place])
        if least == far:
            return far
    return row[m - n + most + 1]

"""Which of the planned documents a stage takes, where mix asks for tokens. Arrays in, arrays out."""

from __future__ import annotations

from typing import Any

import numpy as np

NO_QUOTA = -1


def settle(
    quota: np.ndarray,
    rank: np.ndarray,
    length: np.ndarray,
    fixed: np.ndarray,
    own: np.ndarray,
    quotas: list[dict[str, Any]],
) -> tuple[np.ndarray, dict[int, tuple[int, int]]]:
    """Tokens to take of each planned document (0: none), and (asked, supplied) tokens by quota.

    All arrays have one entry per planned document: ``quota`` is the number of its quota in ``quotas`` or -1, ``rank``
    its turn in it, ``length`` its tokens (0 where it is dropped anyway), ``fixed`` whether it must not be cut, ``own``
    whether it is not replayed. A quota asks for ``tokens``, or for a ``multiple`` of the tokens that the stage takes of
    its own. Documents are taken in their turn; of those that may be cut the last is cut to the token, of the others
    the next ones that still fit follow.
    """
    taken = np.where(quota == NO_QUOTA, length, 0).astype(np.int64)
    figures = {}
    present = [int(number) for number in np.unique(quota) if number != NO_QUOTA]
    # multiples are of what the others come to
    for number in sorted(present, key=lambda n: ("multiple" in quotas[n], n)):
        entry = quotas[number]
        asked = entry["tokens"] if "tokens" in entry else round(entry["multiple"] * int(taken[own].sum()))
        mine = np.flatnonzero(quota == number)
        mine = mine[np.argsort(rank[mine], kind="stable")]
        taken[mine] = _take(length[mine], fixed[mine], asked)
        figures[number] = (asked, int(taken[mine].sum()))
    return taken, figures


def _take(length: np.ndarray, fixed: np.ndarray, asked: int) -> np.ndarray:
    """Tokens of each document in turn, ``asked`` in all where they suffice and one of them may be cut."""
    taken = np.zeros(len(length), np.int64)
    whole = int(np.searchsorted(np.cumsum(length), asked, side="right"))
    taken[:whole] = length[:whole]
    rest, at = asked - int(taken.sum()), whole
    while rest > 0:
        usable = np.flatnonzero((length[at:] > 0) & ((length[at:] <= rest) | ~fixed[at:]))
        if not len(usable):
            break
        at += int(usable[0])
        taken[at] = min(int(length[at]), rest)
        rest -= int(taken[at])
        at += 1
    return taken

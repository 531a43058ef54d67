"""Connected components of more rows than fit in memory, in two sweeps over ranges of rows.

Downwards, from the last range: the connections within a range are worked into a union-find forest of its rows alone
(Tarjan 1975, https://doi.org/10.1145/321879.321884). A component that has neighbours in lower ranges hangs on the least
of them; every other neighbour is connected with that one instead, and it is a lower range's to say what follows. So
when a range's turn comes, all that is above it is contracted into connections of its rows and the ones below. Upwards,
from the first range: what is known of a component is handed to those that hang on it. A range is in memory once in each
sweep; what one range has to tell another waits on disk. This is contraction of external-memory graphs (J. F. Sibeyn,
"External connected components", SWAT 2004) with the message passing of Y.-J. Chiang et al., "External-memory graph
algorithms", SODA 1995 (time-forward processing).

A connection is handed on at most once by each range and never becomes two; where rows have no order, it is so ln P
times for P ranges.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from steps.deduplicate.candidates import find, roots
from steps.deduplicate.spill import Ranges, Spill
from steps.text.jit import njit

NODE = np.dtype([("row", np.int64), ("root", np.int64), ("sketch", np.uint64)])
EDGE = np.dtype([("row", np.int64), ("root", np.int64)])
CHILD = np.dtype([("row", np.int64), ("child", np.int64), ("size", np.int64)])
TOP = np.dtype([("row", np.int64), ("top", np.int64)])
GROUP = np.dtype([("row", np.int64), ("size", np.int64)])


class Components:
    """Rows, connections between them, and then the groups that these make.

    Connections are added, then `contract` is called, then a range's `groups`, `tops`, `hanging` and `sketches` are read
    and it is forgotten, from the first range on.
    """

    def __init__(self, folder: Path, ranges: Ranges) -> None:
        self.ranges = ranges
        self._nodes = Spill(folder, "nodes", NODE, ranges)
        self._edges = Spill(folder, "edges", EDGE, ranges)
        self._children = Spill(folder, "children", CHILD, ranges)
        self._tops = Spill(folder, "tops", TOP, ranges)
        self._groups = Spill(folder, "groups", GROUP, ranges)

    def add(self, row: np.ndarray, root: np.ndarray, sketch: np.ndarray) -> None:
        """Connect rows with ``root``, the first one of theirs, itself among them: int64[n]; sketch: uint64[n]."""
        self._nodes.add(row, row, root, sketch)

    def contract(self) -> None:
        """The downward sweep."""
        for number in reversed(range(len(self.ranges))):
            self._contract(number)
            self._edges.remove(number)

    def _contract(self, number: int) -> None:
        begin, rows = self.ranges.bounds(number)
        parent, least, seen = np.arange(rows), np.zeros(rows, np.int64), np.zeros(rows, bool)
        for row, root in self._connections(number):
            seen[row] = True
            _join(parent, least, row, root)
        top = roots(parent)
        for row, root in self._connections(number):
            low = least[top[row]]
            others = (root < 0) & (root != low)
            larger, smaller = root[others] + begin, low[others] + begin
            self._edges.add(larger, larger, smaller)
        size = np.bincount(top[seen], minlength=rows)
        for children in self._children.read(number):
            np.add.at(size, top[children["row"] - begin], children["size"])
        first = np.flatnonzero(seen & (top == np.arange(rows)))
        hangs = least[first] < 0
        on = least[first[hangs]] + begin
        self._children.add(on, on, first[hangs] + begin, size[first[hangs]])
        own = first[~hangs] + begin
        self._groups.add(own, own, size[first[~hangs]])
        row = np.flatnonzero(seen)
        self._tops.add(row + begin, row + begin, top[row] + begin)

    def _connections(self, number: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(row, root) from the range's beginning, below which roots are negative."""
        begin, _ = self.ranges.bounds(number)
        for some in chain(self._nodes.read(number), self._edges.read(number)):
            yield some["row"] - begin, some["root"] - begin

    def groups(self, number: int) -> np.ndarray:
        """The groups (`GROUP`) whose first row is in the range, in order, and how many rows they have."""
        return self._groups.all(number)

    def tops(self, number: int) -> np.ndarray:
        """The connected rows (`TOP`) of the range, in order, and the first one there that each is joined with."""
        return self._tops.all(number)

    def hanging(self, number: int) -> Iterator[np.ndarray]:
        """First rows of higher ranges' components, and the row (`CHILD`) of this range that each hangs on."""
        return self._children.read(number)

    def sketches(self, number: int) -> Iterator[np.ndarray]:
        """Rows of the range with their sketches (`NODE`), some at a time; a row may come more than once."""
        return self._nodes.read(number)

    def forget(self, number: int) -> None:
        """Give the disk space of a range back."""
        for spill in (self._nodes, self._children, self._tops, self._groups):
            spill.remove(number)


@njit
def _join(parent, least, rows, others):
    """Join rows with others of their range, from 0 on, and note each component's least neighbour below it, under 0."""
    for i in range(len(rows)):
        row, other = find(parent, rows[i]), others[i]
        if other < 0:
            least[row] = min(least[row], other)
            continue
        other = find(parent, other)
        lower, upper = min(row, other), max(row, other)
        parent[upper] = lower
        least[lower] = min(least[lower], least[upper])

"""Groups of documents that any slot connects, dealt to verification tasks: ranges of ``partition_documents`` rows are
in memory one at a time, whatever the size of the corpus and of its groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from steps.core.artifact import Files
from steps.core.parts import PartWriter
from steps.deduplicate.components import Components
from steps.deduplicate.exchange import put_runs, read_run, split
from steps.deduplicate.sources import places, row_of, source_of
from steps.deduplicate.spill import Ranges, SortedRuns, Spill

# What a slot's partition connected: a document, the first one of its group there, and the half of its sketch. Published
# documents are connected through new ones only, so that no group is without one.
NODES = pa.schema([("place", pa.uint64()), ("root", pa.uint64()), ("sketch", pa.uint64())])
# a row's group and task, or those of its group's first piece; and whether that is to be cut
DEALT = np.dtype([("row", np.int64), ("group", np.int64), ("task", np.int64), ("large", np.bool_)])
LARGE = np.dtype([("group", np.int64), ("sketch", np.uint64), ("row", np.int64)])
PIECE = np.dtype([("row", np.int64), ("piece", np.int64)])


def group_candidates(task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """Groups of candidates, and which verification task reads which.

    A group larger than a verification task is cut into pieces of documents with near sketches, which do not meet the
    other pieces.
    """
    files, config = Files(part.store, task["folder"]), part.config
    first = _first_rows(files, task["nodes"])
    ranges = Ranges(int(first[-1]), config.partition_documents)
    components = Components(part.scratch, ranges)
    for nodes in _tables(files, task["nodes"]):
        row, root = (
            first[source_of(place)] + row_of(place)
            for place in (nodes["place"].to_numpy(), nodes["root"].to_numpy())
        )
        components.add(row, root, nodes["sketch"].to_numpy())
    components.contract()
    told, dealt = (Spill(part.scratch, name, DEALT, ranges) for name in ("told", "dealt"))
    large = SortedRuns(part.scratch, "large", LARGE)
    dealer = Dealer(config.verify_documents)
    for number in range(len(ranges)):
        _deal(number, components, dealer, told, dealt, large)
    pieces = Spill(part.scratch, "pieces", PIECE, ranges)
    for row, piece in _cut(large, config.verify_documents, ranges.size):
        pieces.add(row, row, piece)
    sources: list[int] = []
    put_runs(part, "groups.runs", _by_source(_places(dealt, pieces, first), sources))
    return {"sources": sources, **dealer.facts}


def _first_rows(files: Files, entries: Sequence[dict[str, Any]]) -> np.ndarray:
    """int64[n + 1]: where each source's rows begin, as far as they are in a group, and where the last one's end."""
    last = np.zeros(0, np.int64)  # of each source, the last row that is in a group
    for nodes in _tables(files, entries):
        place = nodes["place"].to_numpy()
        source = source_of(place)
        more = max(0, int(source.max(initial=-1)) + 1 - len(last))
        last = np.append(last, np.full(more, -1))
        np.maximum.at(last, source, row_of(place))
    return np.append(0, np.cumsum(last + 1))


def _tables(files: Files, entries: Sequence[dict[str, Any]]) -> Iterator[pa.Table]:
    found = (read_run(files, entry, 0) for entry in entries)
    return (nodes for nodes in found if nodes is not None)


class Dealer:
    """Numbers groups, and pieces of ``most`` documents of larger ones, and deals them to tasks, in order.

    A task gets whole pieces until it has ``most`` documents or more: it has less than twice as many.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._pieces = 0
        self.facts = {"tasks": 0, "documents": 0, "groups": 0, "largest": 0, "cut": 0}

    def deal(self, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(number, task), int64[n] each, of the first pieces of the next groups; the other pieces have the next ones.

        sizes: int64[n], documents of each group.
        """
        ends = self.facts["documents"] + np.cumsum(sizes)
        pieces = -(-sizes // self.most)
        number = self._pieces + np.cumsum(pieces) - pieces
        task = (ends - sizes) // self.most  # no piece is larger than a task, so that no number is left out
        if len(sizes):
            self._pieces += int(pieces.sum())
            self.facts["tasks"] = int(task[-1] + pieces[-1])
            self.facts["documents"] = int(ends[-1])
            self.facts["groups"] += len(sizes)
            self.facts["largest"] = max(self.facts["largest"], int(sizes.max()))
            self.facts["cut"] += int((pieces > 1).sum())
        return number, task


def _deal(
    number: int, components: Components, dealer: Dealer, told: Spill, dealt: Spill, large: SortedRuns
) -> None:
    """Group and task of a range's rows into ``dealt``, as lower ranges ``told``, who are told in turn what hangs on
    them."""
    begin, rows = components.ranges.bounds(number)
    group, task, is_large = np.zeros(rows, np.int64), np.zeros(rows, np.int64), np.zeros(rows, bool)
    groups = components.groups(number)
    at = groups["row"] - begin
    group[at], task[at] = dealer.deal(groups["size"])
    is_large[at] = groups["size"] > dealer.most
    for some in told.read(number):
        at = some["row"] - begin
        group[at], task[at], is_large[at] = some["group"], some["task"], some["large"]
    told.remove(number)
    top = np.zeros(rows, np.int64)
    tops = components.tops(number)
    top[tops["row"] - begin] = tops["top"] - begin
    for hanging in components.hanging(number):
        at = top[hanging["row"] - begin]
        told.add(hanging["child"], hanging["child"], group[at], task[at], is_large[at])
    at = tops["top"] - begin
    dealt.add(tops["row"], tops["row"], group[at], task[at], is_large[at])
    mine = tops["row"][is_large[at]]
    if len(mine):
        sketch = np.zeros(rows, np.uint64)
        for nodes in components.sketches(number):
            sketch[nodes["row"] - begin] = nodes["sketch"]
        large.add(group[top[mine - begin]], sketch[mine - begin], mine)
    components.forget(number)


def _cut(large: SortedRuns, most: int, in_memory: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(rows, the piece of its group that each is in) of large groups, cut where ``most`` of near sketches end."""
    last, count = -1, 0  # the group, and how many of it came before
    for records in large.read(in_memory):
        group = records["group"]
        fresh = np.flatnonzero(np.diff(group, prepend=~group[:1]))
        begun = np.repeat(fresh, np.diff(np.append(fresh, len(group))))
        rank = np.arange(len(group)) - begun + np.where(group == last, count, 0)
        last, count = int(group[-1]), int(rank[-1]) + 1
        yield records["row"], rank // most


def _places(dealt: Spill, pieces: Spill, first: np.ndarray) -> Iterator[pa.Table]:
    """place, group and task of all rows, in order, a range at a time."""
    for number in range(len(dealt.ranges)):
        rows = dealt.all(number)
        for some in pieces.read(number):
            at = np.searchsorted(rows["row"], some["row"])
            rows["group"][at] += some["piece"]
            rows["task"][at] += some["piece"]
        dealt.remove(number)
        pieces.remove(number)
        source = np.searchsorted(first, rows["row"], side="right") - 1
        place = places(source, rows["row"] - first[source])
        yield pa.table({"place": place, "group": rows["group"], "task": rows["task"]})


def _by_source(tables: Iterator[pa.Table], sources: list[int]) -> Iterator[tuple[int, pa.Table]]:
    """(source, its rows), whole, of tables in order of places; notes each one in ``sources``."""
    waiting: list[pa.Table] = []
    for table in tables:
        for source, rows in split(table, source_of(table["place"].to_numpy())):
            if waiting and source != sources[-1]:
                yield sources[-1], pa.concat_tables(waiting)
                waiting = []
            if not waiting:
                sources.append(source)
            waiting.append(rows)
    if waiting:
        yield sources[-1], pa.concat_tables(waiting)

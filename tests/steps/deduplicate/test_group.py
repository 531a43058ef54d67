"""Groups from ranges of rows, one at a time in memory, against the obvious way with everything in memory."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.core.artifact import Files
from steps.core.parts import PartWork, PartWriter
from steps.core.store import open_store
from steps.deduplicate.config import Config
from steps.deduplicate.exchange import put_runs, read_run
from steps.deduplicate.group import NODES, group_candidates
from steps.deduplicate.sources import places
from steps.deduplicate.spill import CHUNK, Ranges, SortedRuns, Spill

SOURCE_ROWS = 7  # rows of a source here, so that groups and ranges lie across many
Connections = Sequence[tuple[int, int]]  # row, and the first row of its group in one table: no later one
Dealt = dict[int, tuple[int, int]]  # row -> group and task


def group(
    folder: Path, tables: Sequence[Connections], sketches: Sequence[int], partition: int, most: int
) -> tuple[dict[str, Any], Dealt]:
    """What `group_candidates` makes of connections, each row with its sketch."""
    config = Config(partition_documents=partition, verify_documents=most)
    store = open_store(f"file://{folder / 'store'}")
    work = PartWork(
        store.uri, "deduplicate/0", "deduplicate", config, {}, folder, "groups", 0, group_candidates, {}
    )
    part = PartWriter(work, store, folder)
    for n, table in enumerate(tables):
        row, root = np.array([pair[0] for pair in table]), np.array([pair[1] for pair in table])
        columns = {"place": _place(row), "root": _place(root), "sketch": [sketches[r] for r in row]}
        put_runs(part, f"nodes/{n}", [(0, pa.table(columns, schema=NODES))])
    nodes = [entry.model_dump() for entry in part.finish(None).temporary]
    result = group_candidates({"folder": "deduplicate/0", "nodes": nodes}, part)
    runs, dealt = part.finish(result).temporary[-1], {}
    for source in result["sources"]:
        rows = read_run(Files(store, "deduplicate/0"), runs.model_dump(), source)
        assert rows is not None
        assert rows["place"].to_pylist() == sorted(rows["place"].to_pylist())
        for line in rows.to_pylist():
            number, row = line["place"] >> 40, line["place"] & (2**40 - 1)
            assert number == source
            dealt[number * SOURCE_ROWS + row] = (line["group"], line["task"])
    assert runs.rows == len(dealt)
    return result, dealt


def _place(rows: np.ndarray) -> np.ndarray:
    return places(rows.astype(np.int64) // SOURCE_ROWS, rows.astype(np.int64) % SOURCE_ROWS)


def in_memory(
    tables: Sequence[Connections], sketches: Sequence[int], most: int
) -> tuple[dict[str, Any], Dealt]:
    """The same, by definition: members of a group meet, first groups come first, large ones are cut by sketches."""
    groups: dict[int, set[int]] = {}
    for row, root in (pair for table in tables for pair in table):
        both = groups.get(row, {row}) | groups.get(root, {root})
        groups.update(dict.fromkeys(both, both))
    distinct = sorted({min(rows): rows for rows in groups.values()}.items())
    dealt: Dealt = {}
    piece, documents, tasks = 0, 0, []
    for _, rows in distinct:
        order = sorted(rows) if len(rows) <= most else sorted(rows, key=lambda row: (sketches[row], row))
        for begin in range(0, len(order), most):
            task = documents // most
            if task not in tasks:
                tasks.append(task)
            members = order[begin : begin + most]
            dealt.update(dict.fromkeys(members, (piece, len(tasks) - 1)))
            piece, documents = piece + 1, documents + len(members)
    sizes = [len(rows) for _, rows in distinct]
    facts = {
        "sources": sorted({row // SOURCE_ROWS for row in dealt}),
        "tasks": len(tasks),
        "documents": len(dealt),
        "groups": len(sizes),
        "largest": max(sizes, default=0),
        "cut": sum(size > most for size in sizes),
    }
    return facts, dealt


@st.composite
def connected(draw: st.DrawFn) -> tuple[list[Connections], list[int]]:
    """Tables that each join some rows with some others, few or many, and the sketches of all rows."""
    rows = draw(st.integers(1, 60))
    tables: list[Connections] = []
    for kinds in draw(st.lists(st.sampled_from([2, rows // 3 + 1, 2 * rows]), max_size=4)):
        labels = draw(st.lists(st.integers(0, kinds), min_size=rows, max_size=rows))
        alone = {label for label in labels if labels.count(label) == 1}
        tables.append(
            [(row, labels.index(label)) for row, label in enumerate(labels) if label not in alone | {0}]
        )
    kinds = draw(st.sampled_from([1, 3, 2**64 - 1]))
    return tables, draw(st.lists(st.integers(0, kinds), min_size=rows, max_size=rows))


@settings(max_examples=40)
@given(connected(), st.sampled_from([1, 2, 7, 25, 1000]), st.sampled_from([1, 2, 3, 10, 100]))
def test_groups_are_those_of_all_rows_in_memory(
    made: tuple[list[Connections], list[int]], partition: int, most: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert group(Path(folder), *made, partition, most) == in_memory(*made, most)


ROWS = 90
ONE_AFTER_THE_OTHER: list[Connections] = [[(row + 1, row), (row, row)] for row in range(ROWS - 1)]
ZIGZAG = [low if n % 2 == 0 else ROWS - 1 - low for n, low in enumerate(n // 2 for n in range(ROWS))]
SHAPES: dict[str, list[Connections]] = {
    "a chain, upwards": ONE_AFTER_THE_OTHER,
    "a chain, downwards": ONE_AFTER_THE_OTHER[::-1],
    # every row's neighbours are in ranges as far from its own as there are
    "a chain from end to end and back": [
        [(max(pair), min(pair)), (min(pair), min(pair))] for pair in itertools.pairwise(ZIGZAG)
    ],
    "a star": [[(row, 0) for row in range(ROWS)]],
    # each table names another first row: they meet in the last ones alone
    "stars with common leaves": [[(n, n)] + [(row, n) for row in range(60, ROWS)] for n in range(60)],
    "two combs": [[(row, row % 2) for row in range(ROWS)], [(80, 40), (40, 40)]],
    "nothing": [[], []],
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("sketch", [0, 1, 2**64 - 59])  # all equal, the rows' order, and as good as random
@pytest.mark.parametrize("partition", [4, 1000])
def test_one_group_may_lie_in_every_range(tmp_path: Path, shape: str, sketch: int, partition: int) -> None:
    sketches = [row * sketch % 2**64 for row in range(ROWS)]
    assert group(tmp_path, SHAPES[shape], sketches, partition, 8) == in_memory(SHAPES[shape], sketches, 8)


def test_what_is_spilled_comes_back_range_by_range_in_order(tmp_path: Path) -> None:
    kind = np.dtype([("row", np.int64), ("value", np.int64)])
    spill = Spill(tmp_path, "some", kind, Ranges(1000, 300))
    rows = np.arange(3 * CHUNK) % 1000
    for value in (1, 2):
        spill.add(rows, rows, np.full(len(rows), value))
    for number in range(4):
        mine = rows[rows // 300 == number]
        found = np.concatenate(list(spill.read(number)))
        assert found["row"].tolist() == [*mine, *mine]
        assert found["value"].tolist() == [1] * len(mine) + [2] * len(mine)
    spill.remove(2)
    assert (len(spill.all(2)), len(spill.all(3))) == (0, 2 * int((rows >= 900).sum()))


@pytest.mark.parametrize("most", [1, 50, 10**6])
def test_sorted_runs_are_merged_and_no_more_than_asked_for_is_in_memory(tmp_path: Path, most: int) -> None:
    rng = np.random.default_rng(most)
    kind = np.dtype([("major", np.uint64), ("minor", np.int64)])
    runs, added = SortedRuns(tmp_path, "runs", kind), []
    for n in range(6):
        major = rng.integers(0, 2**64, 40, np.uint64) if n % 2 else np.full(40, n, np.uint64)
        minor = rng.permutation(40) + 40 * n
        runs.add(major, minor)
        added += list(zip(major.tolist(), minor.tolist(), strict=True))
    blocks = list(runs.read(most))
    assert [record for block in blocks for record in block.tolist()] == sorted(added)
    assert max(len(block) for block in blocks) <= max(most, 6)
    assert list(SortedRuns(tmp_path, "none", kind).read(most)) == []

"""Which token goes where: from a block's documents and their lengths to windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from steps.core.errors import DataError
from steps.core.parts import PartWriter
from steps.pack.blocks import ENTRY, TRAIN, plan_source, read_ranges
from steps.pack.config import Config
from steps.pack.fit import Segments, join, splice, whole
from steps.pack.quota import NO_QUOTA
from steps.pack.supply import usable_tokens, whole_documents
from steps.report.distribution import Distribution


@dataclass
class Documents:
    """Documents to pack, in plan order: parallel arrays; ``offset`` counts tokens in what the block reads."""

    shard: np.ndarray
    row: np.ndarray
    offset: np.ndarray
    length: np.ndarray
    order: np.ndarray  # place in the stage
    task: np.ndarray  # index into `tasks`
    tasks: list[str]  # sorted; "" is plain text

    def take(self, chosen: np.ndarray) -> Documents:
        """The documents at these indices."""
        arrays = {name: value[chosen] for name, value in vars(self).items() if name != "tasks"}
        return Documents(**arrays, tasks=self.tasks)


def lay_out(task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """Pack one block: writes its segments and windows, in order; returns figures.

    Memory: about 150 bytes per document of the block.
    """
    config: Config = part.config
    entries = read_ranges(part.store, task["folder"], task["entries"], ENTRY)
    if task["set"] == TRAIN:
        spliced = config.spliced
        documents = planned(task, part, entries, spliced)
    else:
        spliced = not task["task"]
        documents = held_out(entries, task["task"], config.sequence_length)
    segments = pack(documents, config, spliced)
    name = f"layout/{task['set']}/{task['number']:05d}"
    table = pa.table(
        {
            "window": pa.array(segments.window),
            "shard": pa.array(documents.shard[segments.document]),
            "row": pa.array(documents.row[segments.document]),
            "source": pa.array(documents.offset[segments.document] + segments.start),
            "start": pa.array(segments.start),
            "length": pa.array(segments.length),
            "ends": pa.array(segments.start + segments.length == documents.length[segments.document]),
        }
    )
    part.put_table(f"{name}.segments.parquet", table, "segments", temporary=True)
    first = np.flatnonzero(np.diff(segments.window, prepend=-1))
    tasks = pa.array(documents.tasks, pa.string()).take(pa.array(documents.task[segments.document[first]]))
    windows = pa.table({"order": pa.array(documents.order[segments.order]), "task": tasks})
    part.put_table(f"{name}.windows.parquet", windows, "windows", temporary=True)
    return {"set": task["set"], "tasks": figures(documents, segments, config.sequence_length)}


def planned(task: dict[str, Any], part: PartWriter, entries: np.ndarray, spliced: bool) -> Documents:
    """The block's part of the plan with the lengths of its documents, as far as its quotas need them.

    Whole documents that are too long are dropped or truncated.
    """
    mix, config = part.inputs["mix"], part.config
    source = plan_source(part.inputs, config.stage)
    plan = source.read_table(source.file(task["plan"])).slice(task["first"], task["documents"])
    ranked = np.argsort(entries["key"], kind="stable")
    found = entries[ranked]
    if not (
        np.array_equal(found["key"], np.arange(task["first"], task["first"] + plan.num_rows))
        and np.array_equal(found["shard"], plan["shard"].to_numpy())
        and np.array_equal(found["row"], plan["row"].to_numpy())
    ):
        raise DataError(
            f"the plan {source.reference.uri}/{task['plan']} names rows that {mix.reference.uri} does not list"
        )
    fixed = whole_documents(plan["task"], spliced)
    length = found["length"]
    usable = usable_tokens(length, fixed, config.sequence_length, config.too_long)
    asked = np.ones(plan.num_rows, bool)
    if "taken" in task:
        usable = read_ranges(part.store, task["folder"], [task["taken"]], np.int64)
        asked = (usable > 0) | (plan["quota"].to_numpy() == NO_QUOTA)
    long = fixed & (length > config.sequence_length)
    note(plan.filter(pa.array(asked)), length[asked], long[asked], usable[asked] == 0, part)
    tasks = [""] if spliced else sorted(pc.unique(plan["task"]).to_pylist())
    kind = np.zeros(plan.num_rows, np.int32)
    if not spliced:
        kind = pc.index_in(plan["task"], value_set=pa.array(tasks, pa.string())).to_numpy()
    documents = Documents(
        found["shard"], found["row"], offsets(entries)[ranked], usable, plan["order"].to_numpy(), kind, tasks
    )
    return documents.take(np.flatnonzero(usable > 0))


def held_out(entries: np.ndarray, task: str, limit: int) -> Documents:
    """A held-out set's documents in the order of their keys; those of a task end with the window."""
    ranked = np.lexsort((entries["row"], entries["shard"], entries["key"]))
    found = entries[ranked]
    length = np.minimum(found["length"], limit) if task else found["length"]
    places = np.arange(len(found))
    task_index = np.zeros(len(found), np.int64)
    return Documents(
        found["shard"], found["row"], offsets(entries)[ranked], length, places, task_index, [task]
    )


def offsets(entries: np.ndarray) -> np.ndarray:
    """Where each document's tokens begin in the ranges that the block reads."""
    return np.cumsum(entries["length"]) - entries["length"]


def note(plan: pa.Table, length: np.ndarray, long: np.ndarray, dropped: np.ndarray, part: PartWriter) -> None:
    """Count all documents, and enter those dropped or truncated in the ledger."""
    mix = part.inputs["mix"]
    shards = {entry.meta["number"]: entry.meta["shard"] for entry in mix.files("rows")}
    for row, value in zip(plan.filter(pa.array(long)).to_pylist(), length[long].tolist(), strict=True):
        part.ledger.add(
            rule="too_long",
            action="removed" if part.config.too_long == "drop" else "edited",
            shard=shards[row["shard"]],
            row=row["row"],
            value=value,
            bytes=row["bytes"],
            source=row["set"],
            language=row["language"],
        )
    grouped = (
        pa.table({"set": plan["set"], "language": plan["language"], "gone": dropped, "bytes": plan["bytes"]})
        .group_by(["set", "language", "gone"], use_threads=False)
        .aggregate([("bytes", "sum"), ("bytes", "count")])
    )
    for entry in grouped.to_pylist():
        where = (entry["set"], entry["language"], entry["bytes_count"], entry["bytes_sum"])
        part.count.add_input(*where)
        if entry["gone"]:
            part.count.add_removed("too_long", *where)
        else:
            part.count.add_kept(*where)


def pack(documents: Documents, config: Config, spliced: bool) -> Segments:
    """Splice documents without a task; fit those of each task into windows of their own.

    ``order`` of the result is the index of the document at whose place each window stands.
    """
    parts, names = [], []
    for number, task in enumerate(documents.tasks):
        mine = np.flatnonzero(documents.task == number)
        length = documents.length[mine]
        if spliced or not task:
            parts.append(splice(length, mine, config.sequence_length))
        else:
            parts.append(whole(length, mine, config.sequence_length, config.fit_documents))
        names.append(mine)
    return join(parts, names)


def figures(documents: Documents, segments: Segments, size: int) -> dict[str, Any]:
    """Documents, windows and tokens per task, and distributions for the report."""
    windows = len(segments.order)
    tokens = np.bincount(segments.window, weights=segments.length, minlength=windows)
    first = np.flatnonzero(np.diff(segments.window, prepend=-1))
    kind = documents.task[segments.document[first]]
    found: dict[str, Any] = {}
    for number, task in enumerate(documents.tasks):
        mine = kind == number
        found[task] = {
            "documents": int((documents.task == number).sum()),
            "windows": int(mine.sum()),
            "tokens": int(tokens[mine].sum()),
            "fill": Distribution.of(tokens[mine] / size).to_json(),
            "together": Distribution.of(np.bincount(segments.window, minlength=windows)[mine]).to_json(),
            "lengths": Distribution.of(documents.length[documents.task == number]).to_json(),
        }
    return found

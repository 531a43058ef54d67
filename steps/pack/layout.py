"""Which token goes where: from plan and document lengths to the segments of every token file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from steps.core.artifact import Files
from steps.core.manifest import FileEntry
from steps.core.parts import PartWriter
from steps.pack.config import Config
from steps.pack.fit import Segments, join, splice, whole
from steps.pack.quota import settle
from steps.pack.tokenize import HELD_OUT

TRAIN = "train"


@dataclass
class Documents:
    """Documents to pack, in plan order: parallel arrays; ``offset`` counts tokens in the shard's token file."""

    shard: np.ndarray
    row: np.ndarray
    offset: np.ndarray
    length: np.ndarray
    task: list[str]


def lay_out(task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """Pack the stage's plan and every held-out set; one segment table per token file; returns facts.

    Memory: about 60 bytes per document of the stage and 50 per segment.
    """
    files = Files(part.store, task["folder"])
    lengths = [files.read_table(FileEntry.model_validate(entry)) for entry in task["lengths"]]
    offsets = [np.concatenate(([0], np.cumsum(t["length"].to_numpy())))[:-1] for t in lengths]
    config: Config = part.config
    spliced = config.mode == "splice" or (config.mode == "auto" and config.stage == 1)
    plan, quotas = take_quotas(read_plan(part, lengths, offsets), part, spliced)
    kept = _check_lengths(plan, part, spliced, lengths)
    facts: dict[str, Any] = {"files": [], "heldout": {}, "quotas": quotas}
    segments = pack(kept, config, spliced)
    facts |= _figures(kept, segments, config)
    facts["files"] += write_segments(TRAIN, kept, segments, part)
    for name, documents in held_out(lengths, offsets, config).items():
        found = pack(documents, config, not documents.task[0])
        facts["heldout"][name] = _figures(documents, found, config)
        facts["files"] += write_segments(f"heldout/{name}", documents, found, part)
    return facts


def read_plan(part: PartWriter, lengths: list[pa.Table], offsets: list[np.ndarray]) -> pa.Table:
    """The stage's plan with each document's place and length in the token files, and its size for the counts."""
    mix = part.inputs["mix"]
    entries = [e for e in mix.files("plan") if e.meta["stage"] == part.config.stage]
    plan = pa.concat_tables(mix.read_table(entry) for entry in entries).combine_chunks()
    shard, row = plan["shard"].to_numpy(), plan["row"].to_numpy()
    offset, length = np.zeros(len(row), np.int64), np.zeros(len(row), np.int64)
    for number in np.unique(shard):
        mine = np.flatnonzero(shard == number)
        at = np.searchsorted(lengths[number]["row"].to_numpy(), row[mine])
        offset[mine], length[mine] = offsets[number][at], lengths[number]["length"].to_numpy()[at]
    return plan.append_column("offset", pa.array(offset)).append_column("length", pa.array(length))


def take_quotas(plan: pa.Table, part: PartWriter, spliced: bool) -> tuple[pa.Table, list[dict[str, Any]]]:
    """The plan without the documents that its quotas do not need, the last ones cut; and each quota's figures.

    mix plans more documents than it asks tokens for, since tokens are known only now.
    """
    config, mix = part.config, part.inputs["mix"]
    quotas = json.loads(mix.read_bytes(mix.file("quotas.json")))
    length = plan["length"].to_numpy()
    fixed = pc.not_equal(plan["task"], "").to_numpy(zero_copy_only=False) & (not spliced)
    long = fixed & (length > config.sequence_length)
    usable = np.where(long, 0 if config.too_long == "drop" else config.sequence_length, length)
    quota, replayed = plan["quota"].to_numpy(), plan["replay"].to_numpy(zero_copy_only=False)
    taken, figures = settle(quota, plan["rank"].to_numpy(), usable, fixed, ~replayed, quotas)
    kept = (taken > 0) | (quota < 0)
    cut = np.where(taken < usable, taken, length)
    place = plan.column_names.index("length")
    plan = plan.set_column(place, "length", pa.array(np.where(quota < 0, length, cut)))
    found = [
        {"set": quotas[number]["set"], "asked": asked, "supplied": supplied}
        for number, (asked, supplied) in sorted(figures.items())
    ]
    return plan.filter(pa.array(kept)), found


def _check_lengths(plan: pa.Table, part: PartWriter, spliced: bool, lengths: list[pa.Table]) -> Documents:
    """Drop or truncate whole documents longer than a window; count all, and enter those dropped in the ledger."""
    config: Config = part.config
    mix = part.inputs["mix"]
    shards = {entry.meta["number"]: entry.meta["shard"] for entry in mix.files("rows")}
    length = plan["length"].to_numpy().copy()
    has_task = pc.not_equal(plan["task"], "").to_numpy(zero_copy_only=False)
    long = (length > config.sequence_length) & has_task & (not spliced)
    for row in plan.filter(pa.array(long)).to_pylist():
        part.ledger.add(
            rule="too_long",
            action="removed" if config.too_long == "drop" else "edited",
            shard=shards[row["shard"]],
            row=row["row"],
            value=row["length"],
            bytes=row["bytes"],
            source=row["set"],
            language=row["language"],
        )
    dropped = long & (config.too_long == "drop")
    _count(plan, dropped, part)
    length[long] = config.sequence_length
    kept = np.flatnonzero(~dropped)
    return Documents(
        plan["shard"].to_numpy()[kept],
        plan["row"].to_numpy()[kept],
        plan["offset"].to_numpy()[kept],
        length[kept],
        [""] * len(kept) if spliced else plan["task"].take(pa.array(kept)).to_pylist(),
    )


def _count(plan: pa.Table, dropped: np.ndarray, part: PartWriter) -> None:
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


def held_out(lengths: list[pa.Table], offsets: list[np.ndarray], config: Config) -> dict[str, Documents]:
    """The held-out documents of each language and task, in the order of their keys; tasks end with the window."""
    tables = [
        table.append_column("offset", pa.array(offset)).append_column(
            "shard", pa.array(np.full(table.num_rows, number))
        )
        for number, (table, offset) in enumerate(zip(lengths, offsets, strict=True))
    ]
    everything = pa.concat_tables(tables).combine_chunks()
    held = everything.filter(pa.array((everything["stages"].to_numpy() & HELD_OUT) > 0))
    found = {}
    for name in sorted(pc.unique(held["group"]).to_pylist()):
        group = held.filter(pc.equal(held["group"], name)).sort_by(
            [("key", "ascending"), ("shard", "ascending")]
        )
        shard, row, offset, length = (group[c].to_numpy() for c in ("shard", "row", "offset", "length"))
        task = group["task"].to_pylist()
        if task[0]:
            length = np.minimum(length, config.sequence_length)
        found[name or "unknown"] = Documents(shard, row, offset, length, task)
    return found


def pack(documents: Documents, config: Config, spliced: bool) -> Segments:
    """Splice documents without a task; fit those of each task into windows of their own."""
    tasks = np.array(documents.task, dtype=object)
    parts, names = [], []
    for task in sorted(set(documents.task)):
        mine = np.flatnonzero(tasks == task)
        length = documents.length[mine]
        if spliced or not task:
            parts.append(splice(length, mine, config.sequence_length))
        else:
            parts.append(whole(length, mine, config.sequence_length, config.fit_documents))
        names.append(mine)
    return join(parts, names) if parts else splice(np.zeros(0, np.int64), np.zeros(0, np.int64), 1)


def _figures(documents: Documents, segments: Segments, config: Config) -> dict[str, Any]:
    tokens, windows = int(segments.length.sum()), len(segments.order)
    return {
        "documents": len(documents.row),
        "windows": windows,
        "tokens": tokens,
        "fill": round(tokens / max(1, windows * config.sequence_length), 6),
    }


def write_segments(
    name: str, documents: Documents, segments: Segments, part: PartWriter
) -> list[dict[str, Any]]:
    """One temporary table per token file: where its tokens come from, in order. Returns the files to write."""
    table = pa.table(
        {
            "window": pa.array(segments.window),
            "shard": pa.array(documents.shard[segments.document].astype(np.int32)),
            "row": pa.array(documents.row[segments.document]),
            "source": pa.array(documents.offset[segments.document] + segments.start),
            "start": pa.array(segments.start),
            "length": pa.array(segments.length),
            "ends": pa.array(segments.start + segments.length == documents.length[segments.document]),
            "task": pa.array([documents.task[i] for i in segments.document.tolist()], pa.string()),
        }
    )
    size = part.config.windows_per_file
    found = []
    for number in range(-(-len(segments.order) // size)):
        bounds = np.searchsorted(segments.window, [number * size, (number + 1) * size])
        piece = table.slice(bounds[0], bounds[1] - bounds[0])
        entry = part.put_table(f"layout/{name}/{number:05d}.parquet", piece, "layout", temporary=True)
        found.append({"name": name, "number": number, "layout": entry.model_dump()})
    return found

"""Blocks: pieces of a stage's plan that are laid out and written apart, so that memory does not grow with the stage.

A block's documents lie in all shards. Each tokenize task writes the tokens of its group of shards block by block, in
the order of the plan; a block then reads one range from each group's file. No text is moved, and tokens once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

import numpy as np
import xxhash

from steps.core.artifact import Artifact
from steps.core.errors import DataError
from steps.core.manifest import FileEntry
from steps.core.parts import PartWriter
from steps.core.store import Store
from steps.pack.quota import NO_QUOTA

TRAIN, HELD_OUT_SETS = "train", "heldout/"
# Groups of shards. A stage of 1.3 TB of tokens in blocks of 256 MB then has ranges of some 300 kB.
MOST_GROUPS = 512
DOCUMENT_BYTES = 128  # what the tables hold of one document, about
ROUTE = np.dtype([("shard", "<i4"), ("row", "<i8"), ("place", "<i4"), ("block", "<i4")])
# A tokenized document: its place in the plan file (held out: its key in the mix), its address, its tokens.
ENTRY = np.dtype([("key", "<u8"), ("shard", "<i4"), ("row", "<i8"), ("length", "<i8")])
Range = dict[str, Any]  # bytes of a file of an earlier phase: object, start, bytes, digest


def cut(sizes: np.ndarray, limit: int) -> np.ndarray:
    """First documents of the blocks: each begins in another ``limit`` bytes of the plan. ``sizes``: int64[n] bytes."""
    cost = sizes + DOCUMENT_BYTES
    return np.flatnonzero(np.diff((np.cumsum(cost) - cost) // limit, prepend=-1))


def groups(shards: int) -> list[range]:
    """Numbers of the shards of each group: neighbours, at most `MOST_GROUPS` groups."""
    size = -(-shards // MOST_GROUPS)
    return [range(start, min(start + size, shards)) for start in range(0, shards, size)]


def plan_source(inputs: Mapping[str, Artifact], stage: int) -> Artifact:
    """The artifact whose plan a stage follows: the curriculum where it orders that stage, else the mix."""
    ordered = inputs.get("curriculum")
    if ordered is not None and any(entry.meta["stage"] == stage for entry in ordered.files("plan")):
        return ordered
    return inputs["mix"]


def route(task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """Cut one plan file into blocks and sort its documents by shard.

    Returns the blocks' bounds (b + 1 places in the plan file), the range of each group of shards, and whether mix
    asks for tokens of anything in it.
    """
    source = plan_source(part.inputs, part.config.stage)
    plan = source.read_table(source.file(task["plan"]), ["shard", "row", "bytes", "quota"])
    starts = cut(plan["bytes"].to_numpy(), part.config.block_bytes)
    found = np.empty(plan.num_rows, ROUTE)
    found["shard"], found["row"] = plan["shard"].to_numpy(), plan["row"].to_numpy()
    found["place"] = np.arange(plan.num_rows)
    found["block"] = np.searchsorted(starts, found["place"], side="right") - 1
    found = found[np.argsort(found["shard"], kind="stable")]
    path = part.scratch / "route.bin"
    ranges = []
    with path.open("wb") as file:
        for group in groups(task["shards"]):
            first, last = np.searchsorted(found["shard"], [group.start, group.stop])
            ranges.append(append(file, found[first:last]))
    part.put_file(f"route/{task['number']:05d}.bin", path, "route", temporary=True)
    quotas = bool((plan["quota"].to_numpy() != NO_QUOTA).any())
    return {"bounds": [*starts.tolist(), plan.num_rows], "ranges": ranges, "quotas": quotas}


def append(file: BinaryIO, values: np.ndarray) -> Range:
    """Write ``values`` at the end of a file; returns where they stand in it."""
    data = values.tobytes()
    start = file.tell()
    file.write(data)
    return {"start": start, "bytes": len(data), "digest": xxhash.xxh3_64_hexdigest(data)}


def located(where: Range, entry: FileEntry) -> Range:
    """The range with the object that it is a range of."""
    return where | {"object": entry.object_name}


def read_ranges(store: Store, folder: str, ranges: Iterable[Range], dtype: Any) -> np.ndarray:
    """The ranges, one after the other. Raises DataError where one is not what was written."""
    pieces = [np.zeros(0, dtype)]
    for where in ranges:
        key, size = f"{folder}/{where['object']}", where["bytes"]
        data = store.get_range(key, where["start"], size) if size else b""
        if xxhash.xxh3_64_hexdigest(data) != where["digest"]:
            raise DataError(
                f"bytes {where['start']} to {where['start'] + size} of {store.uri}/{key} are corrupt: "
                "their checksum is not the one that was written; delete the step's folder and pack again"
            )
        pieces.append(np.frombuffer(data, dtype))
    return np.concatenate(pieces)

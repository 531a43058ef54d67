"""Token files: a block's tokens in window order, with the tables that say what they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from steps.core.artifact import Files
from steps.core.manifest import FileEntry
from steps.core.parts import PartWriter
from steps.pack.blocks import read_ranges
from steps.pack.fit import gather
from steps.pack.indexed import index_bytes, token_dtype


def write_block(task: dict[str, Any], part: PartWriter) -> None:
    """Gather one block's tokens and write .bin, .idx, windows and segments."""
    files = Files(part.store, task["folder"])
    layout, windows = (files.read_table(FileEntry.model_validate(entry)) for entry in task["layout"])
    source, length = np.array(layout["source"]), np.array(layout["length"])
    dtype = token_dtype(part.inputs["model"].facts["vocabulary"])
    read = read_ranges(part.store, task["folder"], task["tokens"], dtype)
    tokens = np.empty(int(length.sum()), dtype)
    gather(read, source, length, tokens)
    ends = layout["ends"].to_numpy(zero_copy_only=False)
    following = np.full(len(length), -1, np.int64)
    following[~ends] = read[(source + length)[~ends]]
    stem = f"{task['set']}/{task['number']:05d}"
    meta = {"set": task["set"], "number": task["number"]}
    part.put_bytes(f"{stem}.bin", tokens.tobytes(), "tokens", rows=len(tokens), **meta)
    part.put_bytes(f"{stem}.idx", index_bytes(length, dtype), "token_index", **meta)
    table = window_table(layout["window"].to_numpy(), length, following, windows)
    part.put_table(f"{stem}.windows.parquet", table, "windows", **meta)
    segments = segment_table(layout, task["first_window"], part)
    part.put_table(f"{stem}.segments.parquet", segments, "segments", **meta)


def window_table(
    window: np.ndarray, length: np.ndarray, following: np.ndarray, windows: pa.Table
) -> pa.Table:
    """Per window: first token in the file, cu_seqlens without its 0, the token after its last one, task and order.

    ``next_token`` is -1 where the window's last document ends in it. ``order`` ascends: the place in the plan of the
    document that the window stands at.
    """
    first = np.flatnonzero(np.diff(window, prepend=-1))
    target = np.cumsum(length)
    starts = (target - length)[first]
    segments = np.diff(np.append(first, len(window)))
    ends = pa.ListArray.from_arrays(
        np.append(first, len(window)).astype(np.int32),
        (target - np.repeat(starts, segments)).astype(np.int32),
    )
    return pa.table(
        {
            "offset": pa.array(starts, pa.int64()),
            "ends": ends,
            "next_token": pa.array(following[first + segments - 1].astype(np.int32)),
            "task": windows["task"],
            "order": windows["order"],
        }
    )


def segment_table(layout: pa.Table, first_window: int, part: PartWriter) -> pa.Table:
    """Per segment: its window in the set and the artifact, shard, row and token span that it is."""
    mix = part.inputs["mix"]
    lists = sorted(mix.files("rows"), key=lambda entry: entry.meta["number"])
    digests = mix.manifest.identity.payload.inputs
    names = [digests[entry.meta["input"]] for entry in lists], [entry.meta["shard"] for entry in lists]
    artifact, shard = (
        pa.DictionaryArray.from_arrays(layout["shard"].combine_chunks(), pa.array(values, pa.string()))
        for values in names
    )
    start = layout["start"].to_numpy()
    return pa.table(
        {
            "window": pa.array(layout["window"].to_numpy() + first_window),
            "artifact": artifact.cast(pa.string()),
            "shard": shard.cast(pa.string()),
            "row": layout["row"],
            "start": layout["start"],
            "end": pa.array(start + layout["length"].to_numpy()),
        }
    )

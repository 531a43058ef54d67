"""The pack step: tokenize shard by shard, lay out the stage, write token files."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pyarrow as pa

from steps.core.approval import verify_training
from steps.core.artifact import Files
from steps.core.errors import ConfigError, DataError
from steps.core.manifest import FileEntry
from steps.core.parts import PartWriter
from steps.core.step import Input, Step, StepContext
from steps.pack.config import Config
from steps.pack.indexed import index_bytes, token_dtype
from steps.pack.layout import lay_out
from steps.pack.tokenize import tokenize


def run(ctx: StepContext) -> None:
    """Tokenize every listed document once, decide where each token goes, and write the windows in that order."""
    config: Config = ctx.config
    mix, model = ctx.inputs["mix"], ctx.inputs["model"]
    verify_training(mix)
    if model.input("mix").digest != mix.digest:
        raise DataError(f"{model.reference.uri} was initialized from another mix than {mix.reference.uri}")
    if config.sequence_length > model.facts["max_positions"]:
        raise ConfigError(
            f"pack.sequence_length {config.sequence_length} exceeds the model's "
            f"{model.facts['max_positions']} positions"
        )
    lists = sorted(mix.files("rows"), key=lambda entry: entry.meta["number"])
    tokenized = ctx.map("tokenize", tokenize, [{"rows": entry.key} for entry in lists])
    tokens, lengths = ([part.temporary[kind].model_dump() for part in tokenized] for kind in (0, 1))
    laid = ctx.part("layout", lay_out, {"lengths": lengths, "folder": ctx.folder}).result
    if not laid["windows"]:
        raise DataError(f"stage {config.stage} has no documents to pack: give mix a data set for it")
    for quota in laid["quotas"]:
        if quota["supplied"] < quota["asked"]:
            ctx.log.warning(
                "pack: %(set)s was asked for %(asked)s tokens and has %(supplied)s; nothing is repeated",
                quota,
            )
    common = {"tokens": tokens, "folder": ctx.folder, "shards": [entry.meta["shard"] for entry in lists]}
    common["artifacts"] = [mix.input(entry.meta["input"]).digest for entry in lists]
    ctx.map("write", write_file, [common | file for file in laid.pop("files")], unit="token files")
    for key, value in laid.items():
        ctx.set(key, value)
    ctx.set("stage", config.stage)
    ctx.set("sequence_length", config.sequence_length)
    ctx.set("token_type", token_dtype(model.facts["vocabulary"]))
    ctx.set("tokenizer", model.file("tokenizer.model").sha256)
    for name in ("fill", "tokens", "windows"):
        ctx.metric(f"corpus/pack_{name}", laid[name])


def write_file(task: dict[str, Any], part: PartWriter) -> dict[str, int]:
    """Gather one file's tokens from the shards' token files; write .bin, .idx, windows and segments."""
    files = Files(part.store, task["folder"])
    layout = files.read_table(FileEntry.model_validate(task["layout"]))
    shard, source, length = (layout[name].to_numpy() for name in ("shard", "source", "length"))
    dtype = token_dtype(part.inputs["model"].facts["vocabulary"])
    target = np.concatenate(([0], np.cumsum(length)))
    tokens = np.empty(int(target[-1]), dtype)
    following = np.full(len(length), -1, np.int64)
    ends = layout["ends"].to_numpy(zero_copy_only=False)
    # shared by the files that this process writes, and removed with the step's scratch
    cache = part.scratch.parent / f"tokens-{os.getpid()}"
    for number in np.unique(shard):
        path = files.fetch(FileEntry.model_validate(task["tokens"][number]), cache)
        shard_tokens = np.memmap(path, dtype=dtype, mode="r")
        for i in np.flatnonzero(shard == number):
            stop = source[i] + length[i]
            tokens[target[i] : target[i + 1]] = shard_tokens[source[i] : stop]
            if not ends[i]:
                following[i] = shard_tokens[stop]
    stem = f"{task['name']}/{task['number']:05d}"
    meta = {"set": task["name"], "number": task["number"]}
    part.put_bytes(f"{stem}.bin", tokens.tobytes(), "tokens", rows=len(tokens), **meta)
    part.put_bytes(f"{stem}.idx", index_bytes(length, dtype), "token_index", **meta)
    windows = window_table(layout["window"].to_numpy(), length, target, following, layout["task"])
    part.put_table(f"{stem}.windows.parquet", windows, "windows", **meta)
    part.put_table(f"{stem}.segments.parquet", segment_table(layout, task), "segments", **meta)
    return {"tokens": len(tokens)}


def window_table(
    window: np.ndarray, length: np.ndarray, target: np.ndarray, following: np.ndarray, task: pa.ChunkedArray
) -> pa.Table:
    """Per window: first token in the file, cumulative lengths of its documents, the token after its last one.

    ``next_token`` is -1 where the window's last document ends in it.
    """
    first = np.flatnonzero(np.diff(window, prepend=-1))
    last = np.append(first[1:], len(window)) - 1
    starts = target[first]
    within = target[1:] - np.repeat(starts, last - first + 1)
    return pa.table(
        {
            "offset": pa.array(starts, pa.int64()),
            "ends": pa.ListArray.from_arrays(
                np.append(first, len(window)).astype(np.int32), within.astype(np.int32)
            ),
            "next_token": pa.array(following[last].astype(np.int32)),
            "task": task.take(pa.array(first)),
        }
    )


def segment_table(layout: pa.Table, task: dict[str, Any]) -> pa.Table:
    """Per segment: its window and the artifact, shard, row and token span that it is."""
    shard = layout["shard"].to_numpy()
    names = [np.array(task[key], dtype=object)[shard] for key in ("artifacts", "shards")]
    stop = layout["start"].to_numpy() + layout["length"].to_numpy()
    return pa.table(
        {
            "window": layout["window"],
            "artifact": pa.array(names[0], pa.string()),
            "shard": pa.array(names[1], pa.string()),
            "row": layout["row"],
            "start": layout["start"],
            "end": pa.array(stop),
        }
    )


STEP = Step(
    name="pack",
    version=2,
    config=Config,
    run=run,
    inputs=(Input("mix"), Input("model")),
    libraries=("sentencepiece",),
)

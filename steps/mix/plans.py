"""From the scans of all shards to the artifact: one plan per stage, one row list per shard, templates, counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from steps.core.artifact import Files
from steps.core.digest import canonical_json
from steps.core.errors import ConfigError
from steps.core.manifest import FileEntry
from steps.core.parts import PartWriter
from steps.mix.choose import STAGES, Choice, Rows, choose
from steps.mix.config import Config
from steps.mix.templates import TEMPLATES

HELD_OUT = 0  # the "stage" of held-out rows in row lists


def write_plans(task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """Read all scans, choose, and write plans, row lists, templates; returns facts. Memory: about 120 bytes per row."""
    files = Files(part.store, task["folder"])
    tables = [files.read_table(FileEntry.model_validate(entry)) for entry in task["scans"]]
    sizes = [table.num_rows for table in tables]
    table = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
    table = table.append_column("shard", pa.array(np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)))
    rows = _rows(table, part.config)
    choice = choose(rows, part.config)
    for stage in STAGES:
        _write_plan(stage, table, choice, part)
    _write_row_lists(task["shards"], sizes, table, rows, choice, part)
    part.put_bytes("shards.json", canonical_json(task["shards"]), "shards")
    part.put_bytes("templates.json", canonical_json(_templates(rows, part.config)), "templates")
    part.put_bytes("quotas.json", canonical_json(choice.quotas), "quotas")
    _count(table, rows, choice, part)
    return _facts(table, rows, choice)


def _rows(table: pa.Table, config: Config) -> Rows:
    sets, groups = table["set"].combine_chunks(), table["group"].combine_chunks()
    names = sets.dictionary.to_pylist()
    missing = [name.partition("/")[2] for name in config.set_names() if name not in names]
    if missing:
        raise ConfigError(
            f"mix: the inputs have no documents of {', '.join(sorted(missing))}; correct web, supervised or "
            "budgets"
        )
    return Rows(
        key=table["key"].to_numpy(),
        text_key=table["text_key"].to_numpy(),
        bytes=table["bytes"].to_numpy(),
        data_set=pc.fill_null(sets.indices, -1).to_numpy().astype(np.int32),
        group=groups.indices.to_numpy().astype(np.int32),
        sets=names,
        groups=groups.dictionary.to_pylist(),
    )


def _plain(table: pa.Table, *names: str) -> dict[str, pa.ChunkedArray]:
    """Dictionary columns as texts."""
    return {name: table[name].cast(pa.string()) for name in names}


def _write_plan(stage: int, table: pa.Table, choice: Choice, part: PartWriter) -> None:
    """The stage's documents in training order."""
    chosen = choice.plans[stage]
    for number, start in enumerate(range(0, max(len(chosen.rows), 1), part.config.plan_rows)):
        piece = slice(start, start + part.config.plan_rows)
        picked = table.take(pa.array(chosen.rows[piece]))
        plan = pa.table(
            {
                "order": pa.array(np.arange(start, start + picked.num_rows, dtype=np.int64)),
                "shard": picked["shard"],
                "row": picked["row"],
                "pass": pa.array(chosen.passes[piece].astype(np.int16)),
                "replay": pa.array(chosen.replayed[piece]),
                **_plain(picked, "set", "task", "language"),
                "bytes": picked["bytes"],
                "quota": pa.array(chosen.quota[piece]),
                "rank": pa.array(chosen.rank[piece]),
            }
        )
        part.put_table(f"plan/stage-{stage}/{number:05d}.parquet", plan, "plan", stage=stage)


def _write_row_lists(
    shards: list[dict[str, Any]],
    sizes: list[int],
    table: pa.Table,
    rows: Rows,
    choice: Choice,
    part: PartWriter,
) -> None:
    """Which rows of each shard are used, by which stages (a bit each; bit 0: held out), for packing shard by shard."""
    bits = np.zeros(table.num_rows, np.uint8)
    bits[choice.heldout & (rows.data_set >= 0)] |= 1 << HELD_OUT
    for stage in STAGES:
        bits[choice.plans[stage].rows] |= 1 << stage
    start = 0
    for number, (shard, size) in enumerate(zip(shards, sizes, strict=True)):
        mine = slice(start, start + size)
        used = np.flatnonzero(bits[mine])
        picked = table.slice(start, size).take(pa.array(used))
        found = pa.table(
            {
                "row": picked["row"],
                "stages": pa.array(bits[mine][used]),
                **_plain(picked, "set", "group", "task"),
                "key": picked["key"],
                **_plain(picked, "tag"),
            }
        )
        key = f"rows/{shard['input']}-{shard['index']:05d}.parquet"
        meta = {"shard": shard["sha256"], "input": shard["input"], "index": shard["index"], "number": number}
        part.put_table(key, found, "rows", **meta)
        start += size


def _templates(rows: Rows, config: Config) -> dict[str, Any]:
    """What must be written around the documents of each data set: prompts by language, or a fence with their tag."""
    found = {}
    for name in sorted(rows.sets):
        found[name] = TEMPLATES.get(config.template(name))
    return found


def _count(table: pa.Table, rows: Rows, choice: Choice, part: PartWriter) -> None:
    """Documents and bytes per source and language: used by a stage or held out, or not taken."""
    used = choice.heldout & (rows.data_set >= 0)
    for stage in STAGES:
        used[choice.plans[stage].rows] = True
    fate = np.where(used, "used", np.where(rows.data_set < 0, "not_in_recipe", "beyond_amount"))
    grouped = (
        pa.table({**_plain(table, "source", "language"), "fate": fate, "bytes": table["bytes"]})
        .group_by(["source", "language", "fate"], use_threads=False)
        .aggregate([("bytes", "sum"), ("bytes", "count")])
    )
    for entry in grouped.to_pylist():
        where = (entry["source"], entry["language"], entry["bytes_count"], entry["bytes_sum"])
        part.count.add_input(*where)
        if entry["fate"] == "used":
            part.count.add_kept(*where)
        else:
            part.count.add_removed(entry["fate"], *where)


def _facts(table: pa.Table, rows: Rows, choice: Choice) -> dict[str, Any]:
    heldout = {}
    for index, name in enumerate(rows.groups):
        mask = choice.heldout & (rows.group == index) & (rows.data_set >= 0)
        if mask.any():
            heldout[name] = {"documents": int(mask.sum()), "bytes": int(rows.bytes[mask].sum())}
    unused = pc.unique(table["source"].filter(pa.array(rows.data_set < 0))).cast(pa.string()).to_pylist()
    return {
        "stages": sorted(choice.sets, key=lambda entry: (entry["stage"], entry["set"])),
        "shortfalls": choice.shortfalls,
        "heldout": heldout,
        "not_in_recipe": sorted(unused),
    }

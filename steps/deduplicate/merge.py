"""The keys of earlier dumps that this dump's index takes over: copied into run files, a segment per shard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from steps.core.artifact import Files
from steps.core.dedup_index import HOLDS
from steps.core.manifest import FileEntry
from steps.core.parts import PartWriter
from steps.core.step import StepContext
from steps.deduplicate.exchange import put_runs
from steps.deduplicate.index import MERGED, SHARDS, SHARDS_SCHEMA, taken_over
from steps.deduplicate.keys import settings_digest
from steps.deduplicate.near import map_tasks
from steps.deduplicate.sources import Source, left_out


def merge_indexes(ctx: StepContext, sources: Sequence[Source], keys: Sequence[dict[str, Any]]) -> None:
    """Write what this index takes over, from the key files ``keys`` that the first phase wrote of each source."""
    held = taken_over(ctx.inputs, left_out(ctx.inputs))
    ctx.set(HOLDS, sorted(held))
    mine = [source for source in sources if source.published and source.artifact.digest in held]
    if not mine:
        return
    rows = [keys[source.number]["rows"] for source in mine]
    groups = map_tasks(rows, ctx.config.partition_documents)
    tasks = [
        {"folder": ctx.folder, "number": n, "keys": [keys[mine[at].number] for at in group]}
        for n, group in enumerate(groups)
    ]
    ctx.map("merge", write_merged, tasks, unit="groups of shards")
    lines = [
        [mine[at].artifact.digest, mine[at].shard.entry.key, merged_key(n), segment]
        for n, group in enumerate(groups)
        for segment, at in enumerate(group)
    ]
    ctx.part("merge-shards", write_shards, {"lines": lines})


def merged_key(number: int) -> str:
    """Logical name of the ``number``-th run file."""
    return f"{MERGED}/{number:05d}.runs"


def write_merged(task: dict[str, Any], part: PartWriter) -> None:
    """One run file with the keys of some shards, in order; one shard's are in memory at a time."""
    files = Files(part.store, task["folder"])

    def tables() -> Iterator[tuple[int, pa.Table]]:
        for segment, entry in enumerate(task["keys"]):
            yield segment, files.read_table(FileEntry.model_validate(entry))

    settings = settings_digest(part.config)
    put_runs(part, merged_key(task["number"]), tables(), kind=MERGED, temporary=False, settings=settings)


def write_shards(task: dict[str, Any], part: PartWriter) -> None:
    """The table that says which segment of which run file holds the keys of which member's shard."""
    columns = zip(*task["lines"], strict=True)
    table = pa.table(dict(zip(SHARDS_SCHEMA.names, columns, strict=True)), schema=SHARDS_SCHEMA)
    part.put_table(f"{SHARDS}.parquet", table, SHARDS)

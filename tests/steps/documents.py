"""A corpus made from records in a file, for tests of steps that read one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import Field

from steps.core.config import Runtime, StepConfig
from steps.core.document import SCHEMA, SUPERVISED_SCHEMA, doc_id, is_supervised
from steps.core.parts import PartWriter
from steps.core.step import Outcome, Step, StepContext, run_step


class Config(StepConfig):
    path: str = Field("", description="JSON file: a list of shards, each a list of records.")


def write_shard(task: dict[str, Any], part: PartWriter) -> None:
    records = json.loads(Path(part.config.path).read_text())[task["shard"]]
    rows = []
    for record in records:
        text = record["text"]
        row = dict.fromkeys(SCHEMA.names) | {"source": "web", "language": "en", "url": "", "metadata": "{}"}
        row |= record
        row["doc_id"] = row["doc_id"] or doc_id(row["url"], text)
        size = len(text.encode())
        part.count.add_input(row["source"], row["language"], 1, size)
        part.count.add_kept(row["source"], row["language"], 1, size)
        rows.append(row)
    signals = None
    if rows and "_signals" in rows[0]:
        signals = pa.Table.from_pylist([row.pop("_signals") for row in rows])
    schema = SUPERVISED_SCHEMA if rows and is_supervised(rows[0]) else SCHEMA
    part.put_shard(task["shard"], pa.Table.from_pylist(rows, schema=schema), signals)


def run(ctx: StepContext) -> None:
    ctx.map(
        "write",
        write_shard,
        [{"shard": n} for n in range(len(json.loads(Path(ctx.config.path).read_text())))],
    )


DOCUMENTS = Step("documents", 1, Config, run, makes="corpus")


def make_corpus(root: Path, shards: list[list[dict[str, Any]]], name: str = "documents") -> Outcome:
    """Commits a corpus of the given records (text, and any column of the schema) below root; one name, one corpus."""
    root.mkdir(parents=True, exist_ok=True)
    path = root / f"{name}.json"
    path.write_text(json.dumps(shards, ensure_ascii=False))
    return run_step(
        DOCUMENTS, config={"path": str(path)}, inputs={}, root=f"file://{root}", runtime=Runtime(workers=1)
    )

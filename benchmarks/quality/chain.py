"""Runs records through the real steps, from raw objects to the filtered corpus, for the quality tables."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steps.core.artifact import Artifact
from steps.core.config import Runtime
from steps.core.corpus import Corpus
from steps.core.recipe import RecipeSource
from steps.core.step import Outcome, run_step
from steps.plan.objects import list_objects

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@dataclass(frozen=True)
class Records:
    """One source: its kind, its records as JSON objects, and what the recipe would say of their fields."""

    kind: str
    rows: Sequence[Mapping[str, Any]]
    fields: Mapping[str, str]


def shared(name: str) -> Path:
    """A file of the shared data. Exits with its name where the checkout has no shared data beside it."""
    path = SHARED / name
    if not path.exists():
        raise SystemExit(f"{path} is not there: this table needs the shared data (CONTRIBUTING: Tests)")
    return path


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """Records of a gzipped JSONL file; lines end in `\\n` only."""
    with gzip.open(path, "rb") as file:
        for line in file.read().split(b"\n"):
            if line.strip():
                yield json.loads(line)


def read_csv(path: Path) -> list[dict[str, str]]:
    """Records of a gzipped CSV file with a header, UTF-8 with or without BOM."""
    with gzip.open(path, "rb") as file:
        return list(csv.DictReader(io.StringIO(file.read().decode("utf-8-sig"), newline="")))


def ingest(root: Path, sources: Mapping[str, Records], runtime: Runtime | None = None) -> Outcome:
    """The records of all sources below `root` as the corpus that `ingest` makes of them."""
    settings = []
    for name, records in sources.items():
        folder = root / "raw" / name
        folder.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps(row, ensure_ascii=False) for row in records.rows]
        (folder / "records.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        settings.append(
            RecipeSource(name=name, kind=records.kind, uri=f"{folder}/*.jsonl", fields=dict(records.fields))
        )
    listed = [list_objects(source, None) for source in settings]
    locations = {source.name: place for source, (place, _) in zip(settings, listed, strict=True)}
    config = {
        "dump": "benchmark",
        "sources": [source.settings() for source in settings],
        "objects": [item for _, objects in listed for item in objects],
    }
    store = f"file://{root}"
    plan = run_step("plan", config=config, inputs={}, root=store, locations=locations)
    return run_step(
        "ingest", config={}, inputs={"source": plan.ref}, root=store, runtime=runtime, locations=locations
    )


def clean(
    root: Path,
    corpus: Outcome,
    *,
    preprocess: Mapping[str, Any] | None = None,
    filtering: Mapping[str, Any] | None = None,
    inputs: Mapping[str, str] | None = None,
    runtime: Runtime | None = None,
) -> tuple[Outcome, Outcome]:
    """(preprocess, filter) of what `ingest` made. The wipe-out alarm is off: sets of pure spam are meant to go."""
    store = f"file://{root}"
    prepared = run_step(
        "preprocess",
        config=preprocess or {},
        inputs={"corpus": corpus.ref},
        root=store,
        runtime=runtime,
    )
    filtered = run_step(
        "filter",
        config={"max_source_loss": 1.0, **(filtering or {})},
        inputs={"corpus": prepared.ref, **(inputs or {})},
        root=store,
        runtime=runtime,
    )
    return prepared, filtered


def documents(
    artifact: Artifact, columns: Sequence[str] = ("doc_id", "source", "text")
) -> list[dict[str, Any]]:
    """Kept rows of a corpus."""
    return [row for shard in Corpus.open(artifact).shards for row in shard.read(list(columns)).to_pylist()]


def ledger(artifact: Artifact) -> list[dict[str, Any]]:
    """Every removal that the step recorded, of documents and of spans."""
    return [row for entry in artifact.files("ledger") for row in artifact.read_table(entry).to_pylist()]


def markdown(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table; numbers are aligned to the right."""
    right = [
        all(isinstance(row[i], (int, float)) or str(row[i])[:1].isdigit() for row in rows)
        for i in range(len(header))
    ]
    lines = [f"| {' | '.join(header)} |", f"|{'|'.join('---:' if r else '---' for r in right)}|"]
    lines += [f"| {' | '.join(map(str, row))} |" for row in rows]
    return "\n".join(lines)

"""A `source` artifact over files in a folder, as `plan` makes it, for tests of ingest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from steps.core.config import Runtime
from steps.core.corpus import Corpus
from steps.core.digest import file_digest
from steps.core.step import Outcome, run_step

ONE = Runtime(workers=1)


def plan_files(
    root: Path, folder: Path, names: list[str] | None = None, **settings: Any
) -> tuple[str, dict[str, str]]:
    """Reference of the source artifact for the files of ``folder``, and the locations that ingest needs."""
    root.mkdir(parents=True, exist_ok=True)
    source = {"name": "crawl", **settings}
    chosen = (
        names if names is not None else sorted(p.name for p in folder.iterdir() if not p.name.startswith("_"))
    )
    objects = []
    for name in chosen:
        path = folder / name
        digest = file_digest(path)
        objects.append(
            {"source": source["name"], "key": name, "bytes": path.stat().st_size, "sha256": digest}
        )
    config = {"dump": "test", "sources": [source], "objects": objects}
    planned = run_step("plan", config=config, inputs={}, root=f"file://{root}", runtime=ONE)
    return planned.ref, {source["name"]: f"file://{folder}"}


def ingest(
    root: Path, folder: Path, names: list[str] | None = None, *, config: dict[str, Any] | None = None,
    runtime: Runtime = ONE, **settings: Any,
) -> Outcome:  # fmt: skip
    """Plan and ingest the files of ``folder``."""
    reference, locations = plan_files(root, folder, names, **settings)
    return run_step(
        "ingest",
        config=config or {},
        inputs={"source": reference},
        root=f"file://{root}",
        locations=locations,
        runtime=runtime,
    )


def documents(outcome: Outcome) -> list[dict[str, Any]]:
    """All kept documents with their signals."""
    return [
        row for shard in Corpus.open(outcome.artifact).shards for row in shard.read(signals=None).to_pylist()
    ]


def ledger(outcome: Outcome, kind: str = "ledger") -> list[dict[str, Any]]:
    """The ledger's rows (or the quarantine's)."""
    artifact = outcome.artifact
    return [row for entry in artifact.files(kind) for row in artifact.read_table(entry).to_pylist()]

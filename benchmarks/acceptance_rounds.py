"""Writes docs/acceptance/rounds.json and the table of docs/acceptance.md from the gate artifacts of a root.

    TOKENMILL_ROOT=… python -m benchmarks.acceptance_rounds [dump]

A round is a look of the gate at the dump. What was changed before it stands in docs/acceptance/changes.yaml. Rounds
that lie in other roots stay as they are in rounds.json.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import yaml

from steps.core.artifact import Artifact
from steps.core.store import open_store

DOCS = Path(__file__).resolve().parent.parent / "docs"
STAGES = ("ingest", "preprocess", "score", "filter", "deduplicate")
START, END = "<!-- rounds -->", "<!-- /rounds -->"


def gates(root: str, dump: str) -> list[Artifact]:
    """The gate artifacts of a dump below a root, by number of the look."""
    store = open_store(root)
    keys = [item.key for item in store.list("gate/") if item.key.endswith("/manifest.json")]
    found = []
    for key in keys:
        manifest = json.loads(store.get(key))
        artifact = Artifact.open(f"{key.removesuffix('/manifest.json')}@{manifest['digest']}", store)
        facts = artifact.input("sample").facts["sample"]
        if facts["dump"] == dump:
            found.append(artifact)
    return sorted(found, key=lambda gate: gate.facts["look"])


def stages(gate: Artifact) -> dict[str, dict[str, Any]]:
    """Documents taken and kept, and the content digest, of each stage from ingest to deduplicate."""
    found = {}
    artifact = gate.input("corpus")
    while artifact.step in STAGES:
        total = artifact.manifest.identity.counts.total
        found[artifact.step] = {
            "documents": total.input.documents,
            "kept": total.kept.documents,
            "digest": artifact.digest,
        }
        if not artifact.has_input("corpus"):
            break
        artifact = artifact.input("corpus")
    return {name: found[name] for name in STAGES if name in found}


def record(gate: Artifact, changes: dict[int, str]) -> dict[str, Any]:
    """What one round changed, saw and decided."""
    facts = gate.facts
    figures = ("status", "population", "read", "defective", "rate", "bound", "bound_rate", "limit", "seeded",
               "seeded_found", "sensitivity", "readers", "defects", "reasons")  # fmt: skip
    return {
        "round": facts["look"],
        "change": changes[facts["look"]],
        **{name: facts[name] for name in figures},
        "stages": stages(gate),
        "digests": {
            "gate": gate.digest,
            "verdict": facts["verdict_digest"],
            "policy": facts["policy_digest"],
            "documents": gate.input("corpus").manifest.identity.documents,
            "sample": gate.input("sample").digest,
            "labels": gate.input("labels").digest,
        },
    }


def table(rounds: list[dict[str, Any]]) -> str:
    """The rounds as a Markdown table."""
    head = (
        "| round | documents | read | defective | by class | seeded defects found | upper bound | verdict |"
    )
    rows = [head, "|---|---|---|---|---|---|---|---|"]
    for r in rounds:
        classes = ", ".join(f"{name} {count}" for name, count in r["defects"].items()) or "none"
        rows.append(
            f"| {r['round']} | {r['population']:,} | {r['read']:,} | {r['defective']} ({r['rate']:.3%}) | {classes} | "
            f"{r['seeded_found']:,} of {r['seeded']:,} | {r['bound']} ({r['bound_rate']:.3%}) | **{r['status']}** |"
        )
    return "\n".join(rows)


def main(arguments: list[str]) -> None:
    dump = arguments[0] if arguments else "crawl-mix-2026-11"
    changes = yaml.safe_load((DOCS / "acceptance" / "changes.yaml").read_text(encoding="utf-8"))
    path = DOCS / "acceptance" / "rounds.json"
    known = {item["round"]: item for item in json.loads(path.read_text(encoding="utf-8"))}
    known |= {
        item["round"]: item
        for gate in gates(os.environ["TOKENMILL_ROOT"], dump)
        for item in [record(gate, changes)]
    }
    rounds = [known[number] for number in sorted(known)]
    text = json.dumps(rounds, ensure_ascii=False, indent=1, sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8")
    page = DOCS / "acceptance.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(START)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{START}\n{table(rounds)}\n{END}{after}", encoding="utf-8")
    print(table(rounds))


if __name__ == "__main__":
    main(sys.argv[1:])

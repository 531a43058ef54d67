"""evaluate → review → gate → publish on a small corpus of the demo's own texts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steps.core.config import Runtime
from steps.core.step import Outcome, run_step
from tests.steps.documents import make_corpus

TEXTS = Path(__file__).parents[3] / "demo" / "texts"
RUN = {"recipe": {"name": "own"}, "dump": "D1"}


def records(per_language: int = 60) -> list[dict[str, Any]]:
    """Clean documents in both languages."""
    found = []
    for language in ("zh", "en"):
        lines = (TEXTS / f"{language}.jsonl").read_text(encoding="utf-8").split("\n")
        for line in [line for line in lines if line][:per_language]:
            record = json.loads(line)
            found.append(
                {
                    "text": record["text"],
                    "language": language,
                    "dump": "D1",
                    "url": f"https://{language}.example/{record['id']}",
                    "_signals": {
                        "perplexity": 100.0 + len(record["text"]) % 7,
                        "length": len(record["text"]),
                    },
                }
            )
    return found


@dataclass
class Line:
    """What each stage made."""

    corpus: Outcome
    sample: Outcome
    labels: Outcome
    gate: Outcome

    def inputs(self) -> dict[str, str]:
        return {"corpus": self.corpus.ref, "sample": self.sample.ref, "labels": self.labels.ref}

    def publish(
        self, root: Path, config: dict[str, Any] | None = None, run: dict[str, Any] | None = None
    ) -> Outcome:
        inputs = {**self.inputs(), "verdict": self.gate.ref}
        return step(root, "publish", config or {}, inputs, run=run)


def step(root: Path, name: str, config: dict[str, Any], inputs: dict[str, str], **more: Any) -> Outcome:
    runtime = Runtime(workers=more.pop("workers", 1))
    return run_step(name, config=config, inputs=inputs, root=f"file://{root}", runtime=runtime, **more)


def through_the_gate(root: Path, documents: list[dict[str, Any]], **evaluate: Any) -> Line:
    """A census with 600 seeded defects read by the automatic readers, unless said otherwise."""
    half = len(documents) // 2
    corpus = make_corpus(root, [documents[:half], documents[half:]])
    config = {"sample_fraction": 1.0, "seeded": 600, **evaluate}
    sample = step(root, "evaluate", config, {"corpus": corpus.ref})
    labels = step(root, "review", {"mode": "automatic"}, {"sample": sample.ref})
    gate_config = {"look": config.get("look", 1)}
    inputs = {"corpus": corpus.ref, "sample": sample.ref, "labels": labels.ref}
    return Line(corpus, sample, labels, step(root, "gate", gate_config, inputs))

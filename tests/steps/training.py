"""Small corpora for tests of the training steps: English and Chinese pages, and supervised questions."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import Field

from steps.core.approval import Approved
from steps.core.config import Runtime, StepConfig
from steps.core.document import SCHEMA, SUPERVISED_SCHEMA, doc_id
from steps.core.parts import PartWriter
from steps.core.step import Outcome, Step, StepContext, run_step

PROSE = (
    "the river runs past old mills where people once ground grain and now keep small gardens and quiet shops "
    "every morning a baker opens the door counts 12 loaves and writes 2026 on a slate beside the window"
)
ENGLISH = PROSE.split(" ")
CHINESE = "清晨的河水流过老磨坊人们在那里种菜读书写字也谈论天气与收成孩子数着船只等待春天回来"


class Config(StepConfig):
    kind: str = Field("web", description="web or supervised.")
    documents: int = Field(60, description="How many.")
    shards: int = Field(2, description="In how many shards.")
    seed: int = Field(1, description="Of the texts.")


def sentence(rng: random.Random, language: str, words: int) -> str:
    if language == "zh":
        return "".join(rng.choice(CHINESE) for _ in range(words * 2)) + "。"
    return " ".join(rng.choice(ENGLISH) for _ in range(words)) + "."


def document(rng: random.Random, number: int, kind: str) -> dict[str, Any]:
    language = "zh" if number % 2 else "en"
    row: dict[str, Any] = dict.fromkeys(SCHEMA.names) | {
        "url": f"https://a.example/{number}",
        "metadata": "{}",
    }
    if kind == "web":
        text = sentence(rng, language, rng.randint(20, 120))
        return row | {"source": "pages", "language": language, "text": text}
    task = "math" if number % 3 == 0 else "qa"
    prompt, response = sentence(rng, language, 6), sentence(rng, language, rng.randint(4, 12))
    row |= {"source": "sets", "language": language, "text": f"{prompt}\n{response}"}
    return row | {"prompt": prompt, "response": response, "task": task}


def write_shard(task: dict[str, Any], part: PartWriter) -> None:
    config: Config = part.config
    rng = random.Random(f"{config.seed}/{task['shard']}")
    rows = [
        document(rng, number, config.kind) for number in range(task["shard"], config.documents, config.shards)
    ]
    for row in rows:
        row["doc_id"] = doc_id(row["url"], row["text"])
        size = len(row["text"].encode())
        part.count.add_input(row["source"], row["language"], 1, size)
        part.count.add_kept(row["source"], row["language"], 1, size)
    schema = SCHEMA if config.kind == "web" else SUPERVISED_SCHEMA
    part.put_shard(task["shard"], pa.Table.from_pylist(rows, schema=schema))


def run(ctx: StepContext) -> None:
    ctx.map("write", write_shard, [{"shard": number} for number in range(ctx.config.shards)])


TEXTS = Step("texts", 1, Config, run, makes="corpus")


def make_texts(root: Path, **config: Any) -> Outcome:
    """Commit a corpus of `Config` below ``root``."""
    return run_step(TEXTS, config=config, inputs={}, root=f"file://{root}", runtime=Runtime(workers=1))


SCRATCH: dict[str, Any] = {
    "hidden": 32,
    "layers": 2,
    "heads": 4,
    "key_value_heads": 2,
    "ffn": 48,
    "vocabulary": 320,
    "max_positions": 64,
}
MIX: dict[str, Any] = {
    "heldout_documents": 4,
    "supervised": {
        "sets/qa": {"stage": 2, "template": "question_answer", "ungated": "test questions of our own"},
        "sets/math": {"stage": 3, "template": "problem_solution", "ungated": "test problems of our own"},
    },
}
PACK: dict[str, Any] = {"stage": 1, "sequence_length": 32, "block_bytes": 6000}


def make_model(root: Path, mix: Outcome, **changes: Any) -> Outcome:
    """A model from scratch on a mix."""
    config = {"from_scratch": SCRATCH, "characters": 30, "vocabulary_multiple": 16} | changes
    return run_step(
        "initialize",
        config=config,
        inputs={"mix": mix.ref},
        root=f"file://{root}",
        runtime=Runtime(workers=1),
    )


def make_mix(root: Path, workers: int = 1, **changes: Any) -> Outcome:
    """A mix of a web corpus and a supervised one; the caller has to stand in for the verdict."""
    web, supervised = make_texts(root), make_texts(root, kind="supervised", documents=48, seed=2)
    return run_step(
        "mix",
        config=MIX | changes,
        inputs={"corpora.web": web.ref, "supervised": supervised.ref},
        root=f"file://{root}",
        runtime=Runtime(workers=workers),
    )


def make_pack(root: Path, mix: Outcome, model: Outcome, workers: int = 1, **changes: Any) -> Outcome:
    """One stage's windows."""
    config = PACK | changes
    return run_step(
        "pack",
        config=config,
        inputs={"mix": mix.ref, "model": model.ref},
        root=f"file://{root}",
        runtime=Runtime(workers=workers),
    )


def approve_all(monkeypatch: Any) -> None:
    """Stand in for the verdict, which tests of gate and publish make for real."""
    import steps.initialize.step
    import steps.mix.step
    import steps.pack.step
    import steps.train.step

    monkeypatch.setattr(steps.mix.step, "verify_corpus", lambda artifact, acceptance: None)
    for module in (steps.initialize.step, steps.pack.step):
        monkeypatch.setattr(module, "verify_training", lambda artifact: None)
    monkeypatch.setattr(
        steps.train.step, "verify_training", lambda tokens: Approved(tokens.input("mix"), {}, {})
    )


def make_train(
    root: Path, tokens: Outcome, model: Outcome, previous: Outcome | None = None, **changes: Any
) -> Outcome:
    """One training stage on windows of 64 tokens."""
    config = {
        "micro_batch": 2,
        "batch_windows": 8,
        "learning_rate": 2e-3,
        "final_learning_rate": 1e-4,
        "checkpoint_every": 5,
        "evaluate_every": 10,
    }
    inputs = {"tokens": tokens.ref, "model": model.ref}
    if previous:
        inputs["previous"] = previous.ref
    return run_step(
        "train", config=config | changes, inputs=inputs, root=f"file://{root}", runtime=Runtime(workers=1)
    )

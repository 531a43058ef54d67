"""Packing of tokenised text, in tokens per second and core, beside copying the tokens and Megatron-Core's own writer.

    python -m benchmarks.speed.pack [--tokens 50] [--rounds 3]

Documents have the lengths of GSM8K (supervised, whole) and of Chinese Wikipedia (web, spliced), repeated to so many
million tokens. Ours is the step's own code from the tokenised files to committed token files: reading and checking
ranges, laying out, gathering, writing tokens, index, windows and origins, and their checksums. The limit is a copy of
the tokens in memory in the same order, without layout and without files. Megatron-Core's IndexedDatasetBuilder writes
the same tokens document by document, neither shuffled nor packed. One thread; the best of the rounds
counts, in processor time, so that other work matters little.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.quality.chain import markdown, read_jsonl, shared
from steps.core.config import Runtime, StepConfig
from steps.core.parts import PartWriter
from steps.core.step import Input, Step, StepContext, run_step
from steps.pack.blocks import ENTRY, append, located
from steps.pack.config import Config as PackConfig
from steps.pack.fit import gather
from steps.pack.layout import lay_out
from steps.pack.quota import NO_QUOTA
from steps.pack.write import write_block

SIZE = 4096
VOCABULARY = 39_424
BYTES_PER_TOKEN = 3  # of text; only what a packer is told about sizes follows from it
WHERE = {"set": "train", "number": 0, "first_window": 0}


class Config(StepConfig):
    """Which documents, and how many tokens of them."""

    task: str
    tokens: int


def lengths_of(task: str) -> np.ndarray:
    """int64[n] lengths in tokens, about: a token is four bytes of English, or one Chinese character."""
    if task:
        rows = read_jsonl(shared("sft_gsm8k/train.jsonl.gz"))
        sizes = [(len(row["question"]) + len(row["answer"])) // 4 for row in rows]
    else:
        sizes = [len(row["text"]) for row in read_jsonl(shared("wiki_zh/train.jsonl.gz"))]
    return np.array(sizes, np.int64) + 1


def make(ctx: StepContext) -> None:
    """A mix and a model as far as pack's tasks look at them."""
    ctx.part("make", write_mix)
    ctx.set("vocabulary", VOCABULARY)


def write_mix(task: dict[str, Any], part: PartWriter) -> None:
    found = lengths_of(part.config.task)
    lengths = np.tile(found, -(-part.config.tokens // int(found.sum())))
    rng = np.random.default_rng(1)
    rows = rng.permutation(len(lengths))
    count = len(rows)
    plan = pa.table(
        {
            "order": pa.array(np.arange(count)),
            "shard": pa.array(np.zeros(count, np.int32)),
            "row": pa.array(rows),
            "set": pa.array(["set"] * count),
            "task": pa.array([part.config.task] * count),
            "language": pa.array(["en"] * count),
            "bytes": pa.array(lengths * BYTES_PER_TOKEN),
            "quota": pa.array(np.full(count, NO_QUOTA, np.int32)),
        }
    )
    part.put_table("plan/stage-2/00000.parquet", plan, "plan", stage=2)
    part.put_table("rows/0.parquet", pa.table({"row": rows}), "rows", number=0, shard="0" * 64, input="mix")
    part.put_bytes("lengths.bin", lengths.tobytes(), "lengths")


MAKE = Step("mix", 1, Config, make, inputs=(Input("mix", optional=True),))


def tokenised(task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """What the tokenize phase would have written: random tokens of those lengths."""
    mix = part.inputs["mix"]
    lengths = np.frombuffer(mix.read_bytes(mix.file("lengths.bin")), np.int64)
    entries = np.zeros(len(lengths), ENTRY)
    entries["key"], entries["length"] = np.arange(len(lengths)), lengths
    entries["row"] = mix.read_table(mix.file("plan/stage-2/00000.parquet"))["row"].to_numpy()
    tokens = np.random.default_rng(2).integers(3, VOCABULARY, int(lengths.sum()), np.uint16)
    found: dict[str, Any] = {"documents": len(lengths), "size": len(tokens)}
    for name, values in (("tokens", tokens), ("entries", entries)):
        path = part.scratch / name
        with path.open("wb") as file:
            where = append(file, values)
        found[name] = [located(where, part.put_file(name, path, name, temporary=True))]
    return found


def measure(ctx: StepContext) -> None:
    """Lay out and write, timed; the time is no fact of the artifact."""
    made = ctx.part("tokenised", tokenised).result
    plan = "plan/stage-2/00000.parquet"
    task = {**WHERE, "plan": plan, "first": 0, "task": "", "folder": ctx.folder, **made}
    began = time.process_time()
    laid = ctx.part("layout", lay_out, task)
    layout = [entry.model_dump() for entry in laid.temporary]
    ctx.part(
        "write", write_block, {**WHERE, "layout": layout, "tokens": made["tokens"], "folder": ctx.folder}
    )
    seconds = time.process_time() - began
    print(f"{made['size'] / seconds / 1e6:.1f} million tokens/s, fill {fill(laid.result):.2%}", flush=True)
    ctx.metric("rate", made["size"] / seconds / 1e6)
    ctx.metric("fill", fill(laid.result))


def fill(result: dict[str, Any]) -> float:
    """Tokens over places of all windows."""
    tasks = result["tasks"].values()
    return float(sum(t["tokens"] for t in tasks) / sum(t["windows"] for t in tasks) / SIZE)


MEASURE = Step("measure", 1, PackConfig, measure, inputs=(Input("mix"), Input("model")))


def copy_rate(tokens: np.ndarray, lengths: np.ndarray, order: np.ndarray) -> float:
    """Million tokens per second of gathering documents in another order, in memory."""
    starts = np.cumsum(lengths) - lengths
    out = np.empty_like(tokens)
    return rate(lambda: gather(tokens, starts[order], lengths[order], out), len(tokens))


def megatron_rate(tokens: np.ndarray, lengths: np.ndarray, folder: Path) -> float:
    """Million tokens per second of Megatron-Core's builder."""
    import torch
    from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder

    stops = np.cumsum(lengths)
    documents = [
        torch.from_numpy(tokens[b - n : b].astype(np.int32)) for b, n in zip(stops, lengths, strict=True)
    ]

    def build() -> None:
        builder = IndexedDatasetBuilder(str(folder / "megatron.bin"), dtype=np.uint16)
        for document in documents:
            builder.add_document(document, [len(document)])
        builder.finalize(str(folder / "megatron.idx"))

    return rate(build, len(tokens))


def rate(work: Callable[[], None], tokens: int) -> float:
    """Million tokens per second."""
    began = time.process_time()
    work()
    return tokens / (time.process_time() - began) / 1e6


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=float, default=50, help="millions, of each kind")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    size, rows = int(options.tokens * 1e6), []
    for name, task in (("supervised, whole", "math"), ("web, spliced", "")):
        lengths = lengths_of(task)
        lengths = np.tile(lengths, -(-size // int(lengths.sum())))
        tokens = np.random.default_rng(2).integers(3, VOCABULARY, int(lengths.sum()), np.uint16)
        order = np.random.default_rng(1).permutation(len(lengths))
        best: list[float] = [0, 0, 0, 0]
        for number in range(options.rounds + 1):  # the first one compiles
            with tempfile.TemporaryDirectory(prefix="pack-") as scratch:
                root = f"file://{scratch}"
                corpus = run_step(MAKE, config={"task": task, "tokens": 1}, inputs={}, root=root)
                given = {"mix": corpus.ref}  # stands for the corpus that the rows are of
                made = run_step(MAKE, config={"task": task, "tokens": size}, inputs=given, root=root)
                settings = {"stage": 2, "sequence_length": SIZE, "block_bytes": 1 << 40}
                inputs = {"mix": made.ref, "model": made.ref}
                runtime = Runtime(workers=1)
                packed = run_step(MEASURE, config=settings, inputs=inputs, root=root, runtime=runtime)
                rates = [
                    packed.metrics["rate"],
                    copy_rate(tokens, lengths, order),
                    megatron_rate(tokens, lengths, Path(scratch)),
                ]
            best = [*(max(a, b) if number else 0.0 for a, b in zip(best, rates, strict=False)), 0]
        rows.append(
            (
                name,
                f"{len(tokens) / 1e6:.0f} M",
                f"{packed.metrics['fill']:.2%}",
                *(f"{r:.0f}" for r in best[:3]),
            )
        )
    header = ("documents", "tokens", "fill", "pack, M tokens/s", "copy in memory", "Megatron-Core's builder")
    print(markdown(header, rows))


if __name__ == "__main__":
    main()

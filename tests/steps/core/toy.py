"""A small corpus step and overlay step, declared by the rules that real steps follow, to test the contract with."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from pydantic import Field

from steps.core.config import CorpusConfig
from steps.core.corpus import Corpus
from steps.core.document import SCHEMA, doc_id, text_bytes
from steps.core.parts import PartWriter
from steps.core.step import Input, Step, StepContext


class MakeConfig(CorpusConfig):
    shards: int = Field(4, ge=0, description="Number of shards.")
    rows: int = Field(50, ge=1, description="Documents per shard.")


def make(task: dict, part: PartWriter) -> dict:
    """Texts that follow from the shard number alone; every seventh is quarantined."""
    if pause := os.environ.get("TOY_PAUSE"):
        time.sleep(float(pause))
    if mark := os.environ.get("TOY_COUNT"):
        with Path(mark).open("a") as file:
            file.write(f"{task['shard']}\n")
    rows = []
    for row in range(part.config.rows):
        text = (
            f"shard {task['shard']} row {row} "
            + hashlib.sha256(f"{task['shard']}/{row}".encode()).hexdigest()
        )
        size = len(text.encode())
        part.count.add_input("toy", "en", 1, size)
        if row % 7 == 6:
            part.quarantine(
                reason="poison",
                shard="0" * 64,
                row=row,
                bytes=size,
                source="toy",
                language="en",
                raw=text.encode(),
            )
            continue
        part.count.add_kept("toy", "en", 1, size)
        rows.append(
            dict.fromkeys(SCHEMA.names)
            | {"doc_id": doc_id("", text), "text": text, "source": "toy", "language": "en", "metadata": "{}"}
        )
    part.put_shard(task["shard"], pa.Table.from_pylist(rows, schema=SCHEMA))
    return {"rows": len(rows)}


def run_make(ctx: StepContext) -> None:
    results = ctx.map("make", make, [{"shard": n} for n in range(ctx.config.shards)])
    ctx.set("rows", sum(r.result["rows"] for r in results))


class DropConfig(CorpusConfig):
    every: int = Field(3, ge=1, description="Remove every n-th document.")


def drop(task: dict, part: PartWriter) -> None:
    shard = Corpus.open(part.inputs["corpus"]).shards[task["shard"]]
    table = shard.read(["text", "doc_id"], kept=False)
    before, sizes = shard.keep(), text_bytes(table["text"])
    keep = np.arange(shard.rows) % part.config.every != 0
    for row in np.flatnonzero(before & ~keep):
        part.ledger.add(rule="every_nth", shard=shard.sha256, row=row, bytes=sizes[row], value=float(row))
    for mask, add in ((before & keep, part.count.add_kept), (before & ~keep, part.count.add_removed)):
        reason = () if add == part.count.add_kept else ("every_nth",)
        add(*reason, "toy", "en", int(mask.sum()), int(sizes[mask].sum()))
    part.count.add_input("toy", "en", int(before.sum()), int(sizes[before].sum()))
    part.put_signals(shard, pa.table({"length": pa.array(sizes)}))
    part.put_keep(shard, keep)


def run_drop(ctx: StepContext) -> None:
    ctx.map("drop", drop, [{"shard": s.index, "sha256": s.sha256} for s in ctx.corpus().shards])


def say(text: str) -> str:
    return text


def wait_for_and_touch(paths: tuple[str, str]) -> tuple[str, str]:
    """End once the first file is there (at once without a name), and make the second."""
    awaited, made = paths
    deadline = time.monotonic() + 60
    while awaited and not Path(awaited).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    if made:
        Path(made).touch()
    return paths


def say_pid_and_sleep(folder: str) -> None:
    Path(folder, str(os.getpid())).touch()
    time.sleep(100)


def touch(path: str) -> None:
    Path(path).touch()
    time.sleep(0.02)


def environment(name: str) -> str | None:
    time.sleep(0.1)
    return os.environ.get(name)


def kill_itself(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fail(error: Exception) -> None:
    raise error


class Unsendable(Exception):
    """Cannot be made anew from its arguments."""

    def __init__(self, number: int, of: int) -> None:
        super().__init__(f"{number} of {of}")


def fail_unsendably(_: int) -> None:
    raise Unsendable(3, 4)


MAKE = Step("make", 1, MakeConfig, run_make, makes="corpus")
DROP = Step("drop", 1, DropConfig, run_drop, inputs=(Input("corpus"),), makes="overlay")
